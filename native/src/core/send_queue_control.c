/* The receiver's control messages: REPAIR, TARGET and generic NACK (docs/wire-protocol.md). Every field is checked;
 * unknown messages are left to other readers. */
#include "send_queue.h"

enum { APP = 204, RTPFB = 205, REPAIR = 7, TARGET = 8, NACK = 1, MAX_SHARE = 128 };
enum { INCOMPLETE = 1, ABANDONED = 3, OUTCOMES = 8 }; /* outcomes in TARGET */
enum { MIN_KEY_US = 80000 };                          /* minimum interval between key frames, whatever is requested */
enum { DELAY = 2, LOSS_WITH_DELAY = 4 };              /* reasons in TARGET */

void ta_send_queue_set_cookie(ta_send_queue *o, uint64_t cookie) { o->cookie = cookie; }

/* Queues an answer of `want` symbols or packets, or as many as the budget allows. */
static void queue(ta_send_queue *o, ta_out_request request, size_t want) {
    const size_t granted = want < o->tokens ? want : o->tokens;
    if (granted == 0 || o->request_count == TA_SEND_QUEUE_REQUESTS) {
        o->stats.requests_refused++;
        return;
    }
    o->stats.requests_refused += granted < want;
    o->tokens -= (uint32_t)granted;
    request.left = (uint16_t)granted;
    o->requests[o->request_count++] = request;
}

static void ask_block(ta_send_queue *o, uint64_t number, size_t block, size_t missing, uint8_t round) {
    ta_out_frame *f = ta_out_frame_at(o, number);
    const size_t k = ta_block_sources(f->count, f->blocks, block);
    if (round <= f->round[block]) {
        o->stats.requests_repeated++;
        return;
    }
    f->round[block] = round;
    queue(o, (ta_out_request){.frame = number, .block = (uint8_t)block}, (missing < k ? missing : k) + 1);
}

static void take_repair(ta_send_queue *o, const uint8_t *p, size_t size) {
    for (size_t at = 20; at + 8 <= size && at < 20 + 16 * 8; at += 8) {
        const uint64_t number = ta_send_queue_find(o, (uint32_t)ta_get_be(p + at, 4));
        const uint8_t block = p[at + 4], missing = p[at + 5], round = p[at + 6];
        const ta_out_frame *f = number == UINT64_MAX ? NULL : ta_out_frame_at(o, number);
        o->stats.requests++;
        if (!f || f->out == 0 || missing == 0 || (block >= f->blocks && block != TA_ALL_BLOCKS)) {
            o->stats.requests_unknown++;
            continue;
        }
        if (o->targeted && (int32_t)(f->frame_id - o->reported_id) > 0) {
            o->reported_id = f->frame_id; /* its losses are known, so it got through */
            o->reported_whole = false;
        }
        for (size_t b = 0; b < f->blocks; b++)
            if (block == b || block == TA_ALL_BLOCKS)
                ask_block(o, number, b, missing, round);
    }
}

/* Handles abandoned frames, once each. After an abandoned key frame nothing can be decoded until the next one, so no
 * PLI is needed. */
static void see_lost(ta_send_queue *o, uint32_t newest, unsigned outcomes, uint64_t now_us) {
    for (unsigned back = 0; back < OUTCOMES; back++) {
        const bool given_up = (outcomes >> 2 * back & 3) == ABANDONED;
        const uint64_t number = given_up ? ta_send_queue_find(o, newest - back) : UINT64_MAX;
        if (given_up)
            ta_send_queue_lost(o, newest - back);
        if (number == UINT64_MAX || number + 1 != o->key_end ||
            now_us - ta_out_frame_at(o, number)->pushed_us < MIN_KEY_US)
            continue;
        o->key_end = 0;
        o->key_wanted = true;
        o->stats.keys_lost++;
    }
}

