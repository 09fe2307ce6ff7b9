/* SendQueue for Python: for simulations and tests. */
#include <stdlib.h>

#include "binding.h"

typedef struct send_queue {
    PyObject_HEAD
    ta_send_queue *core;
} send_queue;

PyObject *ta_py_with(PyObject *dict, PyObject *more) {
    if (!more || PyDict_Update(dict, more) < 0)
        Py_CLEAR(dict);
    Py_XDECREF(more);
    return dict;
}

PyObject *ta_py_send_queue_stats(const ta_send_queue_stats *s) {
    PyObject *media = Py_BuildValue("{sKsKsKsKsKsKsK}", "frames", s->frames, "packets", s->packets, "bytes", s->bytes,
                                    "pre_encode_drops", s->pre_encode_drops, "stale_frames", s->stale_frames,
                                    "queue_full", s->queue_full, "keys_lost", s->keys_lost);
    if (!media)
        return NULL;
    return ta_py_with(
        media, Py_BuildValue("{sKsKsKsKsKsKsKsKsKsKsK}", "repair_proactive", s->repair_proactive, "repair_on_demand",
                             s->repair_on_demand, "repair_bytes", s->repair_bytes, "retransmitted", s->retransmitted,
                             "requests", s->requests, "requests_repeated", s->requests_repeated, "requests_unknown",
                             s->requests_unknown, "requests_refused", s->requests_refused, "targets", s->targets,
                             "targets_late", s->targets_late, "targets_clamped", s->targets_clamped));
}

static PyObject *send_queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ssrc",       "payload_type", "first_seq",   "max_packet",
                            "pace_group", "pace_us",      "interval_us", NULL};
    unsigned int ssrc, first_seq = 0, max_packet = 1400, pace_group = 5, pace_us = 0, interval_us = 0;
    unsigned char payload_type = 96;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I|$bIIIII:SendQueue", names, &ssrc, &payload_type, &first_seq,
                                     &max_packet, &pace_group, &pace_us, &interval_us))
        return NULL;
    const ta_send_queue_config config = {
        .packets = {.payload_type = payload_type,
                    .ssrc = ssrc,
                    .first_seq = (uint16_t)first_seq,
                    .max_packet = max_packet,
                    .elements = true},
        .pace_group = pace_group,
        .pace_us = pace_us,
        .interval_us = interval_us,
    };
    send_queue *self = (send_queue *)PyType_GenericAlloc(type, 0);
    const ta_status status = self ? ta_send_queue_open(&self->core, &config) : TA_OK;
    if (status == TA_OK)
        return (PyObject *)self;
    Py_DECREF(self);
    return ta_py_raise(status, "SendQueue");
}

static void send_queue_dealloc(send_queue *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    ta_send_queue_close(&self->core);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *send_queue_set_cookie(send_queue *self, PyObject *argument) {
    const unsigned long long cookie = PyLong_AsUnsignedLongLong(argument);
    if (PyErr_Occurred())
        return NULL;
    ta_send_queue_set_cookie(self->core, cookie);
    Py_RETURN_NONE;
}

static PyObject *send_queue_reset(send_queue *self, PyObject *Py_UNUSED(ignored)) {
    ta_send_queue_reset(self->core);
    Py_RETURN_NONE;
}

static PyObject *send_queue_ready(send_queue *self, PyObject *args) {
    unsigned long long now_us, unsent = 0;
    if (!PyArg_ParseTuple(args, "K|K:ready", &now_us, &unsent))
        return NULL;
    return PyLong_FromLong(ta_send_queue_ready(self->core, now_us, (size_t)unsent));
}

static PyObject *send_queue_push(send_queue *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"au",         "now_us",       "frame_id",      "rtp_time",    "key", "capture_us",
                            "dequeue_us", "encode_in_us", "encode_out_us", "capture_ntp", NULL};
    Py_buffer au;
    unsigned int frame_id, rtp_time;
    int key = 0;
    unsigned long long now_us, capture = 0, dequeue = 0, in = 0, out = 0, ntp = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*KII|$pKKKKK:push", names, &au, &now_us, &frame_id, &rtp_time,
                                     &key, &capture, &dequeue, &in, &out, &ntp))
        return NULL;
    const ta_frame_meta meta = {.frame_id = frame_id,
                                .rtp_time = rtp_time,
                                .capture_ntp = ntp,
                                .key = key != 0,
                                .stamps = {capture, dequeue, in, out}};
    size_t packets;
    const ta_status status = ta_send_queue_push(self->core, au.buf, (size_t)au.len, &meta, now_us, &packets);
    PyBuffer_Release(&au);
    return status == TA_OK ? PyLong_FromSize_t(packets) : ta_py_raise(status, "access unit not sent");
}

static PyObject *send_queue_next(send_queue *self, PyObject *argument) {
    const unsigned long long now_us = PyLong_AsUnsignedLongLong(argument);
    ta_datagram due[64];
    if (PyErr_Occurred())
        return NULL;
    const size_t n = ta_send_queue_due(self->core, now_us, due, sizeof due / sizeof due[0]);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)due[i].data, (Py_ssize_t)due[i].size);
        if (!bytes)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, (Py_ssize_t)i, bytes);
    }
    ta_send_queue_sent(self->core, n, now_us, now_us);
    return list;
}

static PyObject *send_queue_deadline(send_queue *self, PyObject *Py_UNUSED(ignored)) {
    const uint64_t due = ta_send_queue_deadline(self->core);
    if (due == UINT64_MAX)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(due);
}

static PyObject *send_queue_control(send_queue *self, PyObject *args) {
    Py_buffer data;
    unsigned long long now_us;
    if (!PyArg_ParseTuple(args, "y*K:control", &data, &now_us))
        return NULL;
    const bool consumed = ta_send_queue_control(self->core, data.buf, (size_t)data.len, now_us);
    PyBuffer_Release(&data);
    return PyBool_FromLong(consumed);
}

static PyObject *send_queue_stats(send_queue *self, PyObject *Py_UNUSED(ignored)) {
    return ta_py_send_queue_stats(ta_send_queue_stats_get(self->core));
}

static PyMethodDef methods[] = {
    {"set_cookie", (PyCFunction)send_queue_set_cookie, METH_O, NULL},
    {"reset", (PyCFunction)send_queue_reset, METH_NOARGS, NULL},
    {"ready", (PyCFunction)send_queue_ready, METH_VARARGS, NULL},
    {"push", (PyCFunction)(void (*)(void))send_queue_push, METH_VARARGS | METH_KEYWORDS, NULL},
    {"next", (PyCFunction)send_queue_next, METH_O, NULL},
    {"deadline", (PyCFunction)send_queue_deadline, METH_NOARGS, NULL},
    {"control", (PyCFunction)send_queue_control, METH_VARARGS, NULL},
    {"stats", (PyCFunction)send_queue_stats, METH_NOARGS, NULL},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Access units in, datagrams out: media, repair symbols, answers to requests."},
    {Py_tp_new, send_queue_new},
    {Py_tp_dealloc, send_queue_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"thinair._native.SendQueue", sizeof(send_queue), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};

int ta_py_add_send_queue(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    const int result = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return result < 0 || PyModule_AddIntConstant(module, "READY", TA_READY) < 0 ||
                   PyModule_AddIntConstant(module, "READY_KEY", TA_READY_KEY) < 0 ||
                   PyModule_AddIntConstant(module, "SKIP", TA_SKIP) < 0 ||
                   PyModule_AddIntConstant(module, "MAX_LINK_PACKET", TA_MAX_LINK_PACKET) < 0
             ? -1
             : 0;
}
