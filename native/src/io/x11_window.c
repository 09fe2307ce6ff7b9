/* The presenter's window: X libraries, display, monitor, visual, properties, full screen. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "x11_private.h"

enum {
    MAP_US = 500000,       /* timeout of the window's mapping */
    MONITORS_US = 1000000, /* interval of reading the monitors */
};

ta_xcb xcb;

#define ATOM_NAME(name) #name,

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

static ta_status explain(char *why, ta_status status, const char *text) {
    snprintf(why, TA_X11_WHY_MAX, "%s", text);
    return status;
}

/* Returns the refresh rate of the CRTC that shows `monitor`; 0: unknown. */
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
    snprintf(why, TA_X11_WHY_MAX, "there is no monitor %d: the display has %d, counted from 0", wanted,
             count ? count : 1);
    return TA_EINVAL;
}

/* Finds a 24-bit visual with 8 bits per channel in 32 bits, in this host's byte order. */
static bool choose_visual(ta_x11 *x) {
    const xcb_setup_t *setup = xcb.get_setup(x->c);
    bool packed = false;
    for (int i = 0; i < xcb.setup_pixmap_formats_length(setup); i++)
        packed |=
            xcb.setup_pixmap_formats(setup)[i].depth == 24 && xcb.setup_pixmap_formats(setup)[i].bits_per_pixel == 32;
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
        x->c, xcb.get_property(x->c, 0, x->screen->root, x->atoms[A__NET_SUPPORTING_WM_CHECK], XCB_ATOM_WINDOW, 0, 1),
        NULL);
    x->managed = check && xcb.get_property_value_length(check) > 0;
    free(check);
}

static void set_property(ta_x11 *x, xcb_atom_t name, xcb_atom_t type, uint8_t bits, uint32_t count, const void *data) {
    xcb.change_property(x->c, XCB_PROP_MODE_REPLACE, x->window, name, type, bits, count, data);
}

static void move_window(ta_x11 *x, const rectangle *to) {
    const uint32_t values[] = {(uint32_t)to->x, (uint32_t)to->y, to->width, to->height, XCB_STACK_MODE_ABOVE};
    xcb.configure_window(x->c, x->window,
                         XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y | XCB_CONFIG_WINDOW_WIDTH |
                             XCB_CONFIG_WINDOW_HEIGHT | XCB_CONFIG_WINDOW_STACK_MODE,
                         values);
}

static void create_window(ta_x11 *x, const ta_x11_config *config) {
    const uint32_t events = XCB_EVENT_MASK_KEY_PRESS | XCB_EVENT_MASK_EXPOSURE | XCB_EVENT_MASK_STRUCTURE_NOTIFY;
    const xcb_colormap_t colours = xcb.generate_id(x->c);
    const rectangle *at = &x->now;
    xcb.create_colormap(x->c, XCB_COLORMAP_ALLOC_NONE, colours, x->screen->root, x->visual);
    x->window = xcb.generate_id(x->c);
    /* in the mask's order: background, border, what stays on a resize, events, colours */
    const uint32_t values[] = {0, 0, XCB_GRAVITY_CENTER, events, colours};
    xcb.create_window(
        x->c, 24, x->window, x->screen->root, (int16_t)at->x, (int16_t)at->y, (uint16_t)at->width, (uint16_t)at->height,
        0, XCB_WINDOW_CLASS_INPUT_OUTPUT, x->visual,
        XCB_CW_BACK_PIXEL | XCB_CW_BORDER_PIXEL | XCB_CW_BIT_GRAVITY | XCB_CW_EVENT_MASK | XCB_CW_COLORMAP, values);
    const uint32_t length = (uint32_t)strlen(config->title);
    set_property(x, XCB_ATOM_WM_NAME, XCB_ATOM_STRING, 8, length, config->title);
    set_property(x, x->atoms[A__NET_WM_NAME], x->atoms[A_UTF8_STRING], 8, length, config->title);
    set_property(x, XCB_ATOM_WM_CLASS, XCB_ATOM_STRING, 8, 16, "thinair\0thinair");
    set_property(x, x->atoms[A_WM_PROTOCOLS], XCB_ATOM_ATOM, 32, 1, &x->atoms[A_WM_DELETE_WINDOW]);
    /* ICCCM 4.1.2.3: user's or program's position, program's size, minimum size */
    const uint32_t hints[18] = {
        (config->monitor >= 0 ? 1 : 4) | 8 | 16, (uint32_t)at->x, (uint32_t)at->y, at->width, at->height, 160, 90};
    set_property(x, XCB_ATOM_WM_NORMAL_HINTS, XCB_ATOM_WM_SIZE_HINTS, 32, 18, hints);
    if (config->fullscreen)
        set_property(x, x->atoms[A__NET_WM_STATE], XCB_ATOM_ATOM, 32, 1, &x->atoms[A__NET_WM_STATE_FULLSCREEN]);
    x->gc = xcb.generate_id(x->c);
    xcb.create_gc(x->c, x->gc, x->window, XCB_GC_GRAPHICS_EXPOSURES, (const uint32_t[]){0});
}

