/* The hardware pipeline's thread over a simulated capture, encoder and pump: what it does with undecodable units,
 * silence, failures and late units. The real parts run in tests/vm. A little over 500 lines: every case needs the same
 * doubles of camera and encoder. */
#include "check.h"

#include <errno.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../src/io/sys.h"
#include "thinair/hw_pipeline.h"

enum { BUFFERS = 4, FRAMES = 64, SPS = 0x67, PPS = 0x68, IDR = 0x65, SLICE = 0x41 };

struct ta_capture {
    int fd;
};

static struct {
    pthread_mutex_t lock;
    int capture_fd, encoder_fd;
    unsigned pictures, next_index; /* waiting to be captured */
    uint32_t sequence;
    bool busy[BUFFERS]; /* held by the pipeline */
    bool capture_fails, corrupt, encoder_fails, hangs, refuse_push;
    unsigned keys_requested, bitrate_bps, capture_closed, encoder_closed;
    ta_raw in_encoder;
    bool has_raw, token_free;
    uint32_t token;
    uint8_t units[FRAMES][32]; /* to be returned for the next pictures */
    size_t sizes[FRAMES], unit_count, unit_at;
    struct {
        ta_frame_meta meta;
        size_t size;
        uint8_t first_nal;
    } pushed[FRAMES];
    size_t pushed_count;
} simulated;

#define LOCKED(...)                            \
    do {                                       \
        pthread_mutex_lock(&simulated.lock);   \
        __VA_ARGS__;                           \
        pthread_mutex_unlock(&simulated.lock); \
    } while (0)

/* ---- capture ---- */

ta_status ta_capture_open(ta_capture **out, const ta_capture_config *config, char reason[TA_REASON_MAX]) {
    static ta_capture capture;
    if (!config->device[0]) {
        snprintf(reason, TA_REASON_MAX, "not there");
        errno = ENOENT;
        return TA_ESYS;
    }
    *out = &capture;
    return TA_OK;
}

static uint8_t PIXELS[16 * 32]; /* UYVY */

const ta_capture_format *ta_capture_format_get(const ta_capture *c) {
    static const ta_capture_format format = {
        .width = 16, .height = 16, .stride = 32, .fourcc = V4L2_PIX_FMT_UYVY, .buffers = BUFFERS};
    return (void)c, &format;
}
int ta_capture_descriptor(const ta_capture *c) { return (void)c, simulated.capture_fd; }
const char *ta_capture_reason(const ta_capture *c) { return (void)c, "pulled out"; }
void ta_capture_close(ta_capture **c) {
    simulated.capture_closed += *c != NULL;
    *c = NULL;
}

ta_status ta_capture_newest(ta_capture *c, ta_captured *out) {
    ta_status status = TA_AGAIN;
    (void)c;
    ta_clear(simulated.capture_fd);
    pthread_mutex_lock(&simulated.lock);
    if (simulated.capture_fails)
        status = TA_ESYS;
    else if (simulated.pictures > 0) {
        while (simulated.busy[simulated.next_index])
            simulated.next_index = (simulated.next_index + 1) % BUFFERS;
        const uint64_t now_us = ta_now_us();
        *out = (ta_captured){.index = simulated.next_index,
                             .sequence = ++simulated.sequence,
                             .corrupt = simulated.corrupt,
                             .data = PIXELS,
                             .size = sizeof PIXELS,
                             .dmabuf = -1,
                             .capture_us = 1000 * (uint64_t)simulated.sequence,
                             .dequeue_us = now_us};
        simulated.busy[simulated.next_index] = true;
        simulated.pictures--;
        status = TA_OK;
    }
    pthread_mutex_unlock(&simulated.lock);
    return status;
}

ta_status ta_capture_give_back(ta_capture *c, uint32_t index) {
    (void)c;
    LOCKED(CHECK(index < BUFFERS && simulated.busy[index]); simulated.busy[index] = false);
    return TA_OK;
}

/* ---- encoder: answers each picture at once with the next unit of the list ---- */

static ta_status submit(ta_encoder *e, const ta_raw *raw) {
    (void)e;
    LOCKED(CHECK(!simulated.has_raw || simulated.hangs); simulated.in_encoder = *raw; simulated.has_raw = true);
    ta_wake(simulated.encoder_fd);
    return TA_OK;
}

