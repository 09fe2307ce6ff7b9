/* Internals of the presenter's two files: the table of X functions, filled at the first open, and the window's
 * state. */
#ifndef THINAIR_IO_X11_PRIVATE_H
#define THINAIR_IO_X11_PRIVATE_H

#include <xcb/randr.h>
#include <xcb/shm.h>
#include <xcb/xcb.h>
#include <xcb/xcbext.h>

#include "thinair/clock.h"
#include "thinair/x11.h"

enum { TA_X11_KEYS = 32 }; /* key presses stored; newer ones are dropped */

/* clang-format off */
#define CORE_CALLS(X)                                                                                                  \
    X(connect) X(disconnect) X(connection_has_error) X(get_file_descriptor) X(get_setup) X(setup_roots_iterator)       \
    X(screen_next) X(screen_allowed_depths_iterator) X(depth_next) X(depth_visuals_iterator) X(visualtype_next)        \
    X(setup_pixmap_formats) X(setup_pixmap_formats_length) X(get_extension_data) X(generate_id) X(intern_atom)         \
    X(intern_atom_reply) X(create_colormap) X(create_window) X(change_property) X(map_window) X(create_gc)             \
    X(clear_area) X(configure_window) X(send_event) X(get_property) X(get_property_reply)                              \
    X(get_property_value_length) X(get_selection_owner) X(get_selection_owner_reply) X(get_keyboard_mapping)           \
    X(get_keyboard_mapping_reply) X(get_keyboard_mapping_keysyms) X(get_keyboard_mapping_keysyms_length)               \
    X(poll_for_event) X(flush) X(request_check) X(set_input_focus) X(force_screen_saver) X(get_geometry)               \
    X(get_geometry_reply) X(poll_for_reply)
#define SHM_CALLS(X) X(shm_attach_checked) X(shm_detach) X(shm_put_image)
#define RANDR_CALLS(X)                                                                                                 \
    X(randr_get_monitors) X(randr_get_monitors_reply) X(randr_get_monitors_monitors_iterator)                          \
    X(randr_monitor_info_next) X(randr_get_screen_resources_current) X(randr_get_screen_resources_current_reply)       \
    X(randr_get_screen_resources_current_crtcs) X(randr_get_screen_resources_current_crtcs_length)                     \
    X(randr_get_screen_resources_current_modes) X(randr_get_screen_resources_current_modes_length)                     \
    X(randr_get_crtc_info) X(randr_get_crtc_info_reply)
/* clang-format on */

#define TA_X11_MEMBER(name) __typeof__(&xcb_##name) name;
typedef struct ta_xcb {
    CORE_CALLS(TA_X11_MEMBER) SHM_CALLS(TA_X11_MEMBER) RANDR_CALLS(TA_X11_MEMBER) xcb_extension_t *shm_id, *randr_id;
    bool core, shm, randr; /* loaded */
} ta_xcb;
extern ta_xcb xcb; /* x11_window.c */

/* clang-format off */
#define ATOMS(X)                                                                                                       \
    X(WM_PROTOCOLS) X(WM_DELETE_WINDOW) X(UTF8_STRING) X(_NET_WM_NAME) X(_NET_WM_STATE) X(_NET_WM_STATE_FULLSCREEN)    \
    X(_NET_WM_BYPASS_COMPOSITOR) X(_NET_SUPPORTING_WM_CHECK)
/* clang-format on */
#define ATOM_INDEX(name) A_##name,
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
    uint32_t puts; /* puts not completed yet */
    bool refused;

    int wanted_monitor;             /* as configured */
    uint64_t monitors_read_us;      /* when the monitors were last read */
    uint32_t monitors_request;      /* sequence number of a pending request for the monitors; 0: none */
    rectangle monitor, now, before; /* now: the window; before: the window before full screen */
    bool fullscreen, managed, composited, mapped;
    double refresh_hz;
    uint32_t shown[4]; /* window and picture size that the bars were cleared for */
    uint64_t screen_saver_reset_us;

    struct ta_x11_slot {
        ta_overlay overlay;
        uint8_t *mask;
        size_t capacity;
    } slots[TA_X11_SLOTS];

    xcb_get_keyboard_mapping_reply_t *keyboard;
    char keys[TA_X11_KEYS][TA_X11_KEY_MAX];
    uint32_t key_first, key_count;
    bool resized, exposed, closed;
};

/* x11_window.c: moves the window where monitors were added, removed or moved. Never waits for a server that does not
 * answer. */
void ta_x11_follow_monitors(ta_x11 *x);
/* x11_presenter.c */
void ta_x11_load_keyboard(ta_x11 *x);
/* Errno EPIPE, EIO (the server cannot access it), or shmget's. */
ta_status ta_x11_reserve_image(ta_x11 *x, size_t size);
/* Waits until `*flag` or, without one, until at most `puts` are pending. errno EPIPE, EIO, ETIMEDOUT. */
ta_status ta_x11_await(ta_x11 *x, const bool *flag, uint32_t puts, uint64_t timeout_us);

#endif
