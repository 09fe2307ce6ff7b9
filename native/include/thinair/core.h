/* thinair core: sans-IO pieces. No syscalls, no clock, no allocation after open. Not thread-safe: one owner each. */
#ifndef THINAIR_CORE_H
#define THINAIR_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ta_status {
    TA_OK = 0,
    TA_AGAIN,      /* nothing to hand out now */
    TA_EINVAL,     /* a caller's argument is wrong */
    TA_ENOMEM,
    TA_ETOOBIG,    /* does not fit a stated bound */
    TA_EBITSTREAM, /* bytes do not follow their syntax */
    TA_ESYS,       /* see errno */
} ta_status;

const char *ta_status_text(ta_status status);

/* Why a datagram or a frame was not used. Names for people and JSON: ta_drop_name(). */
typedef enum ta_drop {
    TA_DROP_SHORT = 0,  /* shorter than its headers */
    TA_DROP_VERSION,    /* RTP version is not 2 */
    TA_DROP_PADDING,    /* padding count lies */
    TA_DROP_EXTENSION,  /* header extension or CSRC count lies */
    TA_DROP_PAYLOAD_TYPE,
    TA_DROP_SSRC,
    TA_DROP_ADDRESS,    /* from a peer that has no session */
    TA_DROP_DUPLICATE,  /* packet held already */
    TA_DROP_LATE,       /* its frame is decided already */
    TA_DROP_SEQUENCE,   /* far outside the window (a jump), or inside another frame's numbers */
    TA_DROP_OVERSIZE,   /* packet, frame or access unit above its bound */
    TA_DROP_ELEMENT,    /* frame element missing or contradicting itself */
    TA_DROP_STAP,       /* STAP-A with lying lengths */
    TA_DROP_FU,         /* FU-A without start, with S and E, or with a gap */
    TA_DROP_NAL,        /* NAL unit type outside RFC 6184 mode 1 */
    TA_DROP_INCOMPLETE, /* frames: given up with packets missing */
    TA_DROP_QUEUE_FULL, /* frames: completed, but nobody took them in time */
    TA_DROP_CONTROL,    /* control message refused: malformed or queue full */
    TA_DROP_REPAIR,     /* repair packet that is impossible, or does not fit what is known of its frame */
    TA_DROP_AUTH,       /* not sealed with the session's keys */
    TA_DROP_REPLAY,     /* sealed, but it has come before, or is too old to tell */
    TA_DROP_COUNT
} ta_drop;

const char *ta_drop_name(ta_drop reason);

/* ---- Annex B (ITU-T H.264 Annex B) ------------------------------------------------------------------ */

typedef struct ta_nal {
    size_t offset; /* of the NAL header byte in the buffer */
    size_t size;   /* without trailing zero bytes */
} ta_nal;

/* Offset of the next 00 00 01 at or after `from`, or `size` where there is none. */
size_t ta_annexb_find(const uint8_t *data, size_t size, size_t from);

/* Splits `data` into NAL units. Returns how many there are; at most `capacity` are written to `nals`. */
size_t ta_annexb_split(const uint8_t *data, size_t size, ta_nal *nals, size_t capacity);

/* ---- H.264 headers (ITU-T H.264 7.3.2.1, 7.3.2.2, 7.3.3, E.1) ----------------------------------------- */

enum { TA_NAL_SLICE = 1, TA_NAL_IDR = 5, TA_NAL_SEI = 6, TA_NAL_SPS = 7, TA_NAL_PPS = 8, TA_NAL_AUD = 9 };
enum { TA_MAX_DIMENSION = 8192, TA_MAX_NALS = 512 };

typedef struct ta_sps {
    uint32_t profile_idc, constraint_flags, level_idc, sps_id;
    uint32_t chroma_format_idc, bit_depth_luma, bit_depth_chroma;
    uint32_t width, height; /* after cropping, luma samples */
    uint32_t num_ref_frames;
    bool frame_mbs_only, vui_present;
    bool video_full_range;
    uint32_t colour_primaries, transfer, matrix; /* 2 where unspecified */
    uint32_t num_units_in_tick, time_scale;      /* 0 where absent */
    bool bitstream_restriction;
    uint32_t max_num_reorder_frames, max_dec_frame_buffering; /* valid with bitstream_restriction */
} ta_sps;

typedef struct ta_pps {
    uint32_t pps_id, sps_id;
    bool cabac;
} ta_pps;

/* `nal` begins at the NAL header byte, emulation prevention still in it. TA_EBITSTREAM or TA_OK. */
ta_status ta_sps_parse(const uint8_t *nal, size_t size, ta_sps *out);
ta_status ta_pps_parse(const uint8_t *nal, size_t size, ta_pps *out);

