/* Packets in, access units out.
 *
 * A frame has a position on one axis: its frame id (elements) or its sequence numbers (plain RTP), both extended to 64
 * bits. Frames in progress are sorted by it. Everything before `floor` is decided: delivered, abandoned, or complete
 * and waiting for next().
 *
 * Over 500 lines: axis, frames and their order are one state. Repair is in recovery.c. */

#include <stdlib.h>
#include <string.h>

#include "depacketize.h"
#include "reassembler.h"

enum {
    JUMP_FRAMES = 1000, /* a larger jump ahead is a restarted numbering, not loss */
    JUMP_PACKETS = 4096,
    BACK_FRAMES = 100, /* a larger jump back is a restarted numbering, not delay */
    BACK_PACKETS = 1024,
    SILENCE_US = 500000, /* after this silence another SSRC may take over */
};

ta_status ta_reassembler_open(ta_reassembler **out, const ta_reassembler_config *config) {
    *out = NULL;
    if (config->window_frames < 2 || config->window_frames >= TA_MAX_WINDOW || config->payload_type > 127 ||
        !config->max_au)
        return TA_EINVAL;
    ta_reassembler *r = calloc(1, sizeof *r);
    if (!r)
        return TA_ENOMEM;
    const size_t arena = (size_t)TA_MAX_FRAME_PACKETS * TA_MAX_PACKET;
    r->config = *config;
    r->frame_count = config->window_frames + 1;
    r->arenas = calloc(r->frame_count, arena);
    if (!r->arenas) {
        ta_reassembler_close(&r);
        return TA_ENOMEM;
    }
    for (size_t i = 0; i < r->frame_count; i++)
        r->frames[i].arena = r->arenas + i * arena;
    const ta_status status = ta_recovers(r) ? ta_recovery_open(r) : TA_OK;
    if (status != TA_OK) {
        ta_reassembler_close(&r);
        return status;
    }
    ta_reassembler_reset(r);
    *out = r;
    return TA_OK;
}

void ta_reassembler_close(ta_reassembler **r) {
    if (*r) {
        ta_recovery_close(*r);
        free((*r)->arenas);
    }
    free(*r);
    *r = NULL;
}

void ta_reassembler_reset(ta_reassembler *r) {
    if (ta_recovers(r))
        ta_recovery_reset(r);
    r->held_count = 0;
    r->spare_count = r->frame_count;
    for (size_t i = 0; i < r->frame_count; i++)
        r->spare[i] = &r->frames[i];
    r->known = r->started = r->has_abandoned_time = r->gap = false;
    r->frame_id = 0;
    r->lost = 0;
    r->probation_size = 0;
}

const uint64_t *ta_reassembler_drops(const ta_reassembler *r) { return r->drops; }

static void release(ta_reassembler *r, size_t k) {
    if (ta_recovers(r))
        ta_recovery_decided(r, r->held[k], r->now_us);
    r->spare[r->spare_count++] = r->held[k];
    r->held_count--;
    memmove(&r->held[k], &r->held[k + 1], (r->held_count - k) * sizeof r->held[0]);
}

static void lose(ta_reassembler *r, uint64_t frames, ta_drop reason) {
    r->drops[reason] += frames;
    r->lost += (uint32_t)frames;
    r->gap = r->gap || frames > 0;
}

/* Everything incomplete before `to` is lost. Of frames never seen, elements give the exact number; without them they
 * count as one. */
static void raise_floor(ta_reassembler *r, uint64_t to) {
    if (to <= r->floor)
        return;
    uint64_t hole = to - r->floor, released = 0;
    for (size_t k = 0; k < r->held_count && r->held[k]->begin < to;) {
        const ta_frame *s = r->held[k];
        if (s->complete) {
            uint64_t from = s->begin > r->floor ? s->begin : r->floor, until = s->end < to ? s->end : to;
            uint64_t covered = until > from ? until - from : 0;
            hole -= covered < hole ? covered : hole;
            k++;
        } else {
            released++;
            release(r, k);
        }
    }
    lose(r, r->config.elements ? hole : released ? released : hole > 0, TA_DROP_INCOMPLETE);
    r->floor = to;
    r->started = true;
    r->has_abandoned_time = false;
}

