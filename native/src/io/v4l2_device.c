#include "thinair/v4l2.h"

#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct ta_v4l2 {
    int fd;
    ta_v4l2_info info;
};

ta_status ta_ioctl(int fd, unsigned long request, void *argument) {
    int result;
    do
        result = ioctl(fd, request, argument);
    while (result < 0 && errno == EINTR);
    return result < 0 ? TA_ESYS : TA_OK;
}

void ta_close_quietly(int fd) {
    int error = errno;
    close(fd);
    errno = error;
}

static ta_status identify(int fd, ta_v4l2_info *info) {
    struct v4l2_capability video = {0};
    if (ta_ioctl(fd, VIDIOC_QUERYCAP, &video) == TA_OK) {
        memcpy(info->driver, video.driver, sizeof video.driver);
        memcpy(info->card, video.card, sizeof video.card);
        memcpy(info->bus, video.bus_info, sizeof video.bus_info);
        info->version = video.version;
        info->capabilities = video.capabilities & V4L2_CAP_DEVICE_CAPS ? video.device_caps : video.capabilities;
        return TA_OK;
    }
    struct v4l2_subdev_capability subdev = {0};
    ta_status status = ta_ioctl(fd, VIDIOC_SUBDEV_QUERYCAP, &subdev);
    info->subdev = true;
    info->version = subdev.version;
    info->capabilities = subdev.capabilities;
    return status;
}

ta_status ta_v4l2_open(ta_v4l2 **out, const char *path) {
    ta_v4l2 *device = calloc(1, sizeof *device);
    *out = NULL;
    if (!device)
        return TA_ENOMEM;
    device->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device->fd < 0 || identify(device->fd, &device->info) != TA_OK) {
        ta_v4l2_close(&device);
        return TA_ESYS;
    }
    *out = device;
    return TA_OK;
}

const ta_v4l2_info *ta_v4l2_info_get(const ta_v4l2 *device) { return &device->info; }

int ta_v4l2_descriptor(const ta_v4l2 *device) { return device->fd; }

ta_status ta_v4l2_ioctl(const ta_v4l2 *device, unsigned long request, void *argument) {
    return ta_ioctl(device->fd, request, argument);
}

ta_status ta_v4l2_edid(const ta_v4l2 *device, uint8_t out[TA_EDID_MAX], size_t *size) {
    struct v4l2_edid edid = {.blocks = TA_EDID_MAX / TA_EDID_BLOCK, .edid = out};
    ta_status status = ta_ioctl(device->fd, VIDIOC_G_EDID, &edid);
    if (status != TA_OK && errno == ENODATA) { /* none was written */
        edid.blocks = 0;
        status = TA_OK;
    }
    *size = (size_t)edid.blocks * TA_EDID_BLOCK;
    return status;
}

ta_status ta_v4l2_set_edid(const ta_v4l2 *device, const uint8_t *bytes, size_t size) {
    if (size > TA_EDID_MAX)
        return TA_ETOOBIG;
    if (size % TA_EDID_BLOCK)
        return TA_EINVAL;
    /* The kernel only reads these bytes. */
    struct v4l2_edid edid = {.blocks = (uint32_t)(size / TA_EDID_BLOCK), .edid = (uint8_t *)(uintptr_t)bytes};
    return ta_ioctl(device->fd, VIDIOC_S_EDID, &edid);
}

ta_status ta_v4l2_event(const ta_v4l2 *device, struct v4l2_event *out) {
    memset(out, 0, sizeof *out);
    ta_status status = ta_ioctl(device->fd, VIDIOC_DQEVENT, out);
    return status != TA_OK && (errno == ENOENT || errno == EAGAIN) ? TA_AGAIN : status;
}

static ta_status move_control(const ta_v4l2 *device, unsigned long request, uint32_t id, int64_t *value) {
    struct v4l2_query_ext_ctrl query = {.id = id};
    if (ta_ioctl(device->fd, VIDIOC_QUERY_EXT_CTRL, &query) != TA_OK)
        return TA_ESYS;
    if (query.flags & V4L2_CTRL_FLAG_HAS_PAYLOAD) {
        errno = EINVAL;
        return TA_ESYS;
    }
    bool wide = query.type == V4L2_CTRL_TYPE_INTEGER64;
    struct v4l2_ext_control control = {.id = id};
    if (wide)
        control.value64 = *value;
    else
        control.value = (int32_t)*value;
    struct v4l2_ext_controls controls = {.which = V4L2_CTRL_WHICH_CUR_VAL, .count = 1, .controls = &control};
    ta_status status = ta_ioctl(device->fd, request, &controls);
    *value = wide ? control.value64 : control.value;
    return status;
}

ta_status ta_v4l2_get_control(const ta_v4l2 *device, uint32_t id, int64_t *value) {
    *value = 0;
    return move_control(device, VIDIOC_G_EXT_CTRLS, id, value);
}

ta_status ta_v4l2_set_control(const ta_v4l2 *device, uint32_t id, int64_t value) {
    return move_control(device, VIDIOC_S_EXT_CTRLS, id, &value);
}

ta_status ta_v4l2_capture_type(const ta_v4l2 *device, uint32_t *type) {
    uint32_t capabilities = device->info.subdev ? 0 : device->info.capabilities;
    if (capabilities & V4L2_CAP_VIDEO_CAPTURE_MPLANE)
        *type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    else if (capabilities & V4L2_CAP_VIDEO_CAPTURE)
        *type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    else
        return TA_EINVAL;
    return TA_OK;
}

void ta_v4l2_close(ta_v4l2 **device) {
    if (!*device)
        return;
    if ((*device)->fd >= 0)
        ta_close_quietly((*device)->fd);
    free(*device);
    *device = NULL;
}
