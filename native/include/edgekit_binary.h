/* Binary convolution: weights and activations are +1 or -1, one bit each. A plain C interface.
 *
 * Bits. A value v is the bit v < 0: 0 is +1 (so zero, minus zero and NaN are +1), 1 is -1. A pixel of C channels in G
 * groups is G * ceil(C / G / 32) words of 32 bits, group after group; channel c of a group is bit c % 32 of word c
 * / 32. Bits past the last channel are 0. An image is rows of pixels (NHWC). Bits that a convolution writes are one
 * group.
 *
 * Numbers. dot is the exact integer sum of products. Each output channel has a multiplier m and an offset b (float):
 *     float  y = m * dot + b       both operations rounded to float, no fused multiply-add
 *     int8   q = clip(round half to even(y), -127, 127)      the caller divides m and b by the step of the codes
 *     bits   m * dot + b < 0       exactly, as real numbers: BatchNorm and sign in one comparison
 *
 * Functions return the codes of edgekit.h. A handle is immutable after it was made: any number of threads may use it at
 * once, for rows of their own.
 */
#ifndef EDGEKIT_BINARY_H
#define EDGEKIT_BINARY_H

#include <stdint.h>

#include "edgekit.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EDGEKIT_BINARY_PAD_ZERO = 0, EDGEKIT_BINARY_PAD_ONE = 1 };
enum { EDGEKIT_BINARY_TO_FLOAT = 0, EDGEKIT_BINARY_TO_INT8 = 1, EDGEKIT_BINARY_TO_BITS = 2 };

typedef struct {
    int32_t in_channels; /* 1 to 65536; a multiple of groups, like out_channels */
    int32_t out_channels;
    int32_t kernel_h; /* 1 to 15 */
    int32_t kernel_w;
    int32_t stride_h; /* 1 to 15 */
    int32_t stride_w;
    int32_t pad_top; /* less than the kernel */
    int32_t pad_left;
    int32_t pad_bottom;
    int32_t pad_right;
    int32_t groups;
    int32_t padding; /* EDGEKIT_BINARY_PAD_*: what stands outside the image, 0 or +1 */
} edgekit_binary_geometry;

/* Numbers as codes of 8 bits: value = (code - zero_point) * scale, both operations rounded to float. A value becomes
 * the code clip(round half to even(value / scale) + zero_point, least code, greatest code), the quotient rounded to
 * float: ONNX's DequantizeLinear and QuantizeLinear. */
typedef struct {
    float scale;        /* 1e-30 to 1e30 */
    int32_t zero_point; /* one of the codes */
    int32_t is_signed;  /* 0: uint8_t, 1: int8_t */
} edgekit_binary_codes;

typedef struct edgekit_binary_conv edgekit_binary_conv;

/* Make a convolution. weights: (out_channels, kernel_h, kernel_w, in_channels / groups), of which the sign counts.
 * multiplier, offset: (out_channels). kernels: "reference", "avx2", "avx512", "amx", "neon", or null for those of
 * edgekit_kernels(); EDGEKIT_BAD_VALUE where this processor does not have them. */
EDGEKIT_API int edgekit_binary_conv_create(const edgekit_binary_geometry *geometry, const int8_t *weights,
                                           const float *multiplier, const float *offset, const char *kernels,
                                           edgekit_binary_conv **conv);

EDGEKIT_API void edgekit_binary_conv_destroy(edgekit_binary_conv *conv);

/* The kernels that this convolution runs on; a constant string. */
EDGEKIT_API const char *edgekit_binary_conv_kernels(const edgekit_binary_conv *conv);

/* Words of one input pixel; words of one output pixel as bits. */
EDGEKIT_API int64_t edgekit_binary_conv_words_in(const edgekit_binary_conv *conv);
EDGEKIT_API int64_t edgekit_binary_conv_words_out(const edgekit_binary_conv *conv);

/* Bits of `pixels` pixels of in_channels values, channels innermost. */
EDGEKIT_API int edgekit_binary_pack_float(const edgekit_binary_conv *conv, const float *x, int64_t pixels,
                                          uint32_t *bits);
EDGEKIT_API int edgekit_binary_pack_int8(const edgekit_binary_conv *conv, const int8_t *x, int64_t pixels,
                                         uint32_t *bits);

/* The same of codes with a zero point: the bit is code < zero_point. */
EDGEKIT_API int edgekit_binary_pack_codes(const edgekit_binary_conv *conv, const void *x,
                                          const edgekit_binary_codes *codes, int64_t pixels, uint32_t *bits);

/* Convolve the bits (images, height, width, words in). Output rows are numbered through all images; rows row_begin to
 * row_end - 1 are computed and written at their place in `out`: (images, rows, columns, out_channels) of float or
 * int8_t, or (images, rows, columns, words out) of uint32_t. */
EDGEKIT_API int edgekit_binary_conv_run(const edgekit_binary_conv *conv, const uint32_t *bits, int32_t images,
                                        int32_t height, int32_t width, int64_t row_begin, int64_t row_end,
                                        int32_t output, void *out);

/* The same, with what stands behind such a layer in a residual network:
 *     out = min(max(m * dot + b + residual, low), high)      every operation rounded to float; low <= high
 *     out_bits = out < 0      the bits that the next binary layer of one group reads
 * residual, out: (images, rows, columns, out_channels); out_bits: (images, rows, columns, words out). residual and
 * out_bits may be null: for nothing to add, and for no bits. */
EDGEKIT_API int edgekit_binary_conv_add(const edgekit_binary_conv *conv, const uint32_t *bits, int32_t images,
                                        int32_t height, int32_t width, int64_t row_begin, int64_t row_end,
                                        const float *residual, float low, float high, float *out, uint32_t *out_bits);

/* The same, where the residual, the result or both are codes of 8 bits; null says that they are floats. out_bits
 * are those of the result before it is rounded to codes. */
EDGEKIT_API int edgekit_binary_conv_add_codes(const edgekit_binary_conv *conv, const uint32_t *bits, int32_t images,
                                              int32_t height, int32_t width, int64_t row_begin, int64_t row_end,
                                              const void *residual, const edgekit_binary_codes *residual_codes,
                                              float low, float high, void *out, const edgekit_binary_codes *out_codes,
                                              uint32_t *out_bits);

#ifdef __cplusplus
}
#endif

#endif
