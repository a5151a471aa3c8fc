// Arguments at random, many of them nonsense: nothing may be read or written outside of the arrays.
//
//     test_fuzz                      a few thousand calls, the same ones every time
//     test_fuzz SEED CPU_SECONDS     calls of that seed until so much processor time is spent, counts every minute of it
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <limits>

#include "check.h"
#include "edgekit.h"
#include "edgekit_binary.h"
#include "edgekit_table.h"
#include "fuzz_operators.h"

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

int32_t small_or_odd(Numbers &numbers, int32_t low, int32_t high) {
    return numbers.whole(0, 30) == 0 ? size_of(numbers) : numbers.whole(low, high);
}

edgekit_binary_geometry geometry(Numbers &numbers) {
    edgekit_binary_geometry g;
    g.groups = small_or_odd(numbers, 1, 3);
    const bool whole = g.groups >= 1 && g.groups <= 3 && numbers.whole(0, 9) != 0;
    g.in_channels = whole ? g.groups * numbers.whole(1, 50) : small_or_odd(numbers, 0, 130);
    g.out_channels = whole ? g.groups * numbers.whole(1, 50) : small_or_odd(numbers, 0, 130);
    g.kernel_h = small_or_odd(numbers, 1, 5);
    g.kernel_w = small_or_odd(numbers, 1, 5);
    g.stride_h = small_or_odd(numbers, 1, 3);
    g.stride_w = small_or_odd(numbers, 1, 3);
    g.pad_top = small_or_odd(numbers, 0, 2);
    g.pad_left = small_or_odd(numbers, 0, 2);
    g.pad_bottom = small_or_odd(numbers, 0, 2);
    g.pad_right = small_or_odd(numbers, -1, 2);
    g.padding = numbers.whole(0, 20) == 0 ? size_of(numbers) : numbers.whole(0, 1);
    return g;
}

// Values that the geometry names, 0 where they are none or too many for this test, which then passes no array.
size_t weights_of(const edgekit_binary_geometry &g) {
    const auto within = [](int32_t size, int32_t most) { return size >= 1 && size <= most; };
    if (!within(g.groups, 130) || !within(g.in_channels, 200) || !within(g.out_channels, 200)) return 0;
    if (!within(g.kernel_h, 15) || !within(g.kernel_w, 15)) return 0;
    return static_cast<size_t>(g.out_channels) * g.kernel_h * g.kernel_w * (g.in_channels / g.groups);
}

int64_t side_of(int32_t side, int32_t before, int32_t after, int32_t kernel, int32_t stride) {
    const int64_t padded = int64_t{side} + before + after - kernel;
    return padded < 0 ? 0 : padded / stride + 1;
}

// Packs and convolves one image of the size that fits the arrays, and rows that may not exist.
bool convolve(Numbers &numbers, const edgekit_binary_geometry &g, const edgekit_binary_conv *conv) {
    const int32_t images = numbers.whole(0, 2), height = numbers.whole(0, 9), width = numbers.whole(0, 20);
    const int64_t pixels = int64_t{images} * height * width;
    const int64_t rows = side_of(height, g.pad_top, g.pad_bottom, g.kernel_h, g.stride_h) * images;
    const int64_t columns = side_of(width, g.pad_left, g.pad_right, g.kernel_w, g.stride_w);
    const Guarded bits(static_cast<size_t>(4 * pixels * edgekit_binary_conv_words_in(conv)));
    uint32_t *words = reinterpret_cast<uint32_t *>(bits.data());
    if (numbers.whole(0, 1) == 0) {
        const Guarded x(static_cast<size_t>(4 * pixels * g.in_channels));
        float *values = reinterpret_cast<float *>(x.data());
        for (int64_t i = 0; i < pixels * g.in_channels; ++i) values[i] = number_of(numbers);
        CHECK(edgekit_binary_pack_float(conv, values, pixels, words) == EDGEKIT_OK);
    } else {
        const Guarded x(static_cast<size_t>(pixels * g.in_channels));
        for (int64_t i = 0; i < pixels * g.in_channels; ++i) x.data()[i] = static_cast<uint8_t>(numbers.bits());
        CHECK(edgekit_binary_pack_int8(conv, reinterpret_cast<int8_t *>(x.data()), pixels, words) == EDGEKIT_OK);
    }
    const int64_t begin = numbers.whole(0, 9) == 0 ? numbers.whole(-2, 12) : 0;
    const int64_t end = numbers.whole(0, 9) == 0 ? numbers.whole(-2, 12) : rows;
    const int32_t output = numbers.whole(0, 20) == 0 ? numbers.whole(-2, 4) : numbers.whole(0, 2);
    const int64_t bytes_of[] = {4 * int64_t{g.out_channels}, g.out_channels, 4 * edgekit_binary_conv_words_out(conv)};
    const int64_t bytes = output < 0 || output > 2 ? 0 : rows * columns * bytes_of[output];
    const Guarded out(static_cast<size_t>(bytes));
    return edgekit_binary_conv_run(conv, words, images, height, width, begin, end, output, out.data()) == EDGEKIT_OK;
}

