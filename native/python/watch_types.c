/* CodeWatcher: samples a screen for the benches. Limited API 3.11. */
#include "binding.h"
#include "thinair/clock.h"
#include "thinair/watch.h"

typedef struct WatcherObject {
    PyObject_HEAD
    Py_buffer pixels;
    ta_code_watcher watcher;
    bool busy; /* with the GIL: another thread is watching */
} WatcherObject;

static bool within(const ta_code_place *place, size_t step, Py_ssize_t size) {
    enum { LAST_CELL = 33 };
    const size_t reach = (size_t)size;
    for (int row = 0; row < 2; row++)
        if (step > reach / (LAST_CELL + 1) || place->row[row] >= reach - LAST_CELL * step)
            return false;
    return true;
}

static int watcher_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"pixels", "top", "bottom", "step", "sleep_us", "stop_at_first", "separate_codes", NULL};
    int one = 0, two = 0;
    WatcherObject *self = (WatcherObject *)object;
    ta_code_watcher *w = &self->watcher;
    Py_buffer pixels;
    Py_ssize_t top[2], bottom[2], step;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|$(nn)(nn)nIpp", names, &pixels, &top[0], &top[1], &bottom[0],
                                     &bottom[1], &step, &w->sleep_us, &one, &two))
        return -1;
    w->top = (ta_code_place){{(size_t)top[0], (size_t)top[1]}};
    w->bottom = (ta_code_place){{(size_t)bottom[0], (size_t)bottom[1]}};
    w->step = (size_t)step;
    w->stop_at_first = one != 0;
    w->separate_codes = two != 0;
    if (self->pixels.obj || !within(&w->top, w->step, pixels.len) || !within(&w->bottom, w->step, pixels.len)) {
        PyErr_SetString(PyExc_ValueError, "the code is outside the pixels");
        PyBuffer_Release(&pixels);
        return -1;
    }
    self->pixels = pixels;
    w->pixels = pixels.buf;
    w->last_read_us = ta_now_us();
    return 0;
}

static PyObject *watcher_watch(PyObject *object, PyObject *argument) {
    WatcherObject *self = (WatcherObject *)object;
    ta_code_watcher *w = &self->watcher;
    const unsigned long long until_us = PyLong_AsUnsignedLongLong(argument);
    if (PyErr_Occurred())
        return NULL;
    if (self->busy || !self->pixels.obj) {
        PyErr_SetString(PyExc_ValueError, self->busy ? "another thread is watching" : "the watcher is closed");
        return NULL;
    }
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    ta_code_watch(w, until_us);
    Py_END_ALLOW_THREADS
    self->busy = false;
    PyObject *list = PyList_New((Py_ssize_t)w->sighting_count);
    for (size_t i = 0; list && i < w->sighting_count; i++) {
        const ta_sighting *s = &w->sightings[i];
        const unsigned frame_id = s->code.frame_id, top_id = s->top.frame_id, time_us = s->code.time_us,
                       top_us = s->top.time_us;
        const unsigned long long seen_us = s->seen_us;
        PyObject *item = w->separate_codes ? Py_BuildValue("(IIKII)", frame_id, time_us, seen_us, top_id, top_us)
                                           : Py_BuildValue("(IIK)", frame_id, time_us, seen_us);
        if (!item || PyList_SetItem(list, (Py_ssize_t)i, item) < 0)
            Py_CLEAR(list);
    }
    if (!list)
        return NULL;
    return Py_BuildValue("(Ny#)", list, (const char *)w->gaps_us, (Py_ssize_t)(w->gap_count * sizeof w->gaps_us[0]));
}

static PyObject *watcher_close(PyObject *object, PyObject *Py_UNUSED(none)) {
    WatcherObject *self = (WatcherObject *)object;
    if (self->busy) {
        PyErr_SetString(PyExc_ValueError, "another thread is watching");
        return NULL;
    }
    PyBuffer_Release(&self->pixels);
    Py_RETURN_NONE;
}

static void watcher_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyBuffer_Release(&((WatcherObject *)object)->pixels);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"watch", watcher_watch, METH_O, "Samples until a time; (sightings, gaps)."},
    {"close", watcher_close, METH_NOARGS, "Releases the pixels."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot type_slots[] = {
    {Py_tp_doc, (void *)"Samples the visual code in memory that another process writes."},
    {Py_tp_init, (void *)watcher_init},
    {Py_tp_dealloc, (void *)watcher_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"thinair._native.CodeWatcher", sizeof(WatcherObject), 0, Py_TPFLAGS_DEFAULT, type_slots};

int ta_py_add_watch(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    const int result = type ? PyModule_AddObjectRef(module, "CodeWatcher", type) : -1;
    Py_XDECREF(type);
    return result;
}
