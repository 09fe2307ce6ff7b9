/* The media controller for Python, in the field names of linux/media.h. Limited API 3.11. */
#include <string.h>

#include "fields.h"
#include "thinair/v4l2.h"

static const ta_field entity_fields[] = {FIELD(media_v2_entity, id), FIELD(media_v2_entity, function), END};
static const ta_field interface_fields[] = {FIELD(media_v2_interface, id), FIELD(media_v2_interface, intf_type), END};
static const ta_field pad_fields[] = {FIELD(media_v2_pad, id), FIELD(media_v2_pad, entity_id),
                                      FIELD(media_v2_pad, flags), FIELD(media_v2_pad, index), END};
static const ta_field link_fields[] = {FIELD(media_v2_link, id), FIELD(media_v2_link, source_id),
                                       FIELD(media_v2_link, sink_id), FIELD(media_v2_link, flags), END};

static PyObject *dicts(const void *items, uint32_t count, size_t size, const ta_field *fields) {
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < count; i++)
        ta_append(&list, ta_to_dict((const char *)items + i * size, fields));
    return list;
}

/* Names of entities and numbers of device nodes, which are not plain integers. */
static int complete(const ta_media *m, PyObject *entities, PyObject *interfaces) {
    for (uint32_t i = 0; i < m->counts.num_entities; i++) {
        const char *name = m->entities[i].name;
        if (ta_put(PyList_GetItem(entities, i), "name",
                   PyUnicode_DecodeUTF8(name, (Py_ssize_t)strnlen(name, sizeof m->entities[i].name), "replace")) < 0)
            return -1;
    }
    for (uint32_t i = 0; i < m->counts.num_interfaces; i++) {
        const struct media_v2_intf_devnode *node = &m->interfaces[i].devnode;
        if (ta_put(PyList_GetItem(interfaces, i), "node", Py_BuildValue("II", node->major, node->minor)) < 0)
            return -1;
    }
    return 0;
}

static PyObject *media_topology(PyObject *Py_UNUSED(module), PyObject *args) {
    PyObject *result = NULL;
    const char *path;
    if (!PyArg_ParseTuple(args, "s:media_topology", &path))
        return NULL;
    ta_media m;
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_media_read(&m, path);
    Py_END_ALLOW_THREADS
    if (status != TA_OK)
        return ta_py_raise(status, path);
    PyObject *entities = dicts(m.entities, m.counts.num_entities, sizeof *m.entities, entity_fields);
    PyObject *interfaces = dicts(m.interfaces, m.counts.num_interfaces, sizeof *m.interfaces, interface_fields);
    PyObject *pads = dicts(m.pads, m.counts.num_pads, sizeof *m.pads, pad_fields);
    PyObject *links = dicts(m.links, m.counts.num_links, sizeof *m.links, link_fields);
    if (entities && interfaces && pads && links && complete(&m, entities, interfaces) == 0)
        result =
            Py_BuildValue("{sOsOsOsO}", "entities", entities, "interfaces", interfaces, "pads", pads, "links", links);
    Py_XDECREF(entities);
    Py_XDECREF(interfaces);
    Py_XDECREF(pads);
    Py_XDECREF(links);
    ta_media_free(&m);
    return result;
}

static PyObject *media_set_link(PyObject *Py_UNUSED(module), PyObject *args) {
    const char *path;
    uint32_t source[2], sink[2];
    int enabled = 1;
    if (!PyArg_ParseTuple(args, "s(II)(II)|p:media_set_link", &path, &source[0], &source[1], &sink[0], &sink[1],
                          &enabled))
        return NULL;
    if (ta_media_set_link(path, source, sink, enabled) != TA_OK)
        return ta_py_raise(TA_ESYS, path);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"media_topology", media_topology, METH_VARARGS, NULL},
                                  {"media_set_link", media_set_link, METH_VARARGS, NULL},
                                  {NULL, NULL, 0, NULL}};

int ta_py_add_media(PyObject *module) { return PyModule_AddFunctions(module, functions); }
