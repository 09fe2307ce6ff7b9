/* Internals of the reassembler, shared by reassembler.c (frames) and recovery.c (repair). */
#ifndef THINAIR_CORE_REASSEMBLER_H
#define THINAIR_CORE_REASSEMBLER_H

#include "thinair/recovery.h"
#include "thinair/send_queue.h"

enum {
    TA_MAX_WINDOW = 33, /* window_frames and one spare, so that a full window still accepts a packet */
    TA_MAX_BLOCKS = TA_MAX_FRAME_PACKETS / TA_BLOCK_SOURCES,
    TA_SYMBOL_POOL = 512,
    TA_OUTCOMES = 16, /* a power of two */
};

typedef struct ta_symbol { /* a repair symbol stored until its block has enough */
    struct ta_symbol *next;
    uint8_t block, index;
    uint16_t size;
    uint8_t data[TA_MAX_PACKET];
} ta_symbol;

typedef struct ta_block {
    uint16_t have, symbols;  /* sources and repair symbols received */
    uint16_t coming;         /* requested and not yet overdue */
    uint8_t round, expected; /* expected: index of the next answer */
    bool timed;              /* the first answer has been used to measure the round trip */
    uint64_t requested_us, due_us;
} ta_block;

typedef struct ta_frame {
    uint64_t begin, end; /* position on the axis, end exclusive */
    uint64_t rtp_time, first_us, last_us;
    uint16_t base;                   /* sequence number stored at index 0 of the arena */
    uint16_t first_seq, have, count; /* count: elements only; 0: nothing of the frame received yet */
    bool key, complete, has_marker;
    uint64_t marker; /* plain: position of the newest marker */
    size_t bytes;
    ta_rtp head;                            /* elements: of packet 0 */
    uint16_t sizes[TA_MAX_FRAME_PACKETS];   /* of payloads; 0: not received */
    uint16_t offsets[TA_MAX_FRAME_PACKETS]; /* of payloads in their packets */
    uint8_t *arena;                         /* whole packets */

    /* Recovery. Positions count what is sent without request: media packets, then proactive symbols, symbol 0 of each
     * block first. */
    uint8_t proactive;          /* symbols of each block */
    uint16_t blocks, reached;   /* reached: positions up to the last one received */
    bool lost, too_late;        /* too_late: answers in flight may still help, further requests cannot */
    bool unseen;                /* requested before anything was received */
    uint64_t hole_us;           /* newest arrival that skipped a position; 0: none */
    uint64_t jump_us;           /* the first such arrival */
    uint64_t newest_us, gap_us; /* arrival of the newest position; longest pause between neighbours */
    double step_us;             /* pauses between neighbours, smoothed over the last few */
    uint32_t wire_bytes;
    uint16_t received, restored, proactive_received, on_demand, on_demand_received;
    ta_block block[TA_MAX_BLOCKS];
    ta_symbol *symbols;
    uint8_t by_symbols[TA_MAX_FRAME_PACKETS / 8]; /* bit: restored */
} ta_frame;

typedef struct ta_recovery {
    uint32_t own_ssrc;
    uint64_t cookie;
    uint32_t interval_us;
    double srtt_us, rttvar_us, min_rtt_us; /* 0: unknown */
    double reorder_window_us, spacing_us;
    uint64_t older_us;         /* arrival of the newest symbol of a frame older than the newest */
    double gap_us, gap_var_us; /* longest pause within a frame: mean, mean deviation */
    double queue_us, tokens;
    double run;  /* longest run of losses, averaged over frames with losses */
    double loss; /* fraction of media packets lost */
    ta_symbol *spare;
    ta_symbol *pool;
    ta_repair_decoder *decoder;
    uint8_t request[TA_MAX_REQUEST]; /* the newest one, for its copies */
    size_t request_size, copies;
    ta_frame_report reports[TA_REPORTS];
    uint64_t report_count, report_taken;
    struct {
        uint64_t frame_id;
        uint8_t outcome;
    } outcomes[TA_OUTCOMES];
    ta_recovery_stats stats;
} ta_recovery;

struct ta_reassembler {
    ta_reassembler_config config;
    uint64_t drops[TA_DROP_COUNT];
    ta_frame frames[TA_MAX_WINDOW];
    ta_frame *held[TA_MAX_WINDOW],
        *spare[TA_MAX_WINDOW]; /* spare is a stack: the arena used last is still in the cache */
    size_t frame_count, held_count, spare_count;

    bool known; /* ssrc, payload_type, newest and rtp_time are set */
    uint32_t ssrc;
    uint8_t payload_type;
    uint64_t heard_us, newest, rtp_time, floor;
    uint64_t bottom;         /* positions below belong to the previous numbering */
    bool started;            /* floor must not go down any more */
    bool has_abandoned_time; /* plain: the frame that ended at floor was abandoned without its end known */
    uint32_t abandoned_time;

    uint64_t frame_id; /* plain: id of the next unit */
    uint32_t lost;     /* since the last delivered unit */
    bool gap;
    size_t probation_size; /* first packet of a possible new numbering */
    uint8_t probation[TA_MAX_PACKET];
    uint8_t *arenas;
    uint64_t now_us; /* the newest time passed in */
    ta_recovery recovery;
};

/* ---- reassembler.c, for recovery.c ---- */

uint64_t ta_extend(uint64_t near, uint32_t value,
                   unsigned bits); /* Returns the value extended to the one closest to `near`. */
/* Returns a packet's frame (elements), created if it is new; NULL: refused and counted. */
ta_frame *ta_reassembler_frame(ta_reassembler *r, const ta_rtp *p, uint64_t place, uint64_t arrival_us);
/* Stores a restored packet of a frame in progress. Returns false if it is refused; it is then counted. */
bool ta_reassembler_store(ta_reassembler *r, ta_frame *f, const ta_rtp *p, const uint8_t *data, size_t size,
                          uint64_t arrival_us);

/* ---- recovery.c, for reassembler.c ---- */

static inline bool ta_recovers(const ta_reassembler *r) {
    return r->config.elements && r->config.repair_timeout_us > 0;
}
ta_status ta_recovery_open(ta_reassembler *r);
void ta_recovery_close(ta_reassembler *r);
void ta_recovery_reset(ta_reassembler *r);
void ta_recovery_begin(ta_frame *f, const ta_rtp *p); /* number of packets and symbols is known */
/* A media packet was received. It may make other packets restorable. */
void ta_recovery_received(ta_reassembler *r, ta_frame *f, const ta_rtp *p, size_t size, uint64_t arrival_us);
void ta_recovery_push(ta_reassembler *r, const ta_rtp *p, uint64_t arrival_us); /* a repair packet */
void ta_recovery_completed(ta_reassembler *r, ta_frame *f);                     /* releases its symbols */
/* Where a packet is stored in the frame's arena, and whether it is there. */
static inline size_t ta_frame_place(const ta_frame *f, size_t index) {
    return ((uint16_t)(f->first_seq - f->base) + index) % TA_MAX_FRAME_PACKETS;
}
static inline bool ta_frame_here(const ta_frame *f, size_t index) { return f->sizes[ta_frame_place(f, index)] != 0; }
ta_frame_report ta_recovery_report(const ta_frame *f, uint64_t done_us);
/* Delivered or abandoned; before its release. */
void ta_recovery_decided(ta_reassembler *r, ta_frame *f, uint64_t now_us);
bool ta_recovery_abandons(const ta_reassembler *r, const ta_frame *f, uint64_t now_us);
/* First: it is decided next. */
uint64_t ta_recovery_deadline(const ta_reassembler *r, const ta_frame *f, bool first);

#endif
