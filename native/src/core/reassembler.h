/* The reassembler's insides, shared by reassembler.c (frames) and recovery.c (repair). */
#ifndef THINAIR_CORE_REASSEMBLER_H
#define THINAIR_CORE_REASSEMBLER_H

#include "thinair/recovery.h"
#include "thinair/send_queue.h"

enum {
    TA_MAX_WINDOW = 33, /* window_frames and one more, so that a full window still takes a packet */
    TA_MAX_BLOCKS = TA_MAX_FRAME_PACKETS / TA_BLOCK_SOURCES,
    TA_SYMBOL_POOL = 512,
    TA_OUTCOMES = 16, /* a power of two */
};

typedef struct ta_symbol { /* a repair symbol that waits for its block to have enough */
    struct ta_symbol *next;
    uint8_t block, index;
    uint16_t size;
    uint8_t data[TA_MAX_PACKET];
} ta_symbol;

typedef struct ta_block {
    uint16_t have, symbols;  /* sources and repair symbols held */
    uint16_t coming;         /* asked for and not yet overdue */
    uint8_t round, expected; /* expected: index of the next answer */
    bool timed;              /* the first answer has told the round trip */
    uint64_t requested_us, due_us;
} ta_block;

typedef struct ta_frame {
    uint64_t begin, end; /* place on the axis, end exclusive */
    uint64_t rtp_time, first_us, last_us;
    uint16_t base;                   /* seq filed at index 0 of the arena */
    uint16_t first_seq, have, count; /* count: elements only; 0: nothing of the frame came yet */
    bool key, complete, has_marker;
    uint64_t marker; /* plain: place of the newest marker */
    size_t bytes;
    ta_rtp head;                            /* elements: of packet 0 */
    uint16_t sizes[TA_MAX_FRAME_PACKETS];   /* of payloads; 0: not here */
    uint16_t offsets[TA_MAX_FRAME_PACKETS]; /* of payloads in their packets */
    uint8_t *arena;                         /* whole packets */

    /* Recovery. Positions count the order sent: media packets, then unasked symbols, symbol 0 of each block first. */
    uint8_t proactive;          /* symbols of each block */
    uint16_t blocks, reached;   /* reached: positions up to the last that came */
    bool lost, too_late;        /* hopeless: what is in flight may do, but no answer to a further request */
    bool unseen;                /* it was asked for before anything came */
    uint64_t hole_us;           /* the last time a position was jumped over; 0: never */
    uint64_t jump_us;           /* the first time one was */
    uint64_t newest_us, gap_us; /* arrival of the position last reached; longest pause between neighbours */
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
    uint64_t older_us;         /* when a symbol of an older frame than the newest came last */
    double gap_us, gap_var_us; /* longest pause within a frame: mean, mean deviation */
    double queue_us, tokens;
    double run;  /* length of the longest run of losses, of frames that had any */
    double loss; /* share of media packets lost */
    ta_symbol *spare;
    ta_symbol *pool;
    ta_repair_decoder *decoder;
    uint8_t request[TA_MAX_REQUEST]; /* the newest one, to be said again */
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
    ta_frame *held[TA_MAX_WINDOW], *spare[TA_MAX_WINDOW]; /* spare is a stack: the arena used last is the warm one */
    size_t frame_count, held_count, spare_count;

    bool known; /* ssrc, payload_type, newest and rtp_time are set */
    uint32_t ssrc;
    uint8_t payload_type;
    uint64_t heard_us, newest, rtp_time, floor;
    uint64_t bottom;         /* below are places of the numbering before */
    bool started;            /* floor may not go down any more */
    bool has_abandoned_time; /* plain: the frame that ended at floor was given up with its tail unknown */
    uint32_t abandoned_time;

    uint64_t frame_id; /* plain: of the next unit */
    uint32_t lost;     /* since the unit delivered last */
    bool gap;
    size_t probation_size; /* a packet of what may be a new numbering */
    uint8_t probation[TA_MAX_PACKET];
    uint8_t *arenas;
    uint64_t now_us; /* the latest time told */
    ta_recovery recovery;
};

/* ---- reassembler.c, for recovery.c ---- */

uint64_t ta_extend(uint64_t near, uint32_t value, unsigned bits); /* the value's place nearest to `near` */
/* The frame of a packet of our link, made where it is new; NULL: refused and counted. */
ta_frame *ta_reassembler_frame(ta_reassembler *r, const ta_rtp *p, uint64_t place, uint64_t arrival_us);
/* Takes a restored packet of a frame held. False: not taken, and counted. */
bool ta_reassembler_store(ta_reassembler *r, ta_frame *f, const ta_rtp *p, const uint8_t *data, size_t size,
                          uint64_t arrival_us);

/* ---- recovery.c, for reassembler.c ---- */

static inline bool ta_recovers(const ta_reassembler *r) {
    return r->config.elements && r->config.repair_timeout_us > 0;
}
ta_status ta_recovery_open(ta_reassembler *r);
void ta_recovery_close(ta_reassembler *r);
void ta_recovery_reset(ta_reassembler *r);
void ta_recovery_begin(ta_frame *f, const ta_rtp *p); /* the frame's shape is known */
/* A media packet has come by itself. It may make other packets restorable. */
void ta_recovery_received(ta_reassembler *r, ta_frame *f, const ta_rtp *p, size_t size, uint64_t arrival_us);
void ta_recovery_push(ta_reassembler *r, const ta_rtp *p, uint64_t arrival_us); /* a repair packet */
void ta_recovery_completed(ta_reassembler *r, ta_frame *f); /* its symbols are not needed any more */
/* Where a packet lies in the frame's arena, and whether it is there. */
static inline size_t ta_frame_place(const ta_frame *f, size_t index) {
    return ((uint16_t)(f->first_seq - f->base) + index) % TA_MAX_FRAME_PACKETS;
}
static inline bool ta_frame_here(const ta_frame *f, size_t index) { return f->sizes[ta_frame_place(f, index)] != 0; }
ta_frame_report ta_recovery_report(const ta_frame *f, uint64_t done_us);
void ta_recovery_decided(ta_reassembler *r, ta_frame *f,
                         uint64_t now_us); /* delivered or given up: before its release */
bool ta_recovery_abandons(const ta_reassembler *r, const ta_frame *f, uint64_t now_us);
uint64_t ta_recovery_deadline(const ta_reassembler *r, const ta_frame *f,
                              bool first); /* first: its verdict is the next */

#endif
