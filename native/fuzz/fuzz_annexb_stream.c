/* A byte stream cut anywhere: units are bounded, in order, and begin with a start code. */
#include "fuzz.h"
#include "thinair/annexb_stream.h"

enum { MAX_AU = 3000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cursor c = {data, size};
    static uint8_t unit[MAX_AU];
    uint64_t now_us = 1, next_id = 0;
    ta_annexb_stream *s = NULL;
    ta_au_info info;
    ta_annexb_stream_config config = {MAX_AU, take(&c) & 1 ? 1000 : 0};
    CHECK(ta_annexb_stream_open(&s, &config) == TA_OK);
    while (c.size > 0) {
        uint8_t kind = take(&c);
        size_t length;
        const uint8_t *bytes = take_bytes(&c, kind & 0x80 ? (kind & 0x7fu) << 6 : kind & 0x3f, &length);
        ta_annexb_stream_push(s, bytes, length, now_us);
        if (kind & 0x40 && !(kind & 0x80))
            now_us += 1500;
        while (ta_annexb_stream_next(s, now_us, unit, sizeof unit, &info) == TA_OK) {
            CHECK(info.size > 3 && info.size <= MAX_AU && info.frame_id >= next_id);
            CHECK(unit[0] == 0 && unit[1] == 0 && unit[2] <= 1 && unit[info.size - 1] != 0);
            CHECK(info.first_us <= info.last_us && info.last_us <= now_us);
            next_id = info.frame_id + 1;
        }
        CHECK(ta_annexb_stream_deadline(s) > now_us);
    }
    ta_annexb_stream_close(&s);
    ta_annexb_stream_close(&s);
    return 0;
}
