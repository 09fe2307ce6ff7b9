/* V4L2 stateful encoder (kernel documentation: Memory-to-Memory Stateful Video Encoder Interface). V4L2 names the
 * queues from the device's side: raw pictures go into OUTPUT, access units come out of CAPTURE; here they are `raw` and
 * `coded`. The driver copies timestamps, which match access units with pictures. A picture may never come out, because
 * the rate control skipped it or the device is stuck; the wait for it is bounded. */
#include "thinair/encoder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "m2m_device.h"
#include "sys.h"

enum { RAW_SLOTS = 16, COPY_SLOTS = 2, CODED_SLOTS = 3, MOST_HELD = 2, HISTORY = 16 };
enum {
    STUCK_US = 2000000,          /* without any access unit, while pictures are pending */
    PICTURE_TIMEOUT_US = 250000, /* minimum wait for one picture's unit */
    RELEASED_TIMEOUT_US = 20000, /* minimum wait after the device has released the picture */
    STUCK_SKIPS = 8,             /* more skips in a row than a rate control makes */
};

typedef struct mapping {
    uint8_t *data;
    size_t length;
} mapping;

typedef struct picture {                           /* submitted, and not coded yet */
    uint64_t capture_us, submit_us, released_us;   /* released_us 0: the device is still reading it */
    enum { WAITED_FOR, SKIPPED, ABANDONED } state; /* SKIPPED: not reported yet */
} picture;

typedef struct ta_m2m {
    ta_encoder base;
    ta_m2m_device device;
    int epoll;
    bool dmabuf, fwht, force_key, key_wanted, bitrate_control;
    uint32_t stride; /* of the source's pictures */
    uint64_t picture_timeout_us, released_timeout_us;

    mapping raw[RAW_SLOTS], coded[CODED_SLOTS + RAW_SLOTS]; /* raw: only the length with DMABUF */
    size_t raw_count, coded_count;
    bool raw_held[RAW_SLOTS];
    size_t held; /* raw buffers queued at the device */
    uint64_t held_since_us[RAW_SLOTS];
    uint32_t tokens[RAW_SLOTS]; /* released, first in first out */
    size_t token_head, token_count;

    picture history[HISTORY]; /* oldest first */
    size_t history_count;
    uint64_t silent_since_us; /* 0: nothing is pending */
    unsigned skipped;         /* in a row */
    uint64_t bytes_copied;
    ta_notes notes;
    char reason[TA_REASON_MAX];
    bool failed;
} ta_m2m;

static ta_m2m *of(ta_encoder *encoder) { return (ta_m2m *)(void *)encoder; }
static const ta_m2m *of_const(const ta_encoder *encoder) { return (const ta_m2m *)(const void *)encoder; }

__attribute__((format(printf, 3, 4))) static ta_status fail(ta_m2m *m, int error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(m->reason, sizeof m->reason, format, args);
    va_end(args);
    m->failed = true;
    errno = error;
    return TA_ESYS;
}

/* ---- pictures on their way ---- */

static picture *find_picture(ta_m2m *m, uint64_t capture_us) {
    for (size_t i = 0; i < m->history_count; i++)
        if (m->history[i].capture_us == capture_us)
            return &m->history[i];
    return NULL;
}

static void forget_pictures(ta_m2m *m, size_t n) {
    m->history_count -= n;
    memmove(m->history, m->history + n, m->history_count * sizeof *m->history);
}

/* Dequeues raw pictures that the device has finished reading. */
static void drain_raw(ta_m2m *m, uint64_t now_us) {
    ta_m2m_buffer b;
    while (ta_m2m_dequeue(&m->device, &m->device.raw, &b)) {
        if (b.index >= m->raw_count || !m->raw_held[b.index])
            continue;
        m->raw_held[b.index] = false;
        m->held--;
        if (m->dmabuf)
            m->tokens[(m->token_head + m->token_count++) % RAW_SLOTS] = b.index;
        picture *p = find_picture(m, b.time_us);
        if (p)
            p->released_us = now_us;
    }
}

static bool released(ta_encoder *encoder, uint32_t *token) {
    ta_m2m *m = of(encoder);
    drain_raw(m, ta_now_us());
    if (m->token_count == 0)
        return false;
    *token = m->tokens[m->token_head];
    m->token_head = (m->token_head + 1) % RAW_SLOTS;
    m->token_count--;
    return true;
}

