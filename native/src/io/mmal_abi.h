/* The part of MMAL's binary interface that the encoder uses, declared from its published layout and numbers: Raspberry
 * Pi's library is loaded at run time, without its headers. tests/unit/test_mmal_abi.py compares every number with
 * picamera's independent copy. Freestanding, so that any compiler can print its layout. */
#ifndef THINAIR_IO_MMAL_ABI_H
#define THINAIR_IO_MMAL_ABI_H

#include <stddef.h>
#include <stdint.h>

#define TA_MMAL_FOURCC(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

enum ta_mmal_status {
    TA_MMAL_SUCCESS = 0,
    TA_MMAL_EIO = 7,
};

enum ta_mmal_parameter {
    TA_MMAL_ZERO_COPY = 0x00004,
    TA_MMAL_PROFILE = 0x20002,
    TA_MMAL_INTRAPERIOD = 0x20003,
    TA_MMAL_RATECONTROL = 0x20004,
    TA_MMAL_REQUEST_I_FRAME = 0x2000b,
    TA_MMAL_INTRA_REFRESH = 0x2000c,
    TA_MMAL_IMMUTABLE_INPUT = 0x2000d,
    TA_MMAL_BIT_RATE = 0x2000e,
    TA_MMAL_MIN_QUANT = 0x20010,
    TA_MMAL_MAX_QUANT = 0x20011,
    TA_MMAL_LOW_LATENCY = 0x2001d,
    TA_MMAL_INLINE_HEADER = 0x2002a,
    TA_MMAL_SPS_TIMING = 0x20030,
};

enum ta_mmal_value {
    TA_MMAL_ES_TYPE_VIDEO = 3,
    TA_MMAL_PROFILE_H264_HIGH = 28,
    TA_MMAL_LEVEL_H264_4 = 28,
    TA_MMAL_LEVEL_H264_42 = 30,
    TA_MMAL_RATECONTROL_CONSTANT = 2,
    TA_MMAL_INTRA_REFRESH_CYCLIC_MROWS = 0x7f000001, /* picamera's copy is one too low here */
};

enum ta_mmal_flag { /* of a buffer header */
                    TA_MMAL_FLAG_FRAME_END = 1 << 2,
                    TA_MMAL_FLAG_KEYFRAME = 1 << 3,
                    TA_MMAL_FLAG_CONFIG = 1 << 5,
                    TA_MMAL_FLAG_CODECSIDEINFO = 1 << 7,
                    TA_MMAL_FLAG_CORRUPTED = 1 << 9,
                    TA_MMAL_FLAG_TRANSMISSION_FAILED = 1 << 10,
};

#define TA_MMAL_TIME_UNKNOWN INT64_MIN
#define TA_MMAL_EVENT_ERROR TA_MMAL_FOURCC('E', 'R', 'R', 'O')
#define TA_MMAL_ENCODING_H264 TA_MMAL_FOURCC('H', '2', '6', '4')
#define TA_MMAL_ENCODING_I420 TA_MMAL_FOURCC('I', '4', '2', '0')
#define TA_MMAL_ENCODING_NV12 TA_MMAL_FOURCC('N', 'V', '1', '2')
#define TA_MMAL_ENCODING_UYVY TA_MMAL_FOURCC('U', 'Y', 'V', 'Y')
#define TA_MMAL_ENCODING_YUYV TA_MMAL_FOURCC('Y', 'U', 'Y', 'V')

typedef struct ta_mmal_rect {
    int32_t x, y, width, height;
} ta_mmal_rect;

typedef struct ta_mmal_rational {
    int32_t num, den;
} ta_mmal_rational;

typedef struct ta_mmal_video_format {
    uint32_t width, height; /* with padding; the picture itself is `crop` */
    ta_mmal_rect crop;
    ta_mmal_rational frame_rate, par;
    uint32_t color_space;
} ta_mmal_video_format;

typedef struct ta_mmal_es_format {
    uint32_t type, encoding, encoding_variant;
    ta_mmal_video_format *es; /* a union of video, audio and subpicture */
    uint32_t bitrate, flags, extradata_size;
    uint8_t *extradata;
} ta_mmal_es_format;

typedef struct ta_mmal_buffer ta_mmal_buffer;
struct ta_mmal_buffer { /* "buffer header" */
    ta_mmal_buffer *next;
    void *priv;
    uint32_t cmd; /* 0: stream data; else an event's name */
    uint8_t *data;
    uint32_t alloc_size, length, offset, flags;
    int64_t pts, dts; /* us */
    void *type;
    void *user_data;
};

typedef struct ta_mmal_component ta_mmal_component;

typedef struct ta_mmal_port {
    void *priv;
    const char *name;
    uint32_t type;
    uint16_t index, index_all;
    uint32_t is_enabled;
    ta_mmal_es_format *format; /* filled in place, never replaced */
    uint32_t buffer_num_min, buffer_size_min, buffer_alignment_min, buffer_num_recommended, buffer_size_recommended;
    uint32_t buffer_num, buffer_size; /* overwritten by a format commit */
    ta_mmal_component *component;
    void *userdata;
    uint32_t capabilities;
} ta_mmal_port;

struct ta_mmal_component {
    void *priv;
    void *userdata;
    const char *name;
    uint32_t is_enabled;
    ta_mmal_port *control;
    uint32_t input_num;
    ta_mmal_port **input;
    uint32_t output_num;
    ta_mmal_port **output;
    uint32_t clock_num;
    ta_mmal_port **clock;
    uint32_t port_num;
    ta_mmal_port **port;
    uint32_t id;
};