ta_status ta_x11_fullscreen(ta_x11 *x, bool on) {
    if (on != x->fullscreen) {
        const uint32_t bypass = on; /* EWMH: 1 asks the compositor to ignore the window */
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
    if (!xcb.connection_has_error(x->c))
        return TA_OK;
    errno = EPIPE;
    return TA_ESYS;
}

static ta_status connect_display(ta_x11 *x, const ta_x11_config *config, char *why) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_libraries);
    if (!xcb.core || !xcb.shm)
        return explain(why, TA_ESYS, "libxcb or libxcb-shm is not installed");
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
        return explain(why, TA_ESYS, "the X server has no MIT-SHM extension");
    x->shm_event = (uint8_t)(shm->first_event + XCB_SHM_COMPLETION);
    x->shm_opcode = shm->major_opcode;
    if (!choose_visual(x))
        return explain(why, TA_ESYS, "the X server has no 24-bit visual with 32 bits per pixel");
    x->wanted_monitor = config->monitor;
    return choose_monitor(x, config->monitor, why);
}

static bool overlaps(const rectangle *a, const rectangle *b) {
    return a->x < b->x + (int32_t)b->width && b->x < a->x + (int32_t)a->width && a->y < b->y + (int32_t)b->height &&
           b->y < a->y + (int32_t)a->height;
}

static bool same(const rectangle *a, const xcb_randr_monitor_info_t *b) {
    return a->x == b->x && a->y == b->y && a->width == b->width && a->height == b->height;
}

/* Returns whether monitors have changed; polled once a second, since servers do not report every change. */
static bool monitors_changed(ta_x11 *x) {
    if (!x->monitors_request) {
        if (xcb.randr && ta_now_us() - x->monitors_read_us > MONITORS_US) {
            x->monitors_read_us = ta_now_us();
            x->monitors_request = xcb.randr_get_monitors(x->c, x->screen->root, 1).sequence;
            xcb.flush(x->c);
        }
        return false;
    }
    void *answer = NULL;
    xcb_generic_error_t *refusal = NULL;
    if (!xcb.poll_for_reply(x->c, x->monitors_request, &answer, &refusal))
        return false;
    x->monitors_request = 0;
    bool found = !answer;
    if (answer) {
        xcb_randr_monitor_info_iterator_t i = xcb.randr_get_monitors_monitors_iterator(answer);
        for (; i.rem; xcb.randr_monitor_info_next(&i))
            found |= same(&x->monitor, i.data);
    }
    free(answer);
    free(refusal);
    return !found;
}

/* A window manager moves windows itself. */
void ta_x11_follow_monitors(ta_x11 *x) {
    char why[TA_X11_WHY_MAX];
    if (!monitors_changed(x))
        return;
    xcb_get_geometry_reply_t *root = xcb.get_geometry_reply(x->c, xcb.get_geometry(x->c, x->screen->root), NULL);
    if (root) { /* the screen's size known from the start is outdated */
        x->screen->width_in_pixels = root->width;
        x->screen->height_in_pixels = root->height;
    }
    free(root);
    if (choose_monitor(x, x->wanted_monitor, why) != TA_OK)
        choose_monitor(x, -1, why);
    if (!x->managed && (x->fullscreen || !overlaps(&x->now, &x->monitor)))
        move_window(x, &x->monitor);
    x->resized = true;
    xcb.flush(x->c);
}

ta_status ta_x11_open(ta_x11 **out, const ta_x11_config *config, char *why) {
    *out = NULL;
    if (!config->width || !config->height || config->width > TA_MAX_DIMENSION || config->height > TA_MAX_DIMENSION)
        return explain(why, TA_EINVAL, "a window needs a width and a height of 1 to 8192");
    ta_x11 *x = calloc(1, sizeof *x);
    if (!x)
        return explain(why, TA_ENOMEM, "out of memory");
    ta_status status = connect_display(x, config, why);
    if (status != TA_OK)
        goto fail;
    load_atoms(x);
    ta_x11_load_keyboard(x);
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
    status = ta_x11_reserve_image(x, (size_t)config->width * config->height * 4);
    if (status != TA_OK) {
        explain(why, status,
                errno == EIO ? "the X server cannot access our shared memory (is it on another machine?)"
                             : "no shared memory for a picture");
        goto fail;
    }
    xcb.map_window(x->c, x->window);
    x->monitors_read_us = ta_now_us();
    if (config->fullscreen)
        ta_x11_fullscreen(x, true);
    xcb.flush(x->c);
    if (ta_x11_await(x, &x->mapped, 0, MAP_US) != TA_OK && errno != ETIMEDOUT) {
        status = explain(why, TA_ESYS, "the X server closed the connection");
        goto fail;
    }
    *out = x;
    return TA_OK;
fail:
    ta_x11_close(&x);
    return status;
}
