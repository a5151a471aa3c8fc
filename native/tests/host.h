// As much of ONNX Runtime as the operators call, for tests: tensors, attributes, and threads that share the work.
//
// The numbers are places in its table of functions, as in onnxruntime_abi.h.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "check.h"
#include "onnxruntime_abi.h"

extern "C" edgekit::OrtStatus *RegisterCustomOps(edgekit::OrtSessionOptions *options, const edgekit::OrtApiBase *base);

namespace host {

using namespace edgekit;

// A tensor; stands for its own shape as well. Data that ends where the vector ends: a sanitizer sees a byte too far.
struct Tensor {
    int element = kOrtUint8;
    std::vector<int64_t> shape;
    std::vector<uint8_t> data;
};

// What a kernel is made from: constants by input (null where an input is none), and attributes.
struct Info {
    std::vector<const Tensor *> constants;
    std::map<std::string, std::vector<int64_t>> ints;
    std::map<std::string, float> floats;
};

// One run, or one inference of shapes.
struct Context {
    std::vector<const Tensor *> inputs;
    std::vector<Tensor> outputs;
    const Info *info = nullptr;
    int threads = 1;
};

struct Status {
    std::string message;
};

inline OrtStatus *fail(const std::string &message) { return reinterpret_cast<OrtStatus *>(new Status{message}); }

// What a call gave: empty where all was well.
inline std::string told(OrtStatus *status) {
    std::unique_ptr<Status> owned(reinterpret_cast<Status *>(status));
    return owned ? owned->message : "";
}

inline size_t bytes_of(int element) { return element == kOrtUint8 || element == kOrtInt8 ? 1 : 4; }

inline const Tensor *tensor_of(const void *handle) { return static_cast<const Tensor *>(handle); }

struct Registered {
    std::vector<const OrtOperator *> operators;
    int sessions = 0;
};

inline Registered &registered() {
    static Registered made;
    return made;
}

inline OrtStatus *ints_of(const Info *info, const char *name, size_t count, int64_t *values) {
    const auto found = info->ints.find(name);
    if (found == info->ints.end()) return fail(std::string(name) + " is missing");
    if (found->second.size() > count) return fail(std::string(name) + " is too long");
    std::copy(found->second.begin(), found->second.end(), values);
    return nullptr;
}

inline void fill(std::vector<OrtFunction> &table) {
    const auto put = [&](size_t place, auto function) { table[place] = reinterpret_cast<OrtFunction>(+function); };
    put(0, [](int, const char *message) { return fail(message); });
    put(26, [](const char *, OrtDomain **domain) -> OrtStatus * {
        *domain = reinterpret_cast<OrtDomain *>(&registered());
        return nullptr;
    });
    put(27, [](OrtDomain *, const OrtOperator *op) -> OrtStatus * {
        registered().operators.push_back(op);
        return nullptr;
    });
    put(28, [](OrtSessionOptions *, OrtDomain *) -> OrtStatus * {
        __atomic_fetch_add(&registered().sessions, 1, __ATOMIC_RELAXED);
        return nullptr;
    });
    put(51, [](OrtValue *value, void **data) -> OrtStatus * {
        *data = reinterpret_cast<Tensor *>(value)->data.data();
        return nullptr;
    });
    put(57, [](OrtShape **made) -> OrtStatus * {
        *made = reinterpret_cast<OrtShape *>(new Tensor);
        return nullptr;
    });
    put(58, [](OrtShape *shape, int element) -> OrtStatus * {
        reinterpret_cast<Tensor *>(shape)->element = element;
        return nullptr;
    });
    put(59, [](OrtShape *shape, const int64_t *sides, size_t rank) -> OrtStatus * {
        reinterpret_cast<Tensor *>(shape)->shape.assign(sides, sides + rank);
        return nullptr;
    });
    put(60, [](const OrtShape *shape, int *element) -> OrtStatus * {
        *element = tensor_of(shape)->element;
        return nullptr;
    });
    put(61, [](const OrtShape *shape, size_t *rank) -> OrtStatus * {
        *rank = tensor_of(shape)->shape.size();
        return nullptr;
    });
    put(62, [](const OrtShape *shape, int64_t *sides, size_t rank) -> OrtStatus * {
        std::copy_n(tensor_of(shape)->shape.begin(), rank, sides);
        return nullptr;
    });
    put(65, [](const OrtValue *value, OrtShape **shape) -> OrtStatus * {
        Tensor *made = new Tensor;
        made->element = tensor_of(value)->element;
        made->shape = tensor_of(value)->shape;
        *shape = reinterpret_cast<OrtShape *>(made);
        return nullptr;
    });
    put(85, [](const OrtKernelInfo *info, const char *name, float *value) -> OrtStatus * {
        const auto &floats = reinterpret_cast<const Info *>(info)->floats;
        if (floats.count(name) == 0) return fail(std::string(name) + " is missing");
        *value = floats.at(name);
        return nullptr;
    });
    put(86, [](const OrtKernelInfo *info, const char *name, int64_t *value) {
        return ints_of(reinterpret_cast<const Info *>(info), name, 1, value);
    });
    put(90, [](const OrtKernelContext *context, size_t index, const OrtValue **value) -> OrtStatus * {
        const auto &inputs = reinterpret_cast<const Context *>(context)->inputs;
        *value = reinterpret_cast<const OrtValue *>(index < inputs.size() ? inputs[index] : nullptr);
        return nullptr;
    });
    put(91, [](OrtKernelContext *context, size_t index, const int64_t *sides, size_t rank, OrtValue **out) {
        Context &run = *reinterpret_cast<Context *>(context);
        *out = nullptr;
        if (index >= run.outputs.size()) return static_cast<OrtStatus *>(nullptr);
        Tensor &tensor = run.outputs[index];
        tensor.shape.assign(sides, sides + rank);
        size_t count = 1;
        for (const int64_t side : tensor.shape) {
            if (side < 0) return fail("a side is negative");
            count *= static_cast<size_t>(side);
        }
        tensor.data.assign(count * bytes_of(tensor.element), 0xcd);
        *out = reinterpret_cast<OrtValue *>(&tensor);
        return static_cast<OrtStatus *>(nullptr);
    });
    put(93, [](OrtStatus *status) { delete reinterpret_cast<Status *>(status); });
    put(99, [](OrtShape *shape) { delete reinterpret_cast<Tensor *>(shape); });
    put(163, [](const OrtKernelInfo *info, const char *name, int64_t *values, size_t *size) -> OrtStatus * {
        const Info &given = *reinterpret_cast<const Info *>(info);
        if (OrtStatus *status = ints_of(&given, name, *size, values)) return status;
        *size = given.ints.at(name).size();
        return nullptr;
    });
    put(249, [](const OrtKernelInfo *info, size_t index, int *is_constant, const OrtValue **value) -> OrtStatus * {
        const auto &constants = reinterpret_cast<const Info *>(info)->constants;
        const Tensor *found = index < constants.size() ? constants[index] : nullptr;
        *is_constant = found != nullptr;
        *value = reinterpret_cast<const OrtValue *>(found);
        return nullptr;
    });
    put(268, [](const OrtShapeContext *context, size_t index, OrtShape **shape) -> OrtStatus * {
        const auto &inputs = reinterpret_cast<const Context *>(context)->inputs;
        if (index >= inputs.size() || inputs[index] == nullptr) return fail("there is no such input");
        *shape = reinterpret_cast<OrtShape *>(const_cast<Tensor *>(inputs[index]));
        return nullptr;
    });
    put(269, [](const OrtShapeContext *context, const char *name, const OrtOpAttribute **attribute) -> OrtStatus * {
        const Info &info = *reinterpret_cast<const Context *>(context)->info;
        if (info.ints.count(name) == 0) return fail(std::string(name) + " is missing");
        *attribute = reinterpret_cast<const OrtOpAttribute *>(&info.ints.at(name));
        return nullptr;
    });
    put(270, [](const OrtShapeContext *context, size_t index, const OrtShape *shape) -> OrtStatus * {
        auto &outputs = const_cast<Context *>(reinterpret_cast<const Context *>(context))->outputs;
        if (index >= outputs.size()) return fail("there is no such output");
        outputs[index].shape = tensor_of(shape)->shape;
        return nullptr;
    });
    put(272, [](const OrtOpAttribute *attribute, int, void *values, size_t bytes, size_t *taken) -> OrtStatus * {
        const auto &ints = *reinterpret_cast<const std::vector<int64_t> *>(attribute);
        *taken = ints.size() * sizeof(int64_t);
        if (*taken > bytes) return fail("an attribute is too long");
        std::memcpy(values, ints.data(), *taken);
        return nullptr;
    });
    put(274, [](const OrtKernelContext *context, void (*part)(void *, size_t), size_t parts, size_t, void *user)
            -> OrtStatus * {
        const int threads = reinterpret_cast<const Context *>(context)->threads;
        std::vector<std::thread> workers;
        for (int worker = 0; worker < threads; ++worker) {
            workers.emplace_back([=] {
                for (size_t i = static_cast<size_t>(worker); i < parts; i += static_cast<size_t>(threads)) part(user, i);
            });
        }
        for (std::thread &worker : workers) worker.join();
        return nullptr;
    });
}

// The table of a version that has all of these functions.
inline const OrtApi *api(uint32_t) {
    static const std::vector<OrtFunction> table = [] {
        std::vector<OrtFunction> made(300);
        fill(made);
        return made;
    }();
    return reinterpret_cast<const OrtApi *>(table.data());
}

inline const OrtApiBase *base() {
    static const OrtApiBase made = {api, [] { return "1.31.1"; }};
    return &made;
}

// An operator by its name; the library is registered for it first.
inline const OrtOperator *find(const char *name) {
    CHECK(RegisterCustomOps(nullptr, base()) == nullptr);
    for (const OrtOperator *op : registered().operators) {
        if (std::strcmp(op->name(op), name) == 0) return op;
    }
    return nullptr;
}

// A kernel; `kernel` stays null where it is refused, and what is given back says why.
inline std::string make(const OrtOperator *op, const Info &info, void **kernel) {
    *kernel = nullptr;
    return told(op->create_kernel_v2(op, api(0), reinterpret_cast<const OrtKernelInfo *>(&info), kernel));
}

inline std::string run(const OrtOperator *op, void *kernel, Context *context) {
    return told(op->kernel_compute_v2(kernel, reinterpret_cast<OrtKernelContext *>(context)));
}

inline std::string infer(const OrtOperator *op, Context *context) {
    return told(op->infer_output_shape(op, reinterpret_cast<OrtShapeContext *>(context)));
}

}  // namespace host
