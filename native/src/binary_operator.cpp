// The binary convolution as operators of ONNX Runtime 1.16 and later. Numbers are (N, H, W, channels): float32 or codes
// of 8 bits, of which the sign counts; bits are uint32 (N, H, W, words) as edgekit_binary.h has them.
//
//     y = BinaryConv(x, weights, multiplier, offset)                          numbers in, numbers out
//     bits = BinarySigns(x)                                                   numbers in, bits out
//     y, bits = BinaryConvSum(bits, weights, multiplier, offset, residual,    y = clip(conv + residual), and its signs
//                             residual_scale, residual_zero_point)
//     bits = BinaryConvBits(bits, weights, multiplier, offset)                bits in, bits out, one comparison
//
// With codes for x, y or both, in the order of arguments of the standard's QLinearConv:
//
//     y = QLinearBinaryConv(x, x_scale, x_zero_point, weights, multiplier, offset, y_scale, y_zero_point)
//     bits = QLinearBinarySigns(x, x_scale, x_zero_point)
//     y, bits = QLinearBinaryConvSum(bits, weights, multiplier, offset, y_scale, y_zero_point, residual,
//                                    residual_scale, residual_zero_point)
//
//     weights     uint32 (out channels, kernel height, kernel width, words), constant
//     multiplier  float (out channels), constant; offset: the same
//     residual    float, or codes with a scale and a zero point, the shape of y; may be left out
//     *_scale     float, constant; *_zero_point: uint8 or int8, constant, whose type is that of the codes
//     channels    attribute, int: of x
//     strides     attribute, 2 ints; pads: 4 ints, top, left, bottom, right
//     group       attribute, int; of BinarySigns the only one: of the convolution that reads the bits
//     padding     attribute, int: 0 or 1, what stands outside the image
//     low, high   attributes of the sums, float: the limits of y
//
// Codes mean what they do in DequantizeLinear and QuantizeLinear, bit for bit: y in codes is QuantizeLinear of the y in
// floats, of which the bits are the signs.
#include <float.h>

#include <memory>
#include <string>
#include <vector>

#include "binary_kernels.h"
#include "binary_operator.h"
#include "edgekit_binary.h"
#include "onnxruntime_operator.h"

namespace edgekit {
namespace binary_operator {
namespace {

// What an operator does.
enum class Kind { kConv, kSum, kBits };

// Places of inputs; a scale is followed by its zero point. -1: there are none.
constexpr int kNone = -1;

// One operator for one set of types.
struct Form {
    const char *name;
    Kind kind;
    std::vector<int> inputs;  // their elements
    int needed;               // how many of the inputs cannot be left out
    int x_scale, weights, y_scale, residual, residual_scale;
    int y;  // its element

