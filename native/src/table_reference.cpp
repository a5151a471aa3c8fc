// The lookup of table.h, one byte at a time.
#include "table.h"

namespace edgekit {

void lookup_reference(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y) {
    for (int64_t i = 0; i < count; ++i) y[i] = table[x[i]];
}

}  // namespace edgekit
