// The binary convolution around its inner loops: weights in lanes, borders, thresholds, tiles of pixels.
#include <math.h>
#include <string.h>

#include <algorithm>
#include <new>
#include <vector>

#include "binary_codes.h"
#include "binary_kernels.h"
#include "edgekit_binary.h"

namespace edgekit {

const BinaryKernels *binary_kernels(Kernels kernels) {
    if (!runs(kernels)) return nullptr;
    switch (kernels) {
#if defined(__x86_64__)
        case Kernels::avx2: return &kBinaryAvx2;
        case Kernels::avx512: return &kBinaryAvx512;
#elif defined(__aarch64__)
        case Kernels::neon: return &kBinaryNeon;
#endif
        case Kernels::reference: return &kBinaryReference;
        default: return nullptr;
    }
}

void binary_signs(const float *x, int64_t rows, int64_t depth, uint32_t *bits) {
    binary_kernels(active_kernels())->pack_float(x, rows, depth, bits);
}

}  // namespace edgekit

using edgekit::BinaryKernels;
using edgekit::BinaryPatches;
using edgekit::kBinaryLanes;
using edgekit::kBinaryMaxPixels;
using edgekit::Kernels;

// Some output channels of one group. Its tables begin at `slot`; slots count lanes, with those past the last channel.
struct Block {
    int group;
    int channel;  // the first, among all output channels
    int channels;
    int width;  // lanes: `channels`, rounded up to 16
    int64_t slot;
};

struct edgekit_binary_conv {
    edgekit_binary_geometry g;
    Kernels kind;
    const BinaryKernels *kernels;
    int64_t words_out;    // of one output pixel as bits
    int64_t group_words;  // of one pixel and group
    int64_t steps;        // words of one patch
    int64_t slots;
    std::vector<Block> blocks;
    std::vector<uint32_t> weights;   // block after block, (steps, width)
    std::vector<float> multiplier;   // (slots)
    std::vector<float> offset;       // (slots)
    std::vector<int32_t> base;       // (border classes, slots): dot = base - 2 * count
    std::vector<int32_t> threshold;  // (border classes, slots): bit = count > threshold, flipped where `flip` says so
    std::vector<uint64_t> flip;      // a bit for each lane of each block
};

