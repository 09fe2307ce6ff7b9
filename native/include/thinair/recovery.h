/* What a receiver knows of frames beyond their bytes: what came, what was lost and repaired. Part of ta_reassembler in the
 * link's own mode with repair_timeout_us above 0. */
#ifndef THINAIR_RECOVERY_H
#define THINAIR_RECOVERY_H

#include "thinair/core.h"

enum { TA_REPORTS = 64, TA_MAX_REQUEST = 12 + 8 + 16 * 8 };

enum {
    TA_REPORT_KEY = 1,
    TA_REPORT_COMPLETE = 2, /* else given up */
    TA_REPORT_REPAIRED = 4, /* by symbols */
    TA_REPORT_UNSEEN = 8,   /* nothing came before it was asked for */
};

typedef struct ta_frame_report { /* one decided frame, or the newest one as it stands */
    uint64_t frame_id;
    uint32_t flags;
    uint16_t packets;        /* media packets of the frame; 0: not known */
    uint16_t received;           /* of them, by themselves */
    uint16_t longest_run;    /* of media packets that did not */
    uint16_t proactive;        /* symbols sent without a request */
    uint16_t proactive_received;
    uint16_t on_demand, on_demand_received, rounds;
    uint16_t reached;        /* packets and unasked symbols up to the last one that came, in the order sent */
    uint32_t bytes;          /* of media and unasked symbols that came, RTP headers included */
    uint32_t gap_us;         /* longest pause between two that came, in the order sent */
    uint64_t first_us, newest_us, done_us; /* arrivals: first, last unasked so far; when decided (0: not yet) */
    uint64_t peer_us;        /* sender's clock: encoder out, else capture; 0 unknown */
} ta_frame_report;

/* Whom requests are written for; cookie 0: nobody is asked. */
void ta_reassembler_peer(ta_reassembler *r, uint32_t own_ssrc, uint64_t cookie);
/* The sender's frame interval (0: as before), a round trip to begin with (0: keep the one measured), and what waits in the
 * path's queues now: answers wait there too. */
void ta_reassembler_timing(ta_reassembler *r, uint32_t interval_us, uint32_t rtt_us, uint32_t queue_us);
/* Writes a REPAIR datagram (docs/wire-protocol.md) of TA_MAX_REQUEST bytes at most. TA_AGAIN: nothing to ask for now. */
ta_status ta_reassembler_request(ta_reassembler *r, uint64_t now_us, uint8_t *out, size_t *size);
/* Decided frames since the last call, oldest first; the oldest are overwritten where nobody asks. */
size_t ta_reassembler_reports(ta_reassembler *r, ta_frame_report *out, size_t limit);
/* The newest frame as it stands. False: none. */
bool ta_reassembler_newest(const ta_reassembler *r, ta_frame_report *out);
/* How long an answer to a request takes at most, as a rule; 0: unknown. */
uint32_t ta_reassembler_answer_us(const ta_reassembler *r);
/* TARGET's newest frame id and outcomes. */
uint16_t ta_reassembler_outcomes(const ta_reassembler *r, uint32_t *newest);

typedef struct ta_recovery_stats {
    uint64_t symbols, surplus;        /* repair symbols that came; those of frames that were whole or decided */
    uint64_t restored;                /* packets */
    uint64_t frames_repaired, requests, on_demand, on_demand_received;
    uint32_t rtt_us, reorder_window_us, spacing_us; /* estimates now */
} ta_recovery_stats;
void ta_reassembler_recovery(const ta_reassembler *r, ta_recovery_stats *out);

#endif
