/* The MMAL encoder against the double in tests/double/mmal. With an argument: a case that needs its own process. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "thinair/clock.h"
#include "thinair/encoder.h"
#include "thinair/h264.h"

enum { WIDTH = 104, HEIGHT = 72, STRIDE = 256, WAIT_MS = 5000 };

static uint8_t raw[STRIDE * HEIGHT];
static char reason[TA_REASON_MAX];
static ta_encoder *encoder;
static ta_coded unit;
static unsigned freed; /* raw pictures released */

static ta_encoder_config usual(void) {
    return (ta_encoder_config){.device = "",
                               .width = WIDTH,
                               .height = HEIGHT,
                               .stride = STRIDE,
                               .fourcc = V4L2_PIX_FMT_UYVY,
                               .rate_numerator = 30,
                               .rate_denominator = 1,
                               .bitrate_bps = 2000000,
                               .key_interval = 100,
                               .min_qp = 16,
                               .max_qp = 32,
                               .buffers = 4};
}

static ta_status open_with(const char *faults, const ta_encoder_config *config) {
    setenv("MMAL_DOUBLE", faults, 1);
    reason[0] = 0;
    return ta_mmal_open(&encoder, config, reason);
}

static void open_usual(const char *faults) {
    ta_encoder_config config = usual();
    CHECK(open_with(faults, &config) == TA_OK);
    if (!encoder) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
}

static void *symbol(const char *name) { return dlsym(dlopen("libmmal.so", RTLD_NOW), name); }

static uint32_t parameter(uint32_t id, uint32_t word) { /* as the component stores it */
    uint32_t (*get)(uint32_t, uint32_t);
    void *found = symbol("mmal_double_parameter");
    memcpy(&get, &found, sizeof get);
    return get(id, word);
}

static int count_of(const char *what) {
    int (*get)(void);
    void *found = symbol(what);
    memcpy(&get, &found, sizeof get);
    return get();
}

static void drain(void) {
    uint32_t token;
    while (encoder->ops->released(encoder, &token))
        freed++;
}

static ta_status submit(uint64_t capture_us) {
    const uint32_t token = (uint32_t)(capture_us % 4);
    ta_raw picture = {.token = token, .dmabuf = -1, .data = raw, .size = sizeof raw, .capture_us = capture_us};
    for (;;) {
        ta_status status = encoder->ops->submit(encoder, &picture);
        struct pollfd wait = {.fd = encoder->ops->descriptor(encoder), .events = POLLIN};
        if (status != TA_AGAIN)
            return status;
        if (poll(&wait, 1, WAIT_MS) == 0)
            return TA_AGAIN;
        drain();
    }
}

static ta_status take(void) { /* waits for the descriptor, as the pipeline does, for a few picture intervals at most */
    for (int tries = 0; tries < 200; tries++) {
        drain();
        ta_status status = encoder->ops->take(encoder, &unit);
        struct pollfd wait = {.fd = encoder->ops->descriptor(encoder), .events = POLLIN};
        if (status != TA_AGAIN)
            return status;
        poll(&wait, 1, 50);
    }
    return TA_AGAIN;
}

static void give_back(void) { encoder->ops->give_back(encoder, &unit); }
static void close_encoder(void) {
    encoder->ops->close(&encoder);
    CHECK(encoder == NULL && count_of("mmal_double_components") == 0 && count_of("mmal_double_violations") == 0);
}

static bool begins_with_parameter_sets(void) {
    ta_nal nals[4];
    ta_sps sps;
    return ta_annexb_split(unit.data, unit.size, nals, 4) == 3 && (unit.data[nals[1].offset] & 31) == TA_NAL_PPS &&
           (unit.data[nals[2].offset] & 31) == TA_NAL_IDR &&
           ta_sps_parse(unit.data + nals[0].offset, nals[0].size, &sps) == TA_OK && sps.width == WIDTH &&
           sps.height == HEIGHT && sps.time_scale == 60 * sps.num_units_in_tick;
}

static bool codes(uint64_t capture_us, bool key) { /* submits a picture and takes its unit */
    bool right = submit(capture_us) == TA_OK && take() == TA_OK && unit.capture_us == capture_us && unit.key == key &&
                 unit.size > 0 && (!key || begins_with_parameter_sets());
    give_back();
    return right;
}

static void every_picture_comes_out_with_its_capture_time(void) {
    open_usual("");
    CHECK(codes(1000, true));
    for (uint64_t i = 2; i < 20; i++)
        CHECK(codes(i * 1000, false));
    CHECK(encoder->ops->bytes_copied(encoder) == 19 * sizeof raw);
    CHECK(encoder->ops->note(encoder, 0) == NULL && encoder->ops->reason(encoder) == NULL);
    close_encoder();
}

