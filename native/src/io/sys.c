#include "sys.h"

#include <arpa/inet.h>
#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <netdb.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t ta_now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

uint64_t ta_realtime_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void ta_sleep_until_us(uint64_t when_us, uint64_t spin_us) {
    uint64_t sleep_to = when_us > spin_us ? when_us - spin_us : 0;
    struct timespec t = {.tv_sec = (time_t)(sleep_to / 1000000u), .tv_nsec = (long)(sleep_to % 1000000u) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
    while (ta_now_us() < when_us)
        ;
}

void ta_map_large_blocks(bool on) {
#ifdef __GLIBC__
    enum { APART = 128 << 10, TOGETHER = 32 << 20 }; /* the bounds of glibc's dynamic threshold */
    mallopt(M_MMAP_THRESHOLD, on ? APART : TOGETHER);
    mallopt(M_TRIM_THRESHOLD, 2 * TOGETHER);
#else
    (void)on;
#endif
}

int ta_disable_core_dumps(void) {
    const struct rlimit none = {0, 0};
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none) ? errno : 0;
}

int ta_realtime(int priority) {
    struct sched_param param = {.sched_priority = priority};
    /* Inherited by threads started later: slice threads of x264 and of the decoder must not wait where their caller
     * does not. */
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
}

void ta_note(ta_notes *notes, const char *format, ...) {
    if (notes->count == TA_NOTES)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(notes->text[notes->count++], TA_NOTE_MAX, format, args);
    va_end(args);
}

const char *ta_notes_get(const ta_notes *notes, size_t index) {
    return index < notes->count ? notes->text[index] : NULL;
}

ta_status ta_control_ring_open(ta_control_ring *ring) {
    ring->items = calloc(TA_CONTROL_CAPACITY, sizeof *ring->items);
    ring->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!ring->items)
        return TA_ENOMEM;
    return ring->eventfd < 0 ? TA_ESYS : TA_OK;
}

bool ta_control_ring_put(ta_control_ring *ring, const uint8_t *data, size_t size, uint64_t arrival_us,
                         const ta_address *from) {
    if (ring->count == TA_CONTROL_CAPACITY || size > TA_CONTROL_MAX)
        return false;
    ta_control *item = &ring->items[(ring->head + ring->count++) % TA_CONTROL_CAPACITY];
    memcpy(item->data, data, size);
    item->size = size;
    item->arrival_us = arrival_us;
    item->from = *from;
    ta_wake(ring->eventfd);
    return true;
}

bool ta_control_ring_take(ta_control_ring *ring, ta_control *out) {
    if (ring->count == 0) {
        ta_clear(ring->eventfd);
        return false;
    }
    *out = ring->items[ring->head];
    ring->head = (ring->head + 1) % TA_CONTROL_CAPACITY;
    ring->count--;
    return true;
}

void ta_control_ring_close(ta_control_ring *ring) {
    free(ring->items);
    ring->items = NULL;
    if (ring->eventfd > 0)
        close(ring->eventfd);
    ring->eventfd = -1;
}

void ta_wake(int fd) {
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one); /* full means readable already */
    (void)ignored;
}

void ta_clear(int fd) {
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count); /* empty is fine */
    (void)ignored;
}

ta_status ta_resolve(ta_address *out, int family, const char *host, uint16_t port) {
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    bool any = host[0] == 0;
    struct addrinfo hints = {.ai_family = family,
                             .ai_socktype = SOCK_DGRAM,
                             .ai_flags = (any ? AI_PASSIVE : 0) | AI_NUMERICSERV |
                                         (family == AF_INET6 ? AI_V4MAPPED | AI_ALL : 0)};
    struct addrinfo *list = NULL;
    if (getaddrinfo(any ? NULL : host, service, &hints, &list) != 0 || !list)
        return TA_EINVAL;
    /* IPv4 is preferred for a name with both: a mapped address works on every setup. */
    const struct addrinfo *best = list;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)a->ai_addr;
        if (a->ai_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
            best = a;
            break;
        }
    }
    memset(out, 0, sizeof *out);
    memcpy(&out->storage, best->ai_addr, best->ai_addrlen);
    out->size = best->ai_addrlen;
    freeaddrinfo(list);
    return TA_OK;
}

