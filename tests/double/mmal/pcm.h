/* The simplest valid H.264 encoder: the upper three fifths of a picture, or as much as 1280x720 has, are I_PCM
 * macroblocks and decode exactly; the rest is flat. A unit has at most one byte per pixel. */
#ifndef DOUBLE_PCM_H
#define DOUBLE_PCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PCM_MACROBLOCKS = 3600 }; /* upper limit of those written */

struct pcm_picture {
    uint32_t width, height; /* shown */
    uint32_t stride, lines; /* of the first plane */
    char layout;            /* 'U' UYVY, 'Y' YUYV, 'N' NV12, 'I' I420 */
    const uint8_t *data;
};

struct pcm_stream {
    uint32_t frame_num, idr_id;
};

size_t pcm_capacity(uint32_t width, uint32_t height);
/* Writes SPS and PPS. Rate 0: no timing. */
size_t pcm_headers(uint8_t *out, uint32_t width, uint32_t height, uint32_t rate_numerator, uint32_t rate_denominator);
size_t pcm_picture(struct pcm_stream *stream, uint8_t *out, const struct pcm_picture *picture, bool key);

#endif
