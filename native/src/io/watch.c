/* Samples the visual code in a screen's memory. */
#include "thinair/watch.h"
#include "thinair/clock.h"

static bool same(const ta_code *a, const ta_code *b) { return a->frame_id == b->frame_id && a->time_us == b->time_us; }

/* Another process writes the memory while it is read: a half-written code fails its checksum or differs. */
void ta_code_watch(ta_code_watcher *w, uint64_t until_us) {
    w->sighting_count = w->gap_count = 0;
    while (w->sighting_count < TA_WATCH_SIGHTINGS && w->gap_count < TA_WATCH_GAPS) {
        ta_code top, bottom;
        const bool there = ta_code_read(w->pixels, &w->bottom, w->step, &bottom);
        if (there && !(w->have_last && same(&bottom, &w->last)) && ta_code_read(w->pixels, &w->top, w->step, &top) &&
            (w->separate_codes || same(&top, &bottom))) {
            w->sightings[w->sighting_count++] = (ta_sighting){bottom, top, ta_now_us()};
            w->last = bottom;
            w->have_last = true;
            if (w->stop_at_first)
                return;
        }
        ta_sleep_until_us(ta_now_us() + w->sleep_us, 0);
        const uint64_t now_us = ta_now_us();
        w->gaps_us[w->gap_count++] = (uint32_t)(now_us - w->last_read_us);
        w->last_read_us = now_us;
        if (now_us >= until_us)
            return;
    }
}
