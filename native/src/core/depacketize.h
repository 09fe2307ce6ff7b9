/* RTP payloads → Annex B (RFC 6184 5.6, 5.7.1, 5.8). */
#ifndef THINAIR_CORE_DEPACKETIZE_H
#define THINAIR_CORE_DEPACKETIZE_H

#include "thinair/access_unit.h"

typedef struct ta_depacketizer {
    uint8_t *out;
    size_t capacity, size;
    bool in_fragments;
    uint8_t fragment_type;
    uint32_t flags; /* TA_AU_KEY, TA_AU_SPS */
} ta_depacketizer;

/* Adds the next payload. Returns false if the unit is damaged, *why says the reason. */
bool ta_depacketizer_add(ta_depacketizer *d, const uint8_t *payload, size_t size, ta_drop *why);
/* Ends the unit. Returns false if it is incomplete. */
bool ta_depacketizer_end(const ta_depacketizer *d, ta_drop *why);

/* Whether a payload begins an access unit. */
typedef enum ta_begin {
    TA_BEGIN_NO = 0,
    TA_BEGIN_LIKELY, /* SEI, PPS or first_mb 0: other NAL units may precede it */
    TA_BEGIN_SURE,   /* AUD or SPS: nothing that a decoder needs precedes it */
} ta_begin;
ta_begin ta_payload_begins(const uint8_t *payload, size_t size);

/* Whether the first slice in a payload, whole or in part, is the picture's first (first_mb_in_slice 0). */
typedef enum ta_slice { TA_SLICE_NONE = 0, TA_SLICE_FIRST, TA_SLICE_LATER } ta_slice;
ta_slice ta_payload_slice(const uint8_t *payload, size_t size);

#endif
