/* RTP packets in, access units out. A frame is complete by count (elements), or by marker and sequence (plain RTP);
 * never by the arrival of the next frame. */
#ifndef THINAIR_REASSEMBLER_H
#define THINAIR_REASSEMBLER_H

#include "thinair/access_unit.h"

typedef struct ta_reassembler_config {
    uint8_t payload_type;   /* 0: any dynamic one (96..127) */
    bool elements;          /* frames by frame element; else by marker and sequence number */
    uint32_t window_frames; /* frames in progress at once, 2..32 */
    uint32_t reorder_us;    /* how long a complete frame waits for an incomplete earlier one; unused with repair */
    size_t max_au;          /* bytes of an access unit */
    /* With elements: how long after a frame's first packet lost packets are requested and repaired, then the frame is
     * abandoned; at least 1.5 frame intervals. 0: no repair (thinair/recovery.h). */
    uint32_t repair_timeout_us;
} ta_reassembler_config;

typedef struct ta_reassembler ta_reassembler;

/* TA_EINVAL: a limit out of range. TA_ENOMEM. */
ta_status ta_reassembler_open(ta_reassembler **out, const ta_reassembler_config *config);
/* Takes one datagram. Never fails: refused packets are counted by reason. */
void ta_reassembler_push(ta_reassembler *r, const uint8_t *data, size_t size, uint64_t arrival_us);
/* Writes the next access unit, in decoding order, as Annex B to `out` of max_au bytes.
 * TA_AGAIN: none; ta_reassembler_deadline says when to call again without a push. */
ta_status ta_reassembler_next(ta_reassembler *r, uint64_t now_us, uint8_t *out, size_t capacity, ta_au_info *info);
/* Returns when ta_reassembler_next or ta_reassembler_request may yield without a push; UINT64_MAX: never. */
uint64_t ta_reassembler_deadline(const ta_reassembler *r);
/* Forgets all frames, for a new peer. Counters stay. */
void ta_reassembler_reset(ta_reassembler *r);
/* Returns TA_DROP_COUNT counters, valid until close. */
const uint64_t *ta_reassembler_drops(const ta_reassembler *r);
void ta_reassembler_close(ta_reassembler **r);

#endif