namespace {

constexpr int kMaxSide = 1 << 20;

bool is_valid(const edgekit_binary_geometry &g) {
    const auto within = [](int32_t value, int32_t low, int32_t high) { return low <= value && value <= high; };
    return within(g.in_channels, 1, 65536) && within(g.out_channels, 1, 65536) && within(g.kernel_h, 1, 15) &&
           within(g.kernel_w, 1, 15) && within(g.stride_h, 1, 15) && within(g.stride_w, 1, 15) &&
           within(g.pad_top, 0, g.kernel_h - 1) && within(g.pad_bottom, 0, g.kernel_h - 1) &&
           within(g.pad_left, 0, g.kernel_w - 1) && within(g.pad_right, 0, g.kernel_w - 1) && g.groups >= 1 &&
           g.in_channels % g.groups == 0 && g.out_channels % g.groups == 0 &&
           within(g.padding, EDGEKIT_BINARY_PAD_ZERO, EDGEKIT_BINARY_PAD_ONE);
}

// Padding. Patches stand on +1 outside the image (bits of 0). Zero padding is the same sum less what these taps gave,
//     dot = dot_one - corr,   corr[channel] = sum of the weights of the taps outside the image,
// which depends on how many rows and columns of the window hang over each side: a border class. Top and bottom both
// count, for an image may be lower than the window. With K = taps * channels of a group, and count the popcount of
// activations xor weights (a product is -1 where the bits differ),
//     dot = K - 2 count - corr = base - 2 count.
int border_classes(const edgekit_binary_geometry &g) {
    if (g.padding == EDGEKIT_BINARY_PAD_ONE) return 1;
    return (g.pad_top + 1) * (g.pad_bottom + 1) * (g.pad_left + 1) * (g.pad_right + 1);
}

struct Overhang {
    int top, bottom, left, right;
};

int class_of(const edgekit_binary_geometry &g, const Overhang &over) {
    if (g.padding == EDGEKIT_BINARY_PAD_ONE) return 0;
    const int rows = over.top * (g.pad_bottom + 1) + over.bottom;
    return (rows * (g.pad_left + 1) + over.left) * (g.pad_right + 1) + over.right;
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
    conv.steps = conv.group_words * conv.g.kernel_h * conv.g.kernel_w;
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

// Patches are a few words a row: moves of a fixed size, the last one overlapping, beat a call of memcpy.
inline void copy_words(uint32_t *to, const uint32_t *from, int64_t words) {
    if (words < 4) {
        for (int64_t i = 0; i < words; i++) to[i] = from[i];
        return;
    }
    for (int64_t i = 0; i + 4 <= words; i += 4) memcpy(to + i, from + i, 16);
    memcpy(to + words - 4, from + words - 4, 16);
}

inline void clear_words(uint32_t *to, int64_t words) {
    for (int64_t i = 0; i < words; i++) to[i] = 0;
}

struct Images {
    const uint32_t *bits;
    int height, width, rows, columns;  // rows and columns are of the output
};

// An output pixel. Stepped, not divided out of a number: three divisions a pixel cost as much as a patch of 64
// channels.
struct Place {
    int64_t image;
    int row, column;
};

void step(const Images &images, Place *place) {
    if (++place->column < images.columns) return;
    place->column = 0;
    if (++place->row < images.rows) return;
    place->row = 0;
    place->image++;
}

// The words under the window of one output pixel and group, +1 outside the image; the border class of the pixel.
int gather(const edgekit_binary_conv &conv, const Images &images, const Place &place, int group, uint32_t *patch) {
    const edgekit_binary_geometry &g = conv.g;
    const int64_t words = conv.group_words;
    const int64_t pixel_words = words * g.groups;
    const int top = place.row * g.stride_h - g.pad_top;
    const int left = place.column * g.stride_w - g.pad_left;
    Overhang over;
    over.top = std::max(0, -top);
    over.bottom = std::max(0, top + g.kernel_h - images.height);
    over.left = std::max(0, -left);
    over.right = std::max(0, left + g.kernel_w - images.width);
    const int inside = g.kernel_w - over.left - over.right;
    const int64_t first = (place.image * images.height + top) * images.width + left + over.left;
    const int64_t row_words = images.width * pixel_words;
    const int64_t from = first * pixel_words + group * words;
    for (int y = 0; y < g.kernel_h; y++, patch += g.kernel_w * words) {
        if (y < over.top || y >= g.kernel_h - over.bottom) {
            clear_words(patch, g.kernel_w * words);
            continue;
        }
        const uint32_t *row = images.bits + from + y * row_words;
        uint32_t *to = patch + over.left * words;
        clear_words(patch, over.left * words);
        clear_words(to + inside * words, over.right * words);
        for (int x = 0; x < inside; x++) copy_words(to + x * words, row + x * pixel_words, words);
    }
    return class_of(g, over);
}

// The border class of one output pixel.
int class_at(const edgekit_binary_geometry &g, const Images &images, const Place &place) {
    const int top = place.row * g.stride_h - g.pad_top;
    const int left = place.column * g.stride_w - g.pad_left;
    const int bottom = top + g.kernel_h - images.height;
    const int right = left + g.kernel_w - images.width;
    if (top >= 0 && left >= 0 && bottom <= 0 && right <= 0) return 0;
    return class_of(g, {std::max(0, -top), std::max(0, bottom), std::max(0, -left), std::max(0, right)});
}

// Rows of one image with +1 around them: every window lies whole inside, where its taps of a row are side by side.
// Copying an image once costs next to nothing; copying each window that touches a border or begins in one row and ends
// in the next, a tenth of the convolution at 56 x 56 and a quarter at 14 x 14.
struct Padded {
    std::vector<uint32_t> words;
    int64_t row_words;
    int64_t first_row;  // number of the first of its rows, of the whole padded image
};

void pad_rows(const edgekit_binary_conv &conv, const Images &images, int64_t image, int first, int end, Padded *padded) {
    const edgekit_binary_geometry &g = conv.g;
    const int64_t words = conv.group_words, width = images.width * words;
    padded->row_words = width + (g.pad_left + g.pad_right) * words;
    padded->first_row = first * g.stride_h;
    const int64_t rows = (end - 1 - first) * g.stride_h + g.kernel_h;
    padded->words.assign(rows * padded->row_words, 0);
    for (int64_t row = 0; row < rows; row++) {
        const int64_t from = padded->first_row + row - g.pad_top;
        if (from < 0 || from >= images.height) continue;
        memcpy(padded->words.data() + row * padded->row_words + g.pad_left * words,
               images.bits + (image * images.height + from) * width, width * sizeof(uint32_t));
    }
}

// `bits` of `lanes` lanes into the packed row of one pixel, from `channel` on; the row was cleared before.
inline void put_bits(uint32_t *row, int channel, uint64_t bits, int lanes) {
    row += channel / 32;
    const int shift = channel % 32;
    const uint64_t low = bits << shift;
    row[0] |= static_cast<uint32_t>(low);
    if (shift + lanes > 32) row[1] |= static_cast<uint32_t>(low >> 32);
    if (shift + lanes > 64) row[2] |= static_cast<uint32_t>(bits >> (64 - shift));
}

// Where the results go, and what is done to them on the way.
struct Target {
    int output;  // EDGEKIT_BINARY_TO_*, or kToSum
    void *out;
    const void *residual;  // of kToSum, like what follows but for the bits; null for none
    float low, high;
    const edgekit::CodeGrid *residual_grid, *out_grid;  // null for floats
    uint32_t *signs;  // bits that are written, of which each pixel's are cleared first; null for none
};

constexpr int kToSum = -1;

// `block.channels` values from `place` on, and the bits of those below 0. Codes on either side are floats in between.
uint64_t write_sum(const edgekit_binary_conv &conv, const Block &block, const int32_t *counts, const int32_t *base,
                   const Target &target, int64_t place) {
    const edgekit::CodeKernels &codes = *edgekit::code_kernels(conv.kind);
    alignas(64) float added[kBinaryLanes], sums[kBinaryLanes];
    const float *residual = nullptr;
    if (target.residual && target.residual_grid) {
        const uint8_t *from = static_cast<const uint8_t *>(target.residual) + place;
        codes.to_values(from, *target.residual_grid, block.channels, added);
        residual = added;
    } else if (target.residual) {
        residual = static_cast<const float *>(target.residual) + place;
    }
    float *y = target.out_grid ? sums : static_cast<float *>(target.out) + place;
    const uint64_t bits =
        conv.kernels->to_sum(counts, base, conv.multiplier.data() + block.slot, conv.offset.data() + block.slot,
                             residual, target.low, target.high, block.channels, y);
    if (target.out_grid) {
        codes.to_codes(sums, *target.out_grid, block.channels, static_cast<uint8_t *>(target.out) + place);
    }
    return bits;
}

void write_pixel(const edgekit_binary_conv &conv, size_t block_index, const int32_t *counts, int border_class,
                 const Target &target, int64_t pixel) {
    const Block &block = conv.blocks[block_index];
    const int64_t table = border_class * conv.slots + block.slot;
    const float *multiplier = conv.multiplier.data() + block.slot;
    const float *offset = conv.offset.data() + block.slot;
    const int64_t place = pixel * conv.g.out_channels + block.channel;
    if (target.output == kToSum) {
        const uint64_t bits = write_sum(conv, block, counts, &conv.base[table], target, place);
        if (target.signs) put_bits(target.signs + pixel * conv.words_out, block.channel, bits, block.channels);
    } else if (target.output == EDGEKIT_BINARY_TO_FLOAT) {
        conv.kernels->to_float(counts, &conv.base[table], multiplier, offset, block.channels,
                               static_cast<float *>(target.out) + place);
    } else if (target.output == EDGEKIT_BINARY_TO_INT8) {
        conv.kernels->to_int8(counts, &conv.base[table], multiplier, offset, block.channels,
                              static_cast<int8_t *>(target.out) + place);
    } else {
        const uint64_t bits =
            conv.kernels->to_bits(counts, &conv.threshold[table], block.width) ^ conv.flip[block_index];
        put_bits(static_cast<uint32_t *>(target.out) + pixel * conv.words_out, block.channel, bits, block.channels);
    }
}

// What `pixels` output pixels from `pixel` on are made of, block after block of channels.
void run_blocks(const edgekit_binary_conv &conv, const BinaryPatches &patches, const int *classes, int64_t pixel,
                int pixels, const Target &target, size_t begin, size_t end) {
    alignas(64) int32_t counts[kBinaryMaxPixels * kBinaryLanes];
    for (size_t index = begin; index < end; index++) {
        const Block &block = conv.blocks[index];
        conv.kernels->count(patches, pixels, &conv.weights[block.slot * conv.steps], block.width, counts);
        for (int p = 0; p < pixels; p++) {
            write_pixel(conv, index, counts + p * kBinaryLanes, classes[p], target, pixel + p);
        }
    }
}

// Output rows of one image, of one group: windows are counted where they stand.
void run_image(const edgekit_binary_conv &conv, const Images &images, int64_t image, int first, int end,
               const Target &target, Padded *padded) {
    const edgekit_binary_geometry &g = conv.g;
    pad_rows(conv, images, image, first, end, padded);
    Place place = {image, first, 0};
    const int64_t offset = image * images.rows * images.columns;
    const int64_t last = static_cast<int64_t>(end) * images.columns;
    BinaryPatches patches = {{}, g.kernel_h, padded->row_words, g.kernel_w * conv.group_words};
    int classes[kBinaryMaxPixels];
    for (int64_t pixel = static_cast<int64_t>(first) * images.columns; pixel < last; pixel += conv.kernels->pixels) {
        const int pixels = static_cast<int>(std::min<int64_t>(conv.kernels->pixels, last - pixel));
        for (int p = 0; p < pixels; p++) {
            const int64_t row = place.row * g.stride_h - padded->first_row;
            patches.pixels[p] = padded->words.data() + row * padded->row_words +
                                static_cast<int64_t>(place.column) * g.stride_w * conv.group_words;
            classes[p] = class_at(g, images, place);
            step(images, &place);
        }
        run_blocks(conv, patches, classes, offset + pixel, pixels, target, 0, conv.blocks.size());
    }
}

// Output pixels from `pixel` on, of which the first lies at `place`; that is moved past the last. Of several groups:
// the words of a group under a window are not side by side, so they are copied together.
void run_tile(const edgekit_binary_conv &conv, const Images &images, Place *place, int64_t pixel, int pixels,
              const Target &target, uint32_t *room) {
    Place places[kBinaryMaxPixels];
    int classes[kBinaryMaxPixels];
    BinaryPatches patches = {{}, 1, 0, conv.steps};
    for (int p = 0; p < pixels; p++) {
        places[p] = *place;
        patches.pixels[p] = room + p * conv.steps;
        step(images, place);
    }
    for (size_t begin = 0, end; begin < conv.blocks.size(); begin = end) {
        const int group = conv.blocks[begin].group;
        for (end = begin; end < conv.blocks.size() && conv.blocks[end].group == group;) end++;
        for (int p = 0; p < pixels; p++) classes[p] = gather(conv, images, places[p], group, room + p * conv.steps);
        run_blocks(conv, patches, classes, pixel, pixels, target, begin, end);
    }
}

int out_side(int side, int before, int after, int kernel, int stride) {
    const int padded = side + before + after;
    return padded < kernel ? 0 : (padded - kernel) / stride + 1;
}

int run_rows(const edgekit_binary_conv &conv, const uint32_t *bits, int32_t images, int32_t height, int32_t width,
             int64_t row_begin, int64_t row_end, const Target &target) {
    if (images < 0 || height < 1 || width < 1 || height > kMaxSide || width > kMaxSide) return EDGEKIT_BAD_SIZE;
    const edgekit_binary_geometry &g = conv.g;
    Images all;
    all.bits = bits;
    all.height = height;
    all.width = width;
    all.rows = out_side(height, g.pad_top, g.pad_bottom, g.kernel_h, g.stride_h);
    all.columns = out_side(width, g.pad_left, g.pad_right, g.kernel_w, g.stride_w);
    const int64_t rows = static_cast<int64_t>(images) * all.rows;
    if (all.rows < 1 || all.columns < 1 || row_begin < 0 || row_begin > row_end || row_end > rows) {
        return EDGEKIT_BAD_SIZE;
    }
    const int64_t words = conv.words_out, begin = row_begin * all.columns, end = row_end * all.columns;
    if (target.signs) memset(target.signs + begin * words, 0, (end - begin) * words * sizeof(uint32_t));
    try {
        if (g.groups == 1) {
            Padded padded;
            for (int64_t row = row_begin; row < row_end;) {
                const int64_t image = row / all.rows;
                const int64_t stop = std::min(row_end, (image + 1) * all.rows);
                run_image(conv, all, image, static_cast<int>(row - image * all.rows),
                          static_cast<int>(stop - image * all.rows), target, &padded);
                row = stop;
            }
            return EDGEKIT_OK;
        }
        std::vector<uint32_t> room(conv.steps * conv.kernels->pixels);
        Place place = {row_begin / all.rows, static_cast<int>(row_begin % all.rows), 0};
        for (int64_t pixel = begin; pixel < end; pixel += conv.kernels->pixels) {
            const int pixels = static_cast<int>(std::min<int64_t>(conv.kernels->pixels, end - pixel));
            run_tile(conv, all, &place, pixel, pixels, target, room.data());
        }
    } catch (const std::bad_alloc &) {
        return EDGEKIT_NO_MEMORY;
    }
    return EDGEKIT_OK;
}

bool kernels_of(const char *name, Kernels *kind) {
    if (name == nullptr) {
        *kind = edgekit::active_kernels();
        return true;
    }
    for (Kernels each : {Kernels::reference, Kernels::avx2, Kernels::avx512, Kernels::neon}) {
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
    } catch (const std::bad_alloc &) {
        delete made;
        return EDGEKIT_NO_MEMORY;
    }
    *conv = made;
    return EDGEKIT_OK;
}

void edgekit_binary_conv_destroy(edgekit_binary_conv *conv) { delete conv; }

const char *edgekit_binary_conv_kernels(const edgekit_binary_conv *conv) { return edgekit::name_of(conv->kind); }

int64_t edgekit_binary_conv_words_in(const edgekit_binary_conv *conv) { return conv->g.groups * conv->group_words; }

int64_t edgekit_binary_conv_words_out(const edgekit_binary_conv *conv) { return conv->words_out; }

int edgekit_binary_pack_float(const edgekit_binary_conv *conv, const float *x, int64_t pixels, uint32_t *bits) {
    if (!conv || !x || !bits) return EDGEKIT_BAD_POINTER;
    if (pixels < 0) return EDGEKIT_BAD_SIZE;
    conv->kernels->pack_float(x, pixels * conv->g.groups, conv->g.in_channels / conv->g.groups, bits);
    return EDGEKIT_OK;
}

int edgekit_binary_pack_int8(const edgekit_binary_conv *conv, const int8_t *x, int64_t pixels, uint32_t *bits) {
    if (!conv || !x || !bits) return EDGEKIT_BAD_POINTER;
    if (pixels < 0) return EDGEKIT_BAD_SIZE;
    conv->kernels->pack_int8(x, pixels * conv->g.groups, conv->g.in_channels / conv->g.groups, bits);
    return EDGEKIT_OK;
}

int edgekit_binary_conv_run(const edgekit_binary_conv *conv, const uint32_t *bits, int32_t images, int32_t height,
                            int32_t width, int64_t row_begin, int64_t row_end, int32_t output, void *out) {
    if (!conv || !bits || !out) return EDGEKIT_BAD_POINTER;
    if (output < EDGEKIT_BINARY_TO_FLOAT || output > EDGEKIT_BINARY_TO_BITS) return EDGEKIT_BAD_VALUE;
    uint32_t *signs = output == EDGEKIT_BINARY_TO_BITS ? static_cast<uint32_t *>(out) : nullptr;
    return run_rows(*conv, bits, images, height, width, row_begin, row_end,
                    {output, out, nullptr, 0, 0, nullptr, nullptr, signs});
}

int edgekit_binary_conv_add(const edgekit_binary_conv *conv, const uint32_t *bits, int32_t images, int32_t height,
                            int32_t width, int64_t row_begin, int64_t row_end, const float *residual, float low,
                            float high, float *out, uint32_t *out_bits) {
    return edgekit_binary_conv_add_codes(conv, bits, images, height, width, row_begin, row_end, residual, nullptr, low,
                                         high, out, nullptr, out_bits);
}

int edgekit_binary_conv_add_codes(const edgekit_binary_conv *conv, const uint32_t *bits, int32_t images, int32_t height,
                                  int32_t width, int64_t row_begin, int64_t row_end, const void *residual,
                                  const edgekit_binary_codes *residual_codes, float low, float high, void *out,
                                  const edgekit_binary_codes *out_codes, uint32_t *out_bits) {
    if (!conv || !bits || !out) return EDGEKIT_BAD_POINTER;
    if (!(low <= high)) return EDGEKIT_BAD_VALUE;
    edgekit::CodeGrid residual_grid, out_grid;
    if (residual_codes && !edgekit::read_grid(*residual_codes, &residual_grid)) return EDGEKIT_BAD_VALUE;
    if (out_codes && !edgekit::read_grid(*out_codes, &out_grid)) return EDGEKIT_BAD_VALUE;
    return run_rows(*conv, bits, images, height, width, row_begin, row_end,
                    {kToSum, out, residual, low, high, residual_codes ? &residual_grid : nullptr,
                     out_codes ? &out_grid : nullptr, out_bits});
}

int edgekit_binary_pack_codes(const edgekit_binary_conv *conv, const void *x, const edgekit_binary_codes *codes,
                              int64_t pixels, uint32_t *bits) {
    edgekit::CodeGrid grid;
    if (!conv || !x || !codes || !bits) return EDGEKIT_BAD_POINTER;
    if (pixels < 0) return EDGEKIT_BAD_SIZE;
    if (!edgekit::read_grid(*codes, &grid)) return EDGEKIT_BAD_VALUE;
    edgekit::code_kernels(conv->kind)->signs(static_cast<const uint8_t *>(x), grid, pixels * conv->g.groups,
                                             conv->g.in_channels / conv->g.groups, bits);
    return EDGEKIT_OK;
}
