// AVX-512 with VPOPCNTDQ: lanes are output channels, so that nothing is ever summed across a register.
//
// A step takes one word of each pixel (broadcast) and one word of each output channel: xor, popcount, add; six pixels
// by four vectors of 16 channels keep 24 sums in registers. An Intel core has two ports for 512-bit integer arithmetic:
// three operations for 512 bits, so at most 341 products a cycle; Zen 4 counts one vector a cycle and reaches the same.
#include <immintrin.h>

#include "binary_kernels.h"

namespace edgekit {
namespace {

template <int Pixels, int Vectors>
void count_tile(const BinaryPatches &patches, const uint32_t *w, int32_t *counts) {
    __m512i sum[Pixels][Vectors];
    for (int p = 0; p < Pixels; p++) {
        for (int v = 0; v < Vectors; v++) sum[p][v] = _mm512_setzero_si512();
    }
    for (int64_t row = 0; row < patches.rows; row++) {
        const uint32_t *a[Pixels];
        for (int p = 0; p < Pixels; p++) a[p] = patches.pixels[p] + row * patches.row_stride;
        for (int64_t i = 0; i < patches.row_steps; i++, w += Vectors * 16) {
            __m512i lanes[Vectors];
            for (int v = 0; v < Vectors; v++) lanes[v] = _mm512_loadu_si512(w + v * 16);
            for (int p = 0; p < Pixels; p++) {
                const __m512i word = _mm512_set1_epi32(static_cast<int>(a[p][i]));
                for (int v = 0; v < Vectors; v++) {
                    const __m512i bits = _mm512_popcnt_epi32(_mm512_xor_si512(word, lanes[v]));
                    sum[p][v] = _mm512_add_epi32(sum[p][v], bits);
                }
            }
        }
    }
    for (int p = 0; p < Pixels; p++) {
        for (int v = 0; v < Vectors; v++) _mm512_storeu_si512(counts + p * kBinaryLanes + v * 16, sum[p][v]);
    }
}

template <int Vectors>
void count_width(const BinaryPatches &patches, int pixels, const uint32_t *weights, int32_t *counts) {
    switch (pixels) {
        case 1: return count_tile<1, Vectors>(patches, weights, counts);
        case 2: return count_tile<2, Vectors>(patches, weights, counts);
        case 3: return count_tile<3, Vectors>(patches, weights, counts);
        case 4: return count_tile<4, Vectors>(patches, weights, counts);
        case 5: return count_tile<5, Vectors>(patches, weights, counts);
        default: return count_tile<6, Vectors>(patches, weights, counts);
    }
}

void count(const BinaryPatches &patches, int pixels, const uint32_t *weights, int width, int32_t *counts) {
    switch (width / 16) {
        case 1: return count_width<1>(patches, pixels, weights, counts);
        case 2: return count_width<2>(patches, pixels, weights, counts);
        case 3: return count_width<3>(patches, pixels, weights, counts);
        default: return count_width<4>(patches, pixels, weights, counts);
    }
}

__mmask16 first(int64_t lanes) {
    return lanes >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << lanes) - 1u);
}

// The tables are whole blocks, zero past the last channel: only stores need a mask.
__m512 affine(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset) {
    const __m512i twice = _mm512_slli_epi32(_mm512_loadu_si512(counts), 1);
    const __m512 dot = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(base), twice));
    return _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(multiplier), dot), _mm512_loadu_ps(offset));
}

void to_float(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset, int channels,
              float *out) {
    for (int i = 0; i < channels; i += 16) {
        const __m512 y = affine(counts + i, base + i, multiplier + i, offset + i);
        _mm512_mask_storeu_ps(out + i, first(channels - i), y);
    }
}

void to_int8(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset, int channels,
             int8_t *out) {
    const __m512 limit = _mm512_set1_ps(127.0f);
    const __m512 lower = _mm512_set1_ps(-127.0f);
    for (int i = 0; i < channels; i += 16) {
        const __m512 y = affine(counts + i, base + i, multiplier + i, offset + i);
        const __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(y, lower), limit));
        _mm_mask_storeu_epi8(out + i, first(channels - i), _mm512_cvtepi32_epi8(q));
    }
}

uint64_t to_sum(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset,
                const float *residual, float low, float high, int channels, float *out) {
    const __m512 lower = _mm512_set1_ps(low), upper = _mm512_set1_ps(high), zero = _mm512_setzero_ps();
    uint64_t bits = 0;
    for (int i = 0; i < channels; i += 16) {
        const __mmask16 mask = first(channels - i);
        __m512 y = affine(counts + i, base + i, multiplier + i, offset + i);
        if (residual) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, residual + i));
        y = _mm512_min_ps(_mm512_max_ps(y, lower), upper);
        _mm512_mask_storeu_ps(out + i, mask, y);
        bits |= static_cast<uint64_t>(_mm512_mask_cmp_ps_mask(mask, y, zero, _CMP_LT_OQ)) << i;
    }
    return bits;
}

uint64_t to_bits(const int32_t *counts, const int32_t *threshold, int width) {
    uint64_t bits = 0;
    for (int i = 0; i < width; i += 16) {
        const __mmask16 above =
            _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(counts + i), _mm512_loadu_si512(threshold + i));
        bits |= static_cast<uint64_t>(above) << i;
    }
    return bits;
}

void pack_float(const float *x, int64_t rows, int64_t channels, uint32_t *bits) {
    const __m512 zero = _mm512_setzero_ps();
    for (int64_t row = 0; row < rows; row++, x += channels) {
        int64_t c = 0;
        for (; c + 32 <= channels; c += 32) {
            const uint32_t low = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + c), zero, _CMP_LT_OQ);
            const uint32_t high = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + c + 16), zero, _CMP_LT_OQ);
            *bits++ = low | high << 16;
        }
        if (c == channels) continue;
        uint32_t word = 0;
        for (int64_t i = c; i < channels; i += 16) {
            const __m512 v = _mm512_maskz_loadu_ps(first(channels - i), x + i);
            word |= static_cast<uint32_t>(_mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ)) << (i - c);
        }
        *bits++ = word;
    }
}

void pack_int8(const int8_t *x, int64_t rows, int64_t channels, uint32_t *bits) {
    for (int64_t row = 0; row < rows; row++, x += channels) {
        for (int64_t c = 0; c < channels; c += 32) {
            const int64_t left = channels - c;
            const __mmask32 mask = left >= 32 ? 0xffffffffu : (1u << left) - 1u;
            *bits++ = _mm256_movepi8_mask(_mm256_maskz_loadu_epi8(mask, x + c));
        }
    }
}

}  // namespace

const BinaryKernels kBinaryAvx512 = {6, count, to_float, to_int8, to_sum, to_bits, pack_float, pack_int8};

}  // namespace edgekit
