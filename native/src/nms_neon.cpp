// The IoU of nms.h, 4 boxes at a time.
#include <arm_neon.h>

#include "nms.h"

namespace edgekit {

bool overlaps_neon(const BoxBlock &block, const Box &box, float iou) {
    const float32x4_t zero = vdupq_n_f32(0);
    for (int i = 0; i < kBlock; i += 4) {
        const float32x4_t width = vsubq_f32(vminq_f32(vld1q_f32(block.x2 + i), vdupq_n_f32(box.x2)),
                                            vmaxq_f32(vld1q_f32(block.x1 + i), vdupq_n_f32(box.x1)));
        const float32x4_t height = vsubq_f32(vminq_f32(vld1q_f32(block.y2 + i), vdupq_n_f32(box.y2)),
                                             vmaxq_f32(vld1q_f32(block.y1 + i), vdupq_n_f32(box.y1)));
        const float32x4_t shared = vmulq_f32(vmaxq_f32(width, zero), vmaxq_f32(height, zero));
        // Most boxes lie apart, and 0 is never above iou: no division.
        if (vmaxvq_u32(vcgtq_f32(shared, zero)) == 0) continue;
        const float32x4_t sum = vaddq_f32(vld1q_f32(block.area + i), vdupq_n_f32(box.area));
        const float32x4_t both = vmaxq_f32(vsubq_f32(sum, shared), vdupq_n_f32(1e-9f));
        if (vmaxvq_u32(vcgtq_f32(vdivq_f32(shared, both), vdupq_n_f32(iou))) != 0) return true;
    }
    return false;
}

}  // namespace edgekit
