/* Receiving pump: datagrams in with their kernel timestamps, complete access units out into a ring of slots that Python
 * reads in place. A slot keeps the pump's memory alive, so a unit may outlive the pump. */
#include "thinair/clock.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "rx_private.h"

enum { BATCH = 64, DATAGRAM = 65536 };

static ta_status next_unit(ta_rx *rx, uint64_t now_us, ta_slot *slot) {
    return rx->mode == TA_MODE_ANNEXB ? ta_annexb_stream_next(rx->stream, now_us, slot->data, rx->max_au, &slot->info)
                                      : ta_reassembler_next(rx->frames, now_us, slot->data, rx->max_au, &slot->info);
}

static uint64_t deadline(const ta_rx *rx) {
    return rx->mode == TA_MODE_ANNEXB ? ta_annexb_stream_deadline(rx->stream) : ta_reassembler_deadline(rx->frames);
}

static ta_slot *free_slot(ta_rx *rx) {
    for (uint32_t i = 0; i < rx->slot_count; i++)
        if (rx->slots[i].state == SLOT_FREE)
            return &rx->slots[i];
    return NULL;
}

/* Discards all waiting units: nobody takes them, they are stale, and the decoder needs a key frame anyway. */
static void drop_waiting(ta_rx *rx) {
    rx->drops[TA_DROP_QUEUE_FULL] += rx->queue_count;
    rx->unreported_lost += (uint32_t)rx->queue_count;
    for (; rx->queue_count > 0; rx->queue_count--) {
        rx->unreported_lost += rx->queue[rx->queue_head]->info.lost_before;
        rx->queue[rx->queue_head]->state = SLOT_FREE;
        rx->queue_head = (rx->queue_head + 1) % MAX_SLOTS;
    }
}

/* Moves completed units into the ring and requests what can still be repaired. While Python holds every slot, the
 * reassembler keeps the rest, bounded. */
static void deliver(ta_rx *rx, uint64_t now_us) {
    bool any = false;
    ta_slot *slot;
    uint8_t request[TA_MAX_REQUEST];
    size_t size;
    const uint64_t given_up = rx->repair ? ta_reassembler_drops(rx->frames)[TA_DROP_INCOMPLETE] : 0;
    while (rx->repair && ta_reassembler_request(rx->frames, now_us, request, &size) == TA_OK)
        ta_rx_send_one(rx, request, size, &rx->peer);
    while ((slot = free_slot(rx)) && next_unit(rx, now_us, slot) == TA_OK) {
        rx->stats.frames++;
        rx->stats.lost_frames += slot->info.lost_before;
        slot->state = SLOT_READY;
        if (!free_slot(rx)) /* it is in the spare slot */
            drop_waiting(rx);
        if (rx->unreported_lost > 0 || rx->unreported_gap) {
            slot->info.lost_before += rx->unreported_lost;
            slot->info.flags |= TA_AU_GAP;
            rx->unreported_lost = 0;
            rx->unreported_gap = false;
        }
        rx->queue[(rx->queue_head + rx->queue_count++) % MAX_SLOTS] = slot;
        any = true;
    }
    if (any)
        pthread_cond_signal(&rx->ready);
    if (rx->repair && ta_reassembler_drops(rx->frames)[TA_DROP_INCOMPLETE] > given_up)
        ta_wake(rx->control.eventfd); /* a key frame can be requested before the next unit */
}

/* A message may hold several datagrams of one size, the last one shorter (udp(7), UDP_GRO). */
static void take_message(ta_rx *rx, struct msghdr *message, size_t size, uint64_t arrival_us, const ta_address *from) {
    const uint8_t *data = message->msg_iov->iov_base;
    size_t segment = size;
    rx->drops[TA_DROP_SHORT] += size == 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        uint32_t value;
        if (c->cmsg_len < CMSG_LEN(sizeof value))
            continue;
        memcpy(&value, CMSG_DATA(c), sizeof value);
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO && value > 0)
            segment = value;
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
            rx->stats.kernel_drops = value;
    }
    for (size_t at = 0; at < size; at += segment) {
        const size_t part = size - at < segment ? size - at : segment;
        if (rx->encrypted)
            ta_rx_take_sealed(rx, data + at, part, arrival_us, from);
        else if (rx->mode == TA_MODE_ANNEXB || !ta_is_rtcp(data + at, part))
            ta_rx_take_media(rx, data + at, part, arrival_us, from);
        else
            ta_rx_put_control(rx, data + at, part, arrival_us, from);
    }
}

/* Takes all that lies in the socket. What is missing is judged as of the moment up to which nothing that came is left
 * there, so that a thread that was kept waiting neither asks for nor gives up what only it is late for. Returns that
 * moment. */
