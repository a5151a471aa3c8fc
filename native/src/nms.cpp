#include "nms.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include "edgekit.h"

namespace edgekit {
namespace {

constexpr int64_t kMostBoxes = int64_t{1} << 24;
constexpr int64_t kMostClasses = 65536;
constexpr float kFarthest = 1e9f;  // beyond, areas near the end of float32 are no longer compared in a useful way
constexpr float kNowhere = 2e9f;

// Greater scores give smaller keys, equal ones (0 and -0 too) equal keys; NaN comes last.
uint32_t key_of(float score) {
    if (std::isnan(score)) return 0xffffffffu;
    if (score == 0) score = 0;
    uint32_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

// Indices of the scores, best first, equal ones in the order of the input: a radix sort, three digits of 11 bits.
std::vector<int32_t> best_first(const float *score, int32_t count) {
    struct Entry {
        uint32_t key;
        int32_t index;
    };
    std::vector<Entry> from(count), to(count);
    std::vector<int32_t> begin(3 * 2048);
    for (int32_t i = 0; i < count; ++i) {
        from[i] = {key_of(score[i]), i};
        for (int digit = 0; digit < 3; ++digit) ++begin[digit * 2048 + (from[i].key >> 11 * digit & 2047)];
    }
    for (int digit = 0; digit < 3; ++digit) {
        int32_t *place = begin.data() + digit * 2048;
        for (int32_t value = 0, sum = 0; value < 2048; ++value) {
            const int32_t many = place[value];
            place[value] = sum;
            sum += many;
        }
        for (const Entry &entry : from) to[place[entry.key >> 11 * digit & 2047]++] = entry;
        from.swap(to);
    }
    std::vector<int32_t> order(count);
    for (int32_t i = 0; i < count; ++i) order[i] = from[i].index;
    return order;
}

bool box_of(const float *xyxy, Box *box) {
    for (int i = 0; i < 4; ++i) {
        if (!(std::fabs(xyxy[i]) <= kFarthest)) return false;  // NaN as well
    }
    const float width = xyxy[2] - xyxy[0], height = xyxy[3] - xyxy[1];
    *box = {xyxy[0], xyxy[1], xyxy[2], xyxy[3], std::max(width, 0.0f) * std::max(height, 0.0f)};
    return true;
}

// The kept boxes of every class: chains of blocks, the newest first, of which only that one has free places.
class Kept {
  public:
    explicit Kept(int64_t classes) : newest_(classes, -1) {}

    bool suppress(Overlaps overlaps, int64_t group, const Box &box, float iou) const {
        for (int32_t at = newest_[group]; at >= 0; at = links_[at].older) {
            if (overlaps(blocks_[at], box, iou)) return true;
        }
        return false;
    }

    void add(int64_t group, const Box &box) {
        int32_t at = newest_[group];
        if (at < 0 || links_[at].used == kBlock) {
            blocks_.emplace_back();
            BoxBlock &fresh = blocks_.back();
            for (float *values : {fresh.x1, fresh.y1, fresh.x2, fresh.y2}) std::fill(values, values + kBlock, kNowhere);
            std::fill(fresh.area, fresh.area + kBlock, 0.0f);
            links_.push_back({at, 0});
            at = newest_[group] = static_cast<int32_t>(links_.size()) - 1;
        }
        BoxBlock &block = blocks_[at];
        const int place = links_[at].used++;
        block.x1[place] = box.x1;
        block.y1[place] = box.y1;
        block.x2[place] = box.x2;
        block.y2[place] = box.y2;
        block.area[place] = box.area;
    }

  private:
    struct Link {
        int32_t older;
        int used;
    };
    std::vector<int32_t> newest_;
    std::vector<BoxBlock> blocks_;
    std::vector<Link> links_;
};

// One more than the largest class; 0 where a class is outside 0 to 65,535.
int64_t classes_of(const int64_t *class_id, int64_t count) {
    if (class_id == nullptr || count == 0) return 1;
    const auto ends = std::minmax_element(class_id, class_id + count);
    return *ends.first < 0 || *ends.second >= kMostClasses ? 0 : *ends.second + 1;
}

int32_t greedy(Overlaps overlaps, const float *xyxy, const float *score, const int64_t *class_id, int64_t count,
               float iou, int64_t limit, int64_t *kept, int64_t *kept_count) {
    const int64_t classes = classes_of(class_id, count);
    if (classes == 0) return EDGEKIT_BAD_VALUE;
    std::vector<Box> boxes(count);
    for (int64_t i = 0; i < count; ++i) {
        if (!box_of(xyxy + 4 * i, &boxes[i])) return EDGEKIT_BAD_VALUE;
    }
    Kept survivors(classes);
    int64_t found = 0;
    for (const int32_t index : best_first(score, static_cast<int32_t>(count))) {
        if (found == limit) break;
        const int64_t group = class_id == nullptr ? 0 : class_id[index];
        if (survivors.suppress(overlaps, group, boxes[index], iou)) continue;
        survivors.add(group, boxes[index]);
        kept[found++] = index;
    }
    *kept_count = found;
    return EDGEKIT_OK;
}

}  // namespace

Overlaps overlaps_of(Kernels kernels) {
    switch (kernels) {
#if defined(__x86_64__)
        case Kernels::avx2:
            return overlaps_avx2;
        case Kernels::avx512:
        case Kernels::amx:
            return overlaps_avx512;
#elif defined(__aarch64__)
        case Kernels::neon:
            return overlaps_neon;
#endif
        default:
            return overlaps_reference;
    }
}

int32_t nms(Overlaps overlaps, const float *xyxy, const float *score, const int64_t *class_id, int64_t count, float iou,
            int64_t limit, int64_t *kept, int64_t *kept_count) {
    if (count < 0 || count > kMostBoxes || limit < 0) return EDGEKIT_BAD_SIZE;
    if (kept_count == nullptr) return EDGEKIT_BAD_POINTER;
    if (count > 0 && (xyxy == nullptr || score == nullptr || kept == nullptr)) return EDGEKIT_BAD_POINTER;
    if (!(iou >= 0)) return EDGEKIT_BAD_VALUE;
    try {
        return greedy(overlaps, xyxy, score, class_id, count, iou, limit, kept, kept_count);
    } catch (const std::bad_alloc &) {
        return EDGEKIT_NO_MEMORY;
    }
}

}  // namespace edgekit

int32_t edgekit_nms(const float *xyxy, const float *score, const int64_t *class_id, int64_t count, float iou,
                    int64_t limit, int64_t *kept, int64_t *kept_count) {
    return edgekit::nms(edgekit::overlaps_of(edgekit::active_kernels()), xyxy, score, class_id, count, iou, limit, kept,
                        kept_count);
}
