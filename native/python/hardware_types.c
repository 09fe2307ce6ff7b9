/* HardwareEncoder and HardwarePipeline for Python. Limited API 3.11. */
#include "io_helpers.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "thinair/clock.h"
#include "thinair/hw_pipeline.h"

typedef ta_status (*opener)(ta_encoder **, const ta_encoder_config *, char reason[TA_REASON_MAX]);

static PyObject *raise_reason(ta_status status, int error, const char *reason, const char *part) {
    PyObject *type = status == TA_ENOMEM ? PyExc_MemoryError : status == TA_EINVAL ? PyExc_ValueError : PyExc_OSError;
    PyObject *value = type == PyExc_OSError && part ? Py_BuildValue("(iss)", error, reason, part)
                    : type == PyExc_OSError         ? Py_BuildValue("(is)", error, reason)
                                                    : PyUnicode_FromString(reason);
    if (value)
        PyErr_SetObject(type, value);
    Py_XDECREF(value);
    return NULL;
}

/* Returns V4L2's number of four characters; 0 with an exception for other text. */
static uint32_t fourcc_of(const char *text) {
    if (strlen(text) != 4) {
        PyErr_Format(PyExc_ValueError, "a pixel format has four characters, not %s", text);
        return 0;
    }
    return (uint32_t)(uint8_t)text[0] | (uint32_t)(uint8_t)text[1] << 8 | (uint32_t)(uint8_t)text[2] << 16 |
           (uint32_t)(uint8_t)text[3] << 24;
}

static opener opener_of(const char *kind) {
    if (strcmp(kind, "m2m") == 0)
        return ta_m2m_open;
    if (strcmp(kind, "mmal") == 0)
        return ta_mmal_open;
    PyErr_Format(PyExc_ValueError, "an encoder is m2m or mmal, not %s", kind);
    return NULL;
}

static int check_config(ta_encoder_config *e, const char *coded) {
    e->coded_fourcc = strcmp(coded, "H264") == 0 ? 0 : fourcc_of(coded);
    if (PyErr_Occurred())
        return -1;
    if (!e->rate_numerator || !e->rate_denominator || !e->bitrate_bps) {
        PyErr_SetString(PyExc_ValueError, "rate and bitrate must be above 0");
        return -1;
    }
    return 0;
}

/* ---- HardwareEncoder ---- */

typedef struct EncoderObject {
    PyObject_HEAD
    ta_encoder *encoder;
    ta_parameter_sets parameter_sets;
    uint8_t *unit;
    size_t capacity;
    bool h264, busy;
    unsigned long long undecodable, late;
} EncoderObject;

