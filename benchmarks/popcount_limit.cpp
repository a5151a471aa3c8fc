// How many products of signs a processor can make in a second: xor, popcount and add on registers, or products of
// tiles of bytes, and nothing else.
// Compiled and timed by binary_conv.py. Each function returns how many it made.
#include <immintrin.h>
#include <stdint.h>

extern "C" {

// 24 vectors of 512 bits a round: 24 sums, as in the AVX-512 kernel.
__attribute__((target("avx512f,avx512vpopcntdq"))) int64_t limit_avx512(int64_t rounds) {
    __m512i sum[24];
    for (int i = 0; i < 24; i++) sum[i] = _mm512_setzero_si512();
    const __m512i a = _mm512_set1_epi32(0x5a5a5a5a), w = _mm512_set1_epi32(0x12345678);
    for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 24
        for (int i = 0; i < 24; i++) {
            asm volatile("vpxord %1, %2, %%zmm31\n\tvpopcntd %%zmm31, %%zmm31\n\tvpaddd %%zmm31, %0, %0"
                         : "+v"(sum[i])
                         : "v"(a), "v"(w)
                         : "xmm31");
        }
    }
    __m512i total = sum[0];
    for (int i = 1; i < 24; i++) total = _mm512_add_epi32(total, sum[i]);
    volatile int32_t keep = _mm512_reduce_add_epi32(total);
    (void)keep;
    return rounds * 24 * 512;
}

// 8 vectors of 256 bits a round, eight instructions each, as in the AVX2 kernel; sums in bytes.
__attribute__((target("avx2"))) int64_t limit_avx2(int64_t rounds) {
    __m256i sum[8];
    for (int i = 0; i < 8; i++) sum[i] = _mm256_setzero_si256();
    const __m256i a = _mm256_set1_epi32(0x5a5a5a5a), w = _mm256_set1_epi32(0x12345678);
    const __m256i table = _mm256_set1_epi8(3), low = _mm256_set1_epi8(15);
    for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            asm volatile(
                "vpxor %1, %2, %%ymm15\n\tvpand %%ymm15, %4, %%ymm14\n\tvpshufb %%ymm14, %3, %%ymm14\n\t"
                "vpsrld $4, %%ymm15, %%ymm15\n\tvpand %%ymm15, %4, %%ymm15\n\tvpshufb %%ymm15, %3, %%ymm15\n\t"
                "vpaddb %%ymm14, %%ymm15, %%ymm15\n\tvpaddb %%ymm15, %0, %0"
                : "+x"(sum[i])
                : "x"(a), "x"(w), "x"(table), "x"(low)
                : "xmm14", "xmm15");
        }
    }
    __m256i total = sum[0];
    for (int i = 1; i < 8; i++) total = _mm256_add_epi8(total, sum[i]);
    volatile int32_t keep = _mm256_extract_epi32(total, 0);
    (void)keep;
    return rounds * 8 * 256;
}

#if __GNUC__ >= 11
// Four products of tiles a round, 16 x 16 x 64 each. The process must have been given tiles.
__attribute__((target("amx-tile,amx-int8"))) int64_t limit_amx(int64_t rounds) {
    struct Configuration {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    };
    alignas(64) static const Configuration eight_tiles = {
        1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&eight_tiles);
    for (int64_t round = 0; round < rounds; round++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_release();
    return rounds * 4 * 16 * 16 * 64;
}
#endif
}
