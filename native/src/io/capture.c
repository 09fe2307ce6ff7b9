/* V4L2 capture with memory-mapped buffers (Linux media uAPI: Video Capture and Multi-Planar Interface, Streaming I/O).
 *
 * A buffer is the driver's (queued), the caller's (handed out), or idle (the driver refused it; it is queued again
 * before the next picture). DQBUF never blocks, so one call drains the queue and keeps only the newest. */
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "thinair/capture.h"
#include "thinair/clock.h"
#include "thinair/h264.h"

enum { MIN_BUFFERS = 3 }; /* one being filled, one waiting, one at the encoder */

typedef enum owner { OWNER_NOBODY = 0, OWNER_DRIVER, OWNER_CALLER } owner;

typedef struct slot {
    uint8_t *data;
    size_t length;
    int dmabuf;
    owner owner;
} slot;

struct ta_capture {
    int fd;
    uint32_t type; /* V4L2_BUF_TYPE_VIDEO_CAPTURE or _MPLANE */
    bool streaming;
    ta_capture_format format;
    size_t least; /* bytes of a complete picture; 0: compressed format */
    slot slots[TA_CAPTURE_MAX_BUFFERS];
    pthread_mutex_t lock; /* newest() in one thread, give_back() in any */
    bool any;             /* a buffer was dequeued already */
    uint32_t sequence;    /* of the last dequeued buffer */
    uint32_t skipped;     /* since the last picture handed out */
    ta_capture_stats stats;
    char reason[TA_REASON_MAX];
};

/* ioctl, restarted after a signal. */
static int call(int fd, unsigned long request, void *argument) {
    int result;
    do
        result = ioctl(fd, request, argument);
    while (result < 0 && errno == EINTR);
    return result;
}

static bool multi_planar(const ta_capture *c) { return c->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE; }

/* Records what failed, for users; errno stays. */
static ta_status failed(ta_capture *c, const char *what) {
    const int error = errno;
    const char *why = error == EBUSY  ? "another program uses it"
                    : error == ENODEV ? "the device is gone"
                    : error == ENOMEM ? "no memory for its buffers (CMA too small?)"
                                      : strerror(error);
    snprintf(c->reason, sizeof c->reason, "%s: %s", what, why);
    errno = error;
    return error == ENOMEM ? TA_ENOMEM : TA_ESYS;
}

__attribute__((format(printf, 3, 4))) static ta_status refused(ta_capture *c, int error, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(c->reason, sizeof c->reason, format, list);
    va_end(list);
    errno = error;
    return TA_ESYS;
}

/* ---- opening ---- */

static ta_status open_node(ta_capture *c, const char *device) {
    struct v4l2_capability caps = {0};
    c->fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (c->fd < 0)
        return failed(c, "cannot open it");
    if (call(c->fd, VIDIOC_QUERYCAP, &caps) < 0)
        return refused(c, ENOTTY, "it is not a V4L2 device");
    const uint32_t able = caps.capabilities & V4L2_CAP_DEVICE_CAPS ? caps.device_caps : caps.capabilities;
    if (!(able & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)) || !(able & V4L2_CAP_STREAMING))
        return refused(c, ENODEV, "%.32s (%.16s) is not a capture device", (const char *)caps.card,
                       (const char *)caps.driver);
    c->type = able & V4L2_CAP_VIDEO_CAPTURE ? V4L2_BUF_TYPE_VIDEO_CAPTURE : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    snprintf(c->format.driver, sizeof c->format.driver, "%.*s", (int)sizeof caps.driver, (const char *)caps.driver);
    return TA_OK;
}

/* Returns the smallest size that holds the granted picture. */
static size_t least_size(const ta_capture_format *f) {
    const size_t lines = (size_t)f->stride * f->height;
    switch (f->fourcc) {
    case V4L2_PIX_FMT_UYVY:
    case V4L2_PIX_FMT_YUYV: return lines;
    case V4L2_PIX_FMT_NV12: return lines + (size_t)f->stride * ((f->height + 1) / 2);
    default: return 0;
    }
}

