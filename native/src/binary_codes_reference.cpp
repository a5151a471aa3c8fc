// What every other set of kernels is tested against: one code at a time.
#include <math.h>

#include "binary_codes.h"

namespace edgekit {
namespace {

void signs(const uint8_t *codes, const CodeGrid &grid, int64_t rows, int64_t channels, uint32_t *bits) {
    for (int64_t row = 0; row < rows; row++, codes += channels) {
        for (int64_t c = 0; c < channels; c += 32) {
            uint32_t word = 0;
            for (int64_t i = c; i < channels && i < c + 32; i++) {
                word |= static_cast<uint32_t>((codes[i] ^ grid.flip) < grid.zero) << (i - c);
            }
            *bits++ = word;
        }
    }
}

void to_values(const uint8_t *codes, const CodeGrid &grid, int count, float *values) {
    for (int i = 0; i < count; i++) values[i] = static_cast<float>((codes[i] ^ grid.flip) - grid.zero) * grid.scale;
}

void to_codes(const float *values, const CodeGrid &grid, int count, uint8_t *codes) {
    const float lower = static_cast<float>(-grid.zero), upper = static_cast<float>(255 - grid.zero);
    for (int i = 0; i < count; i++) {
        // The limits are whole numbers, so clipping first gives the same codes and keeps the conversion in range.
        const int steps = static_cast<int>(lrintf(fminf(fmaxf(values[i] / grid.scale, lower), upper)));
        codes[i] = static_cast<uint8_t>(steps + grid.zero) ^ grid.flip;
    }
}

}  // namespace

const CodeKernels kCodesReference = {signs, to_values, to_codes};

}  // namespace edgekit
