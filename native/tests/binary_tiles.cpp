// What stands around a product of tiles, with kernels that read bytes one by one: the sanitizers do not see what the
// processor's tiles read, here they see it, and these run on every processor.
#include "binary_tiles.h"

#include <cstring>

#include "binary_state.h"
#include "check.h"

using namespace edgekit::binary;

namespace {

int g_begun = 0;

void spread_pixels(const uint32_t *bits, int64_t pixels, int64_t stride, int64_t depth, int8_t *to) {
    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t c = 0; c < depth; c++) to[p * depth + c] = bits[p * stride + c / 32] >> (c % 32) & 1 ? -1 : 0;
    }
}

int8_t weight(const uint64_t *rows, int bytes, int product, int lane) {
    if (product >= bytes) return 0;
    return rows[product / 4] >> (4 * lane + product % 4) & 1 ? 1 : -1;
}

void spread_weights(const uint64_t *masks, const uint8_t *bytes, int tiles, int64_t chunks, int8_t *to) {
    for (int64_t i = 0; i < tiles * chunks; i++, masks += kTileRows) {
        for (int byte = 0; byte < kTileRows * kTileBytes; byte++) {
            const int row = byte / kTileBytes, lane = byte % kTileBytes / 4;
            *to++ = weight(masks, bytes[i % chunks], 4 * row + byte % 4, lane);
        }
    }
}

void count(const TileProduct &product, int pixels, int32_t *counts) {
    CHECK(g_begun == 1 && pixels >= 1 && pixels <= kTilePixels && reinterpret_cast<uintptr_t>(counts) % 64 == 0);
    const int whole = (pixels + kTileRows - 1) / kTileRows * kTileRows;
    for (int p = 0; p < whole; p++) {
        for (int lane = 0; lane < product.tiles * 16; lane++) {
            counts[p * edgekit::kBinaryLanes + lane] = product.ones[lane];
        }
        for (int64_t chunk = 0; chunk < product.chunks; chunk++) {
            int8_t row[kTileBytes];
            std::memcpy(row, product.image + product.offsets[chunk] + p * product.depth, sizeof(row));
            for (int lane = 0; lane < product.tiles * 16; lane++) {
                const int64_t tile = lane / 16 * product.chunks + chunk;
                const int8_t *bytes = product.weights + tile * kTileRows * kTileBytes;
                int32_t sum = 0;
                for (int i = 0; i < kTileBytes; i++) {
                    const int8_t w = product.weights
                                         ? bytes[i / 4 * kTileBytes + lane % 16 * 4 + i % 4]
                                         : weight(product.masks + tile * kTileRows, product.bytes[chunk], i, lane % 16);
                    sum += row[i] * w;
                }
                counts[p * edgekit::kBinaryLanes + lane] += sum;
            }
        }
    }
}

const TileKernels kPlain = {[] { g_begun++; }, [] { g_begun--; }, spread_pixels, spread_weights, count};