edgekit_binary_codes codes(Numbers &numbers) {
    edgekit_binary_codes made;
    made.scale = numbers.whole(0, 9) == 0 ? number_of(numbers) : 0.001f + numbers.unit();
    made.is_signed = numbers.whole(0, 20) == 0 ? size_of(numbers) : numbers.whole(0, 1);
    const int32_t least = made.is_signed == 1 ? -128 : 0;
    made.zero_point = numbers.whole(0, 20) == 0 ? size_of(numbers) : numbers.whole(least, least + 255);
    return made;
}

// The same with a residual and limits, each side floats or codes; numbers and bits out.
bool convolve_and_add(Numbers &numbers, const edgekit_binary_geometry &g, const edgekit_binary_conv *conv) {
    const int32_t images = numbers.whole(0, 2), height = numbers.whole(0, 9), width = numbers.whole(0, 20);
    const int64_t rows = side_of(height, g.pad_top, g.pad_bottom, g.kernel_h, g.stride_h) * images;
    const int64_t pixels = rows * side_of(width, g.pad_left, g.pad_right, g.kernel_w, g.stride_w);
    const size_t pixels_in = static_cast<size_t>(images) * height * width;
    const Guarded bits(4 * edgekit_binary_conv_words_in(conv) * pixels_in), x(pixels_in * g.in_channels);
    uint32_t *words = reinterpret_cast<uint32_t *>(bits.data());
    const edgekit_binary_codes x_codes = codes(numbers), added = codes(numbers), given = codes(numbers);
    edgekit_binary_pack_codes(conv, x.data(), numbers.whole(0, 20) ? &x_codes : nullptr, pixels_in, words);
    const bool adds_codes = numbers.whole(0, 1), gives_codes = numbers.whole(0, 1);
    const size_t count = static_cast<size_t>(pixels * g.out_channels);
    const Guarded residual((adds_codes ? 1 : 4) * count), out((gives_codes ? 1 : 4) * count);
    const Guarded signs(static_cast<size_t>(4 * pixels * edgekit_binary_conv_words_out(conv)));
    float *values = reinterpret_cast<float *>(residual.data());
    for (size_t i = 0; !adds_codes && i < count; ++i) values[i] = number_of(numbers);
    const int64_t begin = numbers.whole(0, 9) == 0 ? numbers.whole(-2, 12) : 0;
    const int64_t end = numbers.whole(0, 9) == 0 ? numbers.whole(-2, 12) : rows;
    const void *from = numbers.whole(0, 2) ? residual.data() : nullptr;
    void *to = numbers.whole(0, 9) ? out.data() : nullptr;
    uint32_t *to_bits = numbers.whole(0, 2) ? reinterpret_cast<uint32_t *>(signs.data()) : nullptr;
    const float low = number_of(numbers), high = number_of(numbers);
    if (!adds_codes && !gives_codes) {
        return edgekit_binary_conv_add(conv, words, images, height, width, begin, end, static_cast<const float *>(from),
                                       low, high, static_cast<float *>(to), to_bits) == EDGEKIT_OK;
    }
    return edgekit_binary_conv_add_codes(conv, words, images, height, width, begin, end, from,
                                         adds_codes ? &added : nullptr, low, high, to, gives_codes ? &given : nullptr,
                                         to_bits) == EDGEKIT_OK;
}

bool binary(Numbers &numbers) {
    const edgekit_binary_geometry g = geometry(numbers);
    const size_t count = weights_of(g);
    const Guarded weights(count);
    for (size_t i = 0; i < count; ++i) weights.data()[i] = static_cast<uint8_t>(numbers.bits());
    const size_t channels = count == 0 ? 0 : static_cast<size_t>(g.out_channels);
    std::vector<float> multiplier(channels), offset(channels);
    for (float &value : multiplier) value = numbers.unit() - 0.5f;
    for (float &value : offset) value = numbers.unit() * 20 - 10;
    if (channels > 0 && numbers.whole(0, 9) == 0) offset[numbers.whole(0, g.out_channels - 1)] = number_of(numbers);
    const char *const names[] = {nullptr, "reference", "avx2", "avx512", "amx", "neon", "none"};
    edgekit_binary_conv *conv = nullptr;
    const int code = edgekit_binary_conv_create(
        &g, count == 0 ? nullptr : reinterpret_cast<int8_t *>(weights.data()),
        channels == 0 ? nullptr : multiplier.data(), channels == 0 ? nullptr : offset.data(),
        names[numbers.whole(0, 6)], &conv);
    CHECK((code == EDGEKIT_OK) == (conv != nullptr));
    const bool ran =
        conv != nullptr && (numbers.whole(0, 2) ? convolve(numbers, g, conv) : convolve_and_add(numbers, g, conv));
    edgekit_binary_conv_destroy(conv);
    return ran;
}

