// Every set of kernels against a direct convolution of +1, -1 and 0, on odd shapes; what is refused.
#include <math.h>

#include <string>

#include "check.h"
#include "edgekit_binary.h"

namespace {

struct Case {
    int channels, out_channels, kernel, stride, pad, groups, padding, height, width;
};

edgekit_binary_geometry geometry_of(const Case &c) {
    return {c.channels, c.out_channels, c.kernel, c.kernel, c.stride, c.stride,
            c.pad,      c.pad,          c.pad,    c.pad,    c.groups, c.padding};
}

// An input value; outside the image what the padding says.
float value_at(const Case &c, const std::vector<float> &x, int image, int row, int column, int channel) {
    if (row < 0 || row >= c.height || column < 0 || column >= c.width) return static_cast<float>(c.padding);
    return x[((image * c.height + row) * c.width + column) * c.channels + channel] < 0 ? -1.0f : 1.0f;
}

int32_t direct_dot(const Case &c, const std::vector<float> &x, const std::vector<int8_t> &weights, int image, int row,
                   int column, int channel) {
    const int depth = c.channels / c.groups;
    const int group = channel / (c.out_channels / c.groups);
    float sum = 0;
    for (int ky = 0; ky < c.kernel; ky++) {
        for (int kx = 0; kx < c.kernel; kx++) {
            for (int i = 0; i < depth; i++) {
                const float a = value_at(c, x, image, row * c.stride - c.pad + ky, column * c.stride - c.pad + kx,
                                         group * depth + i);
                sum += weights[((channel * c.kernel + ky) * c.kernel + kx) * depth + i] < 0 ? -a : a;
            }
        }
    }
    return static_cast<int32_t>(sum);
}

void check_case(const Case &c, const char *kernels, uint64_t seed) {
    Numbers numbers(seed);
    const int images = 2;
    const int rows = (c.height + 2 * c.pad - c.kernel) / c.stride + 1;
    const int columns = (c.width + 2 * c.pad - c.kernel) / c.stride + 1;
    const int pixels = images * c.height * c.width;
    std::vector<float> x(pixels * c.channels);
    std::vector<int8_t> codes(x.size());
    for (size_t i = 0; i < x.size(); i++) {
        codes[i] = static_cast<int8_t>(numbers.whole(-4, 3));
        x[i] = codes[i] == 0 && (i & 1) ? -0.0f : codes[i] * 0.25f;
    }
    std::vector<int8_t> weights(c.out_channels * c.kernel * c.kernel * (c.channels / c.groups));
    for (int8_t &w : weights) w = static_cast<int8_t>(numbers.whole(-1, 1));
    std::vector<float> multiplier(c.out_channels), offset(c.out_channels);
    for (int i = 0; i < c.out_channels; i++) {
        // Both signs, nothing at all, and whole numbers, which give sums of exactly 0.
        multiplier[i] = i % 5 == 0 ? 0.0f : i % 5 == 1 ? -1.0f : i % 5 == 2 ? 1.0f : numbers.unit() * 2 - 1;
        offset[i] = i % 5 < 3 ? static_cast<float>(numbers.whole(-4, 4)) : numbers.unit() * 20 - 10;
    }

    const edgekit_binary_geometry geometry = geometry_of(c);
    edgekit_binary_conv *conv = nullptr;
    CHECK(edgekit_binary_conv_create(&geometry, weights.data(), multiplier.data(), offset.data(), kernels, &conv) == 0);
    const int64_t words_in = edgekit_binary_conv_words_in(conv);
    const int64_t words_out = edgekit_binary_conv_words_out(conv);
    std::vector<uint32_t> bits(pixels * words_in, 0xdeadbeef), bits_of_codes(bits.size(), 0xdeadbeef);
    CHECK(edgekit_binary_pack_float(conv, x.data(), pixels, bits.data()) == 0);
    CHECK(edgekit_binary_pack_int8(conv, codes.data(), pixels, bits_of_codes.data()) == 0);
    CHECK(bits == bits_of_codes);

    const int64_t all_rows = images * rows;
    const int64_t out_pixels = all_rows * columns;
    std::vector<float> y(out_pixels * c.out_channels);
    std::vector<int8_t> q(y.size());
    std::vector<uint32_t> out_bits(out_pixels * words_out, 0xdeadbeef), sum_bits(out_bits);
    std::vector<float> residual(y.size()), sum(y.size()), clamped(y.size());
    for (float &value : residual) value = static_cast<float>(numbers.whole(-40, 40)) * 0.25f;
    residual[0] = NAN;  // as in a comparison: gives the lower limit
    const int64_t middle = all_rows / 2;  // in two parts, as two threads would
    for (int part = 0; part < 2; part++) {
        const int64_t begin = part == 0 ? 0 : middle;
        const int64_t end = part == 0 ? middle : all_rows;
        const auto run = [&](int output, void *out) {
            return edgekit_binary_conv_run(conv, bits.data(), images, c.height, c.width, begin, end, output, out);
        };
        CHECK(run(EDGEKIT_BINARY_TO_FLOAT, y.data()) == 0);
        CHECK(run(EDGEKIT_BINARY_TO_INT8, q.data()) == 0);
        CHECK(run(EDGEKIT_BINARY_TO_BITS, out_bits.data()) == 0);
        CHECK(edgekit_binary_conv_add(conv, bits.data(), images, c.height, c.width, begin, end, residual.data(), -3.0f,
                                      2.5f, sum.data(), sum_bits.data()) == 0);
        CHECK(edgekit_binary_conv_add(conv, bits.data(), images, c.height, c.width, begin, end, nullptr, -3.0f, 2.5f,
                                      clamped.data(), nullptr) == 0);
    }
    for (int64_t pixel = 0; pixel < out_pixels; pixel++) {
        for (int channel = 0; channel < c.out_channels; channel++) {
            const int row = static_cast<int>(pixel / columns);
            const int32_t dot =
                direct_dot(c, x, weights, row / rows, row % rows, static_cast<int>(pixel % columns), channel);
            const float product = multiplier[channel] * static_cast<float>(dot);
            const float expected = product + offset[channel];
            CHECK(y[pixel * c.out_channels + channel] == expected);
            CHECK(q[pixel * c.out_channels + channel] == lrintf(fmaxf(-127.0f, fminf(127.0f, expected))));
            const bool is_negative = static_cast<double>(multiplier[channel]) * dot + offset[channel] < 0;
            const uint32_t word = out_bits[pixel * words_out + channel / 32];
            CHECK((word >> (channel % 32) & 1) == static_cast<uint32_t>(is_negative));
            const size_t place = pixel * c.out_channels + channel;
            const auto limited = [](float value) {
                value = value > -3.0f ? value : -3.0f;
                return value < 2.5f ? value : 2.5f;
            };
            CHECK(sum[place] == limited(expected + residual[place]));
            CHECK(clamped[place] == limited(expected));
            const uint32_t sum_word = sum_bits[pixel * words_out + channel / 32];
            CHECK((sum_word >> (channel % 32) & 1) == static_cast<uint32_t>(sum[place] < 0));
        }
        if (c.out_channels % 32 != 0) {
            CHECK(out_bits[(pixel + 1) * words_out - 1] >> (c.out_channels % 32) == 0);
            CHECK(sum_bits[(pixel + 1) * words_out - 1] >> (c.out_channels % 32) == 0);
        }
    }
    edgekit_binary_conv_destroy(conv);
}

void check_refusals() {
    const Case c = {32, 16, 3, 1, 1, 1, 0, 5, 5};
    const edgekit_binary_geometry good = geometry_of(c);
    std::vector<int8_t> weights(16 * 9 * 32, 1);
    std::vector<float> multiplier(16, 1.0f), offset(16, 0.0f);
    edgekit_binary_conv *conv = nullptr;
    const auto make = [&](const edgekit_binary_geometry &geometry, const char *kernels) {
        return edgekit_binary_conv_create(&geometry, weights.data(), multiplier.data(), offset.data(), kernels, &conv);
    };
    edgekit_binary_geometry bad = good;
    bad.groups = 3;
    CHECK(make(bad, nullptr) == EDGEKIT_BAD_SIZE);
    bad = good;
    bad.pad_left = 3;
    CHECK(make(bad, nullptr) == EDGEKIT_BAD_SIZE);
    bad = good;
    bad.padding = 2;
    CHECK(make(bad, nullptr) == EDGEKIT_BAD_SIZE);
    CHECK(make(good, "avx1024") == EDGEKIT_BAD_VALUE);
    offset[3] = NAN;
    CHECK(make(good, nullptr) == EDGEKIT_BAD_VALUE);
    offset[3] = 0.0f;
    CHECK(edgekit_binary_conv_create(&good, nullptr, nullptr, nullptr, nullptr, &conv) == EDGEKIT_BAD_POINTER);
    CHECK(conv == nullptr);
    CHECK(make(good, nullptr) == EDGEKIT_OK);
    uint32_t bits[25] = {};
    float out[25 * 16];
    CHECK(edgekit_binary_conv_run(conv, bits, 1, 5, 5, 0, 6, EDGEKIT_BINARY_TO_FLOAT, out) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_binary_conv_run(conv, bits, 1, 5, 5, 3, 2, EDGEKIT_BINARY_TO_FLOAT, out) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_binary_conv_run(conv, bits, 1, 0, 5, 0, 0, EDGEKIT_BINARY_TO_FLOAT, out) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_binary_conv_run(conv, bits, 1, 5, 5, 0, 5, 3, out) == EDGEKIT_BAD_VALUE);
    CHECK(edgekit_binary_conv_run(conv, nullptr, 1, 5, 5, 0, 5, 0, out) == EDGEKIT_BAD_POINTER);
    const auto add = [&](int64_t end, float low, float high, float *to) {
        return edgekit_binary_conv_add(conv, bits, 1, 5, 5, 0, end, nullptr, low, high, to, nullptr);
    };
    CHECK(add(6, -1, 1, out) == EDGEKIT_BAD_SIZE);
    CHECK(add(5, 1, -1, out) == EDGEKIT_BAD_VALUE);
    CHECK(add(5, NAN, 1, out) == EDGEKIT_BAD_VALUE);
    CHECK(add(5, -1, 1, nullptr) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_binary_pack_float(conv, out, -1, bits) == EDGEKIT_BAD_SIZE);
    edgekit_binary_conv_destroy(conv);
    edgekit_binary_conv_destroy(nullptr);
}

// What a geometry gives for one image, as floats and as bits; empty where it is refused.
std::vector<uint32_t> result_of(const edgekit_binary_geometry &g, const char *kernels, uint64_t seed) {
    Numbers numbers(seed);
    const int height = numbers.whole(0, 9), width = numbers.whole(0, 24);
    std::vector<int8_t> weights(75 * 5 * 5 * 25);
    for (int8_t &w : weights) w = static_cast<int8_t>(numbers.whole(-1, 0));
    std::vector<float> multiplier(256), offset(256);
    for (float &m : multiplier) m = numbers.unit() - 0.5f;
    for (float &b : offset) b = numbers.unit() * 8 - 4;
    edgekit_binary_conv *conv = nullptr;
    if (edgekit_binary_conv_create(&g, weights.data(), multiplier.data(), offset.data(), kernels, &conv) != 0)
        return {};
    std::vector<float> x(static_cast<size_t>(height) * width * g.in_channels);
    for (float &value : x) value = numbers.unit() - 0.5f;
    // Exactly as large as they must be, so that a sanitizer sees a word too far.
    std::vector<uint32_t> bits(height * width * edgekit_binary_conv_words_in(conv));
    const int rows = height + g.pad_top + g.pad_bottom < g.kernel_h
                         ? 0
                         : (height + g.pad_top + g.pad_bottom - g.kernel_h) / g.stride_h + 1;
    const int columns = width + g.pad_left + g.pad_right < g.kernel_w
                            ? 0
                            : (width + g.pad_left + g.pad_right - g.kernel_w) / g.stride_w + 1;
    std::vector<uint32_t> floats(static_cast<size_t>(rows) * columns * g.out_channels);
    std::vector<uint32_t> out(rows * columns * edgekit_binary_conv_words_out(conv));
    const bool is_empty = x.empty() || floats.empty();
    if (!is_empty) CHECK(edgekit_binary_pack_float(conv, x.data(), height * width, bits.data()) == 0);
    uint32_t spare = 0;
    const uint32_t *in = bits.empty() ? &spare : bits.data();
    const auto run = [&](int output, std::vector<uint32_t> &to) {
        return edgekit_binary_conv_run(conv, in, 1, height, width, 0, rows, output, to.empty() ? &spare : to.data());
    };
    CHECK((run(EDGEKIT_BINARY_TO_FLOAT, floats) == EDGEKIT_OK) == !is_empty);
    CHECK((run(EDGEKIT_BINARY_TO_BITS, out) == EDGEKIT_OK) == !is_empty);
    edgekit_binary_conv_destroy(conv);
    floats.insert(floats.end(), out.begin(), out.end());
    return floats;
}

// Geometries at random, sides of their own, most of them refused: nothing is read or written beside the arrays, and all
// kernels give the bits of the reference.
void check_random() {
    int accepted = 0;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        Numbers numbers(seed);
        edgekit_binary_geometry g;
        g.groups = numbers.whole(0, 3);
        g.in_channels = numbers.whole(0, 24) * g.groups + (numbers.whole(0, 9) == 0);
        g.out_channels = numbers.whole(0, 24) * g.groups - (numbers.whole(0, 9) == 0);
        g.kernel_h = numbers.whole(0, 5);
        g.kernel_w = numbers.whole(0, 5);
        g.stride_h = numbers.whole(0, 3);
        g.stride_w = numbers.whole(1, 3);
        g.pad_top = numbers.whole(0, 2);
        g.pad_left = numbers.whole(0, 2);
        g.pad_bottom = numbers.whole(0, 2);
        g.pad_right = numbers.whole(-1, 2);
        g.padding = numbers.whole(0, 1);
        const std::vector<uint32_t> expected = result_of(g, "reference", seed);
        accepted += !expected.empty();
        for (edgekit::Kernels kernels : kernels_here()) {
            CHECK(result_of(g, edgekit::name_of(kernels), seed) == expected);
        }
    }
    std::printf("%d of 1500 random geometries accepted\n", accepted);
    CHECK(accepted > 100);
}

