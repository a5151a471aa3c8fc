// AVX2 has no popcount of vectors: each half byte is looked up in a table of 16 (vpshufb), sums are kept in bytes.
//
// A byte counts at most 8 a step, so after 31 steps (248) the bytes are added up into the 32-bit sums. Eight
// instructions for 256 products. Carry-save adders (Harley-Seal) would save lookups on one long row, but here the sums
// of a tile already fill the registers.
#include <immintrin.h>

#include "binary_rows.h"

namespace edgekit {
namespace {

constexpr int kFlush = 31;

__m256i popcount_bytes(__m256i x) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                           0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(0x0f);
    const __m256i below = _mm256_shuffle_epi8(table, _mm256_and_si256(x, low));
    const __m256i above = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi32(x, 4), low));
    return _mm256_add_epi8(below, above);
}

// The four bytes of each 32-bit lane, added up.
__m256i widen(__m256i bytes) {
    const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// Adds the byte sums to the 32-bit ones in `counts` and clears them.
template <int Pixels>
void flush(__m256i (&sum)[Pixels][2], int32_t *counts) {
    for (int p = 0; p < Pixels; p++) {
        for (int v = 0; v < 2; v++) {
            __m256i *total = reinterpret_cast<__m256i *>(counts + p * kBinaryLanes + v * 8);
            _mm256_storeu_si256(total, _mm256_add_epi32(_mm256_loadu_si256(total), widen(sum[p][v])));
            sum[p][v] = _mm256_setzero_si256();
        }
    }
}

// Pixels x 16 output channels.
template <int Pixels>
void count_tile(const BinaryPatches &patches, const uint32_t *w, int width, int32_t *counts) {
    __m256i sum[Pixels][2];
    for (int p = 0; p < Pixels; p++) {
        for (int v = 0; v < 2; v++) {
            sum[p][v] = _mm256_setzero_si256();
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(counts + p * kBinaryLanes + v * 8), sum[p][v]);
        }
    }
    int room = kFlush;
    for (int64_t row = 0; row < patches.rows; row++) {
        const uint32_t *a[Pixels];
        for (int p = 0; p < Pixels; p++) a[p] = patches.pixels[p] + row * patches.row_stride;
        for (int64_t i = 0; i < patches.row_steps; i++, w += width) {
            const __m256i w0 = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w));
            const __m256i w1 = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w + 8));
            for (int p = 0; p < Pixels; p++) {
                const __m256i word = _mm256_set1_epi32(static_cast<int>(a[p][i]));
                sum[p][0] = _mm256_add_epi8(sum[p][0], popcount_bytes(_mm256_xor_si256(word, w0)));
                sum[p][1] = _mm256_add_epi8(sum[p][1], popcount_bytes(_mm256_xor_si256(word, w1)));
            }
            if (--room == 0) {
                flush(sum, counts);
                room = kFlush;
            }
        }
    }
    flush(sum, counts);
}

void count(const BinaryPatches &patches, int pixels, const uint32_t *weights, int width, int32_t *counts) {
    for (int lane = 0; lane < width; lane += 16) {
        switch (pixels) {
            case 1: count_tile<1>(patches, weights + lane, width, counts + lane); break;
            case 2: count_tile<2>(patches, weights + lane, width, counts + lane); break;
            case 3: count_tile<3>(patches, weights + lane, width, counts + lane); break;
            default: count_tile<4>(patches, weights + lane, width, counts + lane); break;
        }
    }
}

__m256 affine(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset) {
    const __m256i twice = _mm256_slli_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(counts)), 1);
    const __m256i dot = _mm256_sub_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(base)), twice);
    const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(multiplier), _mm256_cvtepi32_ps(dot));
    return _mm256_add_ps(product, _mm256_loadu_ps(offset));
}

void to_float(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset, int channels,
              float *out) {
    int i = 0;
    for (; i + 8 <= channels; i += 8) {
        _mm256_storeu_ps(out + i, affine(counts + i, base + i, multiplier + i, offset + i));
    }
    if (i == channels) return;
    float tail[8];
    _mm256_storeu_ps(tail, affine(counts + i, base + i, multiplier + i, offset + i));
    for (int lane = 0; i + lane < channels; lane++) out[i + lane] = tail[lane];
}

