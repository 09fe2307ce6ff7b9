#include "thinair/annexb_stream.h"

#include "check.h"

static ta_annexb_stream *stream;
static uint8_t unit[4096];
static ta_au_info info;

static void open_stream(size_t max_au, uint32_t quiet_us) {
    CHECK(ta_annexb_stream_open(&stream, &(ta_annexb_stream_config){max_au, quiet_us}) == TA_OK);
}

static void push(const char *bytes, size_t size, uint64_t when_us) {
    ta_annexb_stream_push(stream, (const uint8_t *)bytes, size, when_us);
}
#define PUSH(literal, when_us) push(literal, sizeof literal - 1, when_us)

static bool yields(uint64_t now_us, const char *bytes, size_t size) {
    return ta_annexb_stream_next(stream, now_us, unit, sizeof unit, &info) == TA_OK && info.size == size &&
           memcmp(unit, bytes, size) == 0;
}
#define YIELDS(now_us, literal) yields(now_us, literal, sizeof literal - 1)

static bool empty(uint64_t now_us) {
    return ta_annexb_stream_next(stream, now_us, unit, sizeof unit, &info) == TA_AGAIN;
}

static void a_delimiter_ends_the_unit_before_it_at_once(void) {
    open_stream(4096, 0);
    PUSH("\0\0\0\1\x67\1\0\0\0\1\x65\x88", 10);
    CHECK(empty(10));
    PUSH("\x55\x55\0\0\0\1\x09", 20);
    CHECK(YIELDS(20, "\0\0\0\1\x67\1\0\0\0\1\x65\x88\x55\x55"));
    CHECK(info.flags == (TA_AU_KEY | TA_AU_SPS) && info.first_us == 10 && info.last_us == 20 && info.packets == 2);
    PUSH("\xf0", 20);
    PUSH("\0\0\0\1\x41\x9a\0\0\1\x09\xf0", 30);
    CHECK(YIELDS(30, "\0\0\0\1\x09\xf0\0\0\0\1\x41\x9a"));
    CHECK(info.flags == 0 && info.frame_id == 1);
    ta_annexb_stream_close(&stream);
}

static void a_first_slice_or_parameter_set_ends_the_unit_before_it(void) {
    open_stream(4096, 0);
    PUSH("\0\0\1\x67\1\0\0\1\x65\x88\x11\0\0\1\x65\x42\x22\0\0\1\x41\x9a\x33\0\0\1\x06\5\0\0\1\x41\x9a\x44\0\0\1\x41",
         1);
    CHECK(YIELDS(1, "\0\0\1\x67\1\0\0\1\x65\x88\x11\0\0\1\x65\x42\x22")); /* two slices */
    CHECK(YIELDS(1, "\0\0\1\x41\x9a\x33"));
    CHECK(empty(1)); /* the last slice's first_mb has not arrived */
    PUSH("\x9a", 2);
    CHECK(YIELDS(2, "\0\0\1\x06\5\0\0\1\x41\x9a\x44"));
    ta_annexb_stream_close(&stream);
}

static void a_start_code_may_be_split_anywhere(void) {
    static const char bytes[] = "\0\0\0\1\x65\x88\x55\0\0\0\1\x41\x9a\x66\0\0\0\1\x09\xf0";
    for (size_t cut = 1; cut < sizeof bytes - 2; cut++) {
        open_stream(4096, 0);
        push(bytes, cut, 1);
        bool first = YIELDS(1, "\0\0\0\1\x65\x88\x55");
        push(bytes + cut, sizeof bytes - 1 - cut, 2);
        CHECK(first || YIELDS(2, "\0\0\0\1\x65\x88\x55"));
        CHECK(YIELDS(2, "\0\0\0\1\x41\x9a\x66"));
        CHECK(empty(2));
        ta_annexb_stream_close(&stream);
    }
}

static void quiet_after_a_short_datagram_ends_a_unit(void) {
    open_stream(4096, 1000);
    PUSH("\0\0\0\1\x65\x88\x55\x55", 10);
    CHECK(empty(5000) && ta_annexb_stream_deadline(stream) == UINT64_MAX); /* it may be one of several equal parts */
    PUSH("\x55\x55", 20);
    CHECK(empty(1019) && ta_annexb_stream_deadline(stream) == 1020);
    CHECK(YIELDS(1020, "\0\0\0\1\x65\x88\x55\x55\x55\x55") && info.last_us == 20);
    PUSH("\x77\x77\x77\x77\0\0\0\1\x41\x9a\0\0\0\1\x09", 2000); /* it was not complete */
    CHECK(YIELDS(2000, "\0\0\0\1\x41\x9a") && info.lost_before == 1 && info.flags == TA_AU_GAP);
    CHECK(ta_annexb_stream_drops(stream)[TA_DROP_INCOMPLETE] == 1);
    ta_annexb_stream_close(&stream);
}

static void an_oversized_unit_is_counted_and_the_next_key_frame_found(void) {
    static char zeros[70000];
    open_stream(64, 0);
    memset(zeros, 'x', sizeof zeros);
    PUSH("\0\0\0\1\x65\x88", 1);
    push(zeros, 100, 1);
    CHECK(empty(1) && ta_annexb_stream_drops(stream)[TA_DROP_OVERSIZE] == 1);
    push(zeros, sizeof zeros, 2);
    CHECK(empty(2) && ta_annexb_stream_drops(stream)[TA_DROP_OVERSIZE] == 2);
    PUSH("\0\0\0\1\x41\x9a\0\0\0\1\x67\1\0\0\0\1\x65\x88\0\0\0\1\x09", 3);
    CHECK(YIELDS(3, "\0\0\0\1\x67\1\0\0\0\1\x65\x88") && info.lost_before == 2 && info.flags & TA_AU_GAP);
    ta_annexb_stream_close(&stream);
    ta_annexb_stream_close(&stream);
}

static void a_stream_joined_inside_a_unit_starts_with_the_next_one(void) {
    open_stream(4096, 0);
    PUSH("\x12\x34\0\0\1\x41\x22\0\0\1\x41\x9a\x11\0\0\1\x09", 1);
    CHECK(YIELDS(1, "\0\0\1\x41\x9a\x11") && info.flags == 0 && info.lost_before == 0);
    ta_annexb_stream_close(&stream);
}

static void after_a_reset_nothing_of_the_old_stream_remains(void) {
    open_stream(4096, 0);
    PUSH("\0\0\0\1\x65\x88\x11", 1);
    CHECK(empty(1));
    ta_annexb_stream_reset(stream);
    PUSH("\x22\x33\0\0\0\1\x41\x9a\x44\0\0\0\1\x09", 2);
    CHECK(YIELDS(2, "\0\0\0\1\x41\x9a\x44") && info.flags == 0 && info.lost_before == 0 && empty(2));
    ta_annexb_stream_close(&stream);
}

int main(void) {
    RUN(a_delimiter_ends_the_unit_before_it_at_once);
    RUN(a_first_slice_or_parameter_set_ends_the_unit_before_it);
    RUN(a_start_code_may_be_split_anywhere);
    RUN(quiet_after_a_short_datagram_ends_a_unit);
    RUN(an_oversized_unit_is_counted_and_the_next_key_frame_found);
    RUN(a_stream_joined_inside_a_unit_starts_with_the_next_one);
    RUN(after_a_reset_nothing_of_the_old_stream_remains);
    return failures != 0;
}
