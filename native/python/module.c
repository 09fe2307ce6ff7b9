/* The extension module. Each part registers its own types and functions. */
#include "binding.h"

static int (*const parts[])(PyObject *) = {
    ta_py_add_core,   ta_py_add_tx,       ta_py_add_rx,         ta_py_add_io_functions, ta_py_add_present,
    ta_py_add_watch,  ta_py_add_capture,  ta_py_add_v4l2,       ta_py_add_media,        ta_py_add_hardware,
    ta_py_add_repair, ta_py_add_recovery, ta_py_add_send_queue, ta_py_add_seal,
};

static int exec_module(PyObject *module) {
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i](module) < 0)
            return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec_module}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "thinair._native",
    .m_doc = "thinair's C core and I/O",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
