/* Tx and Rx for Python. Limited API 3.11. A little over 500 lines, most of them tables of methods and fields. */
#include <errno.h>
#include <string.h>

#include "binding.h"
#include "thinair/io.h"

typedef struct TxObject {
    PyObject_HEAD
    ta_tx *tx;
} TxObject;

typedef struct RxObject {
    PyObject_HEAD
    ta_rx *rx;
} RxObject;

static int parse_mode(const char *text, ta_mode *mode) {
    static const char *const names[] = {"thinair", "rtp", "annexb"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *mode = (ta_mode)i;
            return 0;
        }
    PyErr_Format(PyExc_ValueError, "mode is thinair, rtp or annexb, not %s", text);
    return -1;
}

static int raise_open(ta_status status, const char *host, int port) {
    if (status == TA_ESYS) {
        PyErr_SetFromErrno(PyExc_OSError);
    } else if (status == TA_EINVAL) {
        PyErr_Format(PyExc_ValueError, "cannot use address %s port %d", host, port);
    } else {
        ta_py_raise(status, "cannot open");
    }
    return -1;
}

static PyObject *notes_list(const char *(*note)(const void *, size_t), const void *owner) {
    PyObject *list = PyList_New(0);
    const char *text;
    for (size_t i = 0; list && (text = note(owner, i)); i++) {
        PyObject *item = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static void dealloc_type(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* Made and opened in one step: there is no object without its pump. */
static PyObject *new_opened(PyTypeObject *type, PyObject *args, PyObject *kwargs,
                            int (*open)(PyObject *, PyObject *, PyObject *)) {
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self && open(self, args, kwargs) < 0)
        Py_CLEAR(self);
    return self;
}

static int check_range(const char *what, long long value, long long low, long long high) {
    if (value >= low && value <= high)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s is %lld, allowed are %lld to %lld", what, value, low, high);
    return -1;
}

/* ---- Tx ---- */

static int tx_open(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"host",       "port",       "mode",    "ssrc",     "payload_type", "max_packet",
                            "pace_group", "pace_us",    "priority", "bind_port", "own_pace", NULL};
    TxObject *self = (TxObject *)object;
    const char *host, *mode = "thinair";
    int port, payload_type = 96, max_packet = 1400, pace_group = 5, pace_us = 0, priority = 0, bind_port = 0, own_pace = 0;
    unsigned long ssrc = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "si|skiiiiiip", names, &host, &port, &mode, &ssrc, &payload_type,
                                     &max_packet, &pace_group, &pace_us, &priority, &bind_port, &own_pace))
        return -1;
    ta_tx_config config = {.host = host, .priority = priority};
    if (parse_mode(mode, &config.mode) < 0 || check_range("port", port, 1, 65535) < 0 ||
        check_range("bind_port", bind_port, 0, 65535) < 0 || check_range("payload_type", payload_type, 96, 127) < 0 ||
        check_range("max_packet", max_packet, TA_MIN_PACKET,
                    config.mode == TA_MODE_THINAIR ? TA_MAX_LINK_PACKET : TA_MAX_PACKET) < 0 ||
        check_range("pace_group", pace_group, 1, 1024) < 0 || check_range("pace_us", pace_us, 0, 100000) < 0)
        return -1;
    config.port = (uint16_t)port;
    config.bind_port = (uint16_t)bind_port;
    config.own_pace = own_pace;
    config.pace_group = (uint32_t)pace_group;
    config.pace_us = (uint32_t)pace_us;
    config.packets = (ta_packetizer_config){
        .payload_type = (uint8_t)payload_type, .ssrc = (uint32_t)ssrc, .max_packet = (size_t)max_packet};
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_tx_open(&self->tx, &config);
    Py_END_ALLOW_THREADS
    return status == TA_OK ? 0 : raise_open(status, host, port);
}

static PyObject *tx_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return new_opened(type, args, kwargs, tx_open);
}

static void tx_dealloc(PyObject *object) {
    TxObject *self = (TxObject *)object;
    Py_BEGIN_ALLOW_THREADS
    ta_tx_close(&self->tx);
    Py_END_ALLOW_THREADS
    dealloc_type(object);
}

