/* Any sequence of sources and symbols, genuine and forged, into the decoder: what it restores of genuine ones is right;
 * forged ones are refused or yield something within bounds. Layout of a case: number of sources, longest, seed; then
 * steps. */
#include "fuzz.h"

#include "thinair/repair.h"

enum { MAX_SOURCES = 40, MAX_SOURCE = 200 };
enum { SOURCE = 1, FORGED = 2 }; /* bits of a step's kind */

static uint8_t sources[MAX_SOURCES][MAX_SOURCE], out[MAX_SOURCE + TA_REPAIR_SIZE];
static size_t sizes[MAX_SOURCES];

static void make_block(ta_repair_encoder *e, size_t count, size_t longest, uint32_t state) {
    ta_repair_encoder_reset(e);
    for (size_t j = 0; j < count; j++) {
        sizes[j] = (state = state * 1664525u + 1013904223u) >> 16 & 1 ? longest : (state >> 17) % (longest + 1);
        for (size_t i = 0; i < sizes[j]; i++)
            sources[j][i] = (uint8_t)((state = state * 1664525u + 1013904223u) >> 24);
        CHECK(ta_repair_encoder_add(e, sources[j], sizes[j]) == TA_OK);
    }
}

static void restore_all(ta_repair_decoder *d, size_t count, bool genuine) {
    for (size_t j = 0; j < count; j++) {
        size_t size = SIZE_MAX;
        ta_status status = ta_repair_decoder_restore(d, j, out, MAX_SOURCE, &size);
        CHECK((status == TA_AGAIN) <= (ta_repair_decoder_wanted(d) > 0));
        CHECK(status != TA_OK || size <= MAX_SOURCE);
        CHECK(!genuine || status == TA_AGAIN || status == TA_EINVAL ||
              (status == TA_OK && size == sizes[j] && memcmp(out, sources[j], size) == 0));
    }
}

/* Returns whether the decoder still holds only genuine symbols. */
static bool step(ta_repair_encoder *e, ta_repair_decoder *d, cursor *c, size_t count) {
    const uint8_t kind = take(c), index = take(c);
    const size_t wanted = ta_repair_decoder_wanted(d);
    const uint8_t *data = out;
    size_t size = 0;
    ta_status status;
    if (kind & FORGED) {
        data = take_bytes(c, take(c), &size);
        status = (kind & SOURCE ? ta_repair_decoder_source : ta_repair_decoder_symbol)(d, index, data, size);
    } else if (kind & SOURCE) {
        status =
            ta_repair_decoder_source(d, index, index < count ? sources[index] : out, index < count ? sizes[index] : 0);
    } else {
        status = ta_repair_encoder_symbol(e, index, out, sizeof out, &size);
        CHECK((status == TA_OK) == (index < 255 - count));
        status = status == TA_OK ? ta_repair_decoder_symbol(d, index, out, size) : status;
    }
    CHECK(ta_repair_decoder_wanted(d) == wanted - (status == TA_OK));
    return !(kind & FORGED) || status != TA_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cursor c = {data, size};
    ta_repair_encoder *e = NULL;
    ta_repair_decoder *d = NULL;
    CHECK(ta_repair_encoder_open(&e, MAX_SOURCES, MAX_SOURCE) == TA_OK);
    CHECK(ta_repair_decoder_open(&d, MAX_SOURCES, MAX_SOURCE) == TA_OK);
    for (int blocks = 0; blocks < 4 && c.size; blocks++) {
        size_t count = take(&c) % (MAX_SOURCES + 2);
        const size_t longest = take(&c) % (MAX_SOURCE + 1);
        const bool fits = count >= 1 && count <= MAX_SOURCES;
        CHECK(ta_repair_decoder_begin(d, count) == (fits ? TA_OK : TA_EINVAL));
        if (!fits)
            continue;
        bool genuine = true;
        make_block(e, count, longest, take(&c));
        for (size_t steps = take(&c); steps && c.size; steps--)
            genuine &= step(e, d, &c, count);
        restore_all(d, count, genuine);
    }
    ta_repair_encoder_close(&e);
    ta_repair_decoder_close(&d);
    return 0;
}
