// The arithmetic of letterbox.h, 16 pixels at a time along a row and 32 between two; letterbox_avx2.cpp explains.
#include <immintrin.h>

#include "letterbox.h"

namespace edgekit {
namespace {

void along(const uint8_t *row, const int32_t *offset, const int32_t *weight, int32_t count, int16_t *planes,
           int32_t stride) {
    const __m128i lanes = _mm_setr_epi32(static_cast<int32_t>(0x80038000u), static_cast<int32_t>(0x80078004u),
                                         static_cast<int32_t>(0x800b8008u), static_cast<int32_t>(0x800f800cu));
    const __m512i spread = _mm512_broadcast_i32x4(lanes);
    const __m512i low = _mm512_set1_epi32(0xff), third = _mm512_set1_epi32(0xff0000);
    const __m512i right_weight = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u));
    for (int32_t i = 0; i < count; i += 16) {
        const int32_t left_over = count - i;
        const __mmask16 here = static_cast<__mmask16>(left_over >= 16 ? 0xffff : (1 << left_over) - 1);
        const __m512i at = _mm512_maskz_loadu_epi32(here, offset + i);
        const __m512i weights = _mm512_maskz_loadu_epi32(here, weight + i);
        const __m512i zero = _mm512_setzero_si512();
        const __m512i left = _mm512_mask_i32gather_epi32(zero, here, at, row, 1);
        // No right pixel has any weight: 2048 / 16 of the left one.
        if (_mm512_test_epi32_mask(weights, right_weight) == 0) {
            for (int plane = 0; plane < 3; ++plane) {
                const __m512i only = _mm512_and_si512(_mm512_srl_epi32(left, _mm_cvtsi32_si128(8 * plane)), low);
                _mm512_mask_cvtepi32_storeu_epi16(planes + plane * stride + i, here, _mm512_slli_epi32(only, 7));
            }
            continue;
        }
        const __m512i right = _mm512_mask_i32gather_epi32(zero, here, at, row + 2, 1);
        const __m512i green = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(left, 8), low),
                                              _mm512_and_si512(right, third));
        const __m512i pairs[3] = {_mm512_shuffle_epi8(left, spread), green, _mm512_shuffle_epi8(right, spread)};
        for (int plane = 0; plane < 3; ++plane) {
            const __m512i h = _mm512_srli_epi32(_mm512_madd_epi16(pairs[plane], weights), 4);
            _mm512_mask_cvtepi32_storeu_epi16(planes + plane * stride + i, here, h);
        }
    }
}

inline __m512i mixed(const int16_t *upper, const int16_t *lower, __m512i b0, __m512i b1, __mmask32 here) {
    const __m512i above = _mm512_mulhi_epi16(_mm512_maskz_loadu_epi16(here, upper), b0);
    const __m512i below = _mm512_mulhi_epi16(_mm512_maskz_loadu_epi16(here, lower), b1);
    const __m512i sum = _mm512_add_epi16(_mm512_add_epi16(above, below), _mm512_set1_epi16(2));
    return _mm512_min_epi16(_mm512_srai_epi16(sum, 2), _mm512_set1_epi16(255));
}

inline __mmask32 first_of(int32_t count) { return count >= 32 ? 0xffffffffu : (1u << count) - 1u; }

void between_f32(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, float gain,
                 float offset, float *out) {
    const __m512i weight0 = _mm512_set1_epi16(static_cast<int16_t>(b0));
    const __m512i weight1 = _mm512_set1_epi16(static_cast<int16_t>(b1));
    const __m512 gains = _mm512_set1_ps(gain), offsets = _mm512_set1_ps(offset);
    for (int32_t i = 0; i < count; i += 32) {
        const __mmask32 here = first_of(count - i);
        const __m512i pixels = mixed(upper + i, lower + i, weight0, weight1, here);
        const __m512 first = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_castsi512_si256(pixels)));
        const __m512 second = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(pixels, 1)));
        _mm512_mask_storeu_ps(out + i, static_cast<__mmask16>(here),
                              _mm512_add_ps(_mm512_mul_ps(first, gains), offsets));
        _mm512_mask_storeu_ps(out + i + 16, static_cast<__mmask16>(here >> 16),
                              _mm512_add_ps(_mm512_mul_ps(second, gains), offsets));
    }
}

void between_u8(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, uint8_t *out) {
    const __m512i weight0 = _mm512_set1_epi16(static_cast<int16_t>(b0));
    const __m512i weight1 = _mm512_set1_epi16(static_cast<int16_t>(b1));
    for (int32_t i = 0; i < count; i += 32) {
        const __mmask32 here = first_of(count - i);
        _mm512_mask_cvtepi16_storeu_epi8(out + i, here, mixed(upper + i, lower + i, weight0, weight1, here));
    }
}

}  // namespace

const LetterboxKernels letterbox_avx512 = {along, between_f32, between_u8};

}  // namespace edgekit
