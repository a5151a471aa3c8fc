// Running a binary convolution: the image under its windows, tiles of pixels, rows.
#include <string.h>

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "binary_codes.h"
#include "binary_state.h"

namespace edgekit {

const BinaryKernels *binary_kernels(Kernels kernels) {
    if (!runs(kernels)) return nullptr;
    switch (kernels) {
#if defined(__x86_64__)
        case Kernels::avx2: return &kBinaryAvx2;
        case Kernels::avx512:
        case Kernels::amx: return &kBinaryAvx512;  // around its tiles
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

namespace edgekit::binary {

int class_at(const edgekit_binary_geometry &g, const Images &images, const Place &place) {
    const int top = place.row * g.stride_h - g.pad_top;
    const int left = place.column * g.stride_w - g.pad_left;
    const int bottom = top + g.kernel_h - images.height;
    const int right = left + g.kernel_w - images.width;
    if (top >= 0 && left >= 0 && bottom <= 0 && right <= 0) return 0;
    return class_of(g, {std::max(0, -top), std::max(0, bottom), std::max(0, -left), std::max(0, right)});
}

}  // namespace edgekit::binary

using edgekit::BinaryPatches;
using edgekit::kBinaryLanes;
using edgekit::kBinaryMaxPixels;
using namespace edgekit::binary;

namespace {

constexpr int kMaxSide = 1 << 20;

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

constexpr int64_t kSlack = 2;  // words that are read past the last where triples are made

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
// Rows of one image with +1 around them: every window lies whole inside, where its taps of a row are side by side.
// Copying an image once costs next to nothing; copying each window that touches a border or begins in one row and ends
// in the next, a tenth of the convolution at 56 x 56 and a quarter at 14 x 14.
struct Padded {
    std::vector<uint32_t> words;           // as they are
    std::unique_ptr<uint32_t[]> triples;   // and as the kernels want them, if otherwise
    const uint32_t *data;                  // what the kernels read
    int64_t row_words;                     // of `data`
    int64_t first_row;                     // number of the first of its rows, of the whole padded image
};

void pad_rows(const edgekit_binary_conv &conv, const Images &images, int64_t image, int first, int end, Padded *padded) {
    const edgekit_binary_geometry &g = conv.g;
    const int64_t words = conv.group_words, width = images.width * words;
    const int64_t row_words = width + (g.pad_left + g.pad_right) * words;
    padded->first_row = first * g.stride_h;
    const int64_t rows = (end - 1 - first) * g.stride_h + g.kernel_h;
    padded->words.assign(rows * row_words + kSlack, 0);
    for (int64_t row = 0; row < rows; row++) {
        const int64_t from = padded->first_row + row - g.pad_top;
        if (from < 0 || from >= images.height) continue;
        memcpy(padded->words.data() + row * row_words + g.pad_left * words,
               images.bits + (image * images.height + from) * width, width * sizeof(uint32_t));
    }
    padded->row_words = row_words * conv.wide;
    padded->data = padded->words.data();
    if (conv.wide == 1) return;
    padded->triples.reset(new uint32_t[rows * padded->row_words]);
    conv.kernels->triple(padded->words.data(), rows * row_words, padded->triples.get());
    padded->data = padded->triples.get();
}

// What `pixels` output pixels from `pixel` on are made of, block after block of channels.
void run_blocks(const edgekit_binary_conv &conv, const BinaryPatches &patches, const int *classes, int64_t pixel,
                int pixels, const Target &target, size_t begin, size_t end) {
    alignas(64) int32_t counts[kBinaryMaxPixels * kBinaryLanes];
    for (size_t index = begin; index < end; index++) {
        const Block &block = conv.blocks[index];
        conv.kernels->count(patches, pixels, &conv.weights[block.slot * conv.weight_rows], block.width, counts);
        for (int p = 0, end_class = 0; p < pixels; p = end_class) {
            while (end_class < pixels && classes[end_class] == classes[p]) end_class++;
            write_pixels(conv, index, counts + p * kBinaryLanes, end_class - p, classes[p], target, pixel + p);
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
    BinaryPatches patches = {{}, g.kernel_h, padded->row_words, g.kernel_w * conv.group_words, conv.wide};
    int classes[kBinaryMaxPixels];
    for (int64_t pixel = static_cast<int64_t>(first) * images.columns; pixel < last; pixel += conv.kernels->pixels) {
        const int pixels = static_cast<int>(std::min<int64_t>(conv.kernels->pixels, last - pixel));
        for (int p = 0; p < pixels; p++) {
            const int64_t row = place.row * g.stride_h - padded->first_row;
            patches.pixels[p] = padded->data + row * padded->row_words +
                                static_cast<int64_t>(place.column) * g.stride_w * conv.group_words * conv.wide;
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
    BinaryPatches patches = {{}, 1, 0, conv.steps, conv.wide};
    uint32_t *const plain = room + kBinaryMaxPixels * conv.steps * conv.wide;  // of one window, where triples are made
    for (int p = 0; p < pixels; p++) {
        places[p] = *place;
        patches.pixels[p] = room + p * conv.steps * conv.wide;
        step(images, place);
    }
    for (size_t begin = 0, end; begin < conv.blocks.size(); begin = end) {
        const int group = conv.blocks[begin].group;
        for (end = begin; end < conv.blocks.size() && conv.blocks[end].group == group;) end++;
        for (int p = 0; p < pixels; p++) {
            uint32_t *patch = room + p * conv.steps * conv.wide;
            classes[p] = gather(conv, images, places[p], group, conv.wide == 1 ? patch : plain);
            if (conv.wide > 1) conv.kernels->triple(plain, conv.steps, patch);
        }
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
        if (are_tiles_worth(conv, all, end - begin)) {
            run_tiles(conv, all, row_begin, row_end, target);
            return EDGEKIT_OK;
        }
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
        std::vector<uint32_t> room(conv.steps * (kBinaryMaxPixels * conv.wide + 1) + kSlack);
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
}  // namespace

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
                    {output, out, nullptr, {0, 0}, nullptr, nullptr, signs});
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
                    {kToSum, out, residual, {low, high}, residual_codes ? &residual_grid : nullptr,
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
