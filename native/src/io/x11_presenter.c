/* I420 pictures in an X11 window: converted into a shared image, put, and the server's completion awaited.
 *
 * A picture is put in bands, through a ring of a few of them; each put is awaited before its band is overwritten. */
#include "thinair/x11.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef TA_HAVE_XCB

ta_status ta_x11_open(ta_x11 **out, const ta_x11_config *config, char *why) {
    (void)config;
    *out = NULL;
    snprintf(why, TA_X11_WHY_MAX, "built without X11 (the XCB headers were missing)");
    errno = ENOTSUP;
    return TA_ESYS;
}
ta_status ta_x11_present(ta_x11 *x, const ta_picture *picture, uint8_t dim, int32_t border, uint64_t *copied_us) {
    (void)x, (void)picture, (void)dim, (void)border, (void)copied_us;
    return TA_EINVAL;
}
ta_status ta_x11_overlay(ta_x11 *x, uint32_t slot, const ta_overlay *overlay) {
    return (void)x, (void)slot, (void)overlay, TA_EINVAL;
}
ta_status ta_x11_next_event(ta_x11 *x, ta_x11_event *event) { return (void)x, (void)event, TA_AGAIN; }
ta_status ta_x11_fullscreen(ta_x11 *x, bool on) { return (void)x, (void)on, TA_EINVAL; }
void ta_x11_info_get(const ta_x11 *x, ta_x11_info *out) { (void)x, *out = (ta_x11_info){0}; }
void ta_x11_close(ta_x11 **x) { (void)x; }

#else

#include <poll.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "x11_private.h"

/* Bands of a picture: the server copies one while the next is converted. Only TA_X11_HELD of them have memory, so that
 * the server reads from the cache. Measured by the stage "present" of `thinair demo` (Xvfb, two cores): at 1080p 1.15
 * ms, against 1.45 ms for four bands with memory for the whole image and 2.1 ms for one band; at 720p 0.6 ms, against
 * 0.8 ms for 24 bands. */
#ifndef TA_X11_BAND
#define TA_X11_BAND 400000 /* bytes */
#endif
#ifndef TA_X11_HELD
#define TA_X11_HELD 4
#endif

enum {
    ANSWER_US = 250000,         /* timeout of a put: meanwhile access units wait in 16 slots */
    SCREEN_SAVER_US = 30000000, /* interval of screen saver resets */
    SYM_ESCAPE = 0xff1b,
    SYM_F1 = 0xffbe,
};

static ta_status gone(void) {
    errno = EPIPE;
    return TA_ESYS;
}

/* ---- keys ---- */

void ta_x11_load_keyboard(ta_x11 *x) {
    const xcb_setup_t *setup = xcb.get_setup(x->c);
    free(x->keyboard);
    x->keyboard = xcb.get_keyboard_mapping_reply(
        x->c,
        xcb.get_keyboard_mapping(x->c, setup->min_keycode, (uint8_t)(setup->max_keycode - setup->min_keycode + 1)),
        NULL);
}

static bool key_name(xcb_keysym_t sym, char *name) {
    static const struct {
        xcb_keysym_t sym;
        const char *name;
    } NAMES[] = {{SYM_ESCAPE, "Escape"}, {0xff0d, "Return"}, {0xff09, "Tab"},  {0xff08, "BackSpace"}, {0xff51, "Left"},
                 {0xff52, "Up"},         {0xff53, "Right"},  {0xff54, "Down"}, {' ', "space"},        {'?', "question"},
                 {'/', "slash"},         {'+', "plus"},      {'-', "minus"}};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (NAMES[i].sym == sym)
            return snprintf(name, TA_X11_KEY_MAX, "%s", NAMES[i].name) > 0;
    if (sym >= SYM_F1 && sym < SYM_F1 + 12)
        return snprintf(name, TA_X11_KEY_MAX, "F%u", sym - SYM_F1 + 1) > 0;
    if (sym > ' ' && sym <= '~')
        return snprintf(name, TA_X11_KEY_MAX, "%c", sym >= 'A' && sym <= 'Z' ? (int)sym + 32 : (int)sym) > 0;
    return false;
}

