/* I420 pictures in an X11 window: converted straight into a shared image, put, and the server's completion awaited.
 *
 * One image is enough, and stays in the cache: a put is always awaited before the next picture is written. */
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
ta_status ta_x11_overlay(ta_x11 *x, const ta_overlay *overlay) { return (void)x, (void)overlay, TA_EINVAL; }
ta_status ta_x11_next_event(ta_x11 *x, ta_x11_event *event) { return (void)x, (void)event, TA_AGAIN; }
ta_status ta_x11_fullscreen(ta_x11 *x, bool on) { return (void)x, (void)on, TA_EINVAL; }
void ta_x11_info_get(const ta_x11 *x, ta_x11_info *out) { (void)x, *out = (ta_x11_info){0}; }
void ta_x11_close(ta_x11 **x) { (void)x; }

#else

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <xcb/randr.h>
#include <xcb/shm.h>
#include <xcb/xcb.h>

#include "thinair/io.h"

/* Bands a picture is put in: the server copies one while the next is converted. */
#ifndef TA_X11_BANDS
#define TA_X11_BANDS 2
#endif

enum {
    ANSWER_US = 2000000, /* how long the server may take for a put */
    MAP_US = 500000,     /* how long open() waits for the window to be shown */
    AWAKE_US = 30000000, /* the screen saver's idle time is reset this often */
    KEYS = 32,
    SYM_ESCAPE = 0xff1b,
    SYM_F1 = 0xffbe,
};

/* ---- the X libraries ---- */

#define CORE_CALLS(X)                                                                                                  \
    X(connect) X(disconnect) X(connection_has_error) X(get_file_descriptor) X(get_setup) X(setup_roots_iterator)       \
    X(screen_next) X(screen_allowed_depths_iterator) X(depth_next) X(depth_visuals_iterator) X(visualtype_next)        \
    X(setup_pixmap_formats) X(setup_pixmap_formats_length) X(get_extension_data) X(generate_id) X(intern_atom)         \
    X(intern_atom_reply) X(create_colormap) X(create_window) X(change_property) X(map_window) X(create_gc)             \
    X(clear_area) X(configure_window) X(send_event) X(get_property) X(get_property_reply)                              \
    X(get_property_value_length) X(get_selection_owner) X(get_selection_owner_reply) X(get_keyboard_mapping)           \
    X(get_keyboard_mapping_reply) X(get_keyboard_mapping_keysyms) X(get_keyboard_mapping_keysyms_length)               \
    X(poll_for_event) X(flush) X(request_check) X(set_input_focus) X(force_screen_saver)
#define SHM_CALLS(X) X(shm_attach_checked) X(shm_detach) X(shm_put_image)
#define RANDR_CALLS(X)                                                                                                 \
    X(randr_get_monitors) X(randr_get_monitors_reply) X(randr_get_monitors_monitors_iterator)                          \
    X(randr_monitor_info_next) X(randr_get_screen_resources_current) X(randr_get_screen_resources_current_reply)       \
    X(randr_get_screen_resources_current_crtcs) X(randr_get_screen_resources_current_crtcs_length)                     \
    X(randr_get_screen_resources_current_modes) X(randr_get_screen_resources_current_modes_length)                     \
    X(randr_get_crtc_info) X(randr_get_crtc_info_reply)

#define MEMBER(name) __typeof__(&xcb_##name) name;
static struct {
    CORE_CALLS(MEMBER) SHM_CALLS(MEMBER) RANDR_CALLS(MEMBER)
    xcb_extension_t *shm_id, *randr_id;
    bool core, shm, randr;
} xcb;

static bool load_symbol(void *library, const char *name, void *target) {
    void *symbol = library ? dlsym(library, name) : NULL;
    memcpy(target, &symbol, sizeof symbol);
    return symbol != NULL;
}

