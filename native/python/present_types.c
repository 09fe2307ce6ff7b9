/* Pixels for Python: the conversion and X11Presenter. Limited API 3.11. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "binding.h"
#include "thinair/x11.h"

typedef struct Planes {
    Py_buffer y, u, v;
    ta_picture picture;
} Planes;

static bool plane_fits(const Py_buffer *plane, Py_ssize_t stride, uint32_t width, uint32_t height) {
    return stride >= (Py_ssize_t)width && stride <= PY_SSIZE_T_MAX / TA_MAX_DIMENSION &&
           plane->len >= stride * (Py_ssize_t)(height - 1) + (Py_ssize_t)width;
}

static void release_planes(Planes *p) {
    PyBuffer_Release(&p->y);
    PyBuffer_Release(&p->u);
    PyBuffer_Release(&p->v);
}

/* Fills in the picture; on sizes that do not match releases the planes and raises ValueError. */
static int check_planes(Planes *p, const Py_ssize_t strides[3], Py_ssize_t width, Py_ssize_t height) {
    const bool sane = width > 0 && height > 0 && width <= TA_MAX_DIMENSION && height <= TA_MAX_DIMENSION;
    const uint32_t w = sane ? (uint32_t)width : 0, h = sane ? (uint32_t)height : 0;
    if (!sane || !plane_fits(&p->y, strides[0], w, h) || !plane_fits(&p->u, strides[1], (w + 1) / 2, (h + 1) / 2) ||
        !plane_fits(&p->v, strides[2], (w + 1) / 2, (h + 1) / 2)) {
        PyErr_Format(PyExc_ValueError, "planes do not hold a picture of %zdx%zd", width, height);
        release_planes(p);
        return -1;
    }
    p->picture.y = p->y.buf;
    p->picture.u = p->u.buf;
    p->picture.v = p->v.buf;
    p->picture.y_stride = strides[0];
    p->picture.u_stride = strides[1];
    p->picture.v_stride = strides[2];
    p->picture.width = w;
    p->picture.height = h;
    return 0;
}

static PyObject *py_i420_to_bgrx(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"y",     "u",      "v",     "y_stride",   "u_stride", "v_stride",
                            "width", "height", "bt709", "full_range", NULL};
    (void)module;
    Planes p = {0};
    Py_ssize_t strides[3], width, height;
    int bt709, full_range;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*y*y*nnnnn$pp", names, &p.y, &p.u, &p.v, &strides[0], &strides[1],
                                     &strides[2], &width, &height, &bt709, &full_range) ||
        check_planes(&p, strides, width, height) < 0)
        return NULL;
    p.picture.bt709 = bt709;
    p.picture.full_range = full_range;
    PyObject *out = PyBytes_FromStringAndSize(NULL, width * height * 4);
    if (out) {
        uint8_t *pixels = (uint8_t *)PyBytes_AsString(out);
        Py_BEGIN_ALLOW_THREADS
        ta_i420_to_bgrx(&p.picture, pixels, width * 4, 0, p.picture.height);
        Py_END_ALLOW_THREADS
    }
    release_planes(&p);
    return out;
}

/* ---- X11Presenter ---- */

typedef struct X11Object {
    PyObject_HEAD
    ta_x11 *x;
    pthread_mutex_t lock; /* one thread at a time; never waited for with the GIL held */
} X11Object;

static ta_x11 *enter(X11Object *self) {
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    Py_END_ALLOW_THREADS
    if (self->x)
        return self->x;
    pthread_mutex_unlock(&self->lock);
    PyErr_SetString(PyExc_ValueError, "the window is closed");
    return NULL;
}

static PyObject *raise_x11(ta_status status, int error) {
    if (status != TA_ESYS) {
        PyErr_SetString(status == TA_ENOMEM ? PyExc_MemoryError : PyExc_ValueError, ta_status_text(status));
        return NULL;
    }
    const char *text = error == EPIPE     ? "the X display is gone"
                     : error == EIO       ? "the X server refused the picture (window destroyed?)"
                     : error == ETIMEDOUT ? "the X server does not answer"
                                          : strerror(error);
    PyObject *value = Py_BuildValue("(is)", error, text);
    if (value)
        PyErr_SetObject(PyExc_OSError, value);
    Py_XDECREF(value);
    return NULL;
}