/* Passes a complete frame on; everything before it is decided. */
static void pass(ta_reassembler *r, const ta_frame *s) {
    if (s->end > r->floor) {
        r->floor = s->end;
        r->started = true;
        r->has_abandoned_time = false;
    }
}

/* The window is full: waits no longer for anything before the second frame. */
static void slide(ta_reassembler *r) {
    const ta_frame *oldest = r->held[0]; /* readable after its release, until the next new_frame */
    raise_floor(r, oldest->complete ? oldest->begin : oldest->end);
    r->has_abandoned_time = !oldest->complete && !r->config.elements;
    r->abandoned_time = (uint32_t)oldest->rtp_time;
}

/* ---- from packet to frame ---- */

uint64_t ta_extend(uint64_t near, uint32_t value, unsigned bits) {
    uint32_t step = (value - (uint32_t)near) << (32 - bits);
    int64_t distance = (int32_t)step >> (32 - bits);
    return near + (uint64_t)distance;
}

static uint64_t place_of(const ta_reassembler *r, const ta_rtp *p) {
    return r->config.elements ? ta_extend(r->newest, p->frame_id, 32) : ta_extend(r->newest, p->seq, 16);
}

/* Finds a packet's frame, or the index to insert it at (*found false). */
static size_t find_frame(const ta_reassembler *r, const ta_rtp *p, uint64_t place, bool *found) {
    for (size_t k = 0; k < r->held_count;
         k++) { /* oldest first: two fields may share a timestamp; the marker separates them */
        const ta_frame *s = r->held[k];
        bool same = r->config.elements ? s->begin == place
                                       : (uint32_t)s->rtp_time == p->time && !(s->has_marker && place > s->marker);
        if (same) {
            *found = true;
            return k;
        }
    }
    size_t k = r->held_count;
    while (k > 0 && r->held[k - 1]->begin > place)
        k--;
    *found = false;
    return k;
}

/* Takes what a packet says of its frame. */
static void shape(ta_reassembler *r, ta_frame *s, const ta_rtp *p) {
    s->base = (uint16_t)(p->seq - (r->config.elements ? p->index : 0));
    s->first_seq = s->base;
    s->count = p->count;
    s->key = p->key;
    s->rtp_time = r->rtp_time = ta_extend(r->rtp_time, p->time, 32);
    if (ta_recovers(r))
        ta_recovery_begin(s, p);
}

/* `p` NULL: none of its packets was received. */
static ta_frame *new_frame(ta_reassembler *r, size_t k, const ta_rtp *p, uint64_t place, uint64_t arrival_us) {
    ta_frame *s = r->spare[--r->spare_count];
    uint8_t *arena = s->arena;
    memset(s, 0, sizeof *s);
    s->arena = arena;
    s->begin = place;
    s->end = place + 1;
    s->rtp_time = r->rtp_time;
    s->first_us = arrival_us;
    if (p)
        shape(r, s, p);
    memmove(&r->held[k + 1], &r->held[k], (r->held_count - k) * sizeof r->held[0]);
    r->held[k] = s;
    r->held_count++;
    return s;
}

/* Payload of the i-th packet of a complete frame, and its size. */
static size_t index_of(const ta_frame *s, size_t i) {
    return ((uint16_t)(s->first_seq - s->base) + i) % TA_MAX_FRAME_PACKETS;
}
static const uint8_t *payload_of(const ta_frame *s, size_t i) {
    return s->arena + index_of(s, i) * TA_MAX_PACKET + s->offsets[index_of(s, i)];
}
static size_t size_of(const ta_frame *s, size_t i) { return s->sizes[index_of(s, i)]; }

/* Some senders put an SPS before every slice: a frame that begins with one may still lack its first slice. */
static bool has_first_slice(const ta_frame *s) {
    ta_slice slice = TA_SLICE_NONE;
    for (size_t i = 0; i < s->have && slice == TA_SLICE_NONE; i++)
        slice = ta_payload_slice(payload_of(s, i), size_of(s, i));
    return slice != TA_SLICE_LATER;
}