static void put_format(struct v4l2_format *format, bool planes, const ta_capture_config *config) {
    if (planes) {
        struct v4l2_pix_format_mplane *pix = &format->fmt.pix_mp;
        pix->width = config->width ? config->width : pix->width;
        pix->height = config->height ? config->height : pix->height;
        pix->pixelformat = config->fourcc;
        pix->field = V4L2_FIELD_NONE;
        pix->num_planes = 1;
        memset(pix->plane_fmt, 0, sizeof pix->plane_fmt);
        return;
    }
    struct v4l2_pix_format *pix = &format->fmt.pix;
    pix->width = config->width ? config->width : pix->width;
    pix->height = config->height ? config->height : pix->height;
    pix->pixelformat = config->fourcc;
    pix->field = V4L2_FIELD_NONE;
    pix->bytesperline = pix->sizeimage = 0;
}

static uint32_t get_format(const struct v4l2_format *format, bool planes, ta_capture_format *out) {
    if (planes) {
        const struct v4l2_pix_format_mplane *pix = &format->fmt.pix_mp;
        out->width = pix->width, out->height = pix->height, out->fourcc = pix->pixelformat;
        out->stride = pix->plane_fmt[0].bytesperline, out->size_image = pix->plane_fmt[0].sizeimage;
        out->colorspace = pix->colorspace, out->ycbcr_enc = pix->ycbcr_enc, out->quantization = pix->quantization;
        return pix->num_planes == 1
                 ? pix->field
                 : V4L2_FIELD_ANY; /* fields in separate buffers are refused like interlaced pictures */
    }
    const struct v4l2_pix_format *pix = &format->fmt.pix;
    out->width = pix->width, out->height = pix->height, out->fourcc = pix->pixelformat;
    out->stride = pix->bytesperline, out->size_image = pix->sizeimage;
    out->colorspace = pix->colorspace, out->ycbcr_enc = pix->ycbcr_enc, out->quantization = pix->quantization;
    return pix->field;
}

static ta_status set_format(ta_capture *c, const ta_capture_config *config) {
    struct v4l2_format format = {.type = c->type};
    if (call(c->fd, VIDIOC_G_FMT, &format) < 0)
        return failed(c, "its picture format cannot be read");
    put_format(&format, multi_planar(c), config);
    if (call(c->fd, VIDIOC_S_FMT, &format) < 0)
        return failed(c, "its picture format cannot be set");
    ta_capture_format *f = &c->format;
    const uint32_t field = get_format(&format, multi_planar(c), f), wanted = config->fourcc;
    if (f->fourcc != wanted)
        return refused(c, EINVAL, "it does not support %c%c%c%c", (int)(wanted & 127), (int)(wanted >> 8 & 127),
                       (int)(wanted >> 16 & 127), (int)(wanted >> 24 & 127));
    if ((config->width && f->width != config->width) || (config->height && f->height != config->height))
        return refused(c, EINVAL, "it delivers %ux%u instead of %ux%u", f->width, f->height, config->width,
                       config->height);
    if (field != V4L2_FIELD_NONE || !f->width || !f->height || f->width > TA_MAX_DIMENSION ||
        f->height > TA_MAX_DIMENSION)
        return refused(c, EINVAL, "its pictures are interlaced or separate fields (field %u)", field);
    c->least = least_size(f);
    return TA_OK;
}

/* Sets the rate: USB grabbers offer a choice; an HDMI input has its timings' rate and refuses, or answers with it. */
static void ask_rate(const ta_capture *c, const ta_capture_config *config) {
    struct v4l2_streamparm parameters = {.type = c->type};
    if (!config->rate_numerator || call(c->fd, VIDIOC_G_PARM, &parameters) < 0 ||
        !(parameters.parm.capture.capability & V4L2_CAP_TIMEPERFRAME))
        return;
    parameters.parm.capture.timeperframe.numerator = config->rate_denominator;
    parameters.parm.capture.timeperframe.denominator = config->rate_numerator;
    call(c->fd, VIDIOC_S_PARM, &parameters);
}

