// The IoU of nms.h, 16 boxes at a time.
#include <immintrin.h>

#include "nms.h"

namespace edgekit {

bool overlaps_avx512(const BoxBlock &block, const Box &box, float iou) {
    const __m512 zero = _mm512_setzero_ps();
    const __m512 width = _mm512_sub_ps(_mm512_min_ps(_mm512_load_ps(block.x2), _mm512_set1_ps(box.x2)),
                                       _mm512_max_ps(_mm512_load_ps(block.x1), _mm512_set1_ps(box.x1)));
    const __m512 height = _mm512_sub_ps(_mm512_min_ps(_mm512_load_ps(block.y2), _mm512_set1_ps(box.y2)),
                                        _mm512_max_ps(_mm512_load_ps(block.y1), _mm512_set1_ps(box.y1)));
    const __m512 shared = _mm512_mul_ps(_mm512_max_ps(width, zero), _mm512_max_ps(height, zero));
    // Most boxes lie apart, and 0 is never above iou: no division.
    if (_mm512_cmp_ps_mask(shared, zero, _CMP_GT_OQ) == 0) return false;
    const __m512 sum = _mm512_add_ps(_mm512_load_ps(block.area), _mm512_set1_ps(box.area));
    const __m512 both = _mm512_max_ps(_mm512_sub_ps(sum, shared), _mm512_set1_ps(1e-9f));
    return _mm512_cmp_ps_mask(_mm512_div_ps(shared, both), _mm512_set1_ps(iou), _CMP_GT_OQ) != 0;
}

}  // namespace edgekit
