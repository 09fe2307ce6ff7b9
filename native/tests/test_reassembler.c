#include "thinair/reassembler.h"

#include "check.h"

static ta_reassembler *r;
static ta_packetizer *p;
static uint8_t packets[8][TA_MAX_PACKET], unit[8192];
static size_t sizes[8];
static ta_au_info info;

static void open_both(bool elements, uint32_t window, uint32_t reorder_us) {
    CHECK(ta_reassembler_open(&r, &(ta_reassembler_config){96, elements, window, reorder_us, sizeof unit, 0}) == TA_OK);
    CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){96, 5, 65533, 200, elements}) == TA_OK);
}

static void close_both(void) {
    ta_reassembler_close(&r);
    ta_packetizer_close(&p);
}

/* A frame of four packets (plain) or five (elements) into packets[]. */
static size_t make(uint32_t frame_id) {
    static uint8_t au[700];
    size_t n = 0;
    memset(au, (int)(frame_id % 200 + 20), sizeof au);
    memcpy(au, "\0\0\0\1\x41\x9a", 6);
    CHECK(ta_packetizer_push(p, au, sizeof au, &(ta_frame_meta){.frame_id = frame_id, .rtp_time = frame_id * 3000}) ==
          TA_OK);
    while (ta_packetizer_next(p, packets[n], TA_MAX_PACKET, &sizes[n]) == TA_OK)
        n++;
    return n;
}

static void push(size_t i, uint64_t when_us) { ta_reassembler_push(r, packets[i], sizes[i], when_us); }

static size_t send(uint32_t frame_id, size_t without, uint64_t when_us) {
    size_t n = make(frame_id);
    for (size_t i = 0; i < n; i++)
        if (i != without)
            push(i, when_us);
    return n;
}

static bool next(uint64_t now_us) { return ta_reassembler_next(r, now_us, unit, sizeof unit, &info) == TA_OK; }
static uint64_t drops(ta_drop reason) { return ta_reassembler_drops(r)[reason]; }

enum { NONE = 99 };

static void a_frame_is_complete_with_its_last_packet_and_waits_for_nothing(void) {
    for (int elements = 0; elements < 2; elements++) {
        open_both(elements, 4, 4000);
        size_t n = make(7);
        for (size_t i = 0; i < n; i++) {
            CHECK(!next(100));
            push(i, 10 + i);
        }
        CHECK(ta_reassembler_deadline(r) <= 10 + n && next(100));
        CHECK(info.size == 700 && info.packets == n && info.first_us == 10 && info.last_us == 9 + n &&
              info.first_seq == 65533);
        CHECK(info.rtp_time == 21000 && info.frame_id == (elements ? 7 : 0) && info.flags == 0);
        CHECK(!next(100) && ta_reassembler_deadline(r) == UINT64_MAX);
        close_both();
    }
}

static void a_complete_frame_waits_for_an_earlier_one_no_longer_than_reorder_us(void) {
    for (int elements = 0; elements < 2; elements++) {
        open_both(elements, 4, 4000);
        send(0, NONE, 10);
        CHECK(next(10));
        send(1, 1, 20);
        send(2, NONE, 30);
        CHECK(!next(4029) && ta_reassembler_deadline(r) == 4030);
        CHECK(next(4030) && info.frame_id == 2 && info.lost_before == 1 && info.flags == TA_AU_GAP);
        CHECK(drops(TA_DROP_INCOMPLETE) == 1);
        make(3);
        push(0, 5000); /* the numbers continue */
        CHECK(drops(TA_DROP_SEQUENCE) + drops(TA_DROP_LATE) == 0);
        close_both();
    }
}

static void a_late_packet_within_the_window_completes_both_frames(void) {
    for (int elements = 0; elements < 2; elements++) {
        open_both(elements, 4, 4000);
        send(0, NONE, 10);
        CHECK(next(10));
        send(1, 1, 20);
        uint8_t kept[TA_MAX_PACKET];
        size_t size = sizes[1];
        memcpy(kept, packets[1], size);
        send(2, NONE, 30);
        ta_reassembler_push(r, kept, size, 40);
        CHECK(next(40) && info.frame_id == 1 && info.last_us == 40 && next(40) && info.frame_id == 2 &&
              info.lost_before == 0);
        ta_reassembler_push(r, kept, size, 50);
        CHECK(drops(TA_DROP_LATE) == 1);
        close_both();
    }
}

static void a_packet_received_twice_is_a_duplicate(void) {
    for (int elements = 0; elements < 2; elements++) {
        open_both(elements, 4, 4000);
        make(0);
        push(0, 1);
        push(0, 1);
        CHECK(drops(TA_DROP_DUPLICATE) == 1);
        close_both();
    }
}

