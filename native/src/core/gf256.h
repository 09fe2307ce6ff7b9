/* GF(256) of polynomial 0x11d, and sums of multiples of long byte strings. */
#ifndef THINAIR_GF256_H
#define THINAIR_GF256_H

#include <stddef.h>
#include <stdint.h>

enum {
    TA_GF256_STRIDE = 128, /* strings are readable, and zero behind their end, up to a multiple of it */
    TA_GF256_TERMS = 255,
};

typedef struct ta_gf256 {
    uint8_t exp[255], log[256]; /* log[0] is not defined */
} ta_gf256;

void ta_gf256_init(ta_gf256 *field);

/* A sum of multiples: lines[d][v - 1] are the strings whose factor has the value v in its d-th pair of bits; ordered is
 * where they stand for adding up. */
typedef struct ta_gf256_sum {
    size_t count[4][3];
    const uint8_t *lines[4][3][TA_GF256_TERMS];
    const uint8_t *ordered[4 * TA_GF256_TERMS];
} ta_gf256_sum;

void ta_gf256_begin(ta_gf256_sum *sum);
/* At most TA_GF256_TERMS. `line` is aligned to 4 bytes. */
void ta_gf256_add(ta_gf256_sum *sum, uint8_t factor, const uint8_t *line);
/* Writes the sum's first `size` bytes, rounded up to TA_GF256_STRIDE at most, to `out`: aligned to 4, none of the
 * lines. */
void ta_gf256_end(ta_gf256_sum *sum, uint8_t *out, size_t size);

#endif
