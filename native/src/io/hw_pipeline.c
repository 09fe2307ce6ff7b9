/* The hardware pipeline's thread. One picture is in the encoder and the newest one waits; older ones go back to the
 * driver at once, because every queued picture adds one picture of latency.
 *
 * A little over 500 lines: the thread and the calls into it share every field, and a cut would only add a header. */
#include "thinair/hw_pipeline.h"

#include <errno.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"
#include "thumbnail.h"

enum { METAS = 8, NO_BITRATE = 0 };
enum {
    WATCH_US = 10000, /* polling interval while the encoder owes a unit */
    IDLE_US = 500000,
    OVERDUE_US = 1000000, /* after the encoder's own timeout: the picture is given up */
    NO_KEY_US = 3000000,  /* time without a decodable key frame */
    FIRST_US = 1000000,   /* timeout of the first picture */
    NOTIFY_US = 250000,   /* minimum interval between key frames that wake the reader */
    JOIN_S = 5,
};

typedef struct meta { /* of a submitted picture */
    uint64_t capture_us, dequeue_us, encode_in_us;
    uint32_t sequence;
} meta;

struct ta_hw_pipeline {
    ta_capture *capture;
    ta_encoder *encoder;
    ta_tx *tx;
    ta_capture_format format;
    ta_encoder_config encoder_config;
    uint64_t ntp_offset;
    uint32_t stall_us;
    bool h264;
    int wake_fd, event_fd;
    pthread_t thread;
    bool thread_started;
    ta_notes notes;

    atomic_bool stop, allowed, key_wanted;
    atomic_uint bitrate_bps; /* requested; NO_BITRATE: none */

    /* owned by the thread */
    ta_captured waiting;
    bool has_waiting, in_encoder, need_key, was_allowed;
    uint64_t in_encoder_us, encode_in_us, keyless_us, notified_us;
    meta metas[METAS];
    size_t meta_at;
    uint32_t skipped, since_key;
    uint32_t held,
        in_use; /* pictures not returned to the driver; of these, submitted to the encoder and not released */
    ta_parameter_sets parameter_sets;
    uint8_t *key_unit; /* buffer for a key frame with its parameter sets */
    size_t key_capacity;
    ta_hw_pipeline_stats now;
    ta_thumbnailer thumbnailer;

    pthread_mutex_t lock; /* all below */
    ta_hw_pipeline_state state;
    ta_hw_pipeline_part failed;
    char reason[TA_REASON_MAX];
    ta_hw_pipeline_stats stats;
    ta_parameter_sets latest_parameter_sets;
    ta_hw_pipeline_record *records;
    size_t record_head, record_count;
    bool ended, abandoned;
};

/* A reader that this wakes finds matching counters. */
static void set_state(ta_hw_pipeline *c, ta_hw_pipeline_state state, ta_hw_pipeline_part part, const char *reason) {
    pthread_mutex_lock(&c->lock);
    const bool changed = c->state != state && c->state != TA_HW_PIPELINE_FAILED;
    if (changed) {
        c->stats = c->now;
        c->state = state;
        c->failed = part;
        snprintf(c->reason, sizeof c->reason, "%s", reason);
    }
    pthread_mutex_unlock(&c->lock);
    if (changed)
        ta_wake(c->event_fd);
}

static bool encoder_failed(ta_hw_pipeline *c) {
    const char *words = c->encoder->ops->reason ? c->encoder->ops->reason(c->encoder) : "";
    set_state(c, TA_HW_PIPELINE_FAILED, TA_HW_PIPELINE_ENCODER, words && words[0] ? words : strerror(errno));
    return false;
}

static bool capture_failed(ta_hw_pipeline *c) {
    set_state(c, TA_HW_PIPELINE_FAILED, TA_HW_PIPELINE_CAPTURE, ta_capture_reason(c->capture));
    return false;
}

/* ---- access units ---- */

