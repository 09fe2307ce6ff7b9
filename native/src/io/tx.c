/* Sending pump: a send queue with socket and thread. push() sends the first group itself, so that an unpaced frame
 * never waits for a thread, and lets the kernel segment packets of equal size. The thread sends the groups that pacing
 * delays, answers clock probes and repair requests, and collects the other control datagrams. */
#include "thinair/tx.h"
#include "thinair/clock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys.h"

enum { BATCH = 64, MAX_SEGMENTS = 44, MAX_MESSAGE = 65000, CONTROL_SPACE = CMSG_SPACE(sizeof(uint16_t)) };
enum { SEALED_SIZE = TA_MAX_PACKET + 64 }; /* a sealed packet, aligned to cache lines */
enum { PROBE_SIZE = 32, ECHO_SIZE = 48, DEVICE_FULL_US = 500 };
/* A few frames: a stalled radio is then reported by EAGAIN soon. */
enum { SEND_BUFFER = 192 * 1024 };

struct ta_tx {
    ta_mode mode;
    int fd, family, wake_fd;
    uint16_t port;
    ta_address peer;
    pthread_t thread;
    bool thread_started;
    atomic_bool stop;
    ta_notes notes;

    pthread_mutex_t lock; /* all below */
    ta_send_queue *queue;
    uint64_t full_us; /* the device's queue was full: not before this time */
    bool segments;    /* the kernel segments messages (UDP_SEGMENT) */
    bool blocked;     /* the socket's buffer is full: waiting for POLLOUT */
    bool media;
    bool encrypted;
    ta_seal *seal;
    uint8_t *sealed_packets; /* BATCH datagrams, sealed */
    bool has_new_peer;       /* new_peer has not been reported */
    ta_address new_peer;
    uint64_t cookie, boot_id;
    ta_tx_stats stats; /* without those of the send queue */
    ta_control_ring control;
};

/* Fills a message that the kernel segments (udp(7), UDP_SEGMENT): all of one size but the last, which may be shorter.
 * Returns how many of the `limit` datagrams it holds. */
static size_t fill_message(ta_tx *tx, const ta_datagram *datagrams, size_t limit, struct msghdr *message,
                           struct iovec *vectors, char *control) {
    const size_t segment = datagrams[0].size;
    size_t n = 0, bytes = 0, size = segment;
    limit = !tx->segments ? 1 : limit < MAX_SEGMENTS ? limit : MAX_SEGMENTS;
    while (n < limit && size == segment) { /* a shorter one ends the message */
        const ta_datagram *d = &datagrams[n];
        if (d->size > segment || bytes + d->size > MAX_MESSAGE)
            break;
        size = d->size;
        bytes += size;
        vectors[n++] = (struct iovec){(void *)(uintptr_t)d->data, size};
    }
    *message = (struct msghdr){
        .msg_name = &tx->peer.storage, .msg_namelen = tx->peer.size, .msg_iov = vectors, .msg_iovlen = n};
    if (n > 1) {
        const uint16_t value = (uint16_t)segment;
        message->msg_control = control;
        message->msg_controllen = CONTROL_SPACE;
        struct cmsghdr *c = CMSG_FIRSTHDR(message);
        *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof value), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT};
        memcpy(CMSG_DATA(c), &value, sizeof value);
    }
    return n;
}

/* Replaces datagrams by their sealed form. Returns false if no key is left. */
static bool seal_batch(ta_tx *tx, ta_datagram *due, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t *sealed_packet = tx->sealed_packets + i * SEALED_SIZE;
        if (ta_seal_rtp(tx->seal, due[i].data, due[i].size, sealed_packet, &due[i].size) != TA_OK)
            return false;
        due[i].data = sealed_packet;
    }
    return true;
}

