/* Bit reader and writer of an RBSP (without emulation prevention bytes); ue(v) and se(v) as in H.264 9.1. */
#ifndef THINAIR_CORE_BITS_H
#define THINAIR_CORE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ta_bits {
    const uint8_t *data;
    size_t bits, at;
    bool bad; /* read past the end, or a code longer than 32 bits */
} ta_bits;

static inline uint32_t ta_bit(ta_bits *b) {
    if (b->at >= b->bits) {
        b->bad = true;
        return 0;
    }
    uint32_t bit = b->data[b->at / 8] >> (7 - b->at % 8) & 1u;
    b->at++;
    return bit;
}

static inline uint32_t ta_read(ta_bits *b, unsigned count) {
    uint32_t value = 0;
    while (count-- > 0)
        value = value << 1 | ta_bit(b);
    return value;
}

static inline uint32_t ta_ue(ta_bits *b) {
    unsigned zeros = 0;
    while (!b->bad && ta_bit(b) == 0)
        if (++zeros > 31)
            b->bad = true;
    return b->bad ? 0 : ((uint32_t)1 << zeros) - 1 + ta_read(b, zeros);
}

static inline int32_t ta_se(ta_bits *b) {
    uint32_t code = ta_ue(b);
    return code & 1 ? (int32_t)(code / 2 + 1) : -(int32_t)(code / 2);
}

typedef struct ta_bit_writer {
    uint8_t *data; /* zeroed by the owner */
    size_t bits, at;
    bool full;
} ta_bit_writer;

static inline void ta_put(ta_bit_writer *w, uint32_t value, unsigned count) {
    while (count-- > 0) {
        if (w->at >= w->bits) {
            w->full = true;
            return;
        }
        w->data[w->at / 8] |= (uint8_t)((value >> count & 1u) << (7 - w->at % 8));
        w->at++;
    }
}

static inline void ta_put_ue(ta_bit_writer *w, uint32_t value) {
    unsigned length = 0;
    while ((value + 1) >> length > 1)
        length++;
    ta_put(w, 0, length);
    ta_put(w, value + 1, length + 1);
}

#endif
