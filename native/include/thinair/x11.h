/* A window that shows I420 pictures through MIT-SHM. The X libraries are loaded at open, never linked. One owner at a time. */
#ifndef THINAIR_X11_H
#define THINAIR_X11_H

#include "thinair/core.h"

enum { TA_X11_WHY_MAX = 200, TA_X11_KEY_MAX = 16, TA_X11_SLOTS = 16 };

typedef struct ta_x11_config {
    const char *display;    /* NULL: $DISPLAY */
    const char *title;      /* UTF-8 */
    uint32_t width, height; /* of the window; made smaller, aspect kept, where the monitor is smaller */
    bool fullscreen;
    int monitor;            /* RandR's order; -1: the primary one */
} ta_x11_config;

typedef enum ta_x11_event_type { TA_X11_KEY, TA_X11_RESIZE, TA_X11_EXPOSE, TA_X11_CLOSE } ta_x11_event_type;

typedef struct ta_x11_event {
    ta_x11_event_type type;
    char key[TA_X11_KEY_MAX]; /* "q", "F1", "Escape", "question"; letters always small */
    uint32_t width, height;   /* of the window, with TA_X11_RESIZE */
} ta_x11_event;

typedef struct ta_x11_info {
    uint32_t width, height; /* of the window now */
    bool composited;        /* a compositor stands between window and screen */
    double refresh_hz;      /* of the monitor; 0: not known */
} ta_x11_info;

typedef struct ta_x11 ta_x11;

/* TA_ESYS or TA_EINVAL with a sentence in `why` (TA_X11_WHY_MAX bytes). */
ta_status ta_x11_open(ta_x11 **out, const ta_x11_config *config, char *why);

/* Converts the picture into shared memory, centred on black, and waits until the server has copied it: that time is
 * `copied_us`. `dim` (255: none) darkens it, `border` is 0xRRGGBB or -1. TA_ESYS with errno: EPIPE the display is gone, EIO it
 * refused, ETIMEDOUT it does not answer (a later call may succeed); TA_EINVAL: empty, or over TA_MAX_DIMENSION. */
ta_status ta_x11_present(ta_x11 *x, const ta_picture *picture, uint8_t dim, int32_t border, uint64_t *copied_us);

/* Over every following picture, the higher of TA_X11_SLOTS slots on top; copied. `x`, `y` below 0 count from the right and bottom
 * edge. A NULL mask takes it away. */
ta_status ta_x11_overlay(ta_x11 *x, uint32_t slot, const ta_overlay *overlay);

/* TA_AGAIN: none. TA_ESYS: the display is gone. */
ta_status ta_x11_next_event(ta_x11 *x, ta_x11_event *event);
ta_status ta_x11_fullscreen(ta_x11 *x, bool on);
void ta_x11_info_get(const ta_x11 *x, ta_x11_info *out);
void ta_x11_close(ta_x11 **x);

#endif