#define LOAD(name) &&load_symbol(library, "xcb_" #name, &xcb.name)
static void load_libraries(void) { /* once; they stay loaded */
    void *library = dlopen("libxcb.so.1", RTLD_NOW | RTLD_LOCAL);
    xcb.core = true CORE_CALLS(LOAD);
    library = dlopen("libxcb-shm.so.0", RTLD_NOW | RTLD_LOCAL);
    xcb.shm = true SHM_CALLS(LOAD) LOAD(shm_id);
    library = dlopen("libxcb-randr.so.0", RTLD_NOW | RTLD_LOCAL);
    xcb.randr = true RANDR_CALLS(LOAD) LOAD(randr_id);
}

/* ---- state ---- */

#define ATOMS(X)                                                                                                       \
    X(WM_PROTOCOLS) X(WM_DELETE_WINDOW) X(UTF8_STRING) X(_NET_WM_NAME) X(_NET_WM_STATE) X(_NET_WM_STATE_FULLSCREEN)    \
    X(_NET_WM_BYPASS_COMPOSITOR) X(_NET_SUPPORTING_WM_CHECK)
#define ATOM_INDEX(name) A_##name,
#define ATOM_NAME(name) #name,
enum { ATOMS(ATOM_INDEX) ATOM_COUNT };

typedef struct rectangle {
    int32_t x, y;
    uint32_t width, height;
} rectangle;

struct ta_x11 {
    xcb_connection_t *c;
    xcb_screen_t *screen;
    int screen_number;
    xcb_visualid_t visual;
    xcb_window_t window;
    xcb_gcontext_t gc;
    xcb_atom_t atoms[ATOM_COUNT];
    uint8_t shm_event, shm_opcode;

    xcb_shm_seg_t segment; /* 0: none */
    uint8_t *pixels;
    size_t capacity;
    uint32_t puts;         /* completions awaited */
    bool refused;

    rectangle monitor, now, before; /* now: the window; before: what it was before full screen */
    bool fullscreen, managed, composited, mapped;
    double refresh_hz;
    uint32_t shown[4];     /* window and picture size the bars were cleared for */
    uint64_t awake_us;

    ta_overlay overlay;
    uint8_t *mask;
    size_t mask_capacity;

    xcb_get_keyboard_mapping_reply_t *keyboard;
    char keys[KEYS][TA_X11_KEY_MAX];
    uint32_t key_first, key_count;
    bool resized, exposed, closed;
};

static ta_status gone(void) {
    errno = EPIPE;
    return TA_ESYS;
}

/* ---- keys ---- */

static void load_keyboard(ta_x11 *x) {
    const xcb_setup_t *setup = xcb.get_setup(x->c);
    free(x->keyboard);
    x->keyboard = xcb.get_keyboard_mapping_reply(
        x->c,
        xcb.get_keyboard_mapping(x->c, setup->min_keycode, (uint8_t)(setup->max_keycode - setup->min_keycode + 1)), NULL);
}

