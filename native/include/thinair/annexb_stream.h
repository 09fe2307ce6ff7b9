/* A raw Annex B byte stream, cut into datagrams anywhere, into access units. */
#ifndef THINAIR_ANNEXB_STREAM_H
#define THINAIR_ANNEXB_STREAM_H

#include "thinair/access_unit.h"

typedef struct ta_annexb_stream_config {
    size_t max_au;     /* bytes of an access unit */
    uint32_t quiet_us; /* a datagram shorter than the longest one, then silence of this length, ends a unit; 0: off */
} ta_annexb_stream_config;

typedef struct ta_annexb_stream ta_annexb_stream;

/* TA_EINVAL: max_au is 0. TA_ENOMEM. */
ta_status ta_annexb_stream_open(ta_annexb_stream **out, const ta_annexb_stream_config *config);
/* Takes the next datagram. A unit ends where an AUD, SPS, PPS or SEI follows a slice, where a slice with first_mb 0
 * follows a slice (H.264 7.4.1.2.3), or after quiet_us. Never fails: what is discarded is counted. */
void ta_annexb_stream_push(ta_annexb_stream *s, const uint8_t *data, size_t size, uint64_t arrival_us);
/* Writes the next access unit to `out` of max_au bytes. TA_AGAIN: none. */
ta_status ta_annexb_stream_next(ta_annexb_stream *s, uint64_t now_us, uint8_t *out, size_t capacity, ta_au_info *info);
/* Returns when ta_annexb_stream_next may yield without a push; UINT64_MAX: never. */
uint64_t ta_annexb_stream_deadline(const ta_annexb_stream *s);
/* Forgets all bytes, for a new peer. Counters stay. */
void ta_annexb_stream_reset(ta_annexb_stream *s);
/* Returns TA_DROP_COUNT counters, valid until close. */
const uint64_t *ta_annexb_stream_drops(const ta_annexb_stream *s);
void ta_annexb_stream_close(ta_annexb_stream **s);

#endif
