/* Clocks and priority for Python. Limited API 3.11. */
#include <string.h>

#include "binding.h"
#include "thinair/clock.h"
#include "thinair/process.h"

static PyObject *py_now_us(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromUnsignedLongLong(ta_now_us());
}

static PyObject *py_sleep_until_us(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"when_us", "spin_us", NULL};
    (void)module;
    unsigned long long when_us, spin_us = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "K|K", names, &when_us, &spin_us))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    ta_sleep_until_us(when_us, spin_us);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *py_realtime(PyObject *module, PyObject *argument) {
    (void)module;
    int priority = (int)PyLong_AsLong(argument);
    if (PyErr_Occurred())
        return NULL;
    int error = ta_realtime(priority);
    if (error == 0)
        Py_RETURN_NONE;
    return PyUnicode_FromString(strerror(error));
}

static PyObject *py_disable_core_dumps(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    const int error = ta_disable_core_dumps();
    if (error == 0)
        Py_RETURN_NONE;
    return PyUnicode_FromString(strerror(error));
}

static PyObject *py_map_large_blocks(PyObject *module, PyObject *argument) {
    (void)module;
    const int on = PyObject_IsTrue(argument);
    if (on < 0)
        return NULL;
    ta_map_large_blocks(on != 0);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"map_large_blocks", py_map_large_blocks, METH_O, NULL},
    {"disable_core_dumps", py_disable_core_dumps, METH_NOARGS, NULL},
    {"now_us", py_now_us, METH_NOARGS, NULL},
    {"sleep_until_us", (PyCFunction)(void (*)(void))py_sleep_until_us, METH_VARARGS | METH_KEYWORDS, NULL},
    {"realtime", py_realtime, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int ta_py_add_io_functions(PyObject *module) { return PyModule_AddFunctions(module, functions); }
