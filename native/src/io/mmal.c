/* Opens and closes the MMAL encoder: libmmal at run time, component vc.ril.video_encode, formats, parameters. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "mmal_private.h"
#include "thinair/picture.h"
#include "thinair/rtp.h"

enum {
    LINE_ALIGN = 32,
    COLUMN_ALIGN = 16, /* alignment of pixels and lines in the VideoCore's memory */
    OUTPUT_SIZE_MIN = 256 << 10,
    LEVEL_4_MACROBLOCKS = 245760, /* per second; also the rated limit of the encoder */
};

/* ---- libraries; once loaded they stay ---- */

typedef struct symbol {
    const char *name;
    size_t at; /* of the pointer in its table */
} symbol;

#define MMAL_SYMBOL(result, name, parameters) {"mmal_" #name, offsetof(ta_mmal_library, name)},
#define VCSM_SYMBOL(result, name, parameters) {"vcsm_" #name, offsetof(ta_vcsm_library, name)},
static const symbol mmal_symbols[] = {TA_MMAL_CALLS(MMAL_SYMBOL){NULL, 0}};
static const symbol vcsm_symbols[] = {TA_VCSM_CALLS(VCSM_SYMBOL){NULL, 0}};
/* Not libmmal_core by itself: it needs libraries that only libmmal links. */
static const char *const mmal_names[] = {"libmmal.so", "libmmal.so.0", "/opt/vc/lib/libmmal.so", NULL};
static const char *const vcsm_names[] = {"libvcsm.so", "libvcsm.so.0", "/opt/vc/lib/libvcsm.so", NULL};

/* Returns false if a function is missing; `reason` names it. */
static bool load(const char *const *names, const symbol *symbols, void *table, char reason[TA_REASON_MAX]) {
    void *library = NULL;
    reason[0] = 0;
    for (size_t i = 0; names[i] && !library; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        const char *why = library ? NULL : dlerror();
        if (why && !strstr(why, "No such file")) /* present, but unusable: the message is worth reading */
            snprintf(reason, TA_REASON_MAX, "%s cannot be loaded: %.120s", names[i], why);
    }
    if (!library && !reason[0])
        snprintf(reason, TA_REASON_MAX, "%s is not installed", names[0]);
    for (; library && symbols->name; symbols++) {
        void *address = dlsym(library, symbols->name);
        if (!address) {
            snprintf(reason, TA_REASON_MAX, "%s has an unsupported version: %s is missing", names[0], symbols->name);
            return false;
        }
        memcpy((char *)table + symbols->at, &address, sizeof address);
    }
    return library != NULL;
}

__attribute__((format(printf, 2, 3))) static ta_status say(char reason[TA_REASON_MAX], const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(reason, TA_REASON_MAX, format, args);
    va_end(args);
    errno = EIO;
    return TA_ESYS;
}

static ta_status load_libraries(ta_mmal *m, char reason[TA_REASON_MAX]) {
    static ta_mmal_library mmal;
    static ta_vcsm_library vcsm;
    if (!load(mmal_names, mmal_symbols, &mmal, reason)) {
        errno = ENOENT;
        return TA_ESYS;
    }
    m->lib = &mmal;
    if (!m->config.dmabuf)
        return TA_OK;
    const char *wanted = getenv("THINAIR_MMAL_ZERO_COPY");
    if (!wanted || strcmp(wanted, "1") != 0) {
        say(reason,
            "pictures are copied to MMAL; THINAIR_MMAL_ZERO_COPY=1 tries importing DMABUFs, which is experimental");
        return TA_EINVAL;
    }
    char why[TA_REASON_MAX];
    if (!load(vcsm_names, vcsm_symbols, &vcsm, why))
        return say(reason, "no zero-copy import: %.160s", why);
    if (vcsm.init() != 0)
        return say(reason,
                   "no zero-copy import: vcsm does not start (does /dev/vcsm-cma exist, with permission to open it?)");
    m->vcsm = &vcsm;
    return TA_OK;
}

/* ---- component, formats, parameters ---- */

