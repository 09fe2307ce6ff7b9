/* Helpers of several types. Limited API 3.11. */
#include "io_helpers.h"

#include <errno.h>
#include <string.h>

int ta_py_mode(const char *text, ta_mode *mode) {
    static const char *const names[] = {"thinair", "rtp", "annexb"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *mode = (ta_mode)i;
            return 0;
        }
    PyErr_Format(PyExc_ValueError, "mode is thinair, rtp or annexb, not %s", text);
    return -1;
}

int ta_py_raise_open(ta_status status, const char *host, int port) {
    if (status == TA_ESYS) {
        PyErr_SetFromErrno(PyExc_OSError);
    } else if (status == TA_EINVAL) {
        PyErr_Format(PyExc_ValueError, "cannot use address %s port %d", host, port);
    } else {
        ta_py_raise(status, "cannot open");
    }
    return -1;
}

PyObject *ta_py_notes(const char *(*note)(const void *, size_t), const void *owner) {
    PyObject *list = PyList_New(0);
    const char *text;
    for (size_t i = 0; list && owner && (text = note(owner, i)); i++) {
        PyObject *item = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

void ta_py_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* Creates and opens in one step: an object without a pump cannot exist. */
PyObject *ta_py_new_opened(PyTypeObject *type, PyObject *args, PyObject *kwargs,
                           int (*open)(PyObject *, PyObject *, PyObject *)) {
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self && open(self, args, kwargs) < 0)
        Py_CLEAR(self);
    return self;
}

int ta_py_check_range(const char *what, long long value, long long low, long long high) {
    if (value >= low && value <= high)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s is %lld, allowed are %lld to %lld", what, value, low, high);
    return -1;
}

int ta_py_append(PyObject *list, PyObject *item) {
    int result = item ? PyList_Append(list, item) : -1;
    Py_XDECREF(item);
    return result;
}

PyObject *ta_py_install_keys(PyObject *args, PyObject *kwargs, ta_status (*install)(void *, const ta_seal_config *),
                             void *pump) {
    ta_seal_config config;
    Py_buffer views[2];
    if (ta_py_seal_config(args, kwargs, &config, views) < 0)
        return NULL;
    const ta_status status = install(pump, &config);
    PyBuffer_Release(&views[0]);
    PyBuffer_Release(&views[1]);
    return status == TA_OK ? Py_NewRef(Py_None) : ta_py_raise(status, "keys");
}

int ta_py_add_type(PyObject *module, const char *name, PyType_Spec *spec) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int result = type ? PyModule_AddObjectRef(module, name, type) : -1;
    Py_XDECREF(type);
    return result;
}
