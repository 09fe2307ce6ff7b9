/* Capture, CapturedPicture and raw_to_i420. Limited API 3.11. */
#include "binding.h"

#include <errno.h>
#include <linux/videodev2.h>
#include <string.h>
#include <structmember.h>

#include "thinair/capture.h"
#include "thinair/picture.h"

typedef struct CaptureObject {
    PyObject_HEAD
    ta_capture *capture;
    size_t users; /* with the GIL: live pictures and running calls; the last one closes a closed capture */
    bool closed;
} CaptureObject;

typedef struct PictureObject {
    PyObject_HEAD
    ta_captured picture;
    CaptureObject *owner; /* NULL once released */
    Py_ssize_t exports;
} PictureObject;

static PyTypeObject *picture_type;

static void close_if_unused(CaptureObject *self) {
    if (!self->closed || self->users)
        return;
    Py_BEGIN_ALLOW_THREADS
    ta_capture_close(&self->capture);
    Py_END_ALLOW_THREADS
}

static PyObject *raise_reason(ta_status status, const char *device, const char *reason) {
    const int error = errno;
    PyObject *type = status == TA_ENOMEM ? PyExc_MemoryError : status == TA_EINVAL ? PyExc_ValueError : PyExc_OSError;
    PyObject *text = PyUnicode_FromFormat("%s: %s", device, reason);
    PyObject *value = !text ? NULL : type == PyExc_OSError ? Py_BuildValue("(iO)", error, text) : Py_NewRef(text);
    if (value)
        PyErr_SetObject(type, value);
    Py_XDECREF(value);
    Py_XDECREF(text);
    return NULL;
}

/* ---- CapturedPicture ---- */

static void give_back(PictureObject *self) {
    CaptureObject *owner = self->owner;
    if (!owner)
        return;
    self->owner = NULL;
    if (!owner->closed) {
        Py_BEGIN_ALLOW_THREADS
        ta_capture_give_back(owner->capture, self->picture.index); /* a refusal is reported by the next next() */
        Py_END_ALLOW_THREADS
    }
    owner->users--;
    close_if_unused(owner);
    Py_DECREF(owner);
}

static PyObject *picture_release(PyObject *object, PyObject *Py_UNUSED(none)) {
    PictureObject *self = (PictureObject *)object;
    if (self->exports) {
        PyErr_SetString(PyExc_BufferError, "a view of the picture still exists");
        return NULL;
    }
    give_back(self);
    Py_RETURN_NONE;
}

static void picture_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    give_back((PictureObject *)object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static int picture_buffer(PyObject *object, Py_buffer *view, int flags) {
    PictureObject *self = (PictureObject *)object;
    if (!self->owner) {
        view->obj = NULL;
        PyErr_SetString(PyExc_ValueError, "the picture was given back");
        return -1;
    }
    const int result = PyBuffer_FillInfo(view, object, (void *)(uintptr_t)self->picture.data,
                                         (Py_ssize_t)self->picture.size, 1, flags);
    self->exports += result == 0;
    return result;
}

static void picture_unbuffer(PyObject *object, Py_buffer *Py_UNUSED(view)) { ((PictureObject *)object)->exports--; }

static Py_ssize_t picture_length(PyObject *object) { return (Py_ssize_t)((PictureObject *)object)->picture.size; }

#define FIELD(name, type) \
    { #name, type, offsetof(PictureObject, picture.name), READONLY, NULL }
static PyMemberDef picture_members[] = {
    FIELD(index, T_UINT),
    FIELD(sequence, T_UINT),
    FIELD(skipped, T_UINT),
    FIELD(corrupt, T_BOOL),
    FIELD(capture_us, T_ULONGLONG),
    FIELD(dequeue_us, T_ULONGLONG),
    {0},
};

static PyMethodDef picture_methods[] = {
    {"release", picture_release, METH_NOARGS,
     "Returns the buffer to the driver. BufferError while a view of it exists."},
    {0},
};

static PyType_Slot picture_slots[] = {
    {Py_tp_doc, "One captured picture in the driver's own buffer, read through the buffer protocol."},
    {Py_tp_dealloc, picture_dealloc},
    {Py_tp_members, picture_members},
    {Py_tp_methods, picture_methods},
    {Py_sq_length, picture_length},
    {Py_bf_getbuffer, picture_buffer},
    {Py_bf_releasebuffer, picture_unbuffer},
    {0, NULL},
};

static PyType_Spec picture_spec = {"thinair._native.CapturedPicture", sizeof(PictureObject), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, picture_slots};

/* ---- Capture ---- */

static int capture_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"device", "fourcc", "width", "height", "buffers", "rate", NULL};
    CaptureObject *self = (CaptureObject *)object;
    const char *fourcc = NULL;
    ta_capture_config config = {.buffers = 4};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$zzIII(II)", names, &config.device, &fourcc, &config.width,
                                     &config.height, &config.buffers, &config.rate_numerator, &config.rate_denominator))
        return -1;
    if (self->capture || !config.device || !fourcc || strlen(fourcc) != 4) {
        PyErr_SetString(PyExc_ValueError,
                        self->capture ? "the capture is open" : "give a device and a format such as UYVY");
        return -1;
    }
    config.fourcc = v4l2_fourcc((uint32_t)fourcc[0], (uint32_t)fourcc[1], (uint32_t)fourcc[2], (uint32_t)fourcc[3]);
    char reason[TA_REASON_MAX];
    ta_capture *capture;
    ta_status status;
    int error;
    Py_BEGIN_ALLOW_THREADS
    status = ta_capture_open(&capture, &config, reason);
    error = errno;
    Py_END_ALLOW_THREADS
    if (status != TA_OK) {
        errno = error;
        raise_reason(status, config.device, reason);
        return -1;
    }
    self->capture = capture;
    self->closed = false;
    return 0;
}

