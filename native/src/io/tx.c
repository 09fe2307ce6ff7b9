/* Sending pump. push() packetizes into a ring and sends the first group itself, so that an unpaced frame never waits for a
 * thread, and lets the kernel cut equal packets out of one message; the thread sends the groups that pacing holds back, answers clock probes and collects control datagrams. */
#include "thinair/io.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sys.h"

enum { RING = 2048, BATCH = 64, MAX_SEGMENTS = 44, MAX_MESSAGE = 65000, CONTROL_SPACE = CMSG_SPACE(sizeof(uint16_t)) };
enum { PROBE_SIZE = 32, ECHO_SIZE = 48, DEVICE_FULL_US = 500 };

static const uint8_t AUD_TAIL[6] = {0, 0, 0, 1, 0x09, 0xf0};

typedef struct packet {
    uint16_t size;
    bool first, last; /* of its frame */
    uint32_t frame_id;
    uint64_t capture_us;
    uint8_t data[TA_MAX_PACKET];
} packet;

struct ta_tx {
    ta_mode mode;
    int fd, family, wake_fd;
    uint16_t port;
    ta_address peer;
    ta_packetizer *packetizer;
    uint32_t pace_group, pace_us;
    size_t max_packet;
    pthread_t thread;
    bool thread_started;
    atomic_bool stop;
    ta_notes notes;

    pthread_mutex_t lock; /* all below */
    packet *ring;         /* RING packets, first in first out */
    size_t head, count;
    uint64_t next_group_us;
    bool segments; /* the kernel cuts one message into packets */
    bool blocked; /* the socket's buffer is full: wait for POLLOUT */
    bool media;
    uint64_t cookie, boot_id;
    uint64_t first_send_us; /* of the frame being sent */
    ta_sent sent;
    bool sent_valid;
    ta_tx_stats stats;
    ta_control_ring control;
};

/* A message the kernel cuts into packets (udp(7), UDP_SEGMENT): all of one size but the last, which may be shorter. Returns how
 * many of the packets from `at` on, at most `limit`, it holds. */
static size_t fill_message(ta_tx *tx, size_t at, size_t limit, struct msghdr *message, struct iovec *vectors,
                           char *control) {
    const size_t segment = tx->ring[at % RING].size;
    size_t n = 0, bytes = 0, size = segment;
    limit = !tx->segments ? 1 : limit < MAX_SEGMENTS ? limit : MAX_SEGMENTS;
    while (n < limit && size == segment) { /* a shorter one was the last */
        packet *p = &tx->ring[(at + n) % RING];
        if (p->size > segment || bytes + p->size > MAX_MESSAGE)
            break;
        size = p->size;
        bytes += size;
        vectors[n++] = (struct iovec){p->data, size};
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

/* The first `n` packets have been handed to the kernel. */
static void drop_sent(ta_tx *tx, size_t n, uint64_t before_us, uint64_t after_us) {
    for (size_t i = 0; i < n; i++) {
        const packet *p = &tx->ring[(tx->head + i) % RING];
        tx->stats.bytes += p->size;
        if (p->first)
            tx->first_send_us = before_us;
        if (p->last) {
            tx->sent = (ta_sent){p->frame_id, p->capture_us, tx->first_send_us, after_us};
            tx->sent_valid = true;
        }
    }
    tx->head = (tx->head + n) % RING;
    tx->count -= n;
}

/* Sends up to `limit` packets from the head of the ring. Called with the lock held. */
static void send_some(ta_tx *tx, size_t limit) {
    while (limit > 0 && tx->count > 0) {
        struct mmsghdr messages[BATCH];
        struct iovec vectors[BATCH];
        _Alignas(struct cmsghdr) char control[BATCH][CONTROL_SPACE];
        size_t held[BATCH], count = 0, filled = 0, most = tx->count < limit ? tx->count : limit;
        most = most < BATCH ? most : BATCH;
        for (; filled < most; filled += held[count++])
            held[count] = fill_message(tx, tx->head + filled, most - filled, &messages[count].msg_hdr, vectors + filled,
                                       control[count]);
        const uint64_t before_us = ta_now_us();
        const int done = sendmmsg(tx->fd, messages, (unsigned)count, MSG_DONTWAIT);
        size_t left = 0;
        if (done < 0 && errno == EAGAIN) {
            tx->blocked = true;
            return;
        }
        if (done < 0 && errno == ENOBUFS) { /* the device's queue is full, which poll() does not tell */
            tx->next_group_us = before_us + DEVICE_FULL_US;
            return;
        }
        if (done < 0 && held[0] > 1) { /* this path cannot cut messages: one by one from now on */
            tx->segments = false;
            continue;
        }
        if (done < 0) { /* no route, link down: this packet is lost, the next may not be */
            tx->stats.send_errors++;
            left = 1;
        }
        for (int i = 0; i < done; i++)
            left += held[i];
        tx->stats.packets += done < 0 ? 0 : left;
        drop_sent(tx, left, before_us, ta_now_us());
        limit -= left;
    }
}

static void send_due(ta_tx *tx, uint64_t now_us) {
    if (tx->count == 0 || now_us < tx->next_group_us)
        return;
    tx->next_group_us = now_us + tx->pace_us;
    send_some(tx, tx->pace_us ? tx->pace_group : RING);
}

/* docs/wire-protocol.md, subtypes 3 and 4. Answers only who knows the cookie; the answer goes to the peer alone. */
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
    memcpy(echo + 4, data + 4, 8); /* SSRC and name */
    memcpy(echo + 12, data + 12, 12); /* probe id, t1 */
    uint64_t words[3] = {arrival_us, ta_now_us(), tx->boot_id};
    for (int w = 0; w < 3; w++)
        for (int i = 0; i < 8; i++)
            echo[24 + 8 * w + i] = (uint8_t)(words[w] >> (56 - 8 * i));
    sendto(tx->fd, echo, sizeof echo, MSG_DONTWAIT, (struct sockaddr *)&tx->peer.storage, tx->peer.size);
    tx->stats.probes++;
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
        ssize_t size = recvmsg(tx->fd, &message, MSG_DONTWAIT);
        if (size < 0)
            return;
        from.size = message.msg_namelen;
        uint64_t arrival_us = ta_arrival_us(&message, ta_now_us(), ta_realtime_ns());
        pthread_mutex_lock(&tx->lock);
        bool known = ta_address_equal(&from, &tx->peer) && ta_is_rtcp(data, (size_t)size) &&
                     !(message.msg_flags & MSG_TRUNC);
        if (!known || (!answer_probe(tx, data, (size_t)size, arrival_us) &&
                       !ta_control_ring_put(&tx->control, data, (size_t)size, arrival_us, &from)))
            tx->stats.control_drops++;
        pthread_mutex_unlock(&tx->lock);
    }
}

