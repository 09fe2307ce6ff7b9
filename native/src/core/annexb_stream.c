/* Splits a raw Annex B byte stream into access units (H.264 7.4.1.2.3: what begins a new one). push() collects bytes,
 * next() resumes the search where it stopped. A delimiter ends the unit before it as soon as its header byte has
 * arrived; it then begins the next unit. */
#include "thinair/annexb_stream.h"
#include "thinair/h264.h"

#include <stdlib.h>
#include <string.h>

enum { DELIMITER = 6 }; /* bytes of an AUD with its start code */
enum { SLACK = 65536 }; /* a datagram that begins inside the largest unit must fit */

typedef enum state {
    HUNT,     /* searching for the first NAL unit that can begin an access unit */
    HUNT_KEY, /* after an overflow: searching for an SPS or an IDR slice */
    IN_UNIT,
} state;

struct ta_annexb_stream {
    ta_annexb_stream_config config;
    uint64_t drops[TA_DROP_COUNT];
    uint8_t *data;
    size_t size, scan, capacity;
    state state;
    bool has_slice, fresh; /* fresh: the next bytes begin a unit after quiet_us, no start code seen yet */
    uint32_t flags, lost, packets;
    size_t longest, newest; /* datagram sizes */
    uint64_t first_us, last_us, frame_id;
};

ta_status ta_annexb_stream_open(ta_annexb_stream **out, const ta_annexb_stream_config *config) {
    *out = NULL;
    if (config->max_au == 0)
        return TA_EINVAL;
    ta_annexb_stream *s = calloc(1, sizeof *s);
    if (!s)
        return TA_ENOMEM;
    s->config = *config;
    s->capacity = config->max_au + SLACK;
    s->data = calloc(1, s->capacity);
    if (!s->data) {
        ta_annexb_stream_close(&s);
        return TA_ENOMEM;
    }
    *out = s;
    return TA_OK;
}

void ta_annexb_stream_close(ta_annexb_stream **s) {
    if (*s)
        free((*s)->data);
    free(*s);
    *s = NULL;
}

void ta_annexb_stream_reset(ta_annexb_stream *s) {
    s->size = s->scan = s->longest = s->newest = 0;
    s->state = HUNT;
    s->has_slice = s->fresh = false;
    s->flags = s->lost = s->packets = 0;
    s->frame_id = 0;
}

const uint64_t *ta_annexb_stream_drops(const ta_annexb_stream *s) { return s->drops; }

/* Discards the first `bytes`; the rest arrived with the newest datagram. */
static void discard(ta_annexb_stream *s, size_t bytes) {
    s->size -= bytes;
    memmove(s->data, s->data + bytes, s->size);
    s->scan = 0;
    s->first_us = s->last_us;
    s->packets = s->size > 0;
}

static void begin_unit(ta_annexb_stream *s, size_t bytes_before) {
    discard(s, bytes_before);
    s->has_slice = false;
    s->flags = 0;
}

static void lose(ta_annexb_stream *s, ta_drop reason, state next) {
    s->drops[reason]++;
    s->lost++;
    begin_unit(s, s->size);
    s->state = next;
}

void ta_annexb_stream_push(ta_annexb_stream *s, const uint8_t *data, size_t size, uint64_t arrival_us) {
    if (size == 0)
        return;
    if (size > s->capacity - s->size) {
        lose(s, TA_DROP_OVERSIZE, HUNT_KEY);
        if (size > s->capacity)
            return;
    }
    /* A delimiter of the previous packet is still pending; this unit begins now. */
    if (s->size <= DELIMITER && !s->has_slice) {
        s->first_us = arrival_us;
        s->packets = 0;
    }
    memcpy(s->data + s->size, data, size);
    s->size += size;
    s->packets++;
    s->last_us = arrival_us;
    s->newest = size;
    if (size > s->longest)
        s->longest = size;
}

/* One NAL unit's header. `first`: this type stands before or at the first slice of a unit. */
typedef struct head {
    unsigned type;
    bool slice, first;
} head;

/* Returns false if its bytes have not all arrived. `at` is the offset of 00 00 01. */
static bool read_head(const ta_annexb_stream *s, size_t at, head *h) {
    if (s->size - at < 4)
        return false;
    h->type = s->data[at + 3] & 31;
    h->slice = h->type == TA_NAL_SLICE || h->type == 2 || h->type == TA_NAL_IDR;
    if (h->slice && s->size - at < 5)
        return false;
    /* first_mb_in_slice 0 is a single one bit */
    h->first = h->slice ? s->data[at + 4] & 0x80
                        : (h->type >= TA_NAL_SEI && h->type <= TA_NAL_AUD) || (h->type >= 14 && h->type <= 18);
    return true;
}