static ta_status bind_family(int *fd, int family, const char *host, uint16_t port) {
    ta_address address;
    if (ta_resolve(&address, family, host, port) != TA_OK)
        return TA_EINVAL;
    int s = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return TA_ESYS;
    int off = 0, on = 1;
    if (family == AF_INET6)
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    setsockopt(s, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    if (bind(s, (struct sockaddr *)&address.storage, address.size) < 0) {
        int saved = errno;
        close(s);
        errno = saved;
        return TA_ESYS;
    }
    *fd = s;
    return TA_OK;
}

ta_status ta_udp_open(int *fd, int *family, const char *host, uint16_t port, uint16_t *bound_port) {
    *family = AF_INET6;
    ta_status status = bind_family(fd, AF_INET6, host, port);
    if (status == TA_EINVAL || (status == TA_ESYS && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))) {
        *family = AF_INET;
        status = bind_family(fd, AF_INET, host, port);
    }
    if (status != TA_OK)
        return status;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    getsockname(*fd, (struct sockaddr *)&bound, &size);
    *bound_port = ntohs(*family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&bound)->sin6_port
                                            : ((struct sockaddr_in *)(void *)&bound)->sin_port);
    return TA_OK;
}

bool ta_address_equal(const ta_address *a, const ta_address *b) {
    if (a->storage.ss_family != b->storage.ss_family)
        return false;
    if (a->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *x = (const void *)&a->storage, *y = (const void *)&b->storage;
        return x->sin6_port == y->sin6_port && memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
    }
    const struct sockaddr_in *x = (const void *)&a->storage, *y = (const void *)&b->storage;
    return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
}

void ta_address_text(const ta_address *address, char *text, size_t capacity, uint16_t *port) {
    text[0] = 0;
    *port = 0;
    if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)&address->storage;
        *port = ntohs(six->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
            inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, text, (socklen_t)capacity);
        else
            inet_ntop(AF_INET6, &six->sin6_addr, text, (socklen_t)capacity);
    } else if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)&address->storage;
        *port = ntohs(four->sin_port);
        inet_ntop(AF_INET, &four->sin_addr, text, (socklen_t)capacity);
    }
}

enum { MAX_AGE_US = 60000000 };

uint64_t ta_arrival_us(struct msghdr *message, uint64_t monotonic_us, uint64_t realtime_ns) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        uint64_t stamp_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
        /* The kernel stamps wall-clock time. Only the packet's age is used, so a step of that clock affects what waits
         * in the socket at that moment and nothing later. A process or machine that was suspended finds packets of many
         * seconds' age. */
        uint64_t age_us = realtime_ns > stamp_ns ? (realtime_ns - stamp_ns) / 1000u : 0;
        return age_us < MAX_AGE_US && age_us < monotonic_us ? monotonic_us - age_us : monotonic_us;
    }
    return monotonic_us;
}

bool ta_is_rtcp(const uint8_t *data, size_t size) {
    return size >= 8 && (data[0] & 0xc0) == 0x80 && data[1] >= 192 && data[1] <= 223;
}

ta_status ta_thread_start(pthread_t *thread, void *(*run)(void *), void *argument, int priority, const char *name,
                          ta_notes *notes) {
    int error = pthread_create(thread, NULL, run, argument);
    if (error) {
        errno = error;
        return TA_ESYS;
    }
    pthread_setname_np(*thread, name);
    if (priority > 0) {
        struct sched_param param = {.sched_priority = priority};
        error = pthread_setschedparam(*thread, SCHED_FIFO, &param);
        if (error)
            ta_note(notes, "no real-time priority for %s (%s)", name, strerror(error));
    }
    return TA_OK;
}