static ta_status take(ta_encoder *e, ta_coded *out) {
    ta_status status = TA_AGAIN;
    (void)e;
    ta_clear(simulated.encoder_fd);
    pthread_mutex_lock(&simulated.lock);
    if (simulated.encoder_fails) {
        errno = EIO;
        status = TA_ESYS;
    } else if (simulated.has_raw && !simulated.hangs && simulated.unit_at < simulated.unit_count) {
        const size_t i = simulated.unit_at++;
        *out = (ta_coded){.data = simulated.sizes[i] ? simulated.units[i] : NULL,
                          .size = simulated.sizes[i],
                          .capture_us = simulated.in_encoder.capture_us};
        simulated.token = simulated.in_encoder.token;
        simulated.has_raw = false;
        simulated.token_free = true;
        status = TA_OK;
    }
    pthread_mutex_unlock(&simulated.lock);
    return status;
}

static bool released(ta_encoder *e, uint32_t *token) {
    bool got;
    (void)e;
    LOCKED(got = simulated.token_free; *token = simulated.token; simulated.token_free = false);
    return got;
}

static void give_back(ta_encoder *e, const ta_coded *unit) { (void)e, (void)unit; }
static void request_key(ta_encoder *e) {
    (void)e;
    LOCKED(simulated.keys_requested++);
}
static ta_status set_bitrate(ta_encoder *e, uint32_t bps) {
    (void)e;
    LOCKED(simulated.bitrate_bps = bps);
    return TA_OK;
}
static int descriptor(const ta_encoder *e) { return (void)e, simulated.encoder_fd; }
static uint64_t bytes_copied(const ta_encoder *e) { return (void)e, 0; }
static const char *note(const ta_encoder *e, size_t i) { return (void)e, i == 0 ? "a note" : NULL; }
static const char *reason(const ta_encoder *e) { return (void)e, "encoder is broken"; }
static void close_encoder(ta_encoder **e) {
    simulated.encoder_closed += *e != NULL;
    *e = NULL;
}

static ta_status open_encoder(ta_encoder **out, const ta_encoder_config *config, char why[TA_REASON_MAX]) {
    static const ta_encoder_ops ops = {.name = "simulated",
                                       .submit = submit,
                                       .take = take,
                                       .give_back = give_back,
                                       .released = released,
                                       .request_key = request_key,
                                       .set_bitrate = set_bitrate,
                                       .descriptor = descriptor,
                                       .bytes_copied = bytes_copied,
                                       .note = note,
                                       .reason = reason,
                                       .close = close_encoder};
    static ta_encoder encoder = {&ops};
    CHECK(config->width == 16 && config->stride == 32 && config->buffers == BUFFERS);
    if (!config->bitrate_bps) {
        snprintf(why, TA_REASON_MAX, "no encoder");
        errno = ENODEV;
        return TA_ESYS;
    }
    *out = &encoder;
    return TA_OK;
}

/* ---- pump ---- */

ta_status ta_tx_push(ta_tx *tx, const uint8_t *au, size_t size, const ta_frame_meta *meta, size_t *packets) {
    (void)tx;
    *packets = !simulated.refuse_push;
    LOCKED(size_t n = simulated.pushed_count++ % FRAMES; simulated.pushed[n].meta = *meta;
           simulated.pushed[n].size = size; simulated.pushed[n].first_nal = au[3]);
    return simulated.refuse_push ? TA_ETOOBIG : TA_OK;
}

static ta_ready readiness; /* what the pump answers before each picture */
ta_ready ta_tx_ready(ta_tx *tx) {
    (void)tx;
    return readiness;
}

bool ta_tx_sent(ta_tx *tx, ta_sent *out) { return (void)tx, (void)out, false; }

/* ---- simulation ---- */

static bool until(bool (*done)(ta_hw_pipeline *), ta_hw_pipeline *c) {
    for (int i = 0; i < 20000; i++) {
        if (done(c))
            return true;
        poll(NULL, 0, 1);
    }
    return false;
}

