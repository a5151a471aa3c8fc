// Codes of 8 bits with NEON: 8 signs, or 8 values, at once.
#include <arm_neon.h>
#include <string.h>

#include "binary_codes.h"

namespace edgekit {
namespace {

void signs(const uint8_t *codes, const CodeGrid &grid, int64_t rows, int64_t channels, uint32_t *bits) {
    const uint8_t places[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x8_t place = vld1_u8(places), flip = vdup_n_u8(grid.flip);
    const uint8x8_t zero = vdup_n_u8(static_cast<uint8_t>(grid.zero));
    for (int64_t row = 0; row < rows; row++, codes += channels) {
        for (int64_t c = 0; c < channels; c += 32) {
            const int64_t end = c + 32 < channels ? c + 32 : channels;
            uint32_t word = 0;
            int64_t i = c;
            for (; i + 8 <= end; i += 8) {
                const uint8x8_t below = vclt_u8(veor_u8(vld1_u8(codes + i), flip), zero);
                word |= static_cast<uint32_t>(vaddv_u8(vand_u8(below, place))) << (i - c);
            }
            for (; i < end; i++) word |= static_cast<uint32_t>((codes[i] ^ grid.flip) < grid.zero) << (i - c);
            *bits++ = word;
        }
    }
}

void to_values(const uint8_t *codes, const CodeGrid &grid, int count, float *values) {
    const uint8x8_t flip = vdup_n_u8(grid.flip);
    const int16x8_t zero = vdupq_n_s16(static_cast<int16_t>(grid.zero));
    for (int i = 0; i < count; i += 8) {
        uint8_t tail[8] = {};
        if (count - i < 8) memcpy(tail, codes + i, static_cast<size_t>(count - i));
        const uint8x8_t x = veor_u8(vld1_u8(count - i < 8 ? tail : codes + i), flip);
        const int16x8_t steps = vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(x)), zero);
        vst1q_f32(values + i, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(steps))), grid.scale));
        vst1q_f32(values + i + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(steps))), grid.scale));
    }
}

// The steps of four values.
int32x4_t steps_of(const float *values, const CodeGrid &grid) {
    const float32x4_t lower = vdupq_n_f32(static_cast<float>(-grid.zero));
    const float32x4_t upper = vdupq_n_f32(static_cast<float>(255 - grid.zero));
    const float32x4_t quotient = vdivq_f32(vld1q_f32(values), vdupq_n_f32(grid.scale));
    return vcvtnq_s32_f32(vminq_f32(vmaxq_f32(quotient, lower), upper));
}

void to_codes(const float *values, const CodeGrid &grid, int count, uint8_t *codes) {
    const uint8x8_t flip = vdup_n_u8(grid.flip);
    const int16x8_t zero = vdupq_n_s16(static_cast<int16_t>(grid.zero));
    for (int i = 0; i < count; i += 8) {
        const int lanes = count - i < 8 ? count - i : 8;
        const int16x4_t low = vmovn_s32(steps_of(values + i, grid)), high = vmovn_s32(steps_of(values + i + 4, grid));
        const int16x8_t steps = vcombine_s16(low, high);
        uint8_t bytes[8];
        vst1_u8(bytes, veor_u8(vqmovun_s16(vaddq_s16(steps, zero)), flip));
        memcpy(codes + i, bytes, static_cast<size_t>(lanes));
    }
}

}  // namespace

const CodeKernels kCodesNeon = {signs, to_values, to_codes};

}  // namespace edgekit
