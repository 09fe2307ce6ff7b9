/* Annex B byte streams. The search skips sixteen bytes at a time where no start code can begin, which is nearly
 * everywhere. */
#include "thinair/h264.h"

#include <string.h>

enum { STEP = 16 };

/* Returns whether one of the eight bytes at even offsets of two words is 0: one of a start code's two zeros is at an
 * even offset. */
static uint32_t zero_at_even_place(uint32_t a, uint32_t b) {
    uint32_t bytes = (a & 0x00ff00ffu) | (b & 0x00ff00ffu) << 8;
    return (bytes - 0x01010101u) & ~bytes & 0x80808080u;
}

/* Returns the end of the steps from `at` on in which no start code begins. `at` is word-aligned; no step begins after
 * `last`. A separate function keeps the loop in registers. */
__attribute__((noinline)) static const uint8_t *skip_clear(const uint8_t *at, const uint8_t *last) {
    for (; at <= last; at += STEP) {
        uint32_t words[4];
        memcpy(words, __builtin_assume_aligned(at, sizeof(uint32_t)), sizeof words);
        if (zero_at_even_place(words[0], words[1]) | zero_at_even_place(words[2], words[3]))
            break;
    }
    return at;
}

size_t ta_annexb_find(const uint8_t *data, size_t size, size_t from) {
    size_t i = from;
    while (size >= 3 && i <= size - 3) {
        uint8_t third = data[i + 2];
        if (third > 1) {
            i += 3;
            const uint8_t *at = data + i;
            if (size < STEP || i > size - STEP || (uintptr_t)at % sizeof(uint32_t) != 0)
                continue;
            size_t skipped = (size_t)(skip_clear(at, data + size - STEP) - at);
            i += skipped - (skipped > 0); /* a start code may begin at the last byte before */
        } else if (third == 1) {
            if (data[i] == 0 && data[i + 1] == 0)
                return i;
            i += 3;
        } else {
            i += data[i + 1] == 0 ? 1 : 2;
        }
    }
    return size;
}

size_t ta_annexb_split(const uint8_t *data, size_t size, ta_nal *nals, size_t capacity) {
    size_t count = 0;
    size_t at = ta_annexb_find(data, size, 0);
    while (at < size) {
        size_t begin = at + 3, next = ta_annexb_find(data, size, begin), end = next;
        while (end > begin && data[end - 1] == 0)
            end--;
        if (end > begin) {
            if (count < capacity)
                nals[count] = (ta_nal){begin, end - begin};
            count++;
        }
        at = next;
    }
    return count;
}