static void a_unit_split_over_buffers_is_assembled(void) {
    open_usual("split=700");
    CHECK(codes(1000, true));
    size_t whole = unit.size;
    CHECK(whole > 7 * 3 * 384); /* I_PCM macroblocks */
    CHECK(codes(2000, false));
    close_encoder();
    open_usual("");
    CHECK(codes(1000, true) && unit.size == whole);
    close_encoder();
}

static void the_key_interval_and_a_request_make_key_frames_with_parameter_sets(void) {
    ta_encoder_config config = usual();
    config.key_interval = 3;
    CHECK(open_with("", &config) == TA_OK);
    for (uint64_t i = 0; i < 7; i++)
        CHECK(codes(1000 + i, i % 3 == 0));
    encoder->ops->request_key(encoder);
    CHECK(codes(2000, true));
    close_encoder();
}

static void parameters_reach_the_component(void) {
    ta_encoder_config config = usual();
    config.intra_refresh_mbs = 5;
    CHECK(open_with("", &config) == TA_OK);
    CHECK(parameter(0x20002, 0) == 28 && parameter(0x20002, 1) == 28); /* High, level 4 */
    CHECK(parameter(0x20003, 0) == 100);
    CHECK(parameter(0x20004, 0) == 2);
    CHECK(parameter(0x20010, 0) == 16 && parameter(0x20011, 0) == 32);
    CHECK(parameter(0x2001d, 0) == 0); /* low latency */
    CHECK(parameter(0x2002a, 0) == 1 && parameter(0x20030, 0) == 1);
    CHECK(parameter(0x2000c, 0) == 0x7f000001 && parameter(0x2000c, 3) == 5);
    CHECK(encoder->ops->note(encoder, 0) == NULL);
    CHECK(encoder->ops->set_bitrate(encoder, 750000) == TA_OK && parameter(0x2000e, 0) == 750000);
    close_encoder();
}

static void a_refused_optional_parameter_becomes_a_note(void) {
    open_usual("refuse=0x20030");
    const char *note = encoder->ops->note(encoder, 0);
    CHECK(note && strstr(note, "SPS timing"));
    CHECK(submit(1) == TA_OK && take() == TA_OK && unit.key);
    close_encoder();
}

static void only_as_many_pictures_are_submitted_as_the_component_accepts(void) {
    open_usual("stuck=1");
    ta_raw picture = {.token = 1, .dmabuf = -1, .data = raw, .size = sizeof raw, .capture_us = 1};
    CHECK(encoder->ops->submit(encoder, &picture) == TA_OK);
    uint32_t token = 0;
    CHECK(encoder->ops->released(encoder, &token) && token == 1); /* copied: free at once */
    CHECK(!encoder->ops->released(encoder, &token));
    CHECK(encoder->ops->submit(encoder, &picture) == TA_AGAIN);
    close_encoder();
}

static void a_picture_skipped_by_the_rate_control_is_reported_with_a_later_unit(void) {
    open_usual("skip=2");
    CHECK(codes(1000, true));
    CHECK(submit(2000) == TA_OK && submit(3000) == TA_OK);
    CHECK(take() == TA_OK && unit.size == 0 && unit.capture_us == 2000);
    give_back();
    CHECK(take() == TA_OK && unit.size > 0 && unit.capture_us == 3000);
    give_back();
    CHECK(submit(4000) == TA_OK); /* nothing follows: reported after a while */
    CHECK(take() == TA_OK && unit.size == 0 && unit.capture_us == 4000);
    CHECK(encoder->ops->reason(encoder) == NULL);
    close_encoder();
}

static void units_without_timestamps_belong_to_the_oldest_picture(void) {
    open_usual("nopts");
    CHECK(codes(1000, true) && codes(2000, false) && codes(3000, false));
    close_encoder();
}

static void undecodable_units_before_the_first_key_frame_are_discarded(void) {
    open_usual("junk=5");
    CHECK(codes(1000, true));
    CHECK(encoder->ops->note(encoder, 0) != NULL && encoder->ops->note(encoder, 1) == NULL);
    close_encoder();
}

static void only_undecodable_units_end_in_an_error(void) {
    open_usual("junk=100");
    CHECK(submit(1000) == TA_OK && take() == TA_ESYS && strstr(encoder->ops->reason(encoder), "key frame"));
    close_encoder();
}

