/* Lookup of 8-bit codes in a table of 256: an activation function of quantised values. A plain C interface. */
#ifndef EDGEKIT_TABLE_H
#define EDGEKIT_TABLE_H

#include <stdint.h>

#include "edgekit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y[i] = table[x[i]] for `count` codes of uint8; x and y may be the same array, and else do not overlap.
 *
 * int8 codes are bytes as well: entry 255 of the table is that of code -1. */
EDGEKIT_API int32_t edgekit_table_u8(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y);

#ifdef __cplusplus
}
#endif

#endif
