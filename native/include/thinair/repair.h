/* Repair symbols: systematic Cauchy Reed-Solomon code over GF(256), sans-IO.
 *
 * A block is k sources of any sizes. Repair symbol i (0..254 - k) is two bytes longer than the longest source. Any k of
 * all sources and symbols restore the block, sizes included.
 *
 * Field: polynomial 0x11d, generator 2. A source's code word is its size (16 bits, big-endian), its bytes, then zeros.
 * Repair symbol i is the sum over sources j of (255 ^ j) / (255 ^ i ^ j) times code word j: a Cauchy matrix over the
 * points 255 - i and j, columns scaled so that symbol 0 is plain XOR. It does not depend on k.
 * docs/adr/0005-repair-code.md. */
#ifndef THINAIR_REPAIR_H
#define THINAIR_REPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thinair/status.h"

enum {
    TA_REPAIR_MAX_SYMBOLS = 255, /* sources and repair symbols of a block together */
    TA_REPAIR_MAX_SOURCES = 254,
    TA_REPAIR_SIZE = 2, /* bytes of a repair symbol that protect the sources' sizes */
    TA_REPAIR_MAX_SOURCE = 65535,
};

/* ---- encoder ---- */

typedef struct ta_repair_encoder ta_repair_encoder;

/* For 1..TA_REPAIR_MAX_SOURCES sources of up to max_source bytes. Allocates about max_sources * (max_source + 128)
 * bytes. TA_EINVAL: a limit out of range. TA_ENOMEM. */
ta_status ta_repair_encoder_open(ta_repair_encoder **out, size_t max_sources, size_t max_source);
/* Starts the next block. */
void ta_repair_encoder_reset(ta_repair_encoder *e);
/* Returns where the next source may be written, so that ta_repair_encoder_add copies nothing: max_source bytes, aligned
 * to words. NULL: the block is full. */
uint8_t *ta_repair_encoder_place(ta_repair_encoder *e);
/* Adds the next source; copied unless it is in its place. TA_ETOOBIG: the block is full, or the source is too long. */
ta_status ta_repair_encoder_add(ta_repair_encoder *e, const uint8_t *data, size_t size);
/* Adds all sources, or none. Errors as above. */
ta_status ta_repair_encoder_add_all(ta_repair_encoder *e, const uint8_t *const *data, const size_t *sizes,
                                    size_t count);
/* Writes repair symbol `index` of the sources added so far; any order, repeatedly. TA_EINVAL: no sources, or an index
 * above 254 - k. TA_ETOOBIG: `capacity` is too small. */
ta_status ta_repair_encoder_symbol(ta_repair_encoder *e, size_t index, uint8_t *out, size_t capacity, size_t *size);
void ta_repair_encoder_close(ta_repair_encoder **e);

/* ---- decoder ---- */

typedef struct ta_repair_decoder ta_repair_decoder;

/* As ta_repair_encoder_open. */
ta_status ta_repair_decoder_open(ta_repair_decoder **out, size_t max_sources, size_t max_source);
/* Forgets everything and starts a block of `sources`. TA_EINVAL: 0, or more than opened for. */
ta_status ta_repair_decoder_begin(ta_repair_decoder *d, size_t sources);
/* Take a received source or repair symbol, in any order; copied. TA_AGAIN: not needed, since it or enough others are
 * there. TA_EINVAL: no such index. TA_ETOOBIG: longer than opened for. TA_EBITSTREAM: its size contradicts the others'.
 * A refused one changes nothing. */
ta_status ta_repair_decoder_source(ta_repair_decoder *d, size_t index, const uint8_t *data, size_t size);
ta_status ta_repair_decoder_symbol(ta_repair_decoder *d, size_t index, const uint8_t *data, size_t size);
/* Returns how many more are needed; 0: every missing source can be restored. */
size_t ta_repair_decoder_wanted(const ta_repair_decoder *d);
/* Writes a missing source. TA_AGAIN: too few symbols. TA_EINVAL: no such source, or not missing. TA_ETOOBIG: `capacity`
 * is too small. TA_EBITSTREAM: the symbols are not of one block; nothing is written. */
ta_status ta_repair_decoder_restore(ta_repair_decoder *d, size_t index, uint8_t *out, size_t capacity, size_t *size);
void ta_repair_decoder_close(ta_repair_decoder **d);

#endif
