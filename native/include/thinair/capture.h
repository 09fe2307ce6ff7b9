/* Pictures out of a V4L2 capture node, newest first. One thread takes pictures; any may give them back. Nothing allocates
 * after open. */
#ifndef THINAIR_CAPTURE_H
#define THINAIR_CAPTURE_H

#include "thinair/encoder.h"

enum { TA_CAPTURE_MAX_BUFFERS = 16 };

typedef struct ta_capture_config {
    const char *device;
    uint32_t width, height;         /* of the format to set, 0: as it stands; timings are set already */
    uint32_t fourcc;
    uint32_t buffers;               /* asked for, 3..TA_CAPTURE_MAX_BUFFERS */
    bool export_dmabuf;
    uint32_t rate_numerator, rate_denominator; /* asked of a device that chooses its rate; 0: as it stands */
} ta_capture_config;

typedef struct ta_captured {
    uint32_t index;                 /* of the buffer: the token of ta_raw */
    uint32_t sequence;              /* the driver's */
    uint32_t skipped;               /* pictures lost or passed over since the one before */
    bool corrupt;                   /* V4L2_BUF_FLAG_ERROR, or fewer bytes than a picture has */
    const uint8_t *data;
    size_t size;
    int dmabuf;                     /* or -1 */
    uint64_t capture_us, dequeue_us; /* CLOCK_MONOTONIC; capture is the frame's start */
} ta_captured;

typedef struct ta_capture_format {  /* as the driver granted it */
    uint32_t width, height, fourcc, stride, size_image, buffers, colorspace, ycbcr_enc, quantization;
    char driver[17];
} ta_capture_format;

typedef struct ta_capture_stats {
    uint64_t captured;      /* handed out */
    uint64_t passed_over;   /* given straight back for a newer one */
    uint64_t gaps;          /* sequence numbers that never came: lost by the driver */
    uint64_t corrupt;
    uint64_t future_stamps; /* later than their dequeuing, which was taken instead */
    uint64_t unstamped;     /* not of CLOCK_MONOTONIC: the time of dequeuing was taken instead */
    uint64_t queue_errors;  /* QBUF refused; the buffer is offered again */
} ta_capture_stats;

typedef struct ta_capture ta_capture;

ta_status ta_capture_open(ta_capture **out, const ta_capture_config *config, char reason[TA_REASON_MAX]);
const ta_capture_format *ta_capture_format_get(const ta_capture *capture);
int ta_capture_descriptor(const ta_capture *capture);
/* Drains the queue; hands out the newest picture and gives older ones straight back. TA_AGAIN: none there. TA_ESYS: the
 * device failed (errno). */
ta_status ta_capture_newest(ta_capture *capture, ta_captured *out);
/* Waits for one; TA_AGAIN after the timeout. */
ta_status ta_capture_wait(ta_capture *capture, uint64_t timeout_us, ta_captured *out);
/* Where the driver refuses the buffer it is offered again by the next ta_capture_newest, which fails if that fails. */
ta_status ta_capture_give_back(ta_capture *capture, uint32_t index);
const char *ta_capture_reason(const ta_capture *capture); /* the last failure in words; valid in the thread that got it */
void ta_capture_stats_get(ta_capture *capture, ta_capture_stats *out);
void ta_capture_close(ta_capture **capture); /* STREAMOFF, buffers freed */

#endif
