// The functions of edgekit.h that say what the library is.
#include "cpu.h"
#include "edgekit.h"

int32_t edgekit_abi(void) { return EDGEKIT_ABI; }

const char *edgekit_kernels(void) { return edgekit::name_of(edgekit::active_kernels()); }

const char *edgekit_error(int32_t code) {
    switch (code) {
        case EDGEKIT_OK:
            return "no error";
        case EDGEKIT_BAD_POINTER:
            return "a required array is missing";
        case EDGEKIT_BAD_SIZE:
            return "a size is negative, 0 where it may not be, or too large";
        case EDGEKIT_BAD_VALUE:
            return "an argument or an element is outside what the function takes";
        case EDGEKIT_NO_MEMORY:
            return "out of memory";
        default:
            return "an unknown error";
    }
}