/* Returns whether frame k of plain RTP has all its packets, with both ends known. */
static bool plain_complete(const ta_reassembler *r, size_t k) {
    const ta_frame *s = r->held[k];
    bool last =
        (s->has_marker && s->marker + 1 == s->end) || (k + 1 < r->held_count && r->held[k + 1]->begin == s->end);
    if (!last || s->have != s->end - s->begin)
        return false;
    if ((k > 0 && r->held[k - 1]->end == s->begin) || (r->started && s->begin == r->floor))
        return true;
    ta_begin begin = ta_payload_begins(payload_of(s, 0), size_of(s, 0));
    return (begin == TA_BEGIN_SURE || (begin == TA_BEGIN_LIKELY && k == 0 && !r->started)) && has_first_slice(s);
}

static void complete(ta_reassembler *r, size_t k, uint64_t arrival_us) {
    ta_frame *s = r->held[k];
    if (!s->complete && (r->config.elements ? s->have == s->count : plain_complete(r, k))) {
        s->complete = true;
        s->last_us = arrival_us;
        if (ta_recovers(r))
            ta_recovery_completed(r, s);
    }
}

/* A frame element must match the other packets of its frame. */
static bool element_agrees(const ta_frame *s, const ta_rtp *p) {
    return s->count == p->count && s->key == p->key && s->base == (uint16_t)(p->seq - p->index) &&
           (uint32_t)s->rtp_time == p->time;
}

/* Frames of plain RTP do not overlap; a packet that would make two overlap is invalid. */
static bool overlaps(const ta_reassembler *r, size_t k, bool found, uint64_t place) {
    uint64_t begin = place, end = place + 1;
    if (found) {
        begin = place < r->held[k]->begin ? place : r->held[k]->begin;
        end = place + 1 > r->held[k]->end ? place + 1 : r->held[k]->end;
    }
    size_t next = k + found;
    return (k > 0 && r->held[k - 1]->end > begin) || (next < r->held_count && r->held[next]->begin < end);
}

/* Returns false if the packet is refused; it is then counted. */
static bool store(ta_reassembler *r, ta_frame *s, const ta_rtp *p, const uint8_t *data, size_t size, uint64_t place) {
    size_t at = (uint16_t)(p->seq - s->base) % TA_MAX_FRAME_PACKETS;
    uint64_t begin = place < s->begin ? place : s->begin, end = place + 1 > s->end ? place + 1 : s->end;
    if (s->sizes[at] && (r->config.elements || end - begin <= TA_MAX_FRAME_PACKETS)) {
        r->drops[TA_DROP_DUPLICATE]++;
        return false;
    }
    if (end - begin > TA_MAX_FRAME_PACKETS || p->payload_size > r->config.max_au - s->bytes) {
        r->drops[TA_DROP_OVERSIZE]++;
        return false;
    }
    if (place < s->begin)
        s->first_seq = p->seq;
    s->begin = begin;
    s->end = end;
    if (p->marker && (!s->has_marker || place > s->marker)) {
        s->has_marker = true;
        s->marker = place;
    }
    if (r->config.elements && p->index == 0) {
        s->head = *p;
        s->head.payload = NULL; /* the datagram belongs to the caller */
    }
    memcpy(s->arena + at * TA_MAX_PACKET, data, size);
    s->sizes[at] = (uint16_t)p->payload_size;
    s->offsets[at] = (uint16_t)(p->payload - data);
    s->bytes += p->payload_size;
    s->have++;
    s->complete = false; /* plain: a frame that seemed to begin with its SPS may have begun earlier */
    return true;
}

/* Returns whether a packet before all others may still be accepted: only while nothing is decided. */
static bool lower_floor(ta_reassembler *r, uint64_t place) {
    uint64_t reach = r->config.elements ? r->config.window_frames : BACK_PACKETS;
    if (r->started || r->spare_count == 0 || r->floor - place > reach || place < r->bottom)
        return false;
    r->floor = place;
    return true;
}

/* Creates the frames before this one of which nothing was received: they are missing from now on. More than two at once
 * are beyond repair. */
static void note_unseen(ta_reassembler *r, uint64_t place, uint64_t arrival_us) {
    for (uint64_t missed = r->newest + 1; missed < place && place - r->newest <= 3 && r->spare_count > 2; missed++) {
        size_t k = r->held_count;
        while (k > 0 && r->held[k - 1]->begin > missed)
            k--;
        new_frame(r, k, NULL, missed, arrival_us);
    }
}

