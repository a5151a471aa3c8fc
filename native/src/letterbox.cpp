#include "letterbox.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "edgekit.h"

namespace edgekit {
namespace {

constexpr int32_t kLargestSide = 65536;
constexpr float kOne = 2048.0f;  // 11 bits of weight

// Which two source pixels an output pixel mixes; weights are b0 and b1 of 2048.
struct Tap {
    int32_t first;
    int32_t b0, b1;
};

Tap tap_of(int32_t index, double scale) {
    // The pixel's centre in the source, in float32 and in this order, as OpenCV has it.
    const float position = static_cast<float>((index + 0.5) * scale - 0.5);
    const float first = std::floor(position);
    const float part = position - first;
    // Halves go to the even, by the default rounding mode.
    return {static_cast<int32_t>(first), static_cast<int32_t>(std::nearbyint((1.0f - part) * kOne)),
            static_cast<int32_t>(std::nearbyint(part * kOne))};
}

// A ratio as OpenCV has it: the inverse of an inverse, which is not always the quotient.
double scale_of(int32_t source, int32_t target) { return 1.0 / (static_cast<double>(target) / source); }

// Per output column: byte offset of the left pixel, and both weights in one int32.
void fill_columns(int32_t width, int32_t inner, int32_t *offset, int32_t *weight) {
    const double scale = scale_of(width, inner);
    for (int32_t i = 0; i < inner; ++i) {
        Tap tap = tap_of(i, scale);
        if (tap.first < 0) tap = {0, 2048, 0};
        // The last pixel alone; read as the right one of a pair, so that nothing behind the row is touched.
        if (tap.first >= width - 1) tap = width == 1 ? Tap{0, 2048, 0} : Tap{width - 2, 0, 2048};
        offset[i] = 3 * tap.first;
        weight[i] = tap.b0 | tap.b1 << 16;
    }
}

// The h of the source rows that the current output row mixes; a row that the next one needs again is kept.
class Rows {
  public:
    Rows(const LetterboxKernels &kernels, const LetterboxTask &task)
        : kernels_(kernels),
          task_(task),
          stride_((task.inner_width + 31) / 32 * 32),
          columns_(2 * static_cast<size_t>(task.inner_width)),
          planes_(2 * 3 * static_cast<size_t>(stride_)) {
        fill_columns(task.width, task.inner_width, columns_.data(), columns_.data() + task.inner_width);
    }

    int32_t stride() const { return stride_; }

    // Planes of row `y`, which `other` does not overwrite.
    const int16_t *row(int32_t y, int32_t other) {
        for (int slot = 0; slot < 2; ++slot) {
            if (held_[slot] == y) return planes(slot);
        }
        const int slot = held_[0] == other ? 1 : 0;
        held_[slot] = y;
        const uint8_t *pixels = task_.image + y * task_.row_bytes;
        uint8_t twice[6];
        if (task_.width == 1) {
            std::copy(pixels, pixels + 3, twice);
            std::copy(pixels, pixels + 3, twice + 3);
            pixels = twice;
        }
        kernels_.along(pixels, columns_.data(), columns_.data() + task_.inner_width, task_.inner_width, planes(slot),
                       stride_);
        return planes(slot);
    }

  private:
    int16_t *planes(int slot) { return planes_.data() + slot * 3 * static_cast<size_t>(stride_); }

