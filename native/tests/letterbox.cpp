// Every set of kernels against the reference, on odd sizes; and the reference against what must be so.
#include "letterbox.h"

#include <cstring>

#include "check.h"
#include "edgekit.h"

using namespace edgekit;

namespace {

std::vector<uint8_t> picture(Numbers &numbers, int32_t height, int64_t row_bytes) {
    std::vector<uint8_t> pixels(height * row_bytes);
    for (uint8_t &pixel : pixels) pixel = static_cast<uint8_t>(numbers.bits());
    return pixels;
}

LetterboxTask task_of(const std::vector<uint8_t> &pixels, int32_t height, int32_t width, int64_t row_bytes,
                      int32_t inner_height, int32_t inner_width) {
    return {pixels.data(), height, width, row_bytes, inner_height, inner_width, 0, 0, inner_height, inner_width, false,
            114};
}

std::vector<uint8_t> bytes(Kernels kernels, const LetterboxTask &task) {
    std::vector<uint8_t> out(3 * static_cast<size_t>(task.net_height) * task.net_width, 77);
    CHECK(letterbox_u8(letterbox_kernels(kernels), task, out.data()) == EDGEKIT_OK);
    return out;
}

std::vector<float> floats(Kernels kernels, const LetterboxTask &task) {
    const float gain[3] = {1.0f / 57.375f, 0.017f, 1.0f}, offset[3] = {-1.8f, 0.3f, 0.0f};
    std::vector<float> out(3 * static_cast<size_t>(task.net_height) * task.net_width, 77.0f);
    CHECK(letterbox_f32(letterbox_kernels(kernels), task, gain, offset, out.data()) == EDGEKIT_OK);
    return out;
}

void kernels_agree(const LetterboxTask &task) {
    const std::vector<uint8_t> expected = bytes(Kernels::reference, task);
    const std::vector<float> expected_floats = floats(Kernels::reference, task);
    for (Kernels kernels : kernels_here()) {
        CHECK(bytes(kernels, task) == expected);
        const std::vector<float> found = floats(kernels, task);
        CHECK(std::memcmp(found.data(), expected_floats.data(), found.size() * sizeof(float)) == 0);
    }
}

void a_grid_of_sizes() {
    Numbers numbers(1);
    const int32_t sides[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 65, 100};
    for (int32_t source : sides) {
        for (int32_t target : sides) {
            const int32_t other = sides[numbers.whole(0, 12)], other_target = sides[numbers.whole(0, 12)];
            const int64_t row_bytes = 3 * source + numbers.whole(0, 9);
            const std::vector<uint8_t> pixels = picture(numbers, other, row_bytes);
            LetterboxTask task = task_of(pixels, other, source, row_bytes, other_target, target);
            kernels_agree(task);
            task.net_height += 5;
            task.net_width += 3;
            task.top = numbers.whole(0, 5);
            task.left = numbers.whole(0, 3);
            task.reverse = true;
            kernels_agree(task);
        }
    }
}

void the_same_size_is_the_same_picture() {
    Numbers numbers(2);
    const std::vector<uint8_t> pixels = picture(numbers, 19, 3 * 37);
    const LetterboxTask task = task_of(pixels, 19, 37, 3 * 37, 19, 37);
    for (Kernels kernels : kernels_here()) {
        const std::vector<uint8_t> out = bytes(kernels, task);
        for (int plane = 0; plane < 3; ++plane) {
            for (int i = 0; i < 19 * 37; ++i) CHECK(out[plane * 19 * 37 + i] == pixels[3 * i + plane]);
        }
    }
}

void a_plain_picture_stays_plain() {
    for (int value : {0, 1, 128, 254, 255}) {
        const std::vector<uint8_t> pixels(3 * 23 * 41, static_cast<uint8_t>(value));
        LetterboxTask task = task_of(pixels, 23, 41, 3 * 41, 29, 17);
        task.pad = static_cast<uint8_t>(value);
        task.net_height = task.net_width = 40;
        for (Kernels kernels : kernels_here()) {
            for (uint8_t pixel : bytes(kernels, task)) CHECK(pixel == value);
        }
    }
}

void refuses_nonsense() {
    const std::vector<uint8_t> pixels(3 * 4 * 4);
    float out[3 * 4 * 4], ones[3] = {1, 1, 1};
    const edgekit_letterbox good = {pixels.data(), 12, 4, 4, 4, 4, 0, 0, 4, 4, 0, 114};
    CHECK(edgekit_letterbox_f32(&good, ones, ones, out) == EDGEKIT_OK);
    CHECK(edgekit_letterbox_f32(nullptr, ones, ones, out) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_letterbox_f32(&good, nullptr, ones, out) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_letterbox_f32(&good, ones, ones, nullptr) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_letterbox_u8(&good, nullptr) == EDGEKIT_BAD_POINTER);
    auto code = [&](auto change) {
        edgekit_letterbox bad = good;
        change(bad);
        return edgekit_letterbox_f32(&bad, ones, ones, out);
    };
    CHECK(code([](auto &bad) { bad.image = nullptr; }) == EDGEKIT_BAD_POINTER);
    CHECK(code([](auto &bad) { bad.height = 0; }) == EDGEKIT_BAD_SIZE);
    CHECK(code([](auto &bad) { bad.width = -4; }) == EDGEKIT_BAD_SIZE);
    CHECK(code([](auto &bad) { bad.row_bytes = 11; }) == EDGEKIT_BAD_SIZE);
    CHECK(code([](auto &bad) { bad.net_height = 3; }) == EDGEKIT_BAD_SIZE);
    CHECK(code([](auto &bad) { bad.left = 1; }) == EDGEKIT_BAD_SIZE);
    CHECK(code([](auto &bad) { bad.top = -1; }) == EDGEKIT_BAD_SIZE);
    CHECK(code([](auto &bad) { bad.inner_width = 1 << 30; }) == EDGEKIT_BAD_SIZE);
    CHECK(code([](auto &bad) { bad.pad = 256; }) == EDGEKIT_BAD_VALUE);
}

}  // namespace

int main() {
    a_grid_of_sizes();
    the_same_size_is_the_same_picture();
    a_plain_picture_stays_plain();
    refuses_nonsense();
    return 0;
}
