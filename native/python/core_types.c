/* Types of the core section of the stub; its functions are in core_functions.c.
 * A little over 500 lines: the types share the access unit. */
#include "binding.h"
#include "thinair/annexb_stream.h"

#include <stdlib.h>
#include <string.h>
#include <structmember.h>

static PyObject *bitstream_error;
static PyTypeObject *access_unit_type;

PyObject *ta_py_raise(ta_status status, const char *what) {
    PyObject *type = PyExc_ValueError;
    if (status == TA_ENOMEM)
        return PyErr_NoMemory();
    if (status == TA_EBITSTREAM || status == TA_ETOOBIG)
        type = bitstream_error;
    else if (status == TA_ESYS)
        return PyErr_SetFromErrnoWithFilename(PyExc_OSError, what);
    return PyErr_Format(type, "%s: %s", what, ta_status_text(status));
}

PyObject *ta_py_drops(const uint64_t *drops) {
    PyObject *result = PyDict_New();
    for (int i = 0; result && i < TA_DROP_COUNT; i++) {
        PyObject *count = PyLong_FromUnsignedLongLong(drops[i]);
        if (!count || PyDict_SetItemString(result, ta_drop_name((ta_drop)i), count) < 0)
            Py_CLEAR(result);
        Py_XDECREF(count);
    }
    return result;
}

static PyObject *deadline(uint64_t when_us) {
    if (when_us == UINT64_MAX)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(when_us);
}

static void dealloc_type(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* ---- AccessUnit ---- */

typedef struct access_unit {
    PyObject_HEAD
    ta_au_info info;
    const uint8_t *data;
    uint64_t taken_us;
    void (*release)(void *);
    void *owner;
} access_unit;

PyObject *ta_py_access_unit(const ta_au_info *info, const uint8_t *data, uint64_t taken_us, void (*release)(void *),
                            void *owner) {
    access_unit *self = PyObject_New(access_unit, access_unit_type);
    if (!self)
        return NULL;
    self->info = *info;
    self->data = data;
    self->taken_us = taken_us;
    self->release = release;
    self->owner = owner;
    return (PyObject *)self;
}

static void access_unit_dealloc(access_unit *self) {
    if (self->release)
        self->release(self->owner);
    dealloc_type((PyObject *)self);
}

static int access_unit_buffer(access_unit *self, Py_buffer *view, int flags) {
    return PyBuffer_FillInfo(view, (PyObject *)self, (void *)self->data, (Py_ssize_t)self->info.size, 1, flags);
}

static Py_ssize_t access_unit_length(access_unit *self) { return (Py_ssize_t)self->info.size; }

static PyObject *access_unit_flag(access_unit *self, void *mask) {
    return PyBool_FromLong((self->info.flags & (uint32_t)(uintptr_t)mask) != 0);
}

static PyObject *delta_or_none(uint32_t delta_us) {
    if (delta_us == TA_DELTA_UNKNOWN)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(delta_us);
}

static PyObject *access_unit_sent(access_unit *self, void *Py_UNUSED(closure)) {
    if (!self->info.has_sent)
        Py_RETURN_NONE;
    return Py_BuildValue("(INN)", (unsigned)self->info.sent_frame_id, delta_or_none(self->info.sent_first_delta),
                         delta_or_none(self->info.sent_last_delta));
}

static PyObject *access_unit_repr(access_unit *self) {
    return PyUnicode_FromFormat("<AccessUnit %llu, %u bytes%s>", (unsigned long long)self->info.frame_id,
                                (unsigned)self->info.size, self->info.flags & TA_AU_KEY ? ", key" : "");
}

#define FIELD(name, type, member) \
    { name, type, offsetof(access_unit, member), READONLY, NULL }
static PyMemberDef access_unit_members[] = {
    FIELD("frame_id", T_ULONGLONG, info.frame_id),
    FIELD("rtp_time", T_ULONGLONG, info.rtp_time),
    FIELD("size", T_UINT, info.size),
    FIELD("lost_before", T_UINT, info.lost_before),
    FIELD("first_seq", T_USHORT, info.first_seq),
    FIELD("packets", T_USHORT, info.packets),
    FIELD("first_us", T_ULONGLONG, info.first_us),
    FIELD("last_us", T_ULONGLONG, info.last_us),
    FIELD("unrepaired_us", T_ULONGLONG, info.unrepaired_us),
    FIELD("repaired", T_BOOL, info.repaired),
    FIELD("taken_us", T_ULONGLONG, taken_us),
    FIELD("capture_us", T_ULONGLONG, info.stamps.capture_us),
    FIELD("dequeue_us", T_ULONGLONG, info.stamps.dequeue_us),
    FIELD("encode_in_us", T_ULONGLONG, info.stamps.encode_in_us),
    FIELD("encode_out_us", T_ULONGLONG, info.stamps.encode_out_us),
    FIELD("capture_ntp", T_ULONGLONG, info.capture_ntp),
    {0},
};

static PyGetSetDef access_unit_getset[] = {
    {"key", (getter)access_unit_flag, NULL, NULL, (void *)(uintptr_t)TA_AU_KEY},
    {"gap", (getter)access_unit_flag, NULL, NULL, (void *)(uintptr_t)TA_AU_GAP},
    {"sps", (getter)access_unit_flag, NULL, NULL, (void *)(uintptr_t)TA_AU_SPS},
    {"sent", (getter)access_unit_sent, NULL, NULL, NULL},
    {0},
};

static PyType_Slot access_unit_slots[] = {
    {Py_tp_doc,
     "One coded picture, Annex B. Its bytes are read through the buffer protocol and live as long as the object."},
    {Py_tp_dealloc, access_unit_dealloc},
    {Py_tp_repr, access_unit_repr},
    {Py_tp_members, access_unit_members},
    {Py_tp_getset, access_unit_getset},
    {Py_sq_length, access_unit_length},
    {Py_bf_getbuffer, access_unit_buffer},
    {0, NULL},
};

static PyType_Spec access_unit_spec = {
    .name = "thinair._native.AccessUnit",
    .basicsize = sizeof(access_unit),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = access_unit_slots,
};

/* ---- Packetizer ---- */

typedef struct packetizer {
    PyObject_HEAD
    ta_packetizer *core;
} packetizer;

static PyObject *packetizer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"payload_type", "ssrc", "first_seq", "max_packet", "elements", NULL};
    unsigned char payload_type = 96;
    unsigned int ssrc = 0, max_packet = 1400;
    unsigned short first_seq = 0;
    int elements = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$bIHIp:Packetizer", names, &payload_type, &ssrc, &first_seq,
                                     &max_packet, &elements))
        return NULL;
    packetizer *self = (packetizer *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    ta_status status = ta_packetizer_open(
        &self->core, &(ta_packetizer_config){payload_type, ssrc, first_seq, max_packet, elements != 0});
    if (status != TA_OK) {
        Py_DECREF(self);
        return ta_py_raise(status, "Packetizer");
    }
    return (PyObject *)self;
}