static void after_a_corrupt_unit_only_a_key_frame_is_handed_out(void) {
    open_usual("corrupt=3");
    CHECK(codes(1000, true) && codes(2000, false));
    CHECK(submit(3000) == TA_OK && submit(4000) == TA_OK);
    CHECK(take() == TA_OK && unit.capture_us == 3000 && unit.size == 0);
    while (unit.size == 0) { /* 4000 may have been coded before the request */
        CHECK(submit(unit.capture_us + 2000) != TA_EINVAL);
        if (take() != TA_OK)
            break;
    }
    CHECK(unit.key && begins_with_parameter_sets());
    close_encoder();
}

static void an_error_event_ends_the_encoder_with_its_status(void) {
    open_usual("error=2");
    CHECK(codes(1000, true));
    CHECK(submit(2000) == TA_OK && take() == TA_ESYS && errno == EIO);
    CHECK(strcmp(encoder->ops->reason(encoder), "the encoder reports an error (MMAL status 7)") == 0);
    CHECK(submit(3000) == TA_ESYS && take() == TA_ESYS && encoder->ops->set_bitrate(encoder, 1000000) == TA_ESYS);
    close_encoder();
}

static void a_stuck_encoder_is_distinguished_from_a_slow_one(void) {
    open_usual("stuck=2");
    CHECK(codes(1000, true));
    CHECK(submit(2000) == TA_OK && take() == TA_OK && unit.size == 0); /* counts as skipped at first */
    CHECK(take() == TA_ESYS && errno == ETIMEDOUT && strstr(encoder->ops->reason(encoder), "nothing for a second"));
    close_encoder();
}

static void a_paused_source_does_not_make_the_encoder_stuck(void) {
    open_usual("skip=2,stuck=3");
    CHECK(codes(1000, true));
    CHECK(submit(2000) == TA_OK && take() == TA_OK && unit.size == 0);
    uint64_t until_us = ta_now_us() + 1100000;
    while (ta_now_us() < until_us) {
        struct pollfd wait = {.fd = encoder->ops->descriptor(encoder), .events = POLLIN};
        CHECK(poll(&wait, 1, 50) == 0 && encoder->ops->take(encoder, &unit) == TA_AGAIN);
    }
    ta_raw picture = {.token = 1, .dmabuf = -1, .data = raw, .size = sizeof raw, .capture_us = 3000};
    CHECK(encoder->ops->submit(encoder, &picture) == TA_OK && encoder->ops->take(encoder, &unit) == TA_AGAIN);
    close_encoder();
}

static void a_silent_encoder_in_low_latency_mode_names_the_mode(void) {
    ta_encoder_config config = usual();
    config.low_latency = true;
    CHECK(open_with("", &config) == TA_OK);
    ta_status status = TA_OK;
    for (uint64_t i = 1; i < 100 && status == TA_OK; i++)
        if ((status = submit(i * 1000)) == TA_OK)
            status = take();
    CHECK(status == TA_ESYS && errno == ETIMEDOUT && strstr(encoder->ops->reason(encoder), "low-latency mode"));
    close_encoder();
}

static void impossible_configurations_are_refused_with_a_reason(void) {
    ta_encoder_config config = usual();
    config.fourcc = V4L2_PIX_FMT_RGB24;
    CHECK(open_with("", &config) == TA_EINVAL && encoder == NULL && strstr(reason, "RGB3"));
    config = usual();
    config.stride = WIDTH;
    CHECK(open_with("", &config) == TA_EINVAL && encoder == NULL && reason[0]);
    config = usual();
    CHECK(open_with("commit=3", &config) == TA_ESYS && encoder == NULL && strstr(reason, "UYVY of 104x72"));
    CHECK(open_with("refuse=0x2002a", &config) == TA_ESYS && encoder == NULL && strstr(reason, "parameter sets"));
    open_usual("");
    ta_raw picture = {.dmabuf = -1, .data = raw, .size = sizeof raw - 1};
    CHECK(encoder->ops->submit(encoder, &picture) == TA_EINVAL);
    close_encoder();
}

static void without_the_videocore_the_reason_says_so(void) {
    ta_encoder_config config = usual();
    CHECK(open_with("create=7", &config) == TA_ESYS && encoder == NULL);
    CHECK(strstr(reason, "MMAL status 7") && (strstr(reason, "/dev/vchiq") || strstr(reason, "gpu_mem")));
}

