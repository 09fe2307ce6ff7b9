/* Annex B byte streams. The scan looks at every third byte as long as that byte can be no part of a start code. */
#include "thinair/core.h"

size_t ta_annexb_find(const uint8_t *data, size_t size, size_t from) {
    size_t i = from;
    while (size >= 3 && i <= size - 3) {
        uint8_t third = data[i + 2];
        if (third > 1) {
            i += 3;
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
