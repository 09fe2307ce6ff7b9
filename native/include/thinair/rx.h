/* The receiving pump: a UDP socket, a thread, a reassembler, and a ring of access units that are read in place. Calls
 * are thread-safe unless they say otherwise. */
#ifndef THINAIR_RX_H
#define THINAIR_RX_H

#include "thinair/annexb_stream.h"
#include "thinair/control.h"
#include "thinair/recovery.h"
#include "thinair/seal.h"

typedef struct ta_rx_config {
    const char *host; /* local address; "": any */
    uint16_t port;    /* 0: any */
    ta_mode mode;
    bool encrypted;                 /* only packets sealed with installed keys are sent or accepted */
    bool log_packets;               /* keep packets for ta_rx_packets */
    ta_reassembler_config frames;   /* TA_MODE_THINAIR, TA_MODE_RTP */
    ta_annexb_stream_config stream; /* TA_MODE_ANNEXB */
    uint32_t slots;                 /* access units in the ring, 2..64 */
    int priority;                   /* SCHED_FIFO priority of the thread; 0: none */
    int receive_buffer;             /* bytes of SO_RCVBUF to request */
} ta_rx_config;

typedef struct ta_rx_stats {
    uint64_t packets, bytes, frames, lost_frames;
    uint64_t kernel_drops;       /* datagrams the kernel dropped because the receive buffer was full */
    uint64_t address_changes;    /* of a sealed sender */
    uint64_t packets_sealed;     /* with the current key */
    uint64_t packets_not_logged; /* with log_packets: overwritten before they were fetched */
    int receive_buffer;          /* bytes granted */
} ta_rx_stats;

enum {
    TA_PACKET_SNAP = 192, /* bytes kept of a logged packet */
    TA_PACKET_LOG_SIZE = 16384,
    TA_PACKET_RECORD = 16 + 48 + TA_PACKET_SNAP, /* bytes of the largest record: pcap, IPv6 and UDP headers, packet */
};

typedef struct ta_arrival {
    uint16_t seq;
    uint64_t arrival_us;
} ta_arrival;

typedef struct ta_rx ta_rx;
typedef struct ta_slot ta_slot; /* one access unit in the ring */

/* Binds the socket and starts the thread. TA_EINVAL: the address cannot be used, or a value is out of range. TA_ENOMEM.
 * TA_ESYS: errno. What the system refused without harm (priority, receive buffer) becomes a note. */
ta_status ta_rx_open(ta_rx **out, const ta_rx_config *config);

/* Waits for the next access unit. `info` and `data` point into the slot, which the caller owns until ta_rx_release. A
 * full ring discards all waiting units, and the next one carries the gap. TA_AGAIN: timeout, or the pump was stopped.
 * One caller at a time. */
ta_status ta_rx_wait(ta_rx *rx, uint64_t timeout_us, ta_slot **slot, const ta_au_info **info, const uint8_t **data);
/* Returns a slot to the ring, from any thread, also after ta_rx_close. */
void ta_rx_release(ta_slot *slot);

/* Accepts media from this address and SSRC only, and forgets the previous peer's frames. Repair requests go there with
 * `own_ssrc` and `cookie`; cookie 0: none are sent. TA_EINVAL: the address cannot be resolved. */
ta_status ta_rx_accept(ta_rx *rx, const char *host, uint16_t port, uint32_t ssrc, uint32_t own_ssrc, uint64_t cookie);
/* As ta_seal_install. TA_EINVAL: not a sealed pump. */
ta_status ta_rx_install(ta_rx *rx, const ta_seal_config *keys);
void ta_rx_forget_keys(ta_rx *rx);
/* Takes the oldest unsealed invite or HELLO that a sealed pump received: a hint for the user, not authenticated. Their
 * number and rate are limited. Returns false if there is none. */
bool ta_rx_take_invite(ta_rx *rx, ta_control *out);

/* As ta_reassembler_timing. */
void ta_rx_timing(ta_rx *rx, uint32_t interval_us, uint32_t rtt_us, uint32_t queue_us);
/* Writes the frames decided since the last call, oldest first, and returns how many. *newest: the newest frame in
 * its present state, valid if *any. *newest_id, *outcomes: those fields of TARGET. *answer_us: as
 * ta_reassembler_answer_us. */
size_t ta_rx_frames(ta_rx *rx, ta_frame_report *decided, size_t limit, ta_frame_report *newest, bool *any,
                    uint32_t *newest_id, uint16_t *outcomes, uint32_t *answer_us);
void ta_rx_recovery(ta_rx *rx, ta_recovery_stats *out);

/* Sends a control datagram, sealed if the pump is. Returns false if it was not sent. */
bool ta_rx_send_control(ta_rx *rx, const uint8_t *data, size_t size, const char *host, uint16_t port);
/* Takes the oldest control datagram. Returns false if there is none, and clears the eventfd. */
bool ta_rx_take_control(ta_rx *rx, ta_control *out);

/* Writes sequence number and arrival of the newest `limit` media packets, oldest first; returns how many. */
size_t ta_rx_arrivals(ta_rx *rx, ta_arrival *out, size_t limit);
/* Writes packets of both directions since the last call as records of a pcap file (LINKTYPE_RAW), opened if sealed and
 * cut at TA_PACKET_SNAP bytes; times are ta_now_us(). Returns the bytes written, whole records only; 0: none. */
size_t ta_rx_packets(ta_rx *rx, uint8_t *out, size_t capacity);
/* Arrival of the newest media packet (0: none), and the number of completed access units. */
void ta_rx_progress(ta_rx *rx, uint64_t *last_media_us, uint64_t *frames);
void ta_rx_drops(ta_rx *rx, uint64_t out[TA_DROP_COUNT]);
void ta_rx_stats_get(ta_rx *rx, ta_rx_stats *out);
/* Returns a descriptor for poll, readable while control datagrams or invites wait, and after a frame was abandoned. The
 * pump's: do not close it. */
int ta_rx_eventfd(const ta_rx *rx);
/* Returns the bound port. */
uint16_t ta_rx_port(const ta_rx *rx);
/* Returns a note, valid until close; NULL past the last. */
const char *ta_rx_note(const ta_rx *rx, size_t index);
/* Ends the thread and closes the socket; a waiting ta_rx_wait returns TA_AGAIN. Counters stay readable. */
void ta_rx_stop(ta_rx *rx);
/* The memory is freed with the last released slot. */
void ta_rx_close(ta_rx **rx);

#endif
