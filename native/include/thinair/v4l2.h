/* Control of V4L2 nodes and sub-devices beside a running capture: a handle of its own, never the capture's. */
#ifndef THINAIR_V4L2_H
#define THINAIR_V4L2_H

#include <linux/media.h>
#include <linux/v4l2-subdev.h>
#include <linux/videodev2.h>

#include "thinair/core.h"

enum { TA_EDID_BLOCK = 128, TA_EDID_MAX = 8 * TA_EDID_BLOCK /* what bridge chips hold */ };

typedef struct ta_v4l2_info {
    bool subdev;
    char driver[17], card[33], bus[33]; /* empty of a sub-device, whose name stands in sysfs */
    uint32_t version, capabilities;     /* capabilities: of this node */
} ta_v4l2_info;

typedef struct ta_v4l2 ta_v4l2;

/* Opens a video node or a sub-device without blocking. TA_ESYS: errno; ENOTTY says it is neither. A handle belongs to one
 * thread at a time. All functions below give TA_ESYS with errno of the ioctl. */
ta_status ta_v4l2_open(ta_v4l2 **out, const char *path);
const ta_v4l2_info *ta_v4l2_info_get(const ta_v4l2 *device);
int ta_v4l2_descriptor(const ta_v4l2 *device); /* for poll: POLLPRI when an event waits, POLLERR when it is gone */
/* Any ioctl of linux/videodev2.h or linux/v4l2-subdev.h, begun again after a signal. */
ta_status ta_v4l2_ioctl(const ta_v4l2 *device, unsigned long request, void *argument);

/* EDID of pad 0. A source without one gives size 0. */
ta_status ta_v4l2_edid(const ta_v4l2 *device, uint8_t out[TA_EDID_MAX], size_t *size);
/* Whole blocks, at most TA_EDID_MAX (TA_ETOOBIG, TA_EINVAL). Size 0 takes hotplug away. The source sees a re-plug. */
ta_status ta_v4l2_set_edid(const ta_v4l2 *device, const uint8_t *edid, size_t size);

/* TA_AGAIN: no event waits. */
ta_status ta_v4l2_event(const ta_v4l2 *device, struct v4l2_event *out);
/* Integers of 32 or 64 bits, booleans, menus, buttons. */
ta_status ta_v4l2_get_control(const ta_v4l2 *device, uint32_t id, int64_t *value);
ta_status ta_v4l2_set_control(const ta_v4l2 *device, uint32_t id, int64_t value);

/* The buffer type a node captures in; TA_EINVAL: it captures nothing. */
ta_status ta_v4l2_capture_type(const ta_v4l2 *device, uint32_t *type);
void ta_v4l2_close(ta_v4l2 **device);

/* What a media device consists of (MEDIA_IOC_G_TOPOLOGY). The arrays are the caller's to free by ta_media_free. */
typedef struct ta_media {
    struct media_v2_topology counts;
    struct media_v2_entity *entities;
    struct media_v2_interface *interfaces;
    struct media_v2_pad *pads;
    struct media_v2_link *links;
} ta_media;

ta_status ta_media_read(ta_media *out, const char *path);
void ta_media_free(ta_media *media);
/* Enables or disables the link between two pads, given by (entity, index). */
ta_status ta_media_set_link(const char *path, const uint32_t source[2], const uint32_t sink[2], bool enabled);

#endif
