/* H.264 (ITU-T H.264): Annex B byte streams, parameter sets, slice headers. */
#ifndef THINAIR_H264_H
#define THINAIR_H264_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thinair/status.h"

enum { TA_NAL_SLICE = 1, TA_NAL_IDR = 5, TA_NAL_SEI = 6, TA_NAL_SPS = 7, TA_NAL_PPS = 8, TA_NAL_AUD = 9 };
enum {
    TA_MAX_DIMENSION = 8192, /* luma samples, both directions */
    TA_MAX_NALS = 512,       /* NAL units of an access unit */
    TA_MAX_SPS = 8192,       /* bytes of a rewritten SPS */
    TA_MAX_PARAMETER_SETS = 2048,
};

/* ---- Annex B ---- */

typedef struct ta_nal {
    size_t offset; /* of the NAL header byte in the buffer */
    size_t size;   /* without trailing zero bytes */
} ta_nal;

/* Returns the offset of the next start code 00 00 01 at or after `from`, or `size` if there is none. */
size_t ta_annexb_find(const uint8_t *data, size_t size, size_t from);

/* Splits a byte stream into NAL units. Returns how many there are; writes the first `capacity` of them to `nals`. */
size_t ta_annexb_split(const uint8_t *data, size_t size, ta_nal *nals, size_t capacity);

/* ---- parameter sets and slice headers (7.3.2.1, 7.3.2.2, 7.3.3, E.1) ---- */

typedef struct ta_sps {
    uint32_t profile_idc, constraint_flags, level_idc, sps_id;
    uint32_t chroma_format_idc, bit_depth_luma, bit_depth_chroma;
    uint32_t width, height; /* after cropping, luma samples */
    uint32_t num_ref_frames;
    bool frame_mbs_only, vui_present;
    bool video_full_range;
    uint32_t colour_primaries, transfer, matrix; /* 2: unspecified */
    uint32_t num_units_in_tick, time_scale;      /* 0: absent */
    bool bitstream_restriction;
    uint32_t max_num_reorder_frames, max_dec_frame_buffering; /* valid with bitstream_restriction */
} ta_sps;

typedef struct ta_pps {
    uint32_t pps_id, sps_id;
    bool cabac;
} ta_pps;

/* Parse one NAL unit, from its header byte on, emulation prevention bytes included.
 * TA_EBITSTREAM: not a valid SPS, PPS or slice; `out` is then undefined. */
ta_status ta_sps_parse(const uint8_t *nal, size_t size, ta_sps *out);
ta_status ta_pps_parse(const uint8_t *nal, size_t size, ta_pps *out);
ta_status ta_slice_first_mb(const uint8_t *nal, size_t size, uint32_t *first_mb); /* NAL unit types 1 and 5 */

/* Rewrites an SPS so that a decoder need not wait for reordered pictures: VUI bitstream_restriction with
 * max_num_reorder_frames 0 and the smallest legal max_dec_frame_buffering (max_num_ref_frames; E.2.1). All other fields
 * keep their bits; an SPS that says so already is copied. Only for streams without reordering, which the caller
 * ensures. TA_ETOOBIG: `capacity` is too small (TA_MAX_SPS always suffices). */
ta_status ta_sps_rewrite(const uint8_t *nal, size_t size, uint8_t *out, size_t capacity, size_t *out_size);

/* Rewrites an SPS with a VUI that signals BT.709 or else SMPTE 170M (BT.601), and the range. Errors as above. */
ta_status ta_sps_colour(const uint8_t *nal, size_t size, bool bt709, bool full_range, uint8_t *out, size_t capacity,
                        size_t *out_size);

/* Copies an access unit to `out` with every SPS rewritten by ta_sps_rewrite. `out` NULL: only computes *out_size.
 * *changed: number of SPS that differ. TA_EBITSTREAM: an SPS is invalid. TA_ETOOBIG: `capacity` is too small. */
ta_status ta_au_rewrite(const uint8_t *au, size_t size, uint8_t *out, size_t capacity, size_t *out_size,
                        size_t *changed);

/* ---- parameter sets of an encoder ---- */

typedef enum ta_unit_kind {
    TA_UNIT_UNDECODABLE,    /* no slice and no parameter set, or a key frame without parameter sets */
    TA_UNIT_PARAMETER_SETS, /* parameter sets alone: stored, not to be sent */
    TA_UNIT_PICTURE,
    TA_UNIT_KEY,
} ta_unit_kind;

typedef struct ta_parameter_sets { /* an encoder's newest, rewritten; starts zeroed */
    uint8_t data[TA_MAX_PARAMETER_SETS];
    size_t size;
    bool colour, bt709, full_range; /* colour: write bt709 and full_range into the SPS */
} ta_parameter_sets;

/* Classifies a coded unit and prepares what to send of it, *sent and *sent_size:
 * - key frame: written to `out`, with its parameter sets, or else the stored ones, in front of it;
 * - other picture: points to `au` itself.
 * `kept` stores the unit's parameter sets. `out` needs size + TA_MAX_PARAMETER_SETS bytes. */
ta_unit_kind ta_parameter_sets_apply(ta_parameter_sets *kept, const uint8_t *au, size_t size, uint8_t *out,
                                     size_t capacity, const uint8_t **sent, size_t *sent_size);

#endif