static void *run(void *argument) {
    ta_tx *tx = argument;
    while (!atomic_load(&tx->stop)) {
        pthread_mutex_lock(&tx->lock);
        uint64_t now_us = ta_now_us();
        if (!tx->blocked)
            send_due(tx, now_us);
        bool blocked = tx->blocked;
        int64_t wait_us = -1;
        if (tx->count > 0 && !blocked)
            wait_us = tx->next_group_us > now_us ? (int64_t)(tx->next_group_us - now_us) : 0;
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
    status = ta_resolve(&tx->peer, tx->family, config->host, config->port);
    if (status != TA_OK)
        return status;
    /* CS5, then priority 5: IP_TOS sets the socket's priority by a table of its own that puts CS5 elsewhere than WMM's video
     * class, so the order matters. */
    int tos = 40 << 2, priority = 5, buffer = 1 << 20;
    if (setsockopt(tx->fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos) < 0)
        ta_note(&tx->notes, "DSCP CS5 refused (%s)", strerror(errno));
    if (tx->family == AF_INET6 && setsockopt(tx->fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos) < 0)
        ta_note(&tx->notes, "DSCP CS5 for IPv6 refused (%s)", strerror(errno));
    if (setsockopt(tx->fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority) < 0)
        ta_note(&tx->notes, "socket priority 5 refused (%s)", strerror(errno));
    setsockopt(tx->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    int off = 0; /* per message, where asked for; the call tells whether the kernel knows it */
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
    tx->pace_group = config->pace_group ? config->pace_group : 1;
    tx->pace_us = config->pace_us;
    tx->max_packet = config->packets.max_packet;
    tx->media = config->mode != TA_MODE_THINAIR;
    ta_packetizer_config packets = config->packets;
    packets.elements = config->mode == TA_MODE_THINAIR;
    ta_status status = ta_packetizer_open(&tx->packetizer, &packets);
    if (status == TA_OK)
        status = open_socket(tx, config);
    if (status == TA_OK)
        status = ta_control_ring_open(&tx->control);
    if (status == TA_OK && !(tx->ring = calloc(RING, sizeof *tx->ring)))
        status = TA_ENOMEM;
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

static packet *ring_tail(ta_tx *tx) { return &tx->ring[(tx->head + tx->count) % RING]; }

static ta_status queue_rtp(ta_tx *tx, const uint8_t *au, size_t size, const ta_frame_meta *meta) {
    ta_frame_meta told = *meta;
    if (tx->sent_valid)
        told.sent = tx->sent;
    ta_status status = ta_packetizer_push(tx->packetizer, au, size, &told);
    if (status != TA_OK)
        return status;
    size_t n = ta_packetizer_count(tx->packetizer);
    bool room = n <= RING - tx->count;
    packet spare;
    for (size_t i = 0; i < n; i++) { /* without room the plan is drained all the same: sequence numbers show the hole */
        packet *p = room ? ring_tail(tx) : &spare;
        size_t written = 0;
        if (ta_packetizer_next(tx->packetizer, p->data, sizeof p->data, &written) != TA_OK)
            break;
        p->size = (uint16_t)written;
        p->first = i == 0;
        p->last = i + 1 == n;
        p->frame_id = meta->frame_id;
        p->capture_us = meta->stamps.capture_us;
        tx->count += room;
    }
    return room ? TA_OK : TA_ETOOBIG;
}

static ta_status queue_annexb(ta_tx *tx, const uint8_t *au, size_t size, const ta_frame_meta *meta) {
    size_t total = size + sizeof AUD_TAIL, n = (total + tx->max_packet - 1) / tx->max_packet, at = 0;
    if (n > RING - tx->count)
        return TA_ETOOBIG;
    for (size_t i = 0; i < n; i++) {
        packet *p = ring_tail(tx);
        size_t part = total - at < tx->max_packet ? total - at : tx->max_packet;
        for (size_t k = 0; k < part;) { /* unit, then its tail */
            const uint8_t *from = at < size ? au + at : AUD_TAIL + (at - size);
            size_t run_length = at < size ? size - at : total - at;
            run_length = run_length < part - k ? run_length : part - k;
            memcpy(p->data + k, from, run_length);
            k += run_length;
            at += run_length;
        }
        p->size = (uint16_t)part;
        p->first = i == 0;
        p->last = i + 1 == n;
        p->frame_id = meta->frame_id;
        p->capture_us = meta->stamps.capture_us;
        tx->count++;
    }
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
    size_t before = tx->count;
    status = tx->mode == TA_MODE_ANNEXB ? queue_annexb(tx, au, size, meta) : queue_rtp(tx, au, size, meta);
    if (status == TA_ETOOBIG)
        tx->stats.queue_full++;
    if (status != TA_OK)
        goto done;
    *packets = tx->count - before;
    tx->stats.frames++;
    if (!tx->blocked)
        send_due(tx, ta_now_us());
    if (tx->count > 0)
        ta_wake(tx->wake_fd);
done:
    pthread_mutex_unlock(&tx->lock);
    return status;
}

void ta_tx_allow_media(ta_tx *tx, bool allowed) {
    pthread_mutex_lock(&tx->lock);
    tx->media = allowed;
    if (!allowed) { /* what waits would be stale when the peer is back */
        tx->count = 0;
        tx->sent_valid = false;
    }
    pthread_mutex_unlock(&tx->lock);
}

void ta_tx_set_cookie(ta_tx *tx, uint64_t cookie, uint64_t boot_id) {
    pthread_mutex_lock(&tx->lock);
    tx->cookie = cookie;
    tx->boot_id = boot_id;
    pthread_mutex_unlock(&tx->lock);
}

bool ta_tx_send_control(ta_tx *tx, const uint8_t *data, size_t size) {
    pthread_mutex_lock(&tx->lock);
    ssize_t done = sendto(tx->fd, data, size, MSG_DONTWAIT, (struct sockaddr *)&tx->peer.storage, tx->peer.size);
    pthread_mutex_unlock(&tx->lock);
    return done == (ssize_t)size;
}

bool ta_tx_take_control(ta_tx *tx, ta_control *out) {
    pthread_mutex_lock(&tx->lock);
    bool got = ta_control_ring_take(&tx->control, out);
    pthread_mutex_unlock(&tx->lock);
    return got;
}

bool ta_tx_sent(ta_tx *tx, ta_sent *out) {
    pthread_mutex_lock(&tx->lock);
    bool valid = tx->sent_valid;
    *out = tx->sent;
    pthread_mutex_unlock(&tx->lock);
    return valid;
}

void ta_tx_stats_get(ta_tx *tx, ta_tx_stats *out) {
    pthread_mutex_lock(&tx->lock);
    *out = tx->stats;
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
    tx->count = 0;
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
    ta_packetizer_close(&tx->packetizer);
    free(tx->ring);
    pthread_mutex_destroy(&tx->lock);
    free(tx);
}