ta_tx *ta_py_tx(PyObject *object) {
    if (PyType_GetSlot(Py_TYPE(object), Py_tp_dealloc) == (void *)tx_dealloc)
        return ((TxObject *)object)->tx;
    PyErr_SetString(PyExc_TypeError, "tx must be a Tx");
    return NULL;
}

static PyObject *tx_push(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"au",           "frame_id",      "rtp_time",    "key", "capture_us", "dequeue_us",
                            "encode_in_us", "encode_out_us", "capture_ntp", NULL};
    Py_buffer au;
    unsigned long frame_id, rtp_time;
    int key = 0;
    unsigned long long capture = 0, dequeue = 0, encode_in = 0, encode_out = 0, ntp = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*kk|pKKKKK", names, &au, &frame_id, &rtp_time, &key, &capture,
                                     &dequeue, &encode_in, &encode_out, &ntp))
        return NULL;
    ta_frame_meta meta = {.frame_id = (uint32_t)frame_id,
                          .rtp_time = (uint32_t)rtp_time,
                          .capture_ntp = ntp,
                          .key = key,
                          .stamps = {capture, dequeue, encode_in, encode_out}};
    size_t packets = 0;
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_tx_push(((TxObject *)object)->tx, au.buf, (size_t)au.len, &meta, &packets);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&au);
    if (status != TA_OK)
        return ta_py_raise(status, "access unit not sent");
    return PyLong_FromSize_t(packets);
}

static PyObject *tx_ready(PyObject *object, PyObject *unused) {
    (void)unused;
    return PyLong_FromLong(ta_tx_ready(((TxObject *)object)->tx));
}

static PyObject *tx_allow_media(PyObject *object, PyObject *argument) {
    int allowed = PyObject_IsTrue(argument);
    if (allowed < 0)
        return NULL;
    ta_tx_allow_media(((TxObject *)object)->tx, allowed);
    Py_RETURN_NONE;
}

static PyObject *tx_set_cookie(PyObject *object, PyObject *args) {
    unsigned long long cookie, boot_id;
    if (!PyArg_ParseTuple(args, "KK", &cookie, &boot_id))
        return NULL;
    ta_tx_set_cookie(((TxObject *)object)->tx, cookie, boot_id);
    Py_RETURN_NONE;
}

static PyObject *tx_send_control(PyObject *object, PyObject *args) {
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "y*", &data))
        return NULL;
    bool done = ta_tx_send_control(((TxObject *)object)->tx, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return PyBool_FromLong(done);
}

static int append_new(PyObject *list, PyObject *item) {
    int result = item ? PyList_Append(list, item) : -1;
    Py_XDECREF(item);
    return result;
}

static PyObject *tx_control(PyObject *object, PyObject *unused) {
    (void)unused;
    PyObject *list = PyList_New(0);
    ta_control item;
    while (list && ta_tx_take_control(((TxObject *)object)->tx, &item))
        if (append_new(list, Py_BuildValue("y#K", (char *)item.data, (Py_ssize_t)item.size,
                                           (unsigned long long)item.arrival_us)) < 0)
            Py_CLEAR(list);
    return list;
}

static PyObject *tx_sent(PyObject *object, PyObject *unused) {
    (void)unused;
    ta_sent sent;
    if (!ta_tx_sent(((TxObject *)object)->tx, &sent))
        Py_RETURN_NONE;
    return Py_BuildValue("kKK", (unsigned long)sent.frame_id, (unsigned long long)sent.first_send_us,
                         (unsigned long long)sent.last_send_us);
}

static PyObject *tx_stats(PyObject *object, PyObject *unused) {
    (void)unused;
    ta_tx_stats s;
    ta_tx_stats_get(((TxObject *)object)->tx, &s);
    PyObject *dict = ta_py_outbox_stats(&s.out);
    return dict ? ta_py_with(dict, Py_BuildValue("{sKsKsKsK}", "send_errors", s.send_errors, "control_drops", s.control_drops,
                                                 "probes", s.probes, "media_refused", s.media_refused))
                : NULL;
}

