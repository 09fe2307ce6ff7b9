/* Capture, encoder and sending pump joined by one C thread: from the camera's picture to packets without Python. */
#ifndef THINAIR_CHAIN_H
#define THINAIR_CHAIN_H

#include "thinair/capture.h"
#include "thinair/encoder.h"
#include "thinair/io.h"

enum { TA_HW_PIPELINE_RECORDS = 512 }; /* held for the reader; the oldest make room, counted */

typedef enum ta_hw_pipeline_state {
    TA_HW_PIPELINE_STARTING = 0, /* no picture yet */
    TA_HW_PIPELINE_LIVE,
    TA_HW_PIPELINE_STALLED,      /* the capture gives no pictures; goes back to LIVE by itself */
    TA_HW_PIPELINE_FAILED,       /* the thread has ended and closed both devices; see the reason */
} ta_hw_pipeline_state;

typedef struct ta_hw_pipeline_config {
    ta_capture_config capture;
    ta_encoder_config encoder; /* size, format, stride and number of buffers become the capture's */
    ta_status (*open_encoder)(ta_encoder **, const ta_encoder_config *, char reason[TA_REASON_MAX]);
    ta_tx *tx;                 /* outlives the pipeline */
    uint32_t first_frame_id;
    uint64_t ntp_offset;       /* UQ32.32 to add to CLOCK_MONOTONIC; 0: no absolute capture time is sent */
    uint32_t stall_us;         /* without a picture; 0: two picture intervals */
    int priority;              /* real-time priority of the thread; 0: leave it */
} ta_hw_pipeline_config;

typedef struct ta_hw_pipeline_record { /* one access unit that was sent */
    uint32_t frame_id, sequence;
    uint64_t capture_us, dequeue_us, encode_in_us, encode_out_us;
    uint32_t size, packets;
    uint32_t skipped;          /* pictures of the camera without an access unit since the record before */
    bool key;
    ta_sent sent;              /* of the frame that had left last; first_send_us 0: none yet */
} ta_hw_pipeline_record;

typedef struct ta_hw_pipeline_stats {
    uint64_t captured, skipped; /* skipped: lost by the driver, passed over, or superseded while waiting */
    uint64_t superseded;        /* of these: pushed out by a newer one while waiting for the encoder */
    uint64_t corrupt, encoded, sent;
    uint64_t refused;           /* access units the pump did not take; each asks for a key frame */
    uint64_t encoder_skips;          /* pictures for which no access unit came in time */
    uint64_t late;              /* access units that came after all */
    uint64_t undecodable;              /* units nobody could decode, not sent */
    uint64_t keys, bytes_copied, records_lost;
    uint64_t last_picture_us;   /* when the newest picture was dequeued */
    uint32_t next_frame_id;
    uint32_t most_waiting, most_in_encoder; /* pictures kept from the driver at once, before and in the encoder */
} ta_hw_pipeline_stats;

typedef struct ta_hw_pipeline ta_hw_pipeline;

/* Opens both devices and starts the thread, which sends nothing until allowed. On failure `reason` says why; `device_failed`
 * tells which of them it was. */
typedef enum ta_hw_pipeline_part { TA_HW_PIPELINE_NONE, TA_HW_PIPELINE_CAPTURE, TA_HW_PIPELINE_ENCODER } ta_hw_pipeline_part;
ta_status ta_hw_pipeline_open(ta_hw_pipeline **out, const ta_hw_pipeline_config *config, char reason[TA_REASON_MAX], ta_hw_pipeline_part *failed);

/* From any thread. */
void ta_hw_pipeline_allow(ta_hw_pipeline *pipeline, bool allowed); /* while not allowed nothing is encoded; then a key frame comes first */
void ta_hw_pipeline_request_key(ta_hw_pipeline *pipeline);
void ta_hw_pipeline_set_bitrate(ta_hw_pipeline *pipeline, uint32_t bitrate_bps);
ta_hw_pipeline_state ta_hw_pipeline_state_get(ta_hw_pipeline *pipeline, char reason[TA_REASON_MAX], ta_hw_pipeline_part *failed);
void ta_hw_pipeline_stats_get(ta_hw_pipeline *pipeline, ta_hw_pipeline_stats *out);
size_t ta_hw_pipeline_records(ta_hw_pipeline *pipeline, ta_hw_pipeline_record *out, size_t capacity); /* oldest first */
/* The encoder's parameter sets, Annex B; 0 before its first key frame. */
size_t ta_hw_pipeline_parameter_sets(ta_hw_pipeline *pipeline, uint8_t out[TA_MAX_PARAMETER_SETS]);
/* A small picture of those since the call before, once; false: none yet, and one is asked for. */
bool ta_hw_pipeline_thumbnail(ta_hw_pipeline *pipeline, ta_thumbnail *out);
const ta_capture_format *ta_hw_pipeline_format(const ta_hw_pipeline *pipeline);
const char *ta_hw_pipeline_note(const ta_hw_pipeline *pipeline, size_t index); /* the encoder's and the thread's; NULL past the last */
/* Readable at each change of state, so once when the pictures cease and once when they come again, and at key frames, four
 * times a second at most: whoever watches is not woken by pictures. */
int ta_hw_pipeline_eventfd(const ta_hw_pipeline *pipeline);
void ta_hw_pipeline_clear_event(ta_hw_pipeline *pipeline); /* empties it */

/* Ends the thread, which closes both devices. False: a device does not return from a call; the thread is left to it. */
bool ta_hw_pipeline_stop(ta_hw_pipeline *pipeline);
void ta_hw_pipeline_close(ta_hw_pipeline **pipeline);

#endif