/* Returns the first name of a key's symbols: of the shifted column first if shift is pressed, then of other layouts. */
static void take_key(ta_x11 *x, const xcb_key_press_event_t *event) {
    if (!x->keyboard || x->key_count == TA_X11_KEYS)
        return;
    const uint32_t columns = x->keyboard->keysyms_per_keycode;
    const uint32_t first = (uint32_t)(event->detail - xcb.get_setup(x->c)->min_keycode) * columns;
    if (first + columns > (uint32_t)xcb.get_keyboard_mapping_keysyms_length(x->keyboard))
        return;
    const xcb_keysym_t *syms = xcb.get_keyboard_mapping_keysyms(x->keyboard) + first;
    char *name = x->keys[(x->key_first + x->key_count) % TA_X11_KEYS];
    const uint32_t shift = (event->state & XCB_MOD_MASK_SHIFT) && columns > 1;
    bool known = key_name(syms[shift], name);
    for (uint32_t i = 0; !known && i < columns; i++)
        known = key_name(syms[i], name);
    x->key_count += known;
}

/* ---- events ---- */

static void take_event(ta_x11 *x, const xcb_generic_event_t *event) {
    const uint8_t type = event->response_type & 0x7f;
    if (type == x->shm_event) {
        x->puts -= x->puts > 0;
        return;
    }
    switch (type) {
    case 0:
        if (((const xcb_generic_error_t *)event)->major_code == x->shm_opcode)
            x->refused = true;
        break;
    case XCB_KEY_PRESS: take_key(x, (const xcb_key_press_event_t *)event); break;
    case XCB_EXPOSE: x->exposed = true; break;
    case XCB_MAP_NOTIFY:
        x->mapped = true;
        if (!x->managed) /* without a window manager nobody else sets the focus */
            xcb.set_input_focus(x->c, XCB_INPUT_FOCUS_POINTER_ROOT, x->window, XCB_CURRENT_TIME);
        break;
    case XCB_CONFIGURE_NOTIFY: {
        const xcb_configure_notify_event_t *e = (const xcb_configure_notify_event_t *)event;
        x->resized |= e->width != x->now.width || e->height != x->now.height;
        x->now = (rectangle){e->x, e->y, e->width, e->height};
        break;
    }
    case XCB_CLIENT_MESSAGE: {
        const xcb_client_message_event_t *e = (const xcb_client_message_event_t *)event;
        x->closed |= e->type == x->atoms[A_WM_PROTOCOLS] && e->data.data32[0] == x->atoms[A_WM_DELETE_WINDOW];
        break;
    }
    case XCB_DESTROY_NOTIFY: x->closed = x->refused = true; break;
    case XCB_MAPPING_NOTIFY: ta_x11_load_keyboard(x); break;
    default: break;
    }
}

static ta_status take_events(ta_x11 *x) {
    xcb_generic_event_t *event;
    while ((event = xcb.poll_for_event(x->c)) != NULL) {
        take_event(x, event);
        free(event);
    }
    return xcb.connection_has_error(x->c) ? gone() : TA_OK;
}

/* Handles events until the window is mapped (`*flag`) or, without a flag, until at most `puts` are pending. */
ta_status ta_x11_await(ta_x11 *x, const bool *flag, uint32_t puts, uint64_t timeout_us) {
    const uint64_t deadline = ta_now_us() + timeout_us;
    for (;;) {
        if (take_events(x) != TA_OK)
            return TA_ESYS;
        if (x->refused) {
            errno = EIO;
            return TA_ESYS;
        }
        if (flag ? *flag : x->puts <= puts)
            return TA_OK;
        const uint64_t now = ta_now_us();
        if (now >= deadline) {
            errno = ETIMEDOUT;
            return TA_ESYS;
        }
        struct pollfd fd = {.fd = xcb.get_file_descriptor(x->c), .events = POLLIN};
        poll(&fd, 1, (int)((deadline - now) / 1000 + 1));
    }
}

