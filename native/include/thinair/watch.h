/* Samples the visual code in memory that another process writes, such as a screen. For benches. */
#ifndef THINAIR_WATCH_H
#define THINAIR_WATCH_H

#include "thinair/visual_code.h"

enum { TA_WATCH_SIGHTINGS = 256, TA_WATCH_GAPS = 4096 };

typedef struct ta_sighting {
    ta_code code, top; /* equal, except with separate_codes */
    uint64_t seen_us;
} ta_sighting;

typedef struct ta_code_watcher {
    /* set by the caller */
    const uint8_t *pixels; /* must stay mapped while watching */
    ta_code_place top, bottom;
    size_t step;         /* bytes from cell to cell */
    uint32_t sleep_us;   /* between two samples */
    bool separate_codes; /* top and bottom carry different codes: a new one at the bottom counts */
    bool stop_at_first;  /* return at the first new code, while its picture is still in memory */

    bool have_last;
    ta_code last;          /* the newest code, which is not reported again */
    uint64_t last_read_us; /* end of the previous sample; set to ta_now_us() before the first call */

    /* results of one call */
    ta_sighting sightings[TA_WATCH_SIGHTINGS];
    uint32_t gaps_us[TA_WATCH_GAPS]; /* from each sample to the previous one */
    size_t sighting_count, gap_count;
} ta_code_watcher;

/* Samples until `until_us`, or until a result array is full. A code counts once top and bottom both show it: a picture
 * that is half written does not. */
void ta_code_watch(ta_code_watcher *watcher, uint64_t until_us);

#endif
