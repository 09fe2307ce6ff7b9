/* Send queue and reassembler over a channel that loses, delays, duplicates and forges as the input says, in both
 * directions. Without forging, the output is the input, in order, and once the channel is good again every unit
 * arrives. */
#include "fuzz.h"

#include "thinair/recovery.h"
#include "thinair/send_queue.h"

enum { MAX_UNIT = 30000, ON_AIR = 512, BATCH = 16, COOKIE = 7, INTERVAL_US = 33333, CLEAN_UNITS = 12 };
enum { LOSE = 1, DOUBLE = 2, FORGE = 4, LATE = 8 }; /* bits of a datagram's fate */

typedef struct flight {
    uint64_t due_us;
    size_t size;
    bool up; /* sent by the receiver */
    uint8_t data[TA_MAX_PACKET];
} flight;

typedef struct world {
    cursor c;
    ta_send_queue *o;
    ta_reassembler *r;
    uint64_t now_us, next_id;
    uint32_t first_id, frame_id;
    bool clean, forged, trusted; /* trusted: no input may forge */
} world;

static flight air[ON_AIR];
static size_t sizes[65536]; /* of units, by the low bits of the frame id */
static size_t on_air;
static uint8_t unit[MAX_UNIT], got[MAX_UNIT + 1];

/* Two NAL units, different for every frame. */
static size_t make_unit(uint32_t frame_id, size_t size, uint8_t *out) {
    uint32_t state = frame_id * 2654435761u + 1;
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(1 + ((state = state * 1664525u + 1013904223u) >> 24) % 255);
    memcpy(out, "\0\0\0\1\x41", 5);
    if (size > 40)
        memcpy(out + size / 2, "\0\0\0\1\x41", 5);
    return size;
}

static void fly(world *w, const uint8_t *data, size_t size, bool up) {
    const uint8_t fate = w->clean ? 0 : take(&w->c);
    for (int copies = fate & LOSE ? 0 : fate & DOUBLE ? 2 : 1; copies && on_air < ON_AIR; copies--) {
        flight *f = &air[on_air++];
        *f = (flight){.due_us = w->now_us + 3000 + (fate & LATE ? (fate >> 4) * 2500u : 0), .size = size, .up = up};
        memcpy(f->data, data, size);
        if (fate & FORGE && !w->trusted && !w->clean) {
            w->forged = true;
            f->data[take(&w->c) % size] ^= (uint8_t)(1 + (fate >> 4));
        }
    }
}

static void hand_out(world *w) {
    ta_au_info info;
    while (ta_reassembler_next(w->r, w->now_us, got, sizeof got, &info) == TA_OK) {
        CHECK(info.size > 4 && info.size <= MAX_UNIT && info.frame_id >= w->next_id);
        w->next_id = info.frame_id + 1;
        if (w->forged)
            continue;
        const uint32_t id = (uint32_t)info.frame_id;
        CHECK(id - w->first_id < w->frame_id - w->first_id);
        CHECK(info.size == sizes[id & 0xffff]);
        make_unit(id, info.size, unit);
        CHECK(memcmp(unit, got, info.size) == 0);
    }
}

static void send_due(world *w) {
    ta_datagram out[BATCH];
    for (size_t n; (n = ta_send_queue_due(w->o, w->now_us, out, BATCH)) > 0;
         ta_send_queue_sent(w->o, n, w->now_us, w->now_us))
        for (size_t i = 0; i < n; i++)
            fly(w, out[i].data, out[i].size, false);
}

static void ask(world *w) {
    uint8_t request[TA_MAX_REQUEST];
    size_t size;
    while (ta_reassembler_request(w->r, w->now_us, request, &size) == TA_OK) {
        CHECK(size >= 20 && size <= sizeof request);
        fly(w, request, size, true);
    }
}