static void unit(size_t size, const uint8_t *bytes) {
    memcpy(simulated.units[simulated.unit_count], bytes, size);
    simulated.sizes[simulated.unit_count++] = size;
}
static const uint8_t SETS[] = {0, 0, 1, SPS, 0x42, 0xc0, 0x1e, 0xf4, 0x0b, 0x04, 0xb2, 0, 0, 1, PPS, 0xce, 0x38, 0x80};
static const uint8_t KEY[] = {0, 0, 1, IDR, 0x88, 1, 2, 3}, OTHER[] = {0, 0, 1, SLICE, 0x88, 1}, JUNK[] = {9, 9, 9, 9};
static void key_unit(void) {
    uint8_t both[sizeof SETS + sizeof KEY];
    memcpy(both, SETS, sizeof SETS);
    memcpy(both + sizeof SETS, KEY, sizeof KEY);
    unit(sizeof both, both);
}

static ta_hw_pipeline_config config_of(void) {
    return (ta_hw_pipeline_config){.capture = {.device = "simulated"},
                                   .open_encoder = open_encoder,
                                   .tx = (ta_tx *)(uintptr_t)8,
                                   .encoder = {.rate_numerator = 100, .rate_denominator = 1, .bitrate_bps = 1},
                                   .first_frame_id = 5};
}

static ta_hw_pipeline *opened_with(uint32_t stall_us) {
    char why[TA_REASON_MAX];
    ta_hw_pipeline_part part;
    ta_hw_pipeline *c = NULL;
    if (simulated.capture_fd)
        close(simulated.capture_fd), close(simulated.encoder_fd);
    memset(&simulated, 0, sizeof simulated);
    pthread_mutex_init(&simulated.lock, NULL);
    simulated.capture_fd = eventfd(0, EFD_NONBLOCK);
    simulated.encoder_fd = eventfd(0, EFD_NONBLOCK);
    ta_hw_pipeline_config config = config_of();
    config.stall_us = stall_us;
    CHECK(ta_hw_pipeline_open(&c, &config, why, &part) == TA_OK);
    return c;
}

static ta_hw_pipeline *opened(void) { return opened_with(0); }

static void capture_pictures(unsigned n) {
    LOCKED(simulated.pictures += n);
    ta_wake(simulated.capture_fd);
}

static ta_hw_pipeline_stats stats_of(ta_hw_pipeline *c) {
    ta_hw_pipeline_stats s;
    ta_hw_pipeline_stats_get(c, &s);
    return s;
}

static ta_hw_pipeline_state state_of(ta_hw_pipeline *c) {
    char why[TA_REASON_MAX];
    ta_hw_pipeline_part part;
    return ta_hw_pipeline_state_get(c, why, &part);
}

static size_t wanted;
static bool enough_sent(ta_hw_pipeline *c) { return stats_of(c).sent >= wanted; }
static bool enough_captured(ta_hw_pipeline *c) { return stats_of(c).captured >= wanted; }
static bool enough_junk(ta_hw_pipeline *c) { return stats_of(c).undecodable >= wanted; }
static bool enough_left_out(ta_hw_pipeline *c) { return stats_of(c).encoder_skips >= wanted; }
static bool enough_refused(ta_hw_pipeline *c) { return stats_of(c).refused >= wanted; }
static bool enough_corrupt(ta_hw_pipeline *c) { return stats_of(c).corrupt >= 2; }
static bool has_failed(ta_hw_pipeline *c) { return state_of(c) == TA_HW_PIPELINE_FAILED; }
static bool has_stalled(ta_hw_pipeline *c) { return state_of(c) == TA_HW_PIPELINE_STALLED; }
static bool is_live(ta_hw_pipeline *c) { return state_of(c) == TA_HW_PIPELINE_LIVE; }
static bool has_closed(ta_hw_pipeline *c) { return (void)c, simulated.capture_closed && simulated.encoder_closed; }

static bool one_by_one(ta_hw_pipeline *c, bool (*done)(ta_hw_pipeline *), size_t n) {
    for (wanted = 1; wanted <= n; wanted++) {
        capture_pictures(1);
        if (!until(done, c))
            return false;
    }
    return true;
}

