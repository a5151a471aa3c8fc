// Making a binary convolution: weights in lanes, borders, thresholds.
#include <math.h>
#include <string.h>

#include <algorithm>
#include <new>

#include "binary_state.h"
#include "binary_triples.h"

namespace edgekit::binary {

int border_classes(const edgekit_binary_geometry &g) {
    if (g.padding == EDGEKIT_BINARY_PAD_ONE) return 1;
    return (g.pad_top + 1) * (g.pad_bottom + 1) * (g.pad_left + 1) * (g.pad_right + 1);
}

int class_of(const edgekit_binary_geometry &g, const Overhang &over) {
    if (g.padding == EDGEKIT_BINARY_PAD_ONE) return 0;
    const int rows = over.top * (g.pad_bottom + 1) + over.bottom;
    return (rows * (g.pad_left + 1) + over.left) * (g.pad_right + 1) + over.right;
}

}  // namespace edgekit::binary

using edgekit::kBinaryLanes;
using edgekit::Kernels;
using namespace edgekit::binary;

namespace {

bool is_valid(const edgekit_binary_geometry &g) {
    const auto within = [](int32_t value, int32_t low, int32_t high) { return low <= value && value <= high; };
    return within(g.in_channels, 1, 65536) && within(g.out_channels, 1, 65536) && within(g.kernel_h, 1, 15) &&
           within(g.kernel_w, 1, 15) && within(g.stride_h, 1, 15) && within(g.stride_w, 1, 15) &&
           within(g.pad_top, 0, g.kernel_h - 1) && within(g.pad_bottom, 0, g.kernel_h - 1) &&
           within(g.pad_left, 0, g.kernel_w - 1) && within(g.pad_right, 0, g.kernel_w - 1) && g.groups >= 1 &&
           g.in_channels % g.groups == 0 && g.out_channels % g.groups == 0 &&
           within(g.padding, EDGEKIT_BINARY_PAD_ZERO, EDGEKIT_BINARY_PAD_ONE);
}

Overhang overhang_of(const edgekit_binary_geometry &g, int border_class) {
    Overhang over;
    over.right = border_class % (g.pad_right + 1);
    border_class /= g.pad_right + 1;
    over.left = border_class % (g.pad_left + 1);
    border_class /= g.pad_left + 1;
    over.bottom = border_class % (g.pad_bottom + 1);
    over.top = border_class / (g.pad_bottom + 1);
    return over;
}

// Sum of the weights (kernel_h, kernel_w, depth) of one channel whose taps are outside the image.
int32_t outside_sum(const edgekit_binary_geometry &g, const int8_t *weights, int depth, const Overhang &over) {
    int32_t sum = 0;
    for (int y = 0; y < g.kernel_h; y++) {
        for (int x = 0; x < g.kernel_w; x++) {
            const bool is_inside =
                over.top <= y && y < g.kernel_h - over.bottom && over.left <= x && x < g.kernel_w - over.right;
            if (is_inside) continue;
            const int8_t *tap = weights + static_cast<int64_t>(y * g.kernel_w + x) * depth;
            for (int c = 0; c < depth; c++) sum += tap[c] < 0 ? -1 : 1;
        }
    }
    return sum;
}

// BatchNorm and sign in one comparison. The bit of a count x is
//     negative(x):  m (base - 2 x) + b < 0,
// for m > 0 the same as x > (base + b / m) / 2, so x > tau with tau the floor of that: the greatest x that is not
// negative. For m < 0 it is x < (base + b / m) / 2: then tau is the greatest x that is negative, and the bit is
// flipped. For m = 0 it is b < 0 for every x. A division would round; m (base - 2 x) is exact in double (24 bits by
// 25), its sum with b has the sign of the exact sum, and negative() is monotonic in x: bisection finds tau without a
// tie decided wrong. tau is -1 where no x in 0 to K is such, K where all are.
int32_t threshold_of(float m, float b, int32_t base, int32_t k) {
    const auto is_below = [=](int32_t x) {
        const bool is_negative = static_cast<double>(m) * (base - 2.0 * x) + static_cast<double>(b) < 0.0;
        return m < 0 ? is_negative : !is_negative;
    };
    int32_t low = -1;
    int32_t high = k;
    while (low < high) {
        const int32_t middle = low + (high - low + 1) / 2;
        if (is_below(middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

void list_blocks(edgekit_binary_conv &conv) {
    const int out_depth = conv.g.out_channels / conv.g.groups;
    conv.slots = 0;
    for (int group = 0; group < conv.g.groups; group++) {
        for (int first = 0; first < out_depth; first += kBinaryLanes) {
            Block block;
            block.group = group;
            block.channel = group * out_depth + first;
            block.channels = std::min(kBinaryLanes, out_depth - first);
            block.width = (block.channels + 15) / 16 * 16;
            block.slot = conv.slots;
            conv.slots += block.width;
            conv.blocks.push_back(block);
        }
    }
}

// The signs of one channel into its lane of a block.
void pack_lane(const edgekit_binary_conv &conv, const int8_t *weights, int depth, int width, uint32_t *lane) {
    for (int tap = 0; tap < conv.g.kernel_h * conv.g.kernel_w; tap++) {
        for (int c = 0; c < depth; c++) {
            if (weights[static_cast<int64_t>(tap) * depth + c] >= 0) continue;
            lane[(tap * conv.group_words + c / 32) * width] |= 1u << (c % 32);
        }
    }
}

void fill_channel(edgekit_binary_conv &conv, const Block &block, int lane, const int8_t *weights, float m, float b) {
    const int depth = conv.g.in_channels / conv.g.groups;
    const int32_t k = conv.g.kernel_h * conv.g.kernel_w * depth;
    const int64_t slot = block.slot + lane;
    pack_lane(conv, weights, depth, block.width, conv.weights.data() + block.slot * conv.steps + lane);
    conv.multiplier[slot] = m;
    conv.offset[slot] = b;
    if (m < 0) conv.flip[&block - conv.blocks.data()] |= uint64_t{1} << lane;
    for (int index = 0; index < border_classes(conv.g); index++) {
        const bool is_zero = conv.g.padding == EDGEKIT_BINARY_PAD_ZERO;
        const int32_t corr = is_zero ? outside_sum(conv.g, weights, depth, overhang_of(conv.g, index)) : 0;
        conv.base[index * conv.slots + slot] = k - corr;
        conv.threshold[index * conv.slots + slot] = threshold_of(m, b, k - corr, k);
    }
}

void fill(edgekit_binary_conv &conv, const int8_t *weights, const float *multiplier, const float *offset) {
    const int64_t depth = conv.g.in_channels / conv.g.groups;
    const int64_t channel_size = depth * conv.g.kernel_h * conv.g.kernel_w;
    conv.words_out = (conv.g.out_channels + 31) / 32;
    conv.group_words = (depth + 31) / 32;
    conv.wide = 1;
    conv.steps = conv.weight_rows = conv.group_words * conv.g.kernel_h * conv.g.kernel_w;
    list_blocks(conv);
    const int64_t table = conv.slots * border_classes(conv.g);
    conv.weights.assign(conv.slots * conv.steps, 0);
    conv.multiplier.assign(conv.slots, 0.0f);
    conv.offset.assign(conv.slots, 0.0f);
    conv.base.assign(table, 0);
    conv.threshold.assign(table, INT32_MAX);  // lanes past the last channel never set a bit
    conv.flip.assign(conv.blocks.size(), 0);
    for (const Block &block : conv.blocks) {
        for (int lane = 0; lane < block.channels; lane++) {
            const int channel = block.channel + lane;
            fill_channel(conv, block, lane, weights + channel * channel_size, multiplier[channel], offset[channel]);
        }
    }
}

// Weights as kernels with `triple` read them. Windows stand in the image row by row; those of several groups are copied
// together. Rows of fewer than three words are left as they are.
void fill_triples(edgekit_binary_conv &conv) {
    const int64_t rows = conv.g.groups == 1 ? conv.g.kernel_h : 1;
    const int64_t row_steps = conv.steps / rows, row_triples = row_steps / 3;
    if (row_triples > 0) conv.wide = edgekit::kTripleWords;
    conv.weight_rows = rows * (row_triples * edgekit::kTripleWords + row_steps % 3);
    std::vector<uint32_t> arranged(conv.slots * conv.weight_rows);
    uint32_t *to = arranged.data();
    for (const Block &block : conv.blocks) {
        for (int tile = 0; tile < block.width; tile += 16) {
            const uint32_t *from = conv.weights.data() + block.slot * conv.steps + tile;
            for (int64_t step = 0; step < conv.steps;) {
                const bool is_triple = step % row_steps < 3 * row_triples;
                for (int lane = 0; lane < 16; lane++) {
                    const uint32_t *word = from + step * block.width + lane;
                    if (is_triple) {
                        edgekit::triple_of(word, block.width, to + lane, 16);
                    } else {
                        to[lane] = *word;
                    }
                }
                to += is_triple ? 16 * edgekit::kTripleWords : 16;
                step += is_triple ? 3 : 1;
            }
        }
    }
    conv.weights.swap(arranged);
}

bool kernels_of(const char *name, Kernels *kind) {
    if (name == nullptr) {
        *kind = edgekit::active_kernels();
        return true;
    }
    for (Kernels each : {Kernels::reference, Kernels::avx2, Kernels::avx512, Kernels::amx, Kernels::neon}) {
        *kind = each;
        if (strcmp(name, edgekit::name_of(each)) == 0) return edgekit::runs(each);
    }
    return false;
}

}  // namespace

int edgekit_binary_conv_create(const edgekit_binary_geometry *geometry, const int8_t *weights, const float *multiplier,
                               const float *offset, const char *kernels, edgekit_binary_conv **conv) {
    if (!geometry || !weights || !multiplier || !offset || !conv) return EDGEKIT_BAD_POINTER;
    *conv = nullptr;
    if (!is_valid(*geometry)) return EDGEKIT_BAD_SIZE;
    for (int i = 0; i < geometry->out_channels; i++) {
        if (!isfinite(multiplier[i]) || !isfinite(offset[i])) return EDGEKIT_BAD_VALUE;
    }
    Kernels kind;
    if (!kernels_of(kernels, &kind)) return EDGEKIT_BAD_VALUE;
    edgekit_binary_conv *made = new (std::nothrow) edgekit_binary_conv();
    if (!made) return EDGEKIT_NO_MEMORY;
    made->g = *geometry;
    made->kind = kind;
    made->kernels = edgekit::binary_kernels(kind);
    try {
        fill(*made, weights, multiplier, offset);
#if defined(EDGEKIT_AMX)
        if (kind == Kernels::amx) fill_tiles(made, &kTileAmx);
#endif
        if (made->kernels->triple) fill_triples(*made);  // last: tiles are filled from the plain weights
    } catch (const std::bad_alloc &) {
        delete made;
        return EDGEKIT_NO_MEMORY;
    }
    *conv = made;
    return EDGEKIT_OK;
}

void edgekit_binary_conv_destroy(edgekit_binary_conv *conv) { delete conv; }
