// The choice of kernels, and what the library says about itself.
#include "cpu.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "check.h"
#include "edgekit.h"

using namespace edgekit;

namespace {

#if defined(__x86_64__) && defined(__linux__)
// A process whose signal stack has no room for tiles is refused them: it goes on with the next best kernels.
void check_refused_tiles() {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        static char stack[8192];
        stack_t small = {};
        small.ss_sp = stack;
        small.ss_size = sizeof(stack);
        CHECK(sigaltstack(&small, nullptr) == 0);
        CHECK(!runs(Kernels::amx));
        CHECK(best_kernels() != Kernels::amx && chosen_kernels("amx") == best_kernels());
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}
#endif

}  // namespace

int main() {
#if defined(__x86_64__) && defined(__linux__)
    check_refused_tiles();  // first: what is permitted once stays so
#endif
    CHECK(runs(Kernels::reference));
    CHECK(runs(best_kernels()));
    CHECK(chosen_kernels(nullptr) == best_kernels());
    CHECK(chosen_kernels("reference") == Kernels::reference);
    CHECK(chosen_kernels("") == best_kernels());
    CHECK(chosen_kernels("avx1024") == best_kernels());
    for (Kernels kernels : {Kernels::avx2, Kernels::avx512, Kernels::amx, Kernels::neon}) {
        CHECK(chosen_kernels(name_of(kernels)) == (runs(kernels) ? kernels : best_kernels()));
    }
#if defined(__x86_64__)
    CHECK(!runs(Kernels::neon));
    CHECK(!runs(Kernels::amx) || runs(Kernels::avx512));
#if defined(__GNUC__) && !defined(__clang__)
    // What GCC's own library finds out.
    CHECK(runs(Kernels::avx2) == (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")));
    CHECK(runs(Kernels::avx512) ==
          (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vpopcntdq")));
#endif
#elif defined(__aarch64__)
    CHECK(best_kernels() == Kernels::neon);
#endif
    CHECK(edgekit_abi() == EDGEKIT_ABI);
    CHECK(std::strcmp(edgekit_kernels(), name_of(active_kernels())) == 0);
    CHECK(std::strcmp(edgekit_error(EDGEKIT_OK), edgekit_error(EDGEKIT_BAD_SIZE)) != 0);
    CHECK(std::strcmp(edgekit_error(1234), "an unknown error") == 0);
    return 0;
}
