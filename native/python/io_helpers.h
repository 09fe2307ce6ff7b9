/* Helpers of several types. */
#ifndef THINAIR_IO_HELPERS_H
#define THINAIR_IO_HELPERS_H

#include "binding.h"
#include "thinair/control.h"
#include "thinair/seal.h"

int ta_py_mode(const char *text, ta_mode *mode);
int ta_py_raise_open(ta_status status, const char *host, int port);
/* A list of texts; empty without an owner. */
PyObject *ta_py_notes(const char *(*note)(const void *, size_t), const void *owner);
/* Frees an object of a heap type. */
void ta_py_dealloc(PyObject *self);
PyObject *ta_py_new_opened(PyTypeObject *type, PyObject *args, PyObject *kwargs,
                           int (*open)(PyObject *, PyObject *, PyObject *));
int ta_py_check_range(const char *what, long long value, long long low, long long high);
int ta_py_append(PyObject *list, PyObject *item);
PyObject *ta_py_install_keys(PyObject *args, PyObject *kwargs, ta_status (*install)(void *, const ta_seal_config *),
                             void *pump);
int ta_py_add_type(PyObject *module, const char *name, PyType_Spec *spec);

#endif
