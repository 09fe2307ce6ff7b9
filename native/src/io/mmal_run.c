/* The running MMAL encoder. MMAL calls back on its own thread; the callbacks only put buffers into rings and wake the
 * owner, because setting a parameter in a callback can wait for a port that waits for the callback. */
#include <errno.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <string.h>

#include "mmal_private.h"
#include "thinair/h264.h"

static ta_mmal *self(ta_encoder *encoder) { return (ta_mmal *)(void *)encoder; }
static const ta_mmal *self_const(const ta_encoder *encoder) { return (const ta_mmal *)(const void *)encoder; }

int ta_mmal_set(const ta_mmal *m, ta_mmal_port *port, uint32_t id, uint32_t value) {
    ta_mmal_uint32 parameter = {{id, sizeof parameter}, value};
    return m->lib->port_parameter_set(port, &parameter.hdr);
}

/* ---- callbacks ---- */

static void put_freed(ta_mmal *m, uint32_t token) { /* never full: a token is at the encoder once */
    m->freed[(m->freed_head + m->freed_count++) % TA_MMAL_TOKENS] = token;
    ta_wake(m->eventfd);
}

void ta_mmal_on_input(ta_mmal_port *port, ta_mmal_buffer *buffer) {
    ta_mmal *m = port->userdata;
    bool picture = buffer->cmd == 0;
    uint32_t token = (uint32_t)(uintptr_t)buffer->user_data;
    m->lib->buffer_header_release(buffer);
    pthread_mutex_lock(&m->lock);
    m->held -= picture;
    if (picture && m->vcsm)
        put_freed(m, token);
    ta_wake(m->eventfd); /* there is room for another picture */
    pthread_mutex_unlock(&m->lock);
}

void ta_mmal_on_output(ta_mmal_port *port, ta_mmal_buffer *buffer) {
    ta_mmal *m = port->userdata;
    if (buffer->cmd) {
        m->lib->buffer_header_release(buffer);
        return;
    }
    pthread_mutex_lock(&m->lock);
    m->ready[(m->ready_head + m->ready_count++) % TA_MMAL_OUTPUTS] = buffer; /* at most as many as there are buffers */
    ta_wake(m->eventfd);
    pthread_mutex_unlock(&m->lock);
}

void ta_mmal_on_control(ta_mmal_port *port, ta_mmal_buffer *buffer) {
    ta_mmal *m = port->userdata;
    pthread_mutex_lock(&m->lock);
    if (buffer->cmd == TA_MMAL_EVENT_ERROR) {
        m->error_seen = true;
        if (buffer->data && buffer->length >= sizeof m->error)
            memcpy(&m->error, buffer->data, sizeof m->error);
        ta_wake(m->eventfd);
    }
    pthread_mutex_unlock(&m->lock);
    m->lib->buffer_header_release(buffer);
}

/* ---- pictures in ---- */

static void copy_plane(const ta_mmal *m, uint8_t **to, const uint8_t **from, uint32_t divisor, uint32_t line_divisor) {
    uint32_t from_stride = m->config.stride / divisor, to_stride = m->stride / divisor;
    uint32_t lines = m->config.height / line_divisor, line = from_stride < to_stride ? from_stride : to_stride;
    if (from_stride == to_stride)
        memcpy(*to, *from, (size_t)lines * to_stride);
    else
        for (uint32_t y = 0; y < lines; y++)
            memcpy(*to + (size_t)y * to_stride, *from + (size_t)y * from_stride, line);
    *from += (size_t)lines * from_stride;
    *to += (size_t)(m->lines / line_divisor) * to_stride;
}

/* Copies a picture into the encoder's layout; returns its size. The lines below the picture stay undefined. */
static uint32_t copy_picture(ta_mmal *m, uint8_t *to, const uint8_t *from) {
    const uint8_t *start = to;
    copy_plane(m, &to, &from, 1, 1);
    if (m->config.fourcc == V4L2_PIX_FMT_NV12)
        copy_plane(m, &to, &from, 1, 2);
    if (m->config.fourcc == V4L2_PIX_FMT_YUV420) {
        copy_plane(m, &to, &from, 2, 2);
        copy_plane(m, &to, &from, 2, 2);
    }
    return (uint32_t)(to - start);
}

