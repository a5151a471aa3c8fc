// The inner loops of the binary convolution: one table of functions for each instruction set.
#pragma once

#include <stdint.h>

#include "cpu.h"

namespace edgekit {

// Output channels are worked on in blocks of up to 64; a block is a multiple of 16 lanes wide.
constexpr int kBinaryLanes = 64;
constexpr int kBinaryMaxPixels = 8;

// The words under the windows of some pixels: copied together, or where they stand in the image.
// Step (row, i) of pixel p is pixels[p][row * row_stride + wide * i]: a word, or the first of the four that `triple`
// made.
struct BinaryPatches {
    const uint32_t *pixels[kBinaryMaxPixels];
    int64_t rows, row_stride, row_steps;
    int64_t wide;  // 1, or 4 where `triple` was at work and the weights are arranged for it
};

// Of the lanes of one block, zero past its channels.
struct BinaryTables {
    const int32_t *base;
    const float *multiplier, *offset;
};

struct BinaryLimits {
    float low, high;
};

struct BinaryKernels {
    int pixels;  // how many pixels `count` takes at once, at most kBinaryMaxPixels

    // Null, or: each of `count` words becomes four, to[4 i .. 4 i + 3] = those of words i, i + 1 and i + 2 in
    // binary_triples.h. Two words past the last are read.
    void (*triple)(const uint32_t *words, int64_t count, uint32_t *to);

    // counts[p][lane] = sum over steps of popcount(word of pixel p at the step ^ weights[step][lane]).
    // counts: (pixels, kBinaryLanes). weights: (steps, width); of kernels with `triple` (width / 16, steps, 16), where
    // of each row of three words or more (steps / 3, 4, 16) comes first, then (steps % 3, 16).
    void (*count)(const BinaryPatches &patches, int pixels, const uint32_t *weights, int width, int32_t *counts);

    // `pixels` pixels of one block: counts in rows of kBinaryLanes, results `step` values apart. Of each pixel
    // `channels` lanes, dot = base - 2 * count, y = multiplier * dot + offset.
    void (*to_float)(const int32_t *counts, int pixels, const BinaryTables &tables, int channels, float *out,
                     int64_t step);
    void (*to_int8)(const int32_t *counts, int pixels, const BinaryTables &tables, int channels, int8_t *out,
                    int64_t step);
    // out = min(max(y + residual, low), high), every operation rounded; bit `lane` of bits[pixel] is out < 0.
    // residual: like `out`, or null for none.
    void (*to_sum)(const int32_t *counts, int pixels, const BinaryTables &tables, const BinaryLimits &limits,
                   const float *residual, int channels, float *out, int64_t step, uint64_t *bits);
    // Bit `lane` of bits[pixel] is counts[lane] > threshold[lane], for `width` lanes.
    void (*to_bits)(const int32_t *counts, int pixels, const int32_t *threshold, int width, uint64_t *bits);

    // Each row of `channels` values becomes ceil(channels / 32) words.
    void (*pack_float)(const float *x, int64_t rows, int64_t channels, uint32_t *bits);
    void (*pack_int8)(const int8_t *x, int64_t rows, int64_t channels, uint32_t *bits);
};

extern const BinaryKernels kBinaryReference;
#if defined(__x86_64__)
extern const BinaryKernels kBinaryAvx2;
extern const BinaryKernels kBinaryAvx512;
#elif defined(__aarch64__)
extern const BinaryKernels kBinaryNeon;
#endif

// The table of these kernels; null where this processor does not run them.
const BinaryKernels *binary_kernels(Kernels kernels);

// The bits of `rows` times `depth` values, ceil(depth / 32) words each, by the kernels in use.
void binary_signs(const float *x, int64_t rows, int64_t depth, uint32_t *bits);

}  // namespace edgekit
