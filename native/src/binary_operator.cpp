// The binary convolution as operators of ONNX Runtime 1.16 and later. Numbers are float (N, H, W, channels), of which
// the sign counts; bits are uint32 (N, H, W, words) as edgekit_binary.h has them.
//
//     y = BinaryConv(x, weights, multiplier, offset)                          numbers in, numbers out
//     bits = BinarySigns(x)                                                   numbers in, bits out
//     y, bits = BinaryConvSum(bits, weights, multiplier, offset, residual)    y = clip(conv + residual), and its signs
//     bits = BinaryConvBits(bits, weights, multiplier, offset)                bits in, bits out, one comparison
//
//     weights     uint32 (out channels, kernel height, kernel width, words), constant
//     multiplier  float (out channels), constant; offset: the same
//     residual    float, the shape of y; may be left out
//     channels    attribute, int: of x
//     strides     attribute, 2 ints; pads: 4 ints, top, left, bottom, right
//     group       attribute, int; BinarySigns has this one alone: of the convolution that reads the bits
//     padding     attribute, int: 0 or 1, what stands outside the image
//     low, high   attributes of BinaryConvSum, float: the limits of y
#include <memory>
#include <string>
#include <vector>

#include "binary_kernels.h"
#include "edgekit_binary.h"
#include "onnxruntime_operator.h"

