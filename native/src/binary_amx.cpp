// AMX (Sapphire Rapids and later): 16 pixels by 16 channels by 64 products in one instruction, 16 cycles long; three
// times the rate of xor, popcount and add. Four tiles of pixels meet each tile of weights. That takes as long as its
// sixteen vectors need to come out of their masks, so weights are spread each time anew, and never lie in memory as
// bytes: eight times the bytes would have to come from the third cache in the deep layers of a network.
#include <immintrin.h>
#include <string.h>

#include <atomic>

#include "binary_kernels.h"
#include "binary_tiles.h"

namespace edgekit::binary {
namespace {

struct alignas(64) Configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// A constant: GCC's intrinsic says that it reads eight bytes, so that of a variable the others might never be written.
const Configuration kEightTiles = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16},
};

void begin() { _tile_loadconfig(&kEightTiles); }

void end() { _tile_release(); }

// One pixel; `words` are read whole.
inline void spread(const uint32_t *words, int64_t depth, int8_t *to) {
    int64_t c = 0;
    for (; c + 64 <= depth; c += 64, words += 2) {
        uint64_t mask;
        memcpy(&mask, words, sizeof(mask));
        _mm512_storeu_si512(to + c, _mm512_movm_epi8(mask));
    }
    for (; c < depth; c += 32, words++) {
        const __mmask32 within = depth - c >= 32 ? 0xffffffffu : (1u << (depth - c)) - 1u;
        _mm256_mask_storeu_epi8(to + c, within, _mm256_movm_epi8(*words));
    }
}

void spread_pixels(const uint32_t *bits, int64_t pixels, int64_t stride, int64_t depth, int8_t *to) {
    for (int64_t i = 0; i < pixels; i++) spread(bits + i * stride, depth, to + i * depth);
}

// The masks of one tile: -1, and +1 where the bit is set; 0 past the first `bytes` products of a sum.
inline void spread_tile(const uint64_t *masks, int bytes, int8_t *to) {
    const __m512i plus = _mm512_set1_epi8(1), minus = _mm512_set1_epi8(-1);
    if (bytes == kTileBytes) {
        for (int row = 0; row < kTileRows; row++) {
            _mm512_store_si512(to + row * kTileBytes, _mm512_mask_blend_epi8(masks[row], minus, plus));
        }
        return;
    }
    for (int row = 0; row < kTileRows; row++) {
        const int left = bytes - 4 * row;
        const __mmask64 within = left >= 4 ? ~0ull : left <= 0 ? 0 : ((1u << left) - 1u) * 0x1111111111111111ull;
        const __m512i signs = _mm512_mask_blend_epi8(masks[row], minus, plus);
        _mm512_store_si512(to + row * kTileBytes, _mm512_maskz_mov_epi8(within, signs));
    }
}

void spread_weights(const uint64_t *masks, const uint8_t *bytes, int tiles, int64_t chunks, int8_t *to) {
    for (int64_t i = 0; i < tiles * chunks; i++) {
        spread_tile(masks + i * kTileRows, bytes[i % chunks], to + i * kTileRows * kTileBytes);
    }
}

// Sums that are stored more than some thirty steps after the store before wait for 0.3 microseconds more, a third of
// what 36 steps take (measured on Sapphire Rapids; not explained). A store on the way, of sums that are not yet whole,
// prevents it.
constexpr int kStoreEvery = 16;

// Weights are spread some chunks before they are multiplied, for what was stored just now cannot be read as a tile yet,
// into a few tiles in turn, which stay in the first cache. (More ahead, or all of a block at once, measured slower.)
constexpr int64_t kAhead = 2;
constexpr int64_t kRing = 4;

// The tiles: sums 0 to 3, of weights 4, of pixels 5 to 7 in turn.
template <int Rows, bool Spread>
void multiply(const TileProduct &product, int tile, int32_t *counts) {
    constexpr int kRow = kBinaryLanes * sizeof(int32_t), kTile = kTileRows * kTileBytes;
    constexpr int kNext = kTileRows * kBinaryLanes;
    alignas(64) int8_t ring[Spread ? kRing * kTile : 1];
    const int8_t *weights = Spread ? ring : product.weights + tile * product.chunks * kTile;
    const uint64_t *masks = product.masks + tile * product.chunks * kTileRows;
    const int64_t depth = product.depth;
    for (int64_t chunk = 0; Spread && chunk < kAhead && chunk < product.chunks; chunk++) {
        spread_tile(masks + chunk * kTileRows, product.bytes[chunk], ring + chunk % kRing * kTile);
    }
    // GCC's intrinsics do not say that they read and write memory.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    const int32_t *ones = product.ones + tile * 16;  // rows that are no bytes apart: the same sums, sixteen times
    _tile_loadd(0, ones, 0);
    if (Rows > 1) _tile_loadd(1, ones, 0);
    if (Rows > 2) _tile_loadd(2, ones, 0);
    if (Rows > 3) _tile_loadd(3, ones, 0);
    for (int64_t chunk = 0; chunk < product.chunks; chunk++) {
        if (const int64_t next = chunk + kAhead; Spread && next < product.chunks) {
            spread_tile(masks + next * kTileRows, product.bytes[next], ring + next % kRing * kTile);
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        if (chunk % kStoreEvery == kStoreEvery - 1) _tile_stored(0, counts, kRow);
        const int8_t *pixels = product.image + product.offsets[chunk];
        _tile_loadd(4, weights + (Spread ? chunk % kRing : chunk) * kTile, kTileBytes);
        _tile_loadd(5, pixels, depth);
        _tile_dpbssd(0, 5, 4);
        if (Rows > 1) {
            _tile_loadd(6, pixels + kTileRows * depth, depth);
            _tile_dpbssd(1, 6, 4);
        }
        if (Rows > 2) {
            _tile_loadd(7, pixels + 2 * kTileRows * depth, depth);
            _tile_dpbssd(2, 7, 4);
        }
        if (Rows > 3) {
            _tile_loadd(5, pixels + 3 * kTileRows * depth, depth);
            _tile_dpbssd(3, 5, 4);
        }
    }
    _tile_stored(0, counts, kRow);
    if (Rows > 1) _tile_stored(1, counts + kNext, kRow);
    if (Rows > 2) _tile_stored(2, counts + 2 * kNext, kRow);
    if (Rows > 3) _tile_stored(3, counts + 3 * kNext, kRow);
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

using Multiply = void (*)(const TileProduct &, int, int32_t *);
constexpr Multiply kMultiply[] = {multiply<1, false>, multiply<2, false>, multiply<3, false>, multiply<4, false>};
constexpr Multiply kSpread[] = {multiply<1, true>, multiply<2, true>, multiply<3, true>, multiply<4, true>};

void count(const TileProduct &product, int pixels, int32_t *counts) {
    const Multiply *by_rows = product.weights ? kMultiply : kSpread;
    const Multiply run = by_rows[(pixels - 1) / kTileRows];
    for (int tile = 0; tile < product.tiles; tile++) run(product, tile, counts + tile * 16);
}

}  // namespace

const TileKernels kTileAmx = {begin, end, spread_pixels, spread_weights, count};

}  // namespace edgekit::binary
