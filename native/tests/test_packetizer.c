/* RTP packets, written and parsed. */
#include "thinair/h264.h"
#include "thinair/rtp.h"

#include "check.h"

static uint8_t unit[4096 + 64], packet[TA_MAX_PACKET];

/* SPS, PPS and an IDR slice of `slice` bytes. */
static size_t make_unit(size_t slice) {
    static const uint8_t head[] = {0, 0, 0, 1, 0x09, 0x10, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 1};
    memcpy(unit, head, sizeof head);
    memset(unit + sizeof head, 0x55, slice);
    unit[sizeof head] = 0x65;
    return sizeof head + slice;
}

static ta_packetizer *open_packetizer(size_t max_packet, bool elements) {
    ta_packetizer *p = NULL;
    CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){96, 0x01020304, 65535, max_packet, elements}) == TA_OK);
    return p;
}

static void parameter_sets_share_a_packet_and_a_delimiter_is_not_sent(void) {
    ta_packetizer *p = open_packetizer(1400, false);
    ta_frame_meta meta = {.rtp_time = 0x0a0b0c0d};
    size_t size;
    CHECK(ta_packetizer_push(p, unit, make_unit(100), &meta) == TA_OK && ta_packetizer_count(p) == 2);
    CHECK(ta_packetizer_next(p, packet, sizeof packet, &size) == TA_OK);
    CHECK(size == 22 && memcmp(packet, "\x80\x60\xff\xff\x0a\x0b\x0c\x0d\1\2\3\4\x78\0\3\x67\1\2\0\2\x68\3", 22) == 0);
    CHECK(ta_packetizer_next(p, packet, sizeof packet, &size) == TA_OK);
    CHECK(size == 112 && packet[1] == 0xe0 && packet[2] == 0 && packet[3] == 0 && packet[12] == 0x65);
    CHECK(ta_packetizer_next(p, packet, sizeof packet, &size) == TA_AGAIN);
    ta_packetizer_close(&p);
    CHECK(p == NULL);
}

static void fragments_fill_their_packets(void) {
    ta_packetizer *p = open_packetizer(300, false);
    size_t size, total = 0, packets = 0;
    CHECK(ta_packetizer_push(p, unit, make_unit(2000), &(ta_frame_meta){0}) == TA_OK);
    size_t count = ta_packetizer_count(p);
    while (ta_packetizer_next(p, packet, sizeof packet, &size) == TA_OK) {
        if (packets++ == 0)
            continue; /* the parameter sets */
        CHECK(packet[12] == 0x7c && (packet[13] & 31) == 5);
        CHECK((packet[13] & 0xc0) == (packets == 2 ? 0x80 : packets == count ? 0x40 : 0));
        CHECK(size == 300 || packets == count);
        total += size - 14;
    }
    CHECK(total == 1999 && packets == count && count == 1 + (1999 + 285) / 286);
    ta_packetizer_close(&p);
}

static void every_element_is_parsed_as_written(void) {
    ta_packetizer *p = open_packetizer(300, true);
    const ta_frame_meta meta = {
        .frame_id = 0xfffffffe,
        .rtp_time = 90,
        .capture_ntp = 0x1122334455667788,
        .key = true,
        .stamps = {0x0000a1b2c3d4e5f6, 0x0000a1b2c3d4e5f6 + 5, 0, 0x0000a1b2c3d4e5f6 + 0x1000000},
        .sent = {0x12345678, 1000, 1250, 0},
    };
    ta_rtp r;
    ta_drop why;
    size_t size;
    CHECK(ta_packetizer_push(p, unit, make_unit(500), &meta) == TA_OK);
    CHECK(ta_packetizer_next(p, packet, sizeof packet, &size) == TA_OK);
    CHECK(size == 12 + 48 + 10);
    CHECK(ta_rtp_parse(packet, size, &r, &why) == TA_OK);
    CHECK(r.has_element && r.frame_id == 0xfffffffe && r.index == 0 && r.count == 3 && r.key &&
          r.capture_ntp == meta.capture_ntp);
    CHECK(r.has_stamps && r.stamps.capture_us == meta.stamps.capture_us &&
          r.stamps.dequeue_us == meta.stamps.dequeue_us);
    CHECK(r.stamps.encode_in_us == 0 && r.stamps.encode_out_us == 0);
    CHECK(r.has_sent && r.sent_frame_id == 0x5678 && r.sent_first_delta == 250 &&
          r.sent_last_delta == TA_DELTA_UNKNOWN);
    CHECK(ta_packetizer_next(p, packet, sizeof packet, &size) == TA_OK && size == 300);
    CHECK(ta_rtp_parse(packet, size, &r, &why) == TA_OK && r.payload_size == 300 - 12 - 16 && r.index == 1 &&
          !r.has_sent);
    ta_packetizer_close(&p);
}

