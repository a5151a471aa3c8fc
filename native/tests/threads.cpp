// Everything from several threads at once, the first calls too: for the thread sanitizer, and the same results.
#include <cstring>

#include "check.h"
#include "edgekit.h"
#include "edgekit_binary.h"
#include "edgekit_table.h"
#include "host.h"

namespace {

constexpr int kThreads = 6;

void together(void (*body)(int)) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back(body, i);
    for (std::thread &thread : threads) thread.join();
}

// Arguments of its own in each thread.
void call_functions(int thread) {
    Numbers numbers(static_cast<uint64_t>(thread));
    for (int round = 0; round < 20; ++round) {
        std::vector<uint8_t> table(256), x(1000), y(1000);
        for (uint8_t &byte : table) byte = static_cast<uint8_t>(numbers.bits());
        for (uint8_t &byte : x) byte = static_cast<uint8_t>(numbers.bits());
        CHECK(edgekit_table_u8(table.data(), x.data(), 1000, y.data()) == EDGEKIT_OK);
        for (size_t i = 0; i < x.size(); ++i) CHECK(y[i] == table[x[i]]);

        std::vector<uint8_t> frame(48 * 64 * 3, 9);
        std::vector<float> planes(3 * 32 * 40);
        const float one[3] = {1, 1, 1}, none[3] = {0, 0, 0};
        const edgekit_letterbox where = {frame.data(), 64 * 3, 48, 64, 32, 40, 1, 0, 30, 40, 1, 114};
        CHECK(edgekit_letterbox_f32(&where, one, none, planes.data()) == EDGEKIT_OK);
        CHECK(planes[0] == 114 && planes[2 * 40] == 9);

        const float xyxy[12] = {0, 0, 10, 10, 1, 1, 10, 10, 20, 20, 30, 30}, score[3] = {0.5f, 0.9f, 0.4f};
        int64_t kept[3], count = 0;
        CHECK(edgekit_nms(xyxy, score, nullptr, 3, 0.5f, 3, kept, &count) == EDGEKIT_OK);
        CHECK(count == 2 && kept[0] == 1 && kept[1] == 2);
        CHECK(edgekit_kernels()[0] != 0);
    }
}

edgekit_binary_conv *g_conv = nullptr;
std::vector<uint32_t> g_bits;
std::vector<float> g_y(2 * 12 * 9 * 40);

// One convolution and one image, rows of its own in each thread.
void convolve_rows(int thread) {
    const int64_t rows = 2 * 12;
    const int64_t begin = rows * thread / kThreads, end = rows * (thread + 1) / kThreads;
    CHECK(edgekit_binary_conv_run(g_conv, g_bits.data(), 2, 12, 9, begin, end, EDGEKIT_BINARY_TO_FLOAT, g_y.data()) ==
          EDGEKIT_OK);
}

void share_a_convolution() {
    Numbers numbers(5);
    const edgekit_binary_geometry geometry = {33, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, EDGEKIT_BINARY_PAD_ZERO};
    std::vector<int8_t> weights(40 * 9 * 33);
    for (int8_t &weight : weights) weight = static_cast<int8_t>(numbers.whole(-1, 0));
    const std::vector<float> multiplier(40, 0.5f), offset(40, 1.0f);
    CHECK(edgekit_binary_conv_create(&geometry, weights.data(), multiplier.data(), offset.data(), nullptr, &g_conv) == 0);
    std::vector<float> x(2 * 12 * 9 * 33);
    for (float &value : x) value = numbers.unit() - 0.5f;
    g_bits.resize(static_cast<size_t>(2 * 12 * 9 * edgekit_binary_conv_words_in(g_conv)));
    CHECK(edgekit_binary_pack_float(g_conv, x.data(), 2 * 12 * 9, g_bits.data()) == EDGEKIT_OK);
    std::vector<float> expected(g_y.size());
    CHECK(edgekit_binary_conv_run(g_conv, g_bits.data(), 2, 12, 9, 0, 24, EDGEKIT_BINARY_TO_FLOAT, expected.data()) ==
          EDGEKIT_OK);
    together(convolve_rows);
    CHECK(g_y == expected);
    edgekit_binary_conv_destroy(g_conv);
}

// Sessions made at the same time, each with a kernel whose work is shared among threads.
void run_the_operator(int thread) {
    Numbers numbers(static_cast<uint64_t>(thread));
    CHECK(RegisterCustomOps(nullptr, host::base()) == nullptr);
    host::Tensor table, x;
    table.shape = {256};
    x.shape = {2, 3, 130, 257};
    for (int i = 0; i < 256; ++i) table.data.push_back(static_cast<uint8_t>(numbers.bits()));
    for (int i = 0; i < 2 * 3 * 130 * 257; ++i) x.data.push_back(static_cast<uint8_t>(numbers.bits()));
    const edgekit::OrtOperator *op = nullptr;
    for (const edgekit::OrtOperator *each : host::registered().operators) {
        if (std::strcmp(each->name(each), "Table") == 0) op = each;
    }
    CHECK(op != nullptr);
    host::Info info;
    info.constants = {nullptr, &table};
    void *kernel = nullptr;
    CHECK(host::make(op, info, &kernel) == "");
    for (int round = 0; round < 3; ++round) {
        host::Context context;
        context.inputs = {&x, &table};
        context.outputs.resize(1);
        context.threads = 3;
        CHECK(host::run(op, kernel, &context) == "");
        const host::Tensor &y = context.outputs[0];
        CHECK(y.shape == x.shape);
        for (size_t i = 0; i < x.data.size(); ++i) CHECK(y.data[i] == table.data[x.data[i]]);
    }
    op->kernel_destroy(kernel);
}

}  // namespace

int main() {
    together(call_functions);
    share_a_convolution();
    together(run_the_operator);
    CHECK(host::registered().sessions == kThreads);
    return 0;
}
