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

// A run of pixels with codes on one side or both, which are floats in between: room that stays in the nearest cache.
void write_codes(const edgekit_binary_conv &conv, const int32_t *counts, int pixels, const BinaryTables &tables,
                 int channels, const Target &target, int64_t place, uint64_t *bits) {
    const CodeKernels &codes = *code_kernels(conv.kind);
    const int64_t step = conv.g.out_channels;
    alignas(64) float room[kTilePixels * kBinaryLanes];
    for (int p = 0; target.residual && p < pixels; p++) {
        const int64_t at = place + p * step;
        float *values = room + p * kBinaryLanes;
        if (target.residual_grid) {
            const uint8_t *from = static_cast<const uint8_t *>(target.residual) + at;
            codes.to_values(from, *target.residual_grid, channels, values);
        } else {
            memcpy(values, static_cast<const float *>(target.residual) + at, channels * sizeof(float));
        }
    }
    conv.kernels->to_sum(counts, pixels, tables, target.limits, target.residual ? room : nullptr, channels, room,
                         kBinaryLanes, bits);
    for (int p = 0; p < pixels; p++) {
        const int64_t at = place + p * step;
        const float *values = room + p * kBinaryLanes;
        if (target.out_grid) {
            codes.to_codes(values, *target.out_grid, channels, static_cast<uint8_t *>(target.out) + at);
        } else {
            memcpy(static_cast<float *>(target.out) + at, values, channels * sizeof(float));
        }
    }
}

void write_sums(const edgekit_binary_conv &conv, const int32_t *counts, int pixels, const BinaryTables &tables,
                int channels, const Target &target, int64_t place, uint64_t *bits) {
    if (target.out_grid || target.residual_grid) {
        write_codes(conv, counts, pixels, tables, channels, target, place, bits);
        return;
    }
    const float *residual = target.residual ? static_cast<const float *>(target.residual) + place : nullptr;
    conv.kernels->to_sum(counts, pixels, tables, target.limits, residual, channels,
                         static_cast<float *>(target.out) + place, conv.g.out_channels, bits);
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
