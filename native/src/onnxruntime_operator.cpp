// The library as ONNX Runtime sees it: its operators are those of domain "edgekit", version 1.
#include "onnxruntime_operator.h"

#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <mutex>

#include "edgekit.h"

namespace edgekit {
namespace {

std::atomic<const OrtApi *> g_api{nullptr};
std::atomic<int> g_minor{0};

int32_t cut(int64_t wide) { return static_cast<int32_t>(wide<-1 ? -1 : wide>(1 << 20) ? (1 << 20) : wide); }

OrtStatus *shape_of(OrtShape *info, Tensor *tensor) {
    size_t rank = 0;
    if (OrtStatus *status = ort_call<60, OrtStatus *>(g_api, const_cast<const OrtShape *>(info), &tensor->element)) {
        return status;
    }
    if (OrtStatus *status = ort_call<61, OrtStatus *>(g_api, const_cast<const OrtShape *>(info), &rank)) return status;
    tensor->shape.resize(rank);
    return ort_call<62, OrtStatus *>(g_api, const_cast<const OrtShape *>(info), tensor->shape.data(), rank);
}

OrtStatus *read_tensor(const OrtValue *value, Tensor *tensor) {
    void *data = nullptr;
    // The table has one function for reading and writing.
    if (OrtStatus *status = ort_call<51, OrtStatus *>(g_api, const_cast<OrtValue *>(value), &data)) return status;
    tensor->data = data;
    OrtShape *info = nullptr;
    if (OrtStatus *status = ort_call<65, OrtStatus *>(g_api, value, &info)) return status;
    OrtStatus *status = shape_of(info, tensor);
    ort_call<99, void>(g_api, info);
    return status;
}

OrtStatus *any_constant(const OrtKernelInfo *info, size_t index, Tensor *tensor) {
    int is_constant = 0;
    const OrtValue *value = nullptr;
    if (OrtStatus *status = ort_call<249, OrtStatus *>(g_api, info, index, &is_constant, &value)) return status;
    if (!is_constant || value == nullptr) {
        return refusal(kOrtInvalidArgument, "input " + std::to_string(index) + " is not a constant of the model");
    }
    return read_tensor(value, tensor);
}

OrtStatus *misfit(size_t index) {
    return refusal(kOrtInvalidArgument, "input " + std::to_string(index) + " has another type or rank than it takes");
}

OrtStatus *infer(OrtShapeContext *context, const char *name, int kind, size_t count, int64_t *values) {
    const OrtOpAttribute *attribute = nullptr;
    if (OrtStatus *status =
            ort_call<269, OrtStatus *>(g_api, const_cast<const OrtShapeContext *>(context), name, &attribute)) {
        return status;
    }
    size_t bytes = 0;
    OrtStatus *status = ort_call<272, OrtStatus *>(g_api, attribute, kind, static_cast<void *>(values),
                                                   count * sizeof(int64_t), &bytes);
    for (size_t i = 0; i < count; i++) values[i] = cut(values[i]);  // sums of them must not overflow
    return status;
}

}  // namespace

const OrtApi *ort_api() { return g_api; }

int ort_minor() { return g_minor; }

OrtStatus *refusal(OrtCode code, const std::string &message) {
    return ort_call<0, OrtStatus *>(g_api, static_cast<int>(code), ("edgekit: " + message).c_str());
}

OrtStatus *read_constant(const OrtKernelInfo *info, size_t index, int element, size_t rank, Tensor *tensor) {
    if (OrtStatus *status = any_constant(info, index, tensor)) return status;
    return tensor->element == element && tensor->shape.size() == rank ? nullptr : misfit(index);
}

OrtStatus *read_scalar(const OrtKernelInfo *info, size_t index, int element, Tensor *tensor) {
    if (OrtStatus *status = any_constant(info, index, tensor)) return status;
    const std::vector<int64_t> &shape = tensor->shape;
    const bool is_one = shape.empty() || (shape.size() == 1 && shape[0] == 1);
    return tensor->element == element && is_one ? nullptr : misfit(index);
}

bool has_constant(const OrtKernelInfo *info, size_t index) {
    int is_constant = 0;
    const OrtValue *value = nullptr;
    OrtStatus *status = ort_call<249, OrtStatus *>(g_api, info, index, &is_constant, &value);
    if (status != nullptr) ort_call<93, void>(g_api, status);  // there are not so many inputs
    return status == nullptr && is_constant != 0;
}

OrtStatus *read_int(const OrtKernelInfo *info, const char *name, int32_t *value) {
    int64_t wide = 0;
    if (OrtStatus *status = ort_call<86, OrtStatus *>(g_api, info, name, &wide)) return status;
    *value = cut(wide);
    return nullptr;
}

OrtStatus *read_ints(const OrtKernelInfo *info, const char *name, size_t count, int32_t *values) {
    int64_t wide[4] = {};
    size_t size = count;
    if (OrtStatus *status = ort_call<163, OrtStatus *>(g_api, info, name, wide, &size)) return status;
    if (size != count) return refusal(kOrtInvalidArgument, std::string(name) + " has another length than it takes");
    for (size_t i = 0; i < count; i++) values[i] = cut(wide[i]);
    return nullptr;
}

OrtStatus *read_float(const OrtKernelInfo *info, const char *name, float *value) {
    return ort_call<85, OrtStatus *>(g_api, info, name, value);
}

OrtStatus *read_input(OrtKernelContext *context, size_t index, Tensor *tensor) {
    const OrtValue *value = nullptr;
    if (OrtStatus *status =
            ort_call<90, OrtStatus *>(g_api, const_cast<const OrtKernelContext *>(context), index, &value)) {
        return status;
    }
    tensor->data = nullptr;
    tensor->element = 0;
    return value == nullptr ? nullptr : read_tensor(value, tensor);
}

OrtStatus *make_output(OrtKernelContext *context, size_t index, const std::vector<int64_t> &shape, void **data) {
    OrtValue *out = nullptr;
    *data = nullptr;
    if (OrtStatus *status = ort_call<91, OrtStatus *>(g_api, context, index, shape.data(), shape.size(), &out)) {
        return status;
    }
    return out == nullptr ? nullptr : ort_call<51, OrtStatus *>(g_api, out, data);
}

OrtStatus *for_parts(OrtKernelContext *context, void (*part)(void *, size_t), int64_t parts, void *user) {
    if (g_minor >= 17) {
        return ort_call<274, OrtStatus *>(g_api, const_cast<const OrtKernelContext *>(context), part,
                                          static_cast<size_t>(parts), size_t{0}, user);
    }
    for (int64_t i = 0; i < parts; i++) part(user, static_cast<size_t>(i));
    return nullptr;
}

OrtStatus *infer_int(OrtShapeContext *context, const char *name, int64_t *value) {
    return infer(context, name, kOrtAttributeInt, 1, value);
}

OrtStatus *infer_ints(OrtShapeContext *context, const char *name, size_t count, int64_t *values) {
    return infer(context, name, kOrtAttributeInts, count, values);
}

OrtStatus *infer_input(OrtShapeContext *context, size_t index, Tensor *tensor) {
    OrtShape *info = nullptr;  // the context's own, not released here
    if (OrtStatus *status =
            ort_call<268, OrtStatus *>(g_api, const_cast<const OrtShapeContext *>(context), index, &info)) {
        return status;
    }
    return shape_of(info, tensor);
}

OrtStatus *infer_output(OrtShapeContext *context, size_t index, int element, const std::vector<int64_t> &shape) {
    OrtShape *info = nullptr;
    if (OrtStatus *status = ort_call<57, OrtStatus *>(g_api, &info)) return status;
    OrtStatus *status = ort_call<58, OrtStatus *>(g_api, info, element);
    if (!status) status = ort_call<59, OrtStatus *>(g_api, info, shape.data(), shape.size());
    if (!status) {
        status = ort_call<270, OrtStatus *>(g_api, const_cast<const OrtShapeContext *>(context), index,
                                            const_cast<const OrtShape *>(info));
    }
    ort_call<99, void>(g_api, info);
    return status;
}

OrtOperator plain_operator() {
    OrtOperator op;
    memset(&op, 0, sizeof op);
    // Of 17 on infer_output_shape is read, of 18 on may_inplace.
    op.version = g_minor >= 18 ? 18 : g_minor >= 17 ? 17 : 16;
    op.provider = [](const OrtOperator *) { return "CPUExecutionProvider"; };
    op.input_characteristic = [](const OrtOperator *, size_t) { return 0; };   // required
    op.output_characteristic = [](const OrtOperator *, size_t) { return 0; };  // required
    op.input_memory_type = [](const OrtOperator *, size_t) { return 0; };      // OrtMemTypeDefault
    op.variadic_input_min = op.variadic_output_min = [](const OrtOperator *) { return 0; };
    op.variadic_input_same = op.variadic_output_same = [](const OrtOperator *) { return 0; };
    return op;
}

}  // namespace edgekit