/* Returns the index of a packet's frame, created if it is new; -1: refused and counted. */
static int find_or_make(ta_reassembler *r, const ta_rtp *p, uint64_t place, uint64_t arrival_us) {
    bool found;
    /* The first frame may have number 0: the one before it does not exist, and must not become the highest possible
     * number. */
    if (place > INT64_MAX || (place < r->floor && !lower_floor(r, place))) {
        r->drops[TA_DROP_LATE]++;
        return -1;
    }
    if (r->has_abandoned_time && p->time == r->abandoned_time) {
        r->drops[TA_DROP_LATE]++; /* the tail of an abandoned frame */
        if (r->held_count == 0 || place < r->held[0]->begin)
            r->floor = place + 1;
        r->has_abandoned_time = !p->marker;
        return -1;
    }
    if (ta_recovers(r))
        note_unseen(r, place, arrival_us);
    size_t k = find_frame(r, p, place, &found);
    if (!r->config.elements && overlaps(r, k, found, place)) {
        r->drops[TA_DROP_SEQUENCE]++;
        return -1;
    }
    if (found && r->config.elements && r->held[k]->count == 0)
        shape(r, r->held[k], p);
    if (found && r->config.elements && !element_agrees(r->held[k], p)) {
        r->drops[TA_DROP_ELEMENT]++;
        return -1;
    }
    if (!found) {
        /* Complete, or it would have been abandoned: nobody took the ready frames. */
        if (r->spare_count == 0) {
            lose(r, 1, TA_DROP_QUEUE_FULL);
            pass(r, r->held[0]);
            release(r, 0);
            k -= k > 0;
        }
        new_frame(r, k, p, place, arrival_us);
    }
    if (place > r->newest)
        r->newest = place;
    return (int)k;
}

ta_frame *ta_reassembler_frame(ta_reassembler *r, const ta_rtp *p, uint64_t place, uint64_t arrival_us) {
    const int k = find_or_make(r, p, place, arrival_us);
    return k < 0 ? NULL : r->held[k];
}

static size_t index_held(const ta_reassembler *r, const ta_frame *s) {
    size_t k = 0;
    while (r->held[k] != s)
        k++;
    return k;
}

bool ta_reassembler_store(ta_reassembler *r, ta_frame *s, const ta_rtp *p, const uint8_t *data, size_t size,
                          uint64_t arrival_us) {
    if (!store(r, s, p, data, size, s->begin))
        return false;
    complete(r, index_held(r, s), arrival_us);
    return true;
}

static void accept(ta_reassembler *r, const ta_rtp *p, const uint8_t *data, size_t size, uint64_t place,
                   uint64_t arrival_us) {
    const int found = find_or_make(r, p, place, arrival_us);
    if (found < 0)
        return;
    const size_t k = (size_t)found;
    ta_frame *s = r->held[k];
    if (store(r, s, p, data, size, place)) {
        if (ta_recovers(r))
            ta_recovery_received(r, s, p, size, arrival_us);
        complete(r, k, arrival_us);
        if (!r->config.elements) { /* its neighbours may now know where they begin or end */
            if (k > 0)
                complete(r, k - 1, arrival_us);
            if (k + 1 < r->held_count)
                complete(r, k + 1, arrival_us);
        }
    }
    if (r->spare_count == 0)
        slide(r);
}

/* ---- from datagram to packet ---- */

/* Starts a new numbering: frames in progress are lost; positions continue above all previous ones and keep their low
 * bits. */
