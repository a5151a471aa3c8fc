// The rule of best_class.h, 32 columns at a time.
#include <immintrin.h>

#include "best_class.h"

namespace edgekit {

void best_class_avx2(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                     int32_t *class_id) {
    int32_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256 top[4], which[4];
        for (int k = 0; k < 4; ++k) {
            top[k] = _mm256_loadu_ps(scores + i + 8 * k);
            which[k] = _mm256_setzero_ps();
        }
        for (int64_t row = 1; row < classes; ++row) {
            const __m256 number = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int32_t>(row)));
            for (int k = 0; k < 4; ++k) {
                const __m256 score = _mm256_loadu_ps(scores + row * stride + i + 8 * k);
                const __m256 better = _mm256_or_ps(_mm256_cmp_ps(score, top[k], _CMP_GT_OQ),
                                                   _mm256_cmp_ps(score, score, _CMP_UNORD_Q));
                top[k] = _mm256_blendv_ps(top[k], score, better);
                which[k] = _mm256_blendv_ps(which[k], number, better);
            }
        }
        for (int k = 0; k < 4; ++k) {
            _mm256_storeu_ps(best + i + 8 * k, top[k]);
            _mm256_storeu_si256(reinterpret_cast<__m256i *>(class_id + i + 8 * k), _mm256_castps_si256(which[k]));
        }
    }
    best_class_reference(scores + i, classes, stride, count - i, best + i, class_id + i);
}

}  // namespace edgekit