static void closed(ta_hw_pipeline *c) {
    CHECK(ta_hw_pipeline_stop(c));
    CHECK(simulated.capture_closed == 1 && simulated.encoder_closed == 1);
    ta_hw_pipeline_close(&c);
    CHECK(c == NULL);
}

/* ---- tests ---- */

static void test_pictures_become_frames_with_their_stamps_and_numbers(void) {
    ta_hw_pipeline *c = opened();
    ta_hw_pipeline_record records[8];
    key_unit();
    unit(sizeof OTHER, OTHER);
    unit(0, OTHER); /* skipped */
    unit(sizeof OTHER, OTHER);
    ta_hw_pipeline_allow(c, true);
    CHECK(one_by_one(c, enough_sent, 2));
    wanted = 1;
    capture_pictures(1);
    CHECK(until(enough_left_out, c));
    wanted = 3;
    capture_pictures(1);
    CHECK(until(enough_sent, c));
    CHECK(ta_hw_pipeline_records(c, records, 8) == 3);
    CHECK(records[0].frame_id == 5 && records[2].frame_id == 7 && records[0].key && !records[1].key);
    CHECK(records[2].sequence == 4 && records[2].capture_us == 4000 && records[2].skipped == 1);
    CHECK(records[0].dequeue_us <= records[0].encode_in_us && records[0].encode_in_us <= records[0].encode_out_us);
    CHECK(simulated.pushed[0].first_nal == SPS &&
          simulated.pushed[0].size > sizeof SETS + sizeof KEY); /* SPS rewritten */
    CHECK(simulated.pushed[2].meta.rtp_time == 4000 * 9 / 100 && simulated.pushed[0].meta.key);
    uint8_t headers[TA_MAX_PARAMETER_SETS];
    CHECK(ta_hw_pipeline_parameter_sets(c, headers) > sizeof SETS && strcmp(ta_hw_pipeline_note(c, 0), "a note") == 0);
    closed(c);
}

static void test_nothing_is_encoded_until_allowed_and_then_a_key_frame_is_requested(void) {
    ta_hw_pipeline *c = opened();
    key_unit();
    wanted = 3;
    capture_pictures(3);
    CHECK(until(enough_captured, c));
    CHECK(simulated.unit_at == 0 && simulated.keys_requested == 0);
    ta_hw_pipeline_allow(c, true);
    CHECK(one_by_one(c, enough_sent, 1));
    CHECK(simulated.keys_requested == 1);
    ta_hw_pipeline_set_bitrate(c, 77);
    capture_pictures(1);
    wanted = 5;
    CHECK(until(enough_captured, c));
    capture_pictures(1);
    wanted = 6;
    CHECK(until(enough_captured, c) && simulated.bitrate_bps == 77);
    closed(c);
}

static void test_the_newest_picture_waits_and_older_ones_go_back(void) {
    ta_hw_pipeline *c = opened();
    simulated.hangs = true;
    ta_hw_pipeline_allow(c, true);
    capture_pictures(1);
    wanted = 1;
    CHECK(until(enough_captured, c));
    for (wanted = 2; wanted < 8; wanted++) {
        capture_pictures(1);
        CHECK(until(enough_captured, c));
    }
    const ta_hw_pipeline_stats s = stats_of(c);
    CHECK(s.superseded >= 4 && s.most_waiting == 1 && s.most_in_encoder <= 2);
    closed(c);
}

static void test_undecodable_units_are_not_sent_until_a_key_frame(void) {
    ta_hw_pipeline *c = opened();
    unit(sizeof JUNK, JUNK);
    unit(sizeof OTHER, OTHER);
    unit(sizeof KEY, KEY); /* undecodable without parameter sets */
    key_unit();
    unit(sizeof KEY, KEY); /* the parameter sets are known */
    ta_hw_pipeline_allow(c, true);
    CHECK(one_by_one(c, enough_junk, 3));
    CHECK(simulated.pushed_count == 0 && simulated.keys_requested >= 3);
    CHECK(one_by_one(c, enough_sent, 2));
    CHECK(simulated.pushed[1].first_nal == SPS && stats_of(c).undecodable == 3);
    closed(c);
}

