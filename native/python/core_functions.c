/* Functions of the core section of the stub. */
#include "binding.h"
#include "thinair/h264.h"

#include <stdlib.h>

static PyObject *split_nals(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "y*:split_nals", &data))
        return NULL;
    size_t size = (size_t)data.len, count = ta_annexb_split(data.buf, size, NULL, 0);
    ta_nal *nals = calloc(count ? count : 1, sizeof *nals);
    PyObject *list = nals ? PyList_New((Py_ssize_t)count) : PyErr_NoMemory();
    if (list)
        ta_annexb_split(data.buf, size, nals, count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *pair = Py_BuildValue("(nn)", (Py_ssize_t)nals[i].offset, (Py_ssize_t)nals[i].size);
        if (!pair || PyList_SetItem(list, (Py_ssize_t)i, pair) < 0)
            Py_CLEAR(list);
    }
    free(nals);
    PyBuffer_Release(&data);
    return list;
}

static PyObject *parse_sps(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer nal;
    ta_sps s;
    if (!PyArg_ParseTuple(args, "y*:parse_sps", &nal))
        return NULL;
    ta_status status = ta_sps_parse(nal.buf, (size_t)nal.len, &s);
    PyBuffer_Release(&nal);
    if (status != TA_OK)
        return ta_py_raise(status, "SPS");
    return Py_BuildValue("{sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI sI}", "profile_idc",
                         s.profile_idc, "constraint_flags", s.constraint_flags, "level_idc", s.level_idc, "sps_id",
                         s.sps_id, "chroma_format_idc", s.chroma_format_idc, "bit_depth_luma", s.bit_depth_luma,
                         "bit_depth_chroma", s.bit_depth_chroma, "width", s.width, "height", s.height, "num_ref_frames",
                         s.num_ref_frames, "frame_mbs_only", s.frame_mbs_only, "vui_present", s.vui_present,
                         "video_full_range", s.video_full_range, "colour_primaries", s.colour_primaries, "transfer",
                         s.transfer, "matrix", s.matrix, "num_units_in_tick", s.num_units_in_tick, "time_scale",
                         s.time_scale, "bitstream_restriction", s.bitstream_restriction, "max_num_reorder_frames",
                         s.max_num_reorder_frames, "max_dec_frame_buffering", s.max_dec_frame_buffering);
}

static PyObject *parse_pps(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer nal;
    ta_pps p;
    if (!PyArg_ParseTuple(args, "y*:parse_pps", &nal))
        return NULL;
    ta_status status = ta_pps_parse(nal.buf, (size_t)nal.len, &p);
    PyBuffer_Release(&nal);
    if (status != TA_OK)
        return ta_py_raise(status, "PPS");
    return Py_BuildValue("{sI sI sI}", "pps_id", p.pps_id, "sps_id", p.sps_id, "cabac", (unsigned)p.cabac);
}

static PyObject *slice_first_mb(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer nal;
    uint32_t first_mb;
    if (!PyArg_ParseTuple(args, "y*:slice_first_mb", &nal))
        return NULL;
    ta_status status = ta_slice_first_mb(nal.buf, (size_t)nal.len, &first_mb);
    PyBuffer_Release(&nal);
    return status == TA_OK ? PyLong_FromUnsignedLong(first_mb) : ta_py_raise(status, "slice");
}

static PyObject *rewrite_sps(PyObject *Py_UNUSED(module), PyObject *args) {
    Py_buffer nal;
    uint8_t out[TA_MAX_SPS];
    size_t size;
    if (!PyArg_ParseTuple(args, "y*:rewrite_sps", &nal))
        return NULL;
    ta_status status = ta_sps_rewrite(nal.buf, (size_t)nal.len, out, sizeof out, &size);
    PyBuffer_Release(&nal);
    return status == TA_OK ? PyBytes_FromStringAndSize((char *)out, (Py_ssize_t)size) : ta_py_raise(status, "SPS");
}

static PyObject *rewrite_au(PyObject *Py_UNUSED(module), PyObject *au) {
    Py_buffer view;
    size_t changed, size;
    if (PyObject_GetBuffer(au, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *result = NULL;
    ta_status status = ta_au_rewrite(view.buf, (size_t)view.len, NULL, 0, &size, &changed);
    if (status != TA_OK) {
        ta_py_raise(status, "SPS");
    } else if (changed == 0) {
        result = Py_NewRef(au);
    } else {
        result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
        if (result)
            ta_au_rewrite(view.buf, (size_t)view.len, (uint8_t *)PyBytes_AsString(result), size, &size, &changed);
    }
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef functions[] = {
    {"split_nals", split_nals, METH_VARARGS, "(offset, size) of each NAL unit of an Annex B buffer."},
    {"parse_sps", parse_sps, METH_VARARGS, "Fields of ta_sps by name."},
    {"parse_pps", parse_pps, METH_VARARGS, "Fields of ta_pps by name."},
    {"rewrite_sps", rewrite_sps, METH_VARARGS, "The SPS with a bitstream restriction that allows no reordering."},
    {"slice_first_mb", slice_first_mb, METH_VARARGS, "first_mb_in_slice."},
    {"rewrite_au", rewrite_au, METH_O, "Every SPS in the unit rewritten; the unit itself where none changes."},
    {0},
};

int ta_py_add_core_functions(PyObject *module) { return PyModule_AddFunctions(module, functions); }
