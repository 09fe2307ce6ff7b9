/* Types of the repair section of the stub. */
#include "io_helpers.h"

#include "thinair/repair.h"

/* Parses (*, max_sources=254, max_source=1472); negative numbers become huge and are refused. */
static int parse_bounds(PyObject *args, PyObject *kwargs, const char *format, size_t *max_sources, size_t *max_source) {
    static char *names[] = {"max_sources", "max_source", NULL};
    Py_ssize_t sources = TA_REPAIR_MAX_SOURCES, source = TA_MAX_PACKET;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &sources, &source))
        return -1;
    *max_sources = (size_t)sources;
    *max_source = (size_t)source;
    return 0;
}

/* ---- RepairEncoder ---- */

typedef struct encoder {
    PyObject_HEAD
    ta_repair_encoder *core;
} encoder;

static PyObject *encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    size_t max_sources, max_source;
    if (parse_bounds(args, kwargs, "|$nn:RepairEncoder", &max_sources, &max_source) < 0)
        return NULL;
    encoder *self = (encoder *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    ta_status status = ta_repair_encoder_open(&self->core, max_sources, max_source);
    if (status == TA_OK)
        return (PyObject *)self;
    Py_DECREF(self);
    return ta_py_raise(status, "RepairEncoder");
}

static void encoder_dealloc(encoder *self) {
    ta_repair_encoder_close(&self->core);
    ta_py_dealloc((PyObject *)self);
}

static PyObject *encoder_reset(encoder *self, PyObject *Py_UNUSED(none)) {
    ta_repair_encoder_reset(self->core);
    Py_RETURN_NONE;
}

static PyObject *encoder_add(encoder *self, PyObject *sources) {
    Py_buffer views[TA_REPAIR_MAX_SOURCES];
    const uint8_t *data[TA_REPAIR_MAX_SOURCES];
    size_t sizes[TA_REPAIR_MAX_SOURCES], count = 0, wanted = (size_t)PyTuple_Size(sources);
    ta_status status = wanted <= TA_REPAIR_MAX_SOURCES ? TA_OK : TA_ETOOBIG;
    while (status == TA_OK && count < wanted) {
        if (PyObject_GetBuffer(PyTuple_GetItem(sources, (Py_ssize_t)count), &views[count], PyBUF_SIMPLE) < 0)
            break;
        data[count] = views[count].buf;
        sizes[count] = (size_t)views[count].len;
        count++;
    }
    if (status == TA_OK && count == wanted)
        status = ta_repair_encoder_add_all(self->core, data, sizes, count);
    while (count > 0)
        PyBuffer_Release(&views[--count]);
    if (PyErr_Occurred())
        return NULL;
    return status == TA_OK ? Py_NewRef(Py_None) : ta_py_raise(status, "sources");
}

static PyObject *encoder_symbol(encoder *self, PyObject *index) {
    uint8_t symbol[TA_REPAIR_SIZE + TA_REPAIR_MAX_SOURCE];
    size_t size;
    const Py_ssize_t i = PyNumber_AsSsize_t(index, PyExc_ValueError);
    if (i == -1 && PyErr_Occurred())
        return NULL;
    ta_status status = ta_repair_encoder_symbol(self->core, (size_t)i, symbol, sizeof symbol, &size);
    return status == TA_OK ? PyBytes_FromStringAndSize((char *)symbol, (Py_ssize_t)size)
                           : ta_py_raise(status, "repair symbol");
}

static PyMethodDef encoder_methods[] = {
    {"reset", (PyCFunction)encoder_reset, METH_NOARGS, "Begins the next block."},
    {"add", (PyCFunction)encoder_add, METH_VARARGS, "Takes sources, all or none."},
    {"symbol", (PyCFunction)encoder_symbol, METH_O, "Repair symbol of this index."},
    {0},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "One block of sources after the other, and repair symbols of it."},
    {Py_tp_new, encoder_new},
    {Py_tp_dealloc, encoder_dealloc},
    {Py_tp_methods, encoder_methods},
    {0, NULL},
};

