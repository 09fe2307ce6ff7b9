/* The hardware pipeline: capture, encoder and sending pump in one C thread, from the camera's picture to packets
 * without Python. */
#ifndef THINAIR_HW_PIPELINE_H
#define THINAIR_HW_PIPELINE_H

#include "thinair/capture.h"
#include "thinair/encoder.h"
#include "thinair/h264.h"
#include "thinair/picture.h"
#include "thinair/tx.h"

enum { TA_HW_PIPELINE_RECORDS = 512 }; /* kept until they are taken; the oldest are overwritten and counted */

typedef enum ta_hw_pipeline_state {
    TA_HW_PIPELINE_STARTING = 0, /* no picture yet */
    TA_HW_PIPELINE_LIVE,
    TA_HW_PIPELINE_STALLED, /* the capture delivers no pictures; returns to LIVE by itself */
    TA_HW_PIPELINE_FAILED,  /* the thread has ended and closed both devices; see the reason */
} ta_hw_pipeline_state;

typedef enum ta_hw_pipeline_part {
    TA_HW_PIPELINE_NONE,
    TA_HW_PIPELINE_CAPTURE,
    TA_HW_PIPELINE_ENCODER,
} ta_hw_pipeline_part;

typedef struct ta_hw_pipeline_config {
    ta_capture_config capture;
    ta_encoder_config encoder; /* size, format, stride and number of buffers are taken from the capture */
    ta_status (*open_encoder)(ta_encoder **, const ta_encoder_config *, char reason[TA_REASON_MAX]);
    ta_tx *tx; /* must outlive the pipeline */
    uint32_t first_frame_id;
    uint64_t ntp_offset; /* UQ32.32 to add to CLOCK_MONOTONIC; 0: no absolute capture time is sent */
    uint32_t stall_us;   /* without a picture; 0: two picture intervals */
    int priority;        /* SCHED_FIFO priority of the thread; 0: none */
} ta_hw_pipeline_config;

typedef struct ta_hw_pipeline_record { /* one access unit that was sent */
    uint32_t frame_id, sequence;
    uint64_t capture_us, dequeue_us, encode_in_us, encode_out_us;
    uint32_t size, packets;
    uint32_t skipped; /* the camera's pictures without an access unit since the previous record */
    bool key;
    ta_sent sent; /* as ta_tx_sent; first_send_us 0: none yet */
} ta_hw_pipeline_record;

typedef struct ta_hw_pipeline_stats {
    uint64_t captured;
    uint64_t skipped;    /* lost by the driver, passed over, superseded, or not encoded because of TA_SKIP */
    uint64_t superseded; /* replaced by a newer one while waiting for the encoder */
    uint64_t corrupt, encoded, sent;
    uint64_t refused;       /* access units that the pump refused; each triggers a key frame */
    uint64_t encoder_skips; /* pictures for which no access unit came in time */
    uint64_t late;          /* access units that came after all */
    uint64_t undecodable;   /* units not sent, because no decoder could use them */
    uint64_t keys, bytes_copied;
    uint64_t records_lost;    /* overwritten before they were taken */
    uint64_t last_picture_us; /* when the newest picture was dequeued */
    uint32_t next_frame_id;
    uint32_t most_waiting, most_in_encoder; /* most buffers at once: before the encoder, and in it */
} ta_hw_pipeline_stats;

typedef struct ta_hw_pipeline ta_hw_pipeline;

/* Opens both devices and starts the thread, which sends nothing until ta_hw_pipeline_allow. On failure `reason` is a
 * sentence and *failed says which device. Errors as ta_capture_open and ta_m2m_open. */
ta_status ta_hw_pipeline_open(ta_hw_pipeline **out, const ta_hw_pipeline_config *config, char reason[TA_REASON_MAX],
                              ta_hw_pipeline_part *failed);

/* All calls below: from any thread. */

/* While not allowed, nothing is encoded. Then a key frame comes first. */
void ta_hw_pipeline_allow(ta_hw_pipeline *pipeline, bool allowed);
void ta_hw_pipeline_request_key(ta_hw_pipeline *pipeline);
void ta_hw_pipeline_set_bitrate(ta_hw_pipeline *pipeline, uint32_t bitrate_bps);
/* Returns the state; after FAILED, `reason` is a sentence and *failed says which device. */
ta_hw_pipeline_state ta_hw_pipeline_state_get(ta_hw_pipeline *pipeline, char reason[TA_REASON_MAX],
                                              ta_hw_pipeline_part *failed);
void ta_hw_pipeline_stats_get(ta_hw_pipeline *pipeline, ta_hw_pipeline_stats *out);
/* Takes records, oldest first; returns how many. */
size_t ta_hw_pipeline_records(ta_hw_pipeline *pipeline, ta_hw_pipeline_record *out, size_t capacity);
/* Writes the encoder's parameter sets, Annex B; returns their size, 0 before the first key frame. */
size_t ta_hw_pipeline_parameter_sets(ta_hw_pipeline *pipeline, uint8_t out[TA_MAX_PARAMETER_SETS]);
/* Takes a thumbnail made since the previous call. Returns false if there is none yet; one is then made of the next
 * picture. */
bool ta_hw_pipeline_thumbnail(ta_hw_pipeline *pipeline, ta_thumbnail *out);
/* Returns the capture's format, valid until close. */
const ta_capture_format *ta_hw_pipeline_format(const ta_hw_pipeline *pipeline);
/* Returns a note of the encoder or the thread, valid until close; NULL past the last. */
const char *ta_hw_pipeline_note(const ta_hw_pipeline *pipeline, size_t index);
/* Returns a descriptor for poll, readable at each change of state, and at key frames at most four times a second.
 * Single pictures wake nobody. */
int ta_hw_pipeline_eventfd(const ta_hw_pipeline *pipeline);
/* Clears that descriptor. */
void ta_hw_pipeline_clear_event(ta_hw_pipeline *pipeline);

/* Ends the thread, which closes both devices. Returns false if a device does not return from a call; the thread then
 * frees everything if it ever returns. */
bool ta_hw_pipeline_stop(ta_hw_pipeline *pipeline);
void ta_hw_pipeline_close(ta_hw_pipeline **pipeline);

#endif