static ta_status create_component(ta_mmal *m, char reason[TA_REASON_MAX]) {
    int status = m->lib->component_create("vc.ril.video_encode", &m->component);
    if (status == TA_MMAL_SUCCESS && m->component && m->component->input_num && m->component->output_num) {
        m->input = m->component->input[0];
        m->output = m->component->output[0];
        m->input->userdata = m->output->userdata = m->component->control->userdata = m;
        return TA_OK;
    }
    if (access("/dev/vchiq", R_OK | W_OK) == 0)
        return say(reason, "the VideoCore has no encoder available (MMAL status %d): is gpu_mem at least 64?", status);
    const char *why =
        errno == EACCES ? "cannot be opened: add the user to the group video" : "is missing: is this a Raspberry Pi?";
    return say(reason, "the VideoCore does not answer (MMAL status %d): /dev/vchiq %s", status, why);
}

static uint32_t raw_encoding(uint32_t fourcc) {
    switch (fourcc) {
    case V4L2_PIX_FMT_UYVY: return TA_MMAL_ENCODING_UYVY;
    case V4L2_PIX_FMT_YUYV: return TA_MMAL_ENCODING_YUYV;
    case V4L2_PIX_FMT_NV12: return TA_MMAL_ENCODING_NV12;
    case V4L2_PIX_FMT_YUV420: return TA_MMAL_ENCODING_I420;
    default: return 0;
    }
}

static uint32_t align(uint32_t value, uint32_t to) { return (value + to - 1) / to * to; }

static ta_status set_formats(ta_mmal *m, char reason[TA_REASON_MAX]) {
    const ta_encoder_config *c = &m->config;
    uint32_t bytes = c->fourcc == V4L2_PIX_FMT_UYVY || c->fourcc == V4L2_PIX_FMT_YUYV ? 2 : 1;
    /* Imported pictures keep the capture's layout. */
    uint32_t columns = m->vcsm ? c->stride / bytes : align(c->width, LINE_ALIGN);
    m->stride = columns * bytes;
    m->lines = align(c->height, COLUMN_ALIGN);
    if (m->vcsm && bytes == 1 && m->lines != c->height)
        return say(reason, "no zero-copy import: planes of %u lines do not have the encoder's alignment", c->height);
    ta_mmal_es_format *in = m->input->format, *out = m->output->format;
    in->type = out->type = TA_MMAL_ES_TYPE_VIDEO;
    in->encoding = raw_encoding(c->fourcc);
    in->encoding_variant = out->encoding_variant = 0;
    in->es->width = columns;
    in->es->height = m->lines;
    in->es->crop = (ta_mmal_rect){0, 0, (int32_t)c->width, (int32_t)c->height};
    in->es->frame_rate = (ta_mmal_rational){(int32_t)c->rate_numerator, (int32_t)c->rate_denominator};
    in->es->par = (ta_mmal_rational){1, 1};
    int status = m->lib->port_format_commit(m->input);
    if (status != TA_MMAL_SUCCESS || m->input->format->es->width != columns)
        return say(reason, "the encoder refused raw pictures %.4s of %ux%u, %u bytes a line (MMAL status %d)",
                   (const char *)&c->fourcc, c->width, c->height, m->stride, status);
    *out->es = *in->es; /* after the commit of the input, which may have changed it */
    out->encoding = TA_MMAL_ENCODING_H264;
    out->bitrate = c->bitrate_bps;
    status = m->lib->port_format_commit(m->output);
    if (status != TA_MMAL_SUCCESS)
        return say(reason, "the encoder refused %ux%u at %u bit/s (MMAL status %d)", c->width, c->height,
                   c->bitrate_bps, status);
    return TA_OK;
}

/* Sets an optional parameter; a refusal becomes a note. */
static void set_optional(ta_mmal *m, ta_mmal_port *port, uint32_t id, uint32_t value, const char *name) {
    int status = ta_mmal_set(m, port, id, value);
    if (status != TA_MMAL_SUCCESS)
        ta_note(&m->notes, "the encoder does not accept %s %u (MMAL status %d)", name, value, status);
}

static void wish_intra_refresh(ta_mmal *m) {
    /* Reads the parameter first: fields not set here would be undefined. */
    ta_mmal_intra_refresh refresh = {.hdr = {TA_MMAL_INTRA_REFRESH, sizeof refresh}};
    int status = m->lib->port_parameter_get(m->output, &refresh.hdr);
    refresh.refresh_mode = TA_MMAL_INTRA_REFRESH_CYCLIC_MROWS;
    refresh.cir_mbs = m->config.intra_refresh_mbs;
    if (status == TA_MMAL_SUCCESS)
        status = m->lib->port_parameter_set(m->output, &refresh.hdr);
    if (status != TA_MMAL_SUCCESS)
        ta_note(&m->notes, "the encoder does not accept cyclic intra refresh (MMAL status %d)", status);
}

