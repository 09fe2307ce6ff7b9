/* Tx for Python. Limited API 3.11. */
#include "io_helpers.h"
#include "thinair/tx.h"

typedef struct TxObject {
    PyObject_HEAD
    ta_tx *tx;
} TxObject;

static int tx_open(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"host",       "port",       "mode",    "ssrc",     "payload_type",
                            "max_packet", "pace_group", "pace_us", "priority", "bind_port",
                            "fixed_pace", "encrypted",  NULL};
    TxObject *self = (TxObject *)object;
    const char *host, *mode = "thinair";
    int port, payload_type = 96, max_packet = 1400, pace_group = 5, pace_us = 0, priority = 0, bind_port = 0,
              fixed_pace = 0, encrypted = 0;
    unsigned long ssrc = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "si|skiiiiiipp", names, &host, &port, &mode, &ssrc, &payload_type,
                                     &max_packet, &pace_group, &pace_us, &priority, &bind_port, &fixed_pace,
                                     &encrypted))
        return -1;
    ta_tx_config config = {.host = host, .priority = priority};
    if (ta_py_mode(mode, &config.mode) < 0 || ta_py_check_range("port", port, host[0] != 0, 65535) < 0 ||
        ta_py_check_range("bind_port", bind_port, 0, 65535) < 0 ||
        ta_py_check_range("payload_type", payload_type, 96, 127) < 0 ||
        ta_py_check_range("max_packet", max_packet, TA_MIN_PACKET,
                          config.mode == TA_MODE_THINAIR ? TA_MAX_LINK_PACKET : TA_MAX_PACKET) < 0 ||
        ta_py_check_range("pace_group", pace_group, 1, 1024) < 0 ||
        ta_py_check_range("pace_us", pace_us, 0, 100000) < 0)
        return -1;
    config.port = (uint16_t)port;
    config.bind_port = (uint16_t)bind_port;
    config.fixed_pace = fixed_pace;
    config.encrypted = encrypted;
    config.pace_group = (uint32_t)pace_group;
    config.pace_us = (uint32_t)pace_us;
    config.packets = (ta_packetizer_config){
        .payload_type = (uint8_t)payload_type, .ssrc = (uint32_t)ssrc, .max_packet = (size_t)max_packet};
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_tx_open(&self->tx, &config);
    Py_END_ALLOW_THREADS
    return status == TA_OK ? 0 : ta_py_raise_open(status, host, port);
}

static PyObject *tx_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return ta_py_new_opened(type, args, kwargs, tx_open);
}

static void tx_dealloc(PyObject *object) {
    TxObject *self = (TxObject *)object;
    Py_BEGIN_ALLOW_THREADS
    ta_tx_close(&self->tx);
    Py_END_ALLOW_THREADS
    ta_py_dealloc(object);
}

ta_tx *ta_py_tx(PyObject *object) {
    if (PyType_GetSlot(Py_TYPE(object), Py_tp_dealloc) == (void *)tx_dealloc)
        return ((TxObject *)object)->tx;
    PyErr_SetString(PyExc_TypeError, "tx must be a Tx");
    return NULL;
}

static PyObject *tx_push(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"au",         "frame_id",     "rtp_time",      "key",         "capture_us",
                            "dequeue_us", "encode_in_us", "encode_out_us", "capture_ntp", NULL};
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
    const char *host = NULL;
    int port = 0, plain = 0;
    if (!PyArg_ParseTuple(args, "y*|sip", &data, &host, &port, &plain))
        return NULL;
    ta_tx *tx = ((TxObject *)object)->tx;
    bool done = host ? ta_tx_send_control_to(tx, data.buf, (size_t)data.len, host, (uint16_t)port, plain)
                     : ta_tx_send_control(tx, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return PyBool_FromLong(done);
}

static ta_status tx_install(void *tx, const ta_seal_config *config) { return ta_tx_install(tx, config); }
static PyObject *tx_install_keys(PyObject *object, PyObject *args, PyObject *kwargs) {
    return ta_py_install_keys(args, kwargs, tx_install, ((TxObject *)object)->tx);
}

static PyObject *tx_forget_keys(PyObject *object, PyObject *unused) {
    (void)unused;
    ta_tx_forget_keys(((TxObject *)object)->tx);
    Py_RETURN_NONE;
}

static PyObject *tx_set_peer(PyObject *object, PyObject *args) {
    const char *host;
    int port;
    if (!PyArg_ParseTuple(args, "si", &host, &port) || ta_py_check_range("port", port, 1, 65535) < 0)
        return NULL;
    const ta_status status = ta_tx_set_peer(((TxObject *)object)->tx, host, (uint16_t)port);
    return status == TA_OK ? Py_NewRef(Py_None) : ta_py_raise(status, "cannot use the receiver's address");
}

static PyObject *tx_new_peer(PyObject *object, PyObject *unused) {
    (void)unused;
    ta_address from;
    char host[INET6_ADDRSTRLEN];
    uint16_t port;
    if (!ta_tx_new_peer(((TxObject *)object)->tx, &from))
        Py_RETURN_NONE;
    ta_address_text(&from, host, sizeof host, &port);
    return Py_BuildValue("si", host, (int)port);
}

static PyObject *tx_control(PyObject *object, PyObject *unused) {
    (void)unused;
    PyObject *list = PyList_New(0);
    ta_control item;
    while (list && ta_tx_take_control(((TxObject *)object)->tx, &item))
        if (ta_py_append(list, Py_BuildValue("y#K", (char *)item.data, (Py_ssize_t)item.size,
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
    PyObject *dict = ta_py_send_queue_stats(&s.out);
    return dict
             ? ta_py_with(dict, Py_BuildValue("{sKsKsKsKsKsKsK}", "send_errors", s.send_errors, "control_drops",
                                              s.control_drops, "probes", s.probes, "media_refused", s.media_refused,
                                              "auth", s.auth, "replay", s.replay, "packets_sealed", s.packets_sealed))
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
    return ta_py_notes(tx_note, ((TxObject *)object)->tx);
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
    {"install_keys", (PyCFunction)(void (*)(void))tx_install_keys, METH_VARARGS | METH_KEYWORDS, NULL},
    {"forget_keys", tx_forget_keys, METH_NOARGS, NULL},
    {"set_peer", tx_set_peer, METH_VARARGS, NULL},
    {"new_peer", tx_new_peer, METH_NOARGS, NULL},
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
    {Py_tp_new, tx_new}, {Py_tp_dealloc, tx_dealloc}, {Py_tp_methods, tx_methods}, {Py_tp_getset, tx_getset}, {0, NULL},
};

static PyType_Spec tx_spec = {"thinair._native.Tx", sizeof(TxObject), 0, Py_TPFLAGS_DEFAULT, tx_slots};

int ta_py_add_tx(PyObject *module) { return ta_py_add_type(module, "Tx", &tx_spec); }
