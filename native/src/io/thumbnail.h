/* A small copy of a picture now and then, for whoever looks in: one is wanted, made by the picture's own thread, and
 * taken. */
#ifndef THINAIR_LOOK_H
#define THINAIR_LOOK_H

#include <pthread.h>
#include <stdatomic.h>

#include "thinair/capture.h"
#include "thinair/hw_pipeline.h"

typedef struct ta_look {
    atomic_bool wanted;
    pthread_mutex_t lock; /* all below */
    bool ready;
    ta_thumbnail picture;
} ta_look;

void ta_look_init(ta_look *look);
/* In the thread that has the picture; nothing where none is wanted. */
void ta_look_at(ta_look *look, const ta_captured *picture, const ta_capture_format *format);
bool ta_look_take(ta_look *look, ta_thumbnail *out);
void ta_look_destroy(ta_look *look);

#endif
