/* Pictures from a V4L2 capture node, newest first. One thread takes pictures; any thread may give them back. Nothing
 * allocates after open. */
#ifndef THINAIR_CAPTURE_H
#define THINAIR_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thinair/encoder.h"

enum { TA_CAPTURE_MAX_BUFFERS = 16 };

typedef struct ta_capture_config {
    const char *device;
    uint32_t width, height; /* of the format to set; 0: the current one. Timings must be set already */
    uint32_t fourcc;
    uint32_t buffers; /* requested: 3..TA_CAPTURE_MAX_BUFFERS */
    bool export_dmabuf;
    uint32_t rate_numerator, rate_denominator; /* requested of a device that can choose; 0: its current rate */
} ta_capture_config;

typedef struct ta_captured {
    uint32_t index;      /* buffer number, for ta_capture_give_back and as the token of ta_raw */
    uint32_t sequence;   /* the driver's */
    uint32_t skipped;    /* pictures lost or passed over since the previous one */
    bool corrupt;        /* V4L2_BUF_FLAG_ERROR, or fewer bytes than a picture */
    const uint8_t *data; /* mapped, readable until the buffer is given back */
    size_t size;
    int dmabuf;          /* or -1 */
    uint64_t capture_us; /* start of the frame */
    uint64_t dequeue_us;
} ta_captured;

typedef struct ta_capture_format { /* as granted by the driver */
    uint32_t width, height, fourcc, stride, size_image, buffers, colorspace, ycbcr_enc, quantization;
    char driver[17];
} ta_capture_format;

typedef struct ta_capture_stats {
    uint64_t captured;    /* handed out */
    uint64_t passed_over; /* returned to the driver at once for a newer one */
    uint64_t gaps;        /* missing sequence numbers: lost by the driver */
    uint64_t corrupt;
    uint64_t future_stamps; /* stamps later than the dequeuing, whose time was taken instead */
    uint64_t unstamped;     /* stamps not of CLOCK_MONOTONIC: likewise */
    uint64_t queue_errors;  /* buffers that QBUF refused; queued again later */
} ta_capture_stats;

typedef struct ta_capture ta_capture;

/* Sets the format and starts streaming. On failure `reason` is a sentence. TA_EINVAL: impossible configuration.
 * TA_ENOMEM. TA_ESYS: errno; missing, busy, not a capture device, or it refuses the format. */
ta_status ta_capture_open(ta_capture **out, const ta_capture_config *config, char reason[TA_REASON_MAX]);
/* Returns the granted format, valid until close. */
const ta_capture_format *ta_capture_format_get(const ta_capture *capture);
/* Returns the device's descriptor, for poll. */
int ta_capture_descriptor(const ta_capture *capture);
/* Dequeues everything, hands out the newest picture and returns older ones to the driver. The buffer is the caller's
 * until ta_capture_give_back. TA_AGAIN: none. TA_ESYS: the device failed. */
ta_status ta_capture_newest(ta_capture *capture, ta_captured *out);
/* The same, and waits for a picture. TA_AGAIN: timeout. */
ta_status ta_capture_wait(ta_capture *capture, uint64_t timeout_us, ta_captured *out);
/* Returns a buffer to the driver. A buffer that the driver refuses is queued again by the next ta_capture_newest, which
 * fails if that fails too. TA_EINVAL: not a buffer that is out. */
ta_status ta_capture_give_back(ta_capture *capture, uint32_t index);
/* Returns the last failure as a sentence; valid in the thread that received it. */
const char *ta_capture_reason(const ta_capture *capture);
void ta_capture_stats_get(ta_capture *capture, ta_capture_stats *out);
/* Stops streaming; buffers that are out become invalid. */
void ta_capture_close(ta_capture **capture);

#endif
