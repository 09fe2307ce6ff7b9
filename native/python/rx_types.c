/* Rx for Python. Limited API 3.11. */
#include "io_helpers.h"
#include "thinair/clock.h"
#include "thinair/rx.h"

typedef struct RxObject {
    PyObject_HEAD
    ta_rx *rx;
} RxObject;

static int rx_open(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"port",      "host",        "mode",  "payload_type", "window_frames",  "reorder_us",
                            "max_au",    "quiet_us",    "slots", "priority",     "receive_buffer", "repair_timeout_us",
                            "encrypted", "log_packets", NULL};
    RxObject *self = (RxObject *)object;
    const char *host = "", *mode = "thinair";
    int port, payload_type = 96, window = 8, reorder_us = 4000, max_au = 2097152, quiet_us = 4000, slots = 8,
              priority = 0, buffer = 4194304, repair_timeout_us = 0, encrypted = 0, log_packets = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|ssiiiiiiiiipp", names, &port, &host, &mode, &payload_type,
                                     &window, &reorder_us, &max_au, &quiet_us, &slots, &priority, &buffer,
                                     &repair_timeout_us, &encrypted, &log_packets))
        return -1;
    ta_rx_config config = {.host = host, .priority = priority, .receive_buffer = buffer};
    if (ta_py_mode(mode, &config.mode) < 0 || ta_py_check_range("port", port, 0, 65535) < 0 ||
        ta_py_check_range("payload_type", payload_type, 0, 127) < 0 ||
        ta_py_check_range("window_frames", window, 2, 32) < 0 ||
        ta_py_check_range("reorder_us", reorder_us, 0, 1000000) < 0 ||
        ta_py_check_range("max_au", max_au, 4096, 1 << 26) < 0 ||
        ta_py_check_range("quiet_us", quiet_us, 0, 1000000) < 0 || ta_py_check_range("slots", slots, 2, 64) < 0 ||
        ta_py_check_range("repair_timeout_us", repair_timeout_us, 0, 1000000) < 0)
        return -1;
    config.port = (uint16_t)port;
    config.slots = (uint32_t)slots;
    config.encrypted = encrypted;
    config.log_packets = log_packets;
    config.frames = (ta_reassembler_config){.payload_type = (uint8_t)payload_type,
                                            .elements = config.mode == TA_MODE_THINAIR,
                                            .window_frames = (uint32_t)window,
                                            .reorder_us = (uint32_t)reorder_us,
                                            .max_au = (size_t)max_au,
                                            .repair_timeout_us = (uint32_t)repair_timeout_us};
    config.stream = (ta_annexb_stream_config){.max_au = (size_t)max_au, .quiet_us = (uint32_t)quiet_us};
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_rx_open(&self->rx, &config);
    Py_END_ALLOW_THREADS
    return status == TA_OK ? 0 : ta_py_raise_open(status, host, port);
}

static PyObject *rx_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return ta_py_new_opened(type, args, kwargs, rx_open);
}

static void rx_dealloc(PyObject *object) {
    RxObject *self = (RxObject *)object;
    Py_BEGIN_ALLOW_THREADS
    ta_rx_close(&self->rx);
    Py_END_ALLOW_THREADS
    ta_py_dealloc(object);
}

static ta_status rx_install(void *rx, const ta_seal_config *config) { return ta_rx_install(rx, config); }

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
    /* Stamped after the GIL is held again: that is when the decoder can go on. */
    PyObject *unit = ta_py_access_unit(info, data, ta_now_us(), release_slot, slot);
    if (!unit)
        ta_rx_release(slot);
    return unit;
}

/* [(bytes, arrival_us, host, port)] */
static PyObject *take_all(ta_rx *rx, bool (*take)(ta_rx *, ta_control *)) {
    PyObject *list = PyList_New(0);
    ta_control item;
    while (list && take(rx, &item)) {
        char host[INET6_ADDRSTRLEN];
        uint16_t port;
        ta_address_text(&item.from, host, sizeof host, &port);
        if (ta_py_append(list, Py_BuildValue("y#Ksi", (char *)item.data, (Py_ssize_t)item.size,
                                             (unsigned long long)item.arrival_us, host, (int)port)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *rx_control(PyObject *object, PyObject *unused) {
    (void)unused;
    return take_all(((RxObject *)object)->rx, ta_rx_take_control);
}

static PyObject *rx_invites(PyObject *object, PyObject *unused) {
    (void)unused;
    return take_all(((RxObject *)object)->rx, ta_rx_take_invite);
}

static PyObject *rx_install_keys(PyObject *object, PyObject *args, PyObject *kwargs) {
    return ta_py_install_keys(args, kwargs, rx_install, ((RxObject *)object)->rx);
}

static PyObject *rx_forget_keys(PyObject *object, PyObject *unused) {
    (void)unused;
    ta_rx_forget_keys(((RxObject *)object)->rx);
    Py_RETURN_NONE;
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
    return Py_BuildValue("{sKsKsKsKsisKsKsKsK}", "packets", s.packets, "bytes", s.bytes, "frames", s.frames,
                         "lost_frames", s.lost_frames, "receive_buffer", s.receive_buffer, "kernel_drops",
                         s.kernel_drops, "address_changes", s.address_changes, "packets_sealed", s.packets_sealed,
                         "packets_not_logged", s.packets_not_logged);
}

static PyObject *rx_packets(PyObject *object, PyObject *unused) {
    (void)unused;
    enum { AT_ONCE = 512 * TA_PACKET_RECORD };
    uint8_t *records = PyMem_Malloc(AT_ONCE);
    if (!records)
        return PyErr_NoMemory();
    const size_t size = ta_rx_packets(((RxObject *)object)->rx, records, AT_ONCE);
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)records, (Py_ssize_t)size);
    PyMem_Free(records);
    return bytes;
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
    return ta_py_notes(rx_note, ((RxObject *)object)->rx);
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
    {"install_keys", (PyCFunction)(void (*)(void))rx_install_keys, METH_VARARGS | METH_KEYWORDS, NULL},
    {"forget_keys", rx_forget_keys, METH_NOARGS, NULL},
    {"invites", rx_invites, METH_NOARGS, NULL},
    {"accept", rx_accept, METH_VARARGS, NULL},
    {"arrivals", rx_arrivals, METH_O, NULL},
    {"progress", rx_progress, METH_NOARGS, NULL},
    {"timing", rx_timing, METH_VARARGS, NULL},
    {"frames", rx_frames, METH_NOARGS, NULL},
    {"recovery", rx_recovery, METH_NOARGS, NULL},
    {"drops", rx_drops, METH_NOARGS, NULL},
    {"stats", rx_stats, METH_NOARGS, NULL},
    {"packets", rx_packets, METH_NOARGS, NULL},
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
    {Py_tp_new, rx_new}, {Py_tp_dealloc, rx_dealloc}, {Py_tp_methods, rx_methods}, {Py_tp_getset, rx_getset}, {0, NULL},
};

static PyType_Spec rx_spec = {"thinair._native.Rx", sizeof(RxObject), 0, Py_TPFLAGS_DEFAULT, rx_slots};

int ta_py_add_rx(PyObject *module) { return ta_py_add_type(module, "Rx", &rx_spec); }