static ta_status set_parameters(ta_mmal *m, char reason[TA_REASON_MAX]) {
    const ta_encoder_config *c = &m->config;
    uint64_t macroblocks = (uint64_t)(align(c->width, 16) / 16) * (align(c->height, 16) / 16);
    bool level_4 = macroblocks * c->rate_numerator <= (uint64_t)LEVEL_4_MACROBLOCKS * c->rate_denominator;
    ta_mmal_profile profile = {{TA_MMAL_PROFILE, sizeof profile},
                               TA_MMAL_PROFILE_H264_HIGH,
                               level_4 ? TA_MMAL_LEVEL_H264_4 : TA_MMAL_LEVEL_H264_42};
    if (m->lib->port_parameter_set(m->output, &profile.hdr) != TA_MMAL_SUCCESS)
        ta_note(&m->notes, "the encoder does not accept profile High at level %s", level_4 ? "4" : "4.2");
    int status = ta_mmal_set(m, m->output, TA_MMAL_INLINE_HEADER, 1);
    if (status != TA_MMAL_SUCCESS)
        return say(reason, "the encoder cannot repeat parameter sets in the stream (MMAL status %d)", status);
    set_optional(m, m->output, TA_MMAL_RATECONTROL, TA_MMAL_RATECONTROL_CONSTANT, "rate control");
    set_optional(m, m->output, TA_MMAL_INTRAPERIOD, c->key_interval, "intra period");
    set_optional(m, m->output, TA_MMAL_SPS_TIMING, 1, "SPS timing");
    set_optional(m, m->input, TA_MMAL_IMMUTABLE_INPUT, 1, "immutable input");
    if (c->min_qp)
        set_optional(m, m->output, TA_MMAL_MIN_QUANT, c->min_qp, "lowest quantizer");
    if (c->max_qp)
        set_optional(m, m->output, TA_MMAL_MAX_QUANT, c->max_qp, "highest quantizer");
    if (c->intra_refresh_mbs)
        wish_intra_refresh(m);
    if (c->low_latency)
        set_optional(m, m->output, TA_MMAL_LOW_LATENCY, 1, "low latency");
    return TA_OK;
}

/* ---- buffers ---- */

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* One picture in the encoder: each one that waits there adds a picture of delay. */
static ta_status make_buffers(ta_mmal *m, char reason[TA_REASON_MAX]) {
    ta_mmal_port *in = m->input, *out = m->output;
    in->buffer_num = larger(in->buffer_num_min, 1);
    in->buffer_size = larger(in->buffer_size_min, larger(in->buffer_size_recommended, m->stride * m->lines));
    out->buffer_num = larger(out->buffer_num_min, out->buffer_num_recommended);
    out->buffer_num = out->buffer_num > TA_MMAL_OUTPUTS ? TA_MMAL_OUTPUTS : larger(out->buffer_num, 2);
    out->buffer_size = larger(OUTPUT_SIZE_MIN, larger(out->buffer_size_min, out->buffer_size_recommended));
    if (m->vcsm && ta_mmal_set(m, in, TA_MMAL_ZERO_COPY, 1) != TA_MMAL_SUCCESS)
        return say(reason, "no zero-copy import: the encoder does not accept it");
    int status = m->lib->port_enable(m->component->control, ta_mmal_on_control);
    if (status == TA_MMAL_SUCCESS)
        status = m->lib->port_enable(in, ta_mmal_on_input);
    if (status == TA_MMAL_SUCCESS)
        status = m->lib->port_enable(out, ta_mmal_on_output);
    if (status == TA_MMAL_SUCCESS)
        status = m->lib->component_enable(m->component);
    if (status != TA_MMAL_SUCCESS)
        return say(reason, "the encoder does not start (MMAL status %d): is gpu_mem at least 64?", status);
    m->pictures = m->lib->pool_create(in->buffer_num, m->vcsm ? 0 : in->buffer_size);
    m->coded = m->lib->pool_create(out->buffer_num, out->buffer_size);
    if (!m->pictures || !m->coded)
        return TA_ENOMEM;
    ta_mmal_buffer *buffer;
    while ((buffer = m->lib->queue_get(m->coded->queue)))
        if ((status = m->lib->port_send_buffer(out, buffer)) != TA_MMAL_SUCCESS)
            return say(reason, "the encoder refused output buffers (MMAL status %d)", status);
    m->slot_size = (size_t)TA_MAX_FRAME_PACKETS * TA_MAX_PACKET; /* larger units cannot be sent */
    for (size_t i = 0; i < TA_MMAL_SLOTS; i++)
        if (!(m->slots[i].data = malloc(m->slot_size)))
            return TA_ENOMEM;
    return TA_OK;
}

