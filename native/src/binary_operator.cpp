// The binary convolution as an operator of ONNX Runtime 1.16 and later: domain "edgekit", BinaryConv, version 1.
//
//     y = BinaryConv(x, weights, multiplier, offset)
//     x           float (N, H, W, channels), of which the sign counts
//     weights     uint32 (out channels, kernel height, kernel width, words): bits as edgekit_binary.h has them;
//     constant multiplier  float (out channels), constant; offset: the same y           float (N, rows, columns, out
//     channels) channels    attribute, int: of x strides     attribute, 2 ints; pads: 4 ints, top, left, bottom, right
//     group       attribute, int
//     padding     attribute, int: 0 or 1, what stands outside the image
//
// The rows are shared among the threads of the session, and output shapes told to it, from 1.17 on.
#include <stdlib.h>
#include <string.h>

#include <exception>
#include <string>
#include <vector>

#include "edgekit_binary.h"
#include "onnxruntime_abi.h"

namespace {

using namespace edgekit;

const OrtApi *g_api = nullptr;
int g_minor = 0;  // of the version, 1.minor

OrtStatus *refusal(OrtCode code, const std::string &message) {
    return ort_call<0, OrtStatus *>(g_api, static_cast<int>(code), ("edgekit BinaryConv: " + message).c_str());
}

struct Kernel {
    edgekit_binary_conv *conv;
    edgekit_binary_geometry geometry;
};

struct Tensor {
    const void *data;
    int element;
    std::vector<int64_t> shape;
};

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

OrtStatus *read_constant(const OrtKernelInfo *info, size_t index, int element, size_t rank, Tensor *tensor) {
    int is_constant = 0;
    const OrtValue *value = nullptr;
    if (OrtStatus *status = ort_call<249, OrtStatus *>(g_api, info, index, &is_constant, &value)) return status;
    if (!is_constant || value == nullptr) {
        return refusal(kOrtInvalidArgument, "input " + std::to_string(index) + " is not a constant of the model");
    }
    if (OrtStatus *status = read_tensor(value, tensor)) return status;
    if (tensor->element != element || tensor->shape.size() != rank) {
        return refusal(kOrtInvalidArgument,
                       "input " + std::to_string(index) + " has another type or rank than it takes");
    }
    return nullptr;
}

OrtStatus *read_int(const OrtKernelInfo *info, const char *name, int32_t *value) {
    int64_t wide = 0;
    if (OrtStatus *status = ort_call<86, OrtStatus *>(g_api, info, name, &wide)) return status;
    // Cut to a range that the geometry's own check refuses.
    *value = static_cast<int32_t>(wide<-1 ? -1 : wide>(1 << 20) ? (1 << 20) : wide);
    return nullptr;
}

OrtStatus *read_ints(const OrtKernelInfo *info, const char *name, size_t count, int32_t *values) {
    int64_t wide[4] = {};
    size_t size = count;
    if (OrtStatus *status = ort_call<163, OrtStatus *>(g_api, info, name, wide, &size)) return status;
    if (size != count) return refusal(kOrtInvalidArgument, std::string(name) + " has another length than it takes");
    for (size_t i = 0; i < count; i++) {
        values[i] = static_cast<int32_t>(wide[i]<-1 ? -1 : wide[i]>(1 << 20) ? (1 << 20) : wide[i]);
    }
    return nullptr;
}

OrtStatus *read_geometry(const OrtKernelInfo *info, const Tensor &weights, edgekit_binary_geometry *g) {
    int32_t strides[2], pads[4];
    if (OrtStatus *status = read_int(info, "channels", &g->in_channels)) return status;
    if (OrtStatus *status = read_int(info, "group", &g->groups)) return status;
    if (OrtStatus *status = read_int(info, "padding", &g->padding)) return status;
    if (OrtStatus *status = read_ints(info, "strides", 2, strides)) return status;
    if (OrtStatus *status = read_ints(info, "pads", 4, pads)) return status;
    g->out_channels = static_cast<int32_t>(weights.shape[0]);
    g->kernel_h = static_cast<int32_t>(weights.shape[1]);
    g->kernel_w = static_cast<int32_t>(weights.shape[2]);
    g->stride_h = strides[0];
    g->stride_w = strides[1];
    g->pad_top = pads[0];
    g->pad_left = pads[1];
    g->pad_bottom = pads[2];
    g->pad_right = pads[3];
    if (g->groups < 1 || g->in_channels < 1 || weights.shape[3] != (g->in_channels / g->groups + 31) / 32) {
        return refusal(kOrtInvalidArgument, "weights, channels and group do not fit each other");
    }
    return nullptr;
}

std::vector<int8_t> unpacked(const Tensor &weights, int depth) {
    const int64_t taps = weights.shape[0] * weights.shape[1] * weights.shape[2];
    const uint32_t *bits = static_cast<const uint32_t *>(weights.data);
    std::vector<int8_t> signs(taps * depth);
    for (int64_t tap = 0; tap < taps; tap++, bits += weights.shape[3]) {
        for (int c = 0; c < depth; c++) signs[tap * depth + c] = bits[c / 32] >> (c % 32) & 1 ? -1 : 1;
    }
    return signs;
}

OrtStatus *create_kernel(const OrtKernelInfo *info, void **kernel) {
    Tensor weights, multiplier, offset;
    if (OrtStatus *status = read_constant(info, 1, kOrtUint32, 4, &weights)) return status;
    if (OrtStatus *status = read_constant(info, 2, kOrtFloat, 1, &multiplier)) return status;
    if (OrtStatus *status = read_constant(info, 3, kOrtFloat, 1, &offset)) return status;
    edgekit_binary_geometry g;
    if (OrtStatus *status = read_geometry(info, weights, &g)) return status;
    if (multiplier.shape[0] != g.out_channels || offset.shape[0] != g.out_channels) {
        return refusal(kOrtInvalidArgument, "multiplier and offset do not have a value for each output channel");
    }
    const std::vector<int8_t> signs = unpacked(weights, g.in_channels / g.groups);
    edgekit_binary_conv *conv = nullptr;
    const int code = edgekit_binary_conv_create(&g, signs.data(), static_cast<const float *>(multiplier.data),
                                                static_cast<const float *>(offset.data), nullptr, &conv);
    if (code != EDGEKIT_OK) return refusal(kOrtInvalidArgument, edgekit_error(code));
    *kernel = new Kernel{conv, g};
    return nullptr;
}

int64_t out_side(int64_t side, int64_t before, int64_t after, int64_t kernel, int64_t stride) {
    const int64_t padded = side + before + after;
    return padded < kernel || stride < 1 ? 0 : (padded - kernel) / stride + 1;
}

// One run, in parts of some output rows for the threads of the host.
struct Job {
    const Kernel *kernel;
    const float *x;
    int32_t images, height, width;
    int64_t rows, parts;
    std::vector<uint32_t> bits;
    float *y;
    int code;
};

void pack_part(void *user, size_t part) {
    Job &job = *static_cast<Job *>(user);
    const int64_t pixels = static_cast<int64_t>(job.images) * job.height * job.width;
    const int64_t first = pixels * static_cast<int64_t>(part) / job.parts;
    const int64_t end = pixels * static_cast<int64_t>(part + 1) / job.parts;
    edgekit_binary_pack_float(job.kernel->conv, job.x + first * job.kernel->geometry.in_channels, end - first,
                              job.bits.data() + first * edgekit_binary_conv_words_in(job.kernel->conv));
}

void run_part(void *user, size_t part) {
    Job &job = *static_cast<Job *>(user);
    const int64_t first = job.rows * static_cast<int64_t>(part) / job.parts;
    const int64_t end = job.rows * static_cast<int64_t>(part + 1) / job.parts;
    const int code = edgekit_binary_conv_run(job.kernel->conv, job.bits.data(), job.images, job.height, job.width,
                                             first, end, EDGEKIT_BINARY_TO_FLOAT, job.y);
    if (code != EDGEKIT_OK) __atomic_store_n(&job.code, code, __ATOMIC_RELAXED);
}

OrtStatus *for_parts(OrtKernelContext *context, void (*part)(void *, size_t), Job *job) {
    if (g_minor >= 17) {
        return ort_call<274, OrtStatus *>(g_api, const_cast<const OrtKernelContext *>(context), part,
                                          static_cast<size_t>(job->parts), size_t{0}, static_cast<void *>(job));
    }
    for (int64_t i = 0; i < job->parts; i++) part(job, static_cast<size_t>(i));
    return nullptr;
}

OrtStatus *compute(const Kernel &kernel, OrtKernelContext *context) {
    const edgekit_binary_geometry &g = kernel.geometry;
    const OrtValue *value = nullptr;
    Tensor x;
    if (OrtStatus *status =
            ort_call<90, OrtStatus *>(g_api, const_cast<const OrtKernelContext *>(context), size_t{0}, &value)) {
        return status;
    }
    if (OrtStatus *status = read_tensor(value, &x)) return status;
    if (x.shape.size() != 4 || x.shape[3] != g.in_channels) {
        return refusal(kOrtInvalidArgument, "x is not (N, H, W, " + std::to_string(g.in_channels) + ")");
    }
    const int64_t rows = out_side(x.shape[1], g.pad_top, g.pad_bottom, g.kernel_h, g.stride_h);
    const int64_t columns = out_side(x.shape[2], g.pad_left, g.pad_right, g.kernel_w, g.stride_w);
    const int64_t shape[4] = {x.shape[0], rows, columns, g.out_channels};
    OrtValue *out = nullptr;
    void *y = nullptr;
    if (OrtStatus *status = ort_call<91, OrtStatus *>(g_api, context, size_t{0}, static_cast<const int64_t *>(shape),
                                                      size_t{4}, &out)) {
        return status;
    }
    if (OrtStatus *status = ort_call<51, OrtStatus *>(g_api, out, &y)) return status;
    if (x.shape[0] == 0) return nullptr;

    Job job;
    job.kernel = &kernel;
    job.x = static_cast<const float *>(x.data);
    job.images = static_cast<int32_t>(x.shape[0]);
    job.height = static_cast<int32_t>(x.shape[1]);
    job.width = static_cast<int32_t>(x.shape[2]);
    job.rows = x.shape[0] * rows;
    // Parts of some ten thousand outputs: fewer are not worth a thread's waking up.
    job.parts = 1 + job.rows * columns * g.out_channels / 16384;
    if (job.parts > job.rows) job.parts = job.rows > 0 ? job.rows : 1;
    job.bits.resize(x.shape[0] * x.shape[1] * x.shape[2] * edgekit_binary_conv_words_in(kernel.conv));
    job.y = static_cast<float *>(y);
    job.code = EDGEKIT_OK;
    if (OrtStatus *status = for_parts(context, pack_part, &job)) return status;
    if (OrtStatus *status = for_parts(context, run_part, &job)) return status;
    return job.code == EDGEKIT_OK ? nullptr : refusal(kOrtInvalidArgument, edgekit_error(job.code));
}

OrtStatus *infer_ints(OrtShapeContext *context, const char *name, size_t count, int64_t *values) {
    const OrtOpAttribute *attribute = nullptr;
    if (OrtStatus *status =
            ort_call<269, OrtStatus *>(g_api, const_cast<const OrtShapeContext *>(context), name, &attribute)) {
        return status;
    }
    size_t bytes = 0;
    return ort_call<272, OrtStatus *>(g_api, attribute, kOrtAttributeInts, static_cast<void *>(values),
                                      count * sizeof(int64_t), &bytes);
}

OrtStatus *infer_input(OrtShapeContext *context, size_t index, Tensor *tensor) {
    OrtShape *info = nullptr;  // the context's own, not released here
    if (OrtStatus *status =
            ort_call<268, OrtStatus *>(g_api, const_cast<const OrtShapeContext *>(context), index, &info)) {
        return status;
    }
    return shape_of(info, tensor);
}

OrtStatus *infer_shape(OrtShapeContext *context) {
    Tensor x, weights;
    if (OrtStatus *status = infer_input(context, 0, &x)) return status;
    if (OrtStatus *status = infer_input(context, 1, &weights)) return status;
    if (x.shape.size() != 4 || weights.shape.size() != 4)
        return refusal(kOrtInvalidArgument, "x and weights have rank 4");
    // A side that is known only at the run is negative here: then nothing is said, and nothing wrong.
    for (int64_t side : x.shape) {
        if (side < 0) return nullptr;
    }
    int64_t strides[2] = {}, pads[4] = {};
    if (OrtStatus *status = infer_ints(context, "strides", 2, strides)) return status;
    if (OrtStatus *status = infer_ints(context, "pads", 4, pads)) return status;
    const int64_t shape[4] = {x.shape[0], out_side(x.shape[1], pads[0], pads[2], weights.shape[1], strides[0]),
                              out_side(x.shape[2], pads[1], pads[3], weights.shape[2], strides[1]), weights.shape[0]};
    OrtShape *info = nullptr;
    if (OrtStatus *status = ort_call<57, OrtStatus *>(g_api, &info)) return status;
    OrtStatus *status = ort_call<58, OrtStatus *>(g_api, info, static_cast<int>(kOrtFloat));
    if (!status) status = ort_call<59, OrtStatus *>(g_api, info, static_cast<const int64_t *>(shape), size_t{4});
    if (!status) {
        status = ort_call<270, OrtStatus *>(g_api, const_cast<const OrtShapeContext *>(context), size_t{0},
                                            const_cast<const OrtShape *>(info));
    }
    ort_call<99, void>(g_api, info);
    return status;
}

// Nothing may be thrown into the host.
template <typename F>
OrtStatus *guarded(F body) {
    try {
        return body();
    } catch (const std::exception &error) {
        return refusal(kOrtFail, error.what());
    }
}

const OrtOperator *binary_conv_operator() {
    static const OrtOperator made = [] {
        OrtOperator op;
        memset(&op, 0, sizeof op);
        op.version = g_minor >= 17 ? 17 : 16;  // 17 is the first whose infer_output_shape is read
        op.name = [](const OrtOperator *) { return "BinaryConv"; };
        op.provider = [](const OrtOperator *) { return "CPUExecutionProvider"; };
        op.input_type = [](const OrtOperator *, size_t i) -> int { return i == 1 ? kOrtUint32 : kOrtFloat; };
        op.input_count = [](const OrtOperator *) { return size_t{4}; };
        op.output_type = [](const OrtOperator *, size_t) -> int { return kOrtFloat; };
        op.output_count = [](const OrtOperator *) { return size_t{1}; };
        op.kernel_destroy = [](void *kernel) {
            edgekit_binary_conv_destroy(static_cast<Kernel *>(kernel)->conv);
            delete static_cast<Kernel *>(kernel);
        };
        op.input_characteristic = [](const OrtOperator *, size_t) { return 0; };   // required
        op.output_characteristic = [](const OrtOperator *, size_t) { return 0; };  // required
        op.input_memory_type = [](const OrtOperator *, size_t) { return 0; };      // OrtMemTypeDefault
        op.variadic_input_min = op.variadic_output_min = [](const OrtOperator *) { return 0; };
        op.variadic_input_same = op.variadic_output_same = [](const OrtOperator *) { return 0; };
        op.create_kernel_v2 = [](const OrtOperator *, const OrtApi *, const OrtKernelInfo *info, void **kernel) {
            return guarded([=] { return create_kernel(info, kernel); });
        };
        op.kernel_compute_v2 = [](void *kernel, OrtKernelContext *context) {
            return guarded([=] { return compute(*static_cast<const Kernel *>(kernel), context); });
        };
        op.infer_output_shape = [](const OrtOperator *, OrtShapeContext *context) {
            return guarded([=] { return infer_shape(context); });
        };
        return op;
    }();
    return &made;
}

}  // namespace

// What ONNX Runtime looks for in a library of operators. The domain outlives every session: it is made once.
extern "C" EDGEKIT_API edgekit::OrtStatus *RegisterCustomOps(edgekit::OrtSessionOptions *options,
                                                             const edgekit::OrtApiBase *base) {
    g_api = base->get_api(kOrtApiVersion);
    if (g_api == nullptr) return nullptr;  // older than 1.16; a model with the operator is refused by name
    const char *dot = strchr(base->version_string(), '.');
    g_minor = dot == nullptr ? 0 : atoi(dot + 1);
    static OrtDomain *domain = nullptr;
    if (domain == nullptr) {
        OrtDomain *made = nullptr;
        if (OrtStatus *status = ort_call<26, OrtStatus *>(g_api, "edgekit", &made)) return status;
        if (OrtStatus *status = ort_call<27, OrtStatus *>(g_api, made, binary_conv_operator())) return status;
        domain = made;
    }
    return ort_call<28, OrtStatus *>(g_api, options, domain);
}
