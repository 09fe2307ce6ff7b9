/* The sender's packets, sans-IO: access units in, datagrams out. It packetizes, keeps what was sent, adds repair symbols
 * (thinair/repair.h over whole RTP packets), answers requests for more, paces, and says when a picture is not to be encoded.
 * Layouts: docs/wire-protocol.md. */
#ifndef THINAIR_OUTBOX_H
#define THINAIR_OUTBOX_H

#include "thinair/repair.h"
#include "thinair/seal.h"

enum {
    TA_SEND_QUEUE_PACKETS = 2048,  /* kept at once, sent or not; a power of two */
    TA_SEND_QUEUE_FRAMES = 128,    /* a power of two */
    TA_SEND_QUEUE_REQUESTS = 64,   /* waiting for their answer; more are refused and counted */
    TA_BLOCK_SOURCES = 128,    /* a frame of more packets is split into several blocks */
    TA_REPAIR_PAYLOAD_TYPE = 97,
    TA_REPAIR_HEADER = 12,
    TA_REPAIR_OVERHEAD = TA_RTP_HEADER + TA_REPAIR_HEADER + TA_REPAIR_SIZE,
    /* So that a symbol of the largest packet is a packet too, sealed or not. */
    TA_MAX_LINK_PACKET = TA_MAX_PACKET - TA_REPAIR_OVERHEAD - TA_SEAL_TAG,
    TA_MAX_PROACTIVE = 127,      /* repair symbols of a block sent without a request */
    TA_ALL_BLOCKS = 255,            /* in a request: every block; nothing of it has come */
    TA_PACE_AS_CONFIGURED = 65535,       /* in a TARGET: as configured */
};

static inline size_t ta_blocks_of(size_t packets) { return (packets + TA_BLOCK_SOURCES - 1) / TA_BLOCK_SOURCES; }
/* Packet i of a frame is source i / blocks of block i % blocks, so that a burst of losses is spread over them. */
static inline size_t ta_block_sources(size_t packets, size_t blocks, size_t block) {
    return (packets - block + blocks - 1) / blocks;
}

typedef struct ta_send_queue_config {
    ta_packetizer_config packets; /* elements: our own link, with repair; else plain RTP, without */
    bool raw;                     /* Annex B bytes and a delimiter instead of RTP */
    uint32_t pace_group;          /* datagrams that leave together; 0 is 1 */
    uint32_t pace_us;             /* between groups; 0: all at once */
    bool fixed_pace;                /* the user's: a TARGET does not change it */
    uint32_t interval_us;         /* between frames, until they tell */
} ta_send_queue_config;

typedef struct ta_send_queue_stats {
    uint64_t frames, packets, bytes;                 /* media handed out as sent */
    uint64_t repair_proactive, repair_on_demand, repair_bytes; /* symbols sent, and all their bytes */
    uint64_t retransmitted;                                 /* packets sent again for a generic NACK */
    uint64_t requests, requests_repeated, requests_unknown, requests_refused; /* refused: over the budget or the queue */
    uint64_t targets, targets_late, targets_clamped; /* late: overtaken by a newer one */
    uint64_t keys_lost;                              /* key frames that the receiver gave up: each brings another at once */
    uint64_t pre_encode_drops;                                 /* pictures not to be encoded: the backlog exceeds a frame */
    uint64_t stale_frames, queue_full;               /* dropped after encoding; the next must be a key frame */
} ta_send_queue_stats;

typedef struct ta_datagram {
    const uint8_t *data;
    size_t size;
} ta_datagram;

typedef enum ta_ready {
    TA_READY = 0,
    TA_READY_KEY, /* encode, as a key frame: something was dropped after encoding */
    TA_SKIP,      /* leave this picture out: an earlier one has not got through yet */
} ta_ready;

typedef struct ta_send_queue ta_send_queue;

ta_status ta_send_queue_open(ta_send_queue **out, const ta_send_queue_config *config);
void ta_send_queue_set_cookie(ta_send_queue *o, uint64_t cookie); /* requests and targets must carry it; 0 refuses all */
/* Forgets what waits and what was sent: a new peer, or none. */
void ta_send_queue_reset(ta_send_queue *o);
/* Whether the next picture shall be encoded. `unsent` are bytes that left here and still lie with the kernel. */
ta_ready ta_send_queue_ready(ta_send_queue *o, uint64_t now_us, size_t unsent);
/* Queues one access unit (Annex B, copied). TA_ETOOBIG: no room. TA_EBITSTREAM, TA_EINVAL as the packetizer's. Sequence numbers
 * show the hole where a unit was refused. */
ta_status ta_send_queue_push(ta_send_queue *o, const uint8_t *au, size_t size, const ta_frame_meta *meta, uint64_t now_us,
                         size_t *packets);
/* The datagrams that may leave now, at most `limit`, in order: answers to requests first. They stay valid until the next call
 * of anything but ta_send_queue_sent. */
size_t ta_send_queue_due(ta_send_queue *o, uint64_t now_us, ta_datagram *out, size_t limit);
/* The first `count` of those have left. */
void ta_send_queue_sent(ta_send_queue *o, size_t count, uint64_t before_us, uint64_t after_us);
/* When due() will give something; 0: at once; UINT64_MAX: only after a push or a request. */
uint64_t ta_send_queue_deadline(const ta_send_queue *o);
/* A control datagram from the peer: applies REPAIR, TARGET and generic NACK, whatever else it holds. True: it was for this
 * alone, nobody else need read it (REPAIR, NACK). */
bool ta_send_queue_control(ta_send_queue *o, const uint8_t *data, size_t size, uint64_t now_us);
bool ta_send_queue_last_sent(const ta_send_queue *o, ta_sent *out); /* the newest frame whose last media packet has left */
const ta_send_queue_stats *ta_send_queue_stats_get(const ta_send_queue *o);
void ta_send_queue_close(ta_send_queue **o);

#endif
