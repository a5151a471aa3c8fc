// Binary convolution as a product of matrices of bytes, for processors that multiply whole tiles of them.
//
// With bits a and w of 0 and 1, popcount(a xor w) is the sum of w + a (1 - 2 w): the ones of the weights, and a product
// with +1 and -1. The image is spread to bytes -a (what a mask becomes in one instruction), the weights to 2 w - 1;
// sums begin at the ones of the weights and end as the counts that every other set of kernels gives.
//
// Rows of the left matrix are windows where they stand, as many bytes apart as a pixel has. The windows of an output
// row follow each other in an image row, and those of the next output row after the few places between, whose sums are
// thrown away. With a stride the columns and rows of the same remainder lie together: a plane of its own for each
// remainder, in which neighbours are neighbours again.
#pragma once

#include <stdint.h>

#include <vector>

struct edgekit_binary_conv;

namespace edgekit::binary {

constexpr int kTileBytes = 64;    // of a row of a tile: this many products for each sum
constexpr int kTileRows = 16;     // pixels or, four products each, steps of a tile; and lanes of a tile of sums
constexpr int kTilePixels = 64;   // pixels that `count` takes at once

// Taps of one row of the window whose columns have the same remainder: side by side in a plane, cut into chunks.
struct Strip {
    int row, column;  // of the first tap; the next one is stride_w further
    int chunks;
};

struct TileKernels;

// Empty where a convolution does not run on tiles.
struct TileWeights {
    const TileKernels *kernels = nullptr;
    std::vector<Strip> strips;
    std::vector<uint8_t> bytes;   // of each chunk that are products, 1 to kTileBytes
    std::vector<uint64_t> masks;  // block after block, (width / 16, chunks, kTileRows): bit 4 lane + j of a row is the
                                  // weight's of byte 4 row + j of the chunk
    std::vector<int32_t> ones;    // (slots): where the sums begin
};

// A product of pixels and one block of weights.
struct TileProduct {
    const int8_t *image;     // the first pixel
    const int64_t *offsets;  // chunk c of pixel p is the kTileBytes at image + offsets[c] + p * depth
    int64_t depth, chunks;
    const uint64_t *masks;  // of the block, see TileWeights; bytes of weights are -1, +1 where the bit is set
    const uint8_t *bytes;   // of each chunk; past them weights are 0
    const int32_t *ones;    // of each lane
    int tiles;              // of 16 lanes
    const int8_t *weights;  // what `spread_weights` made of the masks, or null
};

struct TileKernels {
    // Of this thread, before the first `count` and after the last.
    void (*begin)();
    void (*end)();

    // `pixels` pixels, `stride` words apart, become `depth` bytes each: 0, and -1 where the bit is set.
    void (*spread_pixels)(const uint32_t *bits, int64_t pixels, int64_t stride, int64_t depth, int8_t *to);

    // The masks of `tiles` times `chunks` tiles become as many times (kTileRows, kTileBytes), at a multiple of 64.
    void (*spread_weights)(const uint64_t *masks, const uint8_t *bytes, int tiles, int64_t chunks, int8_t *to);

    // counts[p][lane] of 1 to kTilePixels pixels, in rows of kBinaryLanes. As many are read and written as kTileRows
    // divides.
    void (*count)(const TileProduct &product, int pixels, int32_t *counts);
};

#if defined(EDGEKIT_AMX)
extern const TileKernels kTileAmx;
#endif

// Lays out the weights of `conv`, complete but for this, for `kernels`.
void fill_tiles(edgekit_binary_conv *conv, const TileKernels *kernels);

}  // namespace edgekit::binary