static void a_dmabuf_is_imported_only_on_request(void) {
    ta_encoder_config config = usual();
    config.dmabuf = true;
    CHECK(open_with("", &config) == TA_EINVAL && encoder == NULL && strstr(reason, "THINAIR_MMAL_ZERO_COPY=1"));
    setenv("THINAIR_MMAL_ZERO_COPY", "1", 1);
    CHECK(open_with("novcsm", &config) == TA_ESYS && encoder == NULL && strstr(reason, "vcsm"));
    CHECK(open_with("", &config) == TA_OK);
    int memory = memfd_create("picture", MFD_CLOEXEC);
    CHECK(memory >= 0 && ftruncate(memory, STRIDE * 80) == 0 && pwrite(memory, raw, sizeof raw, 0) == sizeof raw);
    ta_raw picture = {.token = 3, .dmabuf = memory, .size = STRIDE * 80, .capture_us = 1000};
    freed = 0;
    for (unsigned i = 1; i <= 3; i++, picture.capture_us += 1000) {
        CHECK(encoder->ops->submit(encoder, &picture) == TA_OK);
        CHECK(take() == TA_OK && unit.capture_us == picture.capture_us && unit.size > 7 * 3 * 384);
        give_back();
        struct pollfd wait = {.fd = encoder->ops->descriptor(encoder), .events = POLLIN};
        for (drain(); freed < i && poll(&wait, 1, WAIT_MS) > 0; drain())
            CHECK(encoder->ops->take(encoder, &unit) == TA_AGAIN);
        CHECK(freed == i);
    }
    CHECK(encoder->ops->bytes_copied(encoder) == 0);
    close_encoder();
    open_with("noimport", &config);
    CHECK(encoder->ops->submit(encoder, &picture) == TA_ESYS && strstr(encoder->ops->reason(encoder), "vcsm"));
    close_encoder();
    close(memory);
    unsetenv("THINAIR_MMAL_ZERO_COPY");
}

/* ---- cases with a process of their own ---- */

static void without_the_library_the_reason_says_so(void) {
    ta_encoder_config config = usual();
    CHECK(open_with("", &config) == TA_ESYS && encoder == NULL && errno == ENOENT);
    CHECK(strcmp(reason, "libmmal.so is not installed") == 0);
}

static void a_library_without_a_needed_function_is_refused(void) {
    ta_encoder_config config = usual();
    CHECK(open_with("", &config) == TA_ESYS && encoder == NULL);
    CHECK(strcmp(reason, "libmmal.so has an unsupported version: mmal_component_destroy is missing") == 0);
}

static void a_component_that_never_closes_is_abandoned(void) {
    open_usual("stuck=1,hang");
    CHECK(submit(1000) == TA_OK && take() == TA_OK && take() == TA_ESYS);
    encoder->ops->close(&encoder); /* returns */
    CHECK(encoder == NULL && count_of("mmal_double_components") == 1);
}

int main(int count, char **arguments) {
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(i * 7 + i / STRIDE);
    if (count > 1 && strcmp(arguments[1], "absent") == 0)
        RUN(without_the_library_the_reason_says_so);
    else if (count > 1 && strcmp(arguments[1], "old") == 0)
        RUN(a_library_without_a_needed_function_is_refused);
    else if (count > 1)
        RUN(a_component_that_never_closes_is_abandoned);
    if (count > 1)
        return failures != 0;
    RUN(every_picture_comes_out_with_its_capture_time);
    RUN(a_unit_split_over_buffers_is_assembled);
    RUN(the_key_interval_and_a_request_make_key_frames_with_parameter_sets);
    RUN(parameters_reach_the_component);
    RUN(a_refused_optional_parameter_becomes_a_note);
    RUN(only_as_many_pictures_are_submitted_as_the_component_accepts);
    RUN(a_picture_skipped_by_the_rate_control_is_reported_with_a_later_unit);
    RUN(units_without_timestamps_belong_to_the_oldest_picture);
    RUN(undecodable_units_before_the_first_key_frame_are_discarded);
    RUN(only_undecodable_units_end_in_an_error);
    RUN(after_a_corrupt_unit_only_a_key_frame_is_handed_out);
    RUN(an_error_event_ends_the_encoder_with_its_status);
    RUN(a_stuck_encoder_is_distinguished_from_a_slow_one);
    RUN(a_paused_source_does_not_make_the_encoder_stuck);
    RUN(a_silent_encoder_in_low_latency_mode_names_the_mode);
    RUN(impossible_configurations_are_refused_with_a_reason);
    RUN(without_the_videocore_the_reason_says_so);
    RUN(a_dmabuf_is_imported_only_on_request);
    return failures != 0;
}
