/* What the parts of the binding share. Limited API 3.11. */
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

/* The pump of a _thinair.Tx, which lives as long as the object; NULL and TypeError for others. */
struct ta_tx *ta_py_tx(PyObject *object);
/* An AccessUnit over bytes that `release(owner)` gives back when the object dies. Steals nothing on failure. */
PyObject *ta_py_access_unit(const ta_au_info *info, const uint8_t *data, uint64_t taken_us, void (*release)(void *),
                            void *owner);
/* (decided frames, the newest as it stands or None, its id, outcomes, how long an answer takes). */
PyObject *ta_py_frames(const ta_frame_report *decided, size_t count, const ta_frame_report *newest, uint32_t newest_id,
                       uint16_t outcomes, uint32_t answer_us);
PyObject *ta_py_recovery(const ta_recovery_stats *stats); /* a dict */
/* (own, peer, media_ssrc, *, limit=0, after_peer=False); the views are the caller's to release. -1: an exception. */
int ta_py_seal_config(PyObject *args, PyObject *kwargs, ta_seal_config *config, Py_buffer views[2]);
PyObject *ta_py_send_queue_stats(const ta_send_queue_stats *stats);
PyObject *ta_py_with(PyObject *dict, PyObject *more); /* dict with the other's items; takes over both */
/* {reason name: count} from TA_DROP_COUNT counters. */
PyObject *ta_py_drops(const uint64_t *drops);
/* Raises the exception for a status and returns NULL. `what` begins the sentence. */
PyObject *ta_py_raise(ta_status status, const char *what);

#endif
