/* A thumbnail of a live picture on request: one thread requests it, the thread that owns pictures makes it. */
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

void ta_thumbnailer_init(ta_thumbnailer *t);
/* Makes a thumbnail if one is requested. Called by the thread that owns the picture. */
void ta_thumbnailer_offer(ta_thumbnailer *t, const ta_captured *picture, const ta_capture_format *format);
bool ta_thumbnailer_take(ta_thumbnailer *t, ta_thumbnail *out);
void ta_thumbnailer_destroy(ta_thumbnailer *t);

#endif
