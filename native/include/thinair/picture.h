/* Pixels: raw capture formats to I420, I420 to BGRX, overlays, thumbnails. Any thread; nothing is retained. */
#ifndef THINAIR_PICTURE_H
#define THINAIR_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thinair/h264.h"

/* ---- I420 to the screen ---- */

typedef struct ta_picture { /* 8-bit 4:2:0, three planes; chroma has half the size, rounded up */
    const uint8_t *y, *u, *v;
    ptrdiff_t y_stride, u_stride, v_stride;
    uint32_t width, height; /* luma samples */
    bool bt709;             /* else BT.601 */
    bool full_range;        /* else 16..235 */
} ta_picture;

/* Converts rows from..to-1 to BGRX (bytes B, G, R, 0xff) of the same size. `from` is even; `to` is even or the
 * height. */
void ta_i420_to_bgrx(const ta_picture *in, uint8_t *out, ptrdiff_t out_stride, uint32_t from, uint32_t to);

typedef struct ta_overlay {
    const uint8_t *mask; /* width x height bytes of coverage */
    uint32_t width, height;
    int32_t x, y;
    uint8_t dim; /* the background is multiplied by dim / 255 */
} ta_overlay;

/* Blends white by `overlay` over a BGRX image, clipped to it. */
void ta_overlay_blend(uint8_t *bgrx, ptrdiff_t stride, uint32_t width, uint32_t height, const ta_overlay *overlay);

/* Draws a border of `thickness` pixels and colour 0xRRGGBB inside a BGRX image's edges. */
void ta_border(uint8_t *bgrx, ptrdiff_t stride, uint32_t width, uint32_t height, uint32_t thickness, uint32_t rgb);

/* ---- capture formats ---- */

typedef enum ta_raw_layout { TA_RAW_UYVY, TA_RAW_YUYV, TA_RAW_NV12 } ta_raw_layout;
enum { TA_MAX_RAW_STRIDE = 65536 };

typedef struct ta_raw_picture { /* one buffer; the chroma of NV12 starts at stride * height */
    ta_raw_layout layout;
    uint32_t width, height; /* 1..TA_MAX_DIMENSION, odd ones included */
    size_t stride;          /* bytes from line to line */
    const uint8_t *data;
    size_t size;
} ta_raw_picture;

typedef struct ta_i420 { /* output planes; chroma has half the size, rounded up */
    uint8_t *y, *u, *v;
    size_t y_stride, u_stride, v_stride, y_size, u_size, v_size;
} ta_i420;

/* Converts to I420. Chroma of 4:2:2 is the average of two lines, rounded up.
 * TA_EINVAL: a size or stride does not hold the picture; nothing is written. */
ta_status ta_raw_to_i420(const ta_raw_picture *in, const ta_i420 *out);

enum { TA_THUMBNAIL_WIDTH = 320, TA_THUMBNAIL_HEIGHT = 320 };

typedef struct ta_thumbnail { /* I420 without padding, planes one after the other */
    uint32_t width, height;   /* even */
    uint8_t data[TA_THUMBNAIL_WIDTH * TA_THUMBNAIL_HEIGHT * 3 / 2];
} ta_thumbnail;

/* Samples every n-th pixel, since a capture buffer may be uncached. TA_EINVAL: as above, or smaller than 4 x 4. */
ta_status ta_raw_thumbnail(const ta_raw_picture *in, ta_thumbnail *out);

#endif