static size_t picture_size(const ta_encoder_config *c) {
    size_t luma = (size_t)c->stride * c->height;
    return c->fourcc == V4L2_PIX_FMT_NV12 || c->fourcc == V4L2_PIX_FMT_YUV420 ? luma + luma / 2 : luma;
}

/* Records a failure; the first one stays. */
static ta_status fail(ta_mmal *m, int error, const char *text) {
    if (!m->failure) {
        snprintf(m->reason, sizeof m->reason, "%s", text);
        m->failure = error;
    }
    errno = m->failure;
    return TA_ESYS;
}

/* Imports a DMABUF as the encoder sees it. */
static ta_status import_picture(ta_mmal *m, const ta_raw *raw, ta_mmal_buffer *buffer) {
    unsigned *handle = &m->imported[raw->token];
    if (!*handle)
        *handle = m->vcsm->import_dmabuf(raw->dmabuf, "thinair");
    unsigned shared = *handle ? m->vcsm->vc_hdl_from_hdl(*handle) : 0;
    if (!shared)
        return fail(m, EIO, "vcsm cannot import the capture's memory: unset THINAIR_MMAL_ZERO_COPY");
    buffer->data = (uint8_t *)(uintptr_t)shared;
    buffer->alloc_size = buffer->length = (uint32_t)raw->size;
    return TA_OK;
}

static ta_status send_picture(ta_mmal *m, ta_mmal_buffer *buffer) {
    uint64_t now_us = ta_now_us();
    size_t at = (m->pending_head + m->pending_count++) % TA_MMAL_PENDING;
    m->pending[at].capture_us = (uint64_t)buffer->pts;
    m->pending[at].submit_us = now_us;
    m->submit_us = now_us;
    if (!m->silent_us)
        m->silent_us = now_us;
    pthread_mutex_lock(&m->lock);
    m->held++; /* before the callback can decrement it */
    pthread_mutex_unlock(&m->lock);
    if (m->lib->port_send_buffer(m->input, buffer) == TA_MMAL_SUCCESS)
        return TA_OK;
    return fail(m, EIO, "the encoder refused a picture");
}

static ta_status submit(ta_encoder *encoder, const ta_raw *raw) {
    ta_mmal *m = self(encoder);
    if (m->failure)
        return fail(m, m->failure, "");
    bool bytes = raw->data != NULL && !m->vcsm;
    if (raw->size < picture_size(&m->config) || raw->token >= TA_MMAL_TOKENS)
        return TA_EINVAL;
    if (!bytes && (!m->vcsm || raw->dmabuf < 0))
        return TA_EINVAL;
    if (m->pending_count == TA_MMAL_PENDING)
        return TA_AGAIN;
    ta_mmal_buffer *buffer = m->lib->queue_get(m->pictures->queue);
    if (!buffer)
        return TA_AGAIN;
    buffer->cmd = 0;
    buffer->offset = 0;
    buffer->flags = TA_MMAL_FLAG_FRAME_END;
    buffer->pts = (int64_t)raw->capture_us;
    buffer->dts = TA_MMAL_TIME_UNKNOWN;
    buffer->user_data = (void *)(uintptr_t)raw->token;
    ta_status status = TA_OK;
    if (bytes)
        buffer->length = copy_picture(m, buffer->data, raw->data);
    else
        status = import_picture(m, raw, buffer);
    if (status == TA_OK)
        status = send_picture(m, buffer);
    if (status != TA_OK) {
        m->lib->buffer_header_release(buffer);
        return status;
    }
    if (bytes) {
        m->copied += picture_size(&m->config);
        pthread_mutex_lock(&m->lock);
        put_freed(m, raw->token);
        pthread_mutex_unlock(&m->lock);
    }
    return TA_OK;
}

/* ---- units out ---- */

static uint32_t nal_type(const uint8_t *data, size_t size) { /* type of the first NAL unit; 0: no start code */
    size_t zeros = 0;
    while (zeros < size && zeros < 4 && data[zeros] == 0)
        zeros++;
    return zeros >= 2 && zeros + 1 < size && data[zeros] == 1 ? data[zeros + 1] & 31u : 0;
}

