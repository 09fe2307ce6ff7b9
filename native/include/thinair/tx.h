/* The sending pump: a send queue, a UDP socket and a thread. Calls are thread-safe unless they say otherwise. */
#ifndef THINAIR_TX_H
#define THINAIR_TX_H

#include "thinair/control.h"
#include "thinair/send_queue.h"

typedef struct ta_tx_config {
    const char *host; /* "": no peer yet, see ta_tx_set_peer */
    uint16_t port;
    uint16_t bind_port; /* 0: any */
    ta_mode mode;
    bool encrypted; /* only packets sealed with installed keys are sent or accepted */
    ta_packetizer_config packets;
    uint32_t pace_group; /* packets sent together */
    uint32_t pace_us;    /* between groups; 0: no pacing */
    bool fixed_pace;     /* the receiver's TARGET does not change the pacing */
    int priority;        /* SCHED_FIFO priority of the thread; 0: none */
} ta_tx_config;

typedef struct ta_tx_stats {
    uint64_t send_errors;    /* datagrams that the kernel refused */
    uint64_t control_drops;  /* control datagrams refused, or dropped because the queue was full */
    uint64_t probes;         /* clock probes answered */
    uint64_t media_refused;  /* access units pushed while no media is allowed */
    uint64_t auth, replay;   /* sealed: control refused, by drop reason */
    uint64_t packets_sealed; /* with the current key */
    ta_send_queue_stats out;
} ta_tx_stats;

typedef struct ta_tx ta_tx;

/* Binds the socket and starts the thread. TA_EINVAL: the host cannot be resolved, or a value is out of range.
 * TA_ENOMEM. TA_ESYS: errno. What the system refused without harm (priority, DSCP) becomes a note. */
ta_status ta_tx_open(ta_tx **out, const ta_tx_config *config);

/* Packetizes one access unit (Annex B, copied) and sends its first group before it returns; the thread sends the rest.
 * *packets: how many were queued; 0 while no media is allowed. Errors as ta_send_queue_push. */
ta_status ta_tx_push(ta_tx *tx, const uint8_t *au, size_t size, const ta_frame_meta *meta, size_t *packets);
/* As ta_send_queue_ready, with what waits in the kernel included. */
ta_ready ta_tx_ready(ta_tx *tx);
/* Starts or stops media, for as long as there is a peer. Stopping discards what waits. */
void ta_tx_allow_media(ta_tx *tx, bool allowed);
/* Clock probes, requests and targets must carry `cookie`; probes are answered with `boot_id`. 0: all are refused. */
void ta_tx_set_cookie(ta_tx *tx, uint64_t cookie, uint64_t boot_id);

/* As ta_seal_install. TA_EINVAL: not a sealed pump. */
ta_status ta_tx_install(ta_tx *tx, const ta_seal_config *keys);
/* Forgets all keys: nothing is sent or accepted until new ones are installed. */
void ta_tx_forget_keys(ta_tx *tx);

/* Everything is sent to this address from now on. TA_EINVAL: it cannot be resolved. */
ta_status ta_tx_set_peer(ta_tx *tx, const char *host, uint16_t port);
/* Returns true once for each new address that the newest sealed packet came from, other than the peer's. */
bool ta_tx_new_peer(ta_tx *tx, ta_address *out);

/* Sends a control datagram to the peer, sealed if the pump is. Returns false if it was not sent. */
bool ta_tx_send_control(ta_tx *tx, const uint8_t *data, size_t size);
/* The same to another address. `plain`: not sealed, for the first messages of a session. */
bool ta_tx_send_control_to(ta_tx *tx, const uint8_t *data, size_t size, const char *host, uint16_t port, bool plain);
/* Takes the oldest control datagram. Returns false if there is none, and clears the eventfd. */
bool ta_tx_take_control(ta_tx *tx, ta_control *out);
/* Writes the send times of the newest frame whose last media packet was sent. Returns false if there is none. */
bool ta_tx_sent(ta_tx *tx, ta_sent *out);
void ta_tx_stats_get(ta_tx *tx, ta_tx_stats *out);
/* Returns a descriptor for poll, readable while control datagrams wait. The pump's: do not close it. */
int ta_tx_eventfd(const ta_tx *tx);
/* Returns the bound port. */
uint16_t ta_tx_port(const ta_tx *tx);
/* Returns a note, valid until close; NULL past the last. */
const char *ta_tx_note(const ta_tx *tx, size_t index);
/* Ends the thread and closes the socket. Counters stay readable. */
void ta_tx_stop(ta_tx *tx);
void ta_tx_close(ta_tx **tx);

#endif
