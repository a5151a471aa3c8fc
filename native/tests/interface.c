/* A program in C that links the library: the header is C, and the functions are exported. docs/native.md shows it. */
#include <stdint.h>
#include <stdio.h>

#include "edgekit.h"

int main(void) {
    static uint8_t frame[48 * 64 * 3];
    static float input[3 * 32 * 32];
    const float gain[3] = {1, 1, 1}, offset[3] = {0, 0, 0};
    const edgekit_letterbox where = {frame, 64 * 3, 48, 64, 32, 32, 0, 0, 24, 32, 0, 114};
    const float xyxy[3][4] = {{0, 0, 10, 10}, {1, 1, 10, 10}, {20, 20, 30, 30}}, score[3] = {0.5f, 0.9f, 0.4f};
    int64_t kept[3], count = 0;
    int32_t code = edgekit_letterbox_f32(&where, gain, offset, input);
    if (code == EDGEKIT_OK) code = edgekit_nms(xyxy[0], score, NULL, 3, 0.65f, 3, kept, &count);
    if (code != EDGEKIT_OK) {
        fprintf(stderr, "edgekit: %s\n", edgekit_error(code));
        return 1;
    }
    return !(edgekit_abi() == EDGEKIT_ABI && input[0] == 0 && input[24 * 32] == 114 && count == 2 && kept[0] == 1 &&
             kept[1] == 2);
}
