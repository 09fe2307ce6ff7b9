/* RTP packets of H.264 (RFC 3550, RFC 6184 mode 1) with the frame element (RFC 8285). Layout: docs/wire-protocol.md. */
#ifndef THINAIR_RTP_H
#define THINAIR_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thinair/status.h"

enum {
    TA_RTP_HEADER = 12,
    TA_MAX_PACKET = 1472, /* UDP payload that fits Ethernet and WiFi */
    TA_MIN_PACKET = 200,
    TA_MAX_FRAME_PACKETS = 1024, /* a power of two: packets are stored at seq modulo this */
    TA_DELTA_UNKNOWN = 0xffffff, /* 24-bit stage delta: unknown */
};

/* Stage stamps of one frame, on the sender's clock. 0: unknown. */
typedef struct ta_stamps {
    uint64_t capture_us, dequeue_us, encode_in_us, encode_out_us;
} ta_stamps;

/* When an earlier frame was sent. A frame's send times are known only afterwards, so a later frame carries them. */
typedef struct ta_sent {
    uint32_t frame_id;
    uint64_t capture_us;                  /* of that frame; the wire carries the send times relative to it */
    uint64_t first_send_us, last_send_us; /* of its first and last media packet */
} ta_sent;

typedef struct ta_frame_meta {
    uint32_t frame_id;
    uint32_t rtp_time;    /* 90 kHz */
    uint64_t capture_ntp; /* UQ32.32 for abs-capture-time; 0: omitted */
    bool key;             /* IDR */
    uint8_t proactive;    /* proactive repair symbols of each block */
    ta_stamps stamps;
    ta_sent sent; /* first_send_us 0: omitted */
} ta_frame_meta;

/* ---- packetizer ---- */

typedef struct ta_packetizer_config {
    uint8_t payload_type;
    uint32_t ssrc;
    uint16_t first_seq;
    size_t max_packet; /* bytes of a whole RTP packet: TA_MIN_PACKET..TA_MAX_PACKET */
    bool elements;     /* false: plain RFC 6184 without header extension */
} ta_packetizer_config;

typedef struct ta_packetizer ta_packetizer;

/* TA_EINVAL: max_packet out of range. TA_ENOMEM. */
ta_status ta_packetizer_open(ta_packetizer **out, const ta_packetizer_config *config);
/* Plans the packets of one access unit (Annex B). `au` is not copied and must stay valid until ta_packetizer_next
 * returns TA_AGAIN. An access unit delimiter is not sent: the marker bit says the same (RFC 6184 5.1). TA_ETOOBIG: more
 * than TA_MAX_NALS NAL units or TA_MAX_FRAME_PACKETS packets. TA_EBITSTREAM: no NAL unit. TA_EINVAL: the previous unit
 * is not drained. */
ta_status ta_packetizer_push(ta_packetizer *p, const uint8_t *au, size_t size, const ta_frame_meta *meta);
/* Returns the number of packets of the planned unit. */
size_t ta_packetizer_count(const ta_packetizer *p);
/* Sets the planned unit's number of proactive symbols, which may depend on its packet count. */
void ta_packetizer_set_proactive(ta_packetizer *p, uint8_t symbols);
/* Writes the next packet of at most max_packet bytes. TA_AGAIN: none left. TA_ETOOBIG: `capacity` below max_packet. */
ta_status ta_packetizer_next(ta_packetizer *p, uint8_t *out, size_t capacity, size_t *size);
void ta_packetizer_close(ta_packetizer **p);

/* ---- parser ---- */

typedef struct ta_rtp { /* pointers lead into the parsed datagram */
    uint8_t payload_type;
    bool marker;
    uint16_t seq;
    uint32_t time, ssrc;
    const uint8_t *payload;
    size_t payload_size;
    bool has_element; /* a consistent frame element; the next five fields are valid */
    uint32_t frame_id;
    uint16_t index, count; /* packet number in its frame, and how many there are */
    bool key;
    uint8_t proactive; /* proactive repair symbols of each block */
    bool has_stamps;
    ta_stamps stamps; /* absolute, sender's clock */
    bool has_sent;
    uint16_t sent_frame_id;                     /* low 16 bits */
    uint32_t sent_first_delta, sent_last_delta; /* us after that frame's capture, or TA_DELTA_UNKNOWN */
    uint64_t capture_ntp;                       /* 0: absent */
} ta_rtp;

/* Parses a datagram; every count is checked against the size. TA_EBITSTREAM: refused, *why says the reason. */
ta_status ta_rtp_parse(const uint8_t *data, size_t size, ta_rtp *out, ta_drop *why);

#endif
