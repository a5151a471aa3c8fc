// The arithmetic of letterbox.h, one pixel at a time.
#include <algorithm>

#include "letterbox.h"

namespace edgekit {
namespace {

void along(const uint8_t *row, const int32_t *offset, const int32_t *weight, int32_t count, int16_t *planes,
           int32_t stride) {
    for (int32_t i = 0; i < count; ++i) {
        const uint8_t *pair = row + offset[i];
        const int32_t a0 = weight[i] & 0xffff, a1 = weight[i] >> 16;
        for (int plane = 0; plane < 3; ++plane) {
            planes[plane * stride + i] = static_cast<int16_t>((pair[plane] * a0 + pair[plane + 3] * a1) >> 4);
        }
    }
}

int32_t mixed(int16_t upper, int16_t lower, int32_t b0, int32_t b1) {
    return std::min(((upper * b0 >> 16) + (lower * b1 >> 16) + 2) >> 2, 255);
}

void between_f32(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, float gain,
                 float offset, float *out) {
    for (int32_t i = 0; i < count; ++i) {
        out[i] = static_cast<float>(mixed(upper[i], lower[i], b0, b1)) * gain + offset;
    }
}

void between_u8(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, uint8_t *out) {
    for (int32_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(mixed(upper[i], lower[i], b0, b1));
}

}  // namespace

const LetterboxKernels letterbox_reference = {along, between_f32, between_u8};

}  // namespace edgekit