static PyObject *tx_close(PyObject *object, PyObject *unused) {
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    ta_tx_stop(((TxObject *)object)->tx);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static const char *tx_note(const void *tx, size_t index) { return ta_tx_note(tx, index); }

static PyObject *tx_get_notes(PyObject *object, void *unused) {
    (void)unused;
    return notes_list(tx_note, ((TxObject *)object)->tx);
}

static PyObject *tx_get_eventfd(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromLong(ta_tx_eventfd(((TxObject *)object)->tx));
}

static PyObject *tx_get_port(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromLong(ta_tx_port(((TxObject *)object)->tx));
}

static PyMethodDef tx_methods[] = {
    {"push", (PyCFunction)(void (*)(void))tx_push, METH_VARARGS | METH_KEYWORDS, NULL},
    {"ready", tx_ready, METH_NOARGS, NULL},
    {"allow_media", tx_allow_media, METH_O, NULL},
    {"set_cookie", tx_set_cookie, METH_VARARGS, NULL},
    {"send_control", tx_send_control, METH_VARARGS, NULL},
    {"control", tx_control, METH_NOARGS, NULL},
    {"sent", tx_sent, METH_NOARGS, NULL},
    {"stats", tx_stats, METH_NOARGS, NULL},
    {"close", tx_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef tx_getset[] = {
    {"notes", tx_get_notes, NULL, NULL, NULL},
    {"eventfd", tx_get_eventfd, NULL, NULL, NULL},
    {"local_port", tx_get_port, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot tx_slots[] = {
    {Py_tp_new, tx_new},       {Py_tp_dealloc, tx_dealloc}, {Py_tp_methods, tx_methods},
    {Py_tp_getset, tx_getset}, {0, NULL},
};

static PyType_Spec tx_spec = {"_thinair.Tx", sizeof(TxObject), 0, Py_TPFLAGS_DEFAULT, tx_slots};

/* ---- Rx ---- */

static int rx_open(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"port",     "host",  "mode",     "payload_type",   "window_frames", "reorder_us", "max_au",
                            "quiet_us", "slots", "priority", "receive_buffer", "patience_us",   NULL};
    RxObject *self = (RxObject *)object;
    const char *host = "", *mode = "thinair";
    int port, payload_type = 96, window = 8, reorder_us = 4000, max_au = 2097152, quiet_us = 4000, slots = 8,
              priority = 0, buffer = 4194304, patience_us = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|ssiiiiiiiii", names, &port, &host, &mode, &payload_type, &window,
                                     &reorder_us, &max_au, &quiet_us, &slots, &priority, &buffer, &patience_us))
        return -1;
    ta_rx_config config = {.host = host, .priority = priority, .receive_buffer = buffer};
    if (parse_mode(mode, &config.mode) < 0 || check_range("port", port, 0, 65535) < 0 ||
        check_range("payload_type", payload_type, 0, 127) < 0 || check_range("window_frames", window, 2, 32) < 0 ||
        check_range("reorder_us", reorder_us, 0, 1000000) < 0 || check_range("max_au", max_au, 4096, 1 << 26) < 0 ||
        check_range("quiet_us", quiet_us, 0, 1000000) < 0 || check_range("slots", slots, 2, 64) < 0 || check_range("patience_us", patience_us, 0, 1000000) < 0)
        return -1;
    config.port = (uint16_t)port;
    config.slots = (uint32_t)slots;
    config.frames = (ta_reassembler_config){.payload_type = (uint8_t)payload_type,
                                            .elements = config.mode == TA_MODE_THINAIR,
                                            .window_frames = (uint32_t)window,
                                            .reorder_us = (uint32_t)reorder_us,
                                            .max_au = (size_t)max_au,
                                            .patience_us = (uint32_t)patience_us};
    config.stream = (ta_austream_config){.max_au = (size_t)max_au, .quiet_us = (uint32_t)quiet_us};
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_rx_open(&self->rx, &config);
    Py_END_ALLOW_THREADS
    return status == TA_OK ? 0 : raise_open(status, host, port);
}

static PyObject *rx_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return new_opened(type, args, kwargs, rx_open);
}

static void rx_dealloc(PyObject *object) {
    RxObject *self = (RxObject *)object;
    Py_BEGIN_ALLOW_THREADS
    ta_rx_close(&self->rx);
    Py_END_ALLOW_THREADS
    dealloc_type(object);
}

static void release_slot(void *slot) { ta_rx_release(slot); }

static PyObject *rx_wait(PyObject *object, PyObject *argument) {
    unsigned long long timeout_us = PyLong_AsUnsignedLongLong(argument);
    if (PyErr_Occurred())
        return NULL;
    ta_slot *slot;
    const ta_au_info *info;
    const uint8_t *data;
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_rx_wait(((RxObject *)object)->rx, timeout_us, &slot, &info, &data);
    Py_END_ALLOW_THREADS
    if (status != TA_OK)
        Py_RETURN_NONE;
    /* Stamped with the GIL held again: what the decoder really waits for. */
    PyObject *unit = ta_py_access_unit(info, data, ta_now_us(), release_slot, slot);
    if (!unit)
        ta_rx_release(slot);
    return unit;
}

static PyObject *rx_control(PyObject *object, PyObject *unused) {
    (void)unused;
    PyObject *list = PyList_New(0);
    ta_control item;
    while (list && ta_rx_take_control(((RxObject *)object)->rx, &item)) {
        char host[INET6_ADDRSTRLEN];
        uint16_t port;
        ta_address_text(&item.from, host, sizeof host, &port);
        if (append_new(list, Py_BuildValue("y#Ksi", (char *)item.data, (Py_ssize_t)item.size,
                                           (unsigned long long)item.arrival_us, host, (int)port)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *rx_send_control(PyObject *object, PyObject *args) {
    Py_buffer data;
    const char *host;
    int port;
    if (!PyArg_ParseTuple(args, "y*si", &data, &host, &port))
        return NULL;
    bool done = ta_rx_send_control(((RxObject *)object)->rx, data.buf, (size_t)data.len, host, (uint16_t)port);
    PyBuffer_Release(&data);
    return PyBool_FromLong(done);
}

static PyObject *rx_accept(PyObject *object, PyObject *args) {
    const char *host;
    int port;
    unsigned long ssrc, own_ssrc = 0;
    unsigned long long cookie = 0;
    if (!PyArg_ParseTuple(args, "sik|kK", &host, &port, &ssrc, &own_ssrc, &cookie))
        return NULL;
    ta_status status =
        ta_rx_accept(((RxObject *)object)->rx, host, (uint16_t)port, (uint32_t)ssrc, (uint32_t)own_ssrc, cookie);
    if (status != TA_OK)
        return ta_py_raise(status, "cannot accept the sender's address");
    Py_RETURN_NONE;
}

static PyObject *rx_arrivals(PyObject *object, PyObject *argument) {
    long limit = PyLong_AsLong(argument);
    if (limit < 0)
        return PyErr_Occurred() ? NULL : PyList_New(0);
    ta_arrival arrivals[1024];
    size_t n = ta_rx_arrivals(((RxObject *)object)->rx, arrivals, limit < 1024 ? (size_t)limit : 1024);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        PyObject *pair = Py_BuildValue("iK", (int)arrivals[i].seq, (unsigned long long)arrivals[i].arrival_us);
        if (!pair)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, (Py_ssize_t)i, pair);
    }
    return list;
}

static PyObject *rx_progress(PyObject *object, PyObject *unused) {
    (void)unused;
    uint64_t last_us, frames;
    ta_rx_progress(((RxObject *)object)->rx, &last_us, &frames);
    return Py_BuildValue("KK", (unsigned long long)last_us, (unsigned long long)frames);
}

static PyObject *rx_timing(PyObject *object, PyObject *args) {
    unsigned int interval_us, rtt_us, queue_us;
    if (!PyArg_ParseTuple(args, "III:timing", &interval_us, &rtt_us, &queue_us))
        return NULL;
    ta_rx_timing(((RxObject *)object)->rx, interval_us, rtt_us, queue_us);
    Py_RETURN_NONE;
}

static PyObject *rx_frames(PyObject *object, PyObject *unused) {
    (void)unused;
    ta_frame_report decided[TA_REPORTS], newest;
    bool any;
    uint32_t newest_id, answer_us;
    uint16_t outcomes;
    const size_t n =
        ta_rx_frames(((RxObject *)object)->rx, decided, TA_REPORTS, &newest, &any, &newest_id, &outcomes, &answer_us);
    return ta_py_frames(decided, n, any ? &newest : NULL, newest_id, outcomes, answer_us);
}

static PyObject *rx_recovery(PyObject *object, PyObject *unused) {
    (void)unused;
    ta_recovery_stats stats;
    ta_rx_recovery(((RxObject *)object)->rx, &stats);
    return ta_py_recovery(&stats);
}

static PyObject *rx_drops(PyObject *object, PyObject *unused) {
    (void)unused;
    uint64_t drops[TA_DROP_COUNT];
    ta_rx_drops(((RxObject *)object)->rx, drops);
    return ta_py_drops(drops);
}

static PyObject *rx_stats(PyObject *object, PyObject *unused) {
    (void)unused;
    ta_rx_stats s;
    ta_rx_stats_get(((RxObject *)object)->rx, &s);
    return Py_BuildValue("{sKsKsKsKsisK}", "packets", s.packets, "bytes", s.bytes, "frames", s.frames, "lost_frames",
                         s.lost_frames, "receive_buffer", s.receive_buffer, "kernel_drops", s.kernel_drops);
}

static PyObject *rx_close(PyObject *object, PyObject *unused) {
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    ta_rx_stop(((RxObject *)object)->rx);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static const char *rx_note(const void *rx, size_t index) { return ta_rx_note(rx, index); }

static PyObject *rx_get_notes(PyObject *object, void *unused) {
    (void)unused;
    return notes_list(rx_note, ((RxObject *)object)->rx);
}

static PyObject *rx_get_eventfd(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromLong(ta_rx_eventfd(((RxObject *)object)->rx));
}

static PyObject *rx_get_port(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromLong(ta_rx_port(((RxObject *)object)->rx));
}

static PyMethodDef rx_methods[] = {
    {"wait", rx_wait, METH_O, NULL},
    {"control", rx_control, METH_NOARGS, NULL},
    {"send_control", rx_send_control, METH_VARARGS, NULL},
    {"accept", rx_accept, METH_VARARGS, NULL},
    {"arrivals", rx_arrivals, METH_O, NULL},
    {"progress", rx_progress, METH_NOARGS, NULL},
    {"timing", rx_timing, METH_VARARGS, NULL},
    {"frames", rx_frames, METH_NOARGS, NULL},
    {"recovery", rx_recovery, METH_NOARGS, NULL},
    {"drops", rx_drops, METH_NOARGS, NULL},
    {"stats", rx_stats, METH_NOARGS, NULL},
    {"close", rx_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef rx_getset[] = {
    {"notes", rx_get_notes, NULL, NULL, NULL},
    {"eventfd", rx_get_eventfd, NULL, NULL, NULL},
    {"local_port", rx_get_port, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot rx_slots[] = {
    {Py_tp_new, rx_new},       {Py_tp_dealloc, rx_dealloc}, {Py_tp_methods, rx_methods},
    {Py_tp_getset, rx_getset}, {0, NULL},
};

static PyType_Spec rx_spec = {"_thinair.Rx", sizeof(RxObject), 0, Py_TPFLAGS_DEFAULT, rx_slots};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int result = type ? PyModule_AddObjectRef(module, name, type) : -1;
    Py_XDECREF(type);
    return result;
}

int ta_py_add_io(PyObject *module) {
    if (add_type(module, "Tx", &tx_spec) < 0 || add_type(module, "Rx", &rx_spec) < 0)
        return -1;
    return 0;
}
