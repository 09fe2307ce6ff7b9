/* The M2M encoder's own decisions, over a simulated device that does what real drivers rarely do (skip pictures, be
 * late, hang, return nonsense). The ioctls run in tests/vm. */
#include "check.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../src/io/m2m_device.h"

enum { PICTURE = 16 * 16 * 2, CODED_SLOTS = 3, LONG_US = 300000 };

static struct {
    uint64_t now_us;
    ta_m2m_buffer raw[8], raw_done[8], coded_done[8];
    size_t raw_count, raw_done_count, coded_done_count, coded_queued;
    int coded_errno, queue_errno;
    uint32_t controls[16];
    size_t control_count, starts;
    bool has_force_key;
} played;

uint64_t ta_now_us(void) { return played.now_us; }
void ta_note(ta_notes *notes, const char *format, ...) { (void)notes, (void)format; }
const char *ta_notes_get(const ta_notes *notes, size_t index) {
    return index < notes->count ? notes->text[index] : NULL;
}

ta_status ta_m2m_find(ta_m2m_device *d, const ta_encoder_config *config, char reason[TA_REASON_MAX]) {
    (void)config, (void)reason;
    d->fd = eventfd(0, EFD_CLOEXEC);
    return TA_OK;
}

ta_status ta_m2m_configure(ta_m2m_device *d, const ta_encoder_config *config, char reason[TA_REASON_MAX]) {
    (void)reason;
    d->width = config->width, d->height = config->height, d->raw_stride = 2 * config->width;
    d->raw_size = (size_t)d->raw_stride * d->height;
    return TA_OK;
}

void ta_m2m_set_controls(ta_m2m_device *d, const ta_encoder_config *config, ta_notes *notes) {
    (void)d, (void)config, (void)notes;
}
bool ta_m2m_has(const ta_m2m_device *d, uint32_t control) { return (void)d, (void)control, played.has_force_key; }
int ta_m2m_control(const ta_m2m_device *d, uint32_t control, int32_t value) {
    (void)d, (void)value;
    played.controls[played.control_count++ % 16] = control;
    return 0;
}

bool ta_m2m_buffers(const ta_m2m_device *d, ta_m2m_side *side, uint32_t *count, bool dmabuf) {
    (void)d, (void)count;
    side->type = side == &((ta_m2m_device *)(uintptr_t)d)->raw;
    side->memory = dmabuf;
    return true;
}

bool ta_m2m_map(const ta_m2m_device *d, const ta_m2m_side *side, uint32_t index, uint8_t **data, size_t *length) {
    (void)d;
    *length = 4096;
    /* the encoder unmaps it at the end */
    *data = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return *data != MAP_FAILED && (side->type || index < CODED_SLOTS);
}

bool ta_m2m_queue(const ta_m2m_device *d, const ta_m2m_side *side, const ta_m2m_buffer *b) {
    (void)d;
    if (played.queue_errno) {
        errno = played.queue_errno;
        return false;
    }
    if (side->type)
        played.raw[played.raw_count++] = *b;
    else
        played.coded_queued++;
    return true;
}

bool ta_m2m_dequeue(const ta_m2m_device *d, const ta_m2m_side *side, ta_m2m_buffer *b) {
    (void)d;
    size_t *count = side->type ? &played.raw_done_count : &played.coded_done_count;
    ta_m2m_buffer *from = side->type ? played.raw_done : played.coded_done;
    if (!side->type && played.coded_errno) {
        errno = played.coded_errno;
        return false;
    }
    if (*count == 0) {
        errno = EAGAIN;
        return false;
    }
    *b = from[0];
    memmove(from, from + 1, --*count * sizeof *from);
    return true;
}

bool ta_m2m_stream(const ta_m2m_device *d, const ta_m2m_side *side, bool on) {
    (void)d, (void)side;
    played.starts += on;
    return true;
}

/* ---- the device's part ---- */

static ta_encoder *opened(void) {
    const ta_encoder_config config = {.device = "",
                                      .width = 16,
                                      .height = 16,
                                      .stride = 32,
                                      .rate_numerator = 50,
                                      .rate_denominator = 1,
                                      .bitrate_bps = 1,
                                      .key_interval = 10};
    char reason[TA_REASON_MAX];
    ta_encoder *e = NULL;
    memset(&played, 0, sizeof played);
    played.now_us = 1000000;
    played.has_force_key = true;
    CHECK(ta_m2m_open(&e, &config, reason) == TA_OK);
    return e;
}