static ta_status hand_out(ta_annexb_stream *s, size_t end, uint8_t *out, size_t capacity, ta_au_info *info) {
    size_t size = end;
    while (size > 0 && s->data[size - 1] == 0)
        size--;
    if (size > capacity || size > s->config.max_au) {
        s->drops[TA_DROP_OVERSIZE]++;
        s->lost++;
        s->state = HUNT_KEY;
        begin_unit(s, end);
        return TA_AGAIN;
    }
    memcpy(out, s->data, size);
    *info = (ta_au_info){
        .frame_id = s->frame_id + s->lost,
        .size = (uint32_t)size,
        .flags = s->flags | (s->lost ? TA_AU_GAP : 0),
        .lost_before = s->lost,
        .packets = (uint16_t)(s->packets > UINT16_MAX ? UINT16_MAX : s->packets),
        .first_us = s->first_us,
        .last_us = s->last_us,
    };
    s->frame_id = info->frame_id + 1;
    s->lost = 0;
    begin_unit(s, end);
    return TA_OK;
}

static bool quiet_applies(const ta_annexb_stream *s) {
    return s->config.quiet_us > 0 && s->state == IN_UNIT && s->has_slice && s->newest < s->longest;
}

uint64_t ta_annexb_stream_deadline(const ta_annexb_stream *s) {
    return quiet_applies(s) ? s->last_us + s->config.quiet_us : UINT64_MAX;
}

/* Returns the offset of the unit's end, or s->size if it has not arrived. */
static size_t find_end(ta_annexb_stream *s) {
    for (;;) {
        size_t at = ta_annexb_find(s->data, s->size, s->scan);
        head h;
        if (at == s->size) { /* two trailing zeros may begin a start code */
            s->scan = s->size > 2 && s->size - 2 > s->scan ? s->size - 2 : s->scan;
            return s->size;
        }
        s->scan = at;
        if (!read_head(s, at, &h))
            return s->size;
        size_t begin = at > 0 && s->data[at - 1] == 0 ? at - 1 : at;
        if (s->state == IN_UNIT && s->has_slice && h.first)
            return begin;
        bool key = h.type == TA_NAL_SPS || (h.type == TA_NAL_IDR && h.first);
        if (s->state != IN_UNIT && (s->state == HUNT ? h.first : key)) {
            discard(s, begin);
            s->state = IN_UNIT;
            at -= begin;
        }
        s->has_slice = s->state == IN_UNIT && (s->has_slice || h.slice);
        if (s->state == IN_UNIT)
            s->flags |= h.type == TA_NAL_IDR ? TA_AU_KEY : h.type == TA_NAL_SPS ? TA_AU_SPS : 0;
        s->scan = at + 4;
    }
}

ta_status ta_annexb_stream_next(ta_annexb_stream *s, uint64_t now_us, uint8_t *out, size_t capacity, ta_au_info *info) {
    for (;;) {
        if (s->fresh && s->size >= 4) { /* continues a unit that quiet_us ended too early */
            s->fresh = false;
            bool start = s->data[0] == 0 && s->data[1] == 0 && s->data[2] <= 1;
            if (!start) {
                s->drops[TA_DROP_INCOMPLETE]++;
                s->lost++;
                s->state = HUNT;
            }
        }
        size_t end = find_end(s);
        if (end < s->size) {
            if (hand_out(s, end, out, capacity, info) == TA_OK)
                return TA_OK;
            continue;
        }
        if (s->state != IN_UNIT) { /* only the beginning of a start code is kept */
            discard(s, s->scan > 0 ? s->scan - 1 : 0);
            return TA_AGAIN;
        }
        if (s->size > s->config.max_au) {
            lose(s, TA_DROP_OVERSIZE, HUNT_KEY);
            return TA_AGAIN;
        }
        if (!quiet_applies(s) || now_us < s->last_us + s->config.quiet_us)
            return TA_AGAIN;
        s->fresh = true;
        if (hand_out(s, s->size, out, capacity, info) == TA_OK)
            return TA_OK;
    }
}
