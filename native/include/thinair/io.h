/* thinair I/O on Linux: sockets, threads, clocks. Each pump owns its socket and one thread. */
#ifndef THINAIR_IO_H
#define THINAIR_IO_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "thinair/send_queue.h"
#include "thinair/recovery.h"
#include "thinair/seal.h"

enum {
    TA_CONTROL_CAPACITY = 64, /* control datagrams waiting for Python; newer ones are dropped and counted */
    TA_CONTROL_MAX = 1500,
    TA_NOTE_MAX = 160,
    TA_NOTES = 6,
};

typedef enum ta_mode { TA_MODE_THINAIR, TA_MODE_RTP, TA_MODE_ANNEXB } ta_mode;

typedef struct ta_address {
    struct sockaddr_storage storage;
    socklen_t size;
} ta_address;

typedef struct ta_control { /* a control datagram on its way to Python */
    uint8_t data[TA_CONTROL_MAX];
    size_t size;
    uint64_t arrival_us;
    ta_address from;
} ta_control;

uint64_t ta_now_us(void); /* CLOCK_MONOTONIC */
void ta_sleep_until_us(uint64_t when_us, uint64_t spin_us);
int ta_disable_core_dumps(void);         /* no core dump of this process, nobody else's eyes in its memory; 0 or errno */
/* Whether blocks of 128 KiB and more are mapped one by one, and given back when they are freed (mallopt(3)). Heaps come apart where
 * an encoder's pictures are made and freed among others; but what is taken and freed with each picture wants the heap. */
void ta_map_large_blocks(bool on);
int ta_realtime(int priority); /* SCHED_FIFO for the calling thread; 0 or errno */

/* Text of an address; `text` at least INET6_ADDRSTRLEN. IPv4-mapped addresses read as IPv4. */
void ta_address_text(const ta_address *address, char *text, size_t capacity, uint16_t *port);

/* ---- watching a screen ---- */

enum { TA_WATCH_SIGHTINGS = 256, TA_WATCH_GAPS = 4096 };

typedef struct ta_sighting {
    ta_code code, top; /* the same, but for `two` */
    uint64_t seen_us;
} ta_sighting;

typedef struct ta_code_watcher {
    const uint8_t *pixels;
    ta_code_place top, bottom;
    size_t step;
    uint32_t sleep_us;     /* between two looks */
    bool separate_codes;             /* top and bottom carry codes of their own: a new one at the bottom is a sighting */
    bool stop_at_first;             /* return with the first sighting: the picture is still there */
    bool have_last;
    ta_code last;          /* seen before: not a sighting again */
    uint64_t last_read_us;    /* when the look before was over */
    ta_sighting sightings[TA_WATCH_SIGHTINGS];
    uint32_t gaps_us[TA_WATCH_GAPS]; /* from each look to the one before */
    size_t sighting_count, gap_count;
} ta_code_watcher;

/* Looks until `until_us`, or until its arrays are full. A code counts once top and bottom both carry it. */
void ta_code_watch(ta_code_watcher *watcher, uint64_t until_us);

/* ---- sending ---- */

typedef struct ta_tx_config {
    const char *host;    /* "": nobody yet; ta_tx_set_peer() */
    uint16_t port, bind_port;
    ta_mode mode;
    bool sealed;         /* nothing leaves or is believed that is not sealed with installed keys */
    ta_packetizer_config packets;
    uint32_t pace_group; /* packets sent together */
    uint32_t pace_us;    /* between groups; 0: all at once */
    bool fixed_pace;       /* the user's: the receiver does not change it */
    int priority;        /* real-time priority of the pump thread; 0: leave it */
} ta_tx_config;

typedef struct ta_tx_stats {
    uint64_t send_errors, control_drops, probes, media_refused;
    uint64_t auth, replay, packets_sealed; /* sealed: refused by those names; packets sealed with the present key */
    ta_send_queue_stats out;
} ta_tx_stats;

typedef struct ta_tx ta_tx;

/* On TA_ESYS errno says why; on TA_EINVAL the host could not be resolved. */
ta_status ta_tx_open(ta_tx **out, const ta_tx_config *config);
ta_status ta_tx_push(ta_tx *tx, const uint8_t *au, size_t size, const ta_frame_meta *meta, size_t *packets);
ta_ready ta_tx_ready(ta_tx *tx); /* as ta_send_queue_ready, knowing what lies with the kernel */
void ta_tx_allow_media(ta_tx *tx, bool allowed);
void ta_tx_set_cookie(ta_tx *tx, uint64_t cookie, uint64_t boot_id);
/* Sealed sessions: keys, as ta_seal_install; none at all. */
ta_status ta_tx_install(ta_tx *tx, const ta_seal_config *keys);
void ta_tx_forget_keys(ta_tx *tx);
ta_status ta_tx_set_peer(ta_tx *tx, const char *host, uint16_t port); /* what leaves from now on goes there */
/* Where the newest sealed packet came from, if that is not the peer and was not told before. */
bool ta_tx_new_peer(ta_tx *tx, ta_address *out);
bool ta_tx_send_control(ta_tx *tx, const uint8_t *data, size_t size);
/* To another address; `plain`: not sealed, for what a sealed session begins with. */
bool ta_tx_send_control_to(ta_tx *tx, const uint8_t *data, size_t size, const char *host, uint16_t port, bool plain);
bool ta_tx_take_control(ta_tx *tx, ta_control *out);
bool ta_tx_sent(ta_tx *tx, ta_sent *out);
void ta_tx_stats_get(ta_tx *tx, ta_tx_stats *out);
int ta_tx_eventfd(const ta_tx *tx);
uint16_t ta_tx_port(const ta_tx *tx);
const char *ta_tx_note(const ta_tx *tx, size_t index); /* NULL past the last */
void ta_tx_stop(ta_tx *tx); /* ends the thread, closes the socket; counters stay readable */
void ta_tx_close(ta_tx **tx);

