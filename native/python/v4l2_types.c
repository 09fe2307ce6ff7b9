/* V4L2Device for Python: dicts in the field names of linux/videodev2.h. Limited API 3.11. */
#include <errno.h>
#include <string.h>

#include "fields.h"
#include "thinair/v4l2.h"

typedef struct DeviceObject {
    PyObject_HEAD
    ta_v4l2 *device;
    PyObject *path;
    const char *name; /* its text */
} DeviceObject;

/* ---- structures as dicts ---- */

static const ta_field timings_fields[] = {FIELD(v4l2_bt_timings, width),
                                          FIELD(v4l2_bt_timings, height),
                                          FIELD(v4l2_bt_timings, interlaced),
                                          FIELD(v4l2_bt_timings, polarities),
                                          FIELD(v4l2_bt_timings, pixelclock),
                                          FIELD(v4l2_bt_timings, hfrontporch),
                                          FIELD(v4l2_bt_timings, hsync),
                                          FIELD(v4l2_bt_timings, hbackporch),
                                          FIELD(v4l2_bt_timings, vfrontporch),
                                          FIELD(v4l2_bt_timings, vsync),
                                          FIELD(v4l2_bt_timings, vbackporch),
                                          FIELD(v4l2_bt_timings, il_vfrontporch),
                                          FIELD(v4l2_bt_timings, il_vsync),
                                          FIELD(v4l2_bt_timings, il_vbackporch),
                                          FIELD(v4l2_bt_timings, standards),
                                          FIELD(v4l2_bt_timings, flags),
                                          FIELD(v4l2_bt_timings, cea861_vic),
                                          FIELD(v4l2_bt_timings, hdmi_vic),
                                          END};
static const ta_field cap_fields[] = {FIELD(v4l2_bt_timings_cap, min_width),
                                      FIELD(v4l2_bt_timings_cap, max_width),
                                      FIELD(v4l2_bt_timings_cap, min_height),
                                      FIELD(v4l2_bt_timings_cap, max_height),
                                      FIELD(v4l2_bt_timings_cap, min_pixelclock),
                                      FIELD(v4l2_bt_timings_cap, max_pixelclock),
                                      FIELD(v4l2_bt_timings_cap, standards),
                                      FIELD(v4l2_bt_timings_cap, capabilities),
                                      END};
static const ta_field control_fields[] = {
    FIELD(v4l2_query_ext_ctrl, id),       FIELD(v4l2_query_ext_ctrl, type),
    SIGNED(v4l2_query_ext_ctrl, minimum), SIGNED(v4l2_query_ext_ctrl, maximum),
    FIELD(v4l2_query_ext_ctrl, step),     SIGNED(v4l2_query_ext_ctrl, default_value),
    FIELD(v4l2_query_ext_ctrl, flags),    END};
static const ta_field pix_fields[] = {
    FIELD(v4l2_pix_format, width),        FIELD(v4l2_pix_format, height),       FIELD(v4l2_pix_format, field),
    FIELD(v4l2_pix_format, bytesperline), FIELD(v4l2_pix_format, sizeimage),    FIELD(v4l2_pix_format, colorspace),
    FIELD(v4l2_pix_format, ycbcr_enc),    FIELD(v4l2_pix_format, quantization), END};
static const ta_field pix_mp_fields[] = {FIELD(v4l2_pix_format_mplane, width),
                                         FIELD(v4l2_pix_format_mplane, height),
                                         FIELD(v4l2_pix_format_mplane, field),
                                         FIELD(v4l2_pix_format_mplane, colorspace),
                                         FIELD(v4l2_pix_format_mplane, ycbcr_enc),
                                         FIELD(v4l2_pix_format_mplane, quantization),
                                         END};
static const ta_field mbus_fields[] = {FIELD(v4l2_mbus_framefmt, width),
                                       FIELD(v4l2_mbus_framefmt, height),
                                       FIELD(v4l2_mbus_framefmt, code),
                                       FIELD(v4l2_mbus_framefmt, field),
                                       FIELD(v4l2_mbus_framefmt, colorspace),
                                       FIELD(v4l2_mbus_framefmt, ycbcr_enc),
                                       FIELD(v4l2_mbus_framefmt, quantization),
                                       FIELD(v4l2_mbus_framefmt, xfer_func),
                                       END};

static PyObject *fourcc_text(uint32_t code) {
    char text[4] = {(char)(code & 0x7f), (char)(code >> 8 & 0x7f), (char)(code >> 16 & 0x7f),
                    (char)(code >> 24 & 0x7f)};
    return PyUnicode_DecodeASCII(text, 4, "replace");
}