static ta_status request_buffers(ta_capture *c, uint32_t count) {
    struct v4l2_requestbuffers request = {.count = count, .type = c->type, .memory = V4L2_MEMORY_MMAP};
    if (call(c->fd, VIDIOC_REQBUFS, &request) < 0)
        return failed(c, "it has no buffers");
    if (request.count < MIN_BUFFERS || request.count > TA_CAPTURE_MAX_BUFFERS)
        return refused(c, ENOMEM, "it has %u buffers instead of %d to %d", request.count, MIN_BUFFERS,
                       TA_CAPTURE_MAX_BUFFERS);
    c->format.buffers = request.count;
    return TA_OK;
}

static struct v4l2_buffer describe(const ta_capture *c, uint32_t index, struct v4l2_plane *plane) {
    struct v4l2_buffer buffer = {.index = index, .type = c->type, .memory = V4L2_MEMORY_MMAP};
    memset(plane, 0, sizeof *plane);
    if (multi_planar(c)) {
        buffer.m.planes = plane;
        buffer.length = 1;
    }
    return buffer;
}

static ta_status map_buffer(ta_capture *c, uint32_t index, bool export_dmabuf) {
    struct v4l2_plane plane;
    struct v4l2_buffer buffer = describe(c, index, &plane);
    if (call(c->fd, VIDIOC_QUERYBUF, &buffer) < 0)
        return failed(c, "its buffers cannot be queried");
    slot *s = &c->slots[index];
    const size_t length = multi_planar(c) ? plane.length : buffer.length;
    if (length < c->least)
        return refused(c, EINVAL, "its buffers of %zu bytes are too small for a picture of %zu", length, c->least);
    void *data = mmap(NULL, length, PROT_READ, MAP_SHARED, c->fd,
                      (off_t)(multi_planar(c) ? plane.m.mem_offset : buffer.m.offset));
    if (data == MAP_FAILED)
        return failed(c, "its buffers cannot be mapped");
    s->data = data;
    s->length = length;
    if (export_dmabuf) {
        struct v4l2_exportbuffer out = {.type = c->type, .index = index, .flags = O_RDWR | O_CLOEXEC};
        if (call(c->fd, VIDIOC_EXPBUF, &out) < 0)
            return failed(c, "its buffers cannot be exported");
        s->dmabuf = out.fd;
    }
    return TA_OK;
}

/* Queues a buffer; if the driver refuses, the buffer is idle. */
static ta_status queue(ta_capture *c, uint32_t index) {
    struct v4l2_plane plane;
    struct v4l2_buffer buffer = describe(c, index, &plane);
    const int result = call(c->fd, VIDIOC_QBUF, &buffer);
    c->slots[index].owner = result < 0 ? OWNER_NOBODY : OWNER_DRIVER;
    if (result == 0)
        return TA_OK;
    c->stats.queue_errors++;
    return failed(c, "it refuses a buffer");
}

static ta_status start(ta_capture *c, const ta_capture_config *config) {
    ta_status status = open_node(c, config->device);
    if (status == TA_OK)
        status = set_format(c, config);
    if (status == TA_OK) {
        ask_rate(c, config);
        status = request_buffers(c, config->buffers);
    }
    for (uint32_t i = 0; status == TA_OK && i < c->format.buffers; i++)
        status = map_buffer(c, i, config->export_dmabuf);
    for (uint32_t i = 0; status == TA_OK && i < c->format.buffers; i++)
        status = queue(c, i);
    int type = (int)c->type;
    if (status == TA_OK && call(c->fd, VIDIOC_STREAMON, &type) < 0)
        status = failed(c, "it does not start");
    c->streaming = status == TA_OK;
    return status;
}

