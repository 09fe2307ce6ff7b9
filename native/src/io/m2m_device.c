#include "m2m_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NODES = 256 };
enum { LEVEL_4_0_MACROBLOCKS = 245760 }; /* per second; ITU-T H.264 table A-1 */

/* ioctl, restarted after a signal. */
static int call(int fd, unsigned long request, void *argument) {
    int result;
    do
        result = ioctl(fd, request, argument);
    while (result < 0 && errno == EINTR);
    return result;
}

static const char *fourcc_text(uint32_t fourcc, char text[5]) {
    for (int i = 0; i < 4; i++)
        text[i] = (char)(fourcc >> 8 * i & 0x7f);
    text[4] = 0;
    return text;
}

static uint32_t coded_fourcc(const ta_encoder_config *config) {
    return config->coded_fourcc ? config->coded_fourcc : V4L2_PIX_FMT_H264;
}

/* ---- finding ---- */

static bool offers(int fd, uint32_t type, uint32_t fourcc) {
    struct v4l2_fmtdesc format = {.type = type};
    for (; call(fd, VIDIOC_ENUM_FMT, &format) == 0; format.index++)
        if (format.pixelformat == fourcc)
            return true;
    return false;
}

static void leave(ta_m2m_device *d) {
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

/* How well a node fits; at FITS it stays open. */
typedef enum fit { NO_NODE, NO_ACCESS, NO_ENCODER, NO_CODED, NO_RAW, FITS } fit;

static fit try_node(ta_m2m_device *d, const char *path, const ta_encoder_config *config) {
    struct v4l2_capability caps = {0};
    d->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (d->fd < 0)
        return errno == EACCES || errno == EPERM ? NO_ACCESS : NO_NODE;
    if (call(d->fd, VIDIOC_QUERYCAP, &caps) < 0)
        return NO_ENCODER;
    const uint32_t able = caps.capabilities & V4L2_CAP_DEVICE_CAPS ? caps.device_caps : caps.capabilities;
    if (!(able & (V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE)) || !(able & V4L2_CAP_STREAMING))
        return NO_ENCODER;
    d->planes = !(able & V4L2_CAP_VIDEO_M2M);
    d->raw.type = d->planes ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_OUTPUT;
    d->coded.type = d->planes ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
    snprintf(d->path, sizeof d->path, "%s", path);
    if (!offers(d->fd, d->coded.type, coded_fourcc(config)))
        return NO_CODED;
    return offers(d->fd, d->raw.type, config->fourcc) ? FITS : NO_RAW;
}

ta_status ta_m2m_find(ta_m2m_device *d, const ta_encoder_config *config, char reason[TA_REASON_MAX]) {
    char coded[5], raw[5], path[64], nearest[64] = "";
    fit best = NO_NODE;
    const bool named = config->device && config->device[0];
    for (int i = 0; i < (named ? 1 : NODES); i++) {
        snprintf(path, sizeof path, "/sys/class/video4linux/video%d", i);
        if (!named && access(path, F_OK) != 0)
            continue;
        snprintf(path, sizeof path, "/dev/video%d", i);
        const char *node = named ? config->device : path;
        const fit this = try_node(d, node, config);
        if (this == FITS)
            return TA_OK;
        leave(d);
        if (this > best || !nearest[0]) {
            best = this;
            snprintf(nearest, sizeof nearest, "%s", node);
        }
    }
    fourcc_text(coded_fourcc(config), coded);
    fourcc_text(config->fourcc, raw);
    if (best == NO_ACCESS)
        snprintf(reason, TA_REASON_MAX, "no permission to open %s: add the user to the group video", nearest);
    else if (best == NO_RAW)
        snprintf(reason, TA_REASON_MAX, "%s encodes %s, but not from %s", nearest, coded, raw);
    else if (named && best == NO_NODE)
        snprintf(reason, TA_REASON_MAX, "%s cannot be opened", nearest);
    else if (named)
        snprintf(reason, TA_REASON_MAX, "%s does not encode %s", nearest, coded);
    else
        snprintf(reason, TA_REASON_MAX,
                 "there is no V4L2 encoder for %s; on a Raspberry Pi it is bcm2835-codec, /dev/video11", coded);
    errno = best == NO_ACCESS ? EACCES : ENODEV;
    return TA_ESYS;
}

/* ---- formats and rate ---- */

typedef struct shape {
    uint32_t width, height, fourcc, stride, size;
} shape;

static bool set_format(ta_m2m_device *d, uint32_t type, shape *s) {
    struct v4l2_format format = {.type = type};
    if (d->planes) {
        struct v4l2_pix_format_mplane *pix = &format.fmt.pix_mp;
        pix->width = s->width, pix->height = s->height, pix->pixelformat = s->fourcc;
        pix->field = V4L2_FIELD_NONE;
        pix->num_planes = 1;
        pix->plane_fmt[0].bytesperline = s->stride;
    } else {
        struct v4l2_pix_format *pix = &format.fmt.pix;
        pix->width = s->width, pix->height = s->height, pix->pixelformat = s->fourcc;
        pix->field = V4L2_FIELD_NONE;
        pix->bytesperline = s->stride;
    }
    if (call(d->fd, VIDIOC_S_FMT, &format) < 0)
        return false;
    if (d->planes) {
        const struct v4l2_pix_format_mplane *pix = &format.fmt.pix_mp;
        *s = (shape){pix->width, pix->height, pix->num_planes == 1 ? pix->pixelformat : 0,
                     pix->plane_fmt[0].bytesperline, pix->plane_fmt[0].sizeimage};
    } else {
        const struct v4l2_pix_format *pix = &format.fmt.pix;
        *s = (shape){pix->width, pix->height, pix->pixelformat, pix->bytesperline, pix->sizeimage};
    }
    return true;
}

static bool packed(uint32_t fourcc) { return fourcc == V4L2_PIX_FMT_UYVY || fourcc == V4L2_PIX_FMT_YUYV; }

ta_status ta_m2m_configure(ta_m2m_device *d, const ta_encoder_config *config, char reason[TA_REASON_MAX]) {
    char text[5];
    shape coded = {.width = config->width, .height = config->height, .fourcc = coded_fourcc(config)};
    shape raw = {.width = config->width, .height = config->height, .fourcc = config->fourcc, .stride = config->stride};
    if (!set_format(d, d->coded.type, &coded) || !set_format(d, d->raw.type, &raw)) {
        snprintf(reason, TA_REASON_MAX, "%s accepts no picture format: %s", d->path, strerror(errno));
        return TA_ESYS;
    }
    errno = EINVAL;
    if (raw.width != config->width || raw.height != config->height || raw.fourcc != config->fourcc) {
        snprintf(reason, TA_REASON_MAX, "%s does not accept %ux%u %s; it would accept %ux%u", d->path, config->width,
                 config->height, fourcc_text(config->fourcc, text), raw.width, raw.height);
        return TA_ESYS;
    }
    if (raw.stride != config->stride && (config->dmabuf || !packed(config->fourcc))) {
        snprintf(reason, TA_REASON_MAX, "%s needs lines of %u bytes, and the source has %u: use another video mode",
                 d->path, raw.stride, config->stride);
        return TA_ESYS;
    }
    d->width = raw.width;
    d->height = raw.height;
    d->raw_stride = raw.stride;
    d->raw_size = raw.size;
    return TA_OK;
}

/* ---- controls ---- */

int ta_m2m_control(const ta_m2m_device *d, uint32_t id, int32_t value) {
    struct v4l2_control control = {.id = id, .value = value};
    return call(d->fd, VIDIOC_S_CTRL, &control) < 0 ? errno : 0;
}

bool ta_m2m_has(const ta_m2m_device *d, uint32_t id) {
    struct v4l2_queryctrl query = {.id = id};
    return call(d->fd, VIDIOC_QUERYCTRL, &query) == 0 && !(query.flags & V4L2_CTRL_FLAG_DISABLED);
}

static void set_rate(ta_m2m_device *d, const ta_encoder_config *config, ta_notes *notes) {
    struct v4l2_streamparm parm = {.type = d->raw.type};
    parm.parm.output.timeperframe =
        (struct v4l2_fract){.numerator = config->rate_denominator, .denominator = config->rate_numerator};
    if (call(d->fd, VIDIOC_S_PARM, &parm) < 0)
        ta_note(notes, "the encoder has no frame rate setting");
}

void ta_m2m_set_controls(ta_m2m_device *d, const ta_encoder_config *config, ta_notes *notes) {
    const uint64_t macroblocks = (uint64_t)((config->width + 15) / 16) * ((config->height + 15) / 16) *
                                 config->rate_numerator / config->rate_denominator;
    const bool fits = macroblocks <= LEVEL_4_0_MACROBLOCKS;
    const struct {
        uint32_t id;
        int32_t value;
        const char *name;
        bool wanted;
    } controls[] = {
        {V4L2_CID_MPEG_VIDEO_BITRATE_MODE, V4L2_MPEG_VIDEO_BITRATE_MODE_CBR, "constant bitrate", true},
        {V4L2_CID_MPEG_VIDEO_BITRATE, (int32_t)config->bitrate_bps, "bitrate", true},
        {V4L2_CID_MPEG_VIDEO_GOP_SIZE, (int32_t)config->key_interval, "key interval", true},
        {V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 1, "repeated headers", true},
        {V4L2_CID_MPEG_VIDEO_HEADER_MODE, V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME, "joined headers", true},
        {V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE, "profile", true},
        {V4L2_CID_MPEG_VIDEO_H264_LEVEL, fits ? V4L2_MPEG_VIDEO_H264_LEVEL_4_0 : V4L2_MPEG_VIDEO_H264_LEVEL_4_2,
         "level", true},
        {V4L2_CID_MPEG_VIDEO_H264_MIN_QP, (int32_t)config->min_qp, "lowest quantiser", config->min_qp > 0},
        {V4L2_CID_MPEG_VIDEO_H264_MAX_QP, (int32_t)config->max_qp, "highest quantiser", config->max_qp > 0},
        {V4L2_CID_MPEG_VIDEO_B_FRAMES, 0, "B frames", true},
    };
    char missing[TA_NOTE_MAX] = "", refused[TA_NOTE_MAX] = "";
    set_rate(d, config, notes);
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        if (!controls[i].wanted)
            continue;
        const bool there = ta_m2m_has(d, controls[i].id);
        if (there && ta_m2m_control(d, controls[i].id, controls[i].value) == 0)
            continue;
        char *list = there ? refused : missing;
        const size_t used = strlen(list);
        snprintf(list + used, TA_NOTE_MAX - used, "%s%s", used ? ", " : "", controls[i].name);
    }
    if (missing[0])
        ta_note(notes, "the encoder has no control for: %s", missing);
    if (refused[0])
        ta_note(notes, "the encoder refused: %s", refused);
    if (!ta_m2m_has(d, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME))
        ta_note(notes, "the encoder has no key frame request: it is restarted for one");
}