static PyObject *x11_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args, (void)kwargs;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    X11Object *self = (X11Object *)alloc(type, 0);
    if (self)
        pthread_mutex_init(&self->lock, NULL);
    return (PyObject *)self;
}

static int x11_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"display", "title", "width", "height", "fullscreen", "monitor", NULL};
    X11Object *self = (X11Object *)object;
    ta_x11_config config = {.title = "thinair", .monitor = -1};
    int width = 0, height = 0, fullscreen = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$zsiipi", names, &config.display, &config.title, &width, &height,
                                     &fullscreen, &config.monitor))
        return -1;
    config.width = width > 0 ? (uint32_t)width : 0;
    config.height = height > 0 ? (uint32_t)height : 0;
    config.fullscreen = fullscreen;
    char why[TA_X11_WHY_MAX] = "";
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    ta_x11_close(&self->x);
    status = ta_x11_open(&self->x, &config, why);
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    if (status != TA_OK)
        PyErr_SetString(status == TA_ESYS ? PyExc_OSError : PyExc_ValueError, why);
    return status == TA_OK ? 0 : -1;
}

static PyObject *x11_close(PyObject *object, PyObject *unused) {
    X11Object *self = (X11Object *)object;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&self->lock);
    ta_x11_close(&self->x);
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static void x11_dealloc(PyObject *object) {
    X11Object *self = (X11Object *)object;
    PyTypeObject *type = Py_TYPE(object);
    ta_x11_close(&self->x);
    pthread_mutex_destroy(&self->lock);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *x11_present(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"y",      "u",     "v",          "y_stride", "u_stride", "v_stride", "width",
                            "height", "bt709", "full_range", "dim",      "border",   NULL};
    X11Object *self = (X11Object *)object;
    Planes p = {0};
    Py_ssize_t strides[3], width, height;
    int bt709 = -1, full_range = -1, dim = 255, border = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*y*y*nnnnn|$ppii", names, &p.y, &p.u, &p.v, &strides[0],
                                     &strides[1], &strides[2], &width, &height, &bt709, &full_range, &dim, &border) ||
        check_planes(&p, strides, width, height) < 0)
        return NULL;
    if (bt709 < 0 || full_range < 0) { /* the parser has no required keywords after optional ones */
        PyErr_SetString(PyExc_TypeError, "present() needs bt709 and full_range");
        release_planes(&p);
        return NULL;
    }
    p.picture.bt709 = bt709;
    p.picture.full_range = full_range;
    dim = dim < 0 ? 0 : dim > 255 ? 255 : dim;
    ta_x11 *x = enter(self);
    uint64_t copied_us = 0;
    ta_status status = TA_OK;
    int error = 0;
    if (x) {
        Py_BEGIN_ALLOW_THREADS
        status = ta_x11_present(x, &p.picture, (uint8_t)dim, border, &copied_us);
        error = errno;
        pthread_mutex_unlock(&self->lock);
        Py_END_ALLOW_THREADS
    }
    release_planes(&p);
    if (!x)
        return NULL;
    return status == TA_OK ? PyLong_FromUnsignedLongLong(copied_us) : raise_x11(status, error);
}

static PyObject *x11_overlay(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"mask", "width", "height", "x", "y", "dim", "slot", NULL};
    X11Object *self = (X11Object *)object;
    Py_buffer mask = {0};
    int width, height, x, y, dim = 90;
    unsigned int slot = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "z*iiii|iI", names, &mask, &width, &height, &x, &y, &dim, &slot))
        return NULL;
    PyObject *result = NULL;
    ta_x11 *window = NULL;
    if (mask.buf && (width < 1 || height < 1 || width > TA_MAX_DIMENSION || height > TA_MAX_DIMENSION ||
                     mask.len < (Py_ssize_t)width * height || dim < 0 || dim > 255)) {
        PyErr_Format(PyExc_ValueError, "mask is smaller than %dx%d bytes, or dim is not 0 to 255", width, height);
    } else if ((window = enter(self)) != NULL) {
        const ta_overlay overlay = {mask.buf, (uint32_t)width, (uint32_t)height, x, y, (uint8_t)dim};
        const ta_status status = ta_x11_overlay(window, slot, &overlay);
        pthread_mutex_unlock(&self->lock);
        result = status == TA_OK ? Py_NewRef(Py_None) : raise_x11(status, 0);
    }
    PyBuffer_Release(&mask);
    return result;
}

