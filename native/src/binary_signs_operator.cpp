// The bits of numbers, as operators of ONNX Runtime:
//
//     bits = BinarySigns(x)                                 x float32, the bit x < 0
//     bits = QLinearBinarySigns(x, x_scale, x_zero_point)   x uint8 or int8, the bit x < x_zero_point
//
//     x      (N, H, W, channels)
//     group  attribute, int: of the convolution that reads the bits
#include "binary_kernels.h"
#include "binary_operator.h"

namespace edgekit {
namespace binary_operator {

bool is_usable(const Tensor &tensor) {
    for (int64_t side : tensor.shape) {
        if (side < 0 || side > kMost) return false;
    }
    return true;
}

int64_t parts_of(int64_t values, int64_t most) {
    const int64_t parts = 1 + values / 16384;
    return parts < most ? parts : most > 0 ? most : 1;
}

OrtStatus *read_side(const OrtKernelInfo *info, size_t index, int element, Side *side) {
    Tensor scale, zero;
    if (OrtStatus *status = read_scalar(info, index, kOrtFloat, &scale)) return status;
    if (OrtStatus *status = read_scalar(info, index + 1, element, &zero)) return status;
    side->has_codes = true;
    side->codes.scale = *static_cast<const float *>(scale.data);
    side->codes.is_signed = element == kOrtInt8;
    side->codes.zero_point = element == kOrtInt8 ? *static_cast<const int8_t *>(zero.data)
                                                 : *static_cast<const uint8_t *>(zero.data);
    if (read_grid(side->codes, &side->grid)) return nullptr;
    return refusal(kOrtInvalidArgument, "input " + std::to_string(index) + ", a scale, is not from 1e-30 to 1e30");
}

namespace {

// Signs of pixels, in parts of some pixels.
struct Packing {
    const void *x;
    const Side *side;
    int64_t pixels, depth, parts;  // pixels of one group
    uint32_t *bits;
};

void pack_part(void *user, size_t part) {
    const Packing &job = *static_cast<const Packing *>(user);
    const int64_t first = job.pixels * static_cast<int64_t>(part) / job.parts;
    const int64_t end = job.pixels * static_cast<int64_t>(part + 1) / job.parts;
    uint32_t *bits = job.bits + first * ((job.depth + 31) / 32);
    if (job.side->has_codes) {
        const uint8_t *codes = static_cast<const uint8_t *>(job.x) + first * job.depth;
        code_kernels(active_kernels())->signs(codes, job.side->grid, end - first, job.depth, bits);
    } else {
        binary_signs(static_cast<const float *>(job.x) + first * job.depth, end - first, job.depth, bits);
    }
}

}  // namespace

OrtStatus *pack(OrtKernelContext *context, const Tensor &x, const Side &side, int groups, uint32_t *bits) {
    Packing job = {x.data, &side, x.shape[0] * x.shape[1] * x.shape[2] * groups, x.shape[3] / groups, 1, bits};
    job.parts = parts_of(job.pixels * job.depth / 8, job.pixels);  // a value takes an eighth of what an output does
    return for_parts(context, pack_part, job.parts, &job);
}

namespace {

struct SignsOperator : OrtOperator {
    int element;  // of x
};

int element_of(const OrtOperator *op) { return static_cast<const SignsOperator *>(op)->element; }

struct Kernel {
    int32_t groups;
    Side side;
};

OrtStatus *create_kernel(int element, const OrtKernelInfo *info, void **kernel) {
    Kernel made = {};
    if (OrtStatus *status = read_int(info, "group", &made.groups)) return status;
    if (made.groups < 1) return refusal(kOrtInvalidArgument, "group is less than 1");
    if (element != kOrtFloat) {
        if (OrtStatus *status = read_side(info, 1, element, &made.side)) return status;
    }
    *kernel = new Kernel(made);
    return nullptr;
}

OrtStatus *compute(const Kernel &kernel, OrtKernelContext *context) {
    Tensor x;
    if (OrtStatus *status = read_input(context, 0, &x)) return status;
    const int64_t groups = kernel.groups;
    if (x.shape.size() != 4 || !is_usable(x) || x.shape[3] % groups != 0) {
        return refusal(kOrtInvalidArgument, "x is not (N, H, W, channels) with channels a multiple of group");
    }
    void *bits = nullptr;
    const int64_t words = groups * ((x.shape[3] / groups + 31) / 32);
    if (OrtStatus *status = make_output(context, 0, {x.shape[0], x.shape[1], x.shape[2], words}, &bits)) return status;
    return pack(context, x, kernel.side, kernel.groups, static_cast<uint32_t *>(bits));
}

OrtStatus *infer_shape(OrtShapeContext *context) {
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

SignsOperator signs_operator(int element) {
    SignsOperator op;
    static_cast<OrtOperator &>(op) = plain_operator();
    op.element = element;
    op.name = [](const OrtOperator *each) {
        return element_of(each) == kOrtFloat ? "BinarySigns" : "QLinearBinarySigns";
    };
    op.input_type = [](const OrtOperator *each, size_t i) -> int { return i == 1 ? kOrtFloat : element_of(each); };
    op.output_type = [](const OrtOperator *, size_t) -> int { return kOrtUint32; };
    op.input_count = [](const OrtOperator *each) { return size_t{element_of(each) == kOrtFloat ? 1u : 3u}; };
    op.output_count = [](const OrtOperator *) { return size_t{1}; };
    op.kernel_destroy = [](void *kernel) { delete static_cast<Kernel *>(kernel); };
    op.create_kernel_v2 = [](const OrtOperator *each, const OrtApi *, const OrtKernelInfo *info, void **kernel) {
        return guarded([=] { return create_kernel(element_of(each), info, kernel); });
    };
    op.kernel_compute_v2 = [](void *kernel, OrtKernelContext *context) {
        return guarded([=] { return compute(*static_cast<const Kernel *>(kernel), context); });
    };
    op.infer_output_shape = [](const OrtOperator *, OrtShapeContext *context) {
        return guarded([=] { return infer_shape(context); });
    };
    return op;
}

}  // namespace

std::vector<const OrtOperator *> signs_operators() {
    static const SignsOperator made[] = {signs_operator(kOrtFloat), signs_operator(kOrtUint8),
                                         signs_operator(kOrtInt8)};
    std::vector<const OrtOperator *> all;
    for (const SignsOperator &each : made) all.push_back(&each);
    return all;
}

}  // namespace binary_operator
}  // namespace edgekit