    bool bits_in() const { return inputs[0] == kOrtUint32; }
    bool adds_codes() const { return residual != kNone && inputs[residual] != kOrtFloat; }
};

struct ConvOperator : OrtOperator {
    Form form;
};

const Form &form_of(const OrtOperator *op) { return static_cast<const ConvOperator *>(op)->form; }

struct Kernel {
    const Form *form;
    edgekit_binary_conv *conv;
    edgekit_binary_geometry geometry;
    float low, high;
    Side x, residual, y;
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

OrtStatus *read_sides(const OrtKernelInfo *info, Kernel *made) {
    const Form &form = *made->form;
    if (form.x_scale != kNone) {
        if (OrtStatus *status = read_side(info, form.x_scale, form.inputs[0], &made->x)) return status;
    }
    if (form.y_scale != kNone) {
        if (OrtStatus *status = read_side(info, form.y_scale, form.y, &made->y)) return status;
    }
    if (form.adds_codes()) return read_side(info, form.residual_scale, form.inputs[form.residual], &made->residual);
    if (form.residual != kNone && has_constant(info, form.residual_scale)) {
        return refusal(kOrtInvalidArgument, "a residual of floats has no scale and no zero point");
    }
    return nullptr;
}

OrtStatus *create_kernel(const Form &form, const OrtKernelInfo *info, void **kernel) {
    Tensor weights, multiplier, offset;
    if (OrtStatus *status = read_constant(info, form.weights, kOrtUint32, 4, &weights)) return status;
    if (OrtStatus *status = read_constant(info, form.weights + 1, kOrtFloat, 1, &multiplier)) return status;
    if (OrtStatus *status = read_constant(info, form.weights + 2, kOrtFloat, 1, &offset)) return status;
    Kernel made = {&form, nullptr, {}, -FLT_MAX, FLT_MAX, {}, {}, {}};
    if (OrtStatus *status = read_geometry(info, weights, &made.geometry)) return status;
    if (form.kind == Kind::kSum) {
        if (OrtStatus *status = read_float(info, "low", &made.low)) return status;
        if (OrtStatus *status = read_float(info, "high", &made.high)) return status;
        if (!(made.low <= made.high)) return refusal(kOrtInvalidArgument, "low is above high");
    }
    if (OrtStatus *status = read_sides(info, &made)) return status;
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

int64_t out_side(int64_t side, int64_t before, int64_t after, int64_t kernel, int64_t stride) {
    for (int64_t each : {side, before, after, kernel, stride}) {
        if (each < 0 || each > kMost) return 0;
    }
    const int64_t padded = side + before + after;
    return padded < kernel || stride < 1 ? 0 : (padded - kernel) / stride + 1;
}

// One run, in parts of some output rows.
struct Job {
    const Kernel *kernel;
    const uint32_t *bits;
    int32_t images, height, width;
    int64_t rows, parts;
    const void *residual;
    void *y;
    void *signs;
    int code;
};

void run_part(void *user, size_t part) {
    Job &job = *static_cast<Job *>(user);
    const Kernel &kernel = *job.kernel;
    const Kind kind = kernel.form->kind;
    const int64_t first = job.rows * static_cast<int64_t>(part) / job.parts;
    const int64_t end = job.rows * static_cast<int64_t>(part + 1) / job.parts;
    int code;
    if (kind == Kind::kSum || kernel.y.has_codes) {
        code = edgekit_binary_conv_add_codes(
            kernel.conv, job.bits, job.images, job.height, job.width, first, end, job.residual,
            kernel.residual.has_codes ? &kernel.residual.codes : nullptr, kernel.low, kernel.high, job.y,
            kernel.y.has_codes ? &kernel.y.codes : nullptr, static_cast<uint32_t *>(job.signs));
    } else {
        const bool to_bits = kind == Kind::kBits;
        code = edgekit_binary_conv_run(kernel.conv, job.bits, job.images, job.height, job.width, first, end,
                                       to_bits ? EDGEKIT_BINARY_TO_BITS : EDGEKIT_BINARY_TO_FLOAT,
                                       to_bits ? job.signs : job.y);
    }
    if (code != EDGEKIT_OK) __atomic_store_n(&job.code, code, __ATOMIC_RELAXED);
}

OrtStatus *make_outputs(OrtKernelContext *context, Kind kind, const std::vector<int64_t> &shape, int64_t words,
                        Job *job) {
    if (kind != Kind::kBits) {
        if (OrtStatus *status = make_output(context, 0, shape, &job->y)) return status;
    }
    if (kind == Kind::kConv) return nullptr;
    return make_output(context, kind == Kind::kSum ? 1 : 0, {shape[0], shape[1], shape[2], words}, &job->signs);
}

OrtStatus *read_residual(OrtKernelContext *context, const Form &form, const std::vector<int64_t> &shape, Job *job) {
    Tensor residual = {nullptr, 0, {}};
    if (OrtStatus *status = read_input(context, form.residual, &residual)) return status;
    if (residual.data != nullptr && residual.shape != shape) {
        return refusal(kOrtInvalidArgument, "residual does not have the shape of the output");
    }
    job->residual = residual.data;
    return nullptr;
}

OrtStatus *compute(const Kernel &kernel, OrtKernelContext *context) {
    const Form &form = *kernel.form;
    const edgekit_binary_geometry &g = kernel.geometry;
    Tensor x;
    if (OrtStatus *status = read_input(context, 0, &x)) return status;
    const int64_t words = edgekit_binary_conv_words_in(kernel.conv);
    const int64_t last = form.bits_in() ? words : g.in_channels;
    if (x.shape.size() != 4 || x.shape[3] != last) {
        return refusal(kOrtInvalidArgument, "x is not (N, H, W, " + std::to_string(last) + ")");
    }
    if (!is_usable(x)) return refusal(kOrtInvalidArgument, "a side of x is more than 2^20");
    const int64_t rows = out_side(x.shape[1], g.pad_top, g.pad_bottom, g.kernel_h, g.stride_h);
    const int64_t columns = out_side(x.shape[2], g.pad_left, g.pad_right, g.kernel_w, g.stride_w);
    const std::vector<int64_t> shape = {x.shape[0], rows, columns, g.out_channels};
    Job job = {&kernel, static_cast<const uint32_t *>(x.data), static_cast<int32_t>(x.shape[0]),
               static_cast<int32_t>(x.shape[1]), static_cast<int32_t>(x.shape[2]), x.shape[0] * rows, 1,
               nullptr, nullptr, nullptr, EDGEKIT_OK};
    if (form.kind == Kind::kSum) {
        if (OrtStatus *status = read_residual(context, form, shape, &job)) return status;
    }
    const int64_t words_out = edgekit_binary_conv_words_out(kernel.conv);
    if (OrtStatus *status = make_outputs(context, form.kind, shape, words_out, &job)) return status;
    if (x.shape[0] == 0) return nullptr;

    std::unique_ptr<uint32_t[]> packed;  // not cleared: every word is written
    if (!form.bits_in()) {
        packed.reset(new uint32_t[x.shape[0] * x.shape[1] * x.shape[2] * words]);
        job.bits = packed.get();
        if (OrtStatus *status = pack(context, x, kernel.x, g.groups, packed.get())) return status;
    }
    job.parts = parts_of(job.rows * columns * g.out_channels, job.rows);
    if (OrtStatus *status = for_parts(context, run_part, job.parts, &job)) return status;
    return job.code == EDGEKIT_OK ? nullptr : refusal(kOrtInvalidArgument, edgekit_error(job.code));
}

OrtStatus *infer_shape(const Form &form, OrtShapeContext *context) {
    Tensor x, weights;
    if (OrtStatus *status = infer_input(context, 0, &x)) return status;
    if (OrtStatus *status = infer_input(context, form.weights, &weights)) return status;
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
    if (form.kind != Kind::kBits) {
        // The host asks the first form of a name for all of them: what y holds its zero point tells.
        Tensor y = {nullptr, form.y, {}};
        if (form.y_scale != kNone) {
            if (OrtStatus *status = infer_input(context, form.y_scale + 1, &y)) return status;
        }
        if (OrtStatus *status = infer_output(context, 0, y.element, shape)) return status;
    }
    if (form.kind == Kind::kConv) return nullptr;
    shape[3] = (shape[3] + 31) / 32;
    return infer_output(context, form.kind == Kind::kSum ? 1 : 0, kOrtUint32, shape);
}

// A residual that nobody reads afterwards is overwritten: each value of y is written after the one at its place was
// read, and half the memory is touched. They must be of one type; the function is not told which operator asks.
template <int Residual>
size_t residual_in_place(int **inputs, int **outputs) {
    static int residual = Residual, y = 0;
    *inputs = &residual;
    *outputs = &y;
    return 1;
}

ConvOperator conv_operator(const Form &form) {
    ConvOperator op;
    static_cast<OrtOperator &>(op) = plain_operator();
    op.form = form;
    op.name = [](const OrtOperator *each) { return form_of(each).name; };
    op.input_type = [](const OrtOperator *each, size_t i) { return form_of(each).inputs[i]; };
    op.input_count = [](const OrtOperator *each) { return form_of(each).inputs.size(); };
    op.input_characteristic = [](const OrtOperator *each, size_t i) {
        return static_cast<int>(i) < form_of(each).needed ? 0 : 1;  // 1: optional
    };
    op.output_type = [](const OrtOperator *each, size_t i) -> int {
        return i == 1 || form_of(each).kind == Kind::kBits ? kOrtUint32 : form_of(each).y;
    };
    op.output_count = [](const OrtOperator *each) { return size_t{form_of(each).kind == Kind::kSum ? 2u : 1u}; };
    op.kernel_destroy = [](void *kernel) {
        edgekit_binary_conv_destroy(static_cast<Kernel *>(kernel)->conv);
        delete static_cast<Kernel *>(kernel);
    };
    op.create_kernel_v2 = [](const OrtOperator *each, const OrtApi *, const OrtKernelInfo *info, void **kernel) {
        return guarded([=] { return create_kernel(form_of(each), info, kernel); });
    };
    op.kernel_compute_v2 = [](void *kernel, OrtKernelContext *context) {
        return guarded([=] { return compute(*static_cast<const Kernel *>(kernel), context); });
    };
    op.infer_output_shape = [](const OrtOperator *each, OrtShapeContext *context) {
        return guarded([=] { return infer_shape(form_of(each), context); });
    };
    if (form.kind == Kind::kSum && form.inputs[form.residual] == form.y) {
        op.may_inplace = form.residual == 4 ? residual_in_place<4> : residual_in_place<6>;
        op.release_may_inplace = [](int *, int *) {};
    }
    return op;
}

std::vector<Form> forms() {
    const int f = kOrtFloat, words = kOrtUint32;
    std::vector<Form> all = {
        {"BinaryConv", Kind::kConv, {f, words, f, f}, 4, kNone, 1, kNone, kNone, kNone, f},
        {"BinaryConvBits", Kind::kBits, {words, words, f, f}, 4, kNone, 1, kNone, kNone, kNone, 0},
    };
    // Of kernels that fit a node the host takes the first: floats where there is no residual to tell.
    for (int added : {kOrtFloat, kOrtUint8, kOrtInt8}) {
        const int zero = added == kOrtFloat ? kOrtUint8 : added;
        all.push_back({"BinaryConvSum", Kind::kSum, {words, words, f, f, added, f, zero}, 4, kNone, 1, kNone, 4, 5, f});
    }
    for (int codes : {kOrtUint8, kOrtInt8}) {
        all.push_back({"QLinearBinaryConv", Kind::kConv, {codes, f, codes, words, f, f, f, codes}, 8, 1, 3, 6, kNone,
                       kNone, codes});
        for (int added : {static_cast<int>(kOrtFloat), codes}) {
            all.push_back({"QLinearBinaryConvSum", Kind::kSum, {words, words, f, f, f, codes, added, f, codes}, 6,
                           kNone, 1, 4, 6, 7, codes});
        }
    }
    return all;
}

}  // namespace
}  // namespace binary_operator

std::vector<const OrtOperator *> binary_operators() {
    using namespace binary_operator;
    static const std::vector<ConvOperator> made = [] {
        std::vector<ConvOperator> each;
        for (const Form &form : forms()) each.push_back(conv_operator(form));
        return each;
    }();
    std::vector<const OrtOperator *> all = signs_operators();
    for (const ConvOperator &each : made) all.push_back(&each);
    return all;
}

}  // namespace edgekit