    const LetterboxKernels &kernels_;
    const LetterboxTask &task_;
    int32_t stride_;
    std::vector<int32_t> columns_;
    std::vector<int16_t> planes_;
    int32_t held_[2] = {-1, -1};
};

bool size_fits(int32_t size) { return size >= 1 && size <= kLargestSide; }

int32_t check(const LetterboxTask &task, const void *out) {
    if (task.image == nullptr || out == nullptr) return EDGEKIT_BAD_POINTER;
    if (!size_fits(task.height) || !size_fits(task.width) || !size_fits(task.net_height) ||
        !size_fits(task.net_width) || !size_fits(task.inner_height) || !size_fits(task.inner_width) ||
        task.row_bytes < 3 * static_cast<int64_t>(task.width)) {
        return EDGEKIT_BAD_SIZE;
    }
    if (task.top < 0 || task.left < 0 || task.top > task.net_height - task.inner_height ||
        task.left > task.net_width - task.inner_width) {
        return EDGEKIT_BAD_SIZE;
    }
    return EDGEKIT_OK;
}

// Calls line(plane, upper, lower, b0, b1, out) for each row and plane, and fills what lies around with pad[plane].
template <typename Element, typename Line>
void letterbox(const LetterboxKernels &kernels, const LetterboxTask &task, const Element *pad, Element *out,
               Line line) {
    Rows rows(kernels, task);
    const size_t area = static_cast<size_t>(task.net_height) * task.net_width;
    const int32_t right = task.left + task.inner_width, bottom = task.top + task.inner_height;
    for (int plane = 0; plane < 3; ++plane) {
        Element *first = out + plane * area;
        std::fill(first, first + static_cast<size_t>(task.top) * task.net_width, pad[plane]);
        std::fill(first + static_cast<size_t>(bottom) * task.net_width, first + area, pad[plane]);
    }
    const double scale = scale_of(task.height, task.inner_height);
    for (int32_t y = 0; y < task.inner_height; ++y) {
        const Tap tap = tap_of(y, scale);
        const int32_t above = std::min(std::max(tap.first, 0), task.height - 1);
        // A row of weight 0 is not worth reading: every row of a picture that is three times as high.
        const int32_t below = tap.b1 == 0 ? above : std::min(std::max(tap.first + 1, 0), task.height - 1);
        const int16_t *upper = rows.row(above, below);
        const int16_t *lower = rows.row(below, above);
        for (int plane = 0; plane < 3; ++plane) {
            Element *row = out + plane * area + static_cast<size_t>(task.top + y) * task.net_width;
            std::fill(row, row + task.left, pad[plane]);
            std::fill(row + right, row + task.net_width, pad[plane]);
            const size_t from = static_cast<size_t>(task.reverse ? 2 - plane : plane) * rows.stride();
            line(plane, upper + from, lower + from, tap.b0, tap.b1, row + task.left);
        }
    }
}

}  // namespace

const LetterboxKernels &letterbox_kernels(Kernels kernels) {
    switch (kernels) {
#if defined(__x86_64__)
        case Kernels::avx2:
            return letterbox_avx2;
        case Kernels::avx512:
        case Kernels::amx:
            return letterbox_avx512;
#elif defined(__aarch64__)
        case Kernels::neon:
            return letterbox_neon;
#endif
        default:
            return letterbox_reference;
    }
}

int32_t letterbox_f32(const LetterboxKernels &kernels, const LetterboxTask &task, const float *gain,
                      const float *offset, float *out) {
    const int32_t code = check(task, out);
    if (code != EDGEKIT_OK) return code;
    if (gain == nullptr || offset == nullptr) return EDGEKIT_BAD_POINTER;
    float pad[3];
    for (int plane = 0; plane < 3; ++plane) pad[plane] = task.pad * gain[plane] + offset[plane];
    try {
        letterbox(kernels, task, pad, out,
                  [&](int plane, const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, float *row) {
                      kernels.between_f32(upper, lower, b0, b1, task.inner_width, gain[plane], offset[plane], row);
                  });
    } catch (const std::bad_alloc &) {
        return EDGEKIT_NO_MEMORY;
    }
    return EDGEKIT_OK;
}

int32_t letterbox_u8(const LetterboxKernels &kernels, const LetterboxTask &task, uint8_t *out) {
    const int32_t code = check(task, out);
    if (code != EDGEKIT_OK) return code;
    const uint8_t pad[3] = {task.pad, task.pad, task.pad};
    try {
        letterbox(kernels, task, pad, out,
                  [&](int, const int16_t *upper, const int16_t *lower, int32_t b0, int32_t b1, uint8_t *row) {
                      kernels.between_u8(upper, lower, b0, b1, task.inner_width, row);
                  });
    } catch (const std::bad_alloc &) {
        return EDGEKIT_NO_MEMORY;
    }
    return EDGEKIT_OK;
}

}  // namespace edgekit

namespace {

edgekit::LetterboxTask task_of(const edgekit_letterbox *where) {
    return {where->image,      where->height, where->width, where->row_bytes,    where->net_height,
            where->net_width,  where->top,    where->left,  where->inner_height, where->inner_width,
            where->reverse != 0, static_cast<uint8_t>(where->pad)};
}

int32_t check_pad(const edgekit_letterbox *where) {
    if (where == nullptr) return EDGEKIT_BAD_POINTER;
    return where->pad < 0 || where->pad > 255 ? EDGEKIT_BAD_VALUE : EDGEKIT_OK;
}

}  // namespace

int32_t edgekit_letterbox_f32(const edgekit_letterbox *where, const float *gain, const float *offset, float *out) {
    const int32_t code = check_pad(where);
    if (code != EDGEKIT_OK) return code;
    const auto &kernels = edgekit::letterbox_kernels(edgekit::active_kernels());
    return edgekit::letterbox_f32(kernels, task_of(where), gain, offset, out);
}

int32_t edgekit_letterbox_u8(const edgekit_letterbox *where, uint8_t *out) {
    const int32_t code = check_pad(where);
    if (code != EDGEKIT_OK) return code;
    return edgekit::letterbox_u8(edgekit::letterbox_kernels(edgekit::active_kernels()), task_of(where), out);
}
