/* Control of V4L2 nodes, sub-devices and media devices, beside a running capture and with a handle of their own. */
#ifndef THINAIR_V4L2_H
#define THINAIR_V4L2_H

#include <linux/media.h>
#include <linux/v4l2-subdev.h>
#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thinair/status.h"

enum { TA_EDID_BLOCK = 128, TA_EDID_MAX = 8 * TA_EDID_BLOCK /* what bridge chips hold */ };

typedef struct ta_v4l2_info {
    bool subdev;
    char driver[17], card[33], bus[33]; /* empty for a sub-device, whose name is in sysfs */
    uint32_t version, capabilities;     /* capabilities: of this node */
} ta_v4l2_info;

typedef struct ta_v4l2 ta_v4l2;

/* Opens a video node or a sub-device, non-blocking. One thread at a time uses the handle. TA_ENOMEM. TA_ESYS: errno;
 * ENOTTY: neither of the two. Every call below returns TA_ESYS with the errno of its ioctl. */
ta_status ta_v4l2_open(ta_v4l2 **out, const char *path);
/* Returns what the device says of itself, valid until close. */
const ta_v4l2_info *ta_v4l2_info_get(const ta_v4l2 *device);
/* Returns the descriptor, for poll: POLLPRI while an event waits, POLLERR when the device is gone. */
int ta_v4l2_descriptor(const ta_v4l2 *device);
/* Any ioctl of linux/videodev2.h or linux/v4l2-subdev.h, restarted after a signal. */
ta_status ta_v4l2_ioctl(const ta_v4l2 *device, unsigned long request, void *argument);

/* Reads the EDID of pad 0. Size 0: none is set. */
ta_status ta_v4l2_edid(const ta_v4l2 *device, uint8_t out[TA_EDID_MAX], size_t *size);
/* Writes the EDID, which triggers a hotplug; size 0 removes it and holds hotplug low. TA_EINVAL: not whole blocks.
 * TA_ETOOBIG: over TA_EDID_MAX. */
ta_status ta_v4l2_set_edid(const ta_v4l2 *device, const uint8_t *edid, size_t size);

/* Takes the next event. TA_AGAIN: none. */
ta_status ta_v4l2_event(const ta_v4l2 *device, struct v4l2_event *out);
/* Get and set a control: integers of 32 or 64 bits, booleans, menus, buttons. */
ta_status ta_v4l2_get_control(const ta_v4l2 *device, uint32_t id, int64_t *value);
ta_status ta_v4l2_set_control(const ta_v4l2 *device, uint32_t id, int64_t value);

/* Writes the buffer type that the node captures in. TA_EINVAL: it captures nothing. */
ta_status ta_v4l2_capture_type(const ta_v4l2 *device, uint32_t *type);
void ta_v4l2_close(ta_v4l2 **device);

/* ---- media devices ---- */

typedef struct ta_media { /* MEDIA_IOC_G_TOPOLOGY; the arrays are owned */
    struct media_v2_topology counts;
    struct media_v2_entity *entities;
    struct media_v2_interface *interfaces;
    struct media_v2_pad *pads;
    struct media_v2_link *links;
} ta_media;

/* Reads a media device's topology; free it by ta_media_free. TA_ENOMEM. TA_ESYS: errno; ENOSPC: it grew meanwhile,
 * retry. */
ta_status ta_media_read(ta_media *out, const char *path);
void ta_media_free(ta_media *media);
/* Enables or disables the link between two pads, each {entity id, pad index}. */
ta_status ta_media_set_link(const char *path, const uint32_t source[2], const uint32_t sink[2], bool enabled);

#endif
