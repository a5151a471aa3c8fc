// The rule of best_class.h, one score at a time.
#include "best_class.h"

namespace edgekit {

void best_class_reference(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                          int32_t *class_id) {
    for (int32_t i = 0; i < count; ++i) {
        best[i] = scores[i];
        class_id[i] = 0;
        for (int64_t row = 1; row < classes; ++row) {
            const float score = scores[row * stride + i];
            if (score > best[i] || score != score) {
                best[i] = score;
                class_id[i] = static_cast<int32_t>(row);
            }
        }
    }
}

}  // namespace edgekit
