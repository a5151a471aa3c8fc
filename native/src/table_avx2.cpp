// The lookup of table.h, 32 bytes at a time.
//
// A shuffle picks one of 16 bytes by the low four bits of an index, and gives 0 where its highest bit is set: the table
// is 16 rows of 16. Take the lower half of the table, rows 0 to 7, and let t = x - 16 row, as signed bytes that
// saturate. Where x is of an earlier row, or of the other half (128 and more, negative from the start), t is negative
// and the shuffle gives 0; else it gives an entry of this row. With rows stored as differences (by xor) to the row
// before, the xor of all results is then the entry of x's own row. The upper half is the same with x xor 128.
#include <immintrin.h>

#include "table.h"

namespace edgekit {

void lookup_avx2(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y) {
    __m256i rows[16];
    for (int row = 0; row < 16; ++row) {
        const __m128i *entries = reinterpret_cast<const __m128i *>(table) + row;
        __m128i difference = _mm_loadu_si128(entries);
        if (row % 8 != 0) difference = _mm_xor_si128(difference, _mm_loadu_si128(entries - 1));
        rows[row] = _mm256_broadcastsi128_si256(difference);
    }
    const __m256i step = _mm256_set1_epi8(16);
    int64_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(x + i));
        __m256i high = _mm256_xor_si256(low, _mm256_set1_epi8(-128));
        __m256i found = _mm256_xor_si256(_mm256_shuffle_epi8(rows[0], low), _mm256_shuffle_epi8(rows[8], high));
        for (int row = 1; row < 8; ++row) {
            low = _mm256_subs_epi8(low, step);
            high = _mm256_subs_epi8(high, step);
            found = _mm256_xor_si256(found, _mm256_shuffle_epi8(rows[row], low));
            found = _mm256_xor_si256(found, _mm256_shuffle_epi8(rows[8 + row], high));
        }
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(y + i), found);
    }
    lookup_reference(table, x + i, count - i, y + i);
}

}  // namespace edgekit
