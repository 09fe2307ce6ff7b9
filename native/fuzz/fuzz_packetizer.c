/* An access unit to packets, shuffled and duplicated, and back to the same NAL units. */
#include "fuzz.h"
#include "thinair/h264.h"
#include "thinair/reassembler.h"
#include "thinair/rtp.h"

enum { MAX_INPUT = 1 << 18 };

typedef struct packet {
    size_t size;
    uint8_t data[TA_MAX_PACKET];
} packet;

static packet packets[TA_MAX_FRAME_PACKETS];
static uint8_t expected[MAX_INPUT * 2], got[MAX_INPUT * 2];

/* The unit as the reassembler writes it: start codes of four bytes, no delimiter. */
static size_t canonical(const uint8_t *au, size_t size, ta_nal *nals, size_t *kept) {
    size_t found = ta_annexb_split(au, size, nals, TA_MAX_NALS), n = 0;
    *kept = 0;
    for (size_t i = 0; i < found && i < TA_MAX_NALS; i++) {
        if ((au[nals[i].offset] & 31) == TA_NAL_AUD)
            continue;
        memcpy(expected + n, "\0\0\0\1", 4);
        memcpy(expected + n + 4, au + nals[i].offset, nals[i].size);
        n += 4 + nals[i].size;
        ++*kept;
    }
    return n;
}

static size_t drain(ta_packetizer *p, const ta_packetizer_config *config) {
    size_t count = ta_packetizer_count(p);
    CHECK(count > 0 && count <= TA_MAX_FRAME_PACKETS);
    for (size_t i = 0; i < count; i++) {
        ta_rtp rtp;
        ta_drop why;
        CHECK(ta_packetizer_next(p, packets[i].data, 11, &packets[i].size) == TA_ETOOBIG);
        CHECK(ta_packetizer_next(p, packets[i].data, TA_MAX_PACKET, &packets[i].size) == TA_OK);
        CHECK(packets[i].size <= config->max_packet);
        CHECK(ta_rtp_parse(packets[i].data, packets[i].size, &rtp, &why) == TA_OK);
        CHECK(rtp.seq == (uint16_t)(config->first_seq + i) && rtp.marker == (i + 1 == count));
        CHECK(rtp.has_element == config->elements && (!config->elements || (rtp.index == i && rtp.count == count)));
    }
    CHECK(ta_packetizer_next(p, packets[0].data, TA_MAX_PACKET, &packets[0].size) == TA_AGAIN);
    return count;
}

static void round_trip(cursor *order, size_t count, bool elements, size_t size) {
    ta_reassembler *r = NULL;
    ta_au_info info;
    uint8_t lead[] = {0x80, 0xe0, packets[0].data[2], packets[0].data[3], 9, 9, 9, 9, 0, 0, 0, 7, 0x67};
    unsigned before = (unsigned)(lead[2] << 8 | lead[3]) - 1;
    lead[2] = (uint8_t)(before >> 8);
    lead[3] = (uint8_t)before;
    CHECK(ta_reassembler_open(&r, &(ta_reassembler_config){96, elements, 2, 1000, sizeof got, 0}) == TA_OK);
    if (!elements) { /* a unit before it, so that its first packet is recognized */
        ta_reassembler_push(r, lead, sizeof lead, 1);
        CHECK(ta_reassembler_next(r, 1, got, sizeof got, &info) == TA_OK);
    }
    for (size_t left = count; left > 0; left--) { /* any order */
        size_t pick = take16(order) % left;
        ta_reassembler_push(r, packets[pick].data, packets[pick].size, 1);
        if (left % 4 == 2)
            ta_reassembler_push(r, packets[pick].data, packets[pick].size, 1);
        packet swap = packets[pick];
        packets[pick] = packets[left - 1];
        packets[left - 1] = swap;
        if (left > 1)
            CHECK(ta_reassembler_next(r, 1, got, sizeof got, &info) == TA_AGAIN);
    }
    CHECK(ta_reassembler_next(r, 1, got, sizeof got, &info) == TA_OK);
    CHECK(info.size == size && memcmp(got, expected, size) == 0 && info.packets == count);
    ta_reassembler_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ta_nal nals[TA_MAX_NALS];
    cursor c = {data, size};
    ta_packetizer *p = NULL;
    size_t kept, length;
    uint8_t options = take(&c);
    uint16_t seed = take16(&c);
    ta_packetizer_config config = {96, 7, seed, TA_MIN_PACKET + seed % (TA_MAX_PACKET - TA_MIN_PACKET + 1),
                                   options & 1};
    ta_frame_meta meta = {.frame_id = seed, .rtp_time = seed * 7u, .key = options & 2};
    if (options & 4)
        meta.capture_ntp = 1;
    if (options & 8)
        meta.stamps = (ta_stamps){1000, 1001, 999, 90000000};
    if (options & 16)
        meta.sent = (ta_sent){seed, 500, 900, 1000};
    if (c.size > MAX_INPUT)
        c.size = MAX_INPUT;
    length = canonical(c.data, c.size, nals, &kept);
    CHECK(ta_packetizer_open(&p, &config) == TA_OK);
    ta_status status = ta_packetizer_push(p, c.data, c.size, &meta);
    CHECK(status == TA_OK || ta_packetizer_count(p) == 0);
    if (status == TA_OK) {
        CHECK(kept > 0 && ta_packetizer_push(p, c.data, c.size, &meta) == TA_EINVAL);
        size_t count = drain(p, &config);
        round_trip(&c, count, config.elements, length);
    }
    ta_packetizer_close(&p);
    ta_packetizer_close(&p);
    return 0;
}
