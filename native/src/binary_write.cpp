// What becomes of the counts of an output pixel.
#include <string.h>

#include "binary_state.h"

namespace edgekit::binary {
namespace {

// `bits` of `lanes` lanes into the packed row of one pixel, from `channel` on; the row was cleared before.
inline void put_bits(uint32_t *row, int channel, uint64_t bits, int lanes) {
    row += channel / 32;
    if (channel % 32 == 0 && lanes > 32) {
        memcpy(row, &bits, sizeof(bits));
        return;
    }
    const int shift = channel % 32;
    const uint64_t low = bits << shift;
    row[0] |= static_cast<uint32_t>(low);
    if (shift + lanes > 32) row[1] |= static_cast<uint32_t>(low >> 32);
    if (shift + lanes > 64) row[2] |= static_cast<uint32_t>(bits >> (64 - shift));
}
// One pixel, `channels` values from `place` on, and the bits of those below 0. Codes on either side are floats in
// between.
uint64_t write_sum(const edgekit_binary_conv &conv, const int32_t *counts, const BinaryTables &tables, int channels,
                   const Target &target, int64_t place) {
    const CodeKernels &codes = *code_kernels(conv.kind);
    alignas(64) float added[kBinaryLanes], sums[kBinaryLanes];
    const float *residual = nullptr;
    if (target.residual && target.residual_grid) {
        const uint8_t *from = static_cast<const uint8_t *>(target.residual) + place;
        codes.to_values(from, *target.residual_grid, channels, added);
        residual = added;
    } else if (target.residual) {
        residual = static_cast<const float *>(target.residual) + place;
    }
    float *y = target.out_grid ? sums : static_cast<float *>(target.out) + place;
    uint64_t bits;
    conv.kernels->to_sum(counts, 1, tables, target.limits, residual, channels, y, 0, &bits);
    if (target.out_grid) codes.to_codes(sums, *target.out_grid, channels, static_cast<uint8_t *>(target.out) + place);
    return bits;
}

void write_sums(const edgekit_binary_conv &conv, const int32_t *counts, int pixels, const BinaryTables &tables,
                int channels, const Target &target, int64_t place, uint64_t *bits) {
    const int64_t step = conv.g.out_channels;
    if (!target.out_grid && !target.residual_grid) {
        const float *residual = target.residual ? static_cast<const float *>(target.residual) + place : nullptr;
        conv.kernels->to_sum(counts, pixels, tables, target.limits, residual, channels,
                             static_cast<float *>(target.out) + place, step, bits);
        return;
    }
    for (int p = 0; p < pixels; p++) {
        bits[p] = write_sum(conv, counts + p * kBinaryLanes, tables, channels, target, place + p * step);
    }
}

}  // namespace

void write_pixels(const edgekit_binary_conv &conv, size_t block_index, const int32_t *counts, int pixels,
                  int border_class, const Target &target, int64_t pixel) {
    const Block &block = conv.blocks[block_index];
    const BinaryKernels &kernels = *conv.kernels;
    const int64_t table = border_class * conv.slots + block.slot, step = conv.g.out_channels;
    const BinaryTables tables = {&conv.base[table], &conv.multiplier[block.slot], &conv.offset[block.slot]};
    const int64_t place = pixel * step + block.channel;
    uint64_t bits[kTilePixels], flip = 0;
    switch (target.output) {
        case EDGEKIT_BINARY_TO_FLOAT:
            kernels.to_float(counts, pixels, tables, block.channels, static_cast<float *>(target.out) + place, step);
            return;
        case EDGEKIT_BINARY_TO_INT8:
            kernels.to_int8(counts, pixels, tables, block.channels, static_cast<int8_t *>(target.out) + place, step);
            return;
        case EDGEKIT_BINARY_TO_BITS:
            kernels.to_bits(counts, pixels, &conv.threshold[table], block.width, bits);
            flip = conv.flip[block_index];
            break;
        default:  // kToSum
            write_sums(conv, counts, pixels, tables, block.channels, target, place, bits);
            if (target.signs == nullptr) return;
    }
    for (int p = 0; p < pixels; p++) {
        put_bits(target.signs + (pixel + p) * conv.words_out, block.channel, bits[p] ^ flip, block.channels);
    }
}

}  // namespace edgekit::binary