static void record(ta_hw_pipeline *c, const ta_hw_pipeline_record *r) {
    pthread_mutex_lock(&c->lock);
    if (c->record_count == TA_HW_PIPELINE_RECORDS) {
        c->record_head = (c->record_head + 1) % TA_HW_PIPELINE_RECORDS;
        c->record_count--;
        c->now.records_lost++;
    }
    c->records[(c->record_head + c->record_count++) % TA_HW_PIPELINE_RECORDS] = *r;
    if (r->key)
        c->latest_parameter_sets = c->parameter_sets;
    pthread_mutex_unlock(&c->lock);
}

static const meta *find_meta(const ta_hw_pipeline *c, uint64_t capture_us) {
    static const meta unknown;
    for (size_t i = 0; i < METAS; i++)
        if (c->metas[i].capture_us == capture_us)
            return &c->metas[i];
    return &unknown;
}

static uint64_t ntp(uint64_t us, uint64_t offset) {
    return offset ? ((us / 1000000u) << 32) + ((us % 1000000u << 32) / 1000000u) + offset : 0;
}

static void send_unit(ta_hw_pipeline *c, const uint8_t *data, size_t size, uint64_t capture_us, bool key) {
    const meta *m = find_meta(c, capture_us);
    ta_hw_pipeline_record r = {.frame_id = c->now.next_frame_id++,
                               .sequence = m->sequence,
                               .capture_us = capture_us,
                               .dequeue_us = m->dequeue_us,
                               .encode_in_us = m->encode_in_us,
                               .encode_out_us = ta_now_us(),
                               .size = (uint32_t)size,
                               .skipped = c->skipped,
                               .key = key};
    const ta_frame_meta meta_out = {.frame_id = r.frame_id,
                                    .rtp_time = (uint32_t)(capture_us * 9 / 100),
                                    .capture_ntp = ntp(capture_us, c->ntp_offset),
                                    .key = key,
                                    .stamps = {capture_us, r.dequeue_us, r.encode_in_us, r.encode_out_us}};
    size_t packets = 0;
    c->now.encoded++;
    c->now.keys += key;
    c->since_key = key ? 0 : c->since_key + 1;
    if (ta_tx_push(c->tx, data, size, &meta_out, &packets) != TA_OK) { /* too large, or the queue is full */
        c->now.refused++;
        atomic_store(&c->key_wanted, true);
    }
    c->now.sent += packets > 0;
    c->skipped = 0;
    r.packets = (uint32_t)packets;
    if (!ta_tx_sent(c->tx, &r.sent))
        r.sent = (ta_sent){0};
    record(c, &r);
    if (key && r.encode_out_us - c->notified_us >= NOTIFY_US) {
        c->notified_us = r.encode_out_us;
        ta_wake(c->event_fd);
    }
}

/* Counts an undecodable unit, which is not sent. Receivers need a key frame next. */
static bool undecodable(ta_hw_pipeline *c) {
    const uint64_t now_us = ta_now_us();
    c->now.undecodable++;
    if (!c->need_key || c->keyless_us == 0)
        c->keyless_us = now_us;
    c->need_key = true;
    atomic_store(&c->key_wanted, true);
    if (now_us - c->keyless_us < NO_KEY_US)
        return true;
    set_state(c, TA_HW_PIPELINE_FAILED, TA_HW_PIPELINE_ENCODER,
              "the encoder delivers no key frame with parameter sets");
    return false;
}

static bool one_unit(ta_hw_pipeline *c, const ta_coded *unit) {
    const bool awaited = c->in_encoder && unit->capture_us == c->in_encoder_us;
    if (unit->size == 0) {
        c->in_encoder &= !awaited;
        c->now.encoder_skips++;
        c->skipped++;
        return true;
    }
    const uint8_t *data = unit->data;
    size_t size = unit->size;
    ta_unit_kind kind = unit->key ? TA_UNIT_KEY : TA_UNIT_PICTURE;
    if (c->h264)
        kind = ta_parameter_sets_apply(&c->parameter_sets, unit->data, unit->size, c->key_unit, c->key_capacity, &data,
                                       &size);
    if (kind == TA_UNIT_PARAMETER_SETS) /* their picture follows */
        return true;
    c->in_encoder &= !awaited;
    c->now.late += !awaited;
    if (kind == TA_UNIT_UNDECODABLE || (c->need_key && kind != TA_UNIT_KEY))
        return undecodable(c);
    c->need_key = false;
    c->keyless_us = 0;
    if (c->was_allowed && !atomic_load(&c->stop))
        send_unit(c, data, size, unit->capture_us, kind == TA_UNIT_KEY);
    return true;
}