static bool key_name(xcb_keysym_t sym, char *name) {
    static const struct {
        xcb_keysym_t sym;
        const char *name;
    } NAMES[] = {{SYM_ESCAPE, "Escape"}, {0xff0d, "Return"}, {0xff09, "Tab"},   {0xff08, "BackSpace"}, {0xff51, "Left"},
                 {0xff52, "Up"},         {0xff53, "Right"},  {0xff54, "Down"},  {' ', "space"},        {'?', "question"},
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

/* The first name among a key's symbols: of the shifted column first where shift is held, then of other layouts. */
static void take_key(ta_x11 *x, const xcb_key_press_event_t *event) {
    if (!x->keyboard || x->key_count == KEYS)
        return;
    const uint32_t columns = x->keyboard->keysyms_per_keycode;
    const uint32_t first = (uint32_t)(event->detail - xcb.get_setup(x->c)->min_keycode) * columns;
    if (first + columns > (uint32_t)xcb.get_keyboard_mapping_keysyms_length(x->keyboard))
        return;
    const xcb_keysym_t *syms = xcb.get_keyboard_mapping_keysyms(x->keyboard) + first;
    char *name = x->keys[(x->key_first + x->key_count) % KEYS];
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
    case XCB_KEY_PRESS:
        take_key(x, (const xcb_key_press_event_t *)event);
        break;
    case XCB_EXPOSE:
        x->exposed = true;
        break;
    case XCB_MAP_NOTIFY:
        x->mapped = true;
        if (!x->managed) /* nobody else gives the focus */
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
    case XCB_DESTROY_NOTIFY:
        x->closed = x->refused = true;
        break;
    case XCB_MAPPING_NOTIFY:
        load_keyboard(x);
        break;
    default:
        break;
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

/* Until the window is shown (`*flag`) or, without a flag, all puts are done. */
static ta_status await(ta_x11 *x, const bool *flag, uint64_t timeout_us) {
    const uint64_t deadline = ta_now_us() + timeout_us;
    for (;;) {
        if (take_events(x) != TA_OK)
            return TA_ESYS;
        if (x->refused) {
            errno = EIO;
            return TA_ESYS;
        }
        if (flag ? *flag : x->puts == 0)
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
    *event = (ta_x11_event){.width = x->now.width, .height = x->now.height};
    if (x->key_count) {
        event->type = TA_X11_KEY;
        memcpy(event->key, x->keys[x->key_first], TA_X11_KEY_MAX);
        x->key_first = (x->key_first + 1) % KEYS;
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

/* Room for `size` bytes both sides can reach. The segment is marked for removal at once, so that none outlives us. */
static ta_status reserve_image(ta_x11 *x, size_t size) {
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
        xcb_generic_error_t *refusal = xcb.request_check(x->c, xcb.shm_attach_checked(x->c, x->segment, (uint32_t)id, 0));
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

/* Black beside the picture, when the window or the picture has changed its size. */
static void clear_bars(ta_x11 *x, int32_t left, int32_t top, uint32_t width, uint32_t height) {
    const uint32_t shown[4] = {x->now.width, x->now.height, width, height};
    if (memcmp(shown, x->shown, sizeof shown) == 0)
        return;
    memcpy(x->shown, shown, sizeof shown);
    const int32_t right = left + (int32_t)width, bottom = top + (int32_t)height;
    if (top > 0) /* a size of 0 means: to the far edge */
        xcb.clear_area(x->c, 0, x->window, 0, 0, 0, (uint16_t)top);
    if (left > 0)
        xcb.clear_area(x->c, 0, x->window, 0, 0, (uint16_t)left, 0);
    if (right < (int32_t)x->now.width)
        xcb.clear_area(x->c, 0, x->window, (int16_t)right, 0, 0, 0);
    if (bottom < (int32_t)x->now.height)
        xcb.clear_area(x->c, 0, x->window, 0, (int16_t)bottom, 0, 0);
}

static void draw_band(ta_x11 *x, const ta_picture *p, uint32_t from, uint32_t to, uint8_t dim) {
    const ptrdiff_t stride = (ptrdiff_t)p->width * 4;
    uint8_t *band = x->pixels + (ptrdiff_t)from * stride;
    ta_i420_to_bgrx(p, x->pixels, stride, from, to);
    if (dim < 255)
        ta_overlay_blend(band, stride, p->width, to - from,
                         &(ta_overlay){.width = p->width, .height = to - from, .dim = dim});
    if (!x->overlay.mask)
        return;
    ta_overlay text = x->overlay;
    text.x += text.x < 0 ? (int32_t)(p->width - text.width) : 0;
    text.y += (text.y < 0 ? (int32_t)(p->height - text.height) : 0) - (int32_t)from;
    ta_overlay_blend(band, stride, p->width, to - from, &text);
}

ta_status ta_x11_present(ta_x11 *x, const ta_picture *p, uint8_t dim, int32_t border, uint64_t *copied_us) {
    if (!p->width || !p->height || p->width > TA_MAX_DIMENSION || p->height > TA_MAX_DIMENSION)
        return TA_EINVAL;
    if (await(x, NULL, ANSWER_US) != TA_OK || reserve_image(x, (size_t)p->width * p->height * 4) != TA_OK)
        return TA_ESYS;
    const int32_t left = ((int32_t)x->now.width - (int32_t)p->width) / 2;
    const int32_t top = ((int32_t)x->now.height - (int32_t)p->height) / 2;
    const uint32_t step = (p->height / TA_X11_BANDS + 2) & ~1u, bands = border < 0 ? step : p->height;
    clear_bars(x, left, top, p->width, p->height);
    for (uint32_t from = 0; from < p->height; from += bands) {
        const uint32_t to = from + bands < p->height ? from + bands : p->height;
        draw_band(x, p, from, to, dim);
        if (border >= 0)
            ta_border(x->pixels, (ptrdiff_t)p->width * 4, p->width, p->height, 2 + p->height / 120, (uint32_t)border);
        const bool last = to == p->height;
        xcb.shm_put_image(x->c, x->window, x->gc, (uint16_t)p->width, (uint16_t)p->height, 0, (uint16_t)from,
                          (uint16_t)p->width, (uint16_t)(to - from), (int16_t)left, (int16_t)(top + (int32_t)from), 24,
                          XCB_IMAGE_FORMAT_Z_PIXMAP, last, x->segment, 0);
        xcb.flush(x->c);
    }
    x->puts = 1;
    const ta_status status = await(x, NULL, ANSWER_US);
    *copied_us = ta_now_us();
    if (status == TA_OK && *copied_us - x->awake_us > AWAKE_US) {
        x->awake_us = *copied_us;
        xcb.force_screen_saver(x->c, XCB_SCREEN_SAVER_RESET);
    }
    return status;
}

ta_status ta_x11_overlay(ta_x11 *x, const ta_overlay *overlay) {
    const size_t size = (size_t)overlay->width * overlay->height;
    x->overlay = *overlay;
    x->overlay.mask = NULL;
    if (!overlay->mask || !size)
        return TA_OK;
    if (size > x->mask_capacity) {
        uint8_t *larger = realloc(x->mask, size);
        if (!larger)
            return TA_ENOMEM;
        x->mask = larger;
        x->mask_capacity = size;
    }
    memcpy(x->mask, overlay->mask, size);
    x->overlay.mask = x->mask;
    return TA_OK;
}


/* ---- window ---- */

static ta_status say(char *why, ta_status status, const char *text) {
    snprintf(why, TA_X11_WHY_MAX, "%s", text);
    return status;
}

/* Refresh rate of the controller that shows `monitor`; 0 where its mode says nothing. */
static double refresh_rate(ta_x11 *x, const rectangle *monitor) {
    double hz = 0;
    xcb_randr_get_screen_resources_current_reply_t *resources = xcb.randr_get_screen_resources_current_reply(
        x->c, xcb.randr_get_screen_resources_current(x->c, x->screen->root), NULL);
    const int crtcs = resources ? xcb.randr_get_screen_resources_current_crtcs_length(resources) : 0;
    for (int i = 0; i < crtcs && hz == 0; i++) {
        const xcb_randr_crtc_t crtc = xcb.randr_get_screen_resources_current_crtcs(resources)[i];
        xcb_randr_get_crtc_info_reply_t *info =
            xcb.randr_get_crtc_info_reply(x->c, xcb.randr_get_crtc_info(x->c, crtc, XCB_CURRENT_TIME), NULL);
        const xcb_randr_mode_info_t *modes = xcb.randr_get_screen_resources_current_modes(resources);
        const int count = xcb.randr_get_screen_resources_current_modes_length(resources);
        for (int k = 0; info && info->x == monitor->x && info->y == monitor->y && k < count; k++)
            if (modes[k].id == info->mode && modes[k].htotal && modes[k].vtotal)
                hz = (double)modes[k].dot_clock / ((double)modes[k].htotal * modes[k].vtotal);
        free(info);
    }
    free(resources);
    return hz;
}

static ta_status choose_monitor(ta_x11 *x, int wanted, char *why) {
    int count = 0;
    bool found = false;
    x->monitor = (rectangle){0, 0, x->screen->width_in_pixels, x->screen->height_in_pixels};
    const xcb_query_extension_reply_t *extension = xcb.randr ? xcb.get_extension_data(x->c, xcb.randr_id) : NULL;
    if (extension && extension->present) {
        xcb_randr_get_monitors_reply_t *reply =
            xcb.randr_get_monitors_reply(x->c, xcb.randr_get_monitors(x->c, x->screen->root, 1), NULL);
        if (reply) {
            xcb_randr_monitor_info_iterator_t i = xcb.randr_get_monitors_monitors_iterator(reply);
            for (; i.rem; xcb.randr_monitor_info_next(&i), count++)
                if (wanted < 0 ? i.data->primary || count == 0 : count == wanted) {
                    x->monitor = (rectangle){i.data->x, i.data->y, i.data->width, i.data->height};
                    found = true;
                }
        }
        free(reply);
        x->refresh_hz = refresh_rate(x, &x->monitor);
    }
    if (wanted < 0 || found || (wanted == 0 && count == 0))
        return TA_OK;
    snprintf(why, TA_X11_WHY_MAX, "there is no monitor %d: the display has %d, counted from 0", wanted, count ? count : 1);
    return TA_EINVAL;
}

/* A 24-bit visual with 8 bits each, kept in 32 bits, in this host's byte order. */
static bool choose_visual(ta_x11 *x) {
    const xcb_setup_t *setup = xcb.get_setup(x->c);
    bool packed = false;
    for (int i = 0; i < xcb.setup_pixmap_formats_length(setup); i++)
        packed |= xcb.setup_pixmap_formats(setup)[i].depth == 24 && xcb.setup_pixmap_formats(setup)[i].bits_per_pixel == 32;
    if (!packed || setup->image_byte_order != XCB_IMAGE_ORDER_LSB_FIRST)
        return false;
    for (xcb_depth_iterator_t d = xcb.screen_allowed_depths_iterator(x->screen); d.rem; xcb.depth_next(&d))
        for (xcb_visualtype_iterator_t v = xcb.depth_visuals_iterator(d.data); v.rem; xcb.visualtype_next(&v))
            if (d.data->depth == 24 && v.data->_class == XCB_VISUAL_CLASS_TRUE_COLOR && v.data->red_mask == 0xff0000 &&
                v.data->green_mask == 0xff00 && v.data->blue_mask == 0xff &&
                (!x->visual || v.data->visual_id == x->screen->root_visual))
                x->visual = v.data->visual_id;
    return x->visual != 0;
}

static void load_atoms(ta_x11 *x) {
    static const char *const NAMES[] = {ATOMS(ATOM_NAME)};
    xcb_intern_atom_cookie_t cookies[ATOM_COUNT + 1];
    char compositor[32];
    snprintf(compositor, sizeof compositor, "_NET_WM_CM_S%d", x->screen_number); /* EWMH, compositing managers */
    for (int i = 0; i <= ATOM_COUNT; i++) {
        const char *name = i < ATOM_COUNT ? NAMES[i] : compositor;
        cookies[i] = xcb.intern_atom(x->c, 0, (uint16_t)strlen(name), name);
    }
    xcb_atom_t selection = XCB_ATOM_NONE;
    for (int i = 0; i <= ATOM_COUNT; i++) {
        xcb_intern_atom_reply_t *reply = xcb.intern_atom_reply(x->c, cookies[i], NULL);
        *(i < ATOM_COUNT ? &x->atoms[i] : &selection) = reply ? reply->atom : XCB_ATOM_NONE;
        free(reply);
    }
    xcb_get_selection_owner_reply_t *owner =
        xcb.get_selection_owner_reply(x->c, xcb.get_selection_owner(x->c, selection), NULL);
    x->composited = owner && owner->owner != XCB_WINDOW_NONE;
    free(owner);
    xcb_get_property_reply_t *check = xcb.get_property_reply(
        x->c, xcb.get_property(x->c, 0, x->screen->root, x->atoms[A__NET_SUPPORTING_WM_CHECK], XCB_ATOM_WINDOW, 0, 1), NULL);
    x->managed = check && xcb.get_property_value_length(check) > 0;
    free(check);
}

static void set_property(ta_x11 *x, xcb_atom_t name, xcb_atom_t type, uint8_t bits, uint32_t count, const void *data) {
    xcb.change_property(x->c, XCB_PROP_MODE_REPLACE, x->window, name, type, bits, count, data);
}

static void move_window(ta_x11 *x, const rectangle *to) {
    const uint32_t values[] = {(uint32_t)to->x, (uint32_t)to->y, to->width, to->height, XCB_STACK_MODE_ABOVE};
    xcb.configure_window(x->c, x->window,
                         XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y | XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT |
                             XCB_CONFIG_WINDOW_STACK_MODE,
                         values);
}

static void create_window(ta_x11 *x, const ta_x11_config *config) {
    const uint32_t events = XCB_EVENT_MASK_KEY_PRESS | XCB_EVENT_MASK_EXPOSURE | XCB_EVENT_MASK_STRUCTURE_NOTIFY;
    const xcb_colormap_t colours = xcb.generate_id(x->c);
    const rectangle *at = &x->now;
    xcb.create_colormap(x->c, XCB_COLORMAP_ALLOC_NONE, colours, x->screen->root, x->visual);
    x->window = xcb.generate_id(x->c);
    /* in the order of the mask's bits: background, border, what stays on a resize, events, colours */
    const uint32_t values[] = {0, 0, XCB_GRAVITY_CENTER, events, colours};
    xcb.create_window(x->c, 24, x->window, x->screen->root, (int16_t)at->x, (int16_t)at->y, (uint16_t)at->width,
                      (uint16_t)at->height, 0, XCB_WINDOW_CLASS_INPUT_OUTPUT, x->visual,
                      XCB_CW_BACK_PIXEL | XCB_CW_BORDER_PIXEL | XCB_CW_BIT_GRAVITY | XCB_CW_EVENT_MASK | XCB_CW_COLORMAP,
                      values);
    const uint32_t length = (uint32_t)strlen(config->title);
    set_property(x, XCB_ATOM_WM_NAME, XCB_ATOM_STRING, 8, length, config->title);
    set_property(x, x->atoms[A__NET_WM_NAME], x->atoms[A_UTF8_STRING], 8, length, config->title);
    set_property(x, XCB_ATOM_WM_CLASS, XCB_ATOM_STRING, 8, 16, "thinair\0thinair");
    set_property(x, x->atoms[A_WM_PROTOCOLS], XCB_ATOM_ATOM, 32, 1, &x->atoms[A_WM_DELETE_WINDOW]);
    /* ICCCM 4.1.2.3: the user's or the program's position, the program's size, least size */
    const uint32_t hints[18] = {(config->monitor >= 0 ? 1 : 4) | 8 | 16, (uint32_t)at->x, (uint32_t)at->y, at->width, at->height, 160, 90};
    set_property(x, XCB_ATOM_WM_NORMAL_HINTS, XCB_ATOM_WM_SIZE_HINTS, 32, 18, hints);
    if (config->fullscreen)
        set_property(x, x->atoms[A__NET_WM_STATE], XCB_ATOM_ATOM, 32, 1, &x->atoms[A__NET_WM_STATE_FULLSCREEN]);
    x->gc = xcb.generate_id(x->c);
    xcb.create_gc(x->c, x->gc, x->window, XCB_GC_GRAPHICS_EXPOSURES, (const uint32_t[]){0});
}

ta_status ta_x11_fullscreen(ta_x11 *x, bool on) {
    if (on != x->fullscreen) {
        const uint32_t bypass = on; /* EWMH: 1 asks the compositor to leave the window alone */
        set_property(x, x->atoms[A__NET_WM_BYPASS_COMPOSITOR], XCB_ATOM_CARDINAL, 32, 1, &bypass);
        xcb_client_message_event_t request = {.response_type = XCB_CLIENT_MESSAGE,
                                              .format = 32,
                                              .window = x->window,
                                              .type = x->atoms[A__NET_WM_STATE],
                                              .data.data32 = {on, x->atoms[A__NET_WM_STATE_FULLSCREEN], 0, 1}};
        if (on)
            x->before = x->now;
        if (x->managed)
            xcb.send_event(x->c, 0, x->screen->root,
                           XCB_EVENT_MASK_SUBSTRUCTURE_NOTIFY | XCB_EVENT_MASK_SUBSTRUCTURE_REDIRECT,
                           (const char *)&request);
        else
            move_window(x, on ? &x->monitor : &x->before);
        x->fullscreen = on;
    }
    xcb.flush(x->c);
    return xcb.connection_has_error(x->c) ? gone() : TA_OK;
}

static ta_status connect_display(ta_x11 *x, const ta_x11_config *config, char *why) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_libraries);
    if (!xcb.core || !xcb.shm)
        return say(why, TA_ESYS, "libxcb or libxcb-shm is not installed");
    const char *name = config->display ? config->display : getenv("DISPLAY");
    x->c = xcb.connect(config->display, &x->screen_number);
    if (xcb.connection_has_error(x->c)) {
        snprintf(why, TA_X11_WHY_MAX, "cannot open X display \"%.80s\"", name ? name : "");
        return TA_ESYS;
    }
    xcb_screen_iterator_t screens = xcb.setup_roots_iterator(xcb.get_setup(x->c));
    for (int i = 0; i < x->screen_number && screens.rem > 1; i++)
        xcb.screen_next(&screens);
    x->screen = screens.data;
    const xcb_query_extension_reply_t *shm = xcb.get_extension_data(x->c, xcb.shm_id);
    if (!shm || !shm->present)
        return say(why, TA_ESYS, "the X server has no MIT-SHM extension");
    x->shm_event = (uint8_t)(shm->first_event + XCB_SHM_COMPLETION);
    x->shm_opcode = shm->major_opcode;
    if (!choose_visual(x))
        return say(why, TA_ESYS, "the X server has no 24-bit visual kept in 32 bits");
    return choose_monitor(x, config->monitor, why);
}

ta_status ta_x11_open(ta_x11 **out, const ta_x11_config *config, char *why) {
    *out = NULL;
    if (!config->width || !config->height || config->width > TA_MAX_DIMENSION || config->height > TA_MAX_DIMENSION)
        return say(why, TA_EINVAL, "a window needs a width and a height of 1 to 8192");
    ta_x11 *x = calloc(1, sizeof *x);
    if (!x)
        return say(why, TA_ENOMEM, "out of memory");
    ta_status status = connect_display(x, config, why);
    if (status != TA_OK)
        goto fail;
    load_atoms(x);
    load_keyboard(x);
    const rectangle *m = &x->monitor;
    uint32_t width = config->width, height = config->height;
    if (width > m->width || height > m->height) {
        const bool wide = (uint64_t)width * m->height > (uint64_t)m->width * height;
        height = wide ? (uint32_t)((uint64_t)height * m->width / width) : m->height;
        width = wide ? m->width : (uint32_t)((uint64_t)config->width * m->height / config->height);
    }
    x->now = (rectangle){m->x + (int32_t)(m->width - width) / 2, m->y + (int32_t)(m->height - height) / 2,
                         width ? width : 1, height ? height : 1};
    create_window(x, config);
    status = reserve_image(x, (size_t)config->width * config->height * 4);
    if (status != TA_OK) {
        say(why, status, errno == EIO ? "the X server cannot reach our shared memory (is it on another machine?)"
                                      : "no shared memory for a picture");
        goto fail;
    }
    xcb.map_window(x->c, x->window);
    if (config->fullscreen)
        ta_x11_fullscreen(x, true);
    xcb.flush(x->c);
    if (await(x, &x->mapped, MAP_US) != TA_OK && errno != ETIMEDOUT) {
        status = say(why, TA_ESYS, "the X server went away");
        goto fail;
    }
    *out = x;
    return TA_OK;
fail:
    ta_x11_close(&x);
    return status;
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
        xcb.disconnect(gone->c); /* takes window, context and colours with it */
    }
    free(gone->keyboard);
    free(gone->mask);
    free(gone);
    *x = NULL;
}

#endif
