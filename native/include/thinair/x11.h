/* A window that shows I420 pictures through MIT-SHM. The X libraries are loaded at open, never linked. One thread at a
 * time uses a window. */
#ifndef THINAIR_X11_H
#define THINAIR_X11_H

#include "thinair/picture.h"

enum { TA_X11_WHY_MAX = 200, TA_X11_KEY_MAX = 16, TA_X11_SLOTS = 16 };

typedef struct ta_x11_config {
    const char *display;    /* NULL: $DISPLAY */
    const char *title;      /* UTF-8 */
    uint32_t width, height; /* of the window; reduced to the monitor's size, aspect ratio kept */
    bool fullscreen;
    int monitor; /* in RandR's order; -1: the primary one */
} ta_x11_config;

typedef enum ta_x11_event_type { TA_X11_KEY, TA_X11_RESIZE, TA_X11_EXPOSE, TA_X11_CLOSE } ta_x11_event_type;

typedef struct ta_x11_event {
    ta_x11_event_type type;
    char key[TA_X11_KEY_MAX]; /* "q", "F1", "Escape", "question"; letters in lower case */
    uint32_t width, height;   /* of the window, with TA_X11_RESIZE */
} ta_x11_event;

typedef struct ta_x11_info {
    uint32_t width, height; /* of the window */
    bool composited;        /* a compositor is running */
    double refresh_hz;      /* of the monitor; 0: unknown */
} ta_x11_info;

typedef struct ta_x11 ta_x11;

/* Opens a window. TA_ESYS, TA_EINVAL: with a sentence in `why` of TA_X11_WHY_MAX bytes. TA_ENOMEM. */
ta_status ta_x11_open(ta_x11 **out, const ta_x11_config *config, char *why);

/* Converts a picture into shared memory, centred on black, and waits until the server has copied it, at *copied_us.
 * `dim`: brightness, 255 unchanged. `border`: 0xRRGGBB, or -1 for none. TA_EINVAL: empty, or over TA_MAX_DIMENSION.
 * TA_ESYS: errno EPIPE (the display is gone), EIO (it refused) or ETIMEDOUT (it does not answer; a later call may
 * succeed). */
ta_status ta_x11_present(ta_x11 *x, const ta_picture *picture, uint8_t dim, int32_t border, uint64_t *copied_us);

/* Sets an overlay for all following pictures, copied; higher slots of TA_X11_SLOTS are on top. Negative `x`, `y` count
 * from the right and the bottom edge. A NULL mask removes it. TA_EINVAL: no such slot. TA_ENOMEM. */
ta_status ta_x11_overlay(ta_x11 *x, uint32_t slot, const ta_overlay *overlay);

/* Takes the next event. TA_AGAIN: none. TA_ESYS: the display is gone. */
ta_status ta_x11_next_event(ta_x11 *x, ta_x11_event *event);
/* Covers the monitor, or returns to the window. TA_ESYS: the display is gone. */
ta_status ta_x11_fullscreen(ta_x11 *x, bool on);
void ta_x11_info_get(const ta_x11 *x, ta_x11_info *out);
void ta_x11_close(ta_x11 **x);

#endif