/* Writes the SPS again with VUI bitstream_restriction saying max_num_reorder_frames 0 and the smallest lawful
 * max_dec_frame_buffering (= max_num_ref_frames; E.2.1). All other fields stay bit for bit. An SPS that says so already is
 * copied. For streams without reordering only: the caller knows its encoder. TA_ETOOBIG where `capacity` is short. */
ta_status ta_sps_rewrite(const uint8_t *nal, size_t size, uint8_t *out, size_t capacity, size_t *out_size);

/* Writes the SPS again with a VUI that says BT.709, or SMPTE 170M (BT.601), and the range. Other fields stay bit for bit. */
ta_status ta_sps_colour(const uint8_t *nal, size_t size, bool bt709, bool full_range, uint8_t *out, size_t capacity,
                        size_t *out_size);

/* first_mb_in_slice of a slice NAL unit (types 1, 5). */
ta_status ta_slice_first_mb(const uint8_t *nal, size_t size, uint32_t *first_mb);

enum { TA_MAX_SPS = 8192, TA_MAX_PARAMETER_SETS = 2048 };

/* Copies a unit with every SPS rewritten to `out`, or only measures without one. `changed` counts the SPS that differ. */
ta_status ta_au_rewrite(const uint8_t *au, size_t size, uint8_t *out, size_t capacity, size_t *out_size, size_t *changed);

typedef enum ta_unit_kind {
    TA_UNIT_UNDECODABLE,            /* no picture anybody could decode */
    TA_UNIT_PARAMETER_SETS,         /* parameter sets alone: kept, not to be sent */
    TA_UNIT_PICTURE,
    TA_UNIT_KEY,
} ta_unit_kind;

typedef struct ta_parameter_sets {  /* an encoder's newest parameter sets, rewritten; begin with all zero */
    uint8_t data[TA_MAX_PARAMETER_SETS];
    size_t size;
    bool colour, bt709, full_range; /* colour: the SPS is to say the other two */
} ta_parameter_sets;

/* What a coded unit is, and what to send of it. A key frame is written to `out` with its parameter sets, rewritten, before
 * it: its own, or those kept from before. Other pictures are sent as they are. */
ta_unit_kind ta_parameter_sets_apply(ta_parameter_sets *kept, const uint8_t *au, size_t size, uint8_t *out, size_t capacity,
                              const uint8_t **sent, size_t *sent_size);

/* ---- RTP (RFC 3550, RFC 6184, RFC 8285; layout in docs/wire-protocol.md) ---------------------------------- */

enum {
    TA_RTP_HEADER = 12,
    TA_MAX_PACKET = 1472,          /* UDP payload over Ethernet and WiFi */
    TA_MIN_PACKET = 200,
    TA_MAX_FRAME_PACKETS = 1024,   /* a power of two: packets are filed by seq modulo this */
    TA_DELTA_UNKNOWN = 0xffffff,   /* 24-bit stage delta not known */
};

/* Stage stamps of one frame, microseconds on the sender's monotonic clock; 0 = unknown. */
typedef struct ta_stamps {
    uint64_t capture_us, dequeue_us, encode_in_us, encode_out_us;
} ta_stamps;

typedef struct ta_sent { /* of an earlier frame, told in a later frame's element */
    uint32_t frame_id;
    uint64_t capture_us;     /* of that frame; the wire carries send stamps as deltas to it. Sender only */
    uint64_t first_send_us, last_send_us; /* sender: absolute. Receiver: see ta_au_info */
} ta_sent;

typedef struct ta_frame_meta {
    uint32_t frame_id;
    uint32_t rtp_time;       /* 90 kHz */
    uint64_t capture_ntp;    /* UQ32.32, abs-capture-time; 0 = leave the element out */
    bool key;                /* IDR */
    uint8_t proactive;         /* repair symbols of each block that follow without a request */
    ta_stamps stamps;
    ta_sent sent;            /* first_send_us 0 = leave out */
} ta_frame_meta;

typedef struct ta_packetizer_config {
    uint8_t payload_type;
    uint32_t ssrc;
    uint16_t first_seq;
    size_t max_packet;       /* whole RTP packet, bytes: TA_MIN_PACKET..TA_MAX_PACKET */
    bool elements;           /* false: plain RFC 6184, no header extension */
} ta_packetizer_config;

typedef struct ta_packetizer ta_packetizer;

ta_status ta_packetizer_open(ta_packetizer **out, const ta_packetizer_config *config);
/* Plans one access unit (Annex B). `au` must stay valid until drained. TA_ETOOBIG: over TA_MAX_NALS NAL units or
 * TA_MAX_FRAME_PACKETS packets. TA_EBITSTREAM: no NAL unit. TA_EINVAL: the unit before is not drained. An AUD is not sent
 * (RFC 6184 leaves it optional; the marker says the same). */
