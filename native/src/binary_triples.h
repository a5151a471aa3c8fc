// Popcounts of three words at the price of two.
//
// With x = a ^ w of three words, bit by bit, the sum x1 + x2 + x3 is 2 carry + sum:
//     sum   = x1 ^ x2 ^ x3            = (a1 ^ a2 ^ a3) ^ (w1 ^ w2 ^ w3)
//     carry = majority(x1, x2, x3)    = x1 ^ ((x1 ^ x2) & (x1 ^ x3))
//                                     = (a1 ^ w1) ^ (((a1 ^ a2) ^ (w1 ^ w2)) & ((a1 ^ a3) ^ (w1 ^ w3)))
// What lies in brackets of one side alone is made once, of an image and of the weights, and not for each product: four
// words of each three, a1, a1 ^ a2, a1 ^ a3 and a1 ^ a2 ^ a3. (Carry-save addition as of Harley and Seal.)
#pragma once

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgekit {

constexpr int kTripleWords = 4;

inline void triple_of(const uint32_t *words, int64_t next, uint32_t *to, int64_t step) {
    const uint32_t a = words[0], b = words[next], c = words[2 * next];
    to[0] = a;
    to[step] = a ^ b;
    to[2 * step] = a ^ c;
    to[3 * step] = a ^ b ^ c;
}

#if defined(__x86_64__)
// BinaryKernels::triple.
inline void triple_words(const uint32_t *words, int64_t count, uint32_t *to) {
    const auto load = [](const uint32_t *from) { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(from)); };
    const auto store = [&](__m128i four) {
        _mm_storeu_si128(reinterpret_cast<__m128i *>(to), four);
        to += 4;
    };
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const __m128i a = load(words + i), b = _mm_xor_si128(a, load(words + i + 1));
        const __m128i c = _mm_xor_si128(a, load(words + i + 2)), d = _mm_xor_si128(b, load(words + i + 2));
        const __m128i ab_low = _mm_unpacklo_epi32(a, b), cd_low = _mm_unpacklo_epi32(c, d);
        const __m128i ab_high = _mm_unpackhi_epi32(a, b), cd_high = _mm_unpackhi_epi32(c, d);
        store(_mm_unpacklo_epi64(ab_low, cd_low));
        store(_mm_unpackhi_epi64(ab_low, cd_low));
        store(_mm_unpacklo_epi64(ab_high, cd_high));
        store(_mm_unpackhi_epi64(ab_high, cd_high));
    }
    for (; i < count; i++, to += kTripleWords) triple_of(words + i, 1, to, 1);
}
#endif

}  // namespace edgekit