static void test_parameter_sets_in_a_separate_unit_precede_the_picture(void) {
    uint8_t out[64];
    const uint8_t *sent;
    size_t size;
    ta_parameter_sets kept = {0};
    CHECK(ta_parameter_sets_apply(&kept, SETS, sizeof SETS, out, sizeof out, &sent, &size) == TA_UNIT_PARAMETER_SETS);
    CHECK(ta_parameter_sets_apply(&kept, KEY, sizeof KEY, out, sizeof out, &sent, &size) == TA_UNIT_KEY &&
          sent[3] == SPS);
    CHECK(size == kept.size + sizeof KEY && memcmp(sent + kept.size, KEY, sizeof KEY) == 0);
    CHECK(ta_parameter_sets_apply(&kept, KEY, sizeof KEY, out, kept.size, &sent, &size) ==
          TA_UNIT_UNDECODABLE); /* no room */
    CHECK(ta_parameter_sets_apply(&kept, OTHER, sizeof OTHER, out, 0, &sent, &size) == TA_UNIT_PICTURE &&
          sent == OTHER);
    CHECK(ta_parameter_sets_apply(&kept, JUNK, sizeof JUNK, out, 0, &sent, &size) == TA_UNIT_UNDECODABLE);
}

static void test_parameter_sets_state_the_camera_s_colour_and_nothing_else_changes(void) {
    uint8_t plain[64], recoloured[64], again[64];
    size_t n, m, k;
    ta_sps before, after;
    const uint8_t *sps = SETS + 3;
    for (int with_vui = 0; with_vui < 2; with_vui++) {
        memcpy(plain, sps, n = 8);
        if (with_vui)
            CHECK(ta_sps_rewrite(sps, 8, plain, sizeof plain, &n) == TA_OK);
        CHECK(ta_sps_parse(plain, n, &before) == TA_OK && before.matrix == 2);
        CHECK(ta_sps_colour(plain, n, false, false, recoloured, sizeof recoloured, &m) == TA_OK);
        CHECK(ta_sps_parse(recoloured, m, &after) == TA_OK && after.matrix == 6 && after.colour_primaries == 6);
        CHECK(!after.video_full_range && after.width == before.width && after.bitstream_restriction == with_vui);
        CHECK(ta_sps_colour(recoloured, m, true, true, again, sizeof again, &k) == TA_OK &&
              k == m); /* replaced, not added */
        CHECK(ta_sps_parse(again, k, &after) == TA_OK && after.matrix == 1 && after.transfer == 1 &&
              after.video_full_range);
        CHECK(after.max_dec_frame_buffering == before.max_dec_frame_buffering);
        CHECK(ta_sps_colour(plain, n, true, true, again, 4, &k) == TA_ETOOBIG);
    }
    ta_parameter_sets kept = {.colour = true};
    const uint8_t *sent;
    CHECK(ta_parameter_sets_apply(&kept, SETS, sizeof SETS, plain, 0, &sent, &n) == TA_UNIT_PARAMETER_SETS);
    CHECK(ta_annexb_split(kept.data, kept.size, NULL, 0) == 2);
    CHECK(ta_sps_parse(kept.data + 3, kept.size - 3 - 7, &after) == TA_OK && after.matrix == 6);
    CHECK(after.bitstream_restriction && memcmp(kept.data + kept.size - 7, SETS + 11, 7) == 0);
}

static void test_a_refused_unit_requests_a_key_frame(void) {
    ta_hw_pipeline *c = opened();
    key_unit();
    unit(sizeof OTHER, OTHER);
    simulated.refuse_push = true;
    ta_hw_pipeline_allow(c, true);
    CHECK(one_by_one(c, enough_refused, 2));
    CHECK(simulated.keys_requested == 2 && stats_of(c).sent == 0);
    closed(c);
}

static void test_a_silent_camera_is_a_state_that_ends_by_itself(void) {
    ta_hw_pipeline *c = opened();
    capture_pictures(1);
    CHECK(until(is_live, c) && until(has_stalled, c));
    simulated.corrupt = true;
    capture_pictures(2); /* corrupt pictures are no sign of a working camera */
    CHECK(until(enough_corrupt, c) && state_of(c) == TA_HW_PIPELINE_STALLED);
    simulated.corrupt = false;
    capture_pictures(1);
    CHECK(until(is_live, c));
    closed(c);
}