static int fourcc_code(PyObject *text, void *out) {
    Py_ssize_t size = 0;
    const char *c = PyUnicode_AsUTF8AndSize(text, &size);
    if (!c)
        return 0;
    if (size != 4) {
        PyErr_SetString(PyExc_ValueError, "a fourcc has four characters");
        return 0;
    }
    *(uint32_t *)out = v4l2_fourcc((uint8_t)c[0], (uint8_t)c[1], (uint8_t)c[2], (uint8_t)c[3]);
    return 1;
}

/* ---- the device ---- */

/* Returns the handle; NULL with an exception once closed. */
static ta_v4l2 *handle(PyObject *object) {
    DeviceObject *self = (DeviceObject *)object;
    if (!self->device) {
        errno = EBADF;
        ta_py_raise(TA_ESYS, self->name);
    }
    return self->device;
}

/* Runs an ioctl without the GIL. Returns 0, its errno, or -1 with the exception of a closed device. */
static int attempt(PyObject *object, unsigned long request, void *argument) {
    ta_v4l2 *device = handle(object);
    if (!device)
        return -1;
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = ta_v4l2_ioctl(device, request, argument) == TA_OK ? 0 : errno;
    Py_END_ALLOW_THREADS
    return error;
}

/* Runs an ioctl. Returns false with the exception set. */
static bool raise_unless_done(PyObject *object, int error) {
    if (error > 0) {
        errno = error;
        ta_py_raise(TA_ESYS, ((DeviceObject *)object)->name);
    }
    return error == 0;
}

static bool run(PyObject *object, unsigned long request, void *argument) {
    return raise_unless_done(object, attempt(object, request, argument));
}

/* Returns whether an enumeration has another item: it ends with EINVAL, and is empty if there is no such ioctl. On
 * failure the list is cleared and the exception set. */
static bool another(PyObject *object, unsigned long request, void *argument, PyObject **list) {
    int error = *list ? attempt(object, request, argument) : -1;
    if (error && error != EINVAL && error != ENOTTY && error != ENODATA) {
        raise_unless_done(object, error);
        Py_CLEAR(*list);
    }
    return error == 0;
}