static void give_back(ta_hw_pipeline *c, uint32_t index) {
    c->held--;
    ta_capture_give_back(c->capture, index);
}

static bool take_units(ta_hw_pipeline *c) {
    ta_coded unit;
    ta_status status;
    while ((status = c->encoder->ops->take(c->encoder, &unit)) == TA_OK) {
        const bool fine = one_unit(c, &unit);
        c->encoder->ops->give_back(c->encoder, &unit);
        if (!fine)
            return false;
    }
    if (status != TA_AGAIN)
        return encoder_failed(c);
    if (c->in_encoder && ta_now_us() - c->encode_in_us > OVERDUE_US) {
        c->in_encoder = false;
        c->now.encoder_skips++;
        c->skipped++;
    }
    uint32_t token;
    while (c->encoder->ops->released(c->encoder, &token)) {
        c->in_use--;
        give_back(c, token);
    }
    return true;
}

/* ---- pictures ---- */

static void drop_waiting(ta_hw_pipeline *c) {
    if (c->has_waiting)
        give_back(c, c->waiting.index);
    c->has_waiting = false;
}

static void apply_requests(ta_hw_pipeline *c) {
    const bool allowed = atomic_load(&c->allowed);
    if (allowed && !c->was_allowed)
        c->need_key = true, c->keyless_us = 0, atomic_store(&c->key_wanted, true);
    if (!allowed)
        drop_waiting(c);
    c->was_allowed = allowed;
    const uint32_t bitrate_bps = atomic_exchange(&c->bitrate_bps, NO_BITRATE);
    if (bitrate_bps != NO_BITRATE)
        c->encoder->ops->set_bitrate(c->encoder, bitrate_bps);
}

static bool take_pictures(ta_hw_pipeline *c) {
    ta_captured picture;
    ta_status status;
    while ((status = ta_capture_newest(c->capture, &picture)) == TA_OK) {
        c->held++;
        c->skipped += picture.skipped;
        c->now.skipped += picture.skipped;
        if (picture.corrupt) { /* unusable, and no sign of a working source */
            c->now.corrupt++;
            give_back(c, picture.index);
            continue;
        }
        c->now.captured++;
        c->now.last_picture_us = picture.dequeue_us;
        set_state(c, TA_HW_PIPELINE_LIVE, TA_HW_PIPELINE_NONE, "");
        if (!c->was_allowed && atomic_load(&c->allowed))
            apply_requests(c); /* allowed since this iteration began */
        if (!c->was_allowed) {
            ta_thumbnailer_offer(&c->thumbnailer, &picture, &c->format);
            give_back(c, picture.index);
            continue;
        }
        if (c->has_waiting) {
            c->now.superseded++;
            c->now.skipped++;
            c->skipped++;
        }
        drop_waiting(c);
        c->waiting = picture;
        c->has_waiting = true;
        if (c->held - c->in_use > c->now.most_waiting)
            c->now.most_waiting = c->held - c->in_use;
    }
    return status == TA_AGAIN || capture_failed(c);
}