static void restart(ta_reassembler *r, const ta_rtp *p) {
    while (r->held_count > 0) {
        lose(r, 1, r->held[0]->complete ? TA_DROP_QUEUE_FULL : TA_DROP_INCOMPLETE);
        release(r, 0);
    }
    r->bottom = r->known ? r->newest + 1 : 0;
    if (!r->config.elements) /* at least 65536 above all previous ones, so that no distance is negative */
        r->newest = ((r->known ? r->newest : 0) & ~(uint64_t)0xffff) + 0x20000 + p->seq;
    else if (!r->known)
        r->newest = p->frame_id;
    else if ((int32_t)(p->frame_id - (uint32_t)r->newest) > 0)
        r->newest = ta_extend(r->newest, p->frame_id, 32);
    else
        r->newest = (r->newest & ~(uint64_t)0xffffffff) + ((uint64_t)1 << 32) + p->frame_id;
    r->floor = r->newest;
    r->gap = r->gap || r->known;
    r->rtp_time = r->known ? ta_extend(r->rtp_time, p->time, 32) : p->time;
    r->started = r->has_abandoned_time = false;
    r->known = true;
    r->ssrc = p->ssrc;
    r->payload_type = p->payload_type;
    r->probation_size = 0;
}

/* RFC 3550 A.1: two consecutive packets validate a new numbering. The first is stored until then. */
static void jump(ta_reassembler *r, const ta_rtp *p, const uint8_t *data, size_t size, uint64_t arrival_us) {
    ta_rtp before;
    ta_drop why;
    bool follows = r->probation_size > 0 && ta_rtp_parse(r->probation, r->probation_size, &before, &why) == TA_OK &&
                   (uint16_t)(before.seq + 1) == p->seq && (!r->config.elements || p->frame_id - before.frame_id <= 1);
    if (follows) {
        uint8_t first[TA_MAX_PACKET]; /* restart() clears the stored packet */
        const size_t first_size = r->probation_size;
        memcpy(first, r->probation, first_size);
        before.payload = first + (before.payload - r->probation);
        restart(r, &before);
        accept(r, &before, first, first_size, r->newest, arrival_us);
        accept(r, p, data, size, place_of(r, p), arrival_us);
        return;
    }
    r->drops[TA_DROP_SEQUENCE]++;
    memcpy(r->probation, data, size);
    r->probation_size = size;
}

/* The first packet's payload type and SSRC are kept; others take over after SILENCE_US. */
static bool identify(ta_reassembler *r, const ta_rtp *p, uint64_t arrival_us) {
    bool same = p->ssrc == r->ssrc && p->payload_type == r->payload_type;
    if (r->known && !same && arrival_us <= r->heard_us + SILENCE_US) {
        r->drops[p->ssrc != r->ssrc ? TA_DROP_SSRC : TA_DROP_PAYLOAD_TYPE]++;
        return false;
    }
    if (!r->known || !same)
        restart(r, p);
    r->heard_us = arrival_us;
    return true;
}

void ta_reassembler_push(ta_reassembler *r, const uint8_t *data, size_t size, uint64_t arrival_us) {
    ta_rtp p;
    ta_drop why;
    r->now_us = arrival_us;
    if (size > TA_MAX_PACKET) {
        r->drops[TA_DROP_OVERSIZE]++;
        return;
    }
    if (ta_rtp_parse(data, size, &p, &why) != TA_OK) {
        r->drops[why]++;
        return;
    }
    bool elements = r->config.elements;
    uint8_t wanted = r->config.payload_type;
    if (ta_recovers(r) && p.payload_type == TA_REPAIR_PAYLOAD_TYPE) {
        ta_recovery_push(r, &p, arrival_us);
        return;
    }
    if (wanted ? p.payload_type != wanted : p.payload_type < 96) {
        r->drops[TA_DROP_PAYLOAD_TYPE]++;
        return;
    }
    if (elements && !p.has_element) {
        r->drops[TA_DROP_ELEMENT]++;
        return;
    }
    if (!identify(r, &p, arrival_us))
        return;
    uint64_t place = place_of(r, &p);
    int64_t distance = (int64_t)(place - r->newest);
    /* The last condition: before frame 0. */
    if (distance > (elements ? JUMP_FRAMES : JUMP_PACKETS) || distance < (elements ? -BACK_FRAMES : -BACK_PACKETS) ||
        (distance < 0 && place > r->newest))
        jump(r, &p, data, size, arrival_us);
    else
        accept(r, &p, data, size, place, arrival_us);
}

/* ---- out ---- */

