// Arguments at random, many of them nonsense: nothing may be read or written outside of the arrays.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "check.h"
#include "edgekit.h"

namespace {

int32_t size_of(Numbers &numbers) {
    const int32_t odd[] = {0, -1, 1, 2, 65536, 65537, std::numeric_limits<int32_t>::max(),
                           std::numeric_limits<int32_t>::min()};
    return numbers.whole(0, 9) == 0 ? odd[numbers.whole(0, 7)] : numbers.whole(1, 70);
}

float number_of(Numbers &numbers) {
    const float odd[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                         -std::numeric_limits<float>::infinity(), 3e38f, -3e38f, 1e9f, 1e-40f, -0.0f};
    return numbers.whole(0, 40) == 0 ? odd[numbers.whole(0, 7)] : numbers.unit() * 200 - 50;
}

// Bytes that end where a page begins that may not be read: a gather too far is seen, which the sanitizers do not.
class Guarded {
  public:
    explicit Guarded(size_t size) : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
        mapped_ = (size + page_ - 1) / page_ * page_ + page_;
        void *start = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(start != MAP_FAILED);
        start_ = static_cast<uint8_t *>(start);
        CHECK(mprotect(start_ + mapped_ - page_, page_, PROT_NONE) == 0);
        data_ = start_ + mapped_ - page_ - size;
        std::memset(data_, 200, size);
    }
    Guarded(const Guarded &) = delete;
    Guarded &operator=(const Guarded &) = delete;
    ~Guarded() { munmap(start_, mapped_); }

    uint8_t *data() const { return data_; }

  private:
    size_t page_, mapped_;
    uint8_t *start_, *data_;
};

// An allocation of just the size that the arguments name; where they name none or a huge one the call must refuse.
bool letterbox(Numbers &numbers) {
    edgekit_letterbox where = {};
    where.height = size_of(numbers);
    where.width = size_of(numbers);
    where.row_bytes = 3 * static_cast<int64_t>(where.width) + numbers.whole(-1, 8);
    where.inner_height = size_of(numbers);
    where.inner_width = size_of(numbers);
    where.top = numbers.whole(-1, 9);
    where.left = numbers.whole(-1, 9);
    where.net_height = numbers.whole(0, 9) == 0 ? size_of(numbers) : numbers.whole(1, 90);
    where.net_width = numbers.whole(0, 9) == 0 ? size_of(numbers) : numbers.whole(1, 90);
    where.reverse = numbers.whole(0, 1);
    where.pad = numbers.whole(-1, 256);
    auto usable = [](int32_t size) { return size >= 1 && size <= 90; };
    const bool small = usable(where.height) && usable(where.width) && usable(where.net_height) &&
                       usable(where.net_width);
    // The last row ends with its last pixel.
    const int64_t bytes = (where.height - int64_t{1}) * where.row_bytes + 3 * int64_t{where.width};
    const Guarded image(small && bytes > 0 ? static_cast<size_t>(bytes) : 1);
    std::vector<uint8_t> out(small ? 3 * where.net_height * where.net_width : 1);
    std::vector<float> out_f32(out.size());
    const float gain[3] = {number_of(numbers), number_of(numbers), 1}, offset[3] = {number_of(numbers), 0, 0};
    where.image = small || numbers.whole(0, 1) ? image.data() : nullptr;
    if (!small && where.image != nullptr) where.inner_width = 0;  // there is no such picture: it must be refused
    const int32_t code = edgekit_letterbox_u8(&where, out.data());
    CHECK(code == edgekit_letterbox_f32(&where, gain, offset, out_f32.data()));
    CHECK(small || code != EDGEKIT_OK);
    return code == EDGEKIT_OK;
}

bool nms(Numbers &numbers) {
    const int32_t count = numbers.whole(0, 4) == 0 ? numbers.whole(0, 2) : numbers.whole(0, 150);
    const bool wild = numbers.whole(0, 1) == 0;
    std::vector<float> xyxy(4 * count), score(count);
    std::vector<int64_t> class_id(count);
    for (float &value : xyxy) value = wild ? number_of(numbers) : numbers.unit() * 200 - 50;
    for (float &value : score) value = number_of(numbers);
    for (int64_t &value : class_id) value = numbers.whole(wild ? -1 : 0, 5);
    const int64_t limit = numbers.whole(-1, 160);
    std::vector<int64_t> kept(std::max<int64_t>(std::min<int64_t>(count, limit), 0));
    int64_t kept_count = 0;
    const int32_t code = edgekit_nms(xyxy.data(), score.data(), numbers.whole(0, 1) ? class_id.data() : nullptr, count,
                                     wild ? number_of(numbers) : numbers.unit(), limit, kept.data(), &kept_count);
    if (code != EDGEKIT_OK) return false;
    CHECK(kept_count <= static_cast<int64_t>(kept.size()));
    for (int64_t i = 0; i < kept_count; ++i) CHECK(kept[i] >= 0 && kept[i] < count);
    return true;
}

}  // namespace

int main() {
    Numbers numbers(4);
    int letterboxes = 0, suppressions = 0;
    for (int i = 0; i < 3000; ++i) letterboxes += letterbox(numbers);
    for (int i = 0; i < 3000; ++i) suppressions += nms(numbers);
    CHECK(letterboxes > 100 && letterboxes < 2900);
    CHECK(suppressions > 100 && suppressions < 2900);
    return 0;
}