/* Sends `count` datagrams and tells the send queue. Returns false if nothing more can be sent now. */
static bool send_batch(ta_tx *tx, ta_datagram *due, size_t count) {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    _Alignas(struct cmsghdr) char control[BATCH][CONTROL_SPACE];
    size_t held[BATCH], filled = 0, n = 0;
    if (tx->encrypted && !seal_batch(tx, due, count)) {
        tx->stats.media_refused += count;
        ta_send_queue_reset(tx->queue);
        return false;
    }
    for (; filled < count; filled += held[n++])
        held[n] = fill_message(tx, due + filled, count - filled, &messages[n].msg_hdr, vectors + filled, control[n]);
    const uint64_t before_us = ta_now_us();
    const int done = sendmmsg(tx->fd, messages, (unsigned)n, MSG_DONTWAIT);
    size_t left = 0;
    if (done < 0 && errno == EAGAIN) {
        tx->blocked = true;
        return false;
    }
    if (done < 0 && errno == ENOBUFS) { /* the device's queue is full, which poll() does not report */
        tx->full_us = before_us + DEVICE_FULL_US;
        return false;
    }
    if (done < 0 && held[0] > 1) { /* this path cannot segment: one by one from now on */
        tx->segments = false;
        return true;
    }
    if (done < 0) { /* no route or link down: this packet is lost, the next may not be */
        tx->stats.send_errors++;
        left = 1;
    }
    for (int i = 0; i < done; i++)
        left += held[i];
    ta_send_queue_sent(tx->queue, left, before_us, ta_now_us());
    return true;
}

/* Sends what may leave now. The lock is held. */
static void send_due(ta_tx *tx, uint64_t now_us) {
    ta_datagram due[BATCH];
    size_t count;
    while (!tx->blocked && now_us >= tx->full_us && (count = ta_send_queue_due(tx->queue, now_us, due, BATCH)) > 0)
        if (!send_batch(tx, due, count))
            return;
}

static uint64_t deadline(const ta_tx *tx) {
    const uint64_t due_us = ta_send_queue_deadline(tx->queue);
    return due_us < tx->full_us ? tx->full_us : due_us;
}

/* Sends one control datagram. */
static bool send_one(ta_tx *tx, const uint8_t *data, size_t size, const ta_address *to, bool plain) {
    uint8_t sealed_packet[TA_CONTROL_MAX + TA_SEAL_CONTROL];
    if (to->size == 0 || size > TA_CONTROL_MAX)
        return false;
    if (tx->encrypted && !plain) {
        if (ta_seal_rtcp(tx->seal, data, size, sealed_packet, &size) != TA_OK)
            return false;
        data = sealed_packet;
    }
    return sendto(tx->fd, data, size, MSG_DONTWAIT, (const struct sockaddr *)&to->storage, to->size) == (ssize_t)size;
}

/* Answers a clock probe (docs/wire-protocol.md, subtypes 3 and 4) that carries the cookie; the answer goes to the peer
 * only. */
static bool answer_probe(ta_tx *tx, const uint8_t *data, size_t size, uint64_t arrival_us) {
    if (size < PROBE_SIZE || data[1] != 204 || (data[0] & 0x1f) != 3 || memcmp(data + 8, "TAIR", 4) != 0)
        return false;
    uint64_t cookie = 0;
    for (int i = 0; i < 8; i++)
        cookie = cookie << 8 | data[24 + i];
    if (tx->cookie == 0 || cookie != tx->cookie) {
        tx->stats.control_drops++;
        return true;
    }
    uint8_t echo[ECHO_SIZE] = {0x84, 204, 0, ECHO_SIZE / 4 - 1};
    memcpy(echo + 4, data + 4, 8);    /* SSRC and name */
    memcpy(echo + 12, data + 12, 12); /* probe id, t1 */
    uint64_t words[3] = {arrival_us, ta_now_us(), tx->boot_id};
    for (int w = 0; w < 3; w++)
        for (int i = 0; i < 8; i++)
            echo[24 + 8 * w + i] = (uint8_t)(words[w] >> (56 - 8 * i));
    send_one(tx, echo, sizeof echo, &tx->peer, false);
    tx->stats.probes++;
    return true;
}