/* Counts wake-ups since the test began. */
static uint64_t woken, awaited_wakes;
static bool enough_woken(ta_hw_pipeline *c) {
    uint64_t count = 0;
    if (read(ta_hw_pipeline_eventfd(c), &count, sizeof count) == sizeof count)
        woken += count;
    return woken >= awaited_wakes;
}
static bool has_bitrate(ta_hw_pipeline *c) { return (void)c, simulated.bitrate_bps == 78; }

static void test_the_reader_is_woken_by_changes_and_not_by_pictures(void) {
    ta_hw_pipeline *c = opened_with(60000000);
    for (int i = 0; i < 40; i++)
        key_unit(); /* only key frames: the worst case */
    ta_hw_pipeline_allow(c, true);
    const uint64_t began_us = ta_now_us();
    CHECK(one_by_one(c, enough_sent, 40) && stats_of(c).keys == 40);
    const uint64_t quarters = (ta_now_us() - began_us) / 250000 + 1;
    woken = 0, awaited_wakes = 2;
    CHECK(until(enough_woken, c) && woken <= 1 + quarters); /* the state LIVE, and key frames */
    closed(c);
}

static void test_silence_and_its_end_wake_the_reader_once_each_with_matching_counters(void) {
    ta_hw_pipeline *c = opened_with(20000);
    woken = 0;
    for (uint64_t turn = 1; turn <= 2; turn++) { /* the second time with a unit overdue, which must hide nothing */
        capture_pictures(1);
        awaited_wakes = 2 * turn;
        CHECK(until(enough_woken, c) && woken == 2 * turn && state_of(c) == TA_HW_PIPELINE_STALLED);
        CHECK(stats_of(c).captured == turn && stats_of(c).last_picture_us > 0);
        ta_hw_pipeline_set_bitrate(c, 78);
        simulated.hangs = true;
        ta_hw_pipeline_allow(c, true);
        CHECK(turn == 2 || until(has_bitrate, c)); /* the thread has completed an iteration in the same silence */
    }
    awaited_wakes = 5;
    CHECK(!enough_woken(c) && woken == 4);
    closed(c);
}

static void test_a_failing_device_ends_the_thread_with_a_reason_and_both_devices_closed(void) {
    char why[TA_REASON_MAX];
    ta_hw_pipeline_part part;
    for (int which = 0; which < 2; which++) {
        ta_hw_pipeline *c = opened();
        *(which ? &simulated.encoder_fails : &simulated.capture_fails) = true;
        capture_pictures(1);
        CHECK(until(has_failed, c) && until(has_closed, c));
        ta_hw_pipeline_state_get(c, why, &part);
        CHECK(part == (which ? TA_HW_PIPELINE_ENCODER : TA_HW_PIPELINE_CAPTURE));
        CHECK(strcmp(why, which ? "encoder is broken" : "pulled out") == 0);
        struct pollfd fd = {.fd = ta_hw_pipeline_eventfd(c), .events = POLLIN};
        CHECK(poll(&fd, 1, 0) == 1);
        closed(c);
    }
}

static void test_a_failed_open_names_the_part(void) {
    char why[TA_REASON_MAX];
    ta_hw_pipeline_part part;
    ta_hw_pipeline *c;
    ta_hw_pipeline_config config = config_of();
    config.capture.device = "";
    CHECK(ta_hw_pipeline_open(&c, &config, why, &part) == TA_ESYS && part == TA_HW_PIPELINE_CAPTURE &&
          strcmp(why, "not there") == 0);
    config = config_of();
    config.encoder.bitrate_bps = 0;
    CHECK(ta_hw_pipeline_open(&c, &config, why, &part) == TA_ESYS && part == TA_HW_PIPELINE_ENCODER &&
          errno == ENODEV && !c);
}