static void packetizer_dealloc(packetizer *self) {
    ta_packetizer_close(&self->core);
    dealloc_type((PyObject *)self);
}

static PyObject *drain(ta_packetizer *core) {
    size_t count = ta_packetizer_count(core), size;
    uint8_t packet[TA_MAX_PACKET];
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; i < count; i++) { /* drained even without memory: the plan points into the caller's buffer */
        ta_status status = ta_packetizer_next(core, packet, sizeof packet, &size);
        PyObject *bytes = list && status == TA_OK ? PyBytes_FromStringAndSize((char *)packet, (Py_ssize_t)size) : NULL;
        if (!bytes || PyList_SetItem(list, (Py_ssize_t)i, bytes) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *packetizer_packetize(packetizer *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"",           "frame_id",     "rtp_time",      "key",         "capture_us",
                            "dequeue_us", "encode_in_us", "encode_out_us", "capture_ntp", "sent",
                            NULL};
    Py_buffer au;
    unsigned int frame_id, rtp_time, sent_id = 0;
    int key = 0;
    unsigned long long stamps[5] = {0}, sent[3] = {0};
    PyObject *sent_tuple = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*II|$pKKKKKO:packetize", names, &au, &frame_id, &rtp_time, &key,
                                     &stamps[0], &stamps[1], &stamps[2], &stamps[3], &stamps[4], &sent_tuple))
        return NULL;
    PyObject *result = NULL;
    if (sent_tuple != Py_None) {
        if (!PyTuple_Check(sent_tuple)) {
            PyErr_SetString(PyExc_TypeError, "sent must be a tuple of four or None");
            goto done;
        }
        if (!PyArg_ParseTuple(sent_tuple, "IKKK:sent", &sent_id, &sent[0], &sent[1], &sent[2]))
            goto done;
    }
    ta_frame_meta meta = {
        .frame_id = frame_id,
        .rtp_time = rtp_time,
        .capture_ntp = stamps[4],
        .key = key != 0,
        .stamps = {stamps[0], stamps[1], stamps[2], stamps[3]},
        .sent = {sent_id, sent[0], sent[1], sent[2]},
    };
    ta_status status = ta_packetizer_push(self->core, au.buf, (size_t)au.len, &meta);
    result = status == TA_OK ? drain(self->core) : ta_py_raise(status, "access unit");