static void take_target(ta_send_queue *o, const uint8_t *p, uint64_t now_us) {
    const uint32_t number = (uint32_t)ta_get_be(p + 20, 4), newest = (uint32_t)ta_get_be(p + 28, 4);
    const uint32_t pace_us = (uint32_t)ta_get_be(p + 34, 2);
    if (o->targeted && (int32_t)(number - o->target_number) <= 0) {
        o->stats.targets_late++;
        return;
    }
    o->stats.targets++;
    o->stats.targets_clamped += p[36] > MAX_SHARE;
    o->target_number = number;
    o->repair_ratio = p[36] < MAX_SHARE ? p[36] : MAX_SHARE;
    o->target_pace = !o->config.fixed_pace && pace_us != TA_PACE_AS_CONFIGURED;
    o->pace_us = o->target_pace ? pace_us : o->config.pace_us;
    const uint64_t at = ta_send_queue_find(o, newest);
    const ta_out_frame *f = at == UINT64_MAX ? NULL : ta_out_frame_at(o, at);
    if (f && f->last_send_us && now_us >= f->last_send_us && (!o->targeted || newest != o->reported_id)) {
        const double delay = (double)(now_us - f->last_send_us);
        o->report_delay_us = o->report_delay_us != 0 ? o->report_delay_us + (delay - o->report_delay_us) / 8 : delay;
    }
    if (f || !o->targeted) { /* a frame that was never sent: not credible */
        o->reported_id = newest;
        o->reported_whole = (p[33] & 3) != INCOMPLETE;
    }
    see_lost(o, newest, (unsigned)ta_get_be(p + 32, 2), now_us);
    o->unconfirmed = 0;
    o->target_bps = (uint32_t)ta_get_be(p + 24, 4);
    o->congested = p[37] >= DELAY && p[37] <= LOSS_WITH_DELAY;
    o->targeted = true;
}

/* Finds the packet with this sequence number. Refused units leave gaps, so it is at its distance or nearer. */
static uint64_t find_packet(const ta_send_queue *o, uint16_t seq) {
    enum { HOLES = 64 };
    const uint64_t last = o->packet_tail - 1;
    if (o->packet_tail == 0)
        return UINT64_MAX;
    const uint16_t back = (uint16_t)(ta_out_packet_at(o, last)->seq - seq);
    if (back >= TA_SEND_QUEUE_PACKETS || back > last)
        return UINT64_MAX;
    for (uint64_t at = last - back; at <= last && at <= last - back + HOLES; at++)
        if (ta_out_packet_at(o, at)->seq == seq)
            return at;
    return UINT64_MAX;
}

static void take_nack(ta_send_queue *o, const uint8_t *p, size_t size) {
    const uint64_t leaving = o->frame_at < o->frame_tail
                               ? ta_out_frame_at(o, o->frame_at)->first + ta_out_frame_at(o, o->frame_at)->out
                               : o->packet_tail;
    for (size_t at = 12; at + 4 <= size; at += 4) {
        const uint32_t first = (uint32_t)ta_get_be(p + at, 2), more = (uint32_t)ta_get_be(p + at + 2, 2);
        for (unsigned i = 0; i <= 16; i++) {
            if (i && !(more >> (i - 1) & 1))
                continue;
            const uint64_t packet = find_packet(o, (uint16_t)(first + i));
            o->stats.requests++;
            if (packet >= leaving)
                o->stats.requests_unknown++;
            else
                queue(o, (ta_out_request){.packet = packet, .retransmit = true}, 1);
        }
    }
}

bool ta_send_queue_control(ta_send_queue *o, const uint8_t *data, size_t size, uint64_t now_us) {
    bool all = size > 0;
    o->due_count = 0;
    for (size_t at = 0; at + 4 <= size;) {
        const uint8_t *p = data + at;
        const size_t length = 4 * (1 + (size_t)ta_get_be(p + 2, 2)), count = p[0] & 0x1f;
        if (p[0] >> 6 != 2 || length > size - at)
            return false;
        const bool app = p[1] == APP && length >= 20 && memcmp(p + 8, "TAIR", 4) == 0;
        const bool known = app && o->cookie != 0 && ta_get_be(p + 12, 8) == o->cookie && o->config.packets.elements;
        const bool ours = p[1] == RTPFB && count == NACK && length >= 16 && !o->config.raw &&
                          (uint32_t)ta_get_be(p + 8, 4) == o->config.packets.ssrc;
        if (app && count == REPAIR) {
            if (known)
                take_repair(o, p, length);
            else
                o->stats.requests_refused++;
        } else if (ours) {
            take_nack(o, p, length);
        } else {
            all = false;
            if (known && count == TARGET && length >= 40)
                take_target(o, p, now_us);
        }
        at += length;
    }
    return all;
}
