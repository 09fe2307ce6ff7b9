/* Big-endian fields, byte by byte: ARMv6 has no unaligned access to all word sizes. */
#ifndef THINAIR_CORE_BYTES_H
#define THINAIR_CORE_BYTES_H

#include <stdint.h>

static inline uint64_t ta_get_be(const uint8_t *p, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static inline uint8_t *ta_put_be(uint8_t *p, uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; i--) {
        p[i] = (uint8_t)value;
        value >>= 8;
    }
    return p + bytes;
}

#endif
