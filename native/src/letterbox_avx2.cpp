// The arithmetic of letterbox.h, 8 pixels at a time along a row and 16 between two.
#include <immintrin.h>

#include "letterbox.h"

namespace edgekit {
namespace {

// The low halves of 8 lanes.
inline void store(__m256i h, int16_t *to) {
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(h, h), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm256_castsi256_si128(packed));
}

// A lane of `left` holds the bytes b g r B of a pair of pixels, one of `right` its bytes r B G R. A channel's two bytes
// become two words of the lane, and one multiply-add makes h of them.
void along(const uint8_t *row, const int32_t *offset, const int32_t *weight, int32_t count, int16_t *planes,
           int32_t stride) {
    // Bytes 0 and 3 of each lane of 32 bits, zeros between.
    const __m128i lanes = _mm_setr_epi32(static_cast<int32_t>(0x80038000u), static_cast<int32_t>(0x80078004u),
                                         static_cast<int32_t>(0x800b8008u), static_cast<int32_t>(0x800f800cu));
    const __m256i spread = _mm256_broadcastsi128_si256(lanes);
    const __m256i low = _mm256_set1_epi32(0xff), third = _mm256_set1_epi32(0xff0000);
    const __m256i right_weight = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u));
    int32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256i at = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(offset + i));
        const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(weight + i));
        const __m256i left = _mm256_i32gather_epi32(reinterpret_cast<const int *>(row), at, 1);
        // No right pixel has any weight: 2048 / 16 of the left one.
        if (_mm256_testz_si256(weights, right_weight)) {
            for (int plane = 0; plane < 3; ++plane) {
                const __m256i only = _mm256_and_si256(_mm256_srl_epi32(left, _mm_cvtsi32_si128(8 * plane)), low);
                store(_mm256_slli_epi32(only, 7), planes + plane * stride + i);
            }
            continue;
        }
        const __m256i right = _mm256_i32gather_epi32(reinterpret_cast<const int *>(row + 2), at, 1);
        const __m256i green = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(left, 8), low),
                                              _mm256_and_si256(right, third));
        const __m256i pairs[3] = {_mm256_shuffle_epi8(left, spread), green, _mm256_shuffle_epi8(right, spread)};
        for (int plane = 0; plane < 3; ++plane) {
            const __m256i h = _mm256_srli_epi32(_mm256_madd_epi16(pairs[plane], weights), 4);
            store(h, planes + plane * stride + i);
        }
    }
    letterbox_reference.along(row, offset + i, weight + i, count - i, planes + i, stride);
}

inline __m256i mixed(const int16_t *upper, const int16_t *lower, __m256i b0, __m256i b1) {
    const __m256i above = _mm256_mulhi_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(upper)), b0);
    const __m256i below = _mm256_mulhi_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(lower)), b1);
    const __m256i sum = _mm256_add_epi16(_mm256_add_epi16(above, below), _mm256_set1_epi16(2));
    return _mm256_min_epi16(_mm256_srai_epi16(sum, 2), _mm256_set1_epi16(255));
}

void between_f32(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, float gain,
                 float offset, float *out) {
    const __m256i weight0 = _mm256_set1_epi16(static_cast<int16_t>(b0));
    const __m256i weight1 = _mm256_set1_epi16(static_cast<int16_t>(b1));
    const __m256 gains = _mm256_set1_ps(gain), offsets = _mm256_set1_ps(offset);
    int32_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m256i pixels = mixed(upper + i, lower + i, weight0, weight1);
        const __m256 first = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(pixels)));
        const __m256 second = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(pixels, 1)));
        _mm256_storeu_ps(out + i, _mm256_add_ps(_mm256_mul_ps(first, gains), offsets));
        _mm256_storeu_ps(out + i + 8, _mm256_add_ps(_mm256_mul_ps(second, gains), offsets));
    }
    letterbox_reference.between_f32(upper + i, lower + i, b0, b1, count - i, gain, offset, out + i);
}

void between_u8(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, uint8_t *out) {
    const __m256i weight0 = _mm256_set1_epi16(static_cast<int16_t>(b0));
    const __m256i weight1 = _mm256_set1_epi16(static_cast<int16_t>(b1));
    int32_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m256i pixels = mixed(upper + i, lower + i, weight0, weight1);
        const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(pixels), _mm256_extracti128_si256(pixels, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out + i), bytes);
    }
    letterbox_reference.between_u8(upper + i, lower + i, b0, b1, count - i, out + i);
}

}  // namespace

const LetterboxKernels letterbox_avx2 = {along, between_f32, between_u8};

}  // namespace edgekit