ta_status ta_x11_next_event(ta_x11 *x, ta_x11_event *event) {
    const ta_status status = take_events(x);
    if (status == TA_OK)
        ta_x11_follow_monitors(x);
    *event = (ta_x11_event){.width = x->now.width, .height = x->now.height};
    if (x->key_count) {
        event->type = TA_X11_KEY;
        memcpy(event->key, x->keys[x->key_first], TA_X11_KEY_MAX);
        x->key_first = (x->key_first + 1) % TA_X11_KEYS;
        x->key_count--;
    } else if (x->closed) {
        event->type = TA_X11_CLOSE;
        x->closed = false;
    } else if (x->resized) {
        event->type = TA_X11_RESIZE;
        x->resized = false;
    } else if (x->exposed) {
        event->type = TA_X11_EXPOSE;
        x->exposed = false;
    } else {
        return status == TA_OK ? TA_AGAIN : status;
    }
    return TA_OK;
}

/* ---- shared image ---- */

static void drop_image(ta_x11 *x) {
    if (x->segment && !xcb.connection_has_error(x->c))
        xcb.shm_detach(x->c, x->segment);
    if (x->pixels)
        shmdt(x->pixels);
    x->segment = 0;
    x->pixels = NULL;
    x->capacity = 0;
}

/* Reserves `size` bytes that both sides can access. The segment is marked for removal at once, so that it cannot
 * outlive us. */
ta_status ta_x11_reserve_image(ta_x11 *x, size_t size) {
    if (size <= x->capacity)
        return TA_OK;
    drop_image(x);
    const int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    if (id < 0)
        return TA_ESYS;
    void *memory = shmat(id, NULL, 0);
    int error = errno;
    if (memory != (void *)-1) {
        x->pixels = memory;
        x->segment = xcb.generate_id(x->c);
        xcb_generic_error_t *refusal =
            xcb.request_check(x->c, xcb.shm_attach_checked(x->c, x->segment, (uint32_t)id, 0));
        error = xcb.connection_has_error(x->c) ? EPIPE : refusal ? EIO : 0;
        if (error)
            x->segment = 0;
        free(refusal);
    }
    shmctl(id, IPC_RMID, NULL);
    if (!error) {
        x->capacity = size;
        return TA_OK;
    }
    drop_image(x);
    errno = error;
    return TA_ESYS;
}

/* Clears the bars beside the picture when the window or the picture has changed its size. */
static void clear_bars(ta_x11 *x, int32_t left, int32_t top, uint32_t width, uint32_t height) {
    const uint32_t shown[4] = {x->now.width, x->now.height, width, height};
    if (memcmp(shown, x->shown, sizeof shown) == 0)
        return;
    memcpy(x->shown, shown, sizeof shown);
    const int32_t right = left + (int32_t)width, bottom = top + (int32_t)height;
    if (top > 0) /* 0 means up to the far edge */
        xcb.clear_area(x->c, 0, x->window, 0, 0, 0, (uint16_t)top);
    if (left > 0)
        xcb.clear_area(x->c, 0, x->window, 0, 0, (uint16_t)left, 0);
    if (right < (int32_t)x->now.width)
        xcb.clear_area(x->c, 0, x->window, (int16_t)right, 0, 0, 0);
    if (bottom < (int32_t)x->now.height)
        xcb.clear_area(x->c, 0, x->window, 0, (int16_t)bottom, 0, 0);
}

/* Converts rows `from` to `to` of the picture as an image of their own at `out`. */
static void draw_band(const ta_x11 *x, const ta_picture *p, uint32_t from, uint32_t to, uint8_t dim, uint8_t *out) {
    const ptrdiff_t stride = (ptrdiff_t)p->width * 4;
    ta_picture band = *p;
    band.y += (ptrdiff_t)from * p->y_stride;
    band.u += (ptrdiff_t)from / 2 * p->u_stride;
    band.v += (ptrdiff_t)from / 2 * p->v_stride;
    band.height = to - from;
    ta_i420_to_bgrx(&band, out, stride, 0, band.height);
    if (dim < 255)
        ta_overlay_blend(out, stride, p->width, band.height,
                         &(ta_overlay){.width = p->width, .height = band.height, .dim = dim});
    for (uint32_t slot = 0; slot < TA_X11_SLOTS; slot++) {
        if (!x->slots[slot].overlay.mask)
            continue;
        ta_overlay one = x->slots[slot].overlay;
        one.x += one.x < 0 ? (int32_t)(p->width - one.width) : 0;
        one.y += (one.y < 0 ? (int32_t)(p->height - one.height) : 0) - (int32_t)from;
        ta_overlay_blend(out, stride, p->width, band.height, &one);
    }
}

