#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "thinair/v4l2.h"

static void *array(uint32_t count, size_t size) { return calloc(count ? count : 1, size); }

ta_status ta_media_read(ta_media *out, const char *path) {
    ta_status status = TA_ESYS;
    memset(out, 0, sizeof *out);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return TA_ESYS;
    struct media_v2_topology *counts = &out->counts;
    if (ta_ioctl(fd, MEDIA_IOC_G_TOPOLOGY, counts) != TA_OK)
        goto done;
    out->entities = array(counts->num_entities, sizeof *out->entities);
    out->interfaces = array(counts->num_interfaces, sizeof *out->interfaces);
    out->pads = array(counts->num_pads, sizeof *out->pads);
    out->links = array(counts->num_links, sizeof *out->links);
    if (!out->entities || !out->interfaces || !out->pads || !out->links) {
        status = TA_ENOMEM;
        goto done;
    }
    counts->ptr_entities = (uintptr_t)out->entities;
    counts->ptr_interfaces = (uintptr_t)out->interfaces;
    counts->ptr_pads = (uintptr_t)out->pads;
    counts->ptr_links = (uintptr_t)out->links;
    status = ta_ioctl(fd, MEDIA_IOC_G_TOPOLOGY, counts); /* ENOSPC: it grew meanwhile; the caller retries */
done:
    ta_close_quietly(fd);
    if (status != TA_OK)
        ta_media_free(out);
    return status;
}

void ta_media_free(ta_media *media) {
    free(media->entities);
    free(media->interfaces);
    free(media->pads);
    free(media->links);
    memset(media, 0, sizeof *media);
}

ta_status ta_media_set_link(const char *path, const uint32_t source[2], const uint32_t sink[2], bool enabled) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return TA_ESYS;
    struct media_link_desc link = {
        .source = {.entity = source[0], .index = (uint16_t)source[1], .flags = MEDIA_PAD_FL_SOURCE},
        .sink = {.entity = sink[0], .index = (uint16_t)sink[1], .flags = MEDIA_PAD_FL_SINK},
        .flags = enabled ? MEDIA_LNK_FL_ENABLED : 0};
    ta_status status = ta_ioctl(fd, MEDIA_IOC_SETUP_LINK, &link);
    ta_close_quietly(fd);
    return status;
}