/* Returns whether a datagram is the peer's: by its address, or by its keys from any address. Opens a sealed one. */
static bool is_peers(ta_tx *tx, uint8_t *data, size_t *size, uint64_t arrival_us, const ta_address *from) {
    uint8_t open[TA_CONTROL_MAX];
    bool newest;
    ta_drop why;
    if (!tx->encrypted)
        return ta_address_equal(from, &tx->peer);
    if (ta_unseal_rtcp(tx->seal, data, *size, arrival_us, open, size, &newest, &why) != TA_OK) {
        tx->stats.auth += why == TA_DROP_AUTH;
        tx->stats.replay += why == TA_DROP_REPLAY;
        return false;
    }
    memcpy(data, open, *size);
    if (newest && !ta_address_equal(from, &tx->peer) && !(tx->has_new_peer && ta_address_equal(from, &tx->new_peer))) {
        tx->new_peer = *from;
        tx->has_new_peer = true;
    }
    return true;
}

static void receive_control(ta_tx *tx) {
    for (int budget = BATCH; budget > 0; budget--) {
        uint8_t data[TA_CONTROL_MAX];
        _Alignas(struct cmsghdr) char control[128];
        ta_address from;
        struct iovec vector = {data, sizeof data};
        struct msghdr message = {.msg_name = &from.storage,
                                 .msg_namelen = sizeof from.storage,
                                 .msg_iov = &vector,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        const ssize_t got = recvmsg(tx->fd, &message, MSG_DONTWAIT);
        if (got < 0)
            return;
        size_t size = (size_t)got;
        from.size = message.msg_namelen;
        uint64_t arrival_us = ta_arrival_us(&message, ta_now_us(), ta_realtime_ns());
        pthread_mutex_lock(&tx->lock);
        bool known =
            ta_is_rtcp(data, size) && !(message.msg_flags & MSG_TRUNC) && is_peers(tx, data, &size, arrival_us, &from);
        if (!known ||
            (!answer_probe(tx, data, size, arrival_us) && !ta_send_queue_control(tx->queue, data, size, arrival_us) &&
             !ta_control_ring_put(&tx->control, data, size, arrival_us, &from)))
            tx->stats.control_drops++;
        send_due(tx, ta_now_us()); /* answers are sent at once */
        pthread_mutex_unlock(&tx->lock);
    }
}

static void *run(void *argument) {
    ta_tx *tx = argument;
    while (!atomic_load(&tx->stop)) {
        pthread_mutex_lock(&tx->lock);
        uint64_t now_us = ta_now_us();
        send_due(tx, now_us);
        const bool blocked = tx->blocked;
        const uint64_t due_us = deadline(tx);
        int64_t wait_us = -1;
        if (due_us != UINT64_MAX && !blocked)
            wait_us = due_us > now_us ? (int64_t)(due_us - now_us) : 0;
        pthread_mutex_unlock(&tx->lock);

        struct pollfd fds[2] = {{.fd = tx->fd, .events = (short)(POLLIN | (blocked ? POLLOUT : 0))},
                                {.fd = tx->wake_fd, .events = POLLIN}};
        struct timespec timeout = {.tv_sec = wait_us / 1000000, .tv_nsec = (wait_us % 1000000) * 1000};
        if (ppoll(fds, 2, wait_us < 0 ? NULL : &timeout, NULL) < 0)
            continue;
        if (fds[1].revents)
            ta_clear(tx->wake_fd);
        if (fds[0].revents & POLLOUT) {
            pthread_mutex_lock(&tx->lock);
            tx->blocked = false;
            pthread_mutex_unlock(&tx->lock);
        }
        if (fds[0].revents & (POLLIN | POLLERR))
            receive_control(tx);
    }
    return NULL;
}

static ta_status open_socket(ta_tx *tx, const ta_tx_config *config) {
    ta_status status = ta_udp_open(&tx->fd, &tx->family, "", config->bind_port, &tx->port);
    if (status != TA_OK)
        return status;
    status = config->host[0] ? ta_resolve(&tx->peer, tx->family, config->host, config->port) : TA_OK;
    if (status != TA_OK)
        return status;
    /* CS5, then priority 5. IP_TOS also sets the socket's priority, and not to WMM's video class, so the order
     * matters. */
    int tos = 40 << 2, priority = 5, buffer = SEND_BUFFER;
    if (setsockopt(tx->fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos) < 0)
        ta_note(&tx->notes, "DSCP CS5 refused (%s)", strerror(errno));
    if (tx->family == AF_INET6 && setsockopt(tx->fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos) < 0)
        ta_note(&tx->notes, "DSCP CS5 for IPv6 refused (%s)", strerror(errno));
    if (setsockopt(tx->fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority) < 0)
        ta_note(&tx->notes, "socket priority 5 refused (%s)", strerror(errno));
    setsockopt(tx->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    int off = 0; /* enabled per message; the call shows whether the kernel knows it */
    tx->segments = setsockopt(tx->fd, SOL_UDP, UDP_SEGMENT, &off, sizeof off) == 0;
    return TA_OK;
}

ta_status ta_tx_open(ta_tx **out, const ta_tx_config *config) {
    *out = NULL;
    ta_tx *tx = calloc(1, sizeof *tx);
    if (!tx)
        return TA_ENOMEM;
    tx->fd = tx->wake_fd = -1;
    pthread_mutex_init(&tx->lock, NULL);
    tx->mode = config->mode;
    tx->media = config->mode != TA_MODE_THINAIR;
    tx->encrypted = config->encrypted;
    ta_send_queue_config queue = {.packets = config->packets,
                                  .raw = config->mode == TA_MODE_ANNEXB,
                                  .fixed_pace = config->fixed_pace,
                                  .pace_group = config->pace_group,
                                  .pace_us = config->pace_us};
    queue.packets.elements = config->mode == TA_MODE_THINAIR;
    ta_status status = ta_send_queue_open(&tx->queue, &queue);
    if (status == TA_OK && config->encrypted)
        status = config->mode == TA_MODE_THINAIR ? ta_seal_open(&tx->seal) : TA_EINVAL;
    if (status == TA_OK && config->encrypted && !(tx->sealed_packets = malloc((size_t)BATCH * SEALED_SIZE)))
        status = TA_ENOMEM;
    if (status == TA_OK)
        status = open_socket(tx, config);
    if (status == TA_OK)
        status = ta_control_ring_open(&tx->control);
    if (status == TA_OK && (tx->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
        status = TA_ESYS;
    if (status == TA_OK)
        status = ta_thread_start(&tx->thread, run, tx, config->priority, "thinair-tx", &tx->notes);
    if (status != TA_OK) {
        int saved = errno;
        ta_tx_close(&tx);
        errno = saved;
        return status;
    }
    tx->thread_started = true;
    *out = tx;
    return TA_OK;
}

ta_status ta_tx_push(ta_tx *tx, const uint8_t *au, size_t size, const ta_frame_meta *meta, size_t *packets) {
    ta_status status = TA_OK;
    *packets = 0;
    pthread_mutex_lock(&tx->lock);
    if (!tx->media) {
        tx->stats.media_refused++;
        goto done;
    }
    const uint64_t now_us = ta_now_us();
    status = ta_send_queue_push(tx->queue, au, size, meta, now_us, packets);
    if (status != TA_OK)
        goto done;
    send_due(tx, now_us);
    if (ta_send_queue_deadline(tx->queue) != UINT64_MAX)
        ta_wake(tx->wake_fd);
done:
    pthread_mutex_unlock(&tx->lock);
    return status;
}

ta_ready ta_tx_ready(ta_tx *tx) {
    int unsent = 0;
    pthread_mutex_lock(&tx->lock);
    if (tx->fd >= 0 && ioctl(tx->fd, SIOCOUTQ, &unsent) < 0)
        unsent = 0;
    const ta_ready ready = ta_send_queue_ready(tx->queue, ta_now_us(), unsent > 0 ? (size_t)unsent : 0);
    pthread_mutex_unlock(&tx->lock);
    return ready;
}

void ta_tx_allow_media(ta_tx *tx, bool allowed) {
    pthread_mutex_lock(&tx->lock);
    tx->media = allowed;
    if (!allowed) { /* what waits would be stale when the peer returns */
        ta_send_queue_reset(tx->queue);
    }
    pthread_mutex_unlock(&tx->lock);
}

void ta_tx_set_cookie(ta_tx *tx, uint64_t cookie, uint64_t boot_id) {
    pthread_mutex_lock(&tx->lock);
    tx->cookie = cookie;
    tx->boot_id = boot_id;
    ta_send_queue_set_cookie(tx->queue, cookie);
    pthread_mutex_unlock(&tx->lock);
}

bool ta_tx_send_control(ta_tx *tx, const uint8_t *data, size_t size) {
    pthread_mutex_lock(&tx->lock);
    const bool done = send_one(tx, data, size, &tx->peer, false);
    pthread_mutex_unlock(&tx->lock);
    return done;
}

bool ta_tx_send_control_to(ta_tx *tx, const uint8_t *data, size_t size, const char *host, uint16_t port, bool plain) {
    ta_address to;
    if (ta_resolve(&to, tx->family, host, port) != TA_OK)
        return false;
    pthread_mutex_lock(&tx->lock);
    const bool done = send_one(tx, data, size, &to, plain);
    pthread_mutex_unlock(&tx->lock);
    return done;
}

ta_status ta_tx_install(ta_tx *tx, const ta_seal_config *keys) {
    if (!tx->encrypted)
        return TA_EINVAL;
    pthread_mutex_lock(&tx->lock);
    const ta_status status = ta_seal_install(tx->seal, keys);
    pthread_mutex_unlock(&tx->lock);
    return status;
}

void ta_tx_forget_keys(ta_tx *tx) {
    if (!tx->encrypted)
        return;
    pthread_mutex_lock(&tx->lock);
    ta_seal_forget(tx->seal);
    pthread_mutex_unlock(&tx->lock);
}

ta_status ta_tx_set_peer(ta_tx *tx, const char *host, uint16_t port) {
    ta_address peer;
    const ta_status status = ta_resolve(&peer, tx->family, host, port);
    if (status != TA_OK)
        return status;
    pthread_mutex_lock(&tx->lock);
    tx->peer = peer;
    tx->has_new_peer = false;
    pthread_mutex_unlock(&tx->lock);
    return TA_OK;
}

bool ta_tx_new_peer(ta_tx *tx, ta_address *out) {
    pthread_mutex_lock(&tx->lock);
    const bool news = tx->has_new_peer;
    tx->has_new_peer = false;
    *out = tx->new_peer;
    pthread_mutex_unlock(&tx->lock);
    return news;
}

bool ta_tx_take_control(ta_tx *tx, ta_control *out) {
    pthread_mutex_lock(&tx->lock);
    bool got = ta_control_ring_take(&tx->control, out);
    pthread_mutex_unlock(&tx->lock);
    return got;
}

bool ta_tx_sent(ta_tx *tx, ta_sent *out) {
    pthread_mutex_lock(&tx->lock);
    const bool valid = ta_send_queue_last_sent(tx->queue, out);
    pthread_mutex_unlock(&tx->lock);
    return valid;
}

void ta_tx_stats_get(ta_tx *tx, ta_tx_stats *out) {
    pthread_mutex_lock(&tx->lock);
    *out = tx->stats;
    out->packets_sealed = tx->seal ? ta_seal_packets_sealed(tx->seal) : 0;
    out->out = *ta_send_queue_stats_get(tx->queue);
    pthread_mutex_unlock(&tx->lock);
}

int ta_tx_eventfd(const ta_tx *tx) { return tx->control.eventfd; }
uint16_t ta_tx_port(const ta_tx *tx) { return tx->port; }
const char *ta_tx_note(const ta_tx *tx, size_t index) { return ta_notes_get(&tx->notes, index); }

void ta_tx_stop(ta_tx *tx) {
    if (tx->thread_started) {
        atomic_store(&tx->stop, true);
        ta_wake(tx->wake_fd);
        pthread_join(tx->thread, NULL);
        tx->thread_started = false;
    }
    pthread_mutex_lock(&tx->lock);
    tx->media = false;
    ta_send_queue_reset(tx->queue);
    if (tx->fd >= 0)
        close(tx->fd);
    tx->fd = -1;
    pthread_mutex_unlock(&tx->lock);
}

void ta_tx_close(ta_tx **handle) {
    ta_tx *tx = *handle;
    if (!tx)
        return;
    *handle = NULL;
    ta_tx_stop(tx);
    if (tx->wake_fd >= 0)
        close(tx->wake_fd);
    ta_control_ring_close(&tx->control);
    ta_send_queue_close(&tx->queue);
    ta_seal_close(&tx->seal);
    free(tx->sealed_packets);
    pthread_mutex_destroy(&tx->lock);
    free(tx);
}