static bool feed(ta_hw_pipeline *c) {
    if (!c->has_waiting || c->in_encoder)
        return true;
    const ta_ready ready = ta_tx_ready(c->tx);
    if (ready == TA_SKIP) { /* an earlier frame has not got through; the next picture will be newer */
        c->now.skipped++;
        c->skipped++;
        drop_waiting(c);
        return true;
    }
    if (ready == TA_READY_KEY)
        atomic_store(&c->key_wanted, true);
    const uint32_t interval = c->encoder_config.key_interval;
    if (interval && c->since_key >= interval) { /* the encoder has no key frame interval of its own */
        c->since_key = 0;
        atomic_store(&c->key_wanted, true);
    }
    if (atomic_exchange(&c->key_wanted, false))
        c->encoder->ops->request_key(c->encoder);
    const ta_captured *p = &c->waiting;
    const ta_raw raw = {.token = p->index,
                        .dmabuf = c->encoder_config.dmabuf ? p->dmabuf : -1,
                        .data = p->data,
                        .size = p->size,
                        .capture_us = p->capture_us};
    const uint64_t now_us = ta_now_us();
    const ta_status status = c->encoder->ops->submit(c->encoder, &raw);
    if (status == TA_AGAIN)
        return true;
    if (status == TA_EINVAL) { /* an unusable picture; the next may be complete */
        c->now.corrupt++;
        drop_waiting(c);
        return true;
    }
    if (status != TA_OK)
        return encoder_failed(c);
    ta_thumbnailer_offer(&c->thumbnailer, p, &c->format);
    c->has_waiting = false;
    c->in_encoder = true;
    if (++c->in_use > c->now.most_in_encoder)
        c->now.most_in_encoder = c->in_use;
    c->in_encoder_us = p->capture_us;
    c->encode_in_us = now_us;
    c->metas[c->meta_at++ % METAS] = (meta){p->capture_us, p->dequeue_us, now_us, p->sequence};
    return true;
}

/* ---- the thread ---- */

static void publish(ta_hw_pipeline *c) {
    c->now.bytes_copied = c->encoder->ops->bytes_copied(c->encoder);
    pthread_mutex_lock(&c->lock);
    c->stats = c->now;
    pthread_mutex_unlock(&c->lock);
}

/* Returns how long to wait for work. */
static uint64_t check_silence(ta_hw_pipeline *c, uint64_t began_us) {
    const uint64_t longest_us = c->in_encoder ? WATCH_US : IDLE_US;
    const uint64_t now_us = ta_now_us();
    const uint64_t due_us = c->now.last_picture_us ? c->now.last_picture_us + c->stall_us : began_us + FIRST_US;
    if (now_us < due_us)
        return due_us - now_us < longest_us ? due_us - now_us : longest_us;
    set_state(c, TA_HW_PIPELINE_STALLED, TA_HW_PIPELINE_NONE, "the capture delivers no pictures");
    return longest_us;
}

static bool wait_for_work(ta_hw_pipeline *c, uint64_t timeout_us) {
    struct pollfd fds[3] = {{.fd = ta_capture_descriptor(c->capture), .events = POLLIN},
                            {.fd = c->encoder->ops->descriptor(c->encoder), .events = POLLIN},
                            {.fd = c->wake_fd, .events = POLLIN}};
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_us / 1000000u),
                                     .tv_nsec = (long)(timeout_us % 1000000u) * 1000};
    if (ppoll(fds, 3, &timeout, NULL) < 0)
        return errno == EINTR;
    if (fds[2].revents)
        ta_clear(c->wake_fd);
    /* A device that is gone or failed reports this forever, while DQBUF may still say EAGAIN. */
    if (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL) && !(fds[0].revents & POLLIN)) {
        set_state(c, TA_HW_PIPELINE_FAILED, TA_HW_PIPELINE_CAPTURE, "the capture device has stopped or is gone");
        return false;
    }
    return true;
}

