#include "cpu.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(EDGEKIT_AMX)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace edgekit {

#if defined(__x86_64__)
namespace {

// Asked of the processor itself: __builtin_cpu_supports says no to everything where zig is the compiler (0.17), whose
// run-time library never fills in what it reads.
struct Features {
    bool avx2 = false, avx512 = false, amx = false;

    Features() {
        uint32_t a, b, c, d;
        if (!__get_cpuid(1, &a, &b, &c, &d)) return;
        const bool popcnt = c >> 23 & 1, osxsave = c >> 27 & 1;
        if (!popcnt || !osxsave || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
        // The registers that the operating system keeps: bits 1 and 2 for those of AVX, 5 to 7 for those of AVX-512.
        uint32_t kept, high;
        __asm__("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
        avx2 = (kept & 0x06) == 0x06 && (b >> 5 & 1);
        const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, vbmi_vpopcntdq = 1u << 1 | 1u << 14;
        avx512 = avx2 && (kept & 0xe6) == 0xe6 && (b & f_dq_bw_vl) == f_dq_bw_vl &&
                 (c & vbmi_vpopcntdq) == vbmi_vpopcntdq;
        const uint32_t tile_int8 = 1u << 24 | 1u << 25, tiles_kept = 1u << 17 | 1u << 18;
        amx = avx512 && (kept & tiles_kept) == tiles_kept && (d & tile_int8) == tile_int8;
    }
};

const Features &features() {
    static const Features found;
    return found;
}

// Linux keeps the 8 KiB of tiles only for processes that ask (since 5.16): others end at the first such instruction. It
// refuses a process with a signal stack that is too small for them.
bool tiles_are_permitted() {
#if defined(EDGEKIT_AMX) && defined(__linux__)
    constexpr int kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM and its feature, of <asm/prctl.h>
    return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
    return false;
#endif
}

bool tiles_run() {
    static const bool permitted = features().amx && tiles_are_permitted();
    return permitted;
}

}  // namespace
#endif

bool runs(Kernels kernels) {
    switch (kernels) {
        case Kernels::reference:
            return true;
#if defined(__x86_64__)
        case Kernels::avx2:
            return features().avx2;
        case Kernels::avx512:
            return features().avx512;
        case Kernels::amx:
            return tiles_run();
#elif defined(__aarch64__)
        case Kernels::neon:
            return true;  // every ARMv8-A processor has it
#endif
        default:
            return false;
    }
}

Kernels best_kernels() {
    for (Kernels kernels : {Kernels::amx, Kernels::avx512, Kernels::avx2, Kernels::neon}) {
        if (runs(kernels)) return kernels;
    }
    return Kernels::reference;
}

Kernels chosen_kernels(const char *asked) {
    if (asked != nullptr) {
        for (Kernels kernels : {Kernels::reference, Kernels::avx2, Kernels::avx512, Kernels::amx,
                                Kernels::neon}) {
            if (std::strcmp(asked, name_of(kernels)) == 0 && runs(kernels)) return kernels;
        }
    }
    return best_kernels();
}

Kernels active_kernels() {
    static const Kernels active = chosen_kernels(std::getenv("EDGEKIT_KERNELS"));
    return active;
}

const char *name_of(Kernels kernels) {
    switch (kernels) {
        case Kernels::avx2:
            return "avx2";
        case Kernels::avx512:
            return "avx512";
        case Kernels::amx:
            return "amx";
        case Kernels::neon:
            return "neon";
        default:
            return "reference";
    }
}

}  // namespace edgekit