/* ---- buffers ---- */

bool ta_m2m_buffers(const ta_m2m_device *d, ta_m2m_side *side, uint32_t *count, bool dmabuf) {
    side->memory = dmabuf ? V4L2_MEMORY_DMABUF : V4L2_MEMORY_MMAP;
    struct v4l2_requestbuffers request = {.count = *count, .type = side->type, .memory = side->memory};
    const bool done = call(d->fd, VIDIOC_REQBUFS, &request) == 0;
    *count = done ? request.count : 0;
    return done;
}

/* Describes a buffer for the driver. `plane` must live as long as the result. */
static struct v4l2_buffer describe(const ta_m2m_device *d, const ta_m2m_side *side, uint32_t index,
                                   struct v4l2_plane *plane) {
    struct v4l2_buffer buffer = {.index = index, .type = side->type, .memory = side->memory, .field = V4L2_FIELD_NONE};
    memset(plane, 0, sizeof *plane);
    if (d->planes) {
        buffer.m.planes = plane;
        buffer.length = 1;
    }
    return buffer;
}

bool ta_m2m_map(const ta_m2m_device *d, const ta_m2m_side *side, uint32_t index, uint8_t **data, size_t *length) {
    struct v4l2_plane plane;
    struct v4l2_buffer buffer = describe(d, side, index, &plane);
    if (call(d->fd, VIDIOC_QUERYBUF, &buffer) < 0)
        return false;
    *length = d->planes ? plane.length : buffer.length;
    void *at = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd,
                    (off_t)(d->planes ? plane.m.mem_offset : buffer.m.offset));
    *data = at == MAP_FAILED ? NULL : at;
    return *data != NULL;
}

