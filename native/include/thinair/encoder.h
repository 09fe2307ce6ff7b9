/* What every hardware encoder offers the chain. One thread owns an encoder; nothing allocates after open. */
#ifndef THINAIR_ENCODER_H
#define THINAIR_ENCODER_H

#include "thinair/core.h"

enum { TA_REASON_MAX = 200 };

typedef struct ta_encoder_config {
    const char *device;        /* node of the encoder; "" finds one. MMAL does not use it */
    uint32_t width, height;
    uint32_t stride;           /* bytes from line to line of the raw picture's first plane */
    uint32_t fourcc;           /* V4L2_PIX_FMT_* of the raw picture */
    uint32_t coded_fourcc;     /* V4L2_PIX_FMT_* of the coded one; 0: H.264. Others are for trials of the machinery */
    uint32_t rate_numerator, rate_denominator;
    uint32_t bitrate_bps;
    uint32_t key_interval;     /* pictures */
    uint32_t min_qp, max_qp;   /* 0: the encoder's own */
    uint32_t buffers;          /* raw pictures the source has, for DMABUF */
    bool dmabuf;               /* raw pictures come as descriptors, else as bytes */
    uint32_t intra_refresh_mbs; /* macroblocks refreshed per picture, 0: key frames only */
    bool low_latency;          /* MMAL's stripe mode: an experiment */
} ta_encoder_config;

typedef struct ta_raw {
    uint32_t token;            /* the source's buffer; comes back by `released` */
    int dmabuf;                /* or -1 */
    const uint8_t *data;       /* or NULL with a descriptor */
    size_t size;
    uint64_t capture_us;       /* travels through the encoder and finds its access unit */
} ta_raw;

typedef struct ta_coded {
    const uint8_t *data;       /* Annex B; the encoder's until given back */
    size_t size;
    uint64_t capture_us;
    bool key;
    uint32_t slot;             /* the encoder's own */
} ta_coded;

typedef struct ta_encoder ta_encoder;

typedef struct ta_encoder_ops {
    const char *name;
    /* TA_AGAIN: no room for another raw picture now. */
    ta_status (*submit)(ta_encoder *, const ta_raw *);
    /* TA_AGAIN: nothing coded yet. A unit without bytes is a picture the rate control left out, or that was waited for
     * long enough; should it come all the same, it is handed out then. TA_ESYS: broken, or stuck (ETIMEDOUT). */
    ta_status (*take)(ta_encoder *, ta_coded *);
    void (*give_back)(ta_encoder *, const ta_coded *);
    bool (*released)(ta_encoder *, uint32_t *token); /* a raw picture's bytes are free again */
    void (*request_key)(ta_encoder *);
    ta_status (*set_bitrate)(ta_encoder *, uint32_t bitrate_bps);
    int (*descriptor)(const ta_encoder *);           /* for poll: readable when take() or released() may yield */
    uint64_t (*bytes_copied)(const ta_encoder *);    /* of raw pictures */
    const char *(*note)(const ta_encoder *, size_t index); /* what it lacks, in words; NULL past the last */
    const char *(*reason)(const ta_encoder *);       /* of the last TA_ESYS, in words; may be NULL: errno says it */
    void (*close)(ta_encoder **);
} ta_encoder_ops;

struct ta_encoder {            /* first member of each implementation */
    const ta_encoder_ops *ops;
};

/* On failure `reason` says why in words for people. */
ta_status ta_m2m_open(ta_encoder **out, const ta_encoder_config *config, char reason[TA_REASON_MAX]);
ta_status ta_mmal_open(ta_encoder **out, const ta_encoder_config *config, char reason[TA_REASON_MAX]);

#endif
