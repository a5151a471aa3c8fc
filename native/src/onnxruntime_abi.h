// As much of ONNX Runtime's C interface as the operators use, without its headers, which no package carries.
//
// OrtApi is a table of function pointers that only grows, so that a function keeps its place for ever: the numbers
// below are those of onnxruntime_c_api.h of version 1.16 (API 16), and of 1.17 where a comment says so.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace edgekit {

struct OrtStatus;
struct OrtValue;
struct OrtShape;  // OrtTensorTypeAndShapeInfo
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtShapeContext;  // OrtShapeInferContext
struct OrtOpAttribute;
struct OrtDomain;
struct OrtSessionOptions;

typedef void (*OrtFunction)();

struct OrtApi {
    OrtFunction functions[1];  // as many as the library has
};

struct OrtApiBase {
    const OrtApi *(*get_api)(uint32_t version);
    const char *(*version_string)();
};

constexpr uint32_t kOrtApiVersion = 16;
enum OrtElement { kOrtFloat = 1, kOrtUint8 = 2, kOrtInt8 = 3, kOrtUint32 = 12 };
enum OrtCode { kOrtFail = 1, kOrtInvalidArgument = 2 };
constexpr int kOrtAttributeInt = 1;
constexpr int kOrtAttributeInts = 2;

// OrtCustomOp: a version, then functions in this order. Null where a newer one of the same stands further down.
struct OrtOperator {
    uint32_t version;
    OrtFunction create_kernel;
    const char *(*name)(const OrtOperator *);
    const char *(*provider)(const OrtOperator *);
    int (*input_type)(const OrtOperator *, size_t);
    size_t (*input_count)(const OrtOperator *);
    int (*output_type)(const OrtOperator *, size_t);
    size_t (*output_count)(const OrtOperator *);
    OrtFunction kernel_compute;
    void (*kernel_destroy)(void *);
    int (*input_characteristic)(const OrtOperator *, size_t);
    int (*output_characteristic)(const OrtOperator *, size_t);
    int (*input_memory_type)(const OrtOperator *, size_t);
    int (*variadic_input_min)(const OrtOperator *);
    int (*variadic_input_same)(const OrtOperator *);
    int (*variadic_output_min)(const OrtOperator *);
    int (*variadic_output_same)(const OrtOperator *);
    OrtStatus *(*create_kernel_v2)(const OrtOperator *, const OrtApi *, const OrtKernelInfo *, void **kernel);
    OrtStatus *(*kernel_compute_v2)(void *kernel, OrtKernelContext *);
    OrtStatus *(*infer_output_shape)(const OrtOperator *, OrtShapeContext *);  // read from 1.17 on
    OrtFunction start_version, end_version;
    // Pairs of an input and an output that may be the same memory, as two arrays; read from 1.18 on.
    size_t (*may_inplace)(int **inputs, int **outputs);
    void (*release_may_inplace)(int *inputs, int *outputs);
    OrtFunction alias, release_alias;
};

// A function of the table by its place; R and A are its types.
template <int Place, typename R, typename... A>
R ort_call(const OrtApi *api, A... arguments) {
    return reinterpret_cast<R (*)(A...)>(api->functions[Place])(arguments...);
}

}  // namespace edgekit
