// What the operators of ONNX Runtime share: its tables, reading tensors and attributes, work for its threads.
//
// Functions that give an OrtStatus give null where all is well.
#pragma once

#include <stdint.h>

#include <exception>
#include <string>
#include <vector>

#include "onnxruntime_abi.h"

namespace edgekit {

// The table of the ONNX Runtime that loaded the library, and the minor number of its version, 1.minor.
const OrtApi *ort_api();
int ort_minor();

OrtStatus *refusal(OrtCode code, const std::string &message);

struct Tensor {
    const void *data;
    int element;  // OrtElement; 0 where there is no such input
    std::vector<int64_t> shape;
};

// Of a kernel that is being made: a constant of the model, and attributes that must be there. Numbers are cut to -1 and
// 2^20, which no operator takes.
OrtStatus *read_constant(const OrtKernelInfo *info, size_t index, int element, size_t rank, Tensor *tensor);
OrtStatus *read_scalar(const OrtKernelInfo *info, size_t index, int element, Tensor *tensor);  // of rank 0, or (1)
bool has_constant(const OrtKernelInfo *info, size_t index);
OrtStatus *read_int(const OrtKernelInfo *info, const char *name, int32_t *value);
OrtStatus *read_ints(const OrtKernelInfo *info, const char *name, size_t count, int32_t *values);
OrtStatus *read_float(const OrtKernelInfo *info, const char *name, float *value);

// Of a run. An output that the model does not ask for is null.
OrtStatus *read_input(OrtKernelContext *context, size_t index, Tensor *tensor);
OrtStatus *make_output(OrtKernelContext *context, size_t index, const std::vector<int64_t> &shape, void **data);
// part(user, 0) to part(user, parts - 1), shared among the session's threads from 1.17 on.
OrtStatus *for_parts(OrtKernelContext *context, void (*part)(void *, size_t), int64_t parts, void *user);

// Of the inference of shapes, from 1.17 on. A side that is known only at the run is negative.
OrtStatus *infer_int(OrtShapeContext *context, const char *name, int64_t *value);
OrtStatus *infer_ints(OrtShapeContext *context, const char *name, size_t count, int64_t *values);
OrtStatus *infer_input(OrtShapeContext *context, size_t index, Tensor *tensor);
OrtStatus *infer_output(OrtShapeContext *context, size_t index, int element, const std::vector<int64_t> &shape);

// An operator of which all but name, inputs, outputs and the functions of the kernel is filled in.
OrtOperator plain_operator();

// Nothing may be thrown into the host.
template <typename F>
OrtStatus *guarded(F body) {
    try {
        return body();
    } catch (const std::exception &error) {
        return refusal(kOrtFail, error.what());
    }
}

// The operators, each made once, as the version in use needs them.
std::vector<const OrtOperator *> binary_operators();
const OrtOperator *table_operator();

}  // namespace edgekit
