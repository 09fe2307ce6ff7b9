/* The ioctls of a memory-to-memory encoder, for both buffer layouts of V4L2. errno says what failed. */
#ifndef THINAIR_IO_M2M_DEVICE_H
#define THINAIR_IO_M2M_DEVICE_H

#include "sys.h"
#include "thinair/encoder.h"

typedef struct ta_m2m_side { /* one of the two queues */
    uint32_t type, memory;   /* V4L2_BUF_TYPE_*, V4L2_MEMORY_* */
} ta_m2m_side;

typedef struct ta_m2m_device {
    int fd;
    char path[64];
    bool planes;
    ta_m2m_side raw, coded;
    uint32_t width, height, raw_stride;
    size_t raw_size;
} ta_m2m_device;

typedef struct ta_m2m_buffer {
    uint32_t index;
    size_t offset, size, length; /* of the bytes in it; length: of the whole, for DMABUF */
    int fd;
    uint64_t time_us;
    bool key, error;
} ta_m2m_buffer;

/* Opens config->device, or the first node whose formats fit. */
ta_status ta_m2m_find(ta_m2m_device *d, const ta_encoder_config *config, char reason[TA_REASON_MAX]);
ta_status ta_m2m_configure(ta_m2m_device *d, const ta_encoder_config *config, char reason[TA_REASON_MAX]);
void ta_m2m_set_controls(ta_m2m_device *d, const ta_encoder_config *config, ta_notes *notes);
bool ta_m2m_has(const ta_m2m_device *d, uint32_t control);
int ta_m2m_control(const ta_m2m_device *d, uint32_t control, int32_t value); /* 0 or errno */

bool ta_m2m_buffers(const ta_m2m_device *d, ta_m2m_side *side, uint32_t *count, bool dmabuf);
bool ta_m2m_map(const ta_m2m_device *d, const ta_m2m_side *side, uint32_t index, uint8_t **data, size_t *length);
bool ta_m2m_queue(const ta_m2m_device *d, const ta_m2m_side *side, const ta_m2m_buffer *buffer);
bool ta_m2m_dequeue(const ta_m2m_device *d, const ta_m2m_side *side, ta_m2m_buffer *buffer); /* EAGAIN: none */
bool ta_m2m_stream(const ta_m2m_device *d, const ta_m2m_side *side, bool on);

#endif
