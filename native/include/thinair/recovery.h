/* The reassembler's repair: what was received, lost and repaired of each frame, and what to request. Part of
 * ta_reassembler; active with elements and repair_timeout_us above 0. */
#ifndef THINAIR_RECOVERY_H
#define THINAIR_RECOVERY_H

#include "thinair/reassembler.h"

enum {
    TA_REPORTS = 64,                  /* frame reports kept until they are taken */
    TA_MAX_REQUEST = 12 + 8 + 16 * 8, /* bytes of a REPAIR datagram */
};

enum {
    TA_REPORT_KEY = 1,
    TA_REPORT_COMPLETE = 2, /* else abandoned, or not decided yet */
    TA_REPORT_REPAIRED = 4, /* by repair symbols */
    TA_REPORT_UNSEEN = 8,   /* nothing was received before it was requested */
};

/* One decided frame, or the newest one in its present state. "Without request" counts media packets and proactive
 * symbols, in the order sent. */
typedef struct ta_frame_report {
    uint64_t frame_id;
    uint32_t flags;
    uint16_t packets;     /* media packets of the frame; 0: unknown */
    uint16_t received;    /* of them, not restored */
    uint16_t longest_run; /* of media packets not received */
    uint16_t proactive;   /* symbols sent without request */
    uint16_t proactive_received;
    uint16_t on_demand; /* symbols requested */
    uint16_t on_demand_received;
    uint16_t rounds;              /* of requests */
    uint16_t reached;             /* packets sent without request, up to the last one received */
    uint32_t bytes;               /* received without request, RTP headers included */
    uint32_t gap_us;              /* longest pause between two consecutive ones */
    uint64_t first_us, newest_us; /* arrival of the first and of the newest one without request */
    uint64_t done_us;             /* when the frame was decided; 0: not yet */
    uint64_t peer_us;             /* sender's clock: encoder out, else capture; 0: unknown */
} ta_frame_report;

/* Sets sender SSRC and cookie of repair requests. Cookie 0: none are made. */
void ta_reassembler_peer(ta_reassembler *r, uint32_t own_ssrc, uint64_t cookie);
/* Sets the sender's frame interval (0: unchanged), an initial round trip (0: keep the measured one), and the present
 * queueing delay of the path, which answers wait for too. */
void ta_reassembler_timing(ta_reassembler *r, uint32_t interval_us, uint32_t rtt_us, uint32_t queue_us);
/* Writes a REPAIR datagram (docs/wire-protocol.md) of TA_MAX_REQUEST bytes at most. TA_AGAIN: nothing to request now.
 * Call after each push and at each deadline, until TA_AGAIN. */
ta_status ta_reassembler_request(ta_reassembler *r, uint64_t now_us, uint8_t *out, size_t *size);
/* Writes the frames decided since the last call, oldest first; returns how many. At most TA_REPORTS are kept. */
size_t ta_reassembler_reports(ta_reassembler *r, ta_frame_report *out, size_t limit);
/* Writes the newest frame in its present state. Returns false if there is none. */
bool ta_reassembler_newest(const ta_reassembler *r, ta_frame_report *out);
/* Returns how long an answer to a request usually takes at most; 0: unknown. */
uint32_t ta_reassembler_answer_us(const ta_reassembler *r);
/* Returns the outcomes of the last eight frames and the newest frame's id, as TARGET carries them. */
uint16_t ta_reassembler_outcomes(const ta_reassembler *r, uint32_t *newest);

typedef struct ta_recovery_stats {
    uint64_t symbols;  /* repair symbols received */
    uint64_t surplus;  /* of them, those of complete or decided frames */
    uint64_t restored; /* packets restored from symbols */
    uint64_t frames_repaired;
    uint64_t requests;                      /* datagrams */
    uint64_t on_demand, on_demand_received; /* symbols requested, and received */
    uint32_t rtt_us;                        /* round trip of a request; these three are present estimates */
    uint32_t reorder_window_us;             /* how long a missing packet counts as reordered, not as lost */
    uint32_t spacing_us;                    /* between packets of a frame */
} ta_recovery_stats;
void ta_reassembler_recovery(const ta_reassembler *r, ta_recovery_stats *out);

#endif