bool table(Numbers &numbers) {
    const Guarded entries(256);
    for (int i = 0; i < 256; ++i) entries.data()[i] = static_cast<uint8_t>(numbers.bits());
    const int32_t count = numbers.whole(0, 9) == 0 ? numbers.whole(-3, 1) : numbers.whole(0, 700);
    const size_t size = static_cast<size_t>(std::max(count, 0));
    const Guarded x(size), y(size);
    for (size_t i = 0; i < size; ++i) x.data()[i] = static_cast<uint8_t>(numbers.bits());
    const std::vector<uint8_t> before(x.data(), x.data() + size);
    const bool missing = numbers.whole(0, 20) == 0;
    uint8_t *to = numbers.whole(0, 1) ? x.data() : y.data();
    const int32_t code = edgekit_table_u8(missing ? nullptr : entries.data(), x.data(), count, to);
    if (code != EDGEKIT_OK) return false;
    for (size_t i = 0; i < size; ++i) CHECK(to[i] == entries.data()[before[i]]);
    return true;
}

bool best_class(Numbers &numbers) {
    const int32_t classes = small_or_odd(numbers, 1, 12);
    const int32_t count = numbers.whole(0, 9) == 0 ? numbers.whole(-3, 1) : numbers.whole(0, 90);
    const bool usable = classes >= 1 && classes <= 12 && count >= 0;
    const size_t columns = usable ? static_cast<size_t>(count) : 0;
    const Guarded scores(4 * columns * static_cast<size_t>(usable ? classes : 0));
    float *values = reinterpret_cast<float *>(scores.data());
    for (size_t i = 0; usable && i < columns * classes; ++i) values[i] = number_of(numbers);
    const Guarded kept(8 * columns), best(4 * columns), class_id(8 * columns);
    int64_t *const indices = reinterpret_cast<int64_t *>(kept.data());
    int64_t *const groups = reinterpret_cast<int64_t *>(class_id.data());
    int64_t kept_count = 0;
    // Sizes that the arrays do not have must be refused, by themselves or for the arrays that are missing.
    const bool missing = (!usable && count > 0) || numbers.whole(0, 20) == 0;
    const int32_t code = edgekit_best_class(missing ? nullptr : values, classes, count, number_of(numbers), indices,
                                            reinterpret_cast<float *>(best.data()), groups, &kept_count);
    if (code != EDGEKIT_OK) return false;
    CHECK(kept_count >= 0 && kept_count <= count);
    for (int64_t i = 0; i < kept_count; ++i) {
        CHECK(indices[i] >= 0 && indices[i] < count && groups[i] >= 0 && groups[i] < classes);
    }
    return true;
}

// What the library says of itself, for codes that there are not.
bool words(Numbers &numbers) {
    const int32_t code = numbers.whole(-6, 2);
    CHECK(edgekit_abi() == EDGEKIT_ABI && edgekit_kernels()[0] != 0 && edgekit_error(code)[0] != 0);
    return code <= 0 && code >= EDGEKIT_NO_MEMORY;
}

struct Entry {
    const char *name;
    bool (*call)(Numbers &);
    int64_t calls, accepted;
};

void report(const std::vector<Entry> &entries) {
    for (const Entry &entry : entries) {
        std::printf("%s: %lld calls, %lld accepted\n", entry.name, static_cast<long long>(entry.calls),
                    static_cast<long long>(entry.accepted));
    }
}

}  // namespace

int main(int argc, char **argv) {
    std::vector<Entry> entries = {{"letterbox", letterbox, 0, 0},
                                  {"nms", nms, 0, 0},
                                  {"binary", binary, 0, 0},
                                  {"table", table, 0, 0},
                                  {"best_class", best_class, 0, 0},
                                  {"operators", fuzz::operators, 0, 0},
                                  {"words", words, 0, 0}};
    Numbers numbers(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 4);
    const double limit_s = argc > 2 ? std::atof(argv[2]) : 0;
    double reported_s = 0;
    for (int64_t round = 0; round < 3000 || std::clock() < limit_s * CLOCKS_PER_SEC; ++round) {
        for (Entry &entry : entries) {
            ++entry.calls;
            entry.accepted += entry.call(numbers);
        }
        const double spent_s = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
        if (spent_s > reported_s + 60) {
            reported_s = spent_s;
            std::printf("after %.0f s of processor time, %s kernels\n", spent_s, edgekit_kernels());
            report(entries);
            std::fflush(stdout);
        }
    }
    report(entries);
    for (const Entry &entry : entries) {
        CHECK(entry.accepted > entry.calls / 30 && entry.accepted < entry.calls * 29 / 30);
    }
    return 0;
}
