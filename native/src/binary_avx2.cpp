// AVX2 has no popcount of vectors: each half byte is looked up in a table of 16 (vpshufb), sums are kept in bytes.
//
// Three words take two such counts: one of their sum, one of their carry, whose table counts twice (binary_triples.h):
// 20 instructions for 768 products, where a count for each word would take 24. A byte adds up 24 a triple at most, and
// is added to the 32-bit sums before it overflows.
#include <immintrin.h>

#include "binary_rows.h"
#include "binary_triples.h"

namespace edgekit {
namespace {

constexpr int kWord = 8, kTriple = 3 * kWord, kByte = 255;  // what a byte gains at most, and holds

// Of each byte, the bits that are set times `Times`.
template <int Times>
__m256i popcount_bytes(__m256i x) {
    constexpr char k1 = Times, k2 = 2 * Times, k3 = 3 * Times, k4 = 4 * Times;
    const __m256i table = _mm256_setr_epi8(0, k1, k1, k2, k1, k2, k2, k3, k1, k2, k2, k3, k2, k3, k3, k4,  //
                                           0, k1, k1, k2, k1, k2, k2, k3, k1, k2, k2, k3, k2, k3, k3, k4);
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

__m256i lanes(const uint32_t *w) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w)); }

__m256i word(const uint32_t *a) { return _mm256_set1_epi32(static_cast<int>(*a)); }

// Adds the byte sums to the 32-bit ones in `counts` and clears them.
template <int Pixels>
void flush(__m256i (&sums)[Pixels][2], int32_t *counts) {
    for (int p = 0; p < Pixels; p++) {
        for (int v = 0; v < 2; v++) {
            __m256i *total = reinterpret_cast<__m256i *>(counts + p * kBinaryLanes + v * 8);
            _mm256_storeu_si256(total, _mm256_add_epi32(_mm256_loadu_si256(total), widen(sums[p][v])));
            sums[p][v] = _mm256_setzero_si256();
        }
    }
}

// Pixels x 16 output channels.
template <int Pixels>
void count_tile(const BinaryPatches &patches, const uint32_t *w, int32_t *counts) {
    const int64_t triples = patches.wide == 1 ? 0 : patches.row_steps / 3;
    __m256i sums[Pixels][2];
    for (int p = 0; p < Pixels; p++) {
        for (int v = 0; v < 2; v++) {
            sums[p][v] = _mm256_setzero_si256();
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(counts + p * kBinaryLanes + v * 8), sums[p][v]);
        }
    }
    int room = kByte;
    for (int64_t row = 0; row < patches.rows; row++) {
        const uint32_t *a[Pixels];
        for (int p = 0; p < Pixels; p++) a[p] = patches.pixels[p] + row * patches.row_stride;
        int64_t at = 0;
        for (int64_t i = 0; i < triples; i++, w += kTripleWords * 16, at += 3 * kTripleWords) {
            for (int p = 0; p < Pixels; p++) {
                const uint32_t *four = a[p] + at;
                const __m256i first = word(four), second = word(four + 1), third = word(four + 2), all = word(four + 3);
                for (int v = 0; v < 2; v++) {
                    const uint32_t *from = w + v * 8;
                    const __m256i both = _mm256_and_si256(_mm256_xor_si256(second, lanes(from + 16)),
                                                          _mm256_xor_si256(third, lanes(from + 32)));
                    const __m256i carry = _mm256_xor_si256(_mm256_xor_si256(first, lanes(from)), both);
                    const __m256i sum = _mm256_xor_si256(all, lanes(from + 48));
                    const __m256i bits = _mm256_add_epi8(popcount_bytes<2>(carry), popcount_bytes<1>(sum));
                    sums[p][v] = _mm256_add_epi8(sums[p][v], bits);
                }
            }
            if ((room -= kTriple) < kTriple) {
                flush(sums, counts);
                room = kByte;
            }
        }
        for (int64_t i = 3 * triples; i < patches.row_steps; i++, w += 16, at += patches.wide) {
            const __m256i w0 = lanes(w), w1 = lanes(w + 8);
            for (int p = 0; p < Pixels; p++) {
                const __m256i each = word(a[p] + at);
                sums[p][0] = _mm256_add_epi8(sums[p][0], popcount_bytes<1>(_mm256_xor_si256(each, w0)));
                sums[p][1] = _mm256_add_epi8(sums[p][1], popcount_bytes<1>(_mm256_xor_si256(each, w1)));
            }
            if ((room -= kWord) < kTriple) {
                flush(sums, counts);
                room = kByte;
            }
        }
    }
    flush(sums, counts);
}

void count(const BinaryPatches &patches, int pixels, const uint32_t *weights, int width, int32_t *counts) {
    const int64_t row_vectors =
        patches.wide == 1 ? patches.row_steps : patches.row_steps / 3 * kTripleWords + patches.row_steps % 3;
    for (int lane = 0; lane < width; lane += 16, counts += 16, weights += 16 * patches.rows * row_vectors) {
        switch (pixels) {
            case 1: count_tile<1>(patches, weights, counts); break;
            case 2: count_tile<2>(patches, weights, counts); break;
            case 3: count_tile<3>(patches, weights, counts); break;
            default: count_tile<4>(patches, weights, counts); break;
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
    4, triple_words, count, each_pixel<to_float, float>, each_pixel<to_int8, int8_t>, each_sum<to_sum>,
    each_bits<to_bits>, pack_float, pack_int8,
};

}  // namespace edgekit
