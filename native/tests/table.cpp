// Every set of kernels against a lookup byte by byte; lengths around the registers' widths, in place, what is refused.
#include "table.h"

#include "check.h"
#include "edgekit_table.h"

using namespace edgekit;

namespace {

std::vector<uint8_t> bytes(Numbers &numbers, size_t count) {
    std::vector<uint8_t> made(count);
    for (uint8_t &byte : made) byte = static_cast<uint8_t>(numbers.bits());
    return made;
}

void check_length(Numbers &numbers, Kernels kernels, size_t count) {
    const std::vector<uint8_t> table = bytes(numbers, 256), x = bytes(numbers, count);
    std::vector<uint8_t> expected(count);
    for (size_t i = 0; i < count; ++i) expected[i] = table[x[i]];
    std::vector<uint8_t> y(count + 1, 77);  // one more than is written
    lookup_of(kernels)(table.data(), x.data(), static_cast<int64_t>(count), y.data());
    CHECK(y.back() == 77);
    y.pop_back();
    CHECK(y == expected);
    std::vector<uint8_t> in_place = x;
    lookup_of(kernels)(table.data(), in_place.data(), static_cast<int64_t>(count), in_place.data());
    CHECK(in_place == expected);
}

// Every code in every place of a register.
void check_codes(Kernels kernels) {
    std::vector<uint8_t> table(256), x(256), y(256);
    for (int i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(i * 167 + 13);  // a permutation
    for (int shift = 0; shift < 256; ++shift) {
        for (int i = 0; i < 256; ++i) x[i] = static_cast<uint8_t>(i + shift);
        lookup_of(kernels)(table.data(), x.data(), 256, y.data());
        for (int i = 0; i < 256; ++i) CHECK(y[i] == table[x[i]]);
    }
}

void check_refusals() {
    uint8_t table[256] = {}, x[1] = {}, y[1] = {9};
    CHECK(edgekit_table_u8(table, x, -1, y) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_table_u8(nullptr, x, 1, y) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_table_u8(table, nullptr, 1, y) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_table_u8(table, x, 1, nullptr) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_table_u8(table, nullptr, 0, nullptr) == EDGEKIT_OK);
    CHECK(y[0] == 9);
    CHECK(edgekit_table_u8(table, x, 1, y) == EDGEKIT_OK);
    CHECK(y[0] == 0);
}

}  // namespace

int main() {
    Numbers numbers(7);
    for (Kernels kernels : kernels_here()) {
        check_codes(kernels);
        for (size_t count = 0; count < 300; ++count) check_length(numbers, kernels, count);
        for (size_t count : {1023u, 4096u, 100003u}) check_length(numbers, kernels, count);
    }
    check_refusals();
    return 0;
}