static void append(ta_mmal *m, const uint8_t *data, size_t size) {
    ta_mmal_slot *slot = &m->slots[m->joining];
    if (size > m->slot_size - slot->size) {
        m->bad = true;
        return;
    }
    memcpy(slot->data + slot->size, data, size);
    slot->size += size;
}

/* Appends one buffer to the unit. Parameter sets precede a key frame's picture in buffers flagged CONFIG, which may
 * have FRAME_END of their own. */
static void join(ta_mmal *m, const ta_mmal_buffer *buffer) {
    const uint8_t *data = buffer->data + buffer->offset;
    if (buffer->length == 0 || buffer->flags & TA_MMAL_FLAG_CODECSIDEINFO)
        return;
    append(m, data, buffer->length);
    m->bad = m->bad || buffer->flags & (TA_MMAL_FLAG_CORRUPTED | TA_MMAL_FLAG_TRANSMISSION_FAILED);
    if (buffer->flags & TA_MMAL_FLAG_CONFIG)
        return;
    if (!m->begun) {
        uint32_t type = nal_type(data, buffer->length);
        uint64_t oldest_us = m->pending_count ? m->pending[m->pending_head].capture_us : 0;
        m->begun = true;
        m->bad = m->bad || type == 0;
        m->key = type == TA_NAL_IDR || type == TA_NAL_SPS || buffer->flags & TA_MMAL_FLAG_KEYFRAME;
        m->unit_us = buffer->pts == TA_MMAL_TIME_UNKNOWN ? oldest_us : (uint64_t)buffer->pts;
    }
    m->whole = buffer->flags & TA_MMAL_FLAG_FRAME_END;
}

static void begin_unit(ta_mmal *m) {
    m->whole = m->begun = m->key = m->bad = false;
    m->slots[m->joining].size = 0;
}

static ta_mmal_buffer *next_ready(ta_mmal *m) {
    pthread_mutex_lock(&m->lock);
    ta_mmal_buffer *buffer = NULL;
    if (m->ready_count) {
        buffer = m->ready[m->ready_head];
        m->ready_head = (m->ready_head + 1) % TA_MMAL_OUTPUTS;
        m->ready_count--;
    } else if (!m->freed_count && !m->error_seen) {
        ta_clear(m->eventfd);
    }
    pthread_mutex_unlock(&m->lock);
    return buffer;
}

static void request_key(ta_encoder *encoder) {
    ta_mmal *m = self(encoder);
    if (!m->failure)
        (void)ta_mmal_set(m, m->output, TA_MMAL_REQUEST_I_FRAME, 1); /* if refused, the next periodic one comes */
}

/* TA_AGAIN: the complete unit is unusable and discarded. Its picture counts as skipped when a later one comes. */
static ta_status check_unit(ta_mmal *m) {
    m->silent_us = 0;
    m->skipped = 0;
    m->synced = !m->bad && (m->synced || m->key);
    if (m->synced)
        return TA_OK;
    begin_unit(m);
    if (m->undecodable++ == 0)
        ta_note(&m->notes, "unusable units from the encoder were discarded until a key frame");
    if (m->undecodable > TA_MMAL_UNDECODABLE_UNITS)
        return fail(m, EIO, "the encoder delivers no usable key frame");
    request_key(&m->base);
    return TA_AGAIN;
}

static void pop_skipped(ta_mmal *m, ta_coded *out) {
    *out = (ta_coded){.capture_us = m->pending[m->pending_head].capture_us, .slot = TA_MMAL_SLOTS};
    m->pending_head = (m->pending_head + 1) % TA_MMAL_PENDING;
    m->pending_count--;
}

static ta_status hand_out(ta_mmal *m, ta_coded *out) {
    if (m->pending_count && m->pending[m->pending_head].capture_us <= m->unit_us) {
        pop_skipped(m, out);
        if (out->capture_us != m->unit_us)
            return TA_OK; /* the unit belongs to a later picture */
    }
    ta_mmal_slot *slot = &m->slots[m->joining];
    slot->taken = true;
    *out = (ta_coded){slot->data, slot->size, m->unit_us, m->key, (uint32_t)m->joining};
    m->joining = (m->joining + 1) % TA_MMAL_SLOTS;
    begin_unit(m);
    m->undecodable = 0;
    return TA_OK;
}

