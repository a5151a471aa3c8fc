// A binary convolution after it was made, and where its results go: what the loops over its pixels share.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "binary_codes.h"
#include "binary_kernels.h"
#include "binary_tiles.h"
#include "edgekit_binary.h"

namespace edgekit::binary {

// Some output channels of one group. Its tables begin at `slot`; slots count lanes, with those past the last channel.
struct Block {
    int group;
    int channel;  // the first, among all output channels
    int channels;
    int width;  // lanes: `channels`, rounded up to 16
    int64_t slot;
};

}  // namespace edgekit::binary

struct edgekit_binary_conv {
    edgekit_binary_geometry g;
    edgekit::Kernels kind;
    const edgekit::BinaryKernels *kernels;
    int64_t words_out;    // of one output pixel as bits
    int64_t group_words;  // of one pixel and group
    int64_t steps;        // words of one patch
    int64_t slots;
    std::vector<edgekit::binary::Block> blocks;
    int64_t wide;                    // words that one word becomes: 4 where triples are counted, else 1
    int64_t weight_rows;             // words of weights that a lane has: `steps`, or more with triples
    std::vector<uint32_t> weights;   // block after block, as the kernels want them: see BinaryKernels::count
    std::vector<float> multiplier;   // (slots)
    std::vector<float> offset;       // (slots)
    std::vector<int32_t> base;       // (border classes, slots): dot = base - 2 * count
    std::vector<int32_t> threshold;  // (border classes, slots): bit = count > threshold, flipped where `flip` says so
    std::vector<uint64_t> flip;      // a bit for each lane of each block
    edgekit::binary::TileWeights tiles;  // the weights once more where the kernels are `amx`, else empty
};

namespace edgekit::binary {

// Padding. Patches stand on +1 outside the image (bits of 0). Zero padding is the same sum less what these taps gave,
//     dot = dot_one - corr,   corr[channel] = sum of the weights of the taps outside the image,
// which depends on how many rows and columns of the window hang over each side: a border class. Top and bottom both
// count, for an image may be lower than the window. With K = taps * channels of a group, and count the popcount of
// activations xor weights (a product is -1 where the bits differ),
//     dot = K - 2 count - corr = base - 2 count.
int border_classes(const edgekit_binary_geometry &g);

struct Overhang {
    int top, bottom, left, right;
};

int class_of(const edgekit_binary_geometry &g, const Overhang &over);

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

inline void step(const Images &images, Place *place) {
    if (++place->column < images.columns) return;
    place->column = 0;
    if (++place->row < images.rows) return;
    place->row = 0;
    place->image++;
}

// The border class of one output pixel.
int class_at(const edgekit_binary_geometry &g, const Images &images, const Place &place);

// Where the results go, and what is done to them on the way.
struct Target {
    int output;  // EDGEKIT_BINARY_TO_*, or kToSum
    void *out;
    const void *residual;  // of kToSum, like what follows but for the bits; null for none
    BinaryLimits limits;
    const CodeGrid *residual_grid, *out_grid;  // null for floats
    uint32_t *signs;  // bits that are written, of which each pixel's are cleared first; null for none
};

constexpr int kToSum = -1;

// Up to kTilePixels consecutive output pixels of one border class and one block, the first numbered `pixel` through all
// images, from counts in rows of kBinaryLanes.
void write_pixels(const edgekit_binary_conv &conv, size_t block_index, const int32_t *counts, int pixels,
                  int border_class, const Target &target, int64_t pixel);

// Whether `pixels` output pixels are computed faster by tiles than a few at a time. They are not where there are few,
// nor in images so narrow that most of what stands between two rows of windows is no window.
bool are_tiles_worth(const edgekit_binary_conv &conv, const Images &images, int64_t pixels);

// Output rows row_begin to row_end - 1, numbered through all images, by the tiles of `conv`. Throws std::bad_alloc.
void run_tiles(const edgekit_binary_conv &conv, const Images &images, int64_t row_begin, int64_t row_end,
               const Target &target);

}  // namespace edgekit::binary