ta_status ta_packetizer_push(ta_packetizer *p, const uint8_t *au, size_t size, const ta_frame_meta *meta);
size_t ta_packetizer_count(const ta_packetizer *p); /* packets of the planned unit */
void ta_packetizer_set_proactive(ta_packetizer *p, uint8_t proactive); /* of the planned unit, known by its count */
ta_status ta_packetizer_next(ta_packetizer *p, uint8_t *out, size_t capacity, size_t *size); /* TA_AGAIN: drained */
void ta_packetizer_close(ta_packetizer **p);

typedef struct ta_rtp {      /* a parsed RTP packet; pointers into the datagram */
    uint8_t payload_type;
    bool marker;
    uint16_t seq;
    uint32_t time, ssrc;
    const uint8_t *payload;
    size_t payload_size;
    bool has_element;        /* a frame element that does not contradict itself */
    uint32_t frame_id;
    uint16_t index, count;
    bool key;
    uint8_t proactive;         /* repair symbols of each block that are sent without a request */
    bool has_stamps;
    ta_stamps stamps;        /* absolute, peer clock */
    bool has_sent;
    uint16_t sent_frame_id;  /* low 16 bits */
    uint32_t sent_first_delta, sent_last_delta; /* from that frame's capture; TA_DELTA_UNKNOWN */
    uint64_t capture_ntp;
} ta_rtp;

/* Checks every count against the size. On refusal returns TA_EBITSTREAM and says why. */
ta_status ta_rtp_parse(const uint8_t *data, size_t size, ta_rtp *out, ta_drop *why);

/* ---- Reassembly: packets in, access units out ------------------------------------------------------------- */

enum { TA_AU_KEY = 1, TA_AU_GAP = 2 /* a frame before this one was lost */, TA_AU_SPS = 4 /* carries an SPS */ };

typedef struct ta_au_info {
    uint64_t frame_id;       /* extended to 64 bits; in plain modes counted from 0 */
    uint64_t rtp_time;       /* extended to 64 bits */
    uint32_t size;           /* bytes of Annex B */
    uint32_t flags;          /* TA_AU_* */
    uint32_t lost_before;    /* frames given up since the access unit before */
    uint16_t first_seq;
    uint16_t packets;
    uint64_t first_us, last_us; /* arrival of the first and of the completing packet, local clock */
    uint64_t unrepaired_us;  /* arrival of the last packet sent unasked; last_us where nothing was asked for */
    bool repaired;           /* packets were restored from symbols */
    ta_stamps stamps;        /* peer clock, 0 = unknown */
    uint64_t capture_ntp;
    bool has_sent;           /* send stamps of an earlier frame */
    uint16_t sent_frame_id;
    uint32_t sent_first_delta, sent_last_delta;
} ta_au_info;

typedef struct ta_reassembler_config {
    uint8_t payload_type;
    bool elements;           /* frames by the project's element and count; else by marker and sequence */
    uint32_t window_frames;  /* frames held at once, 2..32 */
    uint32_t reorder_us;     /* how long a complete frame waits for an incomplete one before it; not with repair */
    size_t max_au;           /* bytes */
    uint32_t repair_timeout_us;    /* elements: repair and requests (thinair/recovery.h) for this long after a frame's first packet,
                              * then it is given up; 1.5 intervals and more once those are told. 0: no repair */
} ta_reassembler_config;

typedef struct ta_reassembler ta_reassembler;

ta_status ta_reassembler_open(ta_reassembler **out, const ta_reassembler_config *config);
/* Takes one RTP datagram (copied). Never fails: what is refused is counted. */
void ta_reassembler_push(ta_reassembler *r, const uint8_t *data, size_t size, uint64_t arrival_us);
/* Writes the next access unit, in decoding order. A frame with all packets is handed out at once unless an earlier one
 * is still incomplete and not yet older than reorder_us. */
ta_status ta_reassembler_next(ta_reassembler *r, uint64_t now_us, uint8_t *out, size_t capacity, ta_au_info *info);
uint64_t ta_reassembler_deadline(const ta_reassembler *r); /* when next() may yield without a push; UINT64_MAX: never */
void ta_reassembler_reset(ta_reassembler *r);              /* new peer: forget frames, keep counters */
const uint64_t *ta_reassembler_drops(const ta_reassembler *r); /* TA_DROP_COUNT counters */
void ta_reassembler_close(ta_reassembler **r);

/* ---- Raw Annex B byte stream (the origin's yavta | socat) → access units ------------------------------------- */

typedef struct ta_annexb_stream_config {
    size_t max_au;
    uint32_t quiet_us;       /* 0: off. A datagram shorter than the longest seen, then this long nothing: the unit is whole */
} ta_annexb_stream_config;