static ta_status submit(ta_encoder *e, uint64_t capture_us) {
    static const uint8_t picture[PICTURE];
    const ta_raw raw = {.token = 7, .dmabuf = -1, .data = picture, .size = sizeof picture, .capture_us = capture_us};
    return e->ops->submit(e, &raw);
}

static void finish_raw(void) { /* the device has finished reading the oldest picture */
    played.raw_done[played.raw_done_count++] = played.raw[0];
    memmove(played.raw, played.raw + 1, --played.raw_count * sizeof *played.raw);
}

static void give(uint64_t capture_us, size_t size) {
    played.coded_done[played.coded_done_count++] = (ta_m2m_buffer){.index = 1, .size = size, .time_us = capture_us};
}

static size_t drain_tokens(ta_encoder *e) {
    uint32_t token;
    size_t n = 0;
    while (e->ops->released(e, &token))
        n += token == 7;
    return n;
}

/* ---- tests ---- */

static void test_a_unit_carries_its_picture_s_capture_time(void) {
    ta_encoder *e = opened();
    ta_coded unit;
    CHECK(submit(e, 10) == TA_OK);
    CHECK(e->ops->take(e, &unit) == TA_AGAIN);
    finish_raw();
    give(10, 50);
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.capture_us == 10 && unit.size == 50 && unit.data);
    const size_t queued = played.coded_queued;
    e->ops->give_back(e, &unit);
    CHECK(played.coded_queued == queued + 1);
    CHECK(e->ops->bytes_copied(e) == PICTURE);
    e->ops->close(&e);
    CHECK(e == NULL);
}

static void test_a_picture_skipped_by_the_rate_control_is_reported_soon_after_its_release(void) {
    ta_encoder *e = opened();
    ta_coded unit;
    CHECK(submit(e, 10) == TA_OK);
    finish_raw();
    CHECK(drain_tokens(e) == 1);
    played.now_us += 10000;
    CHECK(e->ops->take(e, &unit) == TA_AGAIN);
    played.now_us += 11000; /* one picture of 50 a second after it was read */
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.size == 0 && unit.capture_us == 10);
    CHECK(e->ops->take(e, &unit) == TA_AGAIN);
    e->ops->close(&e);
}

static void test_a_picture_before_a_coded_one_counts_as_skipped(void) {
    ta_encoder *e = opened();
    ta_coded unit;
    CHECK(submit(e, 10) == TA_OK && submit(e, 20) == TA_OK);
    give(20, 5);
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.capture_us == 20 && unit.size == 5);
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.capture_us == 10 && unit.size == 0);
    CHECK(e->ops->take(e, &unit) == TA_AGAIN);
    e->ops->close(&e);
}

static void test_an_abandoned_unit_is_handed_out_when_it_comes(void) {
    ta_encoder *e = opened();
    ta_coded unit;
    CHECK(submit(e, 10) == TA_OK);
    played.now_us += LONG_US;
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.size == 0 && unit.capture_us == 10);
    CHECK(submit(e, 20) == TA_OK);
    give(10, 5);
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.capture_us == 10 && unit.size == 5);
    give(20, 6);
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.capture_us == 20 && unit.size == 6);
    e->ops->close(&e);
}

static void test_a_hanging_device_is_stuck_after_two_seconds_and_never_gets_a_third_picture(void) {
    ta_encoder *e = opened();
    ta_coded unit;
    CHECK(submit(e, 10) == TA_OK && submit(e, 20) == TA_OK && submit(e, 30) == TA_AGAIN);
    unsigned skipped = 0;
    ta_status status = TA_AGAIN;
    uint64_t waited_us = 0;
    for (; status != TA_ESYS && waited_us < 10000000; waited_us += 10000, played.now_us += 10000)
        skipped += (status = e->ops->take(e, &unit)) == TA_OK;
    CHECK(skipped == 2);
    CHECK(status == TA_ESYS && errno == ETIMEDOUT && strstr(e->ops->reason(e), "stuck"));
    CHECK(waited_us > 1900000 && waited_us < 2200000);
    CHECK(submit(e, 40) == TA_ESYS);
    e->ops->close(&e);
}