bool ta_m2m_queue(const ta_m2m_device *d, const ta_m2m_side *side, const ta_m2m_buffer *b) {
    struct v4l2_plane plane;
    struct v4l2_buffer buffer = describe(d, side, b->index, &plane);
    const bool imported = side->memory == V4L2_MEMORY_DMABUF;
    buffer.timestamp.tv_sec = (time_t)(b->time_us / 1000000u);
    buffer.timestamp.tv_usec = (suseconds_t)(b->time_us % 1000000u);
    if (d->planes) {
        plane.bytesused = (uint32_t)b->size;
        plane.length = (uint32_t)b->length;
        if (imported)
            plane.m.fd = b->fd;
    } else {
        buffer.bytesused = (uint32_t)b->size;
        buffer.length = (uint32_t)b->length;
        if (imported)
            buffer.m.fd = b->fd;
    }
    return call(d->fd, VIDIOC_QBUF, &buffer) == 0;
}

bool ta_m2m_dequeue(const ta_m2m_device *d, const ta_m2m_side *side, ta_m2m_buffer *b) {
    struct v4l2_plane plane;
    struct v4l2_buffer buffer = describe(d, side, 0, &plane);
    if (call(d->fd, VIDIOC_DQBUF, &buffer) < 0)
        return false;
    const size_t used = d->planes ? plane.bytesused : buffer.bytesused, offset = d->planes ? plane.data_offset : 0;
    *b = (ta_m2m_buffer){.index = buffer.index,
                         .offset = offset,
                         .size = used > offset ? used - offset : 0,
                         .time_us = (uint64_t)buffer.timestamp.tv_sec * 1000000u + (uint64_t)buffer.timestamp.tv_usec,
                         .key = buffer.flags & V4L2_BUF_FLAG_KEYFRAME,
                         .error = buffer.flags & V4L2_BUF_FLAG_ERROR};
    return true;
}

bool ta_m2m_stream(const ta_m2m_device *d, const ta_m2m_side *side, bool on) {
    int type = (int)side->type;
    return call(d->fd, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &type) == 0;
}
