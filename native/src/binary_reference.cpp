// What every other set of kernels is tested against: one lane at a time.
#include <math.h>

#include "binary_rows.h"

namespace edgekit {
namespace {

void count(const BinaryPatches &patches, int pixels, const uint32_t *weights, int width, int32_t *counts) {
    for (int p = 0; p < pixels; p++) {
        for (int lane = 0; lane < width; lane++) {
            const uint32_t *w = weights + lane;
            int32_t sum = 0;
            for (int64_t row = 0; row < patches.rows; row++) {
                const uint32_t *a = patches.pixels[p] + row * patches.row_stride;
                for (int64_t i = 0; i < patches.row_steps; i++, w += width) sum += __builtin_popcount(a[i] ^ *w);
            }
            counts[p * kBinaryLanes + lane] = sum;
        }
    }
}

float affine(int32_t count, int32_t base, float multiplier, float offset) {
    const float product = multiplier * static_cast<float>(base - 2 * count);
    return product + offset;
}

void to_float(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset, int channels,
              float *out) {
    for (int i = 0; i < channels; i++) out[i] = affine(counts[i], base[i], multiplier[i], offset[i]);
}

void to_int8(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset, int channels,
             int8_t *out) {
    for (int i = 0; i < channels; i++) {
        // The limits are whole numbers, so clipping first gives the same codes and keeps the conversion in range.
        const float y = fminf(fmaxf(affine(counts[i], base[i], multiplier[i], offset[i]), -127.0f), 127.0f);
        out[i] = static_cast<int8_t>(lrintf(y));
    }
}

uint64_t to_sum(const int32_t *counts, const int32_t *base, const float *multiplier, const float *offset,
                const float *residual, float low, float high, int channels, float *out) {
    uint64_t bits = 0;
    for (int i = 0; i < channels; i++) {
        float y = affine(counts[i], base[i], multiplier[i], offset[i]);
        if (residual) y = y + residual[i];
        y = y > low ? y : low;
        out[i] = y < high ? y : high;
        bits |= static_cast<uint64_t>(out[i] < 0) << i;
    }
    return bits;
}

uint64_t to_bits(const int32_t *counts, const int32_t *threshold, int width) {
    uint64_t bits = 0;
    for (int i = 0; i < width; i++) bits |= static_cast<uint64_t>(counts[i] > threshold[i]) << i;
    return bits;
}

template <typename T>
void pack(const T *x, int64_t rows, int64_t channels, uint32_t *bits) {
    for (int64_t row = 0; row < rows; row++, x += channels) {
        for (int64_t c = 0; c < channels; c += 32) {
            uint32_t word = 0;
            for (int64_t i = c; i < channels && i < c + 32; i++) word |= static_cast<uint32_t>(x[i] < 0) << (i - c);
            *bits++ = word;
        }
    }
}

}  // namespace

const BinaryKernels kBinaryReference = {
    4, nullptr, count, each_pixel<to_float, float>, each_pixel<to_int8, int8_t>, each_sum<to_sum>, each_bits<to_bits>,
    pack<float>, pack<int8_t>,
};

}  // namespace edgekit
