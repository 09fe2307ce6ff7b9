/* Shared by the parts of the binding. Limited API 3.11. */
#ifndef THINAIR_BINDING_H
#define THINAIR_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "thinair/recovery.h"
#include "thinair/seal.h"
#include "thinair/send_queue.h"

int ta_py_add_core(PyObject *module); /* core_types.c */
int ta_py_add_core_functions(PyObject *module);
int ta_py_add_tx(PyObject *module); /* tx_types.c */
int ta_py_add_rx(PyObject *module); /* rx_types.c */
int ta_py_add_io_functions(PyObject *module);
int ta_py_add_present(PyObject *module);    /* present_types.c */
int ta_py_add_watch(PyObject *module);      /* watch_types.c */
int ta_py_add_capture(PyObject *module);    /* capture_types.c */
int ta_py_add_v4l2(PyObject *module);       /* v4l2_types.c */
int ta_py_add_media(PyObject *module);      /* media_types.c */
int ta_py_add_hardware(PyObject *module);   /* hardware_types.c */
int ta_py_add_repair(PyObject *module);     /* repair_types.c */
int ta_py_add_send_queue(PyObject *module); /* send_queue_types.c */
int ta_py_add_recovery(PyObject *module);   /* recovery_types.c */
int ta_py_add_seal(PyObject *module);       /* seal_types.c */

/* Returns the pump of a Tx, which lives as long as the object; NULL with TypeError for others. */
struct ta_tx *ta_py_tx(PyObject *object);
/* Returns an AccessUnit over bytes that `release(owner)` frees with the object. On failure nothing is taken over. */
PyObject *ta_py_access_unit(const ta_au_info *info, const uint8_t *data, uint64_t taken_us, void (*release)(void *),
                            void *owner);
/* Returns (decided frames, newest frame in its present state or None, its id, outcomes, answer_us). */
PyObject *ta_py_frames(const ta_frame_report *decided, size_t count, const ta_frame_report *newest, uint32_t newest_id,
                       uint16_t outcomes, uint32_t answer_us);
PyObject *ta_py_recovery(const ta_recovery_stats *stats); /* a dict */
/* Parses (own, peer, media_ssrc, *, limit=0, after_peer=False); the caller releases the views. -1 with an exception. */
int ta_py_seal_config(PyObject *args, PyObject *kwargs, ta_seal_config *config, Py_buffer views[2]);
PyObject *ta_py_send_queue_stats(const ta_send_queue_stats *stats);
PyObject *ta_py_with(PyObject *dict, PyObject *more); /* adds the other's items to dict; takes over both */
/* Returns {reason name: count} of TA_DROP_COUNT counters. */
PyObject *ta_py_drops(const uint64_t *drops);
/* Raises the exception for a status, with text starting with `what`; returns NULL. */
PyObject *ta_py_raise(ta_status status, const char *what);

#endif
