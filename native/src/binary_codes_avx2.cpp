// Codes of 8 bits with AVX2: 32 signs, or 8 values, at once.
#include <immintrin.h>
#include <string.h>

#include "binary_codes.h"

namespace edgekit {
namespace {

void signs(const uint8_t *codes, const CodeGrid &grid, int64_t rows, int64_t channels, uint32_t *bits) {
    // Bytes compare as signed ones: what is unsigned here goes 128 down.
    const __m256i down = _mm256_set1_epi8(static_cast<char>(grid.flip ^ 0x80));
    const __m256i zero = _mm256_set1_epi8(static_cast<char>(grid.zero ^ 0x80));
    for (int64_t row = 0; row < rows; row++, codes += channels) {
        int64_t c = 0;
        for (; c + 32 <= channels; c += 32) {
            const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(codes + c));
            *bits++ = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpgt_epi8(zero, _mm256_xor_si256(x, down))));
        }
        if (c == channels) continue;
        uint32_t word = 0;
        for (int64_t i = c; i < channels; i++) {
            word |= static_cast<uint32_t>((codes[i] ^ grid.flip) < grid.zero) << (i - c);
        }
        *bits++ = word;
    }
}

void to_values(const uint8_t *codes, const CodeGrid &grid, int count, float *values) {
    const __m128i flip = _mm_set1_epi8(static_cast<char>(grid.flip));
    const __m256i zero = _mm256_set1_epi32(grid.zero);
    const __m256 scale = _mm256_set1_ps(grid.scale);
    for (int i = 0; i < count; i += 8) {
        uint8_t tail[8] = {};
        if (count - i < 8) memcpy(tail, codes + i, static_cast<size_t>(count - i));
        const uint8_t *from = count - i < 8 ? tail : codes + i;
        const __m128i x = _mm_xor_si128(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(from)), flip);
        const __m256i steps = _mm256_sub_epi32(_mm256_cvtepu8_epi32(x), zero);
        _mm256_storeu_ps(values + i, _mm256_mul_ps(_mm256_cvtepi32_ps(steps), scale));
    }
}

// Eight whole numbers from 0 to 255 as bytes.
__m128i narrow(__m256i wide) {
    const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    return _mm_packus_epi16(halves, halves);
}

void to_codes(const float *values, const CodeGrid &grid, int count, uint8_t *codes) {
    const __m128i flip = _mm_set1_epi8(static_cast<char>(grid.flip));
    const __m256i zero = _mm256_set1_epi32(grid.zero);
    const __m256 inverse = _mm256_set1_ps(grid.inverse), surely = _mm256_set1_ps(kSurelyRounded);
    const __m256 lower = _mm256_set1_ps(static_cast<float>(-grid.zero));
    const __m256 upper = _mm256_set1_ps(static_cast<float>(255 - grid.zero));
    const __m256 no_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    const auto clipped = [=](__m256 x) { return _mm256_min_ps(_mm256_max_ps(x, lower), upper); };
    for (int i = 0; i < count; i += 8) {
        const int lanes = count - i < 8 ? count - i : 8;
        const __m256 value = _mm256_loadu_ps(values + i);
        const __m256 quotient = clipped(_mm256_mul_ps(value, inverse));
        __m256i steps = _mm256_cvtps_epi32(quotient);
        const __m256 apart = _mm256_and_ps(_mm256_sub_ps(quotient, _mm256_cvtepi32_ps(steps)), no_sign);
        if (__builtin_expect(_mm256_movemask_ps(_mm256_cmp_ps(apart, surely, _CMP_GT_OQ)) != 0, 0)) {
            steps = _mm256_cvtps_epi32(clipped(_mm256_div_ps(value, _mm256_set1_ps(grid.scale))));
        }
        const __m128i found = _mm_xor_si128(narrow(_mm256_add_epi32(steps, zero)), flip);
        uint8_t bytes[16];
        _mm_storeu_si128(reinterpret_cast<__m128i *>(bytes), found);
        memcpy(codes + i, bytes, static_cast<size_t>(lanes));
    }
}

}  // namespace

const CodeKernels kCodesAvx2 = {signs, to_values, to_codes};

}  // namespace edgekit
