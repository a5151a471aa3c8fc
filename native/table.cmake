# The lookup of 8-bit codes (include/edgekit_table.h), included by CMakeLists.txt.
list(APPEND EDGEKIT_SOURCES src/table.cpp src/table_reference.cpp src/table_operator.cpp)
list(APPEND EDGEKIT_SOURCES_AVX2 src/table_avx2.cpp)
list(APPEND EDGEKIT_SOURCES_AVX512 src/table_avx512.cpp)
list(APPEND EDGEKIT_SOURCES_NEON src/table_neon.cpp)
list(APPEND EDGEKIT_TESTS table)