/* No output: an error, a stuck encoder, or a picture skipped by the rate control? */
static ta_status check_silence(ta_mmal *m, ta_coded *out) {
    pthread_mutex_lock(&m->lock);
    bool error_seen = m->error_seen, held = m->held > 0;
    uint32_t error = m->error;
    pthread_mutex_unlock(&m->lock);
    if (error_seen) {
        char text[TA_NOTE_MAX];
        snprintf(text, sizeof text, "the encoder reports an error (MMAL status %u)", error);
        return fail(m, EIO, text);
    }
    uint64_t now_us = ta_now_us();
    bool silent = m->silent_us && now_us - m->silent_us > TA_MMAL_STUCK_US;
    held = held && now_us - m->submit_us > TA_MMAL_STUCK_US; /* a paused source does not count */
    if (silent && (held || m->skipped >= TA_MMAL_SKIPPED_MAX))
        return fail(m, ETIMEDOUT,
                    m->config.low_latency
                        ? "the encoder delivers nothing in low-latency mode, which needs stripes: turn the mode off"
                        : "the encoder accepted pictures and delivered nothing for a second");
    if (m->pending_count == 0 || now_us - m->pending[m->pending_head].submit_us < TA_MMAL_SKIPPED_US)
        return TA_AGAIN;
    m->skipped++;
    pop_skipped(m, out);
    return TA_OK;
}

static ta_status take(ta_encoder *encoder, ta_coded *out) {
    ta_mmal *m = self(encoder);
    if (m->failure)
        return fail(m, m->failure, "");
    while (!m->whole) {
        if (m->slots[m->joining].taken)
            return TA_AGAIN;
        ta_mmal_buffer *buffer = next_ready(m);
        if (!buffer)
            return check_silence(m, out);
        join(m, buffer);
        buffer->length = 0;
        if (m->lib->port_send_buffer(m->output, buffer) != TA_MMAL_SUCCESS)
            return fail(m, EIO, "the encoder refused an output buffer");
        if (m->whole && check_unit(m) == TA_ESYS)
            return TA_ESYS;
    }
    return hand_out(m, out);
}

static void give_back(ta_encoder *encoder, const ta_coded *unit) {
    if (unit->slot < TA_MMAL_SLOTS)
        self(encoder)->slots[unit->slot].taken = false;
}

static bool released(ta_encoder *encoder, uint32_t *token) {
    ta_mmal *m = self(encoder);
    pthread_mutex_lock(&m->lock);
    bool any = m->freed_count > 0;
    if (any) {
        *token = m->freed[m->freed_head];
        m->freed_head = (m->freed_head + 1) % TA_MMAL_TOKENS;
        m->freed_count--;
    }
    pthread_mutex_unlock(&m->lock);
    return any;
}

static ta_status set_bitrate(ta_encoder *encoder, uint32_t bitrate_bps) {
    ta_mmal *m = self(encoder);
    if (m->failure || ta_mmal_set(m, m->output, TA_MMAL_BIT_RATE, bitrate_bps) != TA_MMAL_SUCCESS)
        return fail(m, EIO, "the encoder refused the new bitrate");
    return TA_OK;
}

static int descriptor(const ta_encoder *encoder) { return self_const(encoder)->eventfd; }
static uint64_t bytes_copied(const ta_encoder *encoder) { return self_const(encoder)->copied; }

static const char *note(const ta_encoder *encoder, size_t index) {
    return ta_notes_get(&self_const(encoder)->notes, index);
}

static const char *reason(const ta_encoder *encoder) {
    const ta_mmal *m = self_const(encoder);
    return m->failure ? m->reason : NULL;
}

const ta_encoder_ops ta_mmal_ops = {
    .name = "mmal",
    .submit = submit,
    .take = take,
    .give_back = give_back,
    .released = released,
    .request_key = request_key,
    .set_bitrate = set_bitrate,
    .descriptor = descriptor,
    .bytes_copied = bytes_copied,
    .note = note,
    .reason = reason,
    .close = ta_mmal_close,
};
