#include "thumbnail.h"

#include <linux/videodev2.h>

static bool layout_of(uint32_t fourcc, ta_raw_layout *out) {
    *out = fourcc == V4L2_PIX_FMT_UYVY ? TA_RAW_UYVY : fourcc == V4L2_PIX_FMT_YUYV ? TA_RAW_YUYV : TA_RAW_NV12;
    return *out != TA_RAW_NV12 || fourcc == V4L2_PIX_FMT_NV12;
}

void ta_thumbnailer_init(ta_thumbnailer *t) { pthread_mutex_init(&t->lock, NULL); }

void ta_thumbnailer_destroy(ta_thumbnailer *t) { pthread_mutex_destroy(&t->lock); }

void ta_thumbnailer_offer(ta_thumbnailer *t, const ta_captured *picture, const ta_capture_format *format) {
    ta_raw_picture in = {.width = format->width,
                         .height = format->height,
                         .stride = format->stride,
                         .data = picture->data,
                         .size = picture->size};
    if (!atomic_load(&t->wanted) || !picture->data || !layout_of(format->fourcc, &in.layout))
        return;
    pthread_mutex_lock(&t->lock);
    t->ready = ta_raw_thumbnail(&in, &t->picture) == TA_OK;
    pthread_mutex_unlock(&t->lock);
    atomic_store(&t->wanted, false);
}

bool ta_thumbnailer_take(ta_thumbnailer *t, ta_thumbnail *out) {
    pthread_mutex_lock(&t->lock);
    const bool ready = t->ready;
    if (ready)
        *out = t->picture;
    t->ready = false;
    pthread_mutex_unlock(&t->lock);
    if (!ready)
        atomic_store(&t->wanted, true);
    return ready;
}