static PyObject *device_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"path", NULL};
    const char *path;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s", names, &path))
        return NULL;
    DeviceObject *self = (DeviceObject *)PyType_GenericAlloc(type, 0);
    if (!self || !(self->path = PyUnicode_FromString(path)) ||
        !(self->name = PyUnicode_AsUTF8AndSize(self->path, NULL))) {
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_v4l2_open(&self->device, self->name);
    Py_END_ALLOW_THREADS
    if (status != TA_OK) {
        ta_py_raise(status, self->name);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static PyObject *device_close(PyObject *object, PyObject *Py_UNUSED(unused)) {
    ta_v4l2_close(&((DeviceObject *)object)->device);
    Py_RETURN_NONE;
}

static void device_dealloc(PyObject *object) {
    DeviceObject *self = (DeviceObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    ta_v4l2_close(&self->device);
    Py_CLEAR(self->path);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *device_fileno(PyObject *object, PyObject *Py_UNUSED(unused)) {
    ta_v4l2 *device = handle(object);
    return device ? PyLong_FromLong(ta_v4l2_descriptor(device)) : NULL;
}

static PyObject *device_path(PyObject *object, void *Py_UNUSED(unused)) {
    return Py_NewRef(((DeviceObject *)object)->path);
}

static PyObject *device_info(PyObject *object, void *Py_UNUSED(unused)) {
    ta_v4l2 *device = handle(object);
    if (!device)
        return NULL;
    const ta_v4l2_info *i = ta_v4l2_info_get(device);
    return Py_BuildValue("{sNsssssssIsI}", "subdev", PyBool_FromLong(i->subdev), "driver", i->driver, "card", i->card,
                         "bus", i->bus, "version", (unsigned)i->version, "capabilities", (unsigned)i->capabilities);
}

/* ---- EDID and timings ---- */

static PyObject *device_edid(PyObject *object, PyObject *Py_UNUSED(unused)) {
    ta_v4l2 *device = handle(object);
    if (!device)
        return NULL;
    uint8_t edid[TA_EDID_MAX];
    size_t size = 0;
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_v4l2_edid(device, edid, &size);
    Py_END_ALLOW_THREADS
    return status == TA_OK ? PyBytes_FromStringAndSize((const char *)edid, (Py_ssize_t)size)
                           : ta_py_raise(status, ((DeviceObject *)object)->name);
}

static PyObject *device_set_edid(PyObject *object, PyObject *args) {
    ta_v4l2 *device = handle(object);
    Py_buffer edid;
    if (!device || !PyArg_ParseTuple(args, "y*:set_edid", &edid))
        return NULL;
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_v4l2_set_edid(device, edid.buf, (size_t)edid.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&edid);
    if (status == TA_ETOOBIG || status == TA_EINVAL)
        return PyErr_Format(PyExc_ValueError, "an EDID has 1 to %d blocks of %d bytes", TA_EDID_MAX / TA_EDID_BLOCK,
                            TA_EDID_BLOCK);
    if (status != TA_OK)
        return ta_py_raise(status, ((DeviceObject *)object)->name);
    Py_RETURN_NONE;
}

static PyObject *read_timings(PyObject *object, unsigned long request) {
    struct v4l2_dv_timings timings = {0};
    return run(object, request, &timings) ? ta_to_dict(&timings.bt, timings_fields) : NULL;
}

static PyObject *device_query_timings(PyObject *object, PyObject *Py_UNUSED(unused)) {
    return read_timings(object, VIDIOC_QUERY_DV_TIMINGS);
}

static PyObject *device_timings(PyObject *object, PyObject *Py_UNUSED(unused)) {
    return read_timings(object, VIDIOC_G_DV_TIMINGS);
}

static PyObject *device_set_timings(PyObject *object, PyObject *args) {
    struct v4l2_dv_timings timings = {.type = V4L2_DV_BT_656_1120};
    PyObject *dict;
    if (!PyArg_ParseTuple(args, "O!:set_timings", &PyDict_Type, &dict) ||
        ta_from_dict(dict, &timings.bt, timings_fields) < 0 || !run(object, VIDIOC_S_DV_TIMINGS, &timings))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *device_timings_cap(PyObject *object, PyObject *Py_UNUSED(unused)) {
    struct v4l2_dv_timings_cap cap = {.type = V4L2_DV_BT_656_1120};
    return run(object, VIDIOC_DV_TIMINGS_CAP, &cap) ? ta_to_dict(&cap.bt, cap_fields) : NULL;
}

static PyObject *device_enum_timings(PyObject *object, PyObject *Py_UNUSED(unused)) {
    PyObject *list = PyList_New(0);
    struct v4l2_enum_dv_timings item = {0};
    for (; another(object, VIDIOC_ENUM_DV_TIMINGS, &item, &list); item.index++)
        ta_append(&list, ta_to_dict(&item.timings.bt, timings_fields));
    return list;
}

/* ---- events and controls ---- */

static PyObject *device_subscribe(PyObject *object, PyObject *args) {
    unsigned type, id = 0;
    if (!PyArg_ParseTuple(args, "I|I:subscribe", &type, &id))
        return NULL;
    struct v4l2_event_subscription subscription = {.type = type, .id = id};
    if (!run(object, VIDIOC_SUBSCRIBE_EVENT, &subscription))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *device_event(PyObject *object, PyObject *Py_UNUSED(unused)) {
    ta_v4l2 *device = handle(object);
    struct v4l2_event event;
    if (!device)
        return NULL;
    ta_status status = ta_v4l2_event(device, &event);
    if (status == TA_AGAIN)
        Py_RETURN_NONE;
    if (status != TA_OK)
        return ta_py_raise(status, ((DeviceObject *)object)->name);
    bool control = event.type == V4L2_EVENT_CTRL;
    return Py_BuildValue("{sIsIsIsIsIsL}", "type", (unsigned)event.type, "id", (unsigned)event.id, "sequence",
                         (unsigned)event.sequence, "pending", (unsigned)event.pending, "changes",
                         (unsigned)(control ? event.u.ctrl.changes : event.u.src_change.changes), "value",
                         (long long)(control ? event.u.ctrl.value : 0));
}

static PyObject *device_control(PyObject *object, PyObject *args) {
    ta_v4l2 *device = handle(object);
    unsigned id;
    int64_t value;
    if (!device || !PyArg_ParseTuple(args, "I:control", &id))
        return NULL;
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_v4l2_get_control(device, id, &value);
    Py_END_ALLOW_THREADS
    return status == TA_OK ? PyLong_FromLongLong(value) : ta_py_raise(status, ((DeviceObject *)object)->name);
}

static PyObject *device_set_control(PyObject *object, PyObject *args) {
    ta_v4l2 *device = handle(object);
    unsigned id;
    long long value;
    if (!device || !PyArg_ParseTuple(args, "IL:set_control", &id, &value))
        return NULL;
    ta_status status;
    Py_BEGIN_ALLOW_THREADS
    status = ta_v4l2_set_control(device, id, value);
    Py_END_ALLOW_THREADS
    if (status != TA_OK)
        return ta_py_raise(status, ((DeviceObject *)object)->name);
    Py_RETURN_NONE;
}

static PyObject *device_controls(PyObject *object, PyObject *Py_UNUSED(unused)) {
    PyObject *list = PyList_New(0);
    struct v4l2_query_ext_ctrl query = {.id = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND};
    while (another(object, VIDIOC_QUERY_EXT_CTRL, &query, &list)) {
        PyObject *item = ta_to_dict(&query, control_fields);
        if (item &&
            ta_put(item, "name",
                   PyUnicode_DecodeUTF8(query.name, (Py_ssize_t)strnlen(query.name, sizeof query.name), "replace")) < 0)
            Py_CLEAR(item);
        ta_append(&list, item);
        query.id |= V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;
    }
    return list;
}

/* ---- formats ---- */

static bool capture_type(PyObject *object, uint32_t *type) {
    ta_v4l2 *device = handle(object);
    if (!device)
        return false;
    if (ta_v4l2_capture_type(device, type) == TA_OK)
        return true;
    errno = EINVAL;
    ta_py_raise(TA_ESYS, ((DeviceObject *)object)->name);
    return false;
}

static PyObject *format_dict(const struct v4l2_format *format) {
    bool planes = format->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    PyObject *dict = planes ? ta_to_dict(&format->fmt.pix_mp, pix_mp_fields) : ta_to_dict(&format->fmt.pix, pix_fields);
    if (!dict)
        return NULL;
    const struct v4l2_plane_pix_format *plane = &format->fmt.pix_mp.plane_fmt[0];
    if (ta_put(dict, "fourcc", fourcc_text(planes ? format->fmt.pix_mp.pixelformat : format->fmt.pix.pixelformat)) <
            0 ||
        (planes && (ta_put(dict, "bytesperline", PyLong_FromUnsignedLong(plane->bytesperline)) < 0 ||
                    ta_put(dict, "sizeimage", PyLong_FromUnsignedLong(plane->sizeimage)) < 0)))
        Py_CLEAR(dict);
    return dict;
}

static PyObject *device_format(PyObject *object, PyObject *Py_UNUSED(unused)) {
    struct v4l2_format format = {0};
    if (!capture_type(object, &format.type) || !run(object, VIDIOC_G_FMT, &format))
        return NULL;
    return format_dict(&format);
}

static PyObject *device_set_format(PyObject *object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"width", "height", "fourcc", "commit", NULL};
    struct v4l2_format format = {0};
    unsigned width, height;
    uint32_t fourcc = 0;
    int commit = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IIO&|p:set_format", names, &width, &height, fourcc_code, &fourcc,
                                     &commit) ||
        !capture_type(object, &format.type))
        return NULL;
    if (format.type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE)
        format.fmt.pix_mp = (struct v4l2_pix_format_mplane){
            .width = width, .height = height, .pixelformat = fourcc, .field = V4L2_FIELD_NONE, .num_planes = 1};
    else
        format.fmt.pix =
            (struct v4l2_pix_format){.width = width, .height = height, .pixelformat = fourcc, .field = V4L2_FIELD_NONE};
    return run(object, commit ? VIDIOC_S_FMT : VIDIOC_TRY_FMT, &format) ? format_dict(&format) : NULL;
}

static PyObject *device_formats(PyObject *object, PyObject *Py_UNUSED(unused)) {
    struct v4l2_fmtdesc format = {0};
    if (!capture_type(object, &format.type))
        return NULL;
    PyObject *list = PyList_New(0);
    for (; another(object, VIDIOC_ENUM_FMT, &format, &list); format.index++)
        ta_append(&list, fourcc_text(format.pixelformat));
    return list;
}

static PyObject *device_rates(PyObject *object, PyObject *args) {
    struct v4l2_frmivalenum item = {0};
    if (!PyArg_ParseTuple(args, "O&II:rates", fourcc_code, &item.pixel_format, &item.width, &item.height))
        return NULL;
    PyObject *list = PyList_New(0);
    for (; another(object, VIDIOC_ENUM_FRAMEINTERVALS, &item, &list); item.index++) {
        bool discrete = item.type == V4L2_FRMIVAL_TYPE_DISCRETE;
        const struct v4l2_fract *interval = discrete ? &item.discrete : &item.stepwise.min;
        ta_append(&list, Py_BuildValue("II", interval->denominator, interval->numerator));
        if (!discrete) /* the shortest interval of the range: its highest rate */
            break;
    }
    return list;
}

static PyObject *device_rate(PyObject *object, PyObject *Py_UNUSED(unused)) {
    struct v4l2_streamparm parm = {0};
    if (!capture_type(object, &parm.type) || !run(object, VIDIOC_G_PARM, &parm))
        return NULL;
    const struct v4l2_fract *interval = &parm.parm.capture.timeperframe;
    return Py_BuildValue("II", interval->denominator, interval->numerator);
}

static PyObject *device_pad_format(PyObject *object, PyObject *args) {
    struct v4l2_subdev_format format = {.which = V4L2_SUBDEV_FORMAT_ACTIVE};
    if (!PyArg_ParseTuple(args, "I:pad_format", &format.pad) || !run(object, VIDIOC_SUBDEV_G_FMT, &format))
        return NULL;
    return ta_to_dict(&format.format, mbus_fields);
}

static PyObject *device_set_pad_format(PyObject *object, PyObject *args) {
    struct v4l2_subdev_format format = {.which = V4L2_SUBDEV_FORMAT_ACTIVE};
    PyObject *dict;
    if (!PyArg_ParseTuple(args, "IO!:set_pad_format", &format.pad, &PyDict_Type, &dict) ||
        ta_from_dict(dict, &format.format, mbus_fields) < 0 || !run(object, VIDIOC_SUBDEV_S_FMT, &format))
        return NULL;
    return ta_to_dict(&format.format, mbus_fields);
}

static PyMethodDef device_methods[] = {
    {"fileno", device_fileno, METH_NOARGS, NULL},
    {"edid", device_edid, METH_NOARGS, NULL},
    {"set_edid", device_set_edid, METH_VARARGS, NULL},
    {"query_timings", device_query_timings, METH_NOARGS, NULL},
    {"timings", device_timings, METH_NOARGS, NULL},
    {"set_timings", device_set_timings, METH_VARARGS, NULL},
    {"timings_cap", device_timings_cap, METH_NOARGS, NULL},
    {"enum_timings", device_enum_timings, METH_NOARGS, NULL},
    {"subscribe", device_subscribe, METH_VARARGS, NULL},
    {"event", device_event, METH_NOARGS, NULL},
    {"control", device_control, METH_VARARGS, NULL},
    {"set_control", device_set_control, METH_VARARGS, NULL},
    {"controls", device_controls, METH_NOARGS, NULL},
    {"format", device_format, METH_NOARGS, NULL},
    {"set_format", (PyCFunction)(void (*)(void))device_set_format, METH_VARARGS | METH_KEYWORDS, NULL},
    {"formats", device_formats, METH_NOARGS, NULL},
    {"rates", device_rates, METH_VARARGS, NULL},
    {"rate", device_rate, METH_NOARGS, NULL},
    {"pad_format", device_pad_format, METH_VARARGS, NULL},
    {"set_pad_format", device_set_pad_format, METH_VARARGS, NULL},
    {"close", device_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef device_getset[] = {
    {"path", device_path, NULL, NULL, NULL}, {"info", device_info, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot device_slots[] = {{Py_tp_new, device_new},
                                     {Py_tp_dealloc, device_dealloc},
                                     {Py_tp_methods, device_methods},
                                     {Py_tp_getset, device_getset},
                                     {0, NULL}};

static PyType_Spec device_spec = {"thinair._native.V4L2Device", sizeof(DeviceObject), 0, Py_TPFLAGS_DEFAULT,
                                  device_slots};

int ta_py_add_v4l2(PyObject *module) {
    static const struct {
        const char *name;
        long value;
    } constants[] = {{"V4L2_EVENT_CTRL", V4L2_EVENT_CTRL},
                     {"V4L2_EVENT_SOURCE_CHANGE", V4L2_EVENT_SOURCE_CHANGE},
                     {"V4L2_CID_DV_RX_POWER_PRESENT", V4L2_CID_DV_RX_POWER_PRESENT},
                     {"V4L2_CAP_VIDEO_CAPTURE", V4L2_CAP_VIDEO_CAPTURE},
                     {"V4L2_CAP_VIDEO_CAPTURE_MPLANE", V4L2_CAP_VIDEO_CAPTURE_MPLANE}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
            return -1;
    PyObject *type = PyType_FromSpec(&device_spec);
    int result = type ? PyModule_AddObjectRef(module, "V4L2Device", type) : -1;
    Py_XDECREF(type);
    return result;
}
