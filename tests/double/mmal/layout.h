/* MMAL's structures from the component's side, written against the published layout tables and not against the
 * encoder's own declarations: a mistake in either of the two shows when they meet.
 * Columns: 64-bit offset, 32-bit ARM offset. */
#ifndef DOUBLE_LAYOUT_H
#define DOUBLE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef uint32_t fourcc;

struct es_video {           /* 44 bytes */
    uint32_t padded_width;  /* 0 */
    uint32_t padded_height; /* 4 */
    int32_t crop[4];        /* 8: x, y, width, height */
    int32_t rate[2];        /* 24 */
    int32_t aspect[2];      /* 32 */
    fourcc colours;         /* 40 */
};

struct es_format {
    uint32_t kind;          /* 0 0 */
    fourcc encoding;        /* 4 4 */
    fourcc variant;         /* 8 8 */
    struct es_video *video; /* 16 12 */
    uint32_t bitrate;       /* 24 16 */
    uint32_t flags;         /* 28 20 */
    uint32_t extra_size;    /* 32 24 */
    unsigned char *extra;   /* 40 28 */
};

struct header {
    struct header *next; /* 0 0 */
    struct header_priv *priv;
    uint32_t command;       /* 16 8 */
    unsigned char *payload; /* 24 12 */
    uint32_t payload_size;  /* 32 16 */
    uint32_t used;          /* 36 20 */
    uint32_t start;         /* 40 24 */
    uint32_t flags;         /* 44 28 */
    int64_t pts;            /* 48 32 */
    int64_t dts;            /* 56 40 */
    void *specific;         /* 64 48 */
    void *client;           /* 72 52 */
};

struct port {
    struct port_priv *priv;
    const char *name;
    uint32_t kind; /* 16 8 */
    uint16_t index, index_all;
    uint32_t enabled; /* 24 16 */
    struct es_format *format;
    uint32_t least_buffers; /* 40 24 */
    uint32_t least_size;    /* 44 28 */
    uint32_t least_alignment;
    uint32_t advised_buffers;    /* 52 36 */
    uint32_t advised_size;       /* 56 40 */
    uint32_t buffers;            /* 60 44 */
    uint32_t size;               /* 64 48 */
    struct component *component; /* 72 52 */
    void *client;                /* 80 56 */
    uint32_t capabilities;       /* 88 60 */
};

struct component {
    struct component_priv *priv;
    void *client;
    const char *name;     /* 16 8 */
    uint32_t enabled;     /* 24 12 */
    struct port *control; /* 32 16 */
    uint32_t inputs;      /* 40 20 */
    struct port **input;  /* 48 24 */
    uint32_t outputs;     /* 56 28 */
    struct port **output; /* 64 32 */
    uint32_t clocks;
    struct port **clock;
    uint32_t ports;
    struct port **port;
    uint32_t id;
};

struct queue;
struct pool {
    struct queue *queue;
    uint32_t count;          /* 8 4 */
    struct header **headers; /* 16 8 */
};

#define PLACE(type, member, wide, narrow) \
    _Static_assert(offsetof(struct type, member) == (sizeof(void *) > 4 ? (wide) : (narrow)), #type " " #member)
#define SIZE(type, wide, narrow) _Static_assert(sizeof(struct type) == (sizeof(void *) > 4 ? (wide) : (narrow)), #type)
SIZE(es_video, 44, 44);
SIZE(es_format, 48, 32);
SIZE(header, 80, 56);
SIZE(port, 96, 64);
SIZE(component, 112, 56);
SIZE(pool, 24, 12);
PLACE(es_format, video, 16, 12);
PLACE(es_format, bitrate, 24, 16);
PLACE(es_format, extra, 40, 28);
PLACE(header, command, 16, 8);
PLACE(header, payload, 24, 12);
PLACE(header, pts, 48, 32);
PLACE(header, client, 72, 52);
PLACE(port, kind, 16, 8);
PLACE(port, format, 32, 20);
PLACE(port, buffers, 60, 44);
PLACE(port, component, 72, 52);
PLACE(port, capabilities, 88, 60);
PLACE(component, enabled, 24, 12);
PLACE(component, input, 48, 24);
PLACE(component, output, 64, 32);
PLACE(pool, headers, 16, 8);

#endif
