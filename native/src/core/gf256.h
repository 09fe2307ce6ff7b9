/* GF(256) with polynomial 0x11d, and sums of multiples of long byte strings. */
#ifndef THINAIR_GF256_H
#define THINAIR_GF256_H

#include <stddef.h>
#include <stdint.h>

enum {
    TA_GF256_STRIDE = 128, /* strings are readable and zero-padded up to a multiple of this */
    TA_GF256_TERMS = 255,
};

typedef struct ta_gf256 {
    uint8_t exp[255], log[256]; /* log[0] is undefined */
} ta_gf256;

void ta_gf256_init(ta_gf256 *field);

/* A sum of multiples. lines[d][v - 1]: the strings whose factor has value v in its d-th pair of bits. ordered: all of
 * them in order of addition. */
typedef struct ta_gf256_sum {
    size_t count[4][3];
    const uint8_t *lines[4][3][TA_GF256_TERMS];
    const uint8_t *ordered[4 * TA_GF256_TERMS];
} ta_gf256_sum;

void ta_gf256_begin(ta_gf256_sum *sum);
/* Adds factor * line; at most TA_GF256_TERMS times. `line` is 4-byte aligned. */
void ta_gf256_add(ta_gf256_sum *sum, uint8_t factor, const uint8_t *line);
/* Writes the first `size` bytes of the sum, rounded up to TA_GF256_STRIDE, to `out`: 4-byte aligned, not one of the
 * lines. */
void ta_gf256_end(ta_gf256_sum *sum, uint8_t *out, size_t size);

#endif
