#include "cpu.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace edgekit {

bool runs(Kernels kernels) {
    switch (kernels) {
        case Kernels::reference:
            return true;
#if defined(__x86_64__)
        case Kernels::avx2:
            return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
        case Kernels::avx512:
            return runs(Kernels::avx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vpopcntdq");
#elif defined(__aarch64__)
        case Kernels::neon:
            return true;  // every ARMv8-A processor has it
#endif
        default:
            return false;
    }
}

Kernels best_kernels() {
    for (Kernels kernels : {Kernels::avx512, Kernels::avx2, Kernels::neon}) {
        if (runs(kernels)) return kernels;
    }
    return Kernels::reference;
}

Kernels chosen_kernels(const char *asked) {
    if (asked != nullptr) {
        for (Kernels kernels : {Kernels::reference, Kernels::avx2, Kernels::avx512, Kernels::neon}) {
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
        case Kernels::neon:
            return "neon";
        default:
            return "reference";
    }
}

}  // namespace edgekit
