// The rule of best_class.h, 16 columns at a time.
#include <arm_neon.h>

#include "best_class.h"

namespace edgekit {

void best_class_neon(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                     int32_t *class_id) {
    int32_t i = 0;
    for (; i + 16 <= count; i += 16) {
        float32x4_t top[4];
        int32x4_t which[4];
        for (int k = 0; k < 4; ++k) {
            top[k] = vld1q_f32(scores + i + 4 * k);
            which[k] = vdupq_n_s32(0);
        }
        for (int64_t row = 1; row < classes; ++row) {
            const int32x4_t number = vdupq_n_s32(static_cast<int32_t>(row));
            for (int k = 0; k < 4; ++k) {
                const float32x4_t score = vld1q_f32(scores + row * stride + i + 4 * k);
                // a NaN is not equal to itself
                const uint32x4_t better = vorrq_u32(vcgtq_f32(score, top[k]), vmvnq_u32(vceqq_f32(score, score)));
                top[k] = vbslq_f32(better, score, top[k]);
                which[k] = vbslq_s32(better, number, which[k]);
            }
        }
        for (int k = 0; k < 4; ++k) {
            vst1q_f32(best + i + 4 * k, top[k]);
            vst1q_s32(class_id + i + 4 * k, which[k]);
        }
    }
    best_class_reference(scores + i, classes, stride, count - i, best + i, class_id + i);
}

}  // namespace edgekit
