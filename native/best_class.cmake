# The best class of every anchor (edgekit_best_class of include/edgekit.h), included by CMakeLists.txt.
list(APPEND EDGEKIT_SOURCES src/best_class.cpp src/best_class_reference.cpp)
list(APPEND EDGEKIT_SOURCES_AVX2 src/best_class_avx2.cpp)
list(APPEND EDGEKIT_SOURCES_AVX512 src/best_class_avx512.cpp)
list(APPEND EDGEKIT_SOURCES_NEON src/best_class_neon.cpp)
list(APPEND EDGEKIT_TESTS best_class)