ta_status ta_capture_open(ta_capture **out, const ta_capture_config *config, char reason[TA_REASON_MAX]) {
    *out = NULL;
    reason[0] = 0;
    if (!config->device || !config->fourcc || config->buffers < MIN_BUFFERS ||
        config->buffers > TA_CAPTURE_MAX_BUFFERS) {
        snprintf(reason, TA_REASON_MAX, "give a device, a picture format and %d to %d buffers", MIN_BUFFERS,
                 TA_CAPTURE_MAX_BUFFERS);
        return TA_EINVAL;
    }
    ta_capture *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(reason, TA_REASON_MAX, "no memory");
        return TA_ENOMEM;
    }
    c->fd = -1;
    for (size_t i = 0; i < TA_CAPTURE_MAX_BUFFERS; i++)
        c->slots[i].dmabuf = -1;
    pthread_mutex_init(&c->lock, NULL);
    const ta_status status = start(c, config);
    if (status == TA_OK) {
        *out = c;
        return TA_OK;
    }
    const int error = errno;
    snprintf(reason, TA_REASON_MAX, "%s", c->reason);
    ta_capture_close(&c);
    errno = error;
    return status;
}

/* ---- pictures ---- */

/* Returns the start of the frame. If the driver uses another clock or its stamp is in the future, the time of dequeuing
 * is taken. */
