// The lookup of table.h, 16 bytes at a time.
//
// A table of four registers holds 64 entries; an index outside of it leaves what was found before.
#include <arm_neon.h>

#include "table.h"

namespace edgekit {

void lookup_neon(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y) {
    const uint8x16x4_t part0 = vld1q_u8_x4(table), part1 = vld1q_u8_x4(table + 64);
    const uint8x16x4_t part2 = vld1q_u8_x4(table + 128), part3 = vld1q_u8_x4(table + 192);
    const uint8x16_t step = vdupq_n_u8(64);
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        uint8x16_t index = vld1q_u8(x + i);
        uint8x16_t found = vqtbl4q_u8(part0, index);
        index = vsubq_u8(index, step);
        found = vqtbx4q_u8(found, part1, index);
        index = vsubq_u8(index, step);
        found = vqtbx4q_u8(found, part2, index);
        index = vsubq_u8(index, step);
        found = vqtbx4q_u8(found, part3, index);
        vst1q_u8(y + i, found);
    }
    lookup_reference(table, x + i, count - i, y + i);
}

}  // namespace edgekit