void to_int8(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset, int channels,
             int8_t *out) {
    const __m256 upper = _mm256_set1_ps(127.0f);
    const __m256 lower = _mm256_set1_ps(-127.0f);
    for (int i = 0; i < channels; i += 8) {
        const __m256 y = affine(counts + i, base + i, multiplier + i, offset + i);
        const __m256i q = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(y, lower), upper));
        int32_t wide[8];
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(wide), q);
        for (int lane = 0; lane < 8 && i + lane < channels; lane++) out[i + lane] = static_cast<int8_t>(wide[lane]);
    }
}

uint64_t to_sum(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset,
                const float *residual, float low, float high, int channels, float *out) {
    const __m256 lower = _mm256_set1_ps(low), upper = _mm256_set1_ps(high), zero = _mm256_setzero_ps();
    uint64_t bits = 0;
    for (int i = 0; i < channels; i += 8) {
        const int lanes = channels - i < 8 ? channels - i : 8;
        float tail[8] = {};
        __m256 y = affine(counts + i, base + i, multiplier + i, offset + i);
        if (residual && lanes < 8) {
            for (int lane = 0; lane < lanes; lane++) tail[lane] = residual[i + lane];
        }
        if (residual) y = _mm256_add_ps(y, _mm256_loadu_ps(lanes < 8 ? tail : residual + i));
        y = _mm256_min_ps(_mm256_max_ps(y, lower), upper);
        const uint32_t below = _mm256_movemask_ps(_mm256_cmp_ps(y, zero, _CMP_LT_OQ));
        bits |= static_cast<uint64_t>(below & ((1u << lanes) - 1)) << i;
        _mm256_storeu_ps(lanes < 8 ? tail : out + i, y);
        if (lanes < 8) {
            for (int lane = 0; lane < lanes; lane++) out[i + lane] = tail[lane];
        }
    }
    return bits;
}

uint64_t to_bits(const int32_t *counts, const int32_t *threshold, int width) {
    uint64_t bits = 0;
    for (int i = 0; i < width; i += 8) {
        const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(counts + i));
        const __m256i tau = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(threshold + i));
        const int above = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(x, tau)));
        bits |= static_cast<uint64_t>(above) << i;
    }
    return bits;
}

void pack_float(const float *x, int64_t rows, int64_t channels, uint32_t *bits) {
    const __m256 zero = _mm256_setzero_ps();
    for (int64_t row = 0; row < rows; row++, x += channels) {
        for (int64_t c = 0; c < channels; c += 32) {
            const int64_t end = c + 32 < channels ? c + 32 : channels;
            uint32_t word = 0;
            int64_t i = c;
            for (; i + 8 <= end; i += 8) {
                const int below = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x + i), zero, _CMP_LT_OQ));
                word |= static_cast<uint32_t>(below) << (i - c);
            }
            for (; i < end; i++) word |= static_cast<uint32_t>(x[i] < 0) << (i - c);
            *bits++ = word;
        }
    }
}

void pack_int8(const int8_t *x, int64_t rows, int64_t channels, uint32_t *bits) {
    for (int64_t row = 0; row < rows; row++, x += channels) {
        int64_t c = 0;
        for (; c + 32 <= channels; c += 32) {
            const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(x + c));
            *bits++ = static_cast<uint32_t>(_mm256_movemask_epi8(v));
        }
        if (c == channels) continue;
        uint32_t word = 0;
        for (int64_t i = c; i < channels; i++) word |= static_cast<uint32_t>(x[i] < 0) << (i - c);
        *bits++ = word;
    }
}

}  // namespace

const BinaryKernels kBinaryAvx2 = {
    4, count, each_pixel<to_float, float>, each_pixel<to_int8, int8_t>, each_sum<to_sum>, each_bits<to_bits>,
    pack_float, pack_int8,
};

}  // namespace edgekit
