// Every set of kernels against a plain loop over all pairs, with ties, many classes and full and partial blocks.
#include "nms.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "check.h"
#include "edgekit.h"

using namespace edgekit;

namespace {

struct Scene {
    std::vector<float> xyxy, score;
    std::vector<int64_t> class_id;
};

// Whole-numbered boxes and coarse scores: equal scores, and IoUs that are exactly the threshold.
Scene scene(Numbers &numbers, int count, int classes) {
    Scene made;
    for (int i = 0; i < count; ++i) {
        const float x = static_cast<float>(numbers.whole(0, 120)), y = static_cast<float>(numbers.whole(0, 120));
        const float right = x + static_cast<float>(numbers.whole(-1, 12));
        const float bottom = y + static_cast<float>(numbers.whole(0, 12));
        made.xyxy.insert(made.xyxy.end(), {x, y, right, bottom});
        made.score.push_back(static_cast<float>(numbers.whole(0, 20)) / 20);
        made.class_id.push_back(numbers.whole(0, classes - 1));
    }
    return made;
}

float side(float low, float high) { return std::max(high - low, 0.0f); }

bool above(const float *a, const float *b, float iou) {
    const float width = side(std::max(a[0], b[0]), std::min(a[2], b[2]));
    const float shared = width * side(std::max(a[1], b[1]), std::min(a[3], b[3]));
    const float both = side(a[0], a[2]) * side(a[1], a[3]) + side(b[0], b[2]) * side(b[1], b[3]) - shared;
    return shared / std::max(both, 1e-9f) > iou;
}

std::vector<int64_t> plain(const Scene &scene, bool by_class, float iou, int64_t limit) {
    std::vector<int64_t> order(scene.score.size()), kept;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scene.score[a] > scene.score[b]; });
    for (int64_t index : order) {
        const bool gone = std::any_of(kept.begin(), kept.end(), [&](int64_t other) {
            return (!by_class || scene.class_id[other] == scene.class_id[index]) &&
                   above(&scene.xyxy[4 * other], &scene.xyxy[4 * index], iou);
        });
        if (!gone && static_cast<int64_t>(kept.size()) < limit) kept.push_back(index);
    }
    return kept;
}

std::vector<int64_t> found(Kernels kernels, const Scene &scene, bool by_class, float iou, int64_t limit) {
    const int64_t count = static_cast<int64_t>(scene.score.size());
    std::vector<int64_t> kept(std::min(count, limit) + 1, -7);
    int64_t kept_count = -1;
    CHECK(nms(overlaps_of(kernels), scene.xyxy.data(), scene.score.data(), by_class ? scene.class_id.data() : nullptr,
              count, iou, limit, kept.data(), &kept_count) == EDGEKIT_OK);
    CHECK(kept.back() == -7);
    kept.resize(kept_count);
    return kept;
}

void kernels_agree() {
    Numbers numbers(3);
    for (int count : {0, 1, 2, 15, 16, 17, 63, 65, 500}) {
        for (int classes : {1, 3, 80}) {
            const Scene made = scene(numbers, count, classes);
            for (float iou : {0.0f, 0.25f, 0.5f, 0.65f, 1.0f}) {
                for (int64_t limit : {0, 1, 20, 1000}) {
                    for (bool by_class : {false, true}) {
                        const std::vector<int64_t> expected = plain(made, by_class, iou, limit);
                        for (Kernels kernels : kernels_here()) {
                            CHECK(found(kernels, made, by_class, iou, limit) == expected);
                        }
                    }
                }
            }
        }
    }
}

void scores_are_ordered() {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    Scene made;
    made.score = {nan, -0.0f, 1.0f, 0.0f, -1.0f, inf, 1e-30f, -inf, nan, -2.0f};
    for (size_t i = 0; i < made.score.size(); ++i) {
        const float x = 10 * static_cast<float>(i);
        made.xyxy.insert(made.xyxy.end(), {x, 0, x + 5, 5});
    }
    const std::vector<int64_t> expected = {5, 2, 6, 1, 3, 4, 9, 7, 0, 8};
    for (Kernels kernels : kernels_here()) CHECK(found(kernels, made, false, 0.5f, 100) == expected);
}

void refuses_nonsense() {
    const float box[4] = {0, 0, 1, 1}, score[1] = {1};
    const float lost[4] = {0, 0, std::numeric_limits<float>::quiet_NaN(), 1}, far[4] = {0, 0, 2e9f, 1};
    const int64_t group[1] = {0}, below[1] = {-1}, many[1] = {1 << 20};
    int64_t kept[1], count = 0;
    CHECK(edgekit_nms(box, score, group, 1, 0.5f, 1, kept, &count) == EDGEKIT_OK);
    CHECK(count == 1 && kept[0] == 0);
    CHECK(edgekit_nms(nullptr, nullptr, nullptr, 0, 0.5f, 1, nullptr, &count) == EDGEKIT_OK);
    CHECK(count == 0);
    CHECK(edgekit_nms(nullptr, score, group, 1, 0.5f, 1, kept, &count) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_nms(box, score, group, 1, 0.5f, 1, kept, nullptr) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_nms(box, score, group, -1, 0.5f, 1, kept, &count) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_nms(box, score, group, 1, 0.5f, -1, kept, &count) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_nms(box, score, group, int64_t{1} << 40, 0.5f, 1, kept, &count) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_nms(box, score, group, 1, -0.1f, 1, kept, &count) == EDGEKIT_BAD_VALUE);
    CHECK(edgekit_nms(box, score, group, 1, lost[2], 1, kept, &count) == EDGEKIT_BAD_VALUE);
    CHECK(edgekit_nms(lost, score, group, 1, 0.5f, 1, kept, &count) == EDGEKIT_BAD_VALUE);
    CHECK(edgekit_nms(far, score, group, 1, 0.5f, 1, kept, &count) == EDGEKIT_BAD_VALUE);
    CHECK(edgekit_nms(box, score, below, 1, 0.5f, 1, kept, &count) == EDGEKIT_BAD_VALUE);
    CHECK(edgekit_nms(box, score, many, 1, 0.5f, 1, kept, &count) == EDGEKIT_BAD_VALUE);
}

}  // namespace

int main() {
    kernels_agree();
    scores_are_ordered();
    refuses_nonsense();
    return 0;
}