static uint64_t receive(ta_rx *rx) {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    ta_address from[BATCH];
    _Alignas(struct cmsghdr) char control[BATCH][128];
    uint64_t taken_us;
    int n;
    do {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){rx->datagrams + (size_t)i * DATAGRAM, DATAGRAM};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i].storage,
                                                  .msg_namelen = sizeof from[i].storage,
                                                  .msg_iov = &vectors[i],
                                                  .msg_iovlen = 1,
                                                  .msg_control = control[i],
                                                  .msg_controllen = sizeof control[i]};
        }
        taken_us = ta_now_us();
        n = recvmmsg(rx->fd, messages, BATCH, MSG_DONTWAIT, NULL);
        const uint64_t now_us = ta_now_us(), wall_ns = ta_realtime_ns();
        pthread_mutex_lock(&rx->lock);
        for (int i = 0; i < n; i++) {
            const uint64_t arrival_us = ta_arrival_us(&messages[i].msg_hdr, now_us, wall_ns);
            from[i].size = messages[i].msg_hdr.msg_namelen;
            take_message(rx, &messages[i].msg_hdr, messages[i].msg_len, arrival_us, &from[i]);
            taken_us = n == BATCH || arrival_us > taken_us ? arrival_us : taken_us;
        }
        deliver(rx, taken_us);
        pthread_mutex_unlock(&rx->lock);
    } while (n == BATCH && !atomic_load(&rx->stop));
    return taken_us;
}

static void *run(void *argument) {
    ta_rx *rx = argument;
    uint64_t taken_us = ta_now_us();
    while (!atomic_load(&rx->stop)) {
        pthread_mutex_lock(&rx->lock);
        const uint64_t due_us = deadline(rx), now_us = ta_now_us();
        pthread_mutex_unlock(&rx->lock);
        uint64_t wait_us = due_us > now_us ? due_us - now_us : 0;
        if (due_us <= taken_us)
            wait_us = 1000; /* only where every slot is taken does it stay due */
        struct pollfd fds[2] = {{.fd = rx->fd, .events = POLLIN}, {.fd = rx->wake_fd, .events = POLLIN}};
        struct timespec timeout = {.tv_sec = (time_t)(wait_us / 1000000u),
                                   .tv_nsec = (long)(wait_us % 1000000u) * 1000};
        if (ppoll(fds, 2, due_us == UINT64_MAX ? NULL : &timeout, NULL) < 0)
            continue;
        if (fds[1].revents)
            ta_clear(rx->wake_fd);
        taken_us = receive(rx);
    }
    return NULL;
}

static void free_all(ta_rx *rx) {
    for (uint32_t i = 0; i < rx->slot_count; i++)
        free(rx->slots[i].data);
    pthread_cond_destroy(&rx->ready);
    pthread_mutex_destroy(&rx->lock);
    free(rx);
}

