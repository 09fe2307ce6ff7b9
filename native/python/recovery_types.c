/* Frame reports for Python: a structseq, of the reassembler and of Rx. */
#include "binding.h"

#include <structmember.h>

static PyTypeObject *report_type;

static PyStructSequence_Field fields[] = {
    {"frame_id", NULL},  {"key", NULL},
    {"complete", NULL},  {"repaired", NULL},
    {"unseen", NULL},    {"packets", NULL},
    {"received", NULL},  {"longest_run", NULL},
    {"proactive", NULL}, {"proactive_received", NULL},
    {"on_demand", NULL}, {"on_demand_received", NULL},
    {"rounds", NULL},    {"reached", NULL},
    {"bytes", NULL},     {"gap_us", NULL},
    {"first_us", NULL},  {"newest_us", NULL},
    {"done_us", NULL},   {"peer_us", NULL},
    {NULL, NULL},
};
static PyStructSequence_Desc description = {"thinair._native.FrameReport",
                                            "Reception and repair of one frame (thinair/recovery.h).", fields,
                                            sizeof fields / sizeof fields[0] - 1};

static PyObject *report(const ta_frame_report *f) {
    PyObject *out = PyStructSequence_New(report_type);
    const unsigned long long numbers[] = {
        f->packets,   f->received,           f->longest_run, f->proactive, f->proactive_received,
        f->on_demand, f->on_demand_received, f->rounds,      f->reached,   f->bytes,
        f->gap_us,    f->first_us,           f->newest_us,   f->done_us,   f->peer_us,
    };
    const uint32_t flags[] = {TA_REPORT_KEY, TA_REPORT_COMPLETE, TA_REPORT_REPAIRED, TA_REPORT_UNSEEN};
    if (!out)
        return NULL;
    Py_ssize_t at = 0;
    PyStructSequence_SetItem(out, at++, PyLong_FromUnsignedLongLong(f->frame_id));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        PyStructSequence_SetItem(out, at++, PyBool_FromLong((f->flags & flags[i]) != 0));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        PyStructSequence_SetItem(out, at++, PyLong_FromUnsignedLongLong(numbers[i]));
    if (PyErr_Occurred())
        Py_CLEAR(out);
    return out;
}

PyObject *ta_py_frames(const ta_frame_report *decided, size_t count, const ta_frame_report *newest, uint32_t newest_id,
                       uint16_t outcomes, uint32_t answer_us) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *item = report(&decided[i]);
        if (!item)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, (Py_ssize_t)i, item);
    }
    PyObject *last = newest ? report(newest) : Py_NewRef(Py_None);
    if (!list || !last) {
        Py_XDECREF(list);
        Py_XDECREF(last);
        return NULL;
    }
    return Py_BuildValue("(NNkkk)", list, last, (unsigned long)newest_id, (unsigned long)outcomes,
                         (unsigned long)answer_us);
}

PyObject *ta_py_recovery(const ta_recovery_stats *s) {
    return Py_BuildValue("{sKsKsKsKsKsKsKsksksk}", "symbols", s->symbols, "surplus", s->surplus, "restored",
                         s->restored, "frames_repaired", s->frames_repaired, "requests", s->requests, "on_demand",
                         s->on_demand, "on_demand_received", s->on_demand_received, "rtt_us", (unsigned long)s->rtt_us,
                         "reorder_window_us", (unsigned long)s->reorder_window_us, "spacing_us",
                         (unsigned long)s->spacing_us);
}

int ta_py_add_recovery(PyObject *module) {
    report_type = PyStructSequence_NewType(&description);
    return report_type ? PyModule_AddObjectRef(module, "FrameReport", (PyObject *)report_type) : -1;
}
