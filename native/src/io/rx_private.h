/* Internals of the receiving pump: rx.c (datagrams to units), rx_media.c (peers), rx_sealed.c (encryption),
 * rx_packets.c (packet log). */
#ifndef THINAIR_IO_RX_PRIVATE_H
#define THINAIR_IO_RX_PRIVATE_H

#include <stdatomic.h>

#include "sys.h"
#include "thinair/rx.h"

enum { MAX_SLOTS = 65, ARRIVALS = 1024, INVITES = 8 };

typedef enum slot_state { SLOT_FREE, SLOT_READY, SLOT_TAKEN } slot_state;

struct ta_slot {
    ta_rx *rx;
    slot_state state;
    ta_au_info info;
    uint8_t *data;
};

typedef struct ta_logged_packet ta_logged_packet;

struct ta_rx {
    ta_mode mode;
    int fd, family, wake_fd;
    uint16_t port;
    size_t max_au;
    pthread_t thread;
    bool thread_started;
    atomic_bool stop;
    ta_notes notes;
    uint8_t *datagrams; /* BATCH buffers of DATAGRAM bytes; a raw stream may use large ones */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t ready;
    ta_reassembler *frames;
    ta_annexb_stream *stream;
    ta_slot slots[MAX_SLOTS]; /* the configured number and a spare one, which always takes the newest unit */
    uint32_t slot_count;
    ta_slot *queue[MAX_SLOTS]; /* ready, oldest first */
    size_t queue_head, queue_count;
    uint32_t unreported_lost; /* completed frames discarded, to be reported with the next unit */
    bool unreported_gap;      /* the next unit does not follow the last one handed over */
    int references;           /* the pump and each taken slot */
    bool have_peer;
    ta_address peer;
    uint32_t ssrc;
    bool repair; /* TA_MODE_THINAIR with repair and requests */
    bool encrypted;
    ta_seal *seal;
    ta_control *invites; /* INVITES unsealed invites, drop-new */
    size_t invite_head, invite_count;
    uint64_t invited_us;
    uint64_t last_media_us;
    ta_arrival arrivals[ARRIVALS];
    uint64_t arrival_count;
    uint64_t drops[TA_DROP_COUNT];
    ta_rx_stats stats;
    ta_control_ring control;
    ta_logged_packet *packet_log; /* TA_PACKET_LOG_SIZE, drop-old; NULL: no log */
    uint64_t packets_logged, packets_taken;
};

/* The lock is held. */
bool ta_rx_send_one(ta_rx *rx, const uint8_t *data, size_t size, const ta_address *to);
void ta_rx_put_control(ta_rx *rx, const uint8_t *data, size_t size, uint64_t arrival_us, const ta_address *from);
void ta_rx_forget_frames(ta_rx *rx); /* Forgets the previous peer's frames; counters stay. */
void ta_rx_take_media(ta_rx *rx, const uint8_t *data, size_t size, uint64_t arrival_us, const ta_address *from);
void ta_rx_take_sealed(ta_rx *rx, const uint8_t *data, size_t size, uint64_t arrival_us, const ta_address *from);
void ta_rx_log_packet(ta_rx *rx, const uint8_t *data, size_t size, uint64_t time_us, const ta_address *peer, bool out);
/* Called by ta_rx_open without the lock. */
ta_status ta_rx_open_packets(ta_rx *rx);

#endif