/* Forces a key frame on an encoder without that control: it starts with one after its coded queue was stopped. */
static ta_status begin_anew(ta_m2m *m) {
    if (!ta_m2m_stream(&m->device, &m->device.coded, false))
        return fail(m, errno, "the encoder cannot be stopped: %s", strerror(errno));
    for (size_t i = 0; i < m->coded_count; i++)
        if (!ta_m2m_queue(&m->device, &m->device.coded, &(ta_m2m_buffer){.index = (uint32_t)i}))
            return fail(m, errno, "the encoder refuses a buffer: %s", strerror(errno));
    if (!ta_m2m_stream(&m->device, &m->device.coded, true))
        return fail(m, errno, "the encoder cannot be started again: %s", strerror(errno));
    m->history_count = 0;
    return TA_OK;
}

static void copy_lines(ta_m2m *m, const ta_raw *raw, mapping *to) {
    const uint32_t stride = m->device.raw_stride;
    if (m->stride == stride) {
        memcpy(to->data, raw->data, m->device.raw_size);
    } else { /* packed formats only: one plane with a different stride */
        const size_t line = m->stride < stride ? m->stride : stride;
        for (uint32_t y = 0; y < m->device.height; y++)
            memcpy(to->data + (size_t)y * stride, raw->data + (size_t)y * m->stride, line);
    }
    m->bytes_copied += m->device.raw_size;
}

static bool find_slot(const ta_m2m *m, const ta_raw *raw, uint32_t *slot) {
    *slot = raw->token;
    for (uint32_t i = 0; !m->dmabuf && i < m->raw_count; i++)
        if (!m->raw_held[i]) {
            *slot = i;
            return true;
        }
    return m->dmabuf;
}

static ta_status submit(ta_encoder *encoder, const ta_raw *raw) {
    ta_m2m *m = of(encoder);
    const uint64_t now_us = ta_now_us();
    uint32_t slot;
    if (m->failed)
        return TA_ESYS;
    drain_raw(m, now_us);
    if (m->held >= MOST_HELD || !find_slot(m, raw, &slot))
        return TA_AGAIN;
    if (slot >= m->raw_count || m->raw_held[slot] || (m->dmabuf ? raw->dmabuf < 0 : raw->data == NULL) ||
        (!m->dmabuf && raw->size < (size_t)m->stride * m->device.height))
        return TA_EINVAL;
    if (m->key_wanted && !m->force_key && m->held == 0) {
        const ta_status status = begin_anew(m);
        if (status != TA_OK)
            return status;
        m->key_wanted = false;
    }
    mapping *to = &m->raw[slot];
    if (m->dmabuf && to->length == 0)
        to->length = (size_t)lseek(raw->dmabuf, 0, SEEK_END);
    if (to->length < m->device.raw_size)
        return fail(m, EINVAL, "the source's buffers of %zu bytes are too small for the encoder's %zu", to->length,
                    m->device.raw_size);
    if (!m->dmabuf)
        copy_lines(m, raw, to);
    const ta_m2m_buffer b = {
        .index = slot, .size = m->device.raw_size, .length = to->length, .fd = raw->dmabuf, .time_us = raw->capture_us};
    if (!ta_m2m_queue(&m->device, &m->device.raw, &b))
        return fail(m, errno, "the encoder refuses a picture: %s", strerror(errno));
    m->raw_held[slot] = true;
    m->held_since_us[slot] = now_us;
    m->held++;
    if (!m->dmabuf)
        m->tokens[(m->token_head + m->token_count++) % RAW_SLOTS] = raw->token;
    if (m->history_count == HISTORY)
        forget_pictures(m, 1);
    m->history[m->history_count++] = (picture){.capture_us = raw->capture_us, .submit_us = now_us};
    if (m->silent_since_us == 0)
        m->silent_since_us = now_us;
    return TA_OK;
}

/* ---- access units ---- */

/* Reports the next picture that will not be coded, if there is one. */
static ta_status report_skipped(ta_m2m *m, uint64_t now_us, ta_coded *out) {
    for (size_t i = 0; i < m->history_count; i++) {
        picture *p = &m->history[i];
        const bool late = now_us - p->submit_us > m->picture_timeout_us ||
                          (p->released_us && now_us - p->released_us > m->released_timeout_us);
        if (p->state == SKIPPED || (p->state == WAITED_FOR && late)) {
            m->skipped += p->state == WAITED_FOR;
            p->state = ABANDONED;
            *out = (ta_coded){.capture_us = p->capture_us};
            return TA_OK;
        }
    }
    return TA_AGAIN;
}

