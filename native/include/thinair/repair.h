/* Repair symbols: systematic Cauchy Reed-Solomon over GF(256), sans-IO. One block is k sources of any sizes; repair symbol i
 * (0 .. 254 - k) is as long as the longest source and two bytes more. Any k of all of them restore the sources, sizes too.
 *
 * Field: polynomial 0x11d, so that 2 generates it. A symbol is the source's size (16 bits, big-endian), its bytes, then zeros.
 * Repair i = sum over sources j of (255 ^ j) / (255 ^ i ^ j) times symbol j: a Cauchy matrix over the points 255 - i and j with
 * columns scaled so that repair 0 is plain XOR. It does not depend on k. docs/adr/0005-repair-code.md has the reasons. */
#ifndef THINAIR_REPAIR_H
#define THINAIR_REPAIR_H

#include "thinair/core.h"

enum {
    TA_REPAIR_MAX_SYMBOLS = 255, /* sources and repair symbols of a block together */
    TA_REPAIR_MAX_SOURCES = 254,
    TA_REPAIR_SIZE = 2,          /* bytes of a repair symbol that protect the sources' sizes */
    TA_REPAIR_MAX_SOURCE = 65535,
};

typedef struct ta_repair_encoder ta_repair_encoder;

/* 1..TA_REPAIR_MAX_SOURCES sources of up to max_source bytes. Takes about max_sources * (max_source + 128) bytes. */
ta_status ta_repair_encoder_open(ta_repair_encoder **out, size_t max_sources, size_t max_source);
void ta_repair_encoder_reset(ta_repair_encoder *e); /* begins the next block */
/* Where the next source's bytes may be put, so that add() copies nothing: max_source bytes, aligned to words. NULL: full. */
uint8_t *ta_repair_encoder_place(ta_repair_encoder *e);
/* The next source: copied, or already in its place. TA_ETOOBIG: the block is full, or the source too long. */
ta_status ta_repair_encoder_add(ta_repair_encoder *e, const uint8_t *data, size_t size);
/* Adds all or none. */
ta_status ta_repair_encoder_add_all(ta_repair_encoder *e, const uint8_t *const *data, const size_t *sizes, size_t count);
/* Repair symbol `index` of the sources added so far, as often and in any order as asked. TA_EINVAL: no sources, or an index
 * above 254 - k. */
ta_status ta_repair_encoder_symbol(ta_repair_encoder *e, size_t index, uint8_t *out, size_t capacity, size_t *size);
void ta_repair_encoder_close(ta_repair_encoder **e);

typedef struct ta_repair_decoder ta_repair_decoder;

ta_status ta_repair_decoder_open(ta_repair_decoder **out, size_t max_sources, size_t max_source);
/* Forgets what it holds and begins a block of `sources`. TA_EINVAL: none, or more than opened for. */
ta_status ta_repair_decoder_begin(ta_repair_decoder *d, size_t sources);
/* What came of the block, in any order; copied. TA_AGAIN: held already, or enough is held: not needed. TA_EINVAL: no such index.
 * TA_ETOOBIG: longer than opened for. TA_EBITSTREAM: its size contradicts what is held. Refused symbols change nothing. */
ta_status ta_repair_decoder_source(ta_repair_decoder *d, size_t index, const uint8_t *data, size_t size);
ta_status ta_repair_decoder_symbol(ta_repair_decoder *d, size_t index, const uint8_t *data, size_t size);
size_t ta_repair_decoder_wanted(const ta_repair_decoder *d); /* symbols still wanted; 0: every missing source can be restored */
/* Writes a missing source. TA_AGAIN: too few symbols. TA_EINVAL: no such source, or it is held. TA_ETOOBIG: capacity.
 * TA_EBITSTREAM: the symbols are not of one block; nothing is written. */
ta_status ta_repair_decoder_restore(ta_repair_decoder *d, size_t index, uint8_t *out, size_t capacity, size_t *size);
void ta_repair_decoder_close(ta_repair_decoder **d);

#endif
