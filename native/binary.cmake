# The binary convolution (include/edgekit_binary.h), included by CMakeLists.txt.
list(APPEND EDGEKIT_SOURCES src/binary_conv.cpp src/binary_create.cpp src/binary_write.cpp src/binary_tiles.cpp
  src/binary_reference.cpp src/binary_operator.cpp src/onnxruntime_operator.cpp src/binary_signs_operator.cpp
  src/binary_codes.cpp src/binary_codes_reference.cpp)
list(APPEND EDGEKIT_SOURCES_AVX2 src/binary_avx2.cpp src/binary_codes_avx2.cpp)
list(APPEND EDGEKIT_SOURCES_AVX512 src/binary_avx512.cpp src/binary_codes_avx512.cpp)
list(APPEND EDGEKIT_SOURCES_AMX src/binary_amx.cpp)
list(APPEND EDGEKIT_SOURCES_NEON src/binary_neon.cpp src/binary_codes_neon.cpp)
list(APPEND EDGEKIT_TESTS binary_conv binary_tiles binary_codes)
