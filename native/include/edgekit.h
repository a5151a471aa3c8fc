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

/* The kernels in use: "reference", "avx2", "avx512" or "neon": the best of this processor, or those that the
 * environment variable EDGEKIT_KERNELS names where the processor has them. Read once, at the first call. */
EDGEKIT_API const char *edgekit_kernels(void);

/* What a code means, in one line. */
EDGEKIT_API const char *edgekit_error(int32_t code);

#ifdef __cplusplus
}
#endif

#endif