namespace edgekit {
namespace {

// What an operator takes and gives.
enum class Kind { kConv, kSum, kBits };

struct Kernel {
    edgekit_binary_conv *conv;
    edgekit_binary_geometry geometry;
    float low, high;
};

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

OrtStatus *create_kernel(Kind kind, const OrtKernelInfo *info, void **kernel) {
    Tensor weights, multiplier, offset;
    if (OrtStatus *status = read_constant(info, 1, kOrtUint32, 4, &weights)) return status;
    if (OrtStatus *status = read_constant(info, 2, kOrtFloat, 1, &multiplier)) return status;
    if (OrtStatus *status = read_constant(info, 3, kOrtFloat, 1, &offset)) return status;
    Kernel made = {};
    if (OrtStatus *status = read_geometry(info, weights, &made.geometry)) return status;
    if (kind == Kind::kSum) {
        if (OrtStatus *status = read_float(info, "low", &made.low)) return status;
        if (OrtStatus *status = read_float(info, "high", &made.high)) return status;
        if (!(made.low <= made.high)) return refusal(kOrtInvalidArgument, "low is above high");
    }
    const edgekit_binary_geometry &g = made.geometry;
    if (multiplier.shape[0] != g.out_channels || offset.shape[0] != g.out_channels) {
        return refusal(kOrtInvalidArgument, "multiplier and offset do not have a value for each output channel");
    }
    const std::vector<int8_t> signs = unpacked(weights, g.in_channels / g.groups);
    const int code = edgekit_binary_conv_create(&g, signs.data(), static_cast<const float *>(multiplier.data),
                                                static_cast<const float *>(offset.data), nullptr, &made.conv);
    if (code != EDGEKIT_OK) return refusal(kOrtInvalidArgument, edgekit_error(code));
    *kernel = new Kernel(made);
    return nullptr;
}

constexpr int64_t kMost = 1 << 20;  // of any side, pad or number of images: what comes from a model may be anything

// Whether a tensor's sides are known, and such that nothing overflows.
bool is_usable(const Tensor &tensor) {
    for (int64_t side : tensor.shape) {
        if (side < 0 || side > kMost) return false;
    }
    return true;
}

int64_t out_side(int64_t side, int64_t before, int64_t after, int64_t kernel, int64_t stride) {
    for (int64_t each : {side, before, after, kernel, stride}) {
        if (each < 0 || each > kMost) return 0;
    }
    const int64_t padded = side + before + after;
    return padded < kernel || stride < 1 ? 0 : (padded - kernel) / stride + 1;
}

// Parts of some ten thousand values: fewer are not worth a thread's waking up.
int64_t parts_of(int64_t values, int64_t most) {
    const int64_t parts = 1 + values / 16384;
    return parts < most ? parts : most > 0 ? most : 1;
}

// Signs of pixels, in parts of some pixels.
struct Packing {
    const float *x;
    int64_t pixels, depth, parts;  // pixels of one group
    uint32_t *bits;
};

void pack_part(void *user, size_t part) {
    const Packing &job = *static_cast<const Packing *>(user);
    const int64_t first = job.pixels * static_cast<int64_t>(part) / job.parts;
    const int64_t end = job.pixels * static_cast<int64_t>(part + 1) / job.parts;
    binary_signs(job.x + first * job.depth, end - first, job.depth, job.bits + first * ((job.depth + 31) / 32));
}

OrtStatus *pack(OrtKernelContext *context, const Tensor &x, int groups, uint32_t *bits) {
    Packing job = {static_cast<const float *>(x.data), x.shape[0] * x.shape[1] * x.shape[2] * groups,
                   x.shape[3] / groups, 1, bits};
    job.parts = parts_of(job.pixels * job.depth / 8, job.pixels);  // a value takes an eighth of what an output does
    return for_parts(context, pack_part, job.parts, &job);
}

// One run, in parts of some output rows.
struct Job {
    Kind kind;
    const Kernel *kernel;
    const uint32_t *bits;
    int32_t images, height, width;
    int64_t rows, parts;
    const float *residual;
    void *y;
    void *signs;
    int code;
};

void run_part(void *user, size_t part) {
    Job &job = *static_cast<Job *>(user);
    const Kernel &kernel = *job.kernel;
    const int64_t first = job.rows * static_cast<int64_t>(part) / job.parts;
    const int64_t end = job.rows * static_cast<int64_t>(part + 1) / job.parts;
    int code;
    if (job.kind == Kind::kSum) {
        code = edgekit_binary_conv_add(kernel.conv, job.bits, job.images, job.height, job.width, first, end,
                                       job.residual, kernel.low, kernel.high, static_cast<float *>(job.y),
                                       static_cast<uint32_t *>(job.signs));
    } else {
        const bool to_bits = job.kind == Kind::kBits;
        code = edgekit_binary_conv_run(kernel.conv, job.bits, job.images, job.height, job.width, first, end,
                                       to_bits ? EDGEKIT_BINARY_TO_BITS : EDGEKIT_BINARY_TO_FLOAT,
                                       to_bits ? job.signs : job.y);
    }
    if (code != EDGEKIT_OK) __atomic_store_n(&job.code, code, __ATOMIC_RELAXED);
}

OrtStatus *make_outputs(OrtKernelContext *context, const std::vector<int64_t> &shape, int64_t words, Job *job) {
    if (job->kind != Kind::kBits) {
        if (OrtStatus *status = make_output(context, 0, shape, &job->y)) return status;
    }
    if (job->kind == Kind::kConv) return nullptr;
    return make_output(context, job->kind == Kind::kSum ? 1 : 0, {shape[0], shape[1], shape[2], words}, &job->signs);
}

OrtStatus *compute(Kind kind, const Kernel &kernel, OrtKernelContext *context) {
    const edgekit_binary_geometry &g = kernel.geometry;
    Tensor x, residual = {nullptr, 0, {}};
    if (OrtStatus *status = read_input(context, 0, &x)) return status;
    const int64_t words = edgekit_binary_conv_words_in(kernel.conv);
    const int64_t last = kind == Kind::kConv ? g.in_channels : words;
    if (x.shape.size() != 4 || x.shape[3] != last) {
        return refusal(kOrtInvalidArgument, "x is not (N, H, W, " + std::to_string(last) + ")");
    }
    if (!is_usable(x)) return refusal(kOrtInvalidArgument, "a side of x is more than 2^20");
    const int64_t rows = out_side(x.shape[1], g.pad_top, g.pad_bottom, g.kernel_h, g.stride_h);
    const int64_t columns = out_side(x.shape[2], g.pad_left, g.pad_right, g.kernel_w, g.stride_w);
    const std::vector<int64_t> shape = {x.shape[0], rows, columns, g.out_channels};
    Job job = {kind, &kernel, static_cast<const uint32_t *>(x.data), static_cast<int32_t>(x.shape[0]),
               static_cast<int32_t>(x.shape[1]), static_cast<int32_t>(x.shape[2]), x.shape[0] * rows, 1,
               nullptr, nullptr, nullptr, EDGEKIT_OK};
    if (kind == Kind::kSum) {
        if (OrtStatus *status = read_input(context, 4, &residual)) return status;
        if (residual.data != nullptr && residual.shape != shape) {
            return refusal(kOrtInvalidArgument, "residual does not have the shape of the output");
        }
        job.residual = static_cast<const float *>(residual.data);
    }
    if (OrtStatus *status = make_outputs(context, shape, edgekit_binary_conv_words_out(kernel.conv), &job)) {
        return status;
    }
    if (x.shape[0] == 0) return nullptr;

    std::unique_ptr<uint32_t[]> packed;  // not cleared: every word is written
    if (kind == Kind::kConv) {
        packed.reset(new uint32_t[x.shape[0] * x.shape[1] * x.shape[2] * words]);
        job.bits = packed.get();
        if (OrtStatus *status = pack(context, x, g.groups, packed.get())) return status;
    }
    job.parts = parts_of(job.rows * columns * g.out_channels, job.rows);
    if (OrtStatus *status = for_parts(context, run_part, job.parts, &job)) return status;
    return job.code == EDGEKIT_OK ? nullptr : refusal(kOrtInvalidArgument, edgekit_error(job.code));
}

OrtStatus *infer_shape(Kind kind, OrtShapeContext *context) {
    Tensor x, weights;
    if (OrtStatus *status = infer_input(context, 0, &x)) return status;
    if (OrtStatus *status = infer_input(context, 1, &weights)) return status;
    if (x.shape.size() != 4 || weights.shape.size() != 4)
        return refusal(kOrtInvalidArgument, "x and weights have rank 4");
    // Of a side that is known only at the run nothing is said, and nothing wrong.
    if (!is_usable(x) || !is_usable(weights)) return nullptr;
    int64_t strides[2] = {}, pads[4] = {};
    if (OrtStatus *status = infer_ints(context, "strides", 2, strides)) return status;
    if (OrtStatus *status = infer_ints(context, "pads", 4, pads)) return status;
    std::vector<int64_t> shape = {x.shape[0], out_side(x.shape[1], pads[0], pads[2], weights.shape[1], strides[0]),
                                  out_side(x.shape[2], pads[1], pads[3], weights.shape[2], strides[1]),
                                  weights.shape[0]};
    if (kind != Kind::kBits) {
        if (OrtStatus *status = infer_output(context, 0, kOrtFloat, shape)) return status;
    }
    if (kind == Kind::kConv) return nullptr;
    shape[3] = (shape[3] + 31) / 32;
    return infer_output(context, kind == Kind::kSum ? 1 : 0, kOrtUint32, shape);
}

template <Kind kKind>
OrtOperator conv_operator() {
    OrtOperator op = plain_operator();
    op.input_type = [](const OrtOperator *, size_t i) -> int {
        return i == 1 || (i == 0 && kKind != Kind::kConv) ? kOrtUint32 : kOrtFloat;
    };
    op.input_count = [](const OrtOperator *) { return size_t{kKind == Kind::kSum ? 5 : 4}; };
    op.input_characteristic = [](const OrtOperator *, size_t i) { return i == 4 ? 1 : 0; };  // 1: optional
    op.output_type = [](const OrtOperator *, size_t i) -> int {
        return i == 1 || kKind == Kind::kBits ? kOrtUint32 : kOrtFloat;
    };
    op.output_count = [](const OrtOperator *) { return size_t{kKind == Kind::kSum ? 2 : 1}; };
    op.kernel_destroy = [](void *kernel) {
        edgekit_binary_conv_destroy(static_cast<Kernel *>(kernel)->conv);
        delete static_cast<Kernel *>(kernel);
    };
    op.create_kernel_v2 = [](const OrtOperator *, const OrtApi *, const OrtKernelInfo *info, void **kernel) {
        return guarded([=] { return create_kernel(kKind, info, kernel); });
    };
    op.kernel_compute_v2 = [](void *kernel, OrtKernelContext *context) {
        return guarded([=] { return compute(kKind, *static_cast<const Kernel *>(kernel), context); });
    };
    op.infer_output_shape = [](const OrtOperator *, OrtShapeContext *context) {
        return guarded([=] { return infer_shape(kKind, context); });
    };
    if (kKind == Kind::kSum) {
        // A residual that nobody reads afterwards is overwritten: each value of y is written after the one at its place
        // was read, and half the memory is touched.
        op.may_inplace = [](int **inputs, int **outputs) {
            static int residual = 4, y = 0;
            *inputs = &residual;
            *outputs = &y;
            return size_t{1};
        };
        op.release_may_inplace = [](int *, int *) {};
    }
    return op;
}

OrtStatus *create_signs(const OrtKernelInfo *info, void **kernel) {
    int32_t groups = 0;
    if (OrtStatus *status = read_int(info, "group", &groups)) return status;
    if (groups < 1) return refusal(kOrtInvalidArgument, "group is less than 1");
    *kernel = new int32_t(groups);
    return nullptr;
}

OrtStatus *compute_signs(int32_t groups, OrtKernelContext *context) {
    Tensor x;
    if (OrtStatus *status = read_input(context, 0, &x)) return status;
    if (x.shape.size() != 4 || !is_usable(x) || x.shape[3] % groups != 0) {
        return refusal(kOrtInvalidArgument, "x is not (N, H, W, channels) with channels a multiple of group");
    }
    void *bits = nullptr;
    const int64_t words = groups * ((x.shape[3] / groups + 31) / 32);
    if (OrtStatus *status = make_output(context, 0, {x.shape[0], x.shape[1], x.shape[2], words}, &bits)) return status;
    return pack(context, x, groups, static_cast<uint32_t *>(bits));
}

OrtStatus *infer_signs(OrtShapeContext *context) {
    Tensor x;
    int64_t groups = 0;
    if (OrtStatus *status = infer_input(context, 0, &x)) return status;
    if (OrtStatus *status = infer_int(context, "group", &groups)) return status;
    if (x.shape.size() != 4 || groups < 1 || groups > kMost) {
        return refusal(kOrtInvalidArgument, "x has rank 4, and group is at least 1");
    }
    if (!is_usable(x)) return nullptr;
    x.shape[3] = groups * ((x.shape[3] / groups + 31) / 32);
    return infer_output(context, 0, kOrtUint32, x.shape);
}

OrtOperator signs_operator() {
    OrtOperator op = plain_operator();
    op.name = [](const OrtOperator *) { return "BinarySigns"; };
    op.input_type = [](const OrtOperator *, size_t) -> int { return kOrtFloat; };
    op.output_type = [](const OrtOperator *, size_t) -> int { return kOrtUint32; };
    op.input_count = op.output_count = [](const OrtOperator *) { return size_t{1}; };
    op.kernel_destroy = [](void *kernel) { delete static_cast<int32_t *>(kernel); };
    op.create_kernel_v2 = [](const OrtOperator *, const OrtApi *, const OrtKernelInfo *info, void **kernel) {
        return guarded([=] { return create_signs(info, kernel); });
    };
    op.kernel_compute_v2 = [](void *kernel, OrtKernelContext *context) {
        return guarded([=] { return compute_signs(*static_cast<const int32_t *>(kernel), context); });
    };
    op.infer_output_shape = [](const OrtOperator *, OrtShapeContext *context) {
        return guarded([=] { return infer_signs(context); });
    };
    return op;
}

}  // namespace

std::vector<const OrtOperator *> binary_operators() {
    static const std::vector<OrtOperator> made = [] {
        std::vector<OrtOperator> all = {conv_operator<Kind::kConv>(), conv_operator<Kind::kSum>(),
                                        conv_operator<Kind::kBits>(), signs_operator()};
        all[0].name = [](const OrtOperator *) { return "BinaryConv"; };
        all[1].name = [](const OrtOperator *) { return "BinaryConvSum"; };
        all[2].name = [](const OrtOperator *) { return "BinaryConvBits"; };
        return all;
    }();
    std::vector<const OrtOperator *> all;
    for (const OrtOperator &each : made) all.push_back(&each);
    return all;
}

}  // namespace edgekit