/* ---- open, close ---- */

static bool possible(const ta_encoder_config *c) {
    const uint32_t width = c->width, height = c->height;
    if (!width || !height || width > TA_MAX_DIMENSION || height > TA_MAX_DIMENSION || (width | height) & 1)
        return false;
    uint32_t line = c->width * (c->fourcc == V4L2_PIX_FMT_UYVY || c->fourcc == V4L2_PIX_FMT_YUYV ? 2 : 1);
    return raw_encoding(c->fourcc) && c->stride >= line && c->stride <= TA_MAX_RAW_STRIDE && c->rate_numerator &&
           c->rate_denominator && c->bitrate_bps && (!c->coded_fourcc || c->coded_fourcc == V4L2_PIX_FMT_H264);
}

static void *tear_down(void *argument) {
    ta_mmal *m = argument;
    if (m->component) {
        ta_mmal_port *ports[] = {m->component->control, m->input, m->output};
        for (size_t i = 0; i < 3; i++)
            if (ports[i] && ports[i]->is_enabled)
                (void)m->lib->port_disable(ports[i]);
        if (m->component->is_enabled)
            (void)m->lib->component_disable(m->component);
    }
    if (m->pictures)
        m->lib->pool_destroy(m->pictures);
    if (m->coded)
        m->lib->pool_destroy(m->coded);
    if (m->component)
        (void)m->lib->component_destroy(m->component);
    for (size_t i = 0; i < TA_MMAL_TOKENS; i++)
        if (m->imported[i])
            m->vcsm->free(m->imported[i]);
    if (m->vcsm)
        m->vcsm->exit();
    for (size_t i = 0; i < TA_MMAL_SLOTS; i++)
        free(m->slots[i].data);
    if (m->eventfd >= 0)
        close(m->eventfd);
    pthread_mutex_destroy(&m->lock);
    free(m);
    return NULL;
}

/* A failed component may never return its buffers, and disabling a port waits for them. That wait has a thread of its
 * own, and what is not closed in time is abandoned. */
void ta_mmal_close(ta_encoder **encoder) {
    if (!*encoder)
        return;
    ta_mmal *m = (ta_mmal *)(void *)*encoder;
    *encoder = NULL;
    pthread_t thread;
    if (!m->failure || pthread_create(&thread, NULL, tear_down, m) != 0) {
        tear_down(m);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TA_MMAL_CLOSE_US / 1000000;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0)
        pthread_detach(thread);
}

ta_status ta_mmal_open(ta_encoder **out, const ta_encoder_config *config, char reason[TA_REASON_MAX]) {
    *out = NULL;
    if (!possible(config)) {
        say(reason, "the encoder does not support %.4s of %ux%u", (const char *)&config->fourcc, config->width,
            config->height);
        return TA_EINVAL;
    }
    ta_mmal *m = calloc(1, sizeof *m);
    if (!m)
        return say(reason, "out of memory"), TA_ENOMEM;
    m->base.ops = &ta_mmal_ops;
    m->config = *config;
    pthread_mutex_init(&m->lock, NULL);
    m->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    ta_status status = m->eventfd < 0 ? say(reason, "no eventfd: %s", strerror(errno)) : load_libraries(m, reason);
    if (status == TA_OK)
        status = create_component(m, reason);
    if (status == TA_OK)
        status = set_formats(m, reason);
    if (status == TA_OK)
        status = set_parameters(m, reason);
    if (status == TA_OK)
        status = make_buffers(m, reason);
    if (status == TA_ENOMEM)
        say(reason, "out of memory");
    *out = &m->base;
    if (status != TA_OK) {
        int saved = errno;
        ta_mmal_close(out);
        errno = saved;
    }
    return status;
}
