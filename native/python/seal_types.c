/* Seal of the stub's repair section. */
#include "binding.h"

#include "thinair/seal.h"

typedef struct SealObject {
    PyObject_HEAD
    ta_seal *core;
} SealObject;

int ta_py_seal_config(PyObject *args, PyObject *kwargs, ta_seal_config *config, Py_buffer views[2]) {
    static char *names[] = {"own", "peer", "media_ssrc", "limit", "after_peer", NULL};
    unsigned long media_ssrc, limit = 0;
    int after_peer = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*y*k|$kp", names, &views[0], &views[1], &media_ssrc, &limit,
                                     &after_peer))
        return -1;
    if (views[0].len != TA_SEAL_KEYS || views[1].len != TA_SEAL_KEYS) {
        PyErr_Format(PyExc_ValueError, "keys of a direction have %d bytes", (int)TA_SEAL_KEYS);
        PyBuffer_Release(&views[0]);
        PyBuffer_Release(&views[1]);
        return -1;
    }
    *config = (ta_seal_config){.own = views[0].buf,
                               .peer = views[1].buf,
                               .media_ssrc = (uint32_t)media_ssrc,
                               .limit = limit > TA_SEAL_LIMIT ? TA_SEAL_LIMIT : (uint32_t)limit,
                               .after_peer = after_peer};
    return 0;
}

static PyObject *seal_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Seal", names))
        return NULL;
    SealObject *self = (SealObject *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    const ta_status status = ta_seal_open(&self->core);
    if (status == TA_OK)
        return (PyObject *)self;
    Py_DECREF(self);
    return ta_py_raise(status, "Seal");
}

static void seal_dealloc(SealObject *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    ta_seal_close(&self->core);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *seal_install(SealObject *self, PyObject *args, PyObject *kwargs) {
    ta_seal_config config;
    Py_buffer views[2];
    if (ta_py_seal_config(args, kwargs, &config, views) < 0)
        return NULL;
    const ta_status status = ta_seal_install(self->core, &config);
    PyBuffer_Release(&views[0]);
    PyBuffer_Release(&views[1]);
    return status == TA_OK ? Py_NewRef(Py_None) : ta_py_raise(status, "keys");
}

static PyObject *seal_forget(SealObject *self, PyObject *Py_UNUSED(none)) {
    ta_seal_forget(self->core);
    Py_RETURN_NONE;
}

typedef ta_status (*sealer)(ta_seal *, const uint8_t *, size_t, uint8_t *, size_t *);
typedef ta_status (*unsealer)(ta_seal *, const uint8_t *, size_t, uint64_t, uint8_t *, size_t *, bool *, ta_drop *);

static PyObject *seal_with(SealObject *self, PyObject *argument, sealer seal) {
    Py_buffer in;
    uint8_t out[TA_MAX_PACKET + TA_SEAL_CONTROL];
    size_t size = 0;
    if (PyObject_GetBuffer(argument, &in, PyBUF_SIMPLE) < 0)
        return NULL;
    const ta_status status =
        (size_t)in.len > TA_MAX_PACKET ? TA_EINVAL : seal(self->core, in.buf, (size_t)in.len, out, &size);
    PyBuffer_Release(&in);
    return status == TA_OK ? PyBytes_FromStringAndSize((char *)out, (Py_ssize_t)size)
                           : ta_py_raise(status, "not sealed");
}

/* Returns (bytes, newest), or the name of a drop reason. */
static PyObject *unseal_with(SealObject *self, PyObject *args, unsealer unseal) {
    Py_buffer in;
    unsigned long long arrival_us;
    uint8_t out[TA_MAX_PACKET + TA_SEAL_CONTROL];
    size_t size = 0;
    bool newest;
    ta_drop why = TA_DROP_OVERSIZE;
    if (!PyArg_ParseTuple(args, "y*K", &in, &arrival_us))
        return NULL;
    const ta_status status = (size_t)in.len > sizeof out
                               ? TA_EBITSTREAM
                               : unseal(self->core, in.buf, (size_t)in.len, arrival_us, out, &size, &newest, &why);
    PyBuffer_Release(&in);
    if (status != TA_OK)
        return PyUnicode_FromString(ta_drop_name(why));
    return Py_BuildValue("(y#N)", (char *)out, (Py_ssize_t)size, PyBool_FromLong(newest));
}

static PyObject *seal_rtp(SealObject *self, PyObject *packet) { return seal_with(self, packet, ta_seal_rtp); }
static PyObject *seal_rtcp(SealObject *self, PyObject *packet) { return seal_with(self, packet, ta_seal_rtcp); }
static PyObject *unseal_rtp(SealObject *self, PyObject *args) { return unseal_with(self, args, ta_unseal_rtp); }
static PyObject *unseal_rtcp(SealObject *self, PyObject *args) { return unseal_with(self, args, ta_unseal_rtcp); }

static PyObject *seal_ready(SealObject *self, void *Py_UNUSED(closure)) {
    return PyBool_FromLong(ta_seal_ready(self->core));
}
static PyObject *seal_spent(SealObject *self, void *Py_UNUSED(closure)) {
    return PyLong_FromUnsignedLongLong(ta_seal_packets_sealed(self->core));
}

static PyMethodDef methods[] = {
    {"install", (PyCFunction)(void (*)(void))seal_install, METH_VARARGS | METH_KEYWORDS, NULL},
    {"forget", (PyCFunction)seal_forget, METH_NOARGS, NULL},
    {"seal_rtp", (PyCFunction)seal_rtp, METH_O, NULL},
    {"seal_rtcp", (PyCFunction)seal_rtcp, METH_O, NULL},
    {"unseal_rtp", (PyCFunction)unseal_rtp, METH_VARARGS, NULL},
    {"unseal_rtcp", (PyCFunction)unseal_rtcp, METH_VARARGS, NULL},
    {0},
};

static PyGetSetDef getset[] = {
    {"ready", (getter)seal_ready, NULL, NULL, NULL},
    {"packets_sealed", (getter)seal_spent, NULL, NULL, NULL},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A session's packets sealed and opened at one end."},
    {Py_tp_new, seal_new},
    {Py_tp_dealloc, seal_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, NULL},
};

static PyType_Spec spec = {"thinair._native.Seal", sizeof(SealObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                           slots};

int ta_py_add_seal(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    const int result = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return result;
}
