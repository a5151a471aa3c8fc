// Functions of one pixel for rows of them, as BinaryKernels has them.
#pragma once

#include "binary_kernels.h"

namespace edgekit {

template <auto Pixel, typename T>
void each_pixel(const int32_t *counts, int pixels, const BinaryTables &tables, int channels, T *out, int64_t step) {
    for (int p = 0; p < pixels; p++) {
        Pixel(counts + p * kBinaryLanes, tables.base, tables.multiplier, tables.offset, channels, out + p * step);
    }
}

template <auto Pixel>
void each_sum(const int32_t *counts, int pixels, const BinaryTables &tables, const BinaryLimits &limits,
              const float *residual, int channels, float *out, int64_t step, uint64_t *bits) {
    for (int p = 0; p < pixels; p++) {
        bits[p] = Pixel(counts + p * kBinaryLanes, tables.base, tables.multiplier, tables.offset,
                        residual ? residual + p * step : nullptr, limits.low, limits.high, channels, out + p * step);
    }
}

template <auto Pixel>
void each_bits(const int32_t *counts, int pixels, const int32_t *threshold, int width, uint64_t *bits) {
    for (int p = 0; p < pixels; p++) bits[p] = Pixel(counts + p * kBinaryLanes, threshold, width);
}

}  // namespace edgekit