static ta_status open_parts(ta_rx *rx, const ta_rx_config *config) {
    ta_status status = ta_udp_open(&rx->fd, &rx->family, config->host, config->port, &rx->port);
    if (status != TA_OK)
        return status;
    int requested = config->receive_buffer, on = 1;
    setsockopt(rx->fd, SOL_UDP, UDP_GRO, &on, sizeof on); /* fewer, larger messages, where the kernel can */
    if (setsockopt(rx->fd, SOL_SOCKET, SO_RCVBUFFORCE, &requested, sizeof requested) < 0)
        setsockopt(rx->fd, SOL_SOCKET, SO_RCVBUF, &requested, sizeof requested);
    socklen_t size = sizeof rx->stats.receive_buffer;
    getsockopt(rx->fd, SOL_SOCKET, SO_RCVBUF, &rx->stats.receive_buffer, &size);
    rx->stats.receive_buffer /= 2; /* the kernel doubles it for its bookkeeping */
    if (rx->stats.receive_buffer < requested)
        ta_note(&rx->notes, "receive buffer %d of %d bytes: raise net.core.rmem_max", rx->stats.receive_buffer,
                requested);
    if ((rx->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
        return TA_ESYS;
    if (!(rx->datagrams = malloc((size_t)BATCH * DATAGRAM)))
        return TA_ENOMEM;
    for (uint32_t i = 0; i < config->slots + 1; i++, rx->slot_count++) {
        rx->slots[i].rx = rx;
        if (!(rx->slots[i].data = malloc(rx->max_au)))
            return TA_ENOMEM;
    }
    if (rx->encrypted && !(rx->invites = calloc(INVITES, sizeof *rx->invites)))
        return TA_ENOMEM;
    status = rx->encrypted ? ta_seal_open(&rx->seal) : TA_OK;
    if (status == TA_OK && config->log_packets)
        status = ta_rx_open_packets(rx);
    if (status == TA_OK)
        status = ta_control_ring_open(&rx->control);
    if (status == TA_OK)
        status = config->mode == TA_MODE_ANNEXB ? ta_annexb_stream_open(&rx->stream, &config->stream)
                                                : ta_reassembler_open(&rx->frames, &config->frames);
    return status;
}

ta_status ta_rx_open(ta_rx **out, const ta_rx_config *config) {
    *out = NULL;
    if (config->slots < 2 || config->slots >= MAX_SLOTS || (config->encrypted && config->mode != TA_MODE_THINAIR))
        return TA_EINVAL;
    ta_rx *rx = calloc(1, sizeof *rx);
    if (!rx)
        return TA_ENOMEM;
    rx->mode = config->mode;
    rx->encrypted = config->encrypted;
    rx->repair = config->mode == TA_MODE_THINAIR && config->frames.repair_timeout_us > 0;
    rx->fd = rx->wake_fd = -1;
    rx->references = 1;
    rx->max_au = config->mode == TA_MODE_ANNEXB ? config->stream.max_au : config->frames.max_au;
    pthread_mutex_init(&rx->lock, NULL);
    pthread_condattr_t attribute;
    pthread_condattr_init(&attribute);
    pthread_condattr_setclock(&attribute, CLOCK_MONOTONIC);
    pthread_cond_init(&rx->ready, &attribute);
    pthread_condattr_destroy(&attribute);
    ta_status status = open_parts(rx, config);
    if (status == TA_OK)
        status = ta_thread_start(&rx->thread, run, rx, config->priority, "thinair-rx", &rx->notes);
    if (status != TA_OK) {
        int saved = errno;
        ta_rx_close(&rx);
        errno = saved;
        return status;
    }
    rx->thread_started = true;
    *out = rx;
    return TA_OK;
}

ta_status ta_rx_wait(ta_rx *rx, uint64_t timeout_us, ta_slot **slot, const ta_au_info **info, const uint8_t **data) {
    uint64_t until_us = ta_now_us() + timeout_us;
    struct timespec t = {.tv_sec = (time_t)(until_us / 1000000u), .tv_nsec = (long)(until_us % 1000000u) * 1000};
    ta_status status = TA_AGAIN;
    pthread_mutex_lock(&rx->lock);
    while (rx->queue_count == 0 && !atomic_load(&rx->stop))
        if (pthread_cond_timedwait(&rx->ready, &rx->lock, &t) != 0)
            break;
    if (rx->queue_count > 0) {
        ta_slot *taken = rx->queue[rx->queue_head];
        rx->queue_head = (rx->queue_head + 1) % MAX_SLOTS;
        rx->queue_count--;
        taken->state = SLOT_TAKEN;
        rx->references++;
        *slot = taken;
        *info = &taken->info;
        *data = taken->data;
        status = TA_OK;
    }
    pthread_mutex_unlock(&rx->lock);
    return status;
}

void ta_rx_release(ta_slot *slot) {
    ta_rx *rx = slot->rx;
    pthread_mutex_lock(&rx->lock);
    slot->state = SLOT_FREE;
    bool last = --rx->references == 0;
    pthread_mutex_unlock(&rx->lock);
    if (last)
        free_all(rx);
}

ta_status ta_rx_accept(ta_rx *rx, const char *host, uint16_t port, uint32_t ssrc, uint32_t own_ssrc, uint64_t cookie) {
    ta_address peer;
    ta_status status = ta_resolve(&peer, rx->family, host, port);
    if (status != TA_OK || rx->mode == TA_MODE_ANNEXB)
        return status;
    pthread_mutex_lock(&rx->lock);
    ta_rx_forget_frames(rx);
    rx->peer = peer;
    rx->ssrc = ssrc;
    rx->have_peer = true;
    if (rx->repair)
        ta_reassembler_peer(rx->frames, own_ssrc, cookie);
    pthread_mutex_unlock(&rx->lock);
    return TA_OK;
}

bool ta_rx_send_control(ta_rx *rx, const uint8_t *data, size_t size, const char *host, uint16_t port) {
    ta_address to;
    if (ta_resolve(&to, rx->family, host, port) != TA_OK)
        return false;
    pthread_mutex_lock(&rx->lock);
    const bool done = ta_rx_send_one(rx, data, size, &to);
    pthread_mutex_unlock(&rx->lock);
    return done;
}

size_t ta_rx_arrivals(ta_rx *rx, ta_arrival *out, size_t limit) {
    pthread_mutex_lock(&rx->lock);
    uint64_t held = rx->arrival_count < ARRIVALS ? rx->arrival_count : ARRIVALS;
    size_t n = held < limit ? (size_t)held : limit;
    for (size_t i = 0; i < n; i++)
        out[i] = rx->arrivals[(rx->arrival_count - n + i) % ARRIVALS];
    pthread_mutex_unlock(&rx->lock);
    return n;
}

void ta_rx_progress(ta_rx *rx, uint64_t *last_media_us, uint64_t *frames) {
    pthread_mutex_lock(&rx->lock);
    *last_media_us = rx->last_media_us;
    *frames = rx->stats.frames;
    pthread_mutex_unlock(&rx->lock);
}

void ta_rx_timing(ta_rx *rx, uint32_t interval_us, uint32_t rtt_us, uint32_t queue_us) {
    pthread_mutex_lock(&rx->lock);
    if (rx->repair)
        ta_reassembler_timing(rx->frames, interval_us, rtt_us, queue_us);
    pthread_mutex_unlock(&rx->lock);
}

size_t ta_rx_frames(ta_rx *rx, ta_frame_report *decided, size_t limit, ta_frame_report *newest, bool *any,
                    uint32_t *newest_id, uint16_t *outcomes, uint32_t *answer_us) {
    size_t n = 0;
    *any = false;
    *newest_id = *outcomes = 0;
    *answer_us = 0;
    pthread_mutex_lock(&rx->lock);
    if (rx->repair) {
        n = ta_reassembler_reports(rx->frames, decided, limit);
        *any = ta_reassembler_newest(rx->frames, newest);
        *outcomes = ta_reassembler_outcomes(rx->frames, newest_id);
        *answer_us = ta_reassembler_answer_us(rx->frames);
    }
    pthread_mutex_unlock(&rx->lock);
    return n;
}

void ta_rx_recovery(ta_rx *rx, ta_recovery_stats *out) {
    *out = (ta_recovery_stats){0};
    pthread_mutex_lock(&rx->lock);
    if (rx->repair)
        ta_reassembler_recovery(rx->frames, out);
    pthread_mutex_unlock(&rx->lock);
}

void ta_rx_drops(ta_rx *rx, uint64_t out[TA_DROP_COUNT]) {
    pthread_mutex_lock(&rx->lock);
    const uint64_t *inner =
        rx->mode == TA_MODE_ANNEXB ? ta_annexb_stream_drops(rx->stream) : ta_reassembler_drops(rx->frames);
    for (int i = 0; i < TA_DROP_COUNT; i++)
        out[i] = rx->drops[i] + inner[i];
    pthread_mutex_unlock(&rx->lock);
}

void ta_rx_stats_get(ta_rx *rx, ta_rx_stats *out) {
    pthread_mutex_lock(&rx->lock);
    *out = rx->stats;
    out->packets_sealed = rx->seal ? ta_seal_packets_sealed(rx->seal) : 0;
    pthread_mutex_unlock(&rx->lock);
}

int ta_rx_eventfd(const ta_rx *rx) { return rx->control.eventfd; }
uint16_t ta_rx_port(const ta_rx *rx) { return rx->port; }
const char *ta_rx_note(const ta_rx *rx, size_t index) { return ta_notes_get(&rx->notes, index); }

void ta_rx_stop(ta_rx *rx) {
    if (rx->thread_started) {
        atomic_store(&rx->stop, true);
        ta_wake(rx->wake_fd);
        pthread_mutex_lock(&rx->lock);
        pthread_cond_broadcast(&rx->ready);
        pthread_mutex_unlock(&rx->lock);
        pthread_join(rx->thread, NULL);
        rx->thread_started = false;
    }
    pthread_mutex_lock(&rx->lock);
    if (rx->fd >= 0)
        close(rx->fd);
    rx->fd = -1;
    pthread_mutex_unlock(&rx->lock);
}

void ta_rx_close(ta_rx **handle) {
    ta_rx *rx = *handle;
    if (!rx)
        return;
    *handle = NULL;
    ta_rx_stop(rx);
    if (rx->wake_fd >= 0)
        close(rx->wake_fd);
    ta_control_ring_close(&rx->control);
    ta_reassembler_close(&rx->frames);
    ta_annexb_stream_close(&rx->stream);
    ta_seal_close(&rx->seal);
    free(rx->invites);
    free(rx->packet_log);
    free(rx->datagrams);
    pthread_mutex_lock(&rx->lock);
    bool last = --rx->references == 0;
    pthread_mutex_unlock(&rx->lock);
    if (last)
        free_all(rx);
}
