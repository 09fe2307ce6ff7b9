/* The outbox's insides, shared by outbox.c (frames out) and outbox_control.c (what the receiver says). */
#ifndef THINAIR_CORE_OUTBOX_H
#define THINAIR_CORE_OUTBOX_H

#include "aligned_lines.h"
#include "thinair/send_queue.h"

enum {
    TA_OUTBOX_BATCH = 64,      /* datagrams of one due() */
    TA_OUTBOX_TOLD = 8,        /* frames whose send stamps wait for a unit to be told in, or for that unit's fate */
    TA_OUTBOX_BLOCKS = TA_MAX_FRAME_PACKETS / TA_BLOCK_SOURCES,
    TA_OUTBOX_LINE = TA_LINE_SIZE(TA_MAX_PACKET),
};

typedef struct ta_out_packet {
    uint16_t size, seq;
    _Alignas(8) uint8_t line[TA_OUTBOX_LINE];
} ta_out_packet;

typedef struct ta_out_frame {
    uint32_t frame_id, rtp_time;
    uint64_t capture_us, pushed_us, first_send_us, last_send_us; /* last 0: not all of its media has left */
    uint64_t first;            /* number of its first packet, counted from the start */
    uint16_t count, first_seq, blocks;
    uint32_t bytes;
    uint16_t out;              /* positions that have left: media packets, then unasked symbols */
    uint16_t longest;          /* of its packets, bytes */
    uint8_t unasked;           /* symbols of each block */
    bool key, dropped;
    uint8_t fresh[TA_OUTBOX_BLOCKS], round[TA_OUTBOX_BLOCKS]; /* next symbol index; last request answered */
} ta_out_frame;

typedef struct ta_out_request { /* symbols of a block, or one packet again */
    uint64_t frame;            /* number, counted from the start */
    uint64_t packet;           /* resend: its number */
    uint16_t left;
    uint8_t block;
    bool resend;
} ta_out_request;

typedef enum ta_out_kind { TA_OUT_MEDIA, TA_OUT_SYMBOL, TA_OUT_ANSWER, TA_OUT_RESEND } ta_out_kind;

typedef struct ta_out_told { /* the send stamps of a frame */
    ta_sent sent;
    bool told;
    uint32_t carrier;          /* told: by this frame */
} ta_out_told;

struct ta_outbox {
    ta_outbox_config config;
    ta_packetizer *packetizer;
    uint64_t cookie;
    ta_out_packet *packets;
    uint64_t packet_tail;      /* packets ever queued */
    ta_out_frame frames[TA_OUTBOX_FRAMES];
    uint64_t frame_tail, frame_at; /* frames ever queued; the one that is leaving */
    size_t waiting;            /* media bytes that have not left */
    uint64_t next_group_us;

    ta_out_request requests[TA_OUTBOX_REQUESTS];
    size_t request_count;
    uint32_t tokens;           /* symbols and packets that may still be answered */
    struct { ta_out_kind kind; size_t request; } due[TA_OUTBOX_BATCH];
    size_t due_count;
    uint8_t *symbols;          /* TA_OUTBOX_BATCH lines */
    uint16_t repair_seq;
    ta_gf256 field;
    ta_gf256_sum sum;

    uint8_t share;             /* of TARGET */
    uint32_t pace_us;
    bool target_pace;          /* pace_us is TARGET's: bounded */
    bool targeted;
    uint32_t target_number, reported_id, target_bps;
    bool congested, reported_whole; /* as the newest TARGET says; whether its newest frame was complete */
    double interval_us, report_delay_us, frame_bytes; /* smoothed; 0: unknown */
    uint64_t capture_us, passed_us; /* of the picture before; when one was last let through */
    unsigned blind;            /* pictures let through since the last report that mentioned what had left */
    bool key_wanted;
    uint64_t key_end;          /* number after the newest key frame's; 0: none, or it is known to be lost */
    ta_out_told sent[TA_OUTBOX_TOLD];
    uint64_t sent_tail, telling; /* counted from the first frame; the one that the unit pushed last tells */
    ta_outbox_stats stats;
};

static inline ta_out_packet *ta_out_packet_at(const ta_outbox *o, uint64_t number) {
    return &o->packets[number % TA_OUTBOX_PACKETS];
}
static inline ta_out_frame *ta_out_frame_at(ta_outbox *o, uint64_t number) { return &o->frames[number % TA_OUTBOX_FRAMES]; }
/* Whether all of its packets are still kept. */
static inline bool ta_out_kept(const ta_outbox *o, const ta_out_frame *f) {
    return f->count && f->first + TA_OUTBOX_PACKETS >= o->packet_tail;
}
/* A frame that never came: what it told is told again, and its own stamps are of no use. */
void ta_outbox_lost(ta_outbox *o, uint32_t frame_id);
uint64_t ta_outbox_find(ta_outbox *o, uint32_t frame_id); /* its number; UINT64_MAX: not kept */

#endif
