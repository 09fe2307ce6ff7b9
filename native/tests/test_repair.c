/* Repair symbols: the C interface. tests/unit/test_repair.py compares the code with another implementation. */
#include "thinair/repair.h"

#include "check.h"

enum { SOURCES = 30, SIZE = 1200, LOST = 6 };

static uint8_t sources[SOURCES][SIZE], out[SIZE + TA_REPAIR_SIZE];
static size_t sizes[SOURCES];

static void fill(void) {
    uint32_t state = 1;
    for (size_t j = 0; j < SOURCES; j++) {
        sizes[j] = SIZE - (j % 7 == 3 ? 37 * j : 0);
        for (size_t i = 0; i < sizes[j]; i++)
            sources[j][i] = (uint8_t)((state = state * 1664525u + 1013904223u) >> 24);
    }
}

static ta_repair_encoder *encoder_of_all(void) {
    ta_repair_encoder *e = NULL;
    const uint8_t *data[SOURCES];
    for (size_t j = 0; j < SOURCES; j++)
        data[j] = sources[j];
    CHECK(ta_repair_encoder_open(&e, SOURCES, SIZE) == TA_OK);
    CHECK(ta_repair_encoder_add_all(e, data, sizes, SOURCES) == TA_OK);
    return e;
}

static void every_run_of_losses_is_restored_with_its_sizes(void) {
    ta_repair_encoder *e = encoder_of_all();
    ta_repair_decoder *d = NULL;
    size_t size;
    CHECK(ta_repair_decoder_open(&d, SOURCES, SIZE) == TA_OK);
    for (size_t first = 0; first + LOST <= SOURCES; first++) {
        CHECK(ta_repair_decoder_begin(d, SOURCES) == TA_OK);
        for (size_t j = 0; j < SOURCES; j++)
            if (j < first || j >= first + LOST)
                CHECK(ta_repair_decoder_source(d, j, sources[j], sizes[j]) == TA_OK);
        for (size_t i = 0; i < LOST; i++) {
            CHECK(ta_repair_decoder_wanted(d) == LOST - i);
            CHECK(ta_repair_decoder_restore(d, first, out, sizeof out, &size) == TA_AGAIN);
            CHECK(ta_repair_encoder_symbol(e, first + i, out, sizeof out, &size) == TA_OK);
            CHECK(ta_repair_decoder_symbol(d, first + i, out, size) == TA_OK);
        }
        for (size_t j = first; j < first + LOST; j++) {
            CHECK(ta_repair_decoder_restore(d, j, out, sizeof out, &size) == TA_OK);
            CHECK(size == sizes[j] && memcmp(out, sources[j], size) == 0);
        }
    }
    ta_repair_encoder_close(&e);
    ta_repair_decoder_close(&d);
    CHECK(!e && !d);
    ta_repair_encoder_close(&e);
    ta_repair_decoder_close(&d);
}

static void sources_written_in_place_equal_copied_ones(void) {
    ta_repair_encoder *copied = encoder_of_all(), *placed = NULL;
    uint8_t again[SIZE + TA_REPAIR_SIZE];
    size_t size, size_again;
    CHECK(ta_repair_encoder_open(&placed, SOURCES, SIZE) == TA_OK);
    for (size_t j = 0; j < SOURCES; j++) {
        uint8_t *place = ta_repair_encoder_place(placed);
        CHECK(place && (uintptr_t)place % 4 == 0);
        memset(place, 0xee, SIZE); /* bytes behind a source do not count */
        memcpy(place, sources[j], sizes[j]);
        CHECK(ta_repair_encoder_add(placed, place, sizes[j]) == TA_OK);
    }
    CHECK(!ta_repair_encoder_place(placed) && ta_repair_encoder_add(placed, sources[0], 1) == TA_ETOOBIG);
    for (size_t i = 0; i <= 254 - SOURCES; i++) {
        CHECK(ta_repair_encoder_symbol(copied, i, out, sizeof out, &size) == TA_OK);
        CHECK(ta_repair_encoder_symbol(placed, i, again, sizeof again, &size_again) == TA_OK);
        CHECK(size == size_again && memcmp(out, again, size) == 0);
    }
    ta_repair_encoder_close(&copied);
    ta_repair_encoder_close(&placed);
}

static void a_buffer_that_is_too_small_is_not_written(void) {
    ta_repair_encoder *e = encoder_of_all();
    ta_repair_decoder *d = NULL;
    size_t size = 77;
    memset(out, 0xaa, sizeof out);
    CHECK(ta_repair_encoder_symbol(e, 0, out, SIZE + 1, &size) == TA_ETOOBIG && size == 77 && out[0] == 0xaa);
    CHECK(ta_repair_encoder_symbol(e, 255 - SOURCES, out, sizeof out, &size) == TA_EINVAL);
    ta_repair_encoder_reset(e);
    CHECK(ta_repair_encoder_add(e, sources[0], SIZE) == TA_OK);
    CHECK(ta_repair_encoder_symbol(e, 253, out, sizeof out, &size) == TA_OK && size == SIZE + 2);
    CHECK(ta_repair_decoder_open(&d, 1, SIZE) == TA_OK && ta_repair_decoder_begin(d, 1) == TA_OK);
    CHECK(ta_repair_decoder_symbol(d, 253, out, size) == TA_OK);
    memset(out, 0xaa, sizeof out);
    CHECK(ta_repair_decoder_restore(d, 0, out, SIZE - 1, &size) == TA_ETOOBIG && out[0] == 0xaa);
    CHECK(ta_repair_decoder_restore(d, 0, out, SIZE, &size) == TA_OK && size == SIZE &&
          memcmp(out, sources[0], SIZE) == 0);
    ta_repair_encoder_close(&e);
    ta_repair_decoder_close(&d);
}

static void impossible_block_sizes_are_refused(void) {
    ta_repair_encoder *e = NULL;
    ta_repair_decoder *d = NULL;
    static const size_t wrong[][2] = {{0, 10}, {255, 10}, {SIZE_MAX, 10}, {1, 0}, {1, 65536}, {1, SIZE_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK(ta_repair_encoder_open(&e, wrong[i][0], wrong[i][1]) == TA_EINVAL && !e);
        CHECK(ta_repair_decoder_open(&d, wrong[i][0], wrong[i][1]) == TA_EINVAL && !d);
    }
    CHECK(ta_repair_decoder_open(&d, 1, TA_REPAIR_MAX_SOURCE) == TA_OK);
    ta_repair_decoder_close(&d);
}

int main(void) {
    fill();
    RUN(every_run_of_losses_is_restored_with_its_sizes);
    RUN(sources_written_in_place_equal_copied_ones);
    RUN(a_buffer_that_is_too_small_is_not_written);
    RUN(impossible_block_sizes_are_refused);
    return failures != 0;
}