done:
    PyBuffer_Release(&au);
    return result;
}

static PyMethodDef packetizer_methods[] = {
    {"packetize", (PyCFunction)(void (*)(void))packetizer_packetize, METH_VARARGS | METH_KEYWORDS, NULL},
    {0},
};
static PyType_Slot packetizer_slots[] = {
    {Py_tp_doc, "Access units to RTP packets (RFC 6184 mode 1)."},
    {Py_tp_new, packetizer_new},
    {Py_tp_dealloc, packetizer_dealloc},
    {Py_tp_methods, packetizer_methods},
    {0, NULL},
};
static PyType_Spec packetizer_spec = {"thinair._native.Packetizer", sizeof(packetizer), 0,
                                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, packetizer_slots};

/* ---- Reassembler and AnnexbStream: one type over two cores ---- */

typedef struct receiver {
    PyObject_HEAD
    ta_reassembler *packets; /* one of the two */
    ta_annexb_stream *stream;
    uint8_t *unit; /* buffer of one access unit */
    size_t capacity;
} receiver;

static void receiver_dealloc(receiver *self) {
    ta_reassembler_close(&self->packets);
    ta_annexb_stream_close(&self->stream);
    free(self->unit);
    dealloc_type((PyObject *)self);
}

static PyObject *receiver_opened(receiver *self, ta_status status, size_t max_au, const char *what) {
    self->capacity = max_au;
    if (status == TA_OK && !(self->unit = calloc(1, max_au)))
        status = TA_ENOMEM;
    if (status == TA_OK)
        return (PyObject *)self;
    Py_DECREF(self);
    return ta_py_raise(status, what);
}

static PyObject *reassembler_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"payload_type",      "elements", "window_frames", "reorder_us", "max_au",
                            "repair_timeout_us", NULL};
    unsigned char payload_type = 96;
    int elements = 1;
    unsigned int window_frames = 8, reorder_us = 4000, max_au = 2097152, repair_timeout_us = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$bpIIII:Reassembler", names, &payload_type, &elements,
                                     &window_frames, &reorder_us, &max_au, &repair_timeout_us))
        return NULL;
    receiver *self = (receiver *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    const ta_reassembler_config config = {payload_type, elements != 0, window_frames,
                                          reorder_us,   max_au,        repair_timeout_us};
    return receiver_opened(self, ta_reassembler_open(&self->packets, &config), max_au, "Reassembler");
}

static PyObject *annexb_stream_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"max_au", "quiet_us", NULL};
    unsigned int max_au = 2097152, quiet_us = 4000;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$II:AnnexbStream", names, &max_au, &quiet_us))
        return NULL;
    receiver *self = (receiver *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    const ta_annexb_stream_config config = {max_au, quiet_us};
    return receiver_opened(self, ta_annexb_stream_open(&self->stream, &config), max_au, "AnnexbStream");
}

static void push(receiver *self, const uint8_t *data, size_t size, uint64_t arrival_us) {
    if (self->packets)
        ta_reassembler_push(self->packets, data, size, arrival_us);
    else
        ta_annexb_stream_push(self->stream, data, size, arrival_us);
}

static ta_status next(receiver *self, uint64_t now_us, ta_au_info *info) {
    return self->packets ? ta_reassembler_next(self->packets, now_us, self->unit, self->capacity, info)
                         : ta_annexb_stream_next(self->stream, now_us, self->unit, self->capacity, info);
}

static PyObject *receiver_push(receiver *self, PyObject *args) {
    Py_buffer datagram;
    unsigned long long arrival_us;
    if (!PyArg_ParseTuple(args, "y*K:push", &datagram, &arrival_us))
        return NULL;
    push(self, datagram.buf, (size_t)datagram.len, arrival_us);
    PyBuffer_Release(&datagram);
    Py_RETURN_NONE;
}

