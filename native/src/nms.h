// Greedy non-maximum suppression within each class.
//
// A box is compared with the better boxes that were kept of its class, which lie in blocks of 16 a coordinate. The IoU
// is that of edgekit.boxes.iou_matrix in float32, each operation rounded by itself, so both keep the same boxes.
#pragma once

#include <cstdint>

#include "cpu.h"

namespace edgekit {

constexpr int kBlock = 16;

struct Box {
    float x1, y1, x2, y2, area;
};

// Unused places hold points far outside: they share nothing with any box.
struct alignas(64) BoxBlock {
    float x1[kBlock], y1[kBlock], x2[kBlock], y2[kBlock], area[kBlock];
};

// True where a box of the block has an IoU of more than `iou` >= 0 with `box`.
using Overlaps = bool (*)(const BoxBlock &block, const Box &box, float iou);

bool overlaps_reference(const BoxBlock &block, const Box &box, float iou);
bool overlaps_avx2(const BoxBlock &block, const Box &box, float iou);
bool overlaps_avx512(const BoxBlock &block, const Box &box, float iou);
bool overlaps_neon(const BoxBlock &block, const Box &box, float iou);

Overlaps overlaps_of(Kernels kernels);

// edgekit_nms with these kernels.
int32_t nms(Overlaps overlaps, const float *xyxy, const float *score, const int64_t *class_id, int64_t count, float iou,
            int64_t limit, int64_t *kept, int64_t *kept_count);

}  // namespace edgekit
