/* Internals of the send queue, shared by send_queue.c (frames out) and send_queue_control.c (control in). */
#ifndef THINAIR_CORE_OUTBOX_H
#define THINAIR_CORE_OUTBOX_H

#include "aligned_lines.h"
#include "thinair/send_queue.h"

enum {
    TA_SEND_QUEUE_BATCH = 64, /* datagrams per ta_send_queue_due */
    /* Frames whose send times wait to be reported, or for the fate of the frame that reports them. */
    TA_SEND_QUEUE_REPORTS = 8,
    TA_SEND_QUEUE_BLOCKS = TA_MAX_FRAME_PACKETS / TA_BLOCK_SOURCES,
    TA_SEND_QUEUE_LINE = TA_LINE_SIZE(TA_MAX_PACKET),
};

typedef struct ta_out_packet {
    uint16_t size, seq;
    _Alignas(8) uint8_t line[TA_SEND_QUEUE_LINE];
} ta_out_packet;

typedef struct ta_out_frame {
    uint32_t frame_id, rtp_time;
    uint64_t capture_us, pushed_us, first_send_us, last_send_us; /* last 0: not all of its media is sent */
    uint64_t first; /* number of its first packet, counted from the start */
    uint16_t count, first_seq, blocks;
    uint32_t bytes;
    uint16_t out;      /* positions sent: media packets, then proactive symbols */
    uint16_t longest;  /* largest packet, bytes */
    uint8_t proactive; /* symbols of each block */
    bool key, dropped;
    uint8_t fresh[TA_SEND_QUEUE_BLOCKS],
        round[TA_SEND_QUEUE_BLOCKS]; /* next symbol index; last request round answered */
} ta_out_frame;

typedef struct ta_out_request { /* symbols of a block, or a retransmission */
    uint64_t frame;             /* number, counted from the start */
    uint64_t packet;            /* retransmit: number of the packet */
    uint16_t left;
    uint8_t block;
    bool retransmit;
} ta_out_request;

typedef enum ta_out_kind { TA_OUT_MEDIA, TA_OUT_SYMBOL, TA_OUT_ON_DEMAND, TA_OUT_RETRANSMISSION } ta_out_kind;

typedef struct ta_out_report { /* send times of a frame */
    ta_sent sent;
    bool reported;
    uint32_t carrier; /* reported: the frame that carries them */
} ta_out_report;

struct ta_send_queue {
    ta_send_queue_config config;
    ta_packetizer *packetizer;
    uint64_t cookie;
    ta_out_packet *packets;
    uint64_t packet_tail; /* packets ever queued */
    ta_out_frame frames[TA_SEND_QUEUE_FRAMES];
    uint64_t frame_tail, frame_at; /* frames ever queued; the one being sent */
    size_t waiting;                /* media bytes not sent yet */
    uint64_t next_group_us;

    ta_out_request requests[TA_SEND_QUEUE_REQUESTS];
    size_t request_count;
    uint32_t tokens; /* budget of symbols and packets for answers */
    struct {
        ta_out_kind kind;
        size_t request;
    } due[TA_SEND_QUEUE_BATCH];
    size_t due_count;
    uint8_t *symbols; /* TA_SEND_QUEUE_BATCH lines */
    uint16_t repair_seq;
    ta_gf256 field;
    ta_gf256_sum sum;

    uint8_t repair_ratio; /* 1/256, from TARGET */
    uint32_t pace_us;
    bool target_pace; /* pace_us is from TARGET: bounded */
    bool targeted;
    uint32_t target_number, reported_id, target_bps;
    bool congested, reported_whole; /* from the newest TARGET; reported_whole: its newest frame was complete */
    double interval_us, report_delay_us, frame_bytes; /* smoothed; 0: unknown */
    uint64_t capture_us, allowed_us;                  /* of the previous picture; when one was last allowed */
    unsigned unconfirmed;                             /* pictures allowed since the last report about what was sent */
    bool key_wanted;
    uint64_t key_end; /* number after the newest key frame; 0: none, or it is known to be lost */
    ta_out_report sent[TA_SEND_QUEUE_REPORTS];
    uint64_t sent_tail, reporting; /* counted from the first frame; the one reported by the unit pushed last */
    ta_send_queue_stats stats;
};

static inline ta_out_packet *ta_out_packet_at(const ta_send_queue *o, uint64_t number) {
    return &o->packets[number % TA_SEND_QUEUE_PACKETS];
}
static inline ta_out_frame *ta_out_frame_at(ta_send_queue *o, uint64_t number) {
    return &o->frames[number % TA_SEND_QUEUE_FRAMES];
}
/* Returns whether all packets of a frame are still kept. */
static inline bool ta_out_kept(const ta_send_queue *o, const ta_out_frame *f) {
    return f->count && f->first + TA_SEND_QUEUE_PACKETS >= o->packet_tail;
}
/* A frame was lost: what it reported is reported again, and its own send times are of no use. */
void ta_send_queue_lost(ta_send_queue *o, uint32_t frame_id);
/* Returns the frame's number; UINT64_MAX: not kept. */
uint64_t ta_send_queue_find(ta_send_queue *o, uint32_t frame_id);

#endif
