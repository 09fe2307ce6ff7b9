#include "thumbnail.h"

#include <linux/videodev2.h>

static bool layout_of(uint32_t fourcc, ta_raw_layout *out) {
    *out = fourcc == V4L2_PIX_FMT_UYVY ? TA_RAW_UYVY : fourcc == V4L2_PIX_FMT_YUYV ? TA_RAW_YUYV : TA_RAW_NV12;
    return *out != TA_RAW_NV12 || fourcc == V4L2_PIX_FMT_NV12;
}

void ta_thumbnailer_init(ta_thumbnailer *look) { pthread_mutex_init(&look->lock, NULL); }

void ta_thumbnailer_destroy(ta_thumbnailer *look) { pthread_mutex_destroy(&look->lock); }

void ta_thumbnailer_offer(ta_thumbnailer *look, const ta_captured *picture, const ta_capture_format *format) {
    ta_raw_picture in = {.width = format->width,
                         .height = format->height,
                         .stride = format->stride,
                         .data = picture->data,
                         .size = picture->size};
    if (!atomic_load(&look->wanted) || !picture->data || !layout_of(format->fourcc, &in.layout))
        return;
    pthread_mutex_lock(&look->lock);
    look->ready = ta_raw_thumbnail(&in, &look->picture) == TA_OK;
    pthread_mutex_unlock(&look->lock);
    atomic_store(&look->wanted, false);
}

bool ta_thumbnailer_take(ta_thumbnailer *look, ta_thumbnail *out) {
    pthread_mutex_lock(&look->lock);
    const bool ready = look->ready;
    if (ready)
        *out = look->picture;
    look->ready = false;
    pthread_mutex_unlock(&look->lock);
    if (!ready)
        atomic_store(&look->wanted, true);
    return ready;
}
