#include "table.h"

#include "edgekit_table.h"

namespace edgekit {

Lookup lookup_of(Kernels kernels) {
    switch (kernels) {
#if defined(__x86_64__)
        case Kernels::avx2:
            return lookup_avx2;
        case Kernels::avx512:
        case Kernels::amx:
            return lookup_avx512;
#elif defined(__aarch64__)
        case Kernels::neon:
            return lookup_neon;
#endif
        default:
            return lookup_reference;
    }
}

}  // namespace edgekit

int32_t edgekit_table_u8(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y) {
    if (count < 0) return EDGEKIT_BAD_SIZE;
    if (table == nullptr || (count > 0 && (x == nullptr || y == nullptr))) return EDGEKIT_BAD_POINTER;
    edgekit::lookup_of(edgekit::active_kernels())(table, x, count, y);
    return EDGEKIT_OK;
}
