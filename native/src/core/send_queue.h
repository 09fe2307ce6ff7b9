/* The outbox's insides, shared by outbox.c (frames out) and outbox_control.c (what the receiver says). */
#ifndef THINAIR_CORE_OUTBOX_H
#define THINAIR_CORE_OUTBOX_H

#include "aligned_lines.h"
#include "thinair/send_queue.h"

enum {
    TA_SEND_QUEUE_BATCH = 64,  /* datagrams of one due() */
    TA_SEND_QUEUE_REPORTS = 8, /* frames whose send stamps wait for a unit to be told in, or for that unit's fate */
    TA_SEND_QUEUE_BLOCKS = TA_MAX_FRAME_PACKETS / TA_BLOCK_SOURCES,
    TA_SEND_QUEUE_LINE = TA_LINE_SIZE(TA_MAX_PACKET),
};

typedef struct ta_out_packet {
    uint16_t size, seq;
    _Alignas(8) uint8_t line[TA_SEND_QUEUE_LINE];
} ta_out_packet;

typedef struct ta_out_frame {
    uint32_t frame_id, rtp_time;
    uint64_t capture_us, pushed_us, first_send_us, last_send_us; /* last 0: not all of its media has left */
    uint64_t first; /* number of its first packet, counted from the start */
    uint16_t count, first_seq, blocks;
    uint32_t bytes;
    uint16_t out;      /* positions that have left: media packets, then unasked symbols */
    uint16_t longest;  /* of its packets, bytes */
    uint8_t proactive; /* symbols of each block */
    bool key, dropped;
    uint8_t fresh[TA_SEND_QUEUE_BLOCKS], round[TA_SEND_QUEUE_BLOCKS]; /* next symbol index; last request answered */
} ta_out_frame;

typedef struct ta_out_request { /* symbols of a block, or one packet again */
    uint64_t frame;             /* number, counted from the start */
    uint64_t packet;            /* resend: its number */
    uint16_t left;
    uint8_t block;
    bool retransmit;
} ta_out_request;

typedef enum ta_out_kind { TA_OUT_MEDIA, TA_OUT_SYMBOL, TA_OUT_ON_DEMAND, TA_OUT_RETRANSMISSION } ta_out_kind;

typedef struct ta_out_report { /* the send stamps of a frame */
    ta_sent sent;
    bool reported;
    uint32_t carrier; /* told: by this frame */
} ta_out_report;

struct ta_send_queue {
    ta_send_queue_config config;
    ta_packetizer *packetizer;
    uint64_t cookie;
    ta_out_packet *packets;
    uint64_t packet_tail; /* packets ever queued */
    ta_out_frame frames[TA_SEND_QUEUE_FRAMES];
    uint64_t frame_tail, frame_at; /* frames ever queued; the one that is leaving */
    size_t waiting;                /* media bytes that have not left */
    uint64_t next_group_us;

    ta_out_request requests[TA_SEND_QUEUE_REQUESTS];
    size_t request_count;
    uint32_t tokens; /* symbols and packets that may still be answered */
    struct {
        ta_out_kind kind;
        size_t request;
    } due[TA_SEND_QUEUE_BATCH];
    size_t due_count;
    uint8_t *symbols; /* TA_SEND_QUEUE_BATCH lines */
    uint16_t repair_seq;
    ta_gf256 field;
    ta_gf256_sum sum;

    uint8_t repair_ratio; /* of TARGET */
    uint32_t pace_us;
    bool target_pace; /* pace_us is TARGET's: bounded */
    bool targeted;
    uint32_t target_number, reported_id, target_bps;
    bool congested, reported_whole; /* as the newest TARGET says; whether its newest frame was complete */
    double interval_us, report_delay_us, frame_bytes; /* smoothed; 0: unknown */
    uint64_t capture_us, passed_us;                   /* of the picture before; when one was last let through */
    unsigned blind; /* pictures let through since the last report that mentioned what had left */
    bool key_wanted;
    uint64_t key_end; /* number after the newest key frame's; 0: none, or it is known to be lost */
    ta_out_report sent[TA_SEND_QUEUE_REPORTS];
    uint64_t sent_tail, reporting; /* counted from the first frame; the one that the unit pushed last tells */
    ta_send_queue_stats stats;
};

static inline ta_out_packet *ta_out_packet_at(const ta_send_queue *o, uint64_t number) {
    return &o->packets[number % TA_SEND_QUEUE_PACKETS];
}
static inline ta_out_frame *ta_out_frame_at(ta_send_queue *o, uint64_t number) {
    return &o->frames[number % TA_SEND_QUEUE_FRAMES];
}
/* Whether all of its packets are still kept. */
static inline bool ta_out_kept(const ta_send_queue *o, const ta_out_frame *f) {
    return f->count && f->first + TA_SEND_QUEUE_PACKETS >= o->packet_tail;
}
/* A frame that never came: what it told is told again, and its own stamps are of no use. */
void ta_send_queue_lost(ta_send_queue *o, uint32_t frame_id);
uint64_t ta_send_queue_find(ta_send_queue *o, uint32_t frame_id); /* its number; UINT64_MAX: not kept */

#endif