static PyObject *receiver_next(receiver *self, PyObject *argument) {
    unsigned long long now_us = PyLong_AsUnsignedLongLong(argument);
    ta_au_info info;
    if (PyErr_Occurred())
        return NULL;
    if (next(self, now_us, &info) != TA_OK)
        Py_RETURN_NONE;
    uint8_t *copy = malloc(info.size ? info.size : 1);
    if (!copy)
        return PyErr_NoMemory();
    memcpy(copy, self->unit, info.size);
    PyObject *unit = ta_py_access_unit(&info, copy, 0, free, copy);
    if (!unit)
        free(copy);
    return unit;
}

static PyObject *receiver_deadline(receiver *self, PyObject *Py_UNUSED(ignored)) {
    return deadline(self->packets ? ta_reassembler_deadline(self->packets) : ta_annexb_stream_deadline(self->stream));
}

static PyObject *receiver_drops(receiver *self, PyObject *Py_UNUSED(ignored)) {
    return ta_py_drops(self->packets ? ta_reassembler_drops(self->packets) : ta_annexb_stream_drops(self->stream));
}

static PyObject *reassembler_reset(receiver *self, PyObject *Py_UNUSED(ignored)) {
    ta_reassembler_reset(self->packets);
    Py_RETURN_NONE;
}

static PyObject *reassembler_peer(receiver *self, PyObject *args) {
    unsigned int own_ssrc;
    unsigned long long cookie;
    if (!PyArg_ParseTuple(args, "IK:peer", &own_ssrc, &cookie))
        return NULL;
    ta_reassembler_peer(self->packets, own_ssrc, cookie);
    Py_RETURN_NONE;
}

static PyObject *reassembler_timing(receiver *self, PyObject *args) {
    unsigned int interval_us, rtt_us, queue_us;
    if (!PyArg_ParseTuple(args, "III:timing", &interval_us, &rtt_us, &queue_us))
        return NULL;
    ta_reassembler_timing(self->packets, interval_us, rtt_us, queue_us);
    Py_RETURN_NONE;
}

static PyObject *reassembler_request(receiver *self, PyObject *argument) {
    unsigned long long now_us = PyLong_AsUnsignedLongLong(argument);
    uint8_t data[TA_MAX_REQUEST];
    size_t size;
    if (PyErr_Occurred())
        return NULL;
    if (ta_reassembler_request(self->packets, now_us, data, &size) != TA_OK)
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((char *)data, (Py_ssize_t)size);
}

static PyObject *reassembler_frames(receiver *self, PyObject *Py_UNUSED(ignored)) {
    ta_frame_report decided[TA_REPORTS], newest;
    uint32_t newest_id;
    const size_t n = ta_reassembler_reports(self->packets, decided, TA_REPORTS);
    const bool any = ta_reassembler_newest(self->packets, &newest);
    const uint16_t outcomes = ta_reassembler_outcomes(self->packets, &newest_id);
    return ta_py_frames(decided, n, any ? &newest : NULL, newest_id, outcomes, ta_reassembler_answer_us(self->packets));
}

static PyObject *reassembler_recovery(receiver *self, PyObject *Py_UNUSED(ignored)) {
    ta_recovery_stats stats;
    ta_reassembler_recovery(self->packets, &stats);
    return ta_py_recovery(&stats);
}

static PyObject *reassembler_push_many(receiver *self, PyObject *args) {
    PyObject *sequence;
    unsigned long long arrival_us;
    if (!PyArg_ParseTuple(args, "OK:push_many", &sequence, &arrival_us))
        return NULL;
    Py_ssize_t length = PySequence_Size(sequence);
    unsigned long units = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);
        char *data;
        Py_ssize_t size;
        if (!item || PyBytes_AsStringAndSize(item, &data, &size) < 0) {
            Py_XDECREF(item);
            return NULL;
        }
        push(self, (const uint8_t *)data, (size_t)size, arrival_us);
        Py_DECREF(item);
        ta_au_info info;
        while (next(self, arrival_us, &info) == TA_OK)
            units++;
    }
    return length < 0 ? NULL : PyLong_FromUnsignedLong(units);
}

