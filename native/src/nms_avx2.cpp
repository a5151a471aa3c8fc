// The IoU of nms.h, 8 boxes at a time.
#include <immintrin.h>

#include "nms.h"

namespace edgekit {

bool overlaps_avx2(const BoxBlock &block, const Box &box, float iou) {
    const __m256 zero = _mm256_setzero_ps();
    for (int i = 0; i < kBlock; i += 8) {
        const __m256 width = _mm256_sub_ps(_mm256_min_ps(_mm256_load_ps(block.x2 + i), _mm256_set1_ps(box.x2)),
                                           _mm256_max_ps(_mm256_load_ps(block.x1 + i), _mm256_set1_ps(box.x1)));
        const __m256 height = _mm256_sub_ps(_mm256_min_ps(_mm256_load_ps(block.y2 + i), _mm256_set1_ps(box.y2)),
                                            _mm256_max_ps(_mm256_load_ps(block.y1 + i), _mm256_set1_ps(box.y1)));
        const __m256 shared = _mm256_mul_ps(_mm256_max_ps(width, zero), _mm256_max_ps(height, zero));
        // Most boxes lie apart, and 0 is never above iou: no division.
        if (_mm256_movemask_ps(_mm256_cmp_ps(shared, zero, _CMP_GT_OQ)) == 0) continue;
        const __m256 sum = _mm256_add_ps(_mm256_load_ps(block.area + i), _mm256_set1_ps(box.area));
        const __m256 both = _mm256_max_ps(_mm256_sub_ps(sum, shared), _mm256_set1_ps(1e-9f));
        const __m256 over = _mm256_cmp_ps(_mm256_div_ps(shared, both), _mm256_set1_ps(iou), _CMP_GT_OQ);
        if (_mm256_movemask_ps(over) != 0) return true;
    }
    return false;
}

}  // namespace edgekit
