// Random models for the operators of ONNX Runtime: shapes, constants and attributes that fit, and some that do not.
//
// Element types are always right: ONNX Runtime compares them before an operator is asked.
#pragma once

#include <limits>
#include <string>

#include "check.h"
#include "host.h"

namespace fuzz {

using edgekit::OrtOperator;

// A convolution that fits, of which `spoil` then changes something.
struct Model {
    int64_t images, height, width, channels, groups, out_channels, kernel_h, kernel_w;
    std::vector<int64_t> strides, pads;
    int64_t padding;
};

inline Model model_of(Numbers &numbers) {
    Model m;
    m.groups = numbers.whole(1, 3);
    m.images = numbers.whole(0, 2);
    m.height = numbers.whole(1, 9);
    m.width = numbers.whole(1, 20);
    m.channels = m.groups * numbers.whole(1, 40);
    m.out_channels = m.groups * numbers.whole(1, 40);
    m.kernel_h = numbers.whole(1, 3);
    m.kernel_w = numbers.whole(1, 3);
    m.strides = {numbers.whole(1, 3), numbers.whole(1, 3)};
    for (int i = 0; i < 4; ++i) m.pads.push_back(numbers.whole(0, 2) % (i % 2 == 0 ? m.kernel_h : m.kernel_w));
    m.padding = numbers.whole(0, 1);
    return m;
}

inline int64_t odd(Numbers &numbers) {
    const int64_t values[] = {0, -1, 1, 31, 33, 65537, std::numeric_limits<int64_t>::max(),
                              std::numeric_limits<int64_t>::min()};
    return values[numbers.whole(0, 7)];
}

// Another number of sides, or another side.
inline void spoil_shape(Numbers &numbers, std::vector<int64_t> *shape) {
    const int32_t what = numbers.whole(0, 3);
    if (what == 0 && !shape->empty()) shape->pop_back();
    if (what == 1) shape->push_back(numbers.whole(0, 3));
    if (what >= 2 && !shape->empty()) {
        (*shape)[static_cast<size_t>(numbers.whole(0, static_cast<int32_t>(shape->size()) - 1))] = numbers.whole(0, 40);
    }
}

inline host::Tensor tensor(Numbers &numbers, int element, std::vector<int64_t> shape, bool may_spoil) {
    if (may_spoil && numbers.whole(0, 25) == 0) spoil_shape(numbers, &shape);
    host::Tensor made;
    made.element = element;
    made.shape = shape;
    size_t count = host::bytes_of(element);
    for (const int64_t side : shape) count *= static_cast<size_t>(side);
    made.data.resize(count);
    for (uint8_t &byte : made.data) byte = static_cast<uint8_t>(numbers.bits());
    if (element == edgekit::kOrtFloat && numbers.whole(0, 5) != 0) {  // else any bits: NaN, infinite, denormal
        for (size_t i = 0; i < count / 4; ++i) {
            const float value = numbers.unit() * 4 - 2;
            std::memcpy(made.data.data() + 4 * i, &value, 4);
        }
    }
    return made;
}

inline host::Info info_of(Numbers &numbers, const Model &m) {
    host::Info info;
    info.ints = {{"channels", {m.channels}}, {"group", {m.groups}}, {"strides", m.strides}, {"pads", m.pads},
                 {"padding", {m.padding}}};
    info.floats = {{"low", -1.5f}, {"high", numbers.whole(0, 20) == 0 ? -2.0f : 1.5f}};
    if (numbers.whole(0, 5) == 0) {
        auto spoiled = info.ints.begin();
        std::advance(spoiled, numbers.whole(0, 4));
        if (numbers.whole(0, 4) == 0) {
            info.ints.erase(spoiled);
        } else {
            spoiled->second[static_cast<size_t>(numbers.whole(0, static_cast<int32_t>(spoiled->second.size()) - 1))] =
                odd(numbers);
        }
    }
    return info;
}

inline int64_t out_side(int64_t side, int64_t before, int64_t after, int64_t kernel, int64_t stride) {
    return side + before + after < kernel ? 0 : (side + before + after - kernel) / stride + 1;
}

// A scale of codes, seldom one that is none.
inline host::Tensor scale(Numbers &numbers) {
    host::Tensor made = tensor(numbers, edgekit::kOrtFloat, {}, true);
    const float odd[] = {0.0f, -1.0f, 1e-38f, 3e38f, std::numeric_limits<float>::quiet_NaN()};
    const float value = numbers.whole(0, 30) == 0 ? odd[numbers.whole(0, 4)] : 0.001f + numbers.unit();
    if (made.data.size() >= 4) std::memcpy(made.data.data(), &value, 4);
    return made;
}

// The inputs that an operator takes, as the model has them: by its name and the elements that it says.
inline std::vector<host::Tensor> inputs_of(Numbers &numbers, const OrtOperator *op, const Model &m) {
    const std::string name = op->name(op);
    const int64_t depth = m.channels / m.groups, words = (depth + 31) / 32;
    std::vector<host::Tensor> inputs;
    const auto add = [&](std::vector<int64_t> shape) {
        inputs.push_back(tensor(numbers, op->input_type(op, inputs.size()), shape, true));
    };
    const auto add_grid = [&] {
        inputs.push_back(scale(numbers));
        add({});
    };
    if (name == "Table") {
        std::vector<int64_t> shape;
        for (int i = numbers.whole(0, 4); i > 0; --i) shape.push_back(numbers.whole(0, 30));
        return {tensor(numbers, edgekit::kOrtUint8, shape, false), tensor(numbers, edgekit::kOrtUint8, {256}, true)};
    }
    const bool has_bits = op->input_type(op, 0) == edgekit::kOrtUint32, in_codes = name.find("QLinear") == 0;
    add({m.images, m.height, m.width, has_bits ? m.groups * words : m.channels});
    if (!has_bits && in_codes) add_grid();
    if (name.find("BinarySigns") != std::string::npos) return inputs;
    add({m.out_channels, m.kernel_h, m.kernel_w, words});
    for (int i = 0; i < 2; ++i) add({m.out_channels});
    if (in_codes) add_grid();
    if (name.find("BinaryConvSum") == std::string::npos) return inputs;
    const int64_t rows = out_side(m.height, m.pads[0], m.pads[2], m.kernel_h, m.strides[0]);
    const int64_t columns = out_side(m.width, m.pads[1], m.pads[3], m.kernel_w, m.strides[1]);
    add({m.images, rows, columns, m.out_channels});
    add_grid();
    return inputs;
}

// One operator: its shapes are inferred, its kernel made and run. True where it ran.
inline bool operators(Numbers &numbers) {
    CHECK(RegisterCustomOps(nullptr, host::base()) == nullptr);
    const auto &all = host::registered().operators;
    const OrtOperator *op = all[static_cast<size_t>(numbers.whole(0, static_cast<int32_t>(all.size()) - 1))];
    const Model model = model_of(numbers);
    const std::vector<host::Tensor> inputs = inputs_of(numbers, op, model);
    CHECK(inputs.size() == op->input_count(op));
    host::Info info = info_of(numbers, model);
    host::Context context;
    context.info = &info;
    for (size_t i = 0; i < inputs.size(); ++i) {
        CHECK(inputs[i].element == op->input_type(op, i));
        info.constants.push_back(i > 0 && numbers.whole(0, 40) != 0 ? &inputs[i] : nullptr);
        context.inputs.push_back(&inputs[i]);
    }
    // A sum's residual may be left out, and one of floats has no grid.
    const size_t residual = inputs.size() - 3;
    const bool adds = std::string(op->name(op)).find("BinaryConvSum") != std::string::npos;
    if (adds && numbers.whole(0, 2) == 0) context.inputs[residual] = nullptr;
    if (adds && inputs[residual].element == edgekit::kOrtFloat && numbers.whole(0, 9) != 0) {
        info.constants[residual + 1] = info.constants[residual + 2] = nullptr;
    }
    context.outputs.resize(op->output_count(op));
    for (size_t i = 0; i < context.outputs.size(); ++i) context.outputs[i].element = op->output_type(op, i);
    const std::string inferring = host::infer(op, &context);
    const std::vector<int64_t> inferred = context.outputs[0].shape;
    void *kernel = nullptr;
    const std::string making = host::make(op, info, &kernel);
    CHECK(making.empty() == (kernel != nullptr));
    if (kernel == nullptr) return false;
    const std::string running = host::run(op, kernel, &context);
    if (running.empty() && inferring.empty()) CHECK(context.outputs[0].shape == inferred);
    op->kernel_destroy(kernel);
    return running.empty();
}

}  // namespace fuzz