// Tiles are given back: what the processor keeps of this thread when another one runs is as small as before.
void check_state() {
#if defined(__x86_64__)
    if (!edgekit::runs(edgekit::Kernels::amx)) return;
    const edgekit_binary_geometry g = {64, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, EDGEKIT_BINARY_PAD_ZERO};
    const std::vector<int8_t> weights(64 * 9 * 64, 1);
    const std::vector<float> zero(64);
    edgekit_binary_conv *conv = nullptr;
    CHECK(edgekit_binary_conv_create(&g, weights.data(), zero.data(), zero.data(), "amx", &conv) == 0);
    CHECK(std::string(edgekit_binary_conv_kernels(conv)) == "amx");
    std::vector<uint32_t> bits(2 * 8 * 8), out(bits.size());
    CHECK(edgekit_binary_conv_run(conv, bits.data(), 1, 8, 8, 0, 8, EDGEKIT_BINARY_TO_BITS, out.data()) == 0);
    uint32_t in_use, high;
    __asm__ volatile("xgetbv" : "=a"(in_use), "=d"(high) : "c"(1));
    CHECK((in_use & (3u << 17)) == 0);
    edgekit_binary_conv_destroy(conv);
#endif
}

}  // namespace

int main() {
    check_refusals();
    check_state();
    check_random();
    int cases = 0;
    for (edgekit::Kernels kernels : kernels_here()) {
        for (int channels : {1, 3, 31, 32, 33, 63, 64, 65, 127, 128, 256}) {
            for (int kernel : {1, 3, 5}) {
                for (int stride : {1, 2}) {
                    for (int padding : {EDGEKIT_BINARY_PAD_ZERO, EDGEKIT_BINARY_PAD_ONE}) {
                        const int out_channels = 1 + (cases * 37) % 130;
                        const Case c = {channels, out_channels, kernel, stride, kernel / 2, 1, padding, 5, 7};
                        check_case(c, edgekit::name_of(kernels), ++cases);
                    }
                }
            }
        }
        const Case others[] = {
            {6, 9, 3, 1, 1, 3, 0, 5, 4},     {64, 96, 3, 2, 1, 2, 0, 7, 7},  {66, 70, 3, 1, 1, 2, 1, 4, 5},
            {40, 40, 3, 1, 1, 40, 0, 6, 5},  {64, 64, 5, 1, 4, 1, 0, 1, 1},  {32, 200, 5, 2, 2, 1, 0, 2, 3},
            {512, 512, 3, 1, 1, 1, 0, 3, 3}, {33, 17, 1, 1, 0, 1, 0, 1, 13}, {300, 330, 3, 2, 0, 3, 0, 5, 5},
            {1024, 64, 5, 1, 2, 1, 1, 3, 4}, {64, 64, 3, 1, 1, 1, 0, 4, 21}, {33, 70, 3, 2, 1, 1, 1, 5, 31},
            {256, 48, 5, 1, 2, 1, 0, 6, 23}, {64, 128, 3, 1, 1, 1, 0, 14, 56}, {128, 20, 3, 1, 1, 1, 1, 9, 15},
            {256, 65, 1, 1, 0, 1, 0, 4, 33}, {96, 40, 3, 3, 1, 2, 0, 13, 26},  {17, 33, 5, 2, 2, 1, 1, 11, 19},
        };
        for (const Case &c : others) check_case(c, edgekit::name_of(kernels), ++cases);
    }
    std::printf("%d cases\n", cases);
    return 0;
}
