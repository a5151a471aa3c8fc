// Every set of kernels against a plain loop: ties, NaN, infinities, counts around the registers' widths, what is refused.
#include "best_class.h"

#include <cmath>
#include <limits>

#include "check.h"
#include "edgekit.h"

using namespace edgekit;

namespace {

float score_of(Numbers &numbers) {
    const float odd[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                         -std::numeric_limits<float>::infinity(), -0.0f};
    return numbers.whole(0, 60) == 0 ? odd[numbers.whole(0, 3)] : static_cast<float>(numbers.whole(-4, 20)) / 20;
}

void check(Numbers &numbers, Kernels kernels, int64_t classes, int64_t count, float conf) {
    std::vector<float> scores(static_cast<size_t>(classes * count));
    for (float &score : scores) score = score_of(numbers);
    std::vector<int64_t> kept(count + 1, -7), class_id(count + 1, -7);
    std::vector<float> best(count + 1, -7);
    int64_t kept_count = -1;
    CHECK(best_class(best_class_of(kernels), scores.data(), classes, count, conf, kept.data(), best.data(),
                     class_id.data(), &kept_count) == EDGEKIT_OK);
    int64_t expected = 0;
    for (int64_t column = 0; column < count; ++column) {
        int64_t top = 0;
        bool broken = false;
        for (int64_t row = 0; row < classes; ++row) {
            broken = broken || std::isnan(scores[row * count + column]);
            if (scores[row * count + column] > scores[top * count + column]) top = row;
        }
        if (broken || scores[top * count + column] < conf) continue;
        CHECK(kept[expected] == column && class_id[expected] == top && best[expected] == scores[top * count + column]);
        ++expected;
    }
    CHECK(kept_count == expected && kept.back() == -7 && class_id.back() == -7 && best.back() == -7);
}

void check_refusals() {
    const float scores[2] = {0.5f, 0.25f};
    int64_t kept[1] = {9}, class_id[1], count = 9;
    float best[1];
    CHECK(edgekit_best_class(scores, 0, 1, 0, kept, best, class_id, &count) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_best_class(scores, 65537, 1, 0, kept, best, class_id, &count) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_best_class(scores, 2, -1, 0, kept, best, class_id, &count) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_best_class(scores, 2, (int64_t{1} << 24) + 1, 0, kept, best, class_id, &count) == EDGEKIT_BAD_SIZE);
    CHECK(edgekit_best_class(nullptr, 2, 1, 0, kept, best, class_id, &count) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_best_class(scores, 2, 1, 0, nullptr, best, class_id, &count) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_best_class(scores, 2, 1, 0, kept, nullptr, class_id, &count) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_best_class(scores, 2, 1, 0, kept, best, nullptr, &count) == EDGEKIT_BAD_POINTER);
    CHECK(edgekit_best_class(scores, 2, 1, 0, kept, best, class_id, nullptr) == EDGEKIT_BAD_POINTER);
    CHECK(kept[0] == 9 && count == 9);
    CHECK(edgekit_best_class(nullptr, 2, 0, 0, nullptr, nullptr, nullptr, &count) == EDGEKIT_OK && count == 0);
    CHECK(edgekit_best_class(scores, 2, 1, 0.5f, kept, best, class_id, &count) == EDGEKIT_OK);
    CHECK(count == 1 && kept[0] == 0 && class_id[0] == 0 && best[0] == 0.5f);
}

}  // namespace

int main() {
    Numbers numbers(11);
    for (Kernels kernels : kernels_here()) {
        for (int64_t classes : {1, 2, 10, 80}) {
            for (int64_t count = 0; count < 140; ++count) check(numbers, kernels, classes, count, 0.5f);
            for (int64_t count : {511, 512, 513, 1100}) {
                for (float conf : {-1.0f, 0.0f, 0.9f, 2.0f}) check(numbers, kernels, classes, count, conf);
            }
        }
    }
    check_refusals();
    return 0;
}
