// Letterbox: resize bilinearly, pad, normalise and split into planes, in one pass over the picture.
//
// The arithmetic is that of OpenCV's INTER_LINEAR for uint8 (modules/imgproc/src/resize.cpp), bit for bit: weights of
// 11 bits, first along the row, then between two rows,
//     h = (p0 * a0 + p1 * a1) >> 4                       at most 255 * 2049 / 16 = 32656: an int16
//     v = ((h0 * b0 >> 16) + (h1 * b1 >> 16) + 2) >> 2   22 bits of weight: 4 + 16 + 2
// and then x = v * gain + offset in float32, rounded twice.
#pragma once

#include <cstdint>

#include "cpu.h"

namespace edgekit {

struct LetterboxKernels {
    // Rows of three planes, `count` int16 each, `stride` apart: h of the pixel pairs that begin at row + offset[i],
    // with the weights a0 (low half) and a1 (high half) of weight[i]. Offsets never fall, and nothing behind the six
    // bytes of the last pair is read.
    void (*along)(const uint8_t *row, const int32_t *offset, const int32_t *weight, int32_t count, int16_t *planes,
                  int32_t stride);
    // One plane's output row of `count` from the h of its two rows.
    void (*between_f32)(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, float gain,
                        float offset, float *out);
    void (*between_u8)(const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, int32_t count, uint8_t *out);
};

extern const LetterboxKernels letterbox_reference;
extern const LetterboxKernels letterbox_avx2;
extern const LetterboxKernels letterbox_avx512;
extern const LetterboxKernels letterbox_neon;

// The kernels of this name; only for those that run here.
const LetterboxKernels &letterbox_kernels(Kernels kernels);

// Where an image goes. Rows of the image are row_bytes apart and hold interleaved pixels of three bytes.
struct LetterboxTask {
    const uint8_t *image;
    int32_t height, width;
    int64_t row_bytes;
    int32_t net_height, net_width;
    int32_t top, left, inner_height, inner_width;  // of the resized image inside the planes
    bool reverse;                                  // the third channel goes to the first plane
    uint8_t pad;
};

// One of EDGEKIT_*; `out` holds 3 * net_height * net_width elements.
int32_t letterbox_f32(const LetterboxKernels &kernels, const LetterboxTask &task, const float *gain,
                      const float *offset, float *out);
int32_t letterbox_u8(const LetterboxKernels &kernels, const LetterboxTask &task, uint8_t *out);

}  // namespace edgekit
