// The lookup of table.h, 64 bytes at a time.
//
// A permutation over two registers (VBMI) takes the low seven bits of each index, so two of them cover the table's
// halves, and the eighth bit, the sign, chooses.
#include <immintrin.h>

#include "table.h"

namespace edgekit {

void lookup_avx512(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y) {
    const __m512i part0 = _mm512_loadu_si512(table), part1 = _mm512_loadu_si512(table + 64);
    const __m512i part2 = _mm512_loadu_si512(table + 128), part3 = _mm512_loadu_si512(table + 192);
    const auto look = [&](__m512i index) {
        const __m512i low = _mm512_permutex2var_epi8(part0, index, part1);
        const __m512i high = _mm512_permutex2var_epi8(part2, index, part3);
        return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
    };
    int64_t i = 0;
    for (; i + 64 <= count; i += 64) {
        _mm512_storeu_si512(y + i, look(_mm512_loadu_si512(x + i)));
    }
    if (i < count) {
        const __mmask64 rest = ~__mmask64{0} >> (64 - (count - i));
        _mm512_mask_storeu_epi8(y + i, rest, look(_mm512_maskz_loadu_epi8(rest, x + i)));
    }
}

}  // namespace edgekit
