/* The interface of the hardware encoders. One thread owns an encoder; nothing allocates after open. */
#ifndef THINAIR_ENCODER_H
#define THINAIR_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thinair/status.h"

enum { TA_REASON_MAX = 200 }; /* bytes of a failure's text */

typedef struct ta_encoder_config {
    const char *device; /* V4L2 node; "": found. Unused by MMAL */
    uint32_t width, height;
    uint32_t stride;                           /* bytes from line to line of the raw picture's first plane */
    uint32_t fourcc;                           /* V4L2_PIX_FMT_* of the raw picture */
    uint32_t coded_fourcc;                     /* V4L2_PIX_FMT_* of the coded picture; 0: H.264. Others are for tests */
    uint32_t rate_numerator, rate_denominator; /* pictures per second */
    uint32_t bitrate_bps;
    uint32_t key_interval;      /* pictures */
    uint32_t min_qp, max_qp;    /* 0: the encoder's default */
    uint32_t buffers;           /* number of the source's raw pictures, for DMABUF */
    bool dmabuf;                /* raw pictures are DMABUF descriptors, else bytes */
    uint32_t intra_refresh_mbs; /* macroblocks refreshed per picture; 0: key frames only */
    bool low_latency;           /* MMAL's stripe mode; experimental */
} ta_encoder_config;

typedef struct ta_raw {
    uint32_t token;      /* the source's buffer number; `released` returns it */
    int dmabuf;          /* or -1 */
    const uint8_t *data; /* NULL with a descriptor */
    size_t size;
    uint64_t capture_us; /* identifies the picture's access unit */
} ta_raw;

typedef struct ta_coded {
    const uint8_t *data; /* Annex B; the encoder's until give_back */
    size_t size;         /* 0: the picture was skipped */
    uint64_t capture_us; /* of the picture */
    bool key;
    uint32_t slot; /* for the encoder */
} ta_coded;

typedef struct ta_encoder ta_encoder;

typedef struct ta_encoder_ops {
    const char *name;
    /* Submits a raw picture. TA_AGAIN: no room now. TA_EINVAL: not a picture of the configured format. TA_ESYS:
     * broken. */
    ta_status (*submit)(ta_encoder *, const ta_raw *);
    /* Takes the next access unit; return it by give_back. Size 0: the rate control skipped this picture, or it took too
     * long; a late access unit is still handed out. TA_AGAIN: none. TA_ESYS: broken, or stuck (ETIMEDOUT). */
    ta_status (*take)(ta_encoder *, ta_coded *);
    void (*give_back)(ta_encoder *, const ta_coded *);
    /* Takes the token of a raw picture that the encoder has finished reading. Returns false if there is none. */
    bool (*released)(ta_encoder *, uint32_t *token);
    void (*request_key)(ta_encoder *);
    /* TA_EINVAL, TA_ESYS: the encoder cannot. */
    ta_status (*set_bitrate)(ta_encoder *, uint32_t bitrate_bps);
    /* Returns a descriptor for poll, readable when take or released may yield. */
    int (*descriptor)(const ta_encoder *);
    /* Returns the bytes of raw pictures copied so far. */
    uint64_t (*bytes_copied)(const ta_encoder *);
    /* Returns a missing feature as text; NULL past the last. */
    const char *(*note)(const ta_encoder *, size_t index);
    /* Returns the last TA_ESYS as text; NULL or "": errno says it. The member may be NULL. */
    const char *(*reason)(const ta_encoder *);
    void (*close)(ta_encoder **);
} ta_encoder_ops;

struct ta_encoder { /* first member of each implementation */
    const ta_encoder_ops *ops;
};

/* Open a V4L2 memory-to-memory encoder, or the MMAL encoder of a Raspberry Pi. On failure `reason` is a sentence.
 * TA_EINVAL: impossible configuration. TA_ENOMEM. TA_ESYS: missing, busy, or it refuses the format. */
ta_status ta_m2m_open(ta_encoder **out, const ta_encoder_config *config, char reason[TA_REASON_MAX]);
ta_status ta_mmal_open(ta_encoder **out, const ta_encoder_config *config, char reason[TA_REASON_MAX]);

#endif