// A convolution by windows, then the same by tiles; false where it is not one for tiles.
bool check_one(uint64_t seed) {
    Numbers numbers(seed);
    edgekit_binary_geometry g;
    g.groups = numbers.whole(1, 3);
    g.in_channels = g.groups * (numbers.whole(0, 3) == 0 ? numbers.whole(60, 300) : numbers.whole(1, 40));
    g.out_channels = g.groups * (numbers.whole(0, 3) == 0 ? numbers.whole(60, 80) : numbers.whole(1, 20));
    g.kernel_h = numbers.whole(1, 5);
    g.kernel_w = numbers.whole(1, 5);
    g.stride_h = numbers.whole(1, 3);
    g.stride_w = numbers.whole(1, 3);
    g.pad_top = numbers.whole(0, g.kernel_h - 1);
    g.pad_left = numbers.whole(0, g.kernel_w - 1);
    g.pad_bottom = numbers.whole(0, g.kernel_h - 1);
    g.pad_right = numbers.whole(0, g.kernel_w - 1);
    g.padding = numbers.whole(0, 1);
    const int images = numbers.whole(1, 2), height = numbers.whole(5, 12), width = numbers.whole(5, 24);
    std::vector<int8_t> weights(static_cast<size_t>(g.out_channels) * g.kernel_h * g.kernel_w * g.in_channels / g.groups);
    for (int8_t &w : weights) w = static_cast<int8_t>(numbers.whole(-1, 0));
    std::vector<float> multiplier(g.out_channels, 1.0f), offset(g.out_channels, 0.0f);
    edgekit_binary_conv *conv = nullptr;
    CHECK(edgekit_binary_conv_create(&g, weights.data(), multiplier.data(), offset.data(), "reference", &conv) == 0);
    std::vector<uint32_t> bits(images * height * width * edgekit_binary_conv_words_in(conv));
    std::vector<float> x(static_cast<size_t>(images) * height * width * g.in_channels);
    for (float &value : x) value = numbers.unit() - 0.5f;
    CHECK(edgekit_binary_pack_float(conv, x.data(), images * height * width, bits.data()) == EDGEKIT_OK);

    const int rows = (height + g.pad_top + g.pad_bottom - g.kernel_h) / g.stride_h + 1;
    const int columns = (width + g.pad_left + g.pad_right - g.kernel_w) / g.stride_w + 1;
    std::vector<float> expected(static_cast<size_t>(images) * rows * columns * g.out_channels), y(expected.size());
    const auto run = [&](std::vector<float> &out, int begin, int end) {
        return edgekit_binary_conv_run(conv, bits.data(), images, height, width, begin, end, EDGEKIT_BINARY_TO_FLOAT,
                                       out.data());
    };
    CHECK(run(expected, 0, images * rows) == EDGEKIT_OK);
    fill_tiles(conv, &kPlain);
    const Images shape = {bits.data(), height, width, rows, columns};
    const bool is_worth = are_tiles_worth(*conv, shape, int64_t{images} * rows * columns);
    const int middle = numbers.whole(0, images * rows);
    const Target target = {EDGEKIT_BINARY_TO_FLOAT, y.data(), nullptr, {0, 0}, nullptr, nullptr, nullptr};
    run_tiles(*conv, shape, 0, middle, target);
    run_tiles(*conv, shape, middle, images * rows, target);
    CHECK(y == expected && g_begun == 0);
    edgekit_binary_conv_destroy(conv);
    return is_worth;
}

// An image that does not fit the band of bytes that is spread at a time, nor its weights what is spread once.
void check_bands() {
    const edgekit_binary_geometry g = {256, 16, 3, 3, 2, 1, 1, 1, 1, 1, 1, EDGEKIT_BINARY_PAD_ZERO};
    Numbers numbers(3);
    std::vector<int8_t> weights(16 * 9 * 256);
    for (int8_t &w : weights) w = static_cast<int8_t>(numbers.whole(-1, 0));
    const std::vector<float> multiplier(16, 1.0f), offset(16, 0.5f);
    edgekit_binary_conv *conv = nullptr;
    CHECK(edgekit_binary_conv_create(&g, weights.data(), multiplier.data(), offset.data(), "reference", &conv) == 0);
    std::vector<uint32_t> bits(23 * 90 * 8), expected(12 * 90), out(12 * 90);
    for (uint32_t &word : bits) word = numbers.bits();
    CHECK(edgekit_binary_conv_run(conv, bits.data(), 1, 23, 90, 0, 12, EDGEKIT_BINARY_TO_BITS, expected.data()) == 0);
    fill_tiles(conv, &kPlain);
    CHECK(edgekit_binary_conv_run(conv, bits.data(), 1, 23, 90, 0, 12, EDGEKIT_BINARY_TO_BITS, out.data()) == 0);
    CHECK(out == expected);
    edgekit_binary_conv_destroy(conv);
}

void check_worth() {
    const edgekit_binary_geometry g = {32, 16, 1, 9, 1, 1, 0, 4, 0, 4, 1, EDGEKIT_BINARY_PAD_ONE};
    const std::vector<int8_t> weights(16 * 9 * 32, 1);
    const std::vector<float> zero(16);
    edgekit_binary_conv *conv = nullptr;
    CHECK(edgekit_binary_conv_create(&g, weights.data(), zero.data(), zero.data(), "reference", &conv) == 0);
    CHECK(!are_tiles_worth(*conv, {nullptr, 9, 20, 9, 20}, 180));
    fill_tiles(conv, &kPlain);
    CHECK(are_tiles_worth(*conv, {nullptr, 9, 20, 9, 20}, 180));
    CHECK(!are_tiles_worth(*conv, {nullptr, 9, 20, 9, 20}, 9));
    CHECK(!are_tiles_worth(*conv, {nullptr, 20, 3, 20, 3}, 60));
    edgekit_binary_conv_destroy(conv);
}

}  // namespace

int main() {
    int worth = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) worth += check_one(seed);
    CHECK(worth > 100 && worth < 300);
    check_bands();
    check_worth();
    std::printf("%d of 300 are worth tiles\n", worth);
    return 0;
}
