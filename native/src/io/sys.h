/* Shared by both pumps. */
#ifndef THINAIR_IO_SYS_H
#define THINAIR_IO_SYS_H

#include <pthread.h>

#include "thinair/clock.h"
#include "thinair/control.h"
#include "thinair/status.h"

typedef struct ta_notes {
    char text[TA_NOTES][TA_NOTE_MAX];
    size_t count;
} ta_notes;

__attribute__((format(printf, 2, 3))) void ta_note(ta_notes *notes, const char *format, ...);
const char *ta_notes_get(const ta_notes *notes, size_t index);

typedef struct ta_control_ring {
    ta_control *items; /* TA_CONTROL_CAPACITY, drop-new on overflow */
    size_t head, count;
    int eventfd;
} ta_control_ring;

ta_status ta_control_ring_open(ta_control_ring *ring);
bool ta_control_ring_put(ta_control_ring *ring, const uint8_t *data, size_t size, uint64_t arrival_us,
                         const ta_address *from);
bool ta_control_ring_take(ta_control_ring *ring, ta_control *out);
void ta_control_ring_close(ta_control_ring *ring);

/* Opens a bound, non-blocking UDP socket with receive timestamps: dual-stack IPv6 if the host allows, else IPv4. */
ta_status ta_udp_open(int *fd, int *family, const char *host, uint16_t port, uint16_t *bound_port);
ta_status ta_resolve(ta_address *out, int family, const char *host, uint16_t port);
bool ta_address_equal(const ta_address *a, const ta_address *b);
/* Returns the arrival of a received message on the local clock, by the kernel's timestamp if there is one. */
uint64_t ta_arrival_us(struct msghdr *message, uint64_t monotonic_us, uint64_t realtime_ns);
uint64_t ta_realtime_ns(void);
bool ta_is_rtcp(const uint8_t *data, size_t size); /* RFC 5761 section 4 */

/* Starts run(argument) with the requested priority; a refusal becomes a note. */
ta_status ta_thread_start(pthread_t *thread, void *(*run)(void *), void *argument, int priority, const char *name,
                          ta_notes *notes);
void ta_wake(int eventfd);
void ta_clear(int eventfd);

#endif
