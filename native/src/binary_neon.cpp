// NEON counts the bits of bytes (cnt); sums are kept in bytes and added up after 31 steps (31 * 8 = 248).
//
// Three instructions for 128 products: eor, cnt, add. Four pixels by 16 output channels keep 16 sums in registers.
#include <arm_neon.h>

#include "binary_rows.h"

namespace edgekit {
namespace {

constexpr int kFlush = 31;

// Adds the byte sums to the 32-bit ones in `counts` and clears them.
template <int Pixels>
void flush(uint8x16_t (&sum)[Pixels][4], int32_t *counts) {
    for (int p = 0; p < Pixels; p++) {
        for (int v = 0; v < 4; v++) {
            int32_t *total = counts + p * kBinaryLanes + v * 4;
            const uint32x4_t wide = vpaddlq_u16(vpaddlq_u8(sum[p][v]));
            vst1q_s32(total, vaddq_s32(vld1q_s32(total), vreinterpretq_s32_u32(wide)));
            sum[p][v] = vdupq_n_u8(0);
        }
    }
}

template <int Pixels>
void count_tile(const BinaryPatches &patches, const uint32_t *w, int width, int32_t *counts) {
    uint8x16_t sum[Pixels][4];
    for (int p = 0; p < Pixels; p++) {
        for (int v = 0; v < 4; v++) {
            sum[p][v] = vdupq_n_u8(0);
            vst1q_s32(counts + p * kBinaryLanes + v * 4, vdupq_n_s32(0));
        }
    }
    int room = kFlush;
    for (int64_t row = 0; row < patches.rows; row++) {
        const uint32_t *a[Pixels];
        for (int p = 0; p < Pixels; p++) a[p] = patches.pixels[p] + row * patches.row_stride;
        for (int64_t i = 0; i < patches.row_steps; i++, w += width) {
            uint32x4_t lanes[4];
            for (int v = 0; v < 4; v++) lanes[v] = vld1q_u32(w + v * 4);
            for (int p = 0; p < Pixels; p++) {
                const uint32x4_t word = vdupq_n_u32(a[p][i]);
                for (int v = 0; v < 4; v++) {
                    sum[p][v] = vaddq_u8(sum[p][v], vcntq_u8(vreinterpretq_u8_u32(veorq_u32(word, lanes[v]))));
                }
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

float32x4_t affine(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset) {
    const int32x4_t dot = vsubq_s32(vld1q_s32(base), vshlq_n_s32(vld1q_s32(counts), 1));
    return vaddq_f32(vmulq_f32(vld1q_f32(multiplier), vcvtq_f32_s32(dot)), vld1q_f32(offset));
}

void to_float(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset, int channels,
              float *out) {
    int i = 0;
    for (; i + 4 <= channels; i += 4) vst1q_f32(out + i, affine(counts + i, base + i, multiplier + i, offset + i));
    if (i == channels) return;
    float tail[4];
    vst1q_f32(tail, affine(counts + i, base + i, multiplier + i, offset + i));
    for (int lane = 0; i + lane < channels; lane++) out[i + lane] = tail[lane];
}

void to_int8(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset, int channels,
             int8_t *out) {
    const float32x4_t upper = vdupq_n_f32(127.0f);
    const float32x4_t lower = vdupq_n_f32(-127.0f);
    for (int i = 0; i < channels; i += 4) {
        const float32x4_t y = affine(counts + i, base + i, multiplier + i, offset + i);
        int32_t wide[4];
        vst1q_s32(wide, vcvtnq_s32_f32(vminq_f32(vmaxq_f32(y, lower), upper)));
        for (int lane = 0; lane < 4 && i + lane < channels; lane++) out[i + lane] = static_cast<int8_t>(wide[lane]);
    }
}

uint64_t to_sum(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset,
                const float *residual, float low, float high, int channels, float *out) {
    const uint32_t places[4] = {1, 2, 4, 8};
    const uint32x4_t place = vld1q_u32(places);
    const float32x4_t lower = vdupq_n_f32(low), upper = vdupq_n_f32(high);
    uint64_t bits = 0;
    for (int i = 0; i < channels; i += 4) {
        const int lanes = channels - i < 4 ? channels - i : 4;
        float tail[4] = {};
        float32x4_t y = affine(counts + i, base + i, multiplier + i, offset + i);
        if (residual && lanes < 4) {
            for (int lane = 0; lane < lanes; lane++) tail[lane] = residual[i + lane];
        }
        if (residual) y = vaddq_f32(y, vld1q_f32(lanes < 4 ? tail : residual + i));
        y = vbslq_f32(vcgtq_f32(y, lower), y, lower);  // a comparison, as in the reference: vmaxq would keep a NaN
        y = vbslq_f32(vcltq_f32(y, upper), y, upper);
        const uint32_t below = vaddvq_u32(vandq_u32(vcltzq_f32(y), place));
        bits |= static_cast<uint64_t>(below & ((1u << lanes) - 1)) << i;
        vst1q_f32(lanes < 4 ? tail : out + i, y);
        if (lanes < 4) {
            for (int lane = 0; lane < lanes; lane++) out[i + lane] = tail[lane];
        }
    }
    return bits;
}

uint64_t to_bits(const int32_t *counts, const int32_t *threshold, int width) {
    const uint32_t places[4] = {1, 2, 4, 8};
    const uint32x4_t place = vld1q_u32(places);
    uint64_t bits = 0;
    for (int i = 0; i < width; i += 4) {
        const uint32x4_t above = vcgtq_s32(vld1q_s32(counts + i), vld1q_s32(threshold + i));
        bits |= static_cast<uint64_t>(vaddvq_u32(vandq_u32(above, place))) << i;
    }
    return bits;
}

void pack_float(const float *x, int64_t rows, int64_t channels, uint32_t *bits) {
    const uint32_t places[4] = {1, 2, 4, 8};
    const uint32x4_t place = vld1q_u32(places);
    for (int64_t row = 0; row < rows; row++, x += channels) {
        for (int64_t c = 0; c < channels; c += 32) {
            const int64_t end = c + 32 < channels ? c + 32 : channels;
            uint32_t word = 0;
            int64_t i = c;
            for (; i + 4 <= end; i += 4) {
                word |= vaddvq_u32(vandq_u32(vcltzq_f32(vld1q_f32(x + i)), place)) << (i - c);
            }
            for (; i < end; i++) word |= static_cast<uint32_t>(x[i] < 0) << (i - c);
            *bits++ = word;
        }
    }
}

void pack_int8(const int8_t *x, int64_t rows, int64_t channels, uint32_t *bits) {
    const uint8_t places[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x8_t place = vld1_u8(places);
    for (int64_t row = 0; row < rows; row++, x += channels) {
        for (int64_t c = 0; c < channels; c += 32) {
            const int64_t end = c + 32 < channels ? c + 32 : channels;
            uint32_t word = 0;
            int64_t i = c;
            for (; i + 8 <= end; i += 8) {
                word |= static_cast<uint32_t>(vaddv_u8(vand_u8(vcltz_s8(vld1_s8(x + i)), place))) << (i - c);
            }
            for (; i < end; i++) word |= static_cast<uint32_t>(x[i] < 0) << (i - c);
            *bits++ = word;
        }
    }
}

}  // namespace

const BinaryKernels kBinaryNeon = {
    4, nullptr, count, each_pixel<to_float, float>, each_pixel<to_int8, int8_t>, each_sum<to_sum>, each_bits<to_bits>,
    pack_float, pack_int8,
};

}  // namespace edgekit