// What ONNX Runtime looks for in a library of operators. The domain outlives every session: it is made once.
extern "C" EDGEKIT_API edgekit::OrtStatus *RegisterCustomOps(edgekit::OrtSessionOptions *options,
                                                             const edgekit::OrtApiBase *base) {
    using namespace edgekit;
    static std::mutex one_at_a_time;  // sessions may be made by several threads
    const std::lock_guard<std::mutex> locked(one_at_a_time);
    g_api = base->get_api(kOrtApiVersion);
    if (g_api == nullptr) return nullptr;  // older than 1.16; a model with an operator is refused by name
    const char *dot = strchr(base->version_string(), '.');
    g_minor = dot == nullptr ? 0 : atoi(dot + 1);
    static OrtDomain *domain = nullptr;
    if (domain == nullptr) {
        OrtDomain *made = nullptr;
        if (OrtStatus *status = ort_call<26, OrtStatus *>(g_api, "edgekit", &made)) return status;
        std::vector<const OrtOperator *> operators = binary_operators();
        operators.push_back(table_operator());
        for (const OrtOperator *each : operators) {
            if (OrtStatus *status = ort_call<27, OrtStatus *>(g_api, made, each)) return status;
        }
        domain = made;
    }
    return ort_call<28, OrtStatus *>(g_api, options, domain);
}
