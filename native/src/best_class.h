// The best class of every anchor, where a row of scores holds one class of all anchors.
//
// A block of anchors goes through all rows with its best scores and their classes in registers. A NaN is kept once it is
// met, as NumPy's max keeps it: such an anchor reaches no threshold. Of equal scores the first class is the best.
#pragma once

#include <cstdint>

#include "cpu.h"

namespace edgekit {

// Score and class of the best of `classes` >= 1 rows, `stride` floats apart, for each of `count` columns.
using BestClass = void (*)(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                           int32_t *class_id);

void best_class_reference(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                          int32_t *class_id);
void best_class_avx2(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                     int32_t *class_id);
void best_class_avx512(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                       int32_t *class_id);
void best_class_neon(const float *scores, int64_t classes, int64_t stride, int32_t count, float *best,
                     int32_t *class_id);

BestClass best_class_of(Kernels kernels);

// edgekit_best_class with these kernels.
int32_t best_class(BestClass kernel, const float *scores, int64_t classes, int64_t count, float conf, int64_t *kept,
                   float *best, int64_t *class_id, int64_t *kept_count);

}  // namespace edgekit
