/* The receiving pump in virtual time, over a real socket: time passes only while its thread waits. */
#include "check.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../src/io/sys.h"
#include "thinair/rx.h"

enum { SSRC = 0x11223344, OWN_SSRC = 5, SIZE = 9000, HANG_US = 60000000 };

static atomic_uint_least64_t clock_us;
static atomic_int timeouts; /* that may pass; then the thread waits for a datagram */
static atomic_bool late;    /* the rest of the frame comes while the thread has yet to wake from its next timeout */
static int sender;
static struct sockaddr_in receiver;
static uint8_t packets[16][TA_MAX_PACKET];
static size_t sizes[16], count;
static atomic_size_t sent;

static void send_up_to(size_t end) {
    for (size_t i; (i = sent) < end;) {
        sent = i + 1; /* before the pump is told: its thread sends the rest */
        sendto(sender, packets[i], sizes[i], 0, (const struct sockaddr *)&receiver, sizeof receiver);
    }
}

uint64_t __real_ta_now_us(void);
uint64_t __wrap_ta_now_us(void);
uint64_t __wrap_ta_now_us(void) { return atomic_load(&clock_us); }

uint64_t __wrap_ta_arrival_us(struct msghdr *message, uint64_t monotonic_us, uint64_t realtime_ns);
uint64_t __wrap_ta_arrival_us(struct msghdr *message, uint64_t monotonic_us, uint64_t realtime_ns) {
    (void)message, (void)realtime_ns;
    return monotonic_us;
}

int __real_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask) {
    const bool passes = timeout && atomic_load(&timeouts) > 0;
    const int ready = __real_ppoll(fds, n, passes ? &(struct timespec){0} : NULL, mask);
    if (ready != 0)
        return ready;
    atomic_fetch_sub(&timeouts, 1);
    atomic_fetch_add(&clock_us, (uint64_t)timeout->tv_sec * 1000000 + (uint64_t)timeout->tv_nsec / 1000);
    if (atomic_exchange(&late, false))
        send_up_to(count);
    return 0;
}

static void make_frame(void) {
    static uint8_t unit[SIZE] = {0, 0, 0, 1, 0x65};
    const ta_packetizer_config config = {
        .payload_type = 96, .ssrc = SSRC, .first_seq = 1, .max_packet = 1200, .elements = true};
    ta_packetizer *p;
    memset(unit + 5, 0x55, sizeof unit - 5);
    CHECK(ta_packetizer_open(&p, &config) == TA_OK);
    CHECK(ta_packetizer_push(p, unit, sizeof unit, &(ta_frame_meta){.frame_id = 1, .key = true}) == TA_OK);
    for (count = sent = 0; ta_packetizer_next(p, packets[count], TA_MAX_PACKET, &sizes[count]) == TA_OK;)
        count++;
    CHECK(count > 2);
    ta_packetizer_close(&p);
}

static ta_rx *opened(void) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof own;
    const struct timeval hang = {.tv_sec = HANG_US / 1000000};
    const ta_rx_config config = {
        .host = "127.0.0.1",
        .slots = 2,
        .receive_buffer = 1 << 17,
        .frames = {
            .payload_type = 96, .elements = true, .window_frames = 8, .max_au = 1 << 16, .repair_timeout_us = 1000000}};
    ta_rx *rx = NULL;
    make_frame();
    sender = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(sender, (struct sockaddr *)&own, size) == 0 && getsockname(sender, (struct sockaddr *)&own, &size) == 0);
    CHECK(setsockopt(sender, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof hang) == 0);
    CHECK(ta_rx_open(&rx, &config) == TA_OK);
    receiver = own;
    receiver.sin_port = htons(ta_rx_port(rx));
    CHECK(ta_rx_accept(rx, "127.0.0.1", ntohs(own.sin_port), SSRC, OWN_SSRC, 7) == TA_OK);
    return rx;
}

static void comes_whole(ta_rx *rx) {
    ta_slot *slot = NULL;
    const ta_au_info *info;
    const uint8_t *data;
    CHECK(ta_rx_wait(rx, HANG_US, &slot, &info, &data) == TA_OK && info->size == SIZE && !info->repaired);
    if (slot)
        ta_rx_release(slot);
}

static uint64_t requests_of(ta_rx *rx) {
    ta_recovery_stats stats;
    ta_rx_recovery(rx, &stats);
    return stats.requests;
}

static void closed(ta_rx *rx) {
    ta_rx_close(&rx);
    close(sender);
}

static void nothing_is_asked_for_that_came_while_the_thread_was_kept_from_waking(void) {
    ta_rx *rx = opened();
    atomic_store(&late, true);
    atomic_store(&timeouts, 1);
    send_up_to(1);
    comes_whole(rx);
    CHECK(requests_of(rx) == 0);
    closed(rx);
}

static void what_has_not_come_in_its_time_is_asked_for(void) {
    uint8_t request[TA_MAX_REQUEST];
    ta_rx *rx = opened();
    atomic_store(&timeouts, 1);
    send_up_to(1);
    CHECK(recv(sender, request, sizeof request, 0) > 20);
    send_up_to(count);
    comes_whole(rx);
    CHECK(requests_of(rx) > 0);
    closed(rx);
}

int main(void) {
    clock_us = __real_ta_now_us(); /* whoever waits for a unit does so by the genuine clock */
    RUN(nothing_is_asked_for_that_came_while_the_thread_was_kept_from_waking);
    RUN(what_has_not_come_in_its_time_is_asked_for);
    return failures != 0;
}
