/* Packets in any order, raw or built from a few small fields (so that frames do complete), and passing time. Built
 * twice: with elements and plain. */
#include "fuzz.h"
#include "thinair/reassembler.h"

enum { MAX_AU = 20000 };

typedef struct numbers {
    uint16_t seq;
    uint32_t frame;
} numbers;

/* Fields differ little from the previous packet, as in a network or from an attacker. */
static size_t make_packet(cursor *c, uint8_t kind, numbers *n, uint8_t *out) {
    if (kind & 0x40)
        *n = (numbers){0xfff0, 0xfffffff0};
    uint8_t step = take(c), where = take(c);
    uint32_t frame = n->frame += (uint32_t)((int8_t)(step << 4) >> 4);
    uint16_t seq = n->seq = (uint16_t)(n->seq + ((int8_t)step >> 4));
    uint8_t index = where & 15, count = (uint8_t)((where >> 4) + 1);
    bool marker = ELEMENTS ? (index + 1 == count) != !(kind & 1) : where & 1;
    uint8_t head[28] = {ELEMENTS ? 0x90 : 0x80,
                        (uint8_t)(marker << 7 | 96),
                        (uint8_t)(seq >> 8),
                        (uint8_t)seq,
                        (uint8_t)(frame >> 8),
                        (uint8_t)frame,
                        0,
                        0,
                        0,
                        0,
                        0,
                        kind & 2 ? 1 : 7,
                        0xbe,
                        0xde,
                        0,
                        3,
                        0x28,
                        (uint8_t)(frame >> 24),
                        (uint8_t)(frame >> 16),
                        (uint8_t)(frame >> 8),
                        (uint8_t)frame,
                        0,
                        index,
                        0,
                        count,
                        0,
                        0,
                        0};
    size_t header = ELEMENTS ? sizeof head : TA_RTP_HEADER, got;
    if (ELEMENTS) {
        uint16_t position = (uint16_t)(frame * 16 + index + (kind & 4 ? step : 0));
        head[2] = (uint8_t)(position >> 8);
        head[3] = (uint8_t)position;
    }
    memcpy(out, head, header);
    const uint8_t *payload = take_bytes(c, take(c), &got);
    if (got)
        memcpy(out + header, payload, got);
    return header + got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cursor c = {data, size};
    static uint8_t unit[MAX_AU];
    uint8_t packet[2048];
    uint64_t now_us = 1, next_id = 0;
    static ta_reassembler *opened[8]; /* by window; opening is the slowest part */
    ta_au_info info;
    numbers n = {0, 0};
    uint8_t options = take(&c);
    ta_reassembler_config config = {options & 1 ? 96 : 0, ELEMENTS, 2 + options % 8, 300u << (options % 8), MAX_AU, 0};
    if (!opened[options % 8])
        CHECK(ta_reassembler_open(&opened[options % 8], &config) == TA_OK);
    ta_reassembler *r = opened[options % 8];
    ta_reassembler_reset(r);
    while (c.size > 0) {
        uint8_t kind = take(&c);
        size_t length;
        const uint8_t *bytes = packet;
        if (kind & 0x80)
            bytes = take_bytes(&c, take16(&c), &length);
        else
            length = make_packet(&c, kind, &n, packet);
        now_us += kind & 8 ? 2000 : kind & 16 ? 600000 : 1;
        ta_reassembler_push(r, bytes, length, now_us);
        if ((kind & 0xa0) == 0x20)
            continue; /* ready units are left in place */
        uint64_t deadline = ta_reassembler_deadline(r);
        if (deadline != UINT64_MAX && kind & 1 && now_us < deadline)
            now_us = deadline;
        bool due = deadline <= now_us;
        uint64_t refused = ta_reassembler_drops(r)[TA_DROP_FU] + ta_reassembler_drops(r)[TA_DROP_STAP] +
                           ta_reassembler_drops(r)[TA_DROP_NAL] + ta_reassembler_drops(r)[TA_DROP_OVERSIZE];
        bool any = false;
        while (ta_reassembler_next(r, now_us, unit, sizeof unit, &info) == TA_OK) {
            CHECK(info.size > 4 && info.size <= MAX_AU && info.packets > 0 && info.packets <= TA_MAX_FRAME_PACKETS);
            CHECK(info.frame_id >= next_id && info.last_us <= now_us && info.first_us <= info.last_us);
            CHECK(memcmp(unit, "\0\0\0\1", 4) == 0);
            CHECK((info.lost_before == 0 || (info.flags & TA_AU_GAP)) && info.lost_before < 1000000);
            next_id = info.frame_id + 1;
            any = true;
        }
        if (due && !any) { /* a deadline without a result: a unit was refused */
            const uint64_t *drops = ta_reassembler_drops(r);
            CHECK(drops[TA_DROP_FU] + drops[TA_DROP_STAP] + drops[TA_DROP_NAL] + drops[TA_DROP_OVERSIZE] > refused);
        }
        deadline = ta_reassembler_deadline(r);
        CHECK(deadline > now_us);
    }
    return 0;
}
