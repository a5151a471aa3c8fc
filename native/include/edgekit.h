/* edgekit's native library: a plain C interface, the same for Python (ctypes), C and C++.
 *
 * Every function that can fail returns one of the codes below; nothing is thrown, printed or kept between calls, so any
 * thread may call at any time. Arrays belong to the caller and are not held after the call. Sizes are in elements
 * unless the name says bytes.
 */
#ifndef EDGEKIT_H
#define EDGEKIT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EDGEKIT_API __attribute__((visibility("default")))
#else
#define EDGEKIT_API
#endif

/* Raised when a function changes what it takes or means; functions may be added without. */
#define EDGEKIT_ABI 1

enum {
    EDGEKIT_OK = 0,
    EDGEKIT_BAD_POINTER = -1, /* a required array is missing */
    EDGEKIT_BAD_SIZE = -2,    /* a size is negative, 0 where it may not be, or too large */
    EDGEKIT_BAD_VALUE = -3,   /* an argument or an element is outside what the function takes */
    EDGEKIT_NO_MEMORY = -4
};

/* EDGEKIT_ABI of the library that was loaded. */
EDGEKIT_API int32_t edgekit_abi(void);

/* The kernels in use: "reference", "avx2", "avx512", "amx" or "neon": the best of this processor, or those that the
 * environment variable EDGEKIT_KERNELS names where the processor has them. Read once, at the first call. */
EDGEKIT_API const char *edgekit_kernels(void);

/* What a code means, in one line. */
EDGEKIT_API const char *edgekit_error(int32_t code);

/* Where an image goes: rows of interleaved uint8 pixels of three channels, row_bytes apart, are resized bilinearly to
 * inner_width x inner_height, which begin at column left and row top of three planes of net_width x net_height; what
 * lies around is `pad`, 0 to 255. All sizes are 1 to 65,536. With `reverse` the third channel goes to the first
 * plane. */
typedef struct edgekit_letterbox {
    const uint8_t *image;
    int64_t row_bytes;
    int32_t height, width;
    int32_t net_height, net_width;
    int32_t top, left, inner_height, inner_width;
    int32_t reverse;
    int32_t pad;
} edgekit_letterbox;

/* out (3, net_height, net_width) float32 = pixel * gain + offset, gain and offset one of three a plane; the pixels are
 * those of OpenCV's resize with INTER_LINEAR, bit for bit. `out` must not overlap the image. */
EDGEKIT_API int32_t edgekit_letterbox_f32(const edgekit_letterbox *where, const float *gain, const float *offset,
                                          float *out);

/* The same pixels as they are: out (3, net_height, net_width) uint8. */
EDGEKIT_API int32_t edgekit_letterbox_u8(const edgekit_letterbox *where, uint8_t *out);

/* Greedy non-maximum suppression within each class.
 *
 * xyxy (count, 4) float32, corners of at most 1e9 in size; score (count); class_id (count), 0 to 65,535, or NULL to let
 * every box suppress every other. A box goes when its intersection over union with a better one is above iou >= 0; of
 * equal scores the earlier is the better. At most `limit` boxes are kept. kept (min(count, limit)) gets their indices,
 * best first, and *kept_count how many. EDGEKIT_BAD_VALUE for boxes, classes or an iou outside of this. */
EDGEKIT_API int32_t edgekit_nms(const float *xyxy, const float *score, const int64_t *class_id, int64_t count,
                                float iou, int64_t limit, int64_t *kept, int64_t *kept_count);

/* The anchors whose best class reaches a score, of a head that gives one row of scores a class.
 *
 * scores (classes, count) float32. kept, best and class_id (count each) get the columns whose best score is at least
 * `conf`, in their order, with that score and its class, and *kept_count how many. Of equal scores the first class
 * counts. A column with a NaN is never kept. classes is 1 to 65,536. */
EDGEKIT_API int32_t edgekit_best_class(const float *scores, int64_t classes, int64_t count, float conf, int64_t *kept,
                                       float *best, int64_t *class_id, int64_t *kept_count);

#ifdef __cplusplus
}
#endif

#endif
