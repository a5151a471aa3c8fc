// The rule of best_class.h, 64 columns at a time, and the last ones under a mask.
#include <immintrin.h>

#include "best_class.h"

namespace edgekit {

void best_class_avx512(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                       int32_t *class_id) {
    for (int32_t i = 0; i < count; i += 64) {
        __mmask16 here[4];
        __m512 top[4];
        __m512i which[4];
        for (int k = 0; k < 4; ++k) {
            const int32_t left = count - i - 16 * k;
            here[k] = static_cast<__mmask16>(left >= 16 ? 0xffff : left > 0 ? (1 << left) - 1 : 0);
            top[k] = _mm512_maskz_loadu_ps(here[k], scores + i + 16 * k);
            which[k] = _mm512_setzero_si512();
        }
        for (int64_t row = 1; row < classes; ++row) {
            const __m512i number = _mm512_set1_epi32(static_cast<int32_t>(row));
            for (int k = 0; k < 4; ++k) {
                const __m512 score = _mm512_maskz_loadu_ps(here[k], scores + row * stride + i + 16 * k);
                const __mmask16 better = _mm512_cmp_ps_mask(score, top[k], _CMP_GT_OQ) |
                                         _mm512_cmp_ps_mask(score, score, _CMP_UNORD_Q);
                top[k] = _mm512_mask_mov_ps(top[k], better, score);
                which[k] = _mm512_mask_mov_epi32(which[k], better, number);
            }
        }
        for (int k = 0; k < 4; ++k) {
            _mm512_mask_storeu_ps(best + i + 16 * k, here[k], top[k]);
            _mm512_mask_storeu_epi32(class_id + i + 16 * k, here[k], which[k]);
        }
    }
}

}  // namespace edgekit