static void a_full_window_abandons_the_oldest_frame(void) {
    for (int elements = 0; elements < 2; elements++) {
        open_both(elements, 2, 1000000);
        send(0, NONE, 1);
        CHECK(next(1));
        send(1, 0, 2);
        send(2, 2, 2);
        CHECK(drops(TA_DROP_INCOMPLETE) == 0);
        send(3, NONE, 3);
        CHECK(drops(TA_DROP_INCOMPLETE) == 1 && !next(3));
        send(4, NONE, 4);
        CHECK(drops(TA_DROP_INCOMPLETE) == 2);
        CHECK(next(4) && info.frame_id == 3 && info.lost_before == 2 && next(4) && info.frame_id == 4);
        close_both();
    }
}

static void frames_not_taken_are_dropped_oldest_first(void) {
    open_both(true, 2, 1000);
    for (uint32_t i = 0; i < 8; i++)
        send(i, NONE, 1);
    CHECK(drops(TA_DROP_QUEUE_FULL) == 5);
    CHECK(next(1) && info.frame_id == 5 && info.lost_before == 5 && next(1) && next(1) && !next(1));
    close_both();
}

static void frames_never_seen_count_as_lost(void) {
    open_both(true, 4, 1000);
    send(0, NONE, 1);
    CHECK(next(1));
    send(10, NONE, 2);
    CHECK(!next(2) && next(1002) && info.lost_before == 9 && drops(TA_DROP_INCOMPLETE) == 9);
    close_both();
}

static void two_consecutive_packets_validate_a_jump(void) {
    for (int elements = 0; elements < 2; elements++) {
        open_both(elements, 4, 1000);
        send(0, NONE, 1);
        CHECK(next(1));
        uint64_t before = info.frame_id;
        ta_packetizer_close(&p);
        CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){96, 5, 0x7fff, 200, elements}) == TA_OK);
        size_t n = make(70000);
        push(0, 2);
        CHECK(drops(TA_DROP_SEQUENCE) == 1);
        for (size_t i = 1; i < n; i++)
            push(i, 3);
        if (!elements) { /* only first_mb 0 shows, after a restart, that its first packet is the first of a frame */
            CHECK(next(3) && info.frame_id > before && info.flags == TA_AU_GAP);
        } else {
            CHECK(next(3) && info.frame_id == 70000 && info.flags == TA_AU_GAP);
        }
        CHECK(drops(TA_DROP_SEQUENCE) == 1);
        close_both();
    }
}

static void another_ssrc_takes_over_only_after_silence(void) {
    open_both(true, 4, 1000);
    send(0, NONE, 1000);
    CHECK(next(1000));
    ta_packetizer_close(&p);
    CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){96, 6, 0, 200, true}) == TA_OK);
    size_t n = send(0, NONE, 400000);
    CHECK(drops(TA_DROP_SSRC) == n && !next(400000));
    send(0, NONE, 501001);
    CHECK(next(501001) && (uint32_t)info.frame_id == 0 && info.frame_id > 0 && info.flags & TA_AU_GAP);
    ta_reassembler_reset(r);
    send(3, NONE, 501002);
    CHECK(next(501002) && info.frame_id == 3 && info.flags == 0);
    close_both();
}

static void an_inconsistent_frame_element_is_refused(void) {
    static const struct {
        size_t at;
        uint8_t change;
    } lies[] = {
        {22, 0x80}, {24, 1}, {25, 1}, {1, 0x80}, {3, 1}, {7, 1} /* index, count, key, marker, seq, time */
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        open_both(true, 4, 1000);
        make(0);
        push(0, 1);
        packets[1][lies[i].at] ^= lies[i].change;
        push(1, 1);
        CHECK(drops(TA_DROP_ELEMENT) == 1);
        close_both();
    }
    open_both(true, 4, 1000);
    const uint8_t plain[] = {0x80, 0xe0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0x41}; /* no element at all */
    ta_reassembler_push(r, plain, sizeof plain, 1);
    CHECK(drops(TA_DROP_ELEMENT) == 1);
    close_both();
}