static PyObject *event_tuple(const ta_x11_event *event) {
    switch (event->type) {
    case TA_X11_KEY: return Py_BuildValue("(ss)", "key", event->key);
    case TA_X11_RESIZE: return Py_BuildValue("(s(II))", "resize", event->width, event->height);
    case TA_X11_EXPOSE: return Py_BuildValue("(sO)", "expose", Py_None);
    case TA_X11_CLOSE: break;
    }
    return Py_BuildValue("(sO)", "close", Py_None);
}

static PyObject *x11_events(PyObject *object, PyObject *unused) {
    X11Object *self = (X11Object *)object;
    (void)unused;
    PyObject *list = PyList_New(0);
    ta_x11 *x = list ? enter(self) : NULL;
    if (!x) {
        Py_XDECREF(list);
        return NULL;
    }
    ta_x11_event event;
    ta_status status;
    while ((status = ta_x11_next_event(x, &event)) == TA_OK && list) {
        PyObject *item = event_tuple(&event);
        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    const int error = errno;
    pthread_mutex_unlock(&self->lock);
    if (list && status == TA_ESYS) {
        Py_DECREF(list);
        return raise_x11(status, error);
    }
    return list;
}

static PyObject *x11_set_fullscreen(PyObject *object, PyObject *argument) {
    X11Object *self = (X11Object *)object;
    const int on = PyObject_IsTrue(argument);
    ta_x11 *x = on < 0 ? NULL : enter(self);
    if (!x)
        return NULL;
    const ta_status status = ta_x11_fullscreen(x, on);
    const int error = errno;
    pthread_mutex_unlock(&self->lock);
    if (status != TA_OK)
        return raise_x11(status, error);
    Py_RETURN_NONE;
}

/* `which`: 's'ize, 'c'omposited, 'r'efresh. */
static PyObject *x11_get(PyObject *object, void *which) {
    X11Object *self = (X11Object *)object;
    ta_x11 *x = enter(self);
    if (!x)
        return NULL;
    ta_x11_info info;
    ta_x11_info_get(x, &info);
    pthread_mutex_unlock(&self->lock);
    switch (*(const char *)which) {
    case 's': return Py_BuildValue("(II)", info.width, info.height);
    case 'c': return PyBool_FromLong(info.composited);
    default: return PyFloat_FromDouble(info.refresh_hz);
    }
}

static PyMethodDef x11_methods[] = {
    {"present", (PyCFunction)(void (*)(void))x11_present, METH_VARARGS | METH_KEYWORDS,
     "Shows a picture; µs of the copy."},
    {"overlay", (PyCFunction)(void (*)(void))x11_overlay, METH_VARARGS | METH_KEYWORDS, "Text over every picture."},
    {"events", x11_events, METH_NOARGS, "Events since the last call."},
    {"set_fullscreen", x11_set_fullscreen, METH_O, "Enters or leaves full screen."},
    {"close", x11_close, METH_NOARGS, "Closes the window."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef x11_getset[] = {
    {"size", x11_get, NULL, "(width, height) of the window", (void *)"s"},
    {"composited", x11_get, NULL, "a compositor is running", (void *)"c"},
    {"refresh_hz", x11_get, NULL, "of the monitor; 0 where it is not known", (void *)"r"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot x11_slots[] = {
    {Py_tp_doc, (void *)"A window that shows I420 pictures through MIT-SHM."},
    {Py_tp_new, (void *)x11_new},
    {Py_tp_init, (void *)x11_init},
    {Py_tp_dealloc, (void *)x11_dealloc},
    {Py_tp_methods, x11_methods},
    {Py_tp_getset, x11_getset},
    {0, NULL},
};

static PyType_Spec x11_spec = {"thinair._native.X11Presenter", sizeof(X11Object), 0, Py_TPFLAGS_DEFAULT, x11_slots};

static PyMethodDef functions[] = {
    {"i420_to_bgrx", (PyCFunction)(void (*)(void))py_i420_to_bgrx, METH_VARARGS | METH_KEYWORDS,
     "Pixels of a picture."},
    {NULL, NULL, 0, NULL},
};

int ta_py_add_present(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &x11_spec, NULL);
    const int result = type ? PyModule_AddObjectRef(module, "X11Presenter", type) : -1;
    Py_XDECREF(type);
    return result < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
