// What stands around a product of tiles: weights laid out once, the image as bytes, sums of places that are no pixels.
#include "binary_tiles.h"

#include <string.h>

#include <algorithm>
#include <memory>

#include "binary_state.h"

namespace edgekit::binary {

namespace {

// The masks of one chunk and 16 lanes, of weights that lie as `Block` says.
void fill_tile(const edgekit_binary_conv &conv, const Block &block, const Strip &strip, int64_t first, int bytes,
               int tile, uint64_t *rows) {
    const int64_t depth = conv.g.in_channels / conv.g.groups;
    const uint32_t *weights = conv.weights.data() + block.slot * conv.steps + tile * 16;
    for (int i = 0; i < bytes; i++) {
        const int64_t column = strip.column + (first + i) / depth * conv.g.stride_w, channel = (first + i) % depth;
        const int64_t word = (strip.row * conv.g.kernel_w + column) * conv.group_words + channel / 32;
        for (int lane = 0; lane < 16; lane++) {
            const uint64_t bit = weights[word * block.width + lane] >> (channel % 32) & 1;
            rows[i / 4] |= bit << (4 * lane + i % 4);
        }
    }
}

}  // namespace

void fill_tiles(edgekit_binary_conv *conv, const TileKernels *kernels) {
    const edgekit_binary_geometry &g = conv->g;
    TileWeights &tiles = conv->tiles;
    tiles.kernels = kernels;
    const int64_t depth = g.in_channels / g.groups;
    for (int row = 0; row < g.kernel_h; row++) {
        for (int column = 0; column < std::min(g.kernel_w, g.stride_w); column++) {
            const int64_t taps = (g.kernel_w - column + g.stride_w - 1) / g.stride_w;
            const int64_t chunks = (taps * depth + kTileBytes - 1) / kTileBytes;
            tiles.strips.push_back({row, column, static_cast<int>(chunks)});
            tiles.bytes.insert(tiles.bytes.end(), chunks, kTileBytes);
            tiles.bytes.back() = static_cast<uint8_t>(taps * depth - (chunks - 1) * kTileBytes);
        }
    }
    tiles.masks.assign(tiles.bytes.size() * conv->slots, 0);
    tiles.ones.assign(conv->slots, 0);
    uint64_t *rows = tiles.masks.data();
    for (const Block &block : conv->blocks) {
        for (int tile = 0; tile < block.width / 16; tile++) {
            const uint8_t *bytes = tiles.bytes.data();
            for (const Strip &strip : tiles.strips) {
                for (int chunk = 0; chunk < strip.chunks; chunk++, bytes++, rows += kTileRows) {
                    fill_tile(*conv, block, strip, int64_t{chunk} * kTileBytes, *bytes, tile, rows);
                }
            }
        }
        const uint32_t *words = conv->weights.data() + block.slot * conv->steps;
        for (int64_t i = 0; i < conv->steps * block.width; i++) {
            tiles.ones[block.slot + i % block.width] += __builtin_popcount(words[i]);
        }
    }
}

namespace {

// How the bytes of an image lie. `rows` output rows at a time are spread, with the +1 around them.
struct Planes {
    int64_t depth;
    int64_t pitch;         // places of a row: an output row is as far from the next
    int rows_in, columns;  // planes: one for each remainder of a row by the stride, and of a column
    int rows;              // of the output, the most
    int64_t plane_rows;    // that these need
};

constexpr int64_t kBandBytes = 128 * 1024;  // about so many at a time: they stay in the second cache

// Weights of a block that are no more, and meet many pixels, are spread once a call: they stay in the second cache, and
// what the kernels do else costs a tenth.
constexpr int64_t kWeightBytes = 80 * 1024;
constexpr int64_t kLanesBytes = kTileBytes * kBinaryLanes;  // of one chunk

// A tile takes as long for one pixel as for sixteen.
constexpr int64_t kLeastPixels = 16;

int64_t ceiling(int64_t value, int64_t step) { return (value + step - 1) / step; }

Planes planes_of(const edgekit_binary_geometry &g, const Images &images) {
    Planes planes;
    planes.depth = g.in_channels / g.groups;
    planes.pitch = ceiling(images.width + g.pad_left + g.pad_right, g.stride_w);
    planes.rows_in = std::min(g.kernel_h, g.stride_h);
    planes.columns = std::min(g.kernel_w, g.stride_w);
    const int64_t more = (g.kernel_h - 1) / g.stride_h;
    const int64_t fitting = kBandBytes / (planes.pitch * planes.depth * planes.rows_in * planes.columns) - more;
    planes.rows = static_cast<int>(std::min<int64_t>(std::max<int64_t>(fitting, 1), images.rows));
    planes.plane_rows = planes.rows + more;
    return planes;
}

// What one call works in, nothing of it cleared: bytes that were never written meet weights of 0, or make sums that
// nobody reads.
struct Room {
    std::unique_ptr<int8_t[]> memory;
    int8_t *weights;               // of one block, null where they are spread each time anew
    int8_t *image;                 // both at a multiple of 64 bytes
    std::vector<int64_t> offsets;  // of each chunk of the first pixel, in `image`
};

Room room_of(const edgekit_binary_conv &conv, const Planes &planes) {
    // Tiles are read whole: past the last place there are places for the rest of a tile, and one row more.
    const int64_t plane = planes.plane_rows * planes.pitch * planes.depth;
    const int64_t image = plane * planes.rows_in * planes.columns + kTileRows * planes.depth + kTileBytes;
    const int64_t weights = kLanesBytes * static_cast<int64_t>(conv.tiles.bytes.size());
    const bool is_reused = weights <= kWeightBytes && planes.rows * planes.pitch > kTilePixels;
    Room room;
    room.memory.reset(new int8_t[64 + (is_reused ? weights : 0) + image]);
    int8_t *aligned = room.memory.get() + 64 - reinterpret_cast<uintptr_t>(room.memory.get()) % 64;
    room.weights = is_reused ? aligned : nullptr;
    room.image = aligned + (is_reused ? weights : 0);
    for (const Strip &strip : conv.tiles.strips) {
        const int64_t index = strip.row % conv.g.stride_h * planes.columns + strip.column;
        const int64_t start = index * plane + strip.row / conv.g.stride_h * planes.pitch * planes.depth;
        for (int chunk = 0; chunk < strip.chunks; chunk++) room.offsets.push_back(start + chunk * kTileBytes);
    }
    return room;
}

// One row of one plane: the columns of an image row whose remainder is `column`; `row` is null outside the image.
void spread_row(const edgekit_binary_conv &conv, const Images &images, const Planes &planes, const uint32_t *row,
                int column, int8_t *to) {
    const edgekit_binary_geometry &g = conv.g;
    const int64_t before = row ? ceiling(std::max(0, g.pad_left - column), g.stride_w) : planes.pitch;
    const int64_t end = std::min(planes.pitch, ceiling(images.width + g.pad_left - column, g.stride_w));
    memset(to, 0, before * planes.depth);
    if (row == nullptr) return;
    const int64_t words = conv.group_words * g.groups;
    const int64_t first = before * g.stride_w + column - g.pad_left;
    if (before < end) {
        conv.tiles.kernels->spread_pixels(row + first * words, end - before, g.stride_w * words, planes.depth,
                                      to + before * planes.depth);
    }
    const int64_t written = std::max(before, end);
    memset(to + written * planes.depth, 0, (planes.pitch - written) * planes.depth);
}

// The input of `rows` output rows from `first` on, of one group.
void spread_image(const edgekit_binary_conv &conv, const Images &images, const Planes &planes, const Place &first,
                  int rows, int group, int8_t *to) {
    const edgekit_binary_geometry &g = conv.g;
    const int64_t row_words = images.width * conv.group_words * g.groups;
    const int64_t row_bytes = planes.pitch * planes.depth;
    const int64_t used = rows + planes.plane_rows - planes.rows;
    for (int remainder = 0; remainder < planes.rows_in; remainder++) {
        for (int column = 0; column < planes.columns; column++) {
            int8_t *plane = to + (remainder * planes.columns + column) * planes.plane_rows * row_bytes;
            for (int64_t i = 0; i < used; i++, plane += row_bytes) {
                const int64_t y = (first.row + i) * g.stride_h + remainder - g.pad_top;
                const uint32_t *row = y < 0 || y >= images.height
                                          ? nullptr
                                          : images.bits + (first.image * images.height + y) * row_words +
                                                group * conv.group_words;
                spread_row(conv, images, planes, row, column, plane);
            }
        }
    }
}

// The columns of an output row whose windows hang over neither side.
struct Inner {
    int64_t begin, end;
};

Inner inner_of(const edgekit_binary_geometry &g, const Images &images) {
    const int64_t last = images.width + g.pad_left - g.kernel_w;  // where the last such window begins, if there is one
    const int64_t begin = ceiling(g.pad_left, g.stride_w);
    return {begin, last < 0 ? begin : std::min<int64_t>(last / g.stride_w + 1, images.columns)};
}

// The sums of one block of channels at consecutive places, the first of which is `place`; it is moved past the last.
// Past the columns of the image there are sums of nothing.
void write_places(const edgekit_binary_conv &conv, const Images &images, const Planes &planes, const Inner &inner,
                  size_t index, const int32_t *counts, int places, const Target &target, Place *place) {
    for (int64_t i = 0; i < places;) {
        const int64_t column = place->column, left = places - i;
        int64_t step = std::min(planes.pitch - column, left);
        if (column < images.columns) {
            const bool is_inner = inner.begin <= column && column < inner.end;
            step = is_inner ? std::min(inner.end - column, left) : 1;
            const int64_t pixel = (place->image * images.rows + place->row) * images.columns + column;
            write_pixels(conv, index, counts + i * kBinaryLanes, static_cast<int>(step),
                         class_at(conv.g, images, *place), target, pixel);
        }
        i += step;
        place->column += static_cast<int>(step);
        if (place->column < planes.pitch) continue;
        place->column = 0;
        place->row++;
    }
}

// `rows` output rows from `first` on, of one block of channels.
void count_block(const edgekit_binary_conv &conv, const Images &images, const Planes &planes, const Room &room,
                 const Place &first, int rows, size_t index, const Target &target) {
    const TileKernels &kernels = *conv.tiles.kernels;
    const Block &block = conv.blocks[index];
    const int64_t chunks = room.offsets.size();
    TileProduct product = {room.image, room.offsets.data(), planes.depth, chunks,
                           conv.tiles.masks.data() + block.slot * chunks, conv.tiles.bytes.data(),
                           conv.tiles.ones.data() + block.slot, block.width / 16, room.weights};
    if (room.weights) {
        kernels.spread_weights(product.masks, product.bytes, product.tiles, chunks, room.weights);
    }
    alignas(64) int32_t counts[kTilePixels * kBinaryLanes];
    const Inner inner = inner_of(conv.g, images);
    const int64_t places = (rows - 1) * planes.pitch + images.columns;
    Place place = first;
    for (int64_t begin = 0; begin < places; begin += kTilePixels, product.image += kTilePixels * planes.depth) {
        const int count = static_cast<int>(std::min<int64_t>(kTilePixels, places - begin));
        kernels.count(product, count, counts);
        write_places(conv, images, planes, inner, index, counts, count, target, &place);
    }
}

}  // namespace

bool are_tiles_worth(const edgekit_binary_conv &conv, const Images &images, int64_t pixels) {
    if (conv.tiles.kernels == nullptr) return false;
    return pixels >= kLeastPixels && planes_of(conv.g, images).pitch <= 2 * images.columns;
}

void run_tiles(const edgekit_binary_conv &conv, const Images &images, int64_t row_begin, int64_t row_end,
               const Target &target) {
    const Planes planes = planes_of(conv.g, images);
    const Room room = room_of(conv, planes);
    conv.tiles.kernels->begin();
    for (int64_t row = row_begin; row < row_end;) {
        const Place first = {row / images.rows, static_cast<int>(row % images.rows), 0};
        const int64_t rows = std::min<int64_t>({planes.rows, row_end - row, images.rows - first.row});
        for (size_t index = 0; index < conv.blocks.size(); index++) {
            const int group = conv.blocks[index].group;
            if (index == 0 || conv.blocks[index - 1].group != group) {
                spread_image(conv, images, planes, first, static_cast<int>(rows), group, room.image);
            }
            count_block(conv, images, planes, room, first, static_cast<int>(rows), index, target);
        }
        row += rows;
    }
    conv.tiles.kernels->end();
}

}  // namespace edgekit::binary
