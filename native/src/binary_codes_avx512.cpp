// Codes of 8 bits with AVX-512: 32 signs, or 16 values, at once.
#include <immintrin.h>

#include "binary_codes.h"

namespace edgekit {
namespace {

__mmask16 first(int lanes) {
    return lanes >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << lanes) - 1u);
}

void signs(const uint8_t *codes, const CodeGrid &grid, int64_t rows, int64_t channels, uint32_t *bits) {
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(grid.flip));
    const __m256i zero = _mm256_set1_epi8(static_cast<char>(grid.zero));
    for (int64_t row = 0; row < rows; row++, codes += channels) {
        for (int64_t c = 0; c < channels; c += 32) {
            const int64_t left = channels - c;
            const __mmask32 mask = left >= 32 ? 0xffffffffu : (1u << left) - 1u;
            const __m256i x = _mm256_xor_si256(_mm256_maskz_loadu_epi8(mask, codes + c), flip);
            *bits++ = _mm256_mask_cmplt_epu8_mask(mask, x, zero);
        }
    }
}

void to_values(const uint8_t *codes, const CodeGrid &grid, int count, float *values) {
    const __m128i flip = _mm_set1_epi8(static_cast<char>(grid.flip));
    const __m512i zero = _mm512_set1_epi32(grid.zero);
    const __m512 scale = _mm512_set1_ps(grid.scale);
    for (int i = 0; i < count; i += 16) {
        const __m128i x = _mm_xor_si128(_mm_maskz_loadu_epi8(first(count - i), codes + i), flip);
        const __m512i steps = _mm512_sub_epi32(_mm512_cvtepu8_epi32(x), zero);
        _mm512_storeu_ps(values + i, _mm512_mul_ps(_mm512_cvtepi32_ps(steps), scale));
    }
}

uint64_t to_codes(const float *values, const CodeGrid &grid, int count, uint8_t *codes) {
    const __m128i flip = _mm_set1_epi8(static_cast<char>(grid.flip));
    const __m512i zero = _mm512_set1_epi32(grid.zero);
    const __m512 inverse = _mm512_set1_ps(grid.inverse), surely = _mm512_set1_ps(kSurelyRounded);
    const __m512 lower = _mm512_set1_ps(static_cast<float>(-grid.zero));
    const __m512 upper = _mm512_set1_ps(static_cast<float>(255 - grid.zero));
    const auto clipped = [=](__m512 x) { return _mm512_min_ps(_mm512_max_ps(x, lower), upper); };
    uint64_t bits = 0;
    for (int i = 0; i < count; i += 16) {
        const __m512 value = _mm512_loadu_ps(values + i);
        const __m512 quotient = clipped(_mm512_mul_ps(value, inverse));
        __m512i steps = _mm512_cvtps_epi32(quotient);
        const __m512 apart = _mm512_abs_ps(_mm512_sub_ps(quotient, _mm512_cvtepi32_ps(steps)));
        if (__builtin_expect(_mm512_cmp_ps_mask(apart, surely, _CMP_GT_OQ) != 0, 0)) {
            steps = _mm512_cvtps_epi32(clipped(_mm512_div_ps(value, _mm512_set1_ps(grid.scale))));
        }
        const __mmask16 mask = first(count - i);
        const __m128i bytes = _mm_xor_si128(_mm512_cvtepi32_epi8(_mm512_add_epi32(steps, zero)), flip);
        _mm_mask_storeu_epi8(codes + i, mask, bytes);
        bits |= static_cast<uint64_t>(_mm512_movepi32_mask(steps) & mask) << i;
    }
    return bits;
}

}  // namespace

const CodeKernels kCodesAvx512 = {signs, to_values, to_codes};

}  // namespace edgekit
