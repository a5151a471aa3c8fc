// Which kernels this processor runs, and which of them are in use.
#pragma once

namespace edgekit {

enum class Kernels { reference, avx2, avx512, amx, neon };

// True where processor and operating system run these kernels. avx512 stands for F, BW, VL, DQ, VBMI and VPOPCNTDQ
// together: Ice Lake, Zen 4 and later; amx for these and the tiles of bytes of Sapphire Rapids and later, which Linux
// gives to a process that asks. That is asked once, by the first call for them.
bool runs(Kernels kernels);

// The best that run here.
Kernels best_kernels();

// What `asked` (EDGEKIT_KERNELS, may be null) leads to: these where they run here, else the best.
Kernels chosen_kernels(const char *asked);

// chosen_kernels of the environment, read once.
Kernels active_kernels();

const char *name_of(Kernels kernels);

}  // namespace edgekit
