#include "thinair/h264.h"

#include "check.h"

static size_t split(const char *bytes, size_t size, ta_nal *nals) {
    return ta_annexb_split((const uint8_t *)bytes, size, nals, 8);
}
#define SPLIT(literal, nals) split(literal, sizeof literal - 1, nals)

static void start_codes_of_three_and_four_bytes_separate_nal_units(void) {
    ta_nal n[8];
    CHECK(SPLIT("\0\0\0\1\x67\x42\0\0\1\x68\xce\0\0\1\x65", n) == 3);
    CHECK(n[0].offset == 4 && n[0].size == 2 && n[1].offset == 9 && n[1].size == 2 && n[2].offset == 14 &&
          n[2].size == 1);
}

static void trailing_zeros_belong_to_no_nal_unit(void) {
    ta_nal n[8];
    CHECK(SPLIT("\0\0\1\x09\xf0\0\0\0\0\0\1\x41\x9a\0\0", n) == 2);
    CHECK(n[0].size == 2 && n[1].size == 2);
}

static void bytes_without_a_start_code_contain_no_nal_unit(void) {
    ta_nal n[8];
    CHECK(SPLIT("", n) == 0 && SPLIT("\0", n) == 0 && SPLIT("\0\0\0", n) == 0 && SPLIT("\0\0\2\1\0\1", n) == 0);
    CHECK(SPLIT("\0\0\1", n) == 0 && SPLIT("\0\0\1\0\0\1\0\0\1", n) == 0);
}

/* The search skips bytes; a plain search must agree on every short string over the bytes that matter. */
static void the_search_finds_what_a_plain_search_finds(void) {
    const uint8_t alphabet[] = {0, 1, 2};
    for (unsigned code = 0; code < 59049; code++) {
        uint8_t bytes[10];
        unsigned rest = code;
        for (size_t i = 0; i < sizeof bytes; i++, rest /= 3)
            bytes[i] = alphabet[rest % 3];
        for (size_t from = 0; from <= sizeof bytes; from++) {
            size_t slow = from;
            while (slow + 3 <= sizeof bytes && memcmp(bytes + slow, "\0\0\1", 3) != 0)
                slow++;
            slow = slow + 3 <= sizeof bytes ? slow : sizeof bytes;
            CHECK(ta_annexb_find(bytes, sizeof bytes, from) == slow);
        }
    }
}

/* Long runs of other bytes are skipped in steps: no position around a step may hide a start code. */
static void a_start_code_anywhere_in_a_long_run_is_found(void) {
    _Alignas(8) uint8_t bytes[96];
    for (size_t begin = 0; begin < 8; begin++) {
        for (size_t place = begin; place + 3 <= sizeof bytes; place++) {
            memset(bytes, 0xff, sizeof bytes);
            memcpy(bytes + place, "\0\0\1", 3);
            CHECK(ta_annexb_find(bytes + begin, sizeof bytes - begin, 0) == place - begin);
        }
    }
}

static void nal_units_beyond_the_capacity_are_counted(void) {
    ta_nal n[1] = {{0}};
    CHECK(ta_annexb_split((const uint8_t *)"\0\0\1a\0\0\1b\0\0\1c", 12, n, 1) == 3);
    CHECK(n[0].offset == 3 && n[0].size == 1);
}

int main(void) {
    RUN(start_codes_of_three_and_four_bytes_separate_nal_units);
    RUN(trailing_zeros_belong_to_no_nal_unit);
    RUN(bytes_without_a_start_code_contain_no_nal_unit);
    RUN(the_search_finds_what_a_plain_search_finds);
    RUN(a_start_code_anywhere_in_a_long_run_is_found);
    RUN(nal_units_beyond_the_capacity_are_counted);
    return failures != 0;
}
