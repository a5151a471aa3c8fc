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

// Sixteen lanes, the tables in registers for all pixels. The tables are whole blocks, zero past the last channel: only
// stores need a mask.
struct Affine {
    __m512i base;
    __m512 multiplier, offset;

    Affine(const BinaryTables &tables, int lane)
        : base(_mm512_loadu_si512(tables.base + lane)),
          multiplier(_mm512_loadu_ps(tables.multiplier + lane)),
          offset(_mm512_loadu_ps(tables.offset + lane)) {}

    __m512 operator()(const int32_t *counts) const {
        const __m512i twice = _mm512_slli_epi32(_mm512_loadu_si512(counts), 1);
        const __m512 dot = _mm512_cvtepi32_ps(_mm512_sub_epi32(base, twice));
        return _mm512_add_ps(_mm512_mul_ps(multiplier, dot), offset);
    }
};

// Whole vectors, a pixel's together: in wide images its lines of the cache are not side by side with the next pixel's.
template <int Vectors>
void to_whole(const int32_t *counts, int pixels, const BinaryTables &tables, float *out, int64_t step) {
    const Affine affine[] = {{tables, 0}, {tables, Vectors > 1 ? 16 : 0}, {tables, Vectors > 2 ? 32 : 0},
                             {tables, Vectors > 3 ? 48 : 0}};
    for (int p = 0; p < pixels; p++, counts += kBinaryLanes, out += step) {
        for (int v = 0; v < Vectors; v++) _mm512_storeu_ps(out + v * 16, affine[v](counts + v * 16));
    }
}

void to_float(const int32_t *counts, int pixels, const BinaryTables &tables, int channels, float *out, int64_t step) {
    switch (channels) {
        case 16: return to_whole<1>(counts, pixels, tables, out, step);
        case 32: return to_whole<2>(counts, pixels, tables, out, step);
        case 48: return to_whole<3>(counts, pixels, tables, out, step);
        case 64: return to_whole<4>(counts, pixels, tables, out, step);
    }
    for (int i = 0; i < channels; i += 16) {
        const Affine affine(tables, i);
        const __mmask16 mask = first(channels - i);
        for (int p = 0; p < pixels; p++) {
            _mm512_mask_storeu_ps(out + p * step + i, mask, affine(counts + p * kBinaryLanes + i));
        }
    }
}

void to_int8(const int32_t *counts, int pixels, const BinaryTables &tables, int channels, int8_t *out, int64_t step) {
    const __m512 limit = _mm512_set1_ps(127.0f);
    const __m512 lower = _mm512_set1_ps(-127.0f);
    for (int i = 0; i < channels; i += 16) {
        const Affine affine(tables, i);
        const __mmask16 mask = first(channels - i);
        for (int p = 0; p < pixels; p++) {
            const __m512 y = affine(counts + p * kBinaryLanes + i);
            const __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(y, lower), limit));
            _mm_mask_storeu_epi8(out + p * step + i, mask, _mm512_cvtepi32_epi8(q));
        }
    }
}

void to_sum(const int32_t *counts, int pixels, const BinaryTables &tables, const BinaryLimits &limits,
            const float *residual, int channels, float *out, int64_t step, uint64_t *bits) {
    const __m512 lower = _mm512_set1_ps(limits.low), upper = _mm512_set1_ps(limits.high);
    const __m512 zero = _mm512_setzero_ps();
    for (int p = 0; p < pixels; p++) bits[p] = 0;
    for (int i = 0; i < channels; i += 16) {
        const Affine affine(tables, i);
        const __mmask16 mask = first(channels - i);
        for (int p = 0; p < pixels; p++) {
            __m512 y = affine(counts + p * kBinaryLanes + i);
            if (residual) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, residual + p * step + i));
            y = _mm512_min_ps(_mm512_max_ps(y, lower), upper);
            _mm512_mask_storeu_ps(out + p * step + i, mask, y);
            bits[p] |= static_cast<uint64_t>(_mm512_mask_cmp_ps_mask(mask, y, zero, _CMP_LT_OQ)) << i;
        }
    }
}

template <int Vectors>
void compare(const int32_t *counts, int pixels, const int32_t *threshold, uint64_t *bits) {
    __m512i tau[Vectors];
    for (int v = 0; v < Vectors; v++) tau[v] = _mm512_loadu_si512(threshold + v * 16);
    for (int p = 0; p < pixels; p++, counts += kBinaryLanes) {
        uint64_t above = 0;
        for (int v = 0; v < Vectors; v++) {
            const __mmask16 each = _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(counts + v * 16), tau[v]);
            above |= static_cast<uint64_t>(each) << (v * 16);
        }
        bits[p] = above;
    }
}

void to_bits(const int32_t *counts, int pixels, const int32_t *threshold, int width, uint64_t *bits) {
    switch (width / 16) {
        case 1: return compare<1>(counts, pixels, threshold, bits);
        case 2: return compare<2>(counts, pixels, threshold, bits);
        case 3: return compare<3>(counts, pixels, threshold, bits);
        default: return compare<4>(counts, pixels, threshold, bits);
    }
}

// Floats are often read from the third cache, where the processor's own prefetching is half as fast.
constexpr int64_t kPrefetch = 512;  // values

void pack_float(const float *x, int64_t rows, int64_t channels, uint32_t *bits) {
    const __m512 zero = _mm512_setzero_ps();
    for (int64_t row = 0; row < rows; row++, x += channels) {
        int64_t c = 0;
        for (; c + 32 <= channels; c += 32) {
            _mm_prefetch(reinterpret_cast<const char *>(x + c + kPrefetch), _MM_HINT_T0);
            _mm_prefetch(reinterpret_cast<const char *>(x + c + kPrefetch + 16), _MM_HINT_T0);
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

const BinaryKernels kBinaryAvx512 = {6, nullptr, count, to_float, to_int8, to_sum, to_bits, pack_float, pack_int8};

}  // namespace edgekit