static ta_capture *opened(CaptureObject *self) {
    if (!self->capture || self->closed)
        PyErr_SetString(PyExc_ValueError, "the capture is closed");
    return self->closed ? NULL : self->capture;
}

static PyObject *capture_next(PyObject *object, PyObject *argument) {
    CaptureObject *self = (CaptureObject *)object;
    const unsigned long long timeout_us = PyLong_AsUnsignedLongLong(argument);
    ta_capture *capture = PyErr_Occurred() ? NULL : opened(self);
    if (!capture)
        return NULL;
    PictureObject *picture = PyObject_New(PictureObject, picture_type);
    if (!picture)
        return NULL;
    picture->owner = NULL;
    picture->exports = 0;
    self->users++;
    ta_status status;
    int error;
    Py_BEGIN_ALLOW_THREADS
    status = ta_capture_wait(capture, timeout_us, &picture->picture);
    error = errno;
    Py_END_ALLOW_THREADS
    PyObject *result = (PyObject *)picture;
    if (status == TA_OK) {
        picture->owner = (CaptureObject *)Py_NewRef(object); /* its count in `users` is the one from above */
        return result;
    }
    errno = error;
    Py_DECREF(result);
    result = status == TA_AGAIN ? Py_NewRef(Py_None) : raise_reason(status, "capture", ta_capture_reason(capture));
    self->users--;
    close_if_unused(self);
    return result;
}

static PyObject *capture_stats(PyObject *object, PyObject *Py_UNUSED(none)) {
    ta_capture *capture = opened((CaptureObject *)object);
    if (!capture)
        return NULL;
    ta_capture_stats s;
    ta_capture_stats_get(capture, &s);
    return Py_BuildValue("{sK sK sK sK sK sK sK}", "captured", (unsigned long long)s.captured, "passed_over",
                         (unsigned long long)s.passed_over, "gaps", (unsigned long long)s.gaps, "corrupt",
                         (unsigned long long)s.corrupt, "future_stamps", (unsigned long long)s.future_stamps,
                         "unstamped", (unsigned long long)s.unstamped, "queue_errors",
                         (unsigned long long)s.queue_errors);
}

static PyObject *capture_format(PyObject *object, void *Py_UNUSED(closure)) {
    ta_capture *capture = opened((CaptureObject *)object);
    if (!capture)
        return NULL;
    const ta_capture_format *f = ta_capture_format_get(capture);
    const char fourcc[] = {(char)(f->fourcc & 127), (char)(f->fourcc >> 8 & 127), (char)(f->fourcc >> 16 & 127),
                           (char)(f->fourcc >> 24 & 127), 0};
    return Py_BuildValue("{sI sI ss sI sI sI sI sI sI ss}", "width", f->width, "height", f->height, "fourcc", fourcc,
                         "stride", f->stride, "size_image", f->size_image, "buffers", f->buffers, "colorspace",
                         f->colorspace, "ycbcr_enc", f->ycbcr_enc, "quantization", f->quantization, "driver",
                         f->driver);
}

