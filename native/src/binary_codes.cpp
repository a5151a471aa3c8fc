// Which functions serve codes of 8 bits, and which grids they take.
#include "binary_codes.h"

namespace edgekit {

const CodeKernels *code_kernels(Kernels kernels) {
    switch (kernels) {
#if defined(__x86_64__)
        case Kernels::avx2: return &kCodesAvx2;
        case Kernels::avx512:
        case Kernels::amx: return &kCodesAvx512;
#elif defined(__aarch64__)
        case Kernels::neon: return &kCodesNeon;
#endif
        default: return &kCodesReference;
    }
}

bool read_grid(const edgekit_binary_codes &codes, CodeGrid *grid) {
    // Beyond these its inverse, or a product with it, may be denormal, which some threads take for 0.
    const bool has_inverse = codes.scale >= 1e-30f && codes.scale <= 1e30f;
    const bool is_signed = codes.is_signed == 1;
    const int64_t zero = int64_t{codes.zero_point} + (is_signed ? 128 : 0);
    if (!has_inverse || (!is_signed && codes.is_signed != 0) || zero < 0 || zero > 255) return false;
    *grid = {codes.scale, 1.0f / codes.scale, static_cast<int32_t>(zero), static_cast<uint8_t>(is_signed ? 0x80 : 0)};
    return true;
}

}  // namespace edgekit
