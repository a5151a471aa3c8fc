// Codes of 8 bits with AVX-512: 32 signs, or 64 values, at once.
#include <immintrin.h>

#include "binary_codes.h"
#include "binary_kernels.h"

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

// The steps of 64 values, which are not limited from below: packing saturates there.
void steps_of(const float *values, const CodeGrid &grid, bool divides, __m512i *steps) {
    const __m512 upper = _mm512_set1_ps(static_cast<float>(255 - grid.zero)), scale = _mm512_set1_ps(grid.scale);
    const __m512 inverse = _mm512_set1_ps(grid.inverse), surely = _mm512_set1_ps(kSurelyRounded);
    __mmask16 apart = 0;
    for (int v = 0; v < 4; v++) {
        const __m512 value = _mm512_loadu_ps(values + v * 16);
        const __m512 quotient = divides ? _mm512_div_ps(value, scale) : _mm512_mul_ps(value, inverse);
        const __m512 limited = _mm512_min_ps(quotient, upper);
        steps[v] = _mm512_cvtps_epi32(limited);
        const __m512 rest = _mm512_sub_ps(limited, _mm512_cvtepi32_ps(steps[v]));
        apart |= _mm512_cmp_ps_mask(_mm512_abs_ps(rest), surely, _CMP_GT_OQ);
    }
    if (!divides && __builtin_expect(apart != 0, 0)) steps_of(values, grid, true, steps);
}

void to_codes(const float *values, const CodeGrid &grid, int count, uint8_t *codes) {
    const __m512i zero = _mm512_set1_epi16(static_cast<int16_t>(grid.zero));
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(grid.flip));
    // Packing works within quarters of a register: what it leaves apart is put side by side.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __mmask64 mask = count >= kBinaryLanes ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    __m512i steps[4];
    steps_of(values, grid, false, steps);
    const __m512i low = _mm512_add_epi16(_mm512_packs_epi32(steps[0], steps[1]), zero);
    const __m512i high = _mm512_add_epi16(_mm512_packs_epi32(steps[2], steps[3]), zero);
    const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
    _mm512_mask_storeu_epi8(codes, mask, _mm512_xor_si512(bytes, flip));
}

}  // namespace

const CodeKernels kCodesAvx512 = {signs, to_values, to_codes};

}  // namespace edgekit
