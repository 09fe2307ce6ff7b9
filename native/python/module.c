/* _thinair: the binding. Each part registers its own types and functions. */
#include "binding.h"

static int exec_module(PyObject *module) {
    if (ta_py_add_core(module) < 0 || ta_py_add_io(module) < 0 || ta_py_add_present(module) < 0 ||
        ta_py_add_watch(module) < 0 || ta_py_add_capture(module) < 0 || ta_py_add_v4l2(module) < 0 ||
        ta_py_add_media(module) < 0 || ta_py_add_chain(module) < 0 || ta_py_add_repair(module) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec_module}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_thinair",
    .m_doc = "thinair's C core and I/O",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__thinair(void) { return PyModuleDef_Init(&definition); }
