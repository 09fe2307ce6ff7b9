/* Kernel structures as dicts and back, by a table of fields. */
#ifndef THINAIR_FIELDS_H
#define THINAIR_FIELDS_H

#include <stddef.h>

#include "binding.h"

typedef struct ta_field { /* an integer of 1, 2, 4 or 8 bytes */
    const char *name;
    size_t offset, size;
    bool is_signed; /* 8 bytes only */
} ta_field;

#define FIELD(type, name) \
    { #name, offsetof(struct type, name), sizeof(((struct type *)0)->name), false }
#define SIGNED(type, name) \
    { #name, offsetof(struct type, name), sizeof(((struct type *)0)->name), true }
#define END \
    { NULL, 0, 0, false }

/* Sets dict[name] and takes over `value`, which may be NULL with an exception set. 0 or -1. */
int ta_put(PyObject *dict, const char *name, PyObject *value);
/* Appends and takes over `item`; clears the list on failure. */
bool ta_append(PyObject **list, PyObject *item);
PyObject *ta_to_dict(const void *structure, const ta_field *fields);
/* Sets the fields that the dict names; unknown keys raise ValueError. 0 or -1. */
int ta_from_dict(PyObject *dict, void *structure, const ta_field *fields);

#endif
