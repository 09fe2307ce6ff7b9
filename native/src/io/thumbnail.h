/* A small copy of a picture now and then, for whoever looks in: one is wanted, made by the picture's own thread, and
 * taken. */
#ifndef THINAIR_LOOK_H
#define THINAIR_LOOK_H

#include <pthread.h>
#include <stdatomic.h>

#include "thinair/capture.h"
#include "thinair/hw_pipeline.h"

typedef struct ta_thumbnailer {
    atomic_bool wanted;
    pthread_mutex_t lock; /* all below */
    bool ready;
    ta_thumbnail picture;
} ta_thumbnailer;

void ta_thumbnailer_init(ta_thumbnailer *look);
/* In the thread that has the picture; nothing where none is wanted. */
void ta_thumbnailer_offer(ta_thumbnailer *look, const ta_captured *picture, const ta_capture_format *format);
bool ta_thumbnailer_take(ta_thumbnailer *look, ta_thumbnail *out);
void ta_thumbnailer_destroy(ta_thumbnailer *look);

#endif
