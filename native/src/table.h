// Lookup of bytes in a table of 256.
//
// Wide registers hold the whole table: a byte of the input picks one of its entries, by the low bits within a register
// and by the high bits among registers. Tails take the reference's way, a byte at a time.
#pragma once

#include <cstdint>

#include "cpu.h"

namespace edgekit {

// y[i] = table[x[i]]; y may be x.
using Lookup = void (*)(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y);

void lookup_reference(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y);
void lookup_avx2(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y);
void lookup_avx512(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y);
void lookup_neon(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y);

Lookup lookup_of(Kernels kernels);

}  // namespace edgekit