ta_status ta_x11_present(ta_x11 *x, const ta_picture *p, uint8_t dim, int32_t border, uint64_t *copied_us) {
    if (!p->width || !p->height || p->width > TA_MAX_DIMENSION || p->height > TA_MAX_DIMENSION)
        return TA_EINVAL;
    /* A border surrounds the whole picture, which is then one band. */
    const uint32_t fitting = (TA_X11_BAND / (p->width * 4) + 2) & ~1u;
    const uint32_t rows = border < 0 && fitting < p->height ? fitting : p->height;
    const uint32_t held = border < 0 ? TA_X11_HELD : 1;
    const size_t band_size = (size_t)p->width * 4 * rows;
    if (ta_x11_await(x, NULL, 0, ANSWER_US) != TA_OK || ta_x11_reserve_image(x, band_size * held) != TA_OK)
        return TA_ESYS;
    const int32_t left = ((int32_t)x->now.width - (int32_t)p->width) / 2;
    const int32_t top = ((int32_t)x->now.height - (int32_t)p->height) / 2;
    clear_bars(x, left, top, p->width, p->height);
    for (uint32_t from = 0, band = 0; from < p->height; from += rows, band = (band + 1) % held) {
        const uint32_t to = from + rows < p->height ? from + rows : p->height;
        uint8_t *out = x->pixels + band * band_size;
        if (ta_x11_await(x, NULL, held - 1, ANSWER_US) != TA_OK)
            return TA_ESYS;
        draw_band(x, p, from, to, dim, out);
        if (border >= 0)
            ta_border(out, (ptrdiff_t)p->width * 4, p->width, p->height, 2 + p->height / 120, (uint32_t)border);
        xcb.shm_put_image(x->c, x->window, x->gc, (uint16_t)p->width, (uint16_t)(rows * held), 0,
                          (uint16_t)(band * rows), (uint16_t)p->width, (uint16_t)(to - from), (int16_t)left,
                          (int16_t)(top + (int32_t)from), 24, XCB_IMAGE_FORMAT_Z_PIXMAP, true, x->segment, 0);
        xcb.flush(x->c);
        x->puts++;
    }
    const ta_status status = ta_x11_await(x, NULL, 0, ANSWER_US);
    *copied_us = ta_now_us();
    if (status == TA_OK && *copied_us - x->screen_saver_reset_us > SCREEN_SAVER_US) {
        x->screen_saver_reset_us = *copied_us;
        xcb.force_screen_saver(x->c, XCB_SCREEN_SAVER_RESET);
    }
    return status;
}

ta_status ta_x11_overlay(ta_x11 *x, uint32_t slot, const ta_overlay *overlay) {
    if (slot >= TA_X11_SLOTS)
        return TA_EINVAL;
    struct ta_x11_slot *held = &x->slots[slot];
    const size_t size = (size_t)overlay->width * overlay->height;
    held->overlay = *overlay;
    held->overlay.mask = NULL;
    if (!overlay->mask || !size)
        return TA_OK;
    if (size > held->capacity) {
        uint8_t *larger = realloc(held->mask, size);
        if (!larger)
            return TA_ENOMEM;
        held->mask = larger;
        held->capacity = size;
    }
    memcpy(held->mask, overlay->mask, size);
    held->overlay.mask = held->mask;
    return TA_OK;
}

void ta_x11_info_get(const ta_x11 *x, ta_x11_info *out) {
    *out = (ta_x11_info){x->now.width, x->now.height, x->composited, x->refresh_hz};
}

void ta_x11_close(ta_x11 **x) {
    ta_x11 *gone = *x;
    if (!gone)
        return;
    if (gone->c) {
        drop_image(gone);
        xcb.disconnect(gone->c); /* frees window, context and colours too */
    }
    free(gone->keyboard);
    for (uint32_t slot = 0; slot < TA_X11_SLOTS; slot++)
        free(gone->slots[slot].mask);
    free(gone);
    *x = NULL;
}

#endif