static void a_damaged_unit_is_counted_by_reason_and_as_lost_for_the_next(void) {
    static const struct {
        const char *payload;
        size_t size;
        ta_drop reason;
    } bad[] = {
        {"\x78\0\2\x67\x42\0", 6, TA_DROP_STAP},
        {"\x78", 1, TA_DROP_STAP},
        {"\x78\0\0\0\0", 5, TA_DROP_STAP},
        {"\x78\0\x20\x67", 4, TA_DROP_STAP},
        {"\x7c\x05\1", 3, TA_DROP_FU},
        {"\x7c\xc5\1", 3, TA_DROP_FU},
        {"\x7c\x85\1", 3, TA_DROP_FU},
        {"\x7c", 1, TA_DROP_FU},
        {"\x7d\x85\1", 3, TA_DROP_NAL},
        {"\x00\1", 2, TA_DROP_NAL},
        {"\x79\1", 2, TA_DROP_NAL},
        {"\xe1\1", 2, TA_DROP_NAL},
        {"\x78\0\2\x78\1", 5, TA_DROP_NAL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        open_both(true, 4, 1000);
        send(0, NONE, 1);
        CHECK(next(1));
        uint8_t packet[64] = {0x90, 0xe0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 5, 0xbe, 0xde, 0, 3, 0x28, 0, 0, 0, 1, 0, 0, 0, 1};
        memcpy(packet + 28, bad[i].payload, bad[i].size);
        ta_reassembler_push(r, packet, 28 + bad[i].size, 2);
        CHECK(!next(2) && drops(bad[i].reason) == 1);
        send(2, NONE, 3);
        CHECK(next(3) && info.lost_before == 1 && info.flags == TA_AU_GAP);
        close_both();
    }
}

static void a_gap_between_fragments_damages_the_unit(void) {
    open_both(true, 4, 1000);
    size_t n = make(0);
    memcpy(packets[1] + 28, packets[n - 1] + 28, 2); /* an end fragment in the middle */
    for (size_t i = 0; i < n; i++)
        push(i, 1);
    CHECK(!next(1) && drops(TA_DROP_FU) == 1);
    close_both();
}

static void nothing_over_its_limit_is_accepted(void) {
    static uint8_t big[TA_MAX_PACKET + 1] = {0x80, 96};
    CHECK(ta_reassembler_open(&r, &(ta_reassembler_config){96, true, 4, 1000, 500, 0}) == TA_OK);
    CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){96, 5, 0, 200, true}) == TA_OK);
    ta_reassembler_push(r, big, sizeof big, 1);
    CHECK(drops(TA_DROP_OVERSIZE) == 1);
    send(0, NONE, 1);
    CHECK(drops(TA_DROP_OVERSIZE) == 3 && !next(1)); /* 700 bytes with a limit of 500: the last two packets */
    close_both();
}

static void a_dynamic_payload_type_is_learned_from_the_first_packet(void) {
    CHECK(ta_reassembler_open(&r, &(ta_reassembler_config){0, false, 4, 1000, 8192, 0}) == TA_OK);
    CHECK(ta_packetizer_open(&p, &(ta_packetizer_config){107, 5, 0, 200, false}) == TA_OK);
    make(0);
    packets[0][1] = 33;
    push(0, 1);
    CHECK(drops(TA_DROP_PAYLOAD_TYPE) == 1);
    packets[0][1] = 107;
    push(0, 1);
    packets[1][1] = 108;
    push(1, 1);
    CHECK(drops(TA_DROP_PAYLOAD_TYPE) == 2);
    packets[1][1] = 107;
    for (size_t i = 1; i < 4; i++)
        push(i, 1);
    CHECK(next(1) && info.packets == 4);
    close_both();
}

static void wrong_arguments_are_refused(void) {
    CHECK(ta_reassembler_open(&r, &(ta_reassembler_config){96, true, 1, 1000, 500, 0}) == TA_EINVAL && r == NULL);
    CHECK(ta_reassembler_open(&r, &(ta_reassembler_config){96, true, 33, 1000, 500, 0}) == TA_EINVAL);
    CHECK(ta_reassembler_open(&r, &(ta_reassembler_config){96, true, 8, 1000, 0, 0}) == TA_EINVAL);
    ta_reassembler_close(&r);
}

int main(void) {
    RUN(a_frame_is_complete_with_its_last_packet_and_waits_for_nothing);
    RUN(a_complete_frame_waits_for_an_earlier_one_no_longer_than_reorder_us);
    RUN(a_late_packet_within_the_window_completes_both_frames);
    RUN(a_packet_received_twice_is_a_duplicate);
    RUN(a_full_window_abandons_the_oldest_frame);
    RUN(frames_not_taken_are_dropped_oldest_first);
    RUN(frames_never_seen_count_as_lost);
    RUN(two_consecutive_packets_validate_a_jump);
    RUN(another_ssrc_takes_over_only_after_silence);
    RUN(an_inconsistent_frame_element_is_refused);
    RUN(a_damaged_unit_is_counted_by_reason_and_as_lost_for_the_next);
    RUN(a_gap_between_fragments_damages_the_unit);
    RUN(nothing_over_its_limit_is_accepted);
    RUN(a_dynamic_payload_type_is_learned_from_the_first_packet);
    RUN(wrong_arguments_are_refused);
    return failures != 0;
}