typedef struct ta_mmal_pool {
    void *queue;
    uint32_t headers_num;
    ta_mmal_buffer **header;
} ta_mmal_pool;

typedef struct ta_mmal_header {
    uint32_t id, size;
} ta_mmal_header;

typedef struct ta_mmal_uint32 { /* also BOOLEAN and RATECONTROL */
    ta_mmal_header hdr;
    uint32_t value;
} ta_mmal_uint32;

typedef struct ta_mmal_profile {
    ta_mmal_header hdr;
    uint32_t profile, level;
} ta_mmal_profile;

typedef struct ta_mmal_intra_refresh {
    ta_mmal_header hdr;
    uint32_t refresh_mode, air_mbs, air_ref, cir_mbs, pir_mbs;
} ta_mmal_intra_refresh;

typedef void (*ta_mmal_callback)(ta_mmal_port *, ta_mmal_buffer *);

/* MMAL_STATUS_T is an int-sized enum. X(result, name without mmal_, parameters) */
#define TA_MMAL_CALLS(X)                                                 \
    X(int, component_create, (const char *, ta_mmal_component **))       \
    X(int, component_destroy, (ta_mmal_component *))                     \
    X(int, component_enable, (ta_mmal_component *))                      \
    X(int, component_disable, (ta_mmal_component *))                     \
    X(int, port_format_commit, (ta_mmal_port *))                         \
    X(int, port_enable, (ta_mmal_port *, ta_mmal_callback))              \
    X(int, port_disable, (ta_mmal_port *))                               \
    X(int, port_parameter_set, (ta_mmal_port *, const ta_mmal_header *)) \
    X(int, port_parameter_get, (ta_mmal_port *, ta_mmal_header *))       \
    X(int, port_send_buffer, (ta_mmal_port *, ta_mmal_buffer *))         \
    X(ta_mmal_pool *, pool_create, (unsigned, uint32_t))                 \
    X(void, pool_destroy, (ta_mmal_pool *))                              \
    X(ta_mmal_buffer *, queue_get, (void *))                             \
    X(void, buffer_header_release, (ta_mmal_buffer *))

/* Functions of libvcsm, for the zero-copy import. */
#define TA_VCSM_CALLS(X)                            \
    X(int, init, (void))                            \
    X(void, exit, (void))                           \
    X(unsigned, import_dmabuf, (int, const char *)) \
    X(unsigned, vc_hdl_from_hdl, (unsigned))        \
    X(void, free, (unsigned))

/* Size and offsets as the published headers compile: 64-bit, and 32-bit ARM (int64_t aligned to 8). */
#define TA_ABI_SIZE(type, wide, narrow) \
    _Static_assert(sizeof(type) == (sizeof(void *) == 8 ? (wide) : (narrow)), "size of " #type)
#define TA_ABI_AT(type, member, wide, narrow) \
    _Static_assert(offsetof(type, member) == (sizeof(void *) == 8 ? (wide) : (narrow)), #type "." #member)
TA_ABI_SIZE(ta_mmal_component, 112, 56);
TA_ABI_AT(ta_mmal_component, control, 32, 16);
TA_ABI_AT(ta_mmal_component, input_num, 40, 20);
TA_ABI_AT(ta_mmal_component, input, 48, 24);
TA_ABI_AT(ta_mmal_component, output_num, 56, 28);
TA_ABI_AT(ta_mmal_component, output, 64, 32);
TA_ABI_SIZE(ta_mmal_port, 96, 64);
TA_ABI_AT(ta_mmal_port, is_enabled, 24, 16);
TA_ABI_AT(ta_mmal_port, format, 32, 20);
TA_ABI_AT(ta_mmal_port, buffer_num_min, 40, 24);
TA_ABI_AT(ta_mmal_port, buffer_size_recommended, 56, 40);
TA_ABI_AT(ta_mmal_port, buffer_num, 60, 44);
TA_ABI_AT(ta_mmal_port, buffer_size, 64, 48);
TA_ABI_AT(ta_mmal_port, userdata, 80, 56);
TA_ABI_AT(ta_mmal_port, capabilities, 88, 60);
TA_ABI_SIZE(ta_mmal_es_format, 48, 32);
TA_ABI_AT(ta_mmal_es_format, es, 16, 12);
TA_ABI_AT(ta_mmal_es_format, bitrate, 24, 16);
TA_ABI_SIZE(ta_mmal_video_format, 44, 44);
TA_ABI_AT(ta_mmal_video_format, crop, 8, 8);
TA_ABI_AT(ta_mmal_video_format, frame_rate, 24, 24);
TA_ABI_AT(ta_mmal_video_format, color_space, 40, 40);
TA_ABI_SIZE(ta_mmal_buffer, 80, 56);
TA_ABI_AT(ta_mmal_buffer, cmd, 16, 8);
TA_ABI_AT(ta_mmal_buffer, data, 24, 12);
TA_ABI_AT(ta_mmal_buffer, alloc_size, 32, 16);
TA_ABI_AT(ta_mmal_buffer, length, 36, 20);
TA_ABI_AT(ta_mmal_buffer, offset, 40, 24);
TA_ABI_AT(ta_mmal_buffer, flags, 44, 28);
TA_ABI_AT(ta_mmal_buffer, pts, 48, 32);
TA_ABI_AT(ta_mmal_buffer, user_data, 72, 52);
TA_ABI_SIZE(ta_mmal_pool, 24, 12);
TA_ABI_SIZE(ta_mmal_uint32, 12, 12);
TA_ABI_SIZE(ta_mmal_profile, 16, 16);
TA_ABI_SIZE(ta_mmal_intra_refresh, 28, 28);

#endif
