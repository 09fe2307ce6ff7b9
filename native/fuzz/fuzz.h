/* Shared by the fuzz targets: a cursor over the input, and a check that ends the run. */
#ifndef THINAIR_FUZZ_H
#define THINAIR_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

typedef struct cursor {
    const uint8_t *data;
    size_t size;
} cursor;

static inline uint8_t take(cursor *c) {
    if (c->size == 0)
        return 0;
    c->size--;
    return *c->data++;
}

static inline uint16_t take16(cursor *c) {
    unsigned high = take(c);
    return (uint16_t)(high << 8 | take(c));
}

/* Takes up to `size` bytes; *got says how many. */
static inline const uint8_t *take_bytes(cursor *c, size_t size, size_t *got) {
    const uint8_t *from = c->data;
    *got = size < c->size ? size : c->size;
    c->data += *got;
    c->size -= *got;
    return from;
}

/* Writes a big-endian field; returns the end. */
static inline uint8_t *put_be(uint8_t *at, uint64_t value, int bytes) {
    while (bytes-- > 0)
        *at++ = (uint8_t)(value >> 8 * bytes);
    return at;
}

#endif
