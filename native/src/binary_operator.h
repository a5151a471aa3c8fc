// What the operators of the binary convolution share: sides of tensors, parts of the work, grids of codes, signs.
#pragma once

#include <stdint.h>

#include "binary_codes.h"
#include "onnxruntime_operator.h"

namespace edgekit::binary_operator {

constexpr int64_t kMost = 1 << 20;  // of any side, pad or number of images: what comes from a model may be anything

// Whether a tensor's sides are known, and such that nothing overflows.
bool is_usable(const Tensor &tensor);

// Parts of some ten thousand values: fewer are not worth a thread's waking up.
int64_t parts_of(int64_t values, int64_t most);

// Codes on one side of an operator; a float32 tensor has none.
struct Side {
    bool has_codes = false;
    edgekit_binary_codes codes = {};
    CodeGrid grid = {};
};

// Of a kernel that is being made: the constants `index`, the scale, and `index` + 1, the zero point, whose type is that
// of the codes.
OrtStatus *read_side(const OrtKernelInfo *info, size_t index, int element, Side *side);

// The bits of x, (N, H, W, channels), shared among the session's threads.
OrtStatus *pack(OrtKernelContext *context, const Tensor &x, const Side &side, int groups, uint32_t *bits);

// The operators that give bits alone of numbers.
std::vector<const OrtOperator *> signs_operators();

}  // namespace edgekit::binary_operator