uint64_t ta_reassembler_deadline(const ta_reassembler *r) {
    uint64_t deadline = UINT64_MAX;
    for (size_t k = 0; k < r->held_count; k++) {
        const ta_frame *s = r->held[k];
        if (ta_recovers(r)) {
            const uint64_t due = ta_recovery_deadline(r, s, k == 0);
            deadline = due < deadline ? due : deadline;
            if (k > 0)
                continue; /* its delivery depends on the frame before it */
        }
        uint64_t until = k == 0 && s->begin <= r->floor ? s->last_us : s->last_us + r->config.reorder_us;
        if (s->complete && until < deadline)
            deadline = until;
    }
    return deadline;
}

static bool depacketize(ta_reassembler *r, const ta_frame *s, uint8_t *out, size_t capacity, ta_au_info *info) {
    ta_depacketizer d = {.out = out, .capacity = capacity < r->config.max_au ? capacity : r->config.max_au};
    ta_drop why = TA_DROP_NAL;
    bool good = true;
    for (size_t i = 0; i < s->have && good; i++)
        good = ta_depacketizer_add(&d, payload_of(s, i), size_of(s, i), &why);
    if (!good || !ta_depacketizer_end(&d, &why)) {
        lose(r, 1, why);
        return false;
    }
    *info = (ta_au_info){
        .rtp_time = s->rtp_time,
        .size = (uint32_t)d.size,
        .flags = d.flags,
        .first_seq = s->first_seq,
        .packets = s->have,
        .first_us = s->first_us,
        .last_us = s->last_us,
        .unrepaired_us = s->restored && s->newest_us < s->last_us ? s->newest_us : s->last_us,
        .repaired = s->restored > 0,
        .stamps = s->head.stamps,
        .capture_ntp = s->head.capture_ntp,
        .has_sent = s->head.has_sent,
        .sent_frame_id = s->head.sent_frame_id,
        .sent_first_delta = s->head.sent_first_delta,
        .sent_last_delta = s->head.sent_last_delta,
    };
    return true;
}

/* With repair, each frame is decided by itself; a complete key frame waits for none before it. */
static void decide(ta_reassembler *r, uint64_t now_us) {
    for (size_t k = r->held_count; k-- > 0;) {
        if (r->held[k]->complete && r->held[k]->key) {
            raise_floor(r, r->held[k]->begin);
            break;
        }
    }
    while (r->held_count > 0) {
        const ta_frame *s = r->held[0];
        if (r->started && s->begin > r->floor && r->held_count > 0)
            raise_floor(r, s->begin); /* nothing of those before it was received or requested */
        if (s->complete || !ta_recovery_abandons(r, s, now_us))
            return;
        raise_floor(r, s->end);
    }
}

/* Returns the frame to hand out now, or NULL. Abandons what precedes it once a complete frame has waited long
 * enough. */
static const ta_frame *due(ta_reassembler *r, uint64_t now_us) {
    if (ta_recovers(r))
        decide(r, now_us);
    size_t first = 0;
    while (first < r->held_count && !r->held[first]->complete)
        first++;
    for (size_t k = first; k < r->held_count && !ta_recovers(r); k++) {
        if (r->held[k]->complete && now_us >= r->held[k]->last_us + r->config.reorder_us) {
            raise_floor(r, r->held[first]->begin);
            break;
        }
    }
    const ta_frame *s = r->held_count > 0 ? r->held[0] : NULL;
    return s && s->complete && s->begin <= r->floor ? s : NULL;
}

ta_status ta_reassembler_next(ta_reassembler *r, uint64_t now_us, uint8_t *out, size_t capacity, ta_au_info *info) {
    const ta_frame *s;
    r->now_us = now_us;
    while ((s = due(r, now_us)) != NULL) {
        bool good = depacketize(r, s, out, capacity, info), key = s->key;
        uint64_t id = s->begin;
        pass(r, s);
        release(r, 0);
        if (!good)
            continue;
        if (r->config.elements) {
            info->frame_id = id;
            info->flags = (info->flags & ~(uint32_t)TA_AU_KEY) | (key ? TA_AU_KEY : 0);
        } else {
            info->frame_id = r->frame_id + r->lost;
            r->frame_id = info->frame_id + 1;
        }
        info->lost_before = r->lost;
        info->flags |= r->gap ? TA_AU_GAP : 0;
        r->lost = 0;
        r->gap = false;
        return TA_OK;
    }
    return TA_AGAIN;
}
