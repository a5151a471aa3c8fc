#include "best_class.h"

#include <algorithm>

#include "edgekit.h"

namespace edgekit {
namespace {

constexpr int64_t kMostColumns = int64_t{1} << 24;
constexpr int64_t kMostClasses = 65536;
constexpr int32_t kColumns = 512;  // of one call of a kernel: its results stay in the first cache

}  // namespace

BestClass best_class_of(Kernels kernels) {
    switch (kernels) {
#if defined(__x86_64__)
        case Kernels::avx2:
            return best_class_avx2;
        case Kernels::avx512:
        case Kernels::amx:
            return best_class_avx512;
#elif defined(__aarch64__)
        case Kernels::neon:
            return best_class_neon;
#endif
        default:
            return best_class_reference;
    }
}

int32_t best_class(BestClass kernel, const float *scores, int64_t classes, int64_t count, float conf, int64_t *kept,
                   float *best, int64_t *class_id, int64_t *kept_count) {
    if (classes < 1 || classes > kMostClasses || count < 0 || count > kMostColumns) return EDGEKIT_BAD_SIZE;
    if (kept_count == nullptr) return EDGEKIT_BAD_POINTER;
    const bool missing = scores == nullptr || kept == nullptr || best == nullptr || class_id == nullptr;
    if (count > 0 && missing) return EDGEKIT_BAD_POINTER;
    float top[kColumns];
    int32_t which[kColumns];
    int64_t found = 0;
    for (int64_t at = 0; at < count; at += kColumns) {
        const int32_t width = static_cast<int32_t>(std::min<int64_t>(kColumns, count - at));
        kernel(scores + at, classes, count, width, top, which);
        for (int32_t i = 0; i < width; ++i) {
            if (!(top[i] >= conf)) continue;  // NaN as well
            kept[found] = at + i;
            best[found] = top[i];
            class_id[found++] = which[i];
        }
    }
    *kept_count = found;
    return EDGEKIT_OK;
}

}  // namespace edgekit

int32_t edgekit_best_class(const float *scores, int64_t classes, int64_t count, float conf, int64_t *kept, float *best,
                           int64_t *class_id, int64_t *kept_count) {
    const edgekit::BestClass kernel = edgekit::best_class_of(edgekit::active_kernels());
    return edgekit::best_class(kernel, scores, classes, count, conf, kept, best, class_id, kept_count);
}