static bool stuck(const ta_m2m *m, uint64_t now_us) {
    if (m->silent_since_us == 0 || now_us - m->silent_since_us < STUCK_US)
        return false;
    bool held = false;
    for (size_t i = 0; i < m->raw_count; i++)
        held |= m->raw_held[i] && now_us - m->held_since_us[i] >= STUCK_US;
    return held || m->skipped >= STUCK_SKIPS;
}

/* Marks earlier pictures as skipped: a device without B pictures keeps the order. */
static void mark_coded(ta_m2m *m, uint64_t capture_us) {
    size_t n = 0;
    while (n < m->history_count && m->history[n].capture_us != capture_us)
        n++;
    if (n == m->history_count)
        return;
    for (size_t i = 0; i < n; i++)
        if (m->history[i].state == WAITED_FOR)
            m->history[i].state = SKIPPED;
    memmove(m->history + n, m->history + n + 1, (m->history_count - n - 1) * sizeof *m->history);
    m->history_count--;
}

static void give_back(ta_encoder *encoder, const ta_coded *unit) {
    ta_m2m *m = of(encoder);
    if (unit->data && !ta_m2m_queue(&m->device, &m->device.coded, &(ta_m2m_buffer){.index = unit->slot}))
        fail(m, errno, "the encoder refuses a buffer: %s", strerror(errno));
}

/* The test driver (vicodec) sets no key frame flag; the header of its format has one (big-endian word at byte 20). */
static bool fwht_key(const uint8_t *data, size_t size) {
    enum { FLAGS = 20 };
    return size >= FLAGS + 4 && ((unsigned)data[FLAGS + 2] << 8 | data[FLAGS + 3]) & V4L2_FWHT_FL_I_FRAME;
}

static ta_status take(ta_encoder *encoder, ta_coded *out) {
    ta_m2m *m = of(encoder);
    const uint64_t now_us = ta_now_us();
    ta_m2m_buffer b;
    if (m->failed)
        return TA_ESYS;
    if (!ta_m2m_dequeue(&m->device, &m->device.coded, &b)) {
        if (errno != EAGAIN)
            return fail(m, errno, "the encoder fails: %s", strerror(errno));
        if (stuck(m, now_us))
            return fail(m, ETIMEDOUT, "the encoder is stuck: no output for %d s", STUCK_US / 1000000);
        return report_skipped(m, now_us, out);
    }
    if (b.index >= m->coded_count)
        return fail(m, EPROTO, "the encoder returned a buffer that does not exist");
    m->silent_since_us = 0;
    m->skipped = 0;
    mark_coded(m, b.time_us);
    *out = (ta_coded){.data = m->coded[b.index].data + b.offset,
                      .size = b.size,
                      .capture_us = b.time_us,
                      .key = b.key,
                      .slot = b.index};
    out->key |= m->fwht && fwht_key(out->data, out->size);
    if (b.error || b.size == 0) { /* nothing to send: counts as skipped */
        give_back(encoder, out);
        *out = (ta_coded){.capture_us = b.time_us};
    }
    return TA_OK;
}

/* ---- asking and telling ---- */

static void request_key(ta_encoder *encoder) {
    ta_m2m *m = of(encoder);
    m->key_wanted = !m->force_key || ta_m2m_control(&m->device, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1) != 0;
}

static ta_status set_bitrate(ta_encoder *encoder, uint32_t bitrate_bps) {
    ta_m2m *m = of(encoder);
    if (!m->bitrate_control)
        return TA_EINVAL;
    return ta_m2m_control(&m->device, V4L2_CID_MPEG_VIDEO_BITRATE, (int32_t)bitrate_bps) == 0 ? TA_OK : TA_ESYS;
}

static int descriptor(const ta_encoder *encoder) { return of_const(encoder)->epoll; }
static uint64_t bytes_copied(const ta_encoder *encoder) { return of_const(encoder)->bytes_copied; }
static const char *note(const ta_encoder *encoder, size_t i) { return ta_notes_get(&of_const(encoder)->notes, i); }
static const char *reason_of(const ta_encoder *encoder) { return of_const(encoder)->reason; }

/* ---- opening ---- */

