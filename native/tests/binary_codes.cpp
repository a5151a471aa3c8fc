// Codes of 8 bits around the binary convolution: every set of kernels against formulas written out, ties included.
#include "binary_codes.h"

#include <math.h>

#include <algorithm>
#include <limits>

#include "binary_kernels.h"
#include "check.h"

namespace {

using edgekit::CodeGrid;
using edgekit::CodeKernels;

edgekit_binary_codes codes_of(Numbers &numbers) {
    edgekit_binary_codes codes;
    codes.scale = numbers.whole(0, 2) == 0 ? 0.25f : (numbers.unit() + 0.01f) * 0.1f;
    codes.is_signed = numbers.whole(0, 1);
    codes.zero_point = codes.is_signed ? numbers.whole(-128, 127) : numbers.whole(0, 255);
    if (numbers.whole(0, 3) == 0) codes.zero_point = codes.is_signed ? 127 : 0;
    return codes;
}

int code_at(const uint8_t *bytes, size_t i, const edgekit_binary_codes &codes) {
    return codes.is_signed ? static_cast<int8_t>(bytes[i]) : bytes[i];
}

int direct_code(float value, const edgekit_binary_codes &codes) {
    const int least = codes.is_signed ? -128 : 0;
    const float quotient = value / codes.scale;
    const float steps = rintf(fminf(fmaxf(quotient, -1000.0f), 1000.0f));
    return std::min(std::max(static_cast<int>(steps) + codes.zero_point, least), least + 255);
}

float direct_value(int code, const edgekit_binary_codes &codes) {
    return static_cast<float>(code - codes.zero_point) * codes.scale;
}

// Values that lie on a tie, beside one by the smallest difference, beyond the limits and anywhere.
float value_of(Numbers &numbers, const edgekit_binary_codes &codes) {
    const float tie = (static_cast<float>(numbers.whole(-300, 300)) + 0.5f) * codes.scale;
    switch (numbers.whole(0, 6)) {
        case 0: return tie;
        case 1: return nextafterf(tie, INFINITY);
        case 2: return nextafterf(tie, -INFINITY);
        case 3: return numbers.whole(0, 1) ? 0.0f : -0.0f;
        case 4: return numbers.whole(0, 1) ? INFINITY : -std::numeric_limits<float>::max();
        default: return (numbers.unit() - 0.5f) * 600 * codes.scale;
    }
}

void check_functions(const CodeKernels &kernels) {
    Numbers numbers(7);
    for (int round = 0; round < 4000; round++) {
        const edgekit_binary_codes codes = codes_of(numbers);
        CodeGrid grid;
        CHECK(edgekit::read_grid(codes, &grid));
        const int count = numbers.whole(1, edgekit::kBinaryLanes);
        // Exactly as large as they must be, so that a sanitizer sees a byte too far.
        std::vector<uint8_t> bytes(static_cast<size_t>(count)), back(bytes.size());
        for (uint8_t &byte : bytes) byte = static_cast<uint8_t>(numbers.bits());
        float values[edgekit::kBinaryLanes] = {};
        kernels.to_values(bytes.data(), grid, count, values);
        for (size_t i = 0; i < bytes.size(); i++) {
            CHECK(values[i] == direct_value(code_at(bytes.data(), i, codes), codes));
        }

        for (float &value : values) value = value_of(numbers, codes);
        kernels.to_codes(values, grid, count, back.data());
        for (size_t i = 0; i < back.size(); i++) {
            CHECK(code_at(back.data(), i, codes) == direct_code(values[i], codes));
        }
    }
}

void check_signs(const CodeKernels &kernels) {
    Numbers numbers(8);
    for (int64_t channels = 1; channels < 140; channels++) {
        const edgekit_binary_codes codes = codes_of(numbers);
        CodeGrid grid;
        CHECK(edgekit::read_grid(codes, &grid));
        const int64_t rows = 3, words = (channels + 31) / 32;
        std::vector<uint8_t> bytes(static_cast<size_t>(rows * channels));
        for (uint8_t &byte : bytes) byte = static_cast<uint8_t>(numbers.bits());
        std::vector<uint32_t> bits(static_cast<size_t>(rows * words), 0xdeadbeef);
        kernels.signs(bytes.data(), grid, rows, channels, bits.data());
        for (int64_t i = 0; i < rows * words * 32; i++) {
            const int64_t row = i / (words * 32), channel = i % (words * 32);
            const uint32_t bit = bits[static_cast<size_t>(i / 32)] >> (i % 32) & 1;
            const size_t place = static_cast<size_t>(row * channels + channel);
            CHECK(bit == (channel < channels && code_at(bytes.data(), place, codes) < codes.zero_point ? 1u : 0u));
        }
    }
}

// A convolution with codes on either side gives the codes of what it gives in floats.
void check_convolution(const char *kernels, uint64_t seed) {
    Numbers numbers(seed);
    const int groups = numbers.whole(1, 2);
    const int in_channels = groups * numbers.whole(1, 40), out_channels = groups * numbers.whole(1, 80);
    const edgekit_binary_geometry g = {in_channels, out_channels, 3, 3, 1, 2, 1, 0, 1, 1, groups, numbers.whole(0, 1)};
    const int height = 4, width = 9, rows = 4, columns = 4;
    std::vector<int8_t> weights(static_cast<size_t>(g.out_channels * 9 * g.in_channels / groups));
    for (int8_t &weight : weights) weight = static_cast<int8_t>(numbers.whole(-1, 0));
    std::vector<float> multiplier(static_cast<size_t>(g.out_channels)), offset(multiplier.size());
    for (float &m : multiplier) m = (numbers.unit() - 0.5f) * 0.2f;
    for (float &b : offset) b = numbers.unit() * 4 - 2;
    edgekit_binary_conv *conv = nullptr;
    CHECK(edgekit_binary_conv_create(&g, weights.data(), multiplier.data(), offset.data(), kernels, &conv) == 0);

    const edgekit_binary_codes x_codes = codes_of(numbers), added_codes = codes_of(numbers);
    const edgekit_binary_codes y_codes = codes_of(numbers);
    std::vector<uint8_t> x(static_cast<size_t>(height * width * g.in_channels));
    std::vector<float> x_values(x.size());
    for (size_t i = 0; i < x.size(); i++) {
        x[i] = static_cast<uint8_t>(numbers.bits());
        x_values[i] = direct_value(code_at(x.data(), i, x_codes), x_codes);
    }
    std::vector<uint32_t> bits(static_cast<size_t>(height * width * edgekit_binary_conv_words_in(conv))), same(bits);
    CHECK(edgekit_binary_pack_codes(conv, x.data(), &x_codes, height * width, bits.data()) == 0);
    CHECK(edgekit_binary_pack_float(conv, x_values.data(), height * width, same.data()) == 0);
    CHECK(bits == same);

    const size_t count = static_cast<size_t>(rows * columns * g.out_channels);
    std::vector<uint8_t> added(count), y(count);
    std::vector<float> added_values(count), expected(count), floats(count);
    for (size_t i = 0; i < count; i++) {
        added[i] = static_cast<uint8_t>(numbers.bits());
        added_values[i] = direct_value(code_at(added.data(), i, added_codes), added_codes);
    }
    const size_t words = static_cast<size_t>(rows * columns * edgekit_binary_conv_words_out(conv));
    std::vector<uint32_t> float_bits(words), code_bits(words), spare(words);
    const auto run = [&](const void *residual, const edgekit_binary_codes *residual_codes, void *out,
                         const edgekit_binary_codes *out_codes, uint32_t *out_bits) {
        return edgekit_binary_conv_add_codes(conv, bits.data(), 1, height, width, 0, rows, residual, residual_codes,
                                             -1.5f, 2.0f, out, out_codes, out_bits);
    };
    CHECK(edgekit_binary_conv_add(conv, bits.data(), 1, height, width, 0, rows, added_values.data(), -1.5f, 2.0f,
                                  expected.data(), float_bits.data()) == 0);
    CHECK(run(added.data(), &added_codes, floats.data(), nullptr, spare.data()) == 0);
    CHECK(floats == expected && spare == float_bits);
    for (int kind = 0; kind < 2; kind++) {
        const bool in_codes = kind == 0;
        const void *residual = in_codes ? static_cast<const void *>(added.data()) : added_values.data();
        CHECK(run(residual, in_codes ? &added_codes : nullptr, y.data(), &y_codes, code_bits.data()) == 0);
        for (size_t i = 0; i < count; i++) CHECK(code_at(y.data(), i, y_codes) == direct_code(expected[i], y_codes));
        CHECK(code_bits == float_bits);
    }
    CHECK(run(nullptr, &added_codes, y.data(), &y_codes, nullptr) == 0);
    // In the place of the residual, as a host may ask.
    CHECK(run(added.data(), &added_codes, y.data(), &y_codes, nullptr) == 0);
    CHECK(run(added.data(), &added_codes, added.data(), &y_codes, nullptr) == 0);
    CHECK(added == y);
    edgekit_binary_conv_destroy(conv);
}

void check_refusals() {
    const float most = std::numeric_limits<float>::max();
    const edgekit_binary_codes bad[] = {
        {0.0f, 0, 0},  {-1.0f, 0, 0}, {NAN, 0, 0},   {INFINITY, 0, 0},       {most, 0, 0},           {1e-38f, 0, 0},
        {1.0f, -1, 0}, {1.0f, 256, 0}, {1.0f, 128, 1}, {1.0f, -129, 1},      {1.0f, 0, 2},           {1.0f, 0, -1},
        {1.0f, std::numeric_limits<int32_t>::max(), 1}, {1.0f, std::numeric_limits<int32_t>::min(), 0},
    };
    CodeGrid grid;
    for (const edgekit_binary_codes &codes : bad) CHECK(!edgekit::read_grid(codes, &grid));
    const edgekit_binary_codes good = {1.0f, 0, 0};
    const edgekit_binary_geometry g = {32, 4, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0};
    const std::vector<int8_t> weights(128, 1);
    const float ones[4] = {1, 1, 1, 1};
    edgekit_binary_conv *conv = nullptr;
    CHECK(edgekit_binary_conv_create(&g, weights.data(), ones, ones, nullptr, &conv) == EDGEKIT_OK);
    uint8_t x[32] = {}, y[4];
    uint32_t bits = 0;
    CHECK(edgekit_binary_pack_codes(conv, x, &bad[0], 1, &bits) == EDGEKIT_BAD_VALUE);
    CHECK(edgekit_binary_pack_codes(conv, x, nullptr, 1, &bits) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_binary_pack_codes(conv, x, &good, -1, &bits) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_binary_pack_codes(conv, x, &good, 1, &bits) == EDGEKIT_OK);
    const auto add = [&](const edgekit_binary_codes *in, const edgekit_binary_codes *out) {
        return edgekit_binary_conv_add_codes(conv, &bits, 1, 1, 1, 0, 1, x, in, -1, 1, y, out, nullptr);
    };
    CHECK(add(&bad[8], &good) == EDGEKIT_BAD_VALUE);
    CHECK(add(&good, &bad[1]) == EDGEKIT_BAD_VALUE);
    CHECK(add(&good, &good) == EDGEKIT_OK);
    edgekit_binary_conv_destroy(conv);
}

}  // namespace

int main() {
    check_refusals();
    for (edgekit::Kernels kernels : kernels_here()) {
        check_functions(*edgekit::code_kernels(kernels));
        check_signs(*edgekit::code_kernels(kernels));
        for (uint64_t seed = 1; seed <= 200; seed++) check_convolution(edgekit::name_of(kernels), seed);
    }
    std::printf("%zu sets of kernels\n", kernels_here().size());
    return 0;
}
