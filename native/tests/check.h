// What the tests share: a check that ends the program, the kernels to compare, and numbers without a seed of their own.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cpu.h"

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                         \
        }                                                                         \
    } while (0)

// Every kernel set that this processor runs, the reference first.
inline std::vector<edgekit::Kernels> kernels_here() {
    std::vector<edgekit::Kernels> found;
    for (edgekit::Kernels kernels : {edgekit::Kernels::reference, edgekit::Kernels::avx2, edgekit::Kernels::avx512,
                                     edgekit::Kernels::amx, edgekit::Kernels::neon}) {
        if (edgekit::runs(kernels)) found.push_back(kernels);
    }
    return found;
}

// xorshift64*: the same numbers on every machine.
class Numbers {
  public:
    explicit Numbers(uint64_t seed) : state_(seed * 2685821657736338717ull + 1) {}

    uint32_t bits() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<uint32_t>((state_ * 2685821657736338717ull) >> 32);
    }

    // From `low` to `high`, both included.
    int32_t whole(int32_t low, int32_t high) {
        return low + static_cast<int32_t>(bits() % static_cast<uint32_t>(high - low + 1));
    }

    // In [0, 1).
    float unit() { return static_cast<float>(bits() >> 8) * (1.0f / 16777216.0f); }

  private:
    uint64_t state_;
};
