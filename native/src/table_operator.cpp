// The lookup of 8-bit codes as an operator of ONNX Runtime 1.16 and later: domain "edgekit", Table, version 1.
//
//     y = Table(x, table)
//     x      uint8, any shape
//     table  uint8 (256), constant
//     y      uint8, the shape of x: table[x]
//
// What is large is shared among the threads of the session, and output shapes told to it, from 1.17 on.
#include <string.h>

#include <algorithm>

#include "onnxruntime_operator.h"
#include "table.h"

namespace edgekit {
namespace {

constexpr int64_t kPart = 1 << 15;  // bytes; fewer are not worth a thread's waking up

struct Kernel {
    uint8_t table[256];
    Lookup lookup;
};

struct Job {
    const Kernel *kernel;
    const uint8_t *x;
    uint8_t *y;
    int64_t count;
};

void look_up_part(void *user, size_t part) {
    const Job &job = *static_cast<Job *>(user);
    const int64_t first = static_cast<int64_t>(part) * kPart;
    job.kernel->lookup(job.kernel->table, job.x + first, std::min(kPart, job.count - first), job.y + first);
}

OrtStatus *create_kernel(const OrtKernelInfo *info, void **kernel) {
    Tensor table;
    if (OrtStatus *status = read_constant(info, 1, kOrtUint8, 1, &table)) return status;
    if (table.shape[0] != 256) {
        return refusal(kOrtInvalidArgument,
                       "a table has 256 entries, this one " + std::to_string(table.shape[0]));
    }
    Kernel *made = new Kernel;
    memcpy(made->table, table.data, sizeof made->table);
    made->lookup = lookup_of(active_kernels());
    *kernel = made;
    return nullptr;
}

OrtStatus *compute(const Kernel &kernel, OrtKernelContext *context) {
    Tensor x;
    if (OrtStatus *status = read_input(context, 0, &x)) return status;
    void *y = nullptr;
    if (OrtStatus *status = make_output(context, 0, x.shape, &y)) return status;
    int64_t count = 1;
    for (int64_t side : x.shape) count *= side;
    Job job = {&kernel, static_cast<const uint8_t *>(x.data), static_cast<uint8_t *>(y), count};
    return for_parts(context, look_up_part, (count + kPart - 1) / kPart, &job);
}

OrtStatus *infer_shape(OrtShapeContext *context) {
    // The shape of x goes on as it is, sides that are known only at the run included.
    OrtShape *info = nullptr;  // the context's own
    if (OrtStatus *status =
            ort_call<268, OrtStatus *>(ort_api(), const_cast<const OrtShapeContext *>(context), size_t{0}, &info)) {
        return status;
    }
    return ort_call<270, OrtStatus *>(ort_api(), const_cast<const OrtShapeContext *>(context), size_t{0},
                                      const_cast<const OrtShape *>(info));
}

}  // namespace

const OrtOperator *table_operator() {
    static const OrtOperator made = [] {
        OrtOperator op = plain_operator();
        op.name = [](const OrtOperator *) { return "Table"; };
        op.input_type = [](const OrtOperator *, size_t) -> int { return kOrtUint8; };
        op.input_count = [](const OrtOperator *) { return size_t{2}; };
        op.output_type = [](const OrtOperator *, size_t) -> int { return kOrtUint8; };
        op.output_count = [](const OrtOperator *) { return size_t{1}; };
        op.kernel_destroy = [](void *kernel) { delete static_cast<Kernel *>(kernel); };
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

}  // namespace edgekit