static bool has_thumbnail(ta_hw_pipeline *c) {
    static ta_thumbnail small;
    if (!ta_hw_pipeline_thumbnail(c, &small))
        return false;
    CHECK(small.width == 16 && small.height == 16);
    for (size_t i = 0; i < 256; i++)
        CHECK(small.data[i] == PIXELS[2 * i + 1]);
    for (size_t i = 0; i < 64; i++) {
        const uint8_t *pair = PIXELS + i / 8 * 64 + 4 * (i % 8);
        CHECK(small.data[256 + i] == pair[0] && small.data[320 + i] == pair[2]);
    }
    return true;
}

static void test_a_thumbnail_is_made_on_request_with_a_receiver_and_without(void) {
    for (size_t i = 0; i < sizeof PIXELS; i++)
        PIXELS[i] = (uint8_t)(i * 7);
    ta_hw_pipeline *c = opened();
    CHECK(!has_thumbnail(c));
    capture_pictures(1);
    CHECK(until(has_thumbnail, c));
    CHECK(!has_thumbnail(c)); /* each only once */
    key_unit();
    ta_hw_pipeline_allow(c, true);
    CHECK(one_by_one(c, enough_sent, 1));
    CHECK(until(has_thumbnail, c));
    closed(c);
}

static void test_a_thumbnail_takes_every_nth_sample(void) {
    static uint8_t big[1920 * 1080 * 2];
    static ta_thumbnail small;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 31 >> 3);
    const ta_raw_picture nv12 = {TA_RAW_NV12, 1920, 1080, 1920, big, 1920 * 1080 * 3 / 2};
    CHECK(ta_raw_thumbnail(&nv12, &small) == TA_OK && small.width == 320 && small.height == 180);
    CHECK(small.data[179 * 320 + 319] == big[179 * 6 * 1920 + 319 * 6]);
    CHECK(small.data[320 * 180 + 89 * 160 + 159] == big[1080 * 1920 + 89 * 6 * 1920 + 318 * 6]);
    const ta_raw_picture yuyv = {TA_RAW_YUYV, 1280, 720, 2560, big, 1280 * 720 * 2};
    CHECK(ta_raw_thumbnail(&yuyv, &small) == TA_OK && small.width == 320 && small.height == 180);
    CHECK(small.data[7 * 320 + 9] == big[7 * 4 * 2560 + 2 * 9 * 4]);
    CHECK(small.data[320 * 180 + 3 * 160 + 4] == big[6 * 4 * 2560 + 4 * (8 * 4 / 2) + 1]);
    ta_raw_picture shorter = yuyv;
    shorter.size--;
    CHECK(ta_raw_thumbnail(&shorter, &small) == TA_EINVAL);
    const ta_raw_picture tiny = {TA_RAW_UYVY, 2, 2, 4, big, 8}, line = {TA_RAW_UYVY, 1920, 4, 3840, big, 4 * 3840};
    CHECK(ta_raw_thumbnail(&tiny, &small) == TA_EINVAL && ta_raw_thumbnail(&line, &small) == TA_EINVAL);
}

int main(void) {
    RUN(test_pictures_become_frames_with_their_stamps_and_numbers);
    RUN(test_nothing_is_encoded_until_allowed_and_then_a_key_frame_is_requested);
    RUN(test_the_newest_picture_waits_and_older_ones_go_back);
    RUN(test_undecodable_units_are_not_sent_until_a_key_frame);
    RUN(test_parameter_sets_in_a_separate_unit_precede_the_picture);
    RUN(test_parameter_sets_state_the_camera_s_colour_and_nothing_else_changes);
    RUN(test_a_refused_unit_requests_a_key_frame);
    RUN(test_a_silent_camera_is_a_state_that_ends_by_itself);
    RUN(test_the_reader_is_woken_by_changes_and_not_by_pictures);
    RUN(test_silence_and_its_end_wake_the_reader_once_each_with_matching_counters);
    RUN(test_a_failing_device_ends_the_thread_with_a_reason_and_both_devices_closed);
    RUN(test_a_failed_open_names_the_part);
    RUN(test_a_thumbnail_is_made_on_request_with_a_receiver_and_without);
    RUN(test_a_thumbnail_takes_every_nth_sample);
    close(simulated.capture_fd);
    close(simulated.encoder_fd);
    return failures != 0;
}