static void test_a_device_that_reads_and_never_writes_is_stuck_too(void) {
    ta_encoder *e = opened();
    ta_coded unit;
    ta_status status = TA_AGAIN;
    for (uint64_t t = 1; t < 1000 && status != TA_ESYS; t++, played.now_us += 20000) {
        if (submit(e, t) == TA_OK)
            finish_raw();
        drain_tokens(e);
        while ((status = e->ops->take(e, &unit)) == TA_OK)
            CHECK(unit.size == 0);
    }
    CHECK(status == TA_ESYS && played.now_us < 4000000);
    e->ops->close(&e);
}

static void test_one_skip_before_a_silent_camera_is_no_stuck_encoder(void) {
    ta_encoder *e = opened();
    ta_coded unit;
    CHECK(submit(e, 10) == TA_OK);
    finish_raw();
    drain_tokens(e);
    played.now_us += LONG_US;
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.size == 0);
    played.now_us += 60000000;
    CHECK(e->ops->take(e, &unit) == TA_AGAIN);
    CHECK(submit(e, 20) == TA_OK);
    finish_raw();
    give(20, 9);
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.size == 9);
    e->ops->close(&e);
}

static void test_errors_and_nonsense_of_the_device_are_failures_with_a_reason_or_skips(void) {
    ta_encoder *e = opened();
    ta_coded unit;
    CHECK(submit(e, 10) == TA_OK);
    played.coded_done[played.coded_done_count++] = (ta_m2m_buffer){.index = 1, .size = 5, .time_us = 10, .error = true};
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.size == 0 && unit.capture_us == 10);
    give(777, 5); /* matches no picture: handed out as it is */
    CHECK(e->ops->take(e, &unit) == TA_OK && unit.capture_us == 777);
    played.coded_errno = EIO;
    CHECK(e->ops->take(e, &unit) == TA_ESYS && e->ops->reason(e)[0]);
    e->ops->close(&e);

    e = opened();
    played.coded_done[played.coded_done_count++] = (ta_m2m_buffer){.index = 99, .size = 5};
    CHECK(e->ops->take(e, &unit) == TA_ESYS && errno == EPROTO);
    e->ops->close(&e);

    e = opened();
    played.queue_errno = EINVAL;
    CHECK(submit(e, 10) == TA_ESYS && strstr(e->ops->reason(e), "refuses"));
    e->ops->close(&e);
}

static void test_a_key_frame_is_requested_by_control_or_by_a_restart(void) {
    ta_encoder *e = opened();
    e->ops->request_key(e);
    CHECK(played.control_count == 1);
    const size_t starts = played.starts;
    CHECK(submit(e, 10) == TA_OK && played.starts == starts);
    e->ops->close(&e);

    memset(&played, 0, sizeof played);
    played.now_us = 1;
    played.has_force_key = false;
    const ta_encoder_config config = {
        .device = "", .width = 16, .height = 16, .stride = 32, .rate_numerator = 50, .rate_denominator = 1};
    char reason[TA_REASON_MAX];
    CHECK(ta_m2m_open(&e, &config, reason) == TA_OK);
    const size_t begun = played.starts;
    CHECK(submit(e, 10) == TA_OK && played.starts == begun);
    e->ops->request_key(e);
    CHECK(submit(e, 20) == TA_OK && played.starts == begun); /* one is in the encoder: not now */
    finish_raw(), finish_raw();
    CHECK(submit(e, 30) == TA_OK && played.starts == begun + 1);
    CHECK(e->ops->set_bitrate(e, 5) == TA_EINVAL);
    e->ops->close(&e);
}

int main(void) {
    RUN(test_a_unit_carries_its_picture_s_capture_time);
    RUN(test_a_picture_skipped_by_the_rate_control_is_reported_soon_after_its_release);
    RUN(test_a_picture_before_a_coded_one_counts_as_skipped);
    RUN(test_an_abandoned_unit_is_handed_out_when_it_comes);
    RUN(test_a_hanging_device_is_stuck_after_two_seconds_and_never_gets_a_third_picture);
    RUN(test_a_device_that_reads_and_never_writes_is_stuck_too);
    RUN(test_one_skip_before_a_silent_camera_is_no_stuck_encoder);
    RUN(test_errors_and_nonsense_of_the_device_are_failures_with_a_reason_or_skips);
    RUN(test_a_key_frame_is_requested_by_control_or_by_a_restart);
    return failures != 0;
}