static void wrong_arguments_are_refused(void) {
    ta_packetizer *p = NULL;
    size_t size, n = make_unit(500);
    CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){.max_packet = TA_MIN_PACKET - 1}) == TA_EINVAL && p == NULL);
    CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){.max_packet = TA_MAX_PACKET + 1}) == TA_EINVAL);
    CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){.payload_type = 128, .max_packet = 1400}) == TA_EINVAL);
    p = open_packetizer(TA_MIN_PACKET, true);
    const ta_frame_meta meta = {0};
    CHECK(ta_packetizer_push(p, (const uint8_t *)"abc", 3, &meta) == TA_EBITSTREAM);
    CHECK(ta_packetizer_push(p, (const uint8_t *)"\0\0\1\x09\xf0", 5, &meta) == TA_EBITSTREAM); /* only a delimiter */
    CHECK(ta_packetizer_push(p, (const uint8_t *)"\0\0\1\x18\xf0", 5, &meta) ==
          TA_EBITSTREAM); /* a type reserved by RTP */
    CHECK(ta_packetizer_push(p, unit, n, &meta) == TA_OK && ta_packetizer_push(p, unit, n, &meta) == TA_EINVAL);
    CHECK(ta_packetizer_next(p, packet, 20, &size) == TA_ETOOBIG && ta_packetizer_next(p, packet, 200, &size) == TA_OK);
    ta_packetizer_close(&p);
    ta_packetizer_close(&p);
}

static void a_unit_of_too_many_packets_or_nal_units_is_refused(void) {
    static uint8_t big[TA_MAX_FRAME_PACKETS * 200];
    ta_packetizer *p = open_packetizer(TA_MIN_PACKET, false);
    memset(big, 0x55, sizeof big);
    memcpy(big, "\0\0\1\x65", 4);
    CHECK(ta_packetizer_push(p, big, sizeof big, &(ta_frame_meta){0}) == TA_ETOOBIG && ta_packetizer_count(p) == 0);
    for (size_t i = 0; i <= TA_MAX_NALS; i++)
        memcpy(big + 5 * i, "\0\0\1\x65\x88", 5);
    CHECK(ta_packetizer_push(p, big, 5 * (TA_MAX_NALS + 1), &(ta_frame_meta){0}) == TA_ETOOBIG);
    CHECK(ta_packetizer_push(p, big, 5 * TA_MAX_NALS, &(ta_frame_meta){0}) == TA_OK);
    CHECK(ta_packetizer_count(p) == TA_MAX_NALS);
    ta_packetizer_close(&p);
}

static ta_drop refusal(const char *bytes, size_t size) {
    ta_rtp r;
    ta_drop why = TA_DROP_COUNT;
    return ta_rtp_parse((const uint8_t *)bytes, size, &r, &why) == TA_OK ? TA_DROP_COUNT : why;
}
#define REFUSAL(literal) refusal(literal, sizeof literal - 1)

static void inconsistent_headers_are_refused_with_a_drop_reason(void) {
    CHECK(REFUSAL("\x80\x60\0\1\0\0\0\0\0\0\0\0\x41") == TA_DROP_COUNT);
    CHECK(REFUSAL("\x80\x60\0\1\0\0\0\0\0\0\0") == TA_DROP_SHORT);
    CHECK(REFUSAL("\x80\x60\0\1\0\0\0\0\0\0\0\0") == TA_DROP_SHORT);
    CHECK(REFUSAL("\x40\x60\0\1\0\0\0\0\0\0\0\0\x41") == TA_DROP_VERSION);
    CHECK(REFUSAL("\x8f\x60\0\1\0\0\0\0\0\0\0\0\x41") == TA_DROP_EXTENSION);
    CHECK(REFUSAL("\x90\x60\0\1\0\0\0\0\0\0\0\0\xbe\xde\0") == TA_DROP_EXTENSION);
    CHECK(REFUSAL("\x90\x60\0\1\0\0\0\0\0\0\0\0\xbe\xde\0\2\0\0\0\0\x41") == TA_DROP_EXTENSION);
    CHECK(REFUSAL("\x90\x60\0\1\0\0\0\0\0\0\0\0\xbe\xde\0\1\x27\0\0\0\x41") ==
          TA_DROP_EXTENSION); /* element too long */
    CHECK(REFUSAL("\xa0\x60\0\1\0\0\0\0\0\0\0\0\x41\0") == TA_DROP_PADDING);
    CHECK(REFUSAL("\xa0\x60\0\1\0\0\0\0\0\0\0\0\x41\3") == TA_DROP_PADDING);
    CHECK(REFUSAL("\xa0\x60\0\1\0\0\0\0\0\0\0\0\x41\2") == TA_DROP_SHORT); /* nothing but padding */
    CHECK(REFUSAL("\xa0\x60\0\1\0\0\0\0\0\0\0\0\x41\1") == TA_DROP_COUNT);
}

static void unknown_extensions_are_skipped(void) {
    CHECK(REFUSAL("\x90\x60\0\1\0\0\0\0\0\0\0\0\x10\0\0\1\xff\xff\xff\xff\x41") ==
          TA_DROP_COUNT); /* two-byte headers */
    CHECK(REFUSAL("\x90\x60\0\1\0\0\0\0\0\0\0\0\xbe\xde\0\1\xff\xff\xff\xff\x41") == TA_DROP_COUNT);   /* id 15: stop */
    CHECK(REFUSAL("\x91\x60\0\1\0\0\0\0\0\0\0\0\1\2\3\4\xbe\xde\0\1\0\x50\7\0\x41") == TA_DROP_COUNT); /* CSRC */
}

int main(void) {
    RUN(parameter_sets_share_a_packet_and_a_delimiter_is_not_sent);
    RUN(fragments_fill_their_packets);
    RUN(every_element_is_parsed_as_written);
    RUN(wrong_arguments_are_refused);
    RUN(a_unit_of_too_many_packets_or_nal_units_is_refused);
    RUN(inconsistent_headers_are_refused_with_a_drop_reason);
    RUN(unknown_extensions_are_skipped);
    return failures != 0;
}