/* ---- receiving ---- */

typedef struct ta_rx_config {
    const char *host; /* "" any */
    uint16_t port;
    ta_mode mode;
    bool sealed;      /* as ta_tx_config's */
    bool log_packets; /* for ta_rx_packets() */
    ta_reassembler_config frames;
    ta_annexb_stream_config stream;
    uint32_t slots;          /* access units held for Python, 2..64 */
    int priority;
    int receive_buffer;      /* bytes asked for */
} ta_rx_config;

typedef struct ta_rx_stats {
    uint64_t packets, bytes, frames, lost_frames, kernel_drops;
    uint64_t address_changes;     /* times that the sender's address has changed */
    uint64_t packets_sealed;     /* packets sealed with the present key */
    uint64_t packets_not_logged; /* by note_packets, since they were not fetched in time */
    int receive_buffer; /* bytes granted */
} ta_rx_stats;

enum { TA_PACKET_SNAP = 192, TA_PACKET_LOG_SIZE = 16384, TA_PACKET_RECORD = 16 + 48 + TA_PACKET_SNAP };

typedef struct ta_arrival {
    uint16_t seq;
    uint64_t arrival_us;
} ta_arrival;

typedef struct ta_rx ta_rx;
typedef struct ta_slot ta_slot; /* one access unit in the ring */

ta_status ta_rx_open(ta_rx **out, const ta_rx_config *config);
/* Waits for the next access unit. TA_AGAIN: timeout or closed. The slot is the caller's until released. */
ta_status ta_rx_wait(ta_rx *rx, uint64_t timeout_us, ta_slot **slot, const ta_au_info **info, const uint8_t **data);
void ta_rx_release(ta_slot *slot); /* from any thread, also after ta_rx_close */
/* Media only from there. `own_ssrc` and `cookie` are for repair requests; cookie 0: none are made. */
ta_status ta_rx_accept(ta_rx *rx, const char *host, uint16_t port, uint32_t ssrc, uint32_t own_ssrc, uint64_t cookie);
ta_status ta_rx_install(ta_rx *rx, const ta_seal_config *keys);
void ta_rx_forget_keys(ta_rx *rx);
/* Control that is not sealed, where all is to be: what a sender calls with. Few are kept, and few a second. */
bool ta_rx_take_invite(ta_rx *rx, ta_control *out);
void ta_rx_timing(ta_rx *rx, uint32_t interval_us, uint32_t rtt_us, uint32_t queue_us); /* as ta_reassembler_timing */
/* What became of frames since the last call, the newest one as it stands, and what TARGET tells of the last eight. */
size_t ta_rx_frames(ta_rx *rx, ta_frame_report *decided, size_t limit, ta_frame_report *newest, bool *any,
                    uint32_t *newest_id, uint16_t *outcomes, uint32_t *answer_us);
void ta_rx_recovery(ta_rx *rx, ta_recovery_stats *out);
bool ta_rx_send_control(ta_rx *rx, const uint8_t *data, size_t size, const char *host, uint16_t port);
bool ta_rx_take_control(ta_rx *rx, ta_control *out);
size_t ta_rx_arrivals(ta_rx *rx, ta_arrival *out, size_t limit); /* oldest first */
/* Packets since the last call as records of a pcap file, both ways, opened, cut after TA_PACKET_SNAP bytes; times are
 * ta_now_us(). Bytes written, whole records only; 0: no more, or not asked for. */
size_t ta_rx_packets(ta_rx *rx, uint8_t *out, size_t capacity);
void ta_rx_progress(ta_rx *rx, uint64_t *last_media_us, uint64_t *frames);
void ta_rx_drops(ta_rx *rx, uint64_t out[TA_DROP_COUNT]);
void ta_rx_stats_get(ta_rx *rx, ta_rx_stats *out);
int ta_rx_eventfd(const ta_rx *rx);
uint16_t ta_rx_port(const ta_rx *rx);
const char *ta_rx_note(const ta_rx *rx, size_t index);
void ta_rx_stop(ta_rx *rx);   /* as ta_tx_stop; a waiting ta_rx_wait returns TA_AGAIN */
void ta_rx_close(ta_rx **rx); /* memory goes with the last released slot */

#endif
