// Codes of 8 bits in front of and behind the binary convolution: their signs, their values, and the codes of values.
#pragma once

#include <stdint.h>

#include "cpu.h"
#include "edgekit_binary.h"

namespace edgekit {

// value = (code - zero) * scale. Codes are unsigned here: a signed code and its zero point are taken 128 higher, which
// for a byte is its highest bit turned over, so that one function serves both.
struct CodeGrid {
    float scale;
    float inverse;  // 1 / scale, rounded
    int32_t zero;   // 0 to 255
    uint8_t flip;   // what turns a byte into an unsigned code and back: 0x80 for signed ones, else 0
};

struct CodeKernels {
    // Each row of `channels` codes becomes ceil(channels / 32) words of the bits code < zero.
    void (*signs)(const uint8_t *codes, const CodeGrid &grid, int64_t rows, int64_t channels, uint32_t *bits);

    // `count` values; `values` has room for kBinaryLanes, of which those past the last may be written.
    void (*to_values)(const uint8_t *codes, const CodeGrid &grid, int count, float *values);

    // code = clip(round half to even(value / scale) + zero, 0, 255), the quotient rounded to float: QuantizeLinear.
    // `values` holds kBinaryLanes numbers, none of them NaN; those past the last do not count.
    void (*to_codes)(const float *values, const CodeGrid &grid, int count, uint8_t *codes);
};

// A product with 1 / scale stands for the division where both round to the same whole number. It is off by three
// roundings of 2^-24, below 5e-5 for what does not saturate: what lies further from a whole number than this is
// divided.
constexpr float kSurelyRounded = 0.499f;

extern const CodeKernels kCodesReference;
#if defined(__x86_64__)
extern const CodeKernels kCodesAvx2;
extern const CodeKernels kCodesAvx512;
#elif defined(__aarch64__)
extern const CodeKernels kCodesNeon;
#endif

const CodeKernels *code_kernels(Kernels kernels);

// False where these are no codes that the functions take.
bool read_grid(const edgekit_binary_codes &codes, CodeGrid *grid);

}  // namespace edgekit
