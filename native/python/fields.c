#include "fields.h"

#include <string.h>

int ta_put(PyObject *dict, const char *name, PyObject *value) {
    int result = value ? PyDict_SetItemString(dict, name, value) : -1;
    Py_XDECREF(value);
    return result;
}

PyObject *ta_to_dict(const void *structure, const ta_field *fields) {
    PyObject *dict = PyDict_New();
    for (const ta_field *f = fields; dict && f->name; f++) {
        uint64_t wide = 0;
        uint32_t word = 0;
        uint16_t half = 0;
        const char *at = (const char *)structure + f->offset; /* packed: may be unaligned */
        switch (f->size) {
        case 8: memcpy(&wide, at, 8); break;
        case 4: memcpy(&word, at, 4), wide = word; break;
        case 2: memcpy(&half, at, 2), wide = half; break;
        default: wide = (uint8_t)*at;
        }
        if (ta_put(dict, f->name,
                   f->is_signed ? PyLong_FromLongLong((long long)wide) : PyLong_FromUnsignedLongLong(wide)) < 0)
            Py_CLEAR(dict);
    }
    return dict;
}

int ta_from_dict(PyObject *dict, void *structure, const ta_field *fields) {
    Py_ssize_t known = 0;
    for (const ta_field *f = fields; f->name; f++) {
        PyObject *item = PyDict_GetItemString(dict, f->name);
        if (!item)
            continue;
        known++;
        uint64_t wide = PyLong_AsUnsignedLongLong(item);
        if (PyErr_Occurred())
            return -1;
        if (f->size < 8 && wide >> (8 * f->size)) {
            PyErr_Format(PyExc_OverflowError, "%s is too large", f->name);
            return -1;
        }
        uint32_t word = (uint32_t)wide;
        uint16_t half = (uint16_t)wide;
        uint8_t byte = (uint8_t)wide;
        const void *from[] = {&byte, &half, NULL, &word, NULL, NULL, NULL, &wide} /* by size - 1 */;
        memcpy((char *)structure + f->offset, from[f->size - 1], f->size);
    }
    if (known == PyDict_Size(dict))
        return 0;
    PyErr_SetString(PyExc_ValueError, "unknown key");
    return -1;
}

bool ta_append(PyObject **list, PyObject *item) {
    if (!item || PyList_Append(*list, item) < 0)
        Py_CLEAR(*list);
    Py_XDECREF(item);
    return *list != NULL;
}