static uint64_t capture_time(ta_capture *c, const struct v4l2_buffer *buffer, uint64_t dequeue_us) {
    if ((buffer->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC) {
        c->stats.unstamped++;
        return dequeue_us;
    }
    const uint64_t stamp_us = (uint64_t)buffer->timestamp.tv_sec * 1000000u + (uint64_t)buffer->timestamp.tv_usec;
    if (stamp_us <= dequeue_us)
        return stamp_us;
    c->stats.future_stamps++;
    return dequeue_us;
}

/* Returns the pictures lost by the driver since the previous buffer. A sequence that does not rise is ignored. */
static uint32_t lost_before(ta_capture *c, uint32_t sequence) {
    const int32_t step = (int32_t)(sequence - c->sequence);
    const uint32_t lost = c->any && step > 1 ? (uint32_t)step - 1 : 0;
    c->any = true;
    c->sequence = sequence;
    c->stats.gaps += lost;
    return lost;
}

static ta_status dequeue(ta_capture *c, ta_captured *out) {
    struct v4l2_plane plane;
    struct v4l2_buffer buffer = describe(c, 0, &plane);
    if (call(c->fd, VIDIOC_DQBUF, &buffer) < 0)
        return errno == EAGAIN ? TA_AGAIN : failed(c, "it fails while running");
    if (buffer.index >= c->format.buffers)
        return refused(c, EPROTO, "it returned buffer %u of %u", buffer.index, c->format.buffers);
    const slot *s = &c->slots[buffer.index];
    const size_t offset = multi_planar(c) && plane.data_offset < s->length ? plane.data_offset : 0;
    size_t size = multi_planar(c) ? plane.bytesused : buffer.bytesused;
    size = size > s->length ? s->length : size;
    out->index = buffer.index;
    out->sequence = buffer.sequence;
    out->data = s->data + offset;
    out->size = size > offset ? size - offset : 0;
    out->dmabuf = s->dmabuf;
    out->corrupt = (buffer.flags & V4L2_BUF_FLAG_ERROR) || out->size < c->least || !out->size;
    out->dequeue_us = ta_now_us();
    out->capture_us = capture_time(c, &buffer, out->dequeue_us);
    c->skipped += lost_before(c, buffer.sequence);
    c->stats.corrupt += out->corrupt;
    return TA_OK;
}

static ta_status offer_idle(ta_capture *c) {
    for (uint32_t i = 0; i < c->format.buffers; i++)
        if (c->slots[i].owner == OWNER_NOBODY) {
            const ta_status status = queue(c, i);
            if (status != TA_OK)
                return status;
        }
    return TA_OK;
}

static ta_status drain(ta_capture *c, ta_captured *out) {
    ta_captured picture;
    ta_status status = offer_idle(c);
    if (status != TA_OK)
        return status;
    bool found = false;
    /* Bounded: a driver that fills buffers as fast as they are drained must not keep us here. */
    for (uint32_t i = 0; i < c->format.buffers && (status = dequeue(c, &picture)) == TA_OK; i++) {
        if (found) {
            c->skipped++;
            c->stats.passed_over++;
            queue(c, out->index); /* refused: queued again by the next call */
        }
        *out = picture;
        c->slots[picture.index].owner = OWNER_CALLER;
        found = true;
    }
    if (!found)
        return status; /* a failure after a picture is reported by the next call */
    out->skipped = c->skipped;
    c->skipped = 0;
    c->stats.captured++;
    return TA_OK;
}

ta_status ta_capture_newest(ta_capture *c, ta_captured *out) {
    pthread_mutex_lock(&c->lock);
    const ta_status status = drain(c, out);
    const int error = errno;
    pthread_mutex_unlock(&c->lock);
    errno = error;
    return status;
}

ta_status ta_capture_wait(ta_capture *c, uint64_t timeout_us, ta_captured *out) {
    const uint64_t deadline_us = ta_now_us() + timeout_us;
    for (;;) {
        const ta_status status = ta_capture_newest(c, out);
        if (status != TA_AGAIN)
            return status;
        const uint64_t now_us = ta_now_us(), left_us = deadline_us > now_us ? deadline_us - now_us : 0;
        const struct timespec left = {.tv_sec = (time_t)(left_us / 1000000u),
                                      .tv_nsec = (long)(left_us % 1000000u) * 1000};
        struct pollfd watch = {.fd = c->fd, .events = POLLIN};
        if (ppoll(&watch, 1, &left, NULL) < 0 && errno != EINTR)
            return failed(c, "waiting for it fails");
        if ((watch.revents & (POLLERR | POLLHUP | POLLNVAL)) && !(watch.revents & POLLIN)) {
            const ta_status last = ta_capture_newest(c, out);
            return last == TA_AGAIN ? refused(c, EIO, "it has stopped") : last;
        }
        if (!left_us)
            return watch.revents ? ta_capture_newest(c, out) : TA_AGAIN;
    }
}

ta_status ta_capture_give_back(ta_capture *c, uint32_t index) {
    if (index >= c->format.buffers)
        return TA_EINVAL;
    pthread_mutex_lock(&c->lock);
    const ta_status status = c->slots[index].owner == OWNER_CALLER ? queue(c, index) : TA_EINVAL;
    const int error = errno;
    pthread_mutex_unlock(&c->lock);
    errno = error;
    return status;
}

const ta_capture_format *ta_capture_format_get(const ta_capture *c) { return &c->format; }

int ta_capture_descriptor(const ta_capture *c) { return c->fd; }

const char *ta_capture_reason(const ta_capture *c) { return c->reason; }

void ta_capture_stats_get(ta_capture *c, ta_capture_stats *out) {
    pthread_mutex_lock(&c->lock);
    *out = c->stats;
    pthread_mutex_unlock(&c->lock);
}

void ta_capture_close(ta_capture **capture) {
    ta_capture *c = *capture;
    if (!c)
        return;
    int type = (int)c->type;
    if (c->streaming)
        call(c->fd, VIDIOC_STREAMOFF, &type);
    for (size_t i = 0; i < TA_CAPTURE_MAX_BUFFERS; i++) {
        if (c->slots[i].data)
            munmap(c->slots[i].data, c->slots[i].length);
        if (c->slots[i].dmabuf >= 0)
            close(c->slots[i].dmabuf);
    }
    struct v4l2_requestbuffers none = {.count = 0, .type = c->type, .memory = V4L2_MEMORY_MMAP};
    if (c->format.buffers)
        call(c->fd, VIDIOC_REQBUFS, &none);
    if (c->fd >= 0)
        close(c->fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *capture = NULL;
}
