/* Units, control datagrams (raw or built), time, and partial sends, in any order. Every datagram fits its limit,
 * answers stay within their budget, a deadline is never in the past, and the output ends. */
#include "fuzz.h"

#include "thinair/send_queue.h"

enum { MAX_UNIT = 60000, BATCH = 24, BUDGET = 64, COOKIE = 7, SSRC = 9 };

static uint8_t unit[MAX_UNIT];

static size_t make_unit(size_t size, bool key) {
    memset(unit, 0x55, sizeof unit);
    memcpy(unit, "\0\0\0\1", 4);
    unit[4] = key ? 0x65 : 0x41;
    return 6 + size % (MAX_UNIT - 6);
}

static uint8_t *head(uint8_t *at, unsigned count, unsigned type, size_t size) {
    *at++ = (uint8_t)(0x80 | count);
    *at++ = (uint8_t)type;
    at = put_be(at, size / 4 - 1, 2);
    return put_be(at, 5, 4);
}

/* REPAIR, TARGET or NACK with fields from the input, close to what was sent. */
static size_t make_control(cursor *c, uint32_t frame_id, uint8_t *out) {
    const uint8_t kind = take(c), count = take(c) % 17;
    const size_t size = kind % 3 == 0 ? 20 + 8u * count : kind % 3 == 1 ? 40 : 12 + 4u * count;
    uint8_t *at = head(out, kind % 3 == 0 ? 7 : kind % 3 == 1 ? 8 : 1, kind % 3 == 2 ? 205 : 204, size);
    if (kind % 3 == 2) {
        at = put_be(at, kind & 64 ? 0 : SSRC, 4);
    } else {
        memcpy(at, "TAIR", 4);
        at = put_be(at + 4, kind & 64 ? 0 : COOKIE, 8);
    }
    if (kind % 3 == 0 || kind % 3 == 2) {
        for (unsigned i = 0; i < count; i++) {
            if (kind % 3 == 0)
                at = put_be(at, frame_id - (take(c) & 15), 4);
            for (unsigned j = 0; j < 4; j++)
                *at++ = take(c);
        }
    } else {
        at = put_be(at, take(c), 4);
        at = put_be(at, (uint64_t)take16(c) << 8, 4);
        at = put_be(at, frame_id - (take(c) & 15), 4);
        for (unsigned j = 0; j < 8; j++)
            *at++ = take(c);
    }
    return (size_t)(at - out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cursor c = {data, size};
    static ta_send_queue *opened[8];
    uint8_t control[2048];
    ta_datagram out[BATCH];
    const uint8_t options = take(&c);
    const ta_send_queue_config config = {
        .packets = {96, SSRC, 65500, options & 1 ? TA_MAX_LINK_PACKET : TA_MIN_PACKET, (options & 2) != 0},
        .pace_group = options & 4 ? 4 : 0,
        .pace_us = options & 4 ? 700 : 0,
        .interval_us = 33333,
    };
    if (!opened[options & 7])
        CHECK(ta_send_queue_open(&opened[options & 7], &config) == TA_OK);
    ta_send_queue *o = opened[options & 7];
    ta_send_queue_reset(o);
    ta_send_queue_set_cookie(o, COOKIE);
    const ta_send_queue_stats before = *ta_send_queue_stats_get(o), *stats = ta_send_queue_stats_get(o);
    uint64_t now_us = 1;
    uint32_t frame_id = options & 8 ? UINT32_MAX - 2 : 0;
    while (c.size > 0) {
        const uint8_t step = take(&c);
        now_us += step & 0x20 ? 33333 : step & 0x40 ? 300000 : 100;
        if (step % 4 == 0) {
            const bool key = (step & 4) != 0;
            size_t packets;
            const size_t length = make_unit(take16(&c), key);
            const ta_frame_meta meta = {.frame_id = frame_id++, .key = key, .stamps = {.capture_us = now_us}};
            const ta_status status = ta_send_queue_push(o, unit, length, &meta, now_us, &packets);
            CHECK((status == TA_OK && packets > 0) || (status == TA_ETOOBIG && packets == 0));
        } else if (step % 4 == 1) {
            ta_send_queue_control(o, control, make_control(&c, frame_id, control), now_us);
        } else if (step % 4 == 2 && step & 8) {
            size_t got;
            const uint8_t *bytes = take_bytes(&c, take(&c), &got);
            ta_send_queue_control(o, bytes, got, now_us);
        } else {
            ta_send_queue_ready(o, now_us, step & 4 ? take16(&c) : 0);
        }
        for (unsigned turn = 0; !(step & 0x80) && turn < 10000; turn++) {
            const size_t limit = 1 + step % BATCH, n = ta_send_queue_due(o, now_us, out, limit);
            CHECK(n <= limit && turn < 9999);
            for (size_t i = 0; i < n; i++)
                CHECK(out[i].size > TA_RTP_HEADER && out[i].size <= TA_MAX_PACKET && out[i].data[0] >> 6 == 2);
            const size_t left = step & 16 ? (n + 1) / 2 : n; /* the kernel accepted some */
            ta_send_queue_sent(o, left, now_us, now_us + 1);
            if (n == 0) {
                CHECK(ta_send_queue_deadline(o) > now_us);
                break;
            }
        }
        CHECK(stats->repair_on_demand + stats->retransmitted - before.repair_on_demand - before.retransmitted <=
              BUDGET + stats->packets - before.packets);
    }
    return 0;
}
