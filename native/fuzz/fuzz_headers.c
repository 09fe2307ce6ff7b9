/* Annex B split, SPS, PPS and slice headers, and the SPS rewriter: its output states what it should and keeps every
 * other field. */
#include "fuzz.h"
#include "thinair/h264.h"

static void check_rewrite(const uint8_t *nal, size_t size) {
    static uint8_t once[16384], twice[16384];
    ta_sps before, after;
    size_t once_size = 0, twice_size = 0;
    if (ta_sps_parse(nal, size, &before) != TA_OK) {
        CHECK(ta_sps_rewrite(nal, size, once, sizeof once, &once_size) == TA_EBITSTREAM);
        return;
    }
    CHECK(before.width > 0 && before.width <= TA_MAX_DIMENSION && before.height > 0 &&
          before.height <= TA_MAX_DIMENSION);
    if (size > 4096) /* bytes behind the SPS; the copy need not fit */
        return;
    CHECK(ta_sps_rewrite(nal, size, once, sizeof once, &once_size) == TA_OK);
    CHECK(ta_sps_rewrite(once, once_size, twice, sizeof twice, &twice_size) == TA_OK);
    CHECK(once_size == twice_size && memcmp(once, twice, once_size) == 0);
    CHECK(ta_sps_parse(once, once_size, &after) == TA_OK);
    CHECK(after.bitstream_restriction && after.max_num_reorder_frames == 0);
    CHECK(after.max_dec_frame_buffering == before.num_ref_frames);
    before.vui_present = before.bitstream_restriction = true;
    before.max_num_reorder_frames = 0;
    before.max_dec_frame_buffering = before.num_ref_frames;
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    uint8_t small[1];
    CHECK(ta_sps_rewrite(nal, size, small, sizeof small, &twice_size) == TA_ETOOBIG);
}

/* A recoloured SPS states the colour and keeps everything else. One without a stop bit may be refused. */
static void check_colour(const uint8_t *nal, size_t size) {
    static uint8_t out[16384];
    size_t out_size;
    ta_sps before, after;
    if (ta_sps_parse(nal, size, &before) != TA_OK ||
        ta_sps_colour(nal, size, false, true, out, sizeof out, &out_size) != TA_OK)
        return;
    CHECK(ta_sps_parse(out, out_size, &after) == TA_OK);
    before.vui_present = before.video_full_range = true;
    before.colour_primaries = before.transfer = before.matrix = 6;
    CHECK(memcmp(&before, &after, sizeof before) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ta_nal nals[64];
    size_t found = ta_annexb_split(data, size, nals, 64), end = 0;
    CHECK(ta_annexb_split(data, size, NULL, 0) == found);
    for (size_t i = 0; i < found && i < 64; i++) {
        const uint8_t *nal = data + nals[i].offset;
        ta_pps pps;
        uint32_t first_mb;
        CHECK(nals[i].size > 0 && nals[i].offset >= end + 3 && nals[i].offset + nals[i].size <= size);
        end = nals[i].offset + nals[i].size;
        CHECK(nal[nals[i].size - 1] != 0 && ta_annexb_find(nal, nals[i].size, 0) == nals[i].size);
        check_rewrite(nal, nals[i].size);
        check_colour(nal, nals[i].size);
        ta_pps_parse(nal, nals[i].size, &pps);
        ta_slice_first_mb(nal, nals[i].size, &first_mb);
    }
    return 0;
}