static PyObject *encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"kind",   "width",  "height", "fourcc", "rate",   "bitrate_bps",       "key_interval",
                            "stride", "device", "coded",  "min_qp", "max_qp", "intra_refresh_mbs", "low_latency",
                            NULL};
    const char *kind, *fourcc, *device = "", *coded = "H264";
    ta_encoder_config e = {0};
    int low_latency = 0;
    char reason[TA_REASON_MAX] = "";
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sIIs(II)II|IssIIIp", names, &kind, &e.width, &e.height, &fourcc,
                                     &e.rate_numerator, &e.rate_denominator, &e.bitrate_bps, &e.key_interval, &e.stride,
                                     &device, &coded, &e.min_qp, &e.max_qp, &e.intra_refresh_mbs, &low_latency))
        return NULL;
    const opener open = opener_of(kind);
    e.fourcc = open ? fourcc_of(fourcc) : 0;
    if (!e.fourcc || check_config(&e, coded) < 0)
        return NULL;
    e.device = device;
    e.low_latency = low_latency;
    if (!e.stride)
        e.stride = strcmp(fourcc, "UYVY") == 0 || strcmp(fourcc, "YUYV") == 0 ? 2 * e.width : e.width;
    EncoderObject *self = (EncoderObject *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    self->h264 = !e.coded_fourcc;
    self->capacity = 2 * (size_t)e.width * e.height + TA_MAX_PARAMETER_SETS; /* the size of a raw picture */
    self->unit = malloc(self->capacity);
    ta_status status = TA_ENOMEM;
    int error;
    Py_BEGIN_ALLOW_THREADS
    if (self->unit)
        status = open(&self->encoder, &e, reason);
    error = errno;
    Py_END_ALLOW_THREADS
    if (status != TA_OK) {
        raise_reason(status, error, reason, NULL);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void encoder_shut(EncoderObject *self) {
    Py_BEGIN_ALLOW_THREADS
    if (self->encoder)
        self->encoder->ops->close(&self->encoder);
    Py_END_ALLOW_THREADS
}

static void encoder_dealloc(PyObject *object) {
    EncoderObject *self = (EncoderObject *)object;
    encoder_shut(self);
    free(self->unit);
    ta_py_dealloc(object);
}

/* Waits for the encoder until `until_us`. Returns false on timeout. */
static bool wait_encoder(ta_encoder *encoder, uint64_t until_us) {
    enum { LOOK_MS = 10 }; /* a skipped picture makes no event */
    struct pollfd fd = {.fd = encoder->ops->descriptor(encoder), .events = POLLIN};
    poll(&fd, 1, LOOK_MS);
    return ta_now_us() < until_us;
}

/* Takes the unit of one picture. TA_AGAIN: skipped, or undecodable. */
static ta_status encode_one(EncoderObject *self, const ta_raw *raw, uint64_t until_us, ta_coded *unit,
                            const uint8_t **data, size_t *size, bool *key) {
    ta_encoder *e = self->encoder;
    uint32_t token;
    ta_status status;
    while ((status = e->ops->submit(e, raw)) == TA_AGAIN) {
        while (e->ops->released(e, &token)) {
        }
        if ((status = e->ops->take(e, unit)) == TA_OK) {
            self->late++;
            e->ops->give_back(e, unit);
        }
        if ((status != TA_OK && status != TA_AGAIN) || !wait_encoder(e, until_us))
            break;
    }
    if (status != TA_OK)
        return status == TA_AGAIN ? TA_ETOOBIG : status;
    for (;;) {
        while (e->ops->released(e, &token)) {
        }
        status = e->ops->take(e, unit);
        if (status == TA_AGAIN && wait_encoder(e, until_us))
            continue;
        if (status != TA_OK)
            return status == TA_AGAIN ? TA_ETOOBIG : status;
        *data = unit->data;
        *size = unit->size;
        ta_unit_kind kind = unit->key ? TA_UNIT_KEY : TA_UNIT_PICTURE;
        if (self->h264 && unit->size)
            kind = ta_parameter_sets_apply(&self->parameter_sets, unit->data, unit->size, self->unit, self->capacity,
                                           data, size);
        *key = kind == TA_UNIT_KEY;
        const bool ours = unit->capture_us == raw->capture_us;
        if (ours && unit->size && kind >= TA_UNIT_PICTURE)
            return TA_OK;
        e->ops->give_back(e, unit);
        if (kind == TA_UNIT_PARAMETER_SETS)
            continue;
        if (ours) {
            self->undecodable += unit->size > 0;
            return TA_AGAIN;
        }
        if (unit->size) { /* of an abandoned picture: the stream now has a gap */
            self->late++;
            e->ops->request_key(e);
        }
    }
}

static PyObject *encoder_encode(PyObject *object, PyObject *args) {
    EncoderObject *self = (EncoderObject *)object;
    Py_buffer picture;
    unsigned long long capture_us, timeout_us;
    if (!PyArg_ParseTuple(args, "y*KK:encode", &picture, &capture_us, &timeout_us))
        return NULL;
    if (!self->encoder || self->busy) {
        PyBuffer_Release(&picture);
        PyErr_SetString(PyExc_ValueError, self->busy ? "another thread is encoding" : "the encoder is closed");
        return NULL;
    }
    const ta_raw raw = {.dmabuf = -1, .data = picture.buf, .size = (size_t)picture.len, .capture_us = capture_us};
    ta_coded unit = {0};
    const uint8_t *data = NULL;
    size_t size = 0;
    bool key = false;
    ta_status status;
    int error;
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    status = encode_one(self, &raw, ta_now_us() + timeout_us, &unit, &data, &size, &key);
    error = errno;
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (status == TA_OK) {
        result = Py_BuildValue("(y#O)", (const char *)data, (Py_ssize_t)size, key ? Py_True : Py_False);
        self->encoder->ops->give_back(self->encoder, &unit);
    } else if (status == TA_AGAIN) {
        result = Py_NewRef(Py_None);
    } else if (status == TA_ETOOBIG) {
        raise_reason(TA_ESYS, ETIMEDOUT, "the encoder delivered nothing in time", NULL);
    } else if (status == TA_EINVAL) {
        raise_reason(TA_EINVAL, 0, "the picture is smaller than the encoder's format", NULL);
    } else {
        const char *words = self->encoder->ops->reason ? self->encoder->ops->reason(self->encoder) : "";
        raise_reason(status, error, words && words[0] ? words : strerror(error), NULL);
    }
    self->busy = false;
    PyBuffer_Release(&picture);
    return result;
}

static PyObject *encoder_request_key(PyObject *object, PyObject *Py_UNUSED(none)) {
    ta_encoder *e = ((EncoderObject *)object)->encoder;
    if (e)
        e->ops->request_key(e);
    Py_RETURN_NONE;
}

static PyObject *encoder_set_bitrate(PyObject *object, PyObject *argument) {
    ta_encoder *e = ((EncoderObject *)object)->encoder;
    const unsigned long bitrate_bps = PyLong_AsUnsignedLong(argument);
    if (PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(e && e->ops->set_bitrate(e, (uint32_t)bitrate_bps) == TA_OK);
}

static PyObject *encoder_stats(PyObject *object, PyObject *Py_UNUSED(none)) {
    EncoderObject *self = (EncoderObject *)object;
    const unsigned long long copied = self->encoder ? self->encoder->ops->bytes_copied(self->encoder) : 0;
    return Py_BuildValue("{sKsKsK}", "bytes_copied", copied, "undecodable", self->undecodable, "late", self->late);
}

static PyObject *encoder_close(PyObject *object, PyObject *Py_UNUSED(none)) {
    EncoderObject *self = (EncoderObject *)object;
    if (self->busy)
        return PyErr_Format(PyExc_ValueError, "the encoder is in use by another thread");
    encoder_shut(self);
    Py_RETURN_NONE;
}

static const char *encoder_note(const void *encoder, size_t i) {
    return ((const ta_encoder *)encoder)->ops->note(encoder, i);
}

static PyObject *encoder_notes(PyObject *object, void *Py_UNUSED(none)) {
    return ta_py_notes(encoder_note, ((EncoderObject *)object)->encoder);
}

static PyMethodDef encoder_methods[] = {
    {"encode", encoder_encode, METH_VARARGS, "(unit, key) of one picture; None if the encoder skipped it."},
    {"request_key_frame", encoder_request_key, METH_NOARGS, NULL},
    {"set_bitrate", encoder_set_bitrate, METH_O, "False where the encoder cannot."},
    {"stats", encoder_stats, METH_NOARGS, "bytes_copied, undecodable, late."},
    {"close", encoder_close, METH_NOARGS, NULL},
    {0},
};
static PyGetSetDef encoder_getset[] = {{"notes", encoder_notes, NULL, NULL, NULL}, {0}};
static PyType_Slot encoder_slots[] = {{Py_tp_new, encoder_new},
                                      {Py_tp_dealloc, encoder_dealloc},
                                      {Py_tp_methods, encoder_methods},
                                      {Py_tp_getset, encoder_getset},
                                      {0, NULL}};
static PyType_Spec encoder_spec = {"thinair._native.HardwareEncoder", sizeof(EncoderObject), 0, Py_TPFLAGS_DEFAULT,
                                   encoder_slots};

/* ---- HardwarePipeline ---- */

typedef struct PipelineObject {
    PyObject_HEAD
    ta_hw_pipeline *pipeline;
    PyObject *tx;
} PipelineObject;

static PyObject *pipeline_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    /* clang-format off */
    static char *names[] = {"tx", "device", "fourcc", "kind", "rate", "bitrate_bps", "key_interval", "width", "height",
                            "buffers", "dmabuf", "coded", "min_qp", "max_qp", "priority", "first_frame_id",
                            "ntp_offset", "stall_us", "intra_refresh_mbs", "low_latency", "encoder_device", NULL};
    /* clang-format on */
    PyObject *tx;
    const char *fourcc, *kind, *coded = "H264";
    ta_hw_pipeline_config c = {.capture = {.buffers = 4}, .encoder = {.device = ""}};
    ta_encoder_config *e = &c.encoder;
    int dmabuf = 1, low_latency = 0;
    unsigned long long ntp_offset = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Osss(II)II|IIIpsIIiIKIIps", names, &tx, &c.capture.device, &fourcc,
                                     &kind, &e->rate_numerator, &e->rate_denominator, &e->bitrate_bps, &e->key_interval,
                                     &c.capture.width, &c.capture.height, &c.capture.buffers, &dmabuf, &coded,
                                     &e->min_qp, &e->max_qp, &c.priority, &c.first_frame_id, &ntp_offset, &c.stall_us,
                                     &e->intra_refresh_mbs, &low_latency, &e->device))
        return NULL;
    c.open_encoder = opener_of(kind);
    c.capture.fourcc = c.open_encoder ? fourcc_of(fourcc) : 0;
    if (!c.capture.fourcc || check_config(e, coded) < 0 || !(c.tx = ta_py_tx(tx)))
        return NULL;
    c.capture.rate_numerator = e->rate_numerator;
    c.capture.rate_denominator = e->rate_denominator;
    c.capture.export_dmabuf = dmabuf;
    c.ntp_offset = ntp_offset;
    e->low_latency = low_latency;
    PipelineObject *self = (PipelineObject *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    char reason[TA_REASON_MAX];
    ta_hw_pipeline_part failed;
    ta_status status;
    int error;
    self->tx = Py_NewRef(tx);
    Py_BEGIN_ALLOW_THREADS
    status = ta_hw_pipeline_open(&self->pipeline, &c, reason, &failed);
    error = status == TA_ENOMEM ? ENOMEM : errno;
    Py_END_ALLOW_THREADS
    if (status != TA_OK) {
        static const char *const parts[] = {[TA_HW_PIPELINE_NONE] = "pipeline",
                                            [TA_HW_PIPELINE_CAPTURE] = "capture",
                                            [TA_HW_PIPELINE_ENCODER] = "encoder"};
        raise_reason(status == TA_EINVAL ? TA_EINVAL : TA_ESYS, error, reason, parts[failed]);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void pipeline_dealloc(PyObject *object) {
    PipelineObject *self = (PipelineObject *)object;
    Py_BEGIN_ALLOW_THREADS
    ta_hw_pipeline_close(&self->pipeline);
    Py_END_ALLOW_THREADS
    Py_CLEAR(self->tx);
    ta_py_dealloc(object);
}

static ta_hw_pipeline *pipeline_of(PyObject *object) { return ((PipelineObject *)object)->pipeline; }

static PyObject *pipeline_allow(PyObject *object, PyObject *argument) {
    const int allowed = PyObject_IsTrue(argument);
    if (allowed < 0)
        return NULL;
    ta_hw_pipeline_allow(pipeline_of(object), allowed);
    Py_RETURN_NONE;
}

static PyObject *pipeline_request_key(PyObject *object, PyObject *Py_UNUSED(none)) {
    ta_hw_pipeline_request_key(pipeline_of(object));
    Py_RETURN_NONE;
}

static PyObject *pipeline_set_bitrate(PyObject *object, PyObject *argument) {
    const unsigned long bitrate_bps = PyLong_AsUnsignedLong(argument);
    if (PyErr_Occurred())
        return NULL;
    ta_hw_pipeline_set_bitrate(pipeline_of(object), (uint32_t)bitrate_bps);
    Py_RETURN_NONE;
}

static PyObject *pipeline_state(PyObject *object, PyObject *Py_UNUSED(none)) {
    static const char *const states[] = {"starting", "live", "stalled", "failed"}, *const parts[] = {"", "capture",
                                                                                                     "encoder"};
    char reason[TA_REASON_MAX];
    ta_hw_pipeline_part failed;
    ta_hw_pipeline_clear_event(pipeline_of(object));
    const ta_hw_pipeline_state state = ta_hw_pipeline_state_get(pipeline_of(object), reason, &failed);
    return Py_BuildValue("(sss)", states[state], reason, parts[failed]);
}

static PyObject *pipeline_stats(PyObject *object, PyObject *Py_UNUSED(none)) {
    ta_hw_pipeline_stats s;
    ta_hw_pipeline_stats_get(pipeline_of(object), &s);
#define K(name) #name, (unsigned long long)s.name
    return Py_BuildValue("{sKsKsKsKsKsKsKsKsKsKsKsKsKsKsKsKsK}", K(captured), K(skipped), K(superseded), K(corrupt),
                         K(encoded), K(sent), K(refused), K(encoder_skips), K(late), K(undecodable), K(keys),
                         K(bytes_copied), K(records_lost), K(last_picture_us), K(next_frame_id), K(most_waiting),
                         K(most_in_encoder));
#undef K
}

static PyObject *record_tuple(const ta_hw_pipeline_record *r) {
    PyObject *sent = r->sent.first_send_us ? Py_BuildValue("(kKK)", (unsigned long)r->sent.frame_id,
                                                           (unsigned long long)r->sent.first_send_us,
                                                           (unsigned long long)r->sent.last_send_us)
                                           : Py_NewRef(Py_None);
    if (!sent)
        return NULL;
    return Py_BuildValue("(kkKKKKkkkON)", (unsigned long)r->frame_id, (unsigned long)r->sequence,
                         (unsigned long long)r->capture_us, (unsigned long long)r->dequeue_us,
                         (unsigned long long)r->encode_in_us, (unsigned long long)r->encode_out_us,
                         (unsigned long)r->size, (unsigned long)r->packets, (unsigned long)r->skipped,
                         r->key ? Py_True : Py_False, sent);
}

static PyObject *pipeline_records(PyObject *object, PyObject *Py_UNUSED(none)) {
    enum { AT_ONCE = 32 };
    ta_hw_pipeline_record records[AT_ONCE];
    PyObject *list = PyList_New(0);
    size_t n = 0;
    do {
        n = ta_hw_pipeline_records(pipeline_of(object), records, AT_ONCE);
        for (size_t i = 0; list && i < n; i++) {
            PyObject *item = record_tuple(&records[i]);
            if (!item || PyList_Append(list, item) < 0)
                Py_CLEAR(list);
            Py_XDECREF(item);
        }
    } while (list && n == AT_ONCE);
    return list;
}

static PyObject *pipeline_thumbnail(PyObject *object, PyObject *Py_UNUSED(none)) {
    ta_thumbnail *found = PyMem_Malloc(sizeof *found);
    if (!found)
        return PyErr_NoMemory();
    PyObject *out = NULL;
    if (ta_hw_pipeline_thumbnail(pipeline_of(object), found))
        out = Py_BuildValue("IIy#", found->width, found->height, found->data,
                            (Py_ssize_t)(found->width * found->height * 3 / 2));
    else
        out = Py_NewRef(Py_None);
    PyMem_Free(found);
    return out;
}

static PyObject *pipeline_parameter_sets(PyObject *object, PyObject *Py_UNUSED(none)) {
    uint8_t headers[TA_MAX_PARAMETER_SETS];
    const size_t size = ta_hw_pipeline_parameter_sets(pipeline_of(object), headers);
    return PyBytes_FromStringAndSize((const char *)headers, (Py_ssize_t)size);
}

static PyObject *pipeline_stop(PyObject *object, PyObject *Py_UNUSED(none)) {
    bool ended;
    Py_BEGIN_ALLOW_THREADS
    ended = ta_hw_pipeline_stop(pipeline_of(object));
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(ended);
}

static const char *pipeline_note(const void *pipeline, size_t i) { return ta_hw_pipeline_note(pipeline, i); }

static PyObject *pipeline_notes(PyObject *object, void *Py_UNUSED(none)) {
    return ta_py_notes(pipeline_note, pipeline_of(object));
}

static PyObject *pipeline_eventfd(PyObject *object, void *Py_UNUSED(none)) {
    return PyLong_FromLong(ta_hw_pipeline_eventfd(pipeline_of(object)));
}

static PyObject *pipeline_size(PyObject *object, void *Py_UNUSED(none)) {
    const ta_capture_format *f = ta_hw_pipeline_format(pipeline_of(object));
    return Py_BuildValue("(kk)", (unsigned long)f->width, (unsigned long)f->height);
}

static PyMethodDef pipeline_methods[] = {
    {"allow", pipeline_allow, METH_O, NULL},
    {"request_key_frame", pipeline_request_key, METH_NOARGS, NULL},
    {"set_bitrate", pipeline_set_bitrate, METH_O, NULL},
    {"state", pipeline_state, METH_NOARGS, "(state, reason, failed part); empties the eventfd."},
    {"stats", pipeline_stats, METH_NOARGS, NULL},
    {"records", pipeline_records, METH_NOARGS, NULL},
    {"parameter_sets", pipeline_parameter_sets, METH_NOARGS, NULL},
    {"thumbnail", pipeline_thumbnail, METH_NOARGS,
     "(width, height, I420) of a thumbnail, once; None: it is requested."},
    {"stop", pipeline_stop, METH_NOARGS, NULL},
    {0},
};
static PyGetSetDef pipeline_getset[] = {{"notes", pipeline_notes, NULL, NULL, NULL},
                                        {"eventfd", pipeline_eventfd, NULL, NULL, NULL},
                                        {"size", pipeline_size, NULL, NULL, NULL},
                                        {0}};
static PyType_Slot pipeline_slots[] = {{Py_tp_new, pipeline_new},
                                       {Py_tp_dealloc, pipeline_dealloc},
                                       {Py_tp_methods, pipeline_methods},
                                       {Py_tp_getset, pipeline_getset},
                                       {0, NULL}};
static PyType_Spec pipeline_spec = {"thinair._native.HardwarePipeline", sizeof(PipelineObject), 0, Py_TPFLAGS_DEFAULT,
                                    pipeline_slots};

int ta_py_add_hardware(PyObject *module) {
    return ta_py_add_type(module, "HardwareEncoder", &encoder_spec) < 0 ||
                   ta_py_add_type(module, "HardwarePipeline", &pipeline_spec) < 0
             ? -1
             : 0;
}
