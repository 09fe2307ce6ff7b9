/* The sender's packets, sans-IO: access units in, datagrams out. Packetizes, keeps what was sent, adds repair symbols
 * (thinair/repair.h, over whole RTP packets), answers repair requests, paces, and decides when a picture is not to be
 * encoded. Layouts: docs/wire-protocol.md. */
#ifndef THINAIR_SEND_QUEUE_H
#define THINAIR_SEND_QUEUE_H

#include "thinair/repair.h"
#include "thinair/rtp.h"
#include "thinair/seal.h"

enum {
    TA_SEND_QUEUE_PACKETS = 2048, /* kept, sent or not; a power of two */
    TA_SEND_QUEUE_FRAMES = 128,   /* a power of two */
    TA_SEND_QUEUE_REQUESTS = 64,  /* waiting for their answer; further ones are refused and counted */
    TA_BLOCK_SOURCES = 128,       /* a frame of more packets is split into several blocks */
    TA_REPAIR_PAYLOAD_TYPE = 97,
    TA_REPAIR_HEADER = 12,
    TA_REPAIR_OVERHEAD = TA_RTP_HEADER + TA_REPAIR_HEADER + TA_REPAIR_SIZE,
    /* The largest media packet whose repair symbol still fits a datagram, sealed or not. */
    TA_MAX_LINK_PACKET = TA_MAX_PACKET - TA_REPAIR_OVERHEAD - TA_SEAL_TAG,
    TA_MAX_PROACTIVE = 127,        /* proactive repair symbols of a block */
    TA_ALL_BLOCKS = 255,           /* in a repair request: every block, because nothing of the frame was received */
    TA_PACE_AS_CONFIGURED = 65535, /* in a TARGET: the sender's configured pacing */
};

/* Blocks of a frame of `packets` packets. */
static inline size_t ta_blocks_of(size_t packets) { return (packets + TA_BLOCK_SOURCES - 1) / TA_BLOCK_SOURCES; }
/* Sources of one block. Packet i is source i / blocks of block i % blocks, so that a burst of losses is spread. */
static inline size_t ta_block_sources(size_t packets, size_t blocks, size_t block) {
    return (packets - block + blocks - 1) / blocks;
}

typedef struct ta_send_queue_config {
    ta_packetizer_config packets; /* with elements: repair and requests; without: plain RTP */
    bool raw;                     /* Annex B bytes and an access unit delimiter instead of RTP */
    uint32_t pace_group;          /* datagrams that leave together; 0: 1 */
    uint32_t pace_us;             /* between groups; 0: no pacing */
    bool fixed_pace;              /* a TARGET does not change the pacing */
    uint32_t interval_us;         /* between frames, until their capture times show it */
} ta_send_queue_config;

typedef struct ta_send_queue_stats {
    uint64_t frames, packets, bytes;             /* media marked as sent */
    uint64_t repair_proactive, repair_on_demand; /* symbols sent */
    uint64_t repair_bytes;                       /* of both */
    uint64_t retransmitted;                      /* packets sent again for a generic NACK (RFC 4585) */
    uint64_t requests;                           /* repair requests, by block */
    uint64_t requests_repeated, requests_unknown;
    uint64_t requests_refused;                       /* over the budget or the queue's capacity */
    uint64_t targets, targets_late, targets_clamped; /* late: overtaken by a newer one */
    uint64_t keys_lost;                              /* key frames that the receiver abandoned; each triggers another */
    uint64_t pre_encode_drops;         /* pictures not encoded, because an earlier frame has not got through */
    uint64_t stale_frames, queue_full; /* frames dropped after encoding; the next must be a key frame */
} ta_send_queue_stats;

typedef struct ta_datagram {
    const uint8_t *data;
    size_t size;
} ta_datagram;

typedef enum ta_ready {
    TA_READY = 0,
    TA_READY_KEY, /* encode as a key frame: a frame was dropped after encoding */
    TA_SKIP,      /* do not encode this picture: an earlier frame has not got through yet */
} ta_ready;

typedef struct ta_send_queue ta_send_queue;

/* TA_EINVAL: max_packet out of range, or with elements above TA_MAX_LINK_PACKET. TA_ENOMEM. */
ta_status ta_send_queue_open(ta_send_queue **out, const ta_send_queue_config *config);
/* Requests and targets must carry this cookie; 0: all are refused. */
void ta_send_queue_set_cookie(ta_send_queue *o, uint64_t cookie);
/* Forgets what waits and what was sent, for a new peer or none. */
void ta_send_queue_reset(ta_send_queue *o);
/* Decides whether to encode the next picture. `unsent`: bytes marked as sent that still wait in the kernel. */
ta_ready ta_send_queue_ready(ta_send_queue *o, uint64_t now_us, size_t unsent);
/* Queues one access unit (Annex B, copied); *packets: how many datagrams it makes. A refused unit leaves a gap in the
 * sequence numbers. TA_ETOOBIG: no room, or a key frame is due and this is none. TA_EBITSTREAM, TA_EINVAL: as
 * ta_packetizer_push. */
ta_status ta_send_queue_push(ta_send_queue *o, const uint8_t *au, size_t size, const ta_frame_meta *meta,
                             uint64_t now_us, size_t *packets);
/* Writes the datagrams that may leave now, in order, answers to requests first; returns how many, `limit` at most.
 * Their bytes are the queue's, valid until the next call of anything but ta_send_queue_sent. */
size_t ta_send_queue_due(ta_send_queue *o, uint64_t now_us, ta_datagram *out, size_t limit);
/* Marks the first `count` of those as sent, between `before_us` and `after_us`. */
void ta_send_queue_sent(ta_send_queue *o, size_t count, uint64_t before_us, uint64_t after_us);
/* Returns when ta_send_queue_due will yield. 0: at once; UINT64_MAX: only after a push or a request. */
uint64_t ta_send_queue_deadline(const ta_send_queue *o);
/* Applies REPAIR, TARGET and generic NACK of a compound control datagram from the peer. Returns true if it held nothing
 * that another reader needs (REPAIR, NACK). */
bool ta_send_queue_control(ta_send_queue *o, const uint8_t *data, size_t size, uint64_t now_us);
/* Writes the send times of the newest frame whose last media packet was sent. Returns false if there is none. */
bool ta_send_queue_last_sent(const ta_send_queue *o, ta_sent *out);
/* Returns the counters, valid until close. */
const ta_send_queue_stats *ta_send_queue_stats_get(const ta_send_queue *o);
void ta_send_queue_close(ta_send_queue **o);

#endif
