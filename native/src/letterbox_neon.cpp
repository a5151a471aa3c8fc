// The arithmetic of letterbox.h, 4 pixels at a time along a row and 8 between two.
#include <arm_neon.h>

#include "letterbox.h"

namespace edgekit {
namespace {

// h of one pair of pixels: lanes b g r and a fourth of no meaning. Eight bytes are read, b g r B G R and two more.
inline uint16x4_t pair(const uint8_t *pixels, int32_t weight) {
    const uint16x8_t wide = vmovl_u8(vld1_u8(pixels));
    const uint16x4_t left = vget_low_u16(wide), right = vget_low_u16(vextq_u16(wide, wide, 3));
    const uint32x4_t sum = vmull_n_u16(left, static_cast<uint16_t>(weight));
    return vshrn_n_u32(vmlal_n_u16(sum, right, static_cast<uint16_t>(weight >> 16)), 4);
}

void along(const uint8_t *row, const int32_t *offset, const int32_t *weight, int32_t count, int16_t *planes,
           int32_t stride) {
    // Offsets rise; six bytes belong to the last pair, and a pair two bytes before it may be read with two more.
    const int32_t safe = offset[count - 1] - 2;
    int32_t i = 0;
    for (; i + 4 <= count && offset[i + 3] <= safe; i += 4) {
        const uint16x4_t h0 = pair(row + offset[i], weight[i]), h1 = pair(row + offset[i + 1], weight[i + 1]);
        const uint16x4_t h2 = pair(row + offset[i + 2], weight[i + 2]), h3 = pair(row + offset[i + 3], weight[i + 3]);
        // A 4 x 4 transposition: pixels of channels become channels of pixels.
        const uint16x4x2_t low = vtrn_u16(h0, h1), high = vtrn_u16(h2, h3);
        const uint32x2x2_t even = vtrn_u32(vreinterpret_u32_u16(low.val[0]), vreinterpret_u32_u16(high.val[0]));
        const uint32x2x2_t odd = vtrn_u32(vreinterpret_u32_u16(low.val[1]), vreinterpret_u32_u16(high.val[1]));
        vst1_s16(planes + i, vreinterpret_s16_u32(even.val[0]));
        vst1_s16(planes + stride + i, vreinterpret_s16_u32(odd.val[0]));
        vst1_s16(planes + 2 * stride + i, vreinterpret_s16_u32(even.val[1]));
    }
    letterbox_reference.along(row, offset + i, weight + i, count - i, planes + i, stride);
}

// (h * b) >> 16 of 8 lanes.
inline int16x8_t high_product(int16x8_t h, int16x4_t b) {
    const int32x4_t low = vmull_s16(vget_low_s16(h), b), high = vmull_s16(vget_high_s16(h), b);
    return vcombine_s16(vshrn_n_s32(low, 16), vshrn_n_s32(high, 16));
}

inline int16x8_t mixed(const int16_t *upper, const int16_t *lower, int16x4_t b0, int16x4_t b1) {
    const int16x8_t sum = vaddq_s16(high_product(vld1q_s16(upper), b0), high_product(vld1q_s16(lower), b1));
    return vminq_s16(vshrq_n_s16(vaddq_s16(sum, vdupq_n_s16(2)), 2), vdupq_n_s16(255));
}

void between_f32(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, float gain,
                 float offset, float *out) {
    const int16x4_t weight0 = vdup_n_s16(static_cast<int16_t>(b0)), weight1 = vdup_n_s16(static_cast<int16_t>(b1));
    const float32x4_t gains = vdupq_n_f32(gain), offsets = vdupq_n_f32(offset);
    int32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const int16x8_t pixels = mixed(upper + i, lower + i, weight0, weight1);
        const float32x4_t first = vcvtq_f32_s32(vmovl_s16(vget_low_s16(pixels)));
        const float32x4_t second = vcvtq_f32_s32(vmovl_s16(vget_high_s16(pixels)));
        vst1q_f32(out + i, vaddq_f32(vmulq_f32(first, gains), offsets));
        vst1q_f32(out + i + 4, vaddq_f32(vmulq_f32(second, gains), offsets));
    }
    letterbox_reference.between_f32(upper + i, lower + i, b0, b1, count - i, gain, offset, out + i);
}

void between_u8(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, uint8_t *out) {
    const int16x4_t weight0 = vdup_n_s16(static_cast<int16_t>(b0)), weight1 = vdup_n_s16(static_cast<int16_t>(b1));
    int32_t i = 0;
    for (; i + 8 <= count; i += 8) vst1_u8(out + i, vqmovun_s16(mixed(upper + i, lower + i, weight0, weight1)));
    letterbox_reference.between_u8(upper + i, lower + i, b0, b1, count - i, out + i);
}

}  // namespace

const LetterboxKernels letterbox_neon = {along, between_f32, between_u8};

}  // namespace edgekit