static void free_pipeline(ta_hw_pipeline *c) {
    if (c->encoder)
        c->encoder->ops->close(&c->encoder); /* before the capture, whose buffers the encoder may still read */
    ta_capture_close(&c->capture);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    if (c->event_fd >= 0)
        close(c->event_fd);
    free(c->key_unit);
    free(c->records);
    ta_thumbnailer_destroy(&c->thumbnailer);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void *run(void *argument) {
    ta_hw_pipeline *c = argument;
    const uint64_t began_us = ta_now_us();
    bool fine = true;
    while (fine && !atomic_load(&c->stop)) {
        apply_requests(c);
        fine = take_units(c) && take_pictures(c) && feed(c);
        publish(c);
        if (fine)
            fine = wait_for_work(c, check_silence(c, began_us));
    }
    c->encoder->ops->close(&c->encoder);
    ta_capture_close(&c->capture);
    pthread_mutex_lock(&c->lock);
    c->ended = true;
    const bool abandoned = c->abandoned;
    pthread_mutex_unlock(&c->lock);
    if (abandoned)
        free_pipeline(c);
    return NULL;
}

/* ---- opening and closing ---- */

static ta_status open_devices(ta_hw_pipeline *c, const ta_hw_pipeline_config *config, char *reason,
                              ta_hw_pipeline_part *failed) {
    *failed = TA_HW_PIPELINE_CAPTURE;
    ta_status status = ta_capture_open(&c->capture, &config->capture, reason);
    if (status != TA_OK)
        return status;
    c->format = *ta_capture_format_get(c->capture);
    ta_encoder_config *e = &c->encoder_config;
    *e = config->encoder;
    e->width = c->format.width;
    e->height = c->format.height;
    e->stride = c->format.stride;
    e->fourcc = c->format.fourcc;
    e->buffers = c->format.buffers;
    e->dmabuf = config->capture.export_dmabuf;
    *failed = TA_HW_PIPELINE_ENCODER;
    status = config->open_encoder(&c->encoder, e, reason);
    if (status != TA_OK)
        return status;
    *failed = TA_HW_PIPELINE_NONE;
    c->encoder_config.device = NULL; /* owned by the caller */
    for (size_t i = 0; c->encoder->ops->note(c->encoder, i); i++)
        ta_note(&c->notes, "%s", c->encoder->ops->note(c->encoder, i));
    return TA_OK;
}

/* As V4L2_MAP_YCBCR_ENC_DEFAULT (linux/videodev2.h). The TC358743 behind unicam delivers limited-range BT.601 whatever
 * is set. */
static void tell_colour(ta_parameter_sets *headers, const ta_capture_format *f) {
    const bool unicam = strcmp(f->driver, "unicam") == 0;
    headers->colour = true;
    headers->bt709 = !unicam && (f->ycbcr_enc == V4L2_YCBCR_ENC_709 || f->ycbcr_enc == V4L2_YCBCR_ENC_XV709 ||
                                 (f->ycbcr_enc == V4L2_YCBCR_ENC_DEFAULT && (f->colorspace == V4L2_COLORSPACE_REC709 ||
                                                                             f->colorspace == V4L2_COLORSPACE_DCI_P3)));
    headers->full_range = !unicam && f->quantization == V4L2_QUANTIZATION_FULL_RANGE;
}

static ta_status prepare(ta_hw_pipeline *c, const ta_hw_pipeline_config *config) {
    c->tx = config->tx;
    c->ntp_offset = config->ntp_offset;
    c->h264 = !config->encoder.coded_fourcc;
    c->need_key = true;
    tell_colour(&c->parameter_sets, &c->format);
    c->now.next_frame_id = c->stats.next_frame_id = config->first_frame_id;
    c->stall_us = config->stall_us;
    if (!c->stall_us)
        c->stall_us = (uint32_t)(2000000ull * config->encoder.rate_denominator / config->encoder.rate_numerator);
    /* The size of a raw picture. */
    c->key_capacity = 2 * (size_t)c->format.width * c->format.height + TA_MAX_PARAMETER_SETS;
    c->key_unit = malloc(c->key_capacity);
    c->records = calloc(TA_HW_PIPELINE_RECORDS, sizeof *c->records);
    if (!c->key_unit || !c->records)
        return TA_ENOMEM;
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    c->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return c->wake_fd < 0 || c->event_fd < 0 ? TA_ESYS : TA_OK;
}

ta_status ta_hw_pipeline_open(ta_hw_pipeline **out, const ta_hw_pipeline_config *config, char reason[TA_REASON_MAX],
                              ta_hw_pipeline_part *failed) {
    *out = NULL;
    *failed = TA_HW_PIPELINE_NONE;
    snprintf(reason, TA_REASON_MAX, "the capture thread cannot be started");
    if (!config->encoder.rate_numerator || !config->encoder.rate_denominator || !config->tx)
        return TA_EINVAL;
    ta_hw_pipeline *c = calloc(1, sizeof *c);
    if (!c)
        return TA_ENOMEM;
    c->wake_fd = c->event_fd = -1;
    pthread_mutex_init(&c->lock, NULL);
    ta_thumbnailer_init(&c->thumbnailer);
    ta_status status = open_devices(c, config, reason, failed);
    if (status == TA_OK)
        status = prepare(c, config);
    if (status == TA_OK)
        status = ta_thread_start(&c->thread, run, c, config->priority, "thinair-hw", &c->notes);
    if (status != TA_OK) {
        const int saved = errno;
        ta_hw_pipeline_close(&c);
        errno = saved;
        return status;
    }
    c->thread_started = true;
    *out = c;
    return TA_OK;
}

bool ta_hw_pipeline_stop(ta_hw_pipeline *c) {
    if (!c->thread_started)
        return true;
    atomic_store(&c->stop, true);
    ta_wake(c->wake_fd);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += JOIN_S;
    if (pthread_clockjoin_np(c->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        return false;
    c->thread_started = false;
    return true;
}

void ta_hw_pipeline_close(ta_hw_pipeline **handle) {
    ta_hw_pipeline *c = *handle;
    if (!c)
        return;
    *handle = NULL;
    if (ta_hw_pipeline_stop(c)) {
        free_pipeline(c);
        return;
    }
    const pthread_t thread = c->thread;
    pthread_mutex_lock(&c->lock);
    const bool ended = c->ended;
    c->abandoned = !ended; /* the thread frees everything, if its device ever returns */
    pthread_mutex_unlock(&c->lock);
    if (ended) {
        pthread_join(thread, NULL);
        free_pipeline(c);
    } else {
        pthread_detach(thread);
    }
}

/* ---- from other threads ---- */

void ta_hw_pipeline_allow(ta_hw_pipeline *c, bool allowed) {
    atomic_store(&c->allowed, allowed);
    ta_wake(c->wake_fd);
}

void ta_hw_pipeline_request_key(ta_hw_pipeline *c) { atomic_store(&c->key_wanted, true); }

void ta_hw_pipeline_set_bitrate(ta_hw_pipeline *c, uint32_t bitrate_bps) { atomic_store(&c->bitrate_bps, bitrate_bps); }

ta_hw_pipeline_state ta_hw_pipeline_state_get(ta_hw_pipeline *c, char reason[TA_REASON_MAX],
                                              ta_hw_pipeline_part *failed) {
    pthread_mutex_lock(&c->lock);
    const ta_hw_pipeline_state state = c->state;
    memcpy(reason, c->reason, TA_REASON_MAX);
    *failed = c->failed;
    pthread_mutex_unlock(&c->lock);
    return state;
}

void ta_hw_pipeline_stats_get(ta_hw_pipeline *c, ta_hw_pipeline_stats *out) {
    pthread_mutex_lock(&c->lock);
    *out = c->stats;
    pthread_mutex_unlock(&c->lock);
}

size_t ta_hw_pipeline_records(ta_hw_pipeline *c, ta_hw_pipeline_record *out, size_t capacity) {
    size_t n = 0;
    pthread_mutex_lock(&c->lock);
    for (; n < capacity && c->record_count > 0; n++, c->record_count--) {
        out[n] = c->records[c->record_head];
        c->record_head = (c->record_head + 1) % TA_HW_PIPELINE_RECORDS;
    }
    pthread_mutex_unlock(&c->lock);
    return n;
}

size_t ta_hw_pipeline_parameter_sets(ta_hw_pipeline *c, uint8_t out[TA_MAX_PARAMETER_SETS]) {
    pthread_mutex_lock(&c->lock);
    const size_t size = c->latest_parameter_sets.size;
    memcpy(out, c->latest_parameter_sets.data, size);
    pthread_mutex_unlock(&c->lock);
    return size;
}

bool ta_hw_pipeline_thumbnail(ta_hw_pipeline *c, ta_thumbnail *out) {
    return ta_thumbnailer_take(&c->thumbnailer, out);
}

const ta_capture_format *ta_hw_pipeline_format(const ta_hw_pipeline *c) { return &c->format; }
const char *ta_hw_pipeline_note(const ta_hw_pipeline *c, size_t index) { return ta_notes_get(&c->notes, index); }
int ta_hw_pipeline_eventfd(const ta_hw_pipeline *c) { return c->event_fd; }
void ta_hw_pipeline_clear_event(ta_hw_pipeline *c) { ta_clear(c->event_fd); }
