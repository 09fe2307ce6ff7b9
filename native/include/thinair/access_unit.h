/* What is known of a received access unit: from the reassembler or from an Annex B stream. */
#ifndef THINAIR_ACCESS_UNIT_H
#define THINAIR_ACCESS_UNIT_H

#include "thinair/rtp.h"

enum {
    TA_AU_KEY = 1,
    TA_AU_GAP = 2, /* a frame before this one was lost */
    TA_AU_SPS = 4, /* contains an SPS */
};

typedef struct ta_au_info {
    uint64_t frame_id;    /* extended to 64 bits; without elements counted from 0 */
    uint64_t rtp_time;    /* 90 kHz, extended to 64 bits */
    uint32_t size;        /* bytes of Annex B */
    uint32_t flags;       /* TA_AU_* */
    uint32_t lost_before; /* frames lost since the previous access unit */
    uint16_t first_seq;
    uint16_t packets;
    uint64_t first_us, last_us; /* arrival of the first and of the completing packet */
    uint64_t unrepaired_us;     /* arrival of the last packet sent without a request; last_us if none was requested */
    bool repaired;              /* packets were restored from repair symbols */
    ta_stamps stamps;           /* sender's clock, 0: unknown */
    uint64_t capture_ntp;       /* UQ32.32, 0: unknown */
    bool has_sent;              /* the send times of an earlier frame follow, as in ta_rtp */
    uint16_t sent_frame_id;
    uint32_t sent_first_delta, sent_last_delta;
} ta_au_info;

#endif