typedef struct ta_annexb_stream ta_annexb_stream;

ta_status ta_annexb_stream_open(ta_annexb_stream **out, const ta_annexb_stream_config *config);
/* Takes the next datagram of the stream (any cut). A unit ends where an AUD, SPS, PPS or SEI follows a slice, where a slice
 * with first_mb 0 follows a slice, or by quiet_us. */
void ta_annexb_stream_push(ta_annexb_stream *s, const uint8_t *data, size_t size, uint64_t arrival_us);
ta_status ta_annexb_stream_next(ta_annexb_stream *s, uint64_t now_us, uint8_t *out, size_t capacity, ta_au_info *info);
uint64_t ta_annexb_stream_deadline(const ta_annexb_stream *s);
void ta_annexb_stream_reset(ta_annexb_stream *s);                    /* new peer: forget bytes, keep counters */
const uint64_t *ta_annexb_stream_drops(const ta_annexb_stream *s);
void ta_annexb_stream_close(ta_annexb_stream **s);

/* ---- Pictures ------------------------------------------------------------------------------------------------ */

typedef struct ta_picture { /* 8-bit 4:2:0, three planes */
    const uint8_t *y, *u, *v;
    ptrdiff_t y_stride, u_stride, v_stride;
    uint32_t width, height; /* luma */
    bool bt709;             /* else BT.601 */
    bool full_range;        /* else 16..235 */
} ta_picture;

/* I420 → BGRX (bytes B, G, R, 0xff) of the same size. Rows `from`..`to` only, both even or the last row. */
void ta_i420_to_bgrx(const ta_picture *in, uint8_t *out, ptrdiff_t out_stride, uint32_t from, uint32_t to);

/* Blends white text by an 8-bit mask over a darkened box into BGRX, clipped to the image. */
typedef struct ta_overlay {
    const uint8_t *mask;    /* width x height coverage */
    uint32_t width, height;
    int32_t x, y;
    uint8_t dim;            /* what the ground is multiplied by, of 255 */
} ta_overlay;
void ta_overlay_blend(uint8_t *bgrx, ptrdiff_t stride, uint32_t width, uint32_t height, const ta_overlay *overlay);
/* Draws a frame of `thickness` pixels in colour 0xRRGGBB inside the rectangle. */
void ta_border(uint8_t *bgrx, ptrdiff_t stride, uint32_t width, uint32_t height, uint32_t thickness, uint32_t rgb);

typedef enum ta_raw_layout { TA_RAW_UYVY, TA_RAW_YUYV, TA_RAW_NV12 } ta_raw_layout;
enum { TA_MAX_RAW_STRIDE = 65536 };

typedef struct ta_raw_picture { /* one buffer; NV12's chroma begins at stride * height */
    ta_raw_layout layout;
    uint32_t width, height;     /* 1..TA_MAX_DIMENSION; odd ones too */
    size_t stride;              /* bytes from line to line */
    const uint8_t *data;
    size_t size;
} ta_raw_picture;

typedef struct ta_i420 {        /* where to; chroma planes of half size, rounded up */
    uint8_t *y, *u, *v;
    size_t y_stride, u_stride, v_stride, y_size, u_size, v_size;
} ta_i420;

/* Raw picture → I420; 4:2:2 chroma of two lines is averaged, rounded up. TA_EINVAL: a size or stride that does not hold the
 * picture; nothing is written then. */
ta_status ta_raw_to_i420(const ta_raw_picture *in, const ta_i420 *out);

enum { TA_THUMBNAIL_WIDTH = 320, TA_THUMBNAIL_HEIGHT = 320 };

typedef struct ta_thumbnail {   /* I420 without gaps, chroma after luma; even sizes */
    uint32_t width, height;
    uint8_t data[TA_THUMBNAIL_WIDTH * TA_THUMBNAIL_HEIGHT * 3 / 2];
} ta_thumbnail;

/* Every n-th sample of a picture of 4 x 4 or more: few reads, for a camera's buffers are not cached. TA_EINVAL as above. */
ta_status ta_raw_thumbnail(const ta_raw_picture *in, ta_thumbnail *out);

/* ---- The visual code in a picture (layout: sender/visualcode.py) ------------------------------------------------ */

typedef struct ta_code {
    uint16_t frame_id;
    uint32_t time_us;
} ta_code;

typedef struct ta_code_place { /* byte offsets of the first cell's centre of both rows */
    size_t row[2];
} ta_code_place;

/* Reads the brightness at the 34 cell centres of both rows, `step` bytes apart. False: no code, or its check fails. */
bool ta_code_read(const uint8_t *pixels, const ta_code_place *place, size_t step, ta_code *out);

#endif
