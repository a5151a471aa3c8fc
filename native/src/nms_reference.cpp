// The IoU of nms.h, one box at a time.
#include <algorithm>

#include "nms.h"

namespace edgekit {

bool overlaps_reference(const BoxBlock &block, const Box &box, float iou) {
    for (int i = 0; i < kBlock; ++i) {
        const float width = std::min(block.x2[i], box.x2) - std::max(block.x1[i], box.x1);
        const float height = std::min(block.y2[i], box.y2) - std::max(block.y1[i], box.y1);
        const float shared = std::max(width, 0.0f) * std::max(height, 0.0f);
        const float both = block.area[i] + box.area - shared;
        if (shared / std::max(both, 1e-9f) > iou) return true;
    }
    return false;
}

}  // namespace edgekit