static bool make_buffers(ta_m2m *m, const ta_encoder_config *config) {
    const uint32_t raw = m->dmabuf ? config->buffers : COPY_SLOTS;
    uint32_t count = raw;
    if (!ta_m2m_buffers(&m->device, &m->device.raw, &count, m->dmabuf) || count < raw)
        return false;
    m->raw_count = count < RAW_SLOTS ? count : RAW_SLOTS;
    for (uint32_t i = 0; !m->dmabuf && i < m->raw_count; i++)
        if (!ta_m2m_map(&m->device, &m->device.raw, i, &m->raw[i].data, &m->raw[i].length))
            return false;
    count = CODED_SLOTS;
    if (!ta_m2m_buffers(&m->device, &m->device.coded, &count, false))
        return false;
    const uint32_t most = sizeof m->coded / sizeof *m->coded;
    for (uint32_t i = 0; i < count && i < most; i++, m->coded_count++)
        if (!ta_m2m_map(&m->device, &m->device.coded, i, &m->coded[i].data, &m->coded[i].length) ||
            !ta_m2m_queue(&m->device, &m->device.coded, &(ta_m2m_buffer){.index = i}))
            return false;
    return ta_m2m_stream(&m->device, &m->device.raw, true) && ta_m2m_stream(&m->device, &m->device.coded, true);
}

/* Makes one descriptor that is readable when the device has finished reading or writing. */
static bool watch(ta_m2m *m) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    return m->epoll >= 0 && epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->device.fd, &event) == 0;
}

static void close_encoder(ta_encoder **handle) {
    ta_m2m *m = *handle ? of(*handle) : NULL;
    if (!m)
        return;
    *handle = NULL;
    for (size_t i = 0; i < m->raw_count && !m->dmabuf; i++)
        if (m->raw[i].data)
            munmap(m->raw[i].data, m->raw[i].length);
    for (size_t i = 0; i < m->coded_count; i++)
        munmap(m->coded[i].data, m->coded[i].length);
    if (m->epoll >= 0)
        close(m->epoll);
    if (m->device.fd >= 0)
        close(m->device.fd); /* stops both queues and frees their buffers */
    free(m);
}

static const ta_encoder_ops OPS = {.name = "v4l2m2m",
                                   .submit = submit,
                                   .take = take,
                                   .give_back = give_back,
                                   .released = released,
                                   .request_key = request_key,
                                   .set_bitrate = set_bitrate,
                                   .descriptor = descriptor,
                                   .bytes_copied = bytes_copied,
                                   .note = note,
                                   .reason = reason_of,
                                   .close = close_encoder};

static void set_timeouts(ta_m2m *m, const ta_encoder_config *config) {
    const uint64_t interval_us = 1000000ull * config->rate_denominator / config->rate_numerator;
    m->picture_timeout_us = 5 * interval_us > PICTURE_TIMEOUT_US ? 5 * interval_us : PICTURE_TIMEOUT_US;
    m->released_timeout_us = interval_us > RELEASED_TIMEOUT_US ? interval_us : RELEASED_TIMEOUT_US;
}

ta_status ta_m2m_open(ta_encoder **out, const ta_encoder_config *config, char reason[TA_REASON_MAX]) {
    *out = NULL;
    reason[0] = 0;
    if (!config->rate_numerator || !config->rate_denominator || (config->dmabuf && config->buffers > RAW_SLOTS)) {
        snprintf(reason, TA_REASON_MAX, "a rate of %u/%u with %u buffers is not possible", config->rate_numerator,
                 config->rate_denominator, config->buffers);
        return TA_EINVAL;
    }
    ta_m2m *m = calloc(1, sizeof *m);
    if (!m)
        return TA_ENOMEM;
    m->base.ops = &OPS;
    m->device.fd = m->epoll = -1;
    m->dmabuf = config->dmabuf;
    m->fwht = config->coded_fourcc == V4L2_PIX_FMT_FWHT;
    m->stride = config->stride;
    set_timeouts(m, config);
    ta_encoder *encoder = &m->base;
    ta_status status = ta_m2m_find(&m->device, config, reason);
    if (status == TA_OK)
        status = ta_m2m_configure(&m->device, config, reason);
    if (status == TA_OK) {
        ta_m2m_set_controls(&m->device, config, &m->notes);
        m->force_key = ta_m2m_has(&m->device, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME);
        m->bitrate_control = ta_m2m_has(&m->device, V4L2_CID_MPEG_VIDEO_BITRATE);
        if (!make_buffers(m, config) || !watch(m)) {
            snprintf(reason, TA_REASON_MAX, "%s cannot be started: %s", m->device.path,
                     errno == ENOMEM ? "no memory for its buffers (CMA too small?)" : strerror(errno));
            status = errno == ENOMEM ? TA_ENOMEM : TA_ESYS;
        }
    }
    if (status != TA_OK) {
        const int saved = errno;
        close_encoder(&encoder);
        errno = saved;
    }
    *out = encoder;
    return status;
}