/* ---- RepairDecoder ---- */

typedef struct decoder {
    PyObject_HEAD
    ta_repair_decoder *core;
} decoder;

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    size_t max_sources, max_source;
    if (parse_bounds(args, kwargs, "|$nn:RepairDecoder", &max_sources, &max_source) < 0)
        return NULL;
    decoder *self = (decoder *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    ta_status status = ta_repair_decoder_open(&self->core, max_sources, max_source);
    if (status == TA_OK)
        return (PyObject *)self;
    Py_DECREF(self);
    return ta_py_raise(status, "RepairDecoder");
}

static void decoder_dealloc(decoder *self) {
    ta_repair_decoder_close(&self->core);
    ta_py_dealloc((PyObject *)self);
}

static PyObject *decoder_begin(decoder *self, PyObject *sources) {
    const Py_ssize_t count = PyNumber_AsSsize_t(sources, PyExc_ValueError);
    if (count == -1 && PyErr_Occurred())
        return NULL;
    ta_status status = ta_repair_decoder_begin(self->core, (size_t)count);
    return status == TA_OK ? Py_NewRef(Py_None) : ta_py_raise(status, "block");
}

static PyObject *take(decoder *self, PyObject *args, const char *what,
                      ta_status (*into)(ta_repair_decoder *, size_t, const uint8_t *, size_t)) {
    Py_ssize_t index;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "ny*", &index, &data))
        return NULL;
    ta_status status = into(self->core, (size_t)index, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return status == TA_OK || status == TA_AGAIN ? PyBool_FromLong(status == TA_OK) : ta_py_raise(status, what);
}

static PyObject *decoder_source(decoder *self, PyObject *args) {
    return take(self, args, "source", ta_repair_decoder_source);
}

static PyObject *decoder_symbol(decoder *self, PyObject *args) {
    return take(self, args, "repair symbol", ta_repair_decoder_symbol);
}

static PyObject *decoder_restore(decoder *self, PyObject *index) {
    uint8_t source[TA_REPAIR_MAX_SOURCE];
    size_t size;
    const Py_ssize_t i = PyNumber_AsSsize_t(index, PyExc_ValueError);
    if (i == -1 && PyErr_Occurred())
        return NULL;
    ta_status status = ta_repair_decoder_restore(self->core, (size_t)i, source, sizeof source, &size);
    if (status == TA_AGAIN)
        Py_RETURN_NONE;
    return status == TA_OK ? PyBytes_FromStringAndSize((char *)source, (Py_ssize_t)size)
                           : ta_py_raise(status, "source");
}

static PyObject *decoder_wanted(decoder *self, void *Py_UNUSED(closure)) {
    return PyLong_FromSize_t(ta_repair_decoder_wanted(self->core));
}

static PyMethodDef decoder_methods[] = {
    {"begin", (PyCFunction)decoder_begin, METH_O, "A new block of so many sources."},
    {"source", (PyCFunction)decoder_source, METH_VARARGS, "Adds a received source."},
    {"symbol", (PyCFunction)decoder_symbol, METH_VARARGS, "Adds a received repair symbol."},
    {"restore", (PyCFunction)decoder_restore, METH_O, "A missing source, or None."},
    {0},
};

static PyGetSetDef decoder_getset[] = {{"wanted", (getter)decoder_wanted, NULL, NULL, NULL}, {0}};

static PyType_Slot decoder_slots[] = {
    {Py_tp_doc, "Restores the missing sources of a block."},
    {Py_tp_new, decoder_new},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_methods, decoder_methods},
    {Py_tp_getset, decoder_getset},
    {0, NULL},
};

static PyType_Spec specs[] = {
    {"thinair._native.RepairEncoder", sizeof(encoder), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, encoder_slots},
    {"thinair._native.RepairDecoder", sizeof(decoder), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, decoder_slots},
};

int ta_py_add_repair(PyObject *module) {
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, &specs[i], NULL);
        const int result = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
        Py_XDECREF(type);
        if (result < 0)
            return -1;
    }
    return 0;
}