static PyMethodDef reassembler_methods[] = {
    {"push", (PyCFunction)receiver_push, METH_VARARGS, NULL},
    {"next", (PyCFunction)receiver_next, METH_O, NULL},
    {"deadline", (PyCFunction)receiver_deadline, METH_NOARGS, NULL},
    {"drops", (PyCFunction)receiver_drops, METH_NOARGS, NULL},
    {"reset", (PyCFunction)reassembler_reset, METH_NOARGS, NULL},
    {"push_many", (PyCFunction)reassembler_push_many, METH_VARARGS, NULL},
    {"peer", (PyCFunction)reassembler_peer, METH_VARARGS, NULL},
    {"timing", (PyCFunction)reassembler_timing, METH_VARARGS, NULL},
    {"request", (PyCFunction)reassembler_request, METH_O, NULL},
    {"frames", (PyCFunction)reassembler_frames, METH_NOARGS, NULL},
    {"recovery", (PyCFunction)reassembler_recovery, METH_NOARGS, NULL},
    {0},
};
static PyMethodDef annexb_stream_methods[] = {
    {"push", (PyCFunction)receiver_push, METH_VARARGS, NULL},
    {"next", (PyCFunction)receiver_next, METH_O, NULL},
    {"deadline", (PyCFunction)receiver_deadline, METH_NOARGS, NULL},
    {"drops", (PyCFunction)receiver_drops, METH_NOARGS, NULL},
    {0},
};
static PyType_Slot reassembler_slots[] = {
    {Py_tp_doc, "RTP packets in, access units out."},
    {Py_tp_new, reassembler_new},
    {Py_tp_dealloc, receiver_dealloc},
    {Py_tp_methods, reassembler_methods},
    {0, NULL},
};
static PyType_Slot annexb_stream_slots[] = {
    {Py_tp_doc, "Raw Annex B byte stream in, access units out."},
    {Py_tp_new, annexb_stream_new},
    {Py_tp_dealloc, receiver_dealloc},
    {Py_tp_methods, annexb_stream_methods},
    {0, NULL},
};
static PyType_Spec reassembler_spec = {"thinair._native.Reassembler", sizeof(receiver), 0,
                                       Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, reassembler_slots};
static PyType_Spec annexb_stream_spec = {"thinair._native.AnnexbStream", sizeof(receiver), 0,
                                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, annexb_stream_slots};

/* ---- module ---- */

static int add_constants(PyObject *module) {
    PyObject *reasons = PyTuple_New(TA_DROP_COUNT);
    for (int i = 0; reasons && i < TA_DROP_COUNT; i++) {
        PyObject *name = PyUnicode_FromString(ta_drop_name((ta_drop)i));
        if (!name || PyTuple_SetItem(reasons, i, name) < 0)
            Py_CLEAR(reasons);
    }
    int failed = !reasons || PyModule_AddObjectRef(module, "DROP_REASONS", reasons) < 0;
    Py_XDECREF(reasons);
    return failed || PyModule_AddIntConstant(module, "AU_KEY", TA_AU_KEY) < 0 ||
                   PyModule_AddIntConstant(module, "AU_GAP", TA_AU_GAP) < 0 ||
                   PyModule_AddIntConstant(module, "AU_SPS", TA_AU_SPS) < 0 ||
                   PyModule_AddIntConstant(module, "MAX_PACKET", TA_MAX_PACKET) < 0 ||
                   PyModule_AddIntConstant(module, "MIN_PACKET", TA_MIN_PACKET) < 0
             ? -1
             : 0;
}

/* Adds the type and returns a new reference to it. */
static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec) {
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, type) < 0)
        Py_CLEAR(type);
    return type;
}

int ta_py_add_core(PyObject *module) {
    PyType_Spec *specs[] = {&packetizer_spec, &reassembler_spec, &annexb_stream_spec};
    bitstream_error = PyErr_NewException("thinair._native.BitstreamError", PyExc_ValueError, NULL);
    access_unit_type = add_type(module, &access_unit_spec);
    if (!bitstream_error || PyModule_AddObjectRef(module, "BitstreamError", bitstream_error) < 0 || !access_unit_type)
        return -1;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        PyTypeObject *type = add_type(module, specs[i]);
        if (!type)
            return -1;
        Py_DECREF(type);
    }
    return add_constants(module) < 0 || ta_py_add_core_functions(module) < 0 ? -1 : 0;
}