static PyObject *capture_fileno(PyObject *object, PyObject *Py_UNUSED(none)) {
    ta_capture *capture = opened((CaptureObject *)object);
    return capture ? PyLong_FromLong(ta_capture_descriptor(capture)) : NULL;
}

static PyObject *capture_close(PyObject *object, PyObject *Py_UNUSED(none)) {
    CaptureObject *self = (CaptureObject *)object;
    self->closed = true;
    close_if_unused(self);
    Py_RETURN_NONE;
}

static void capture_dealloc(PyObject *object) {
    CaptureObject *self = (CaptureObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    self->closed = true;
    close_if_unused(self); /* there is no live picture: each holds a reference */
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef capture_methods[] = {
    {"next", capture_next, METH_O, "The newest picture, or None after timeout_us. Waits without the GIL."},
    {"stats", capture_stats, METH_NOARGS, "Counters by name; see ta_capture_stats."},
    {"fileno", capture_fileno, METH_NOARGS, "For poll: readable when a picture is available."},
    {"close", capture_close, METH_NOARGS, "Ends the capture; its memory goes with the last picture."},
    {0},
};

static PyGetSetDef capture_getset[] = {{"format", capture_format, NULL, "As the driver granted it.", NULL}, {0}};

static PyType_Slot capture_slots[] = {
    {Py_tp_doc, "Pictures from a V4L2 capture node, newest first."},
    {Py_tp_init, capture_init},
    {Py_tp_dealloc, capture_dealloc},
    {Py_tp_methods, capture_methods},
    {Py_tp_getset, capture_getset},
    {0, NULL},
};

static PyType_Spec capture_spec = {"thinair._native.Capture", sizeof(CaptureObject), 0, Py_TPFLAGS_DEFAULT,
                                   capture_slots};

/* ---- conversion ---- */

static bool layout_of(const char *fourcc, ta_raw_layout *out) {
    static const char *const NAMES[] = {[TA_RAW_UYVY] = "UYVY", [TA_RAW_YUYV] = "YUYV", [TA_RAW_NV12] = "NV12"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (!strcmp(fourcc, NAMES[i])) {
            *out = (ta_raw_layout)i;
            return true;
        }
    return false;
}

static PyObject *raw_to_i420(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer data, y, u, v;
    const char *fourcc;
    Py_ssize_t stride, strides[3];
    ta_raw_picture in = {0};
    if (!PyArg_ParseTuple(args, "y*snIIw*w*w*nnn:raw_to_i420", &data, &fourcc, &stride, &in.width, &in.height, &y, &u,
                          &v, &strides[0], &strides[1], &strides[2]))
        return NULL;
    /* A negative stride becomes a huge one and is refused as such. */
    in.stride = (size_t)stride;
    in.data = data.buf;
    in.size = (size_t)data.len;
    const ta_i420 out = {
        y.buf,         u.buf,         v.buf,        (size_t)strides[0], (size_t)strides[1], (size_t)strides[2],
        (size_t)y.len, (size_t)u.len, (size_t)v.len};
    ta_status status = TA_EINVAL;
    if (layout_of(fourcc, &in.layout)) {
        Py_BEGIN_ALLOW_THREADS
        status = ta_raw_to_i420(&in, &out);
        Py_END_ALLOW_THREADS
    }
    if (status != TA_OK)
        PyErr_Format(PyExc_ValueError, "cannot convert a %s picture of %ux%u: format, sizes or strides do not match",
                     fourcc, (unsigned)in.width, (unsigned)in.height);
    PyBuffer_Release(&data);
    PyBuffer_Release(&y);
    PyBuffer_Release(&u);
    PyBuffer_Release(&v);
    return status == TA_OK ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef functions[] = {
    {"raw_to_i420", raw_to_i420, METH_VARARGS, "One raw picture (UYVY, YUYV, NV12) into three writable planes."},
    {0},
};

int ta_py_add_capture(PyObject *module) {
    picture_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &picture_spec, NULL);
    PyObject *type = PyType_FromModuleAndSpec(module, &capture_spec, NULL);
    const int failed = !picture_type || !type || PyModule_AddObjectRef(module, "Capture", type) < 0 ||
                       PyModule_AddObjectRef(module, "CapturedPicture", (PyObject *)picture_type) < 0 ||
                       PyModule_AddFunctions(module, functions) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}