/* Runs all events until then, in order of time. */
static void run(world *w, uint64_t until_us) {
    for (unsigned steps = 0;; steps++) {
        CHECK(steps < 20000);
        send_due(w);
        ask(w);
        hand_out(w);
        ask(w); /* for frames that an abandoned frame uncovers */
        size_t first = 0;
        for (size_t i = 1; i < on_air; i++)
            first = air[i].due_us < air[first].due_us ? i : first;
        const uint64_t arrives = on_air ? air[first].due_us : UINT64_MAX, waits = ta_reassembler_deadline(w->r);
        CHECK(waits > w->now_us);
        const uint64_t next = arrives < waits ? arrives : waits;
        if (next > until_us)
            break;
        w->now_us = next;
        if (arrives <= waits) {
            if (air[first].up)
                ta_send_queue_control(w->o, air[first].data, air[first].size, w->now_us);
            else
                ta_reassembler_push(w->r, air[first].data, air[first].size, w->now_us);
            air[first] = air[--on_air];
        }
    }
    w->now_us = until_us;
}

static void push(world *w, size_t size) {
    size_t packets;
    const ta_frame_meta meta = {
        .frame_id = w->frame_id, .key = w->frame_id == w->first_id, .stamps = {.capture_us = w->now_us}};
    make_unit(w->frame_id, size, unit);
    sizes[w->frame_id & 0xffff] = size;
    const ta_frame_meta key = {.frame_id = w->frame_id, .key = true, .stamps = meta.stamps};
    /* After a drop only a key frame is accepted. */
    if (ta_send_queue_push(w->o, unit, size, &meta, w->now_us, &packets) != TA_OK)
        ta_send_queue_push(w->o, unit, size, &key, w->now_us, &packets);
    w->frame_id++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static world w;
    static ta_send_queue *queue;
    static ta_reassembler *reassembler;
    const ta_send_queue_config out = {.packets = {96, 9, 65500, 400, true}, .interval_us = INTERVAL_US};
    const ta_reassembler_config in = {0, true, 16, 12000, MAX_UNIT, 50000};
    if (!queue)
        CHECK(ta_send_queue_open(&queue, &out) == TA_OK && ta_reassembler_open(&reassembler, &in) == TA_OK);
    on_air = 0;
    w = (world){.c = {data, size}, .o = queue, .r = reassembler, .now_us = 1000};
    const uint8_t options = take(&w.c);
    w.first_id = w.frame_id = options & 1 ? UINT32_MAX - 5 : 1;
    w.next_id = 0;
    w.trusted = options & 2;
    ta_send_queue_reset(w.o);
    ta_send_queue_set_cookie(w.o, COOKIE);
    ta_reassembler_reset(w.r);
    ta_reassembler_peer(w.r, 5, COOKIE);
    ta_reassembler_timing(w.r, INTERVAL_US, 6000, options & 4 ? 5000 : 0);
    while (w.c.size > 0 && w.frame_id - w.first_id < 3000) {
        const uint8_t step = take(&w.c);
        push(&w, 50 + (size_t)step * 40);
        if (step & 1) { /* a target with a repair ratio */
            uint8_t target[40] = {0x80 | 8, 204, 0, 9, 0, 0, 0, 5, 'T', 'A', 'I', 'R'};
            uint8_t *at = put_be(target + 12, COOKIE, 8);
            at = put_be(put_be(at, w.frame_id, 4), 8000000, 4);
            at = put_be(put_be(at, w.frame_id - 2, 4), 0, 2);
            put_be(at, 0xffff, 2);
            target[36] = take(&w.c) % 129;
            ta_send_queue_control(w.o, target, sizeof target, w.now_us);
        }
        run(&w, w.now_us + INTERVAL_US);
    }
    w.clean = true;
    run(&w, w.now_us + 2000000);
    for (unsigned i = 0; i < CLEAN_UNITS; i++) {
        push(&w, 3000);
        run(&w, w.now_us + INTERVAL_US);
    }
    CHECK(w.forged || (uint32_t)(w.next_id - 1) == w.frame_id - 1);
    return 0;
}
