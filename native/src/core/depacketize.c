#include "depacketize.h"

#include <string.h>

#include "bytes.h"
#include "thinair/h264.h"

enum { STAP_A = 24, FU_A = 28 };

static bool refuse(ta_drop *why, ta_drop reason) {
    *why = reason;
    return false;
}

static bool append(ta_depacketizer *d, const uint8_t *bytes, size_t size, ta_drop *why) {
    if (size > d->capacity - d->size)
        return refuse(why, TA_DROP_OVERSIZE);
    memcpy(d->out + d->size, bytes, size);
    d->size += size;
    return true;
}

/* Writes the start code and the header byte of the next NAL unit. */
static bool begin_nal(ta_depacketizer *d, uint8_t header, ta_drop *why) {
    const uint8_t start[5] = {0, 0, 0, 1, header};
    unsigned type = header & 31;
    if (type == 0 || type >= STAP_A || header & 0x80)
        return refuse(why, TA_DROP_NAL);
    d->flags |= type == TA_NAL_IDR ? TA_AU_KEY : type == TA_NAL_SPS ? TA_AU_SPS : 0;
    return append(d, start, sizeof start, why);
}

static bool add_nal(ta_depacketizer *d, const uint8_t *nal, size_t size, ta_drop *why) {
    return begin_nal(d, nal[0], why) && append(d, nal + 1, size - 1, why);
}

static bool add_stap(ta_depacketizer *d, const uint8_t *p, size_t size, ta_drop *why) {
    size_t i = 1;
    if (size == 1)
        return refuse(why, TA_DROP_STAP);
    while (i < size) {
        if (size - i < 2)
            return refuse(why, TA_DROP_STAP);
        size_t length = (size_t)ta_get_be(p + i, 2);
        i += 2;
        if (length == 0 || length > size - i)
            return refuse(why, TA_DROP_STAP);
        if (!add_nal(d, p + i, length, why))
            return false;
        i += length;
    }
    return true;
}

static bool add_fragment(ta_depacketizer *d, const uint8_t *p, size_t size, ta_drop *why) {
    if (size < 2)
        return refuse(why, TA_DROP_FU);
    bool start = p[1] & 0x80, end = p[1] & 0x40;
    uint8_t type = p[1] & 31;
    if ((start && end) || start == d->in_fragments || (!start && type != d->fragment_type))
        return refuse(why, TA_DROP_FU);
    if (start && !begin_nal(d, (uint8_t)((p[0] & 0xe0) | type), why))
        return false;
    d->fragment_type = type;
    d->in_fragments = !end;
    return append(d, p + 2, size - 2, why);
}

bool ta_depacketizer_add(ta_depacketizer *d, const uint8_t *payload, size_t size, ta_drop *why) {
    unsigned type = payload[0] & 31;
    if (type == FU_A)
        return add_fragment(d, payload, size, why);
    if (d->in_fragments)
        return refuse(why, TA_DROP_FU);
    return type == STAP_A ? add_stap(d, payload, size, why) : add_nal(d, payload, size, why);
}

bool ta_depacketizer_end(const ta_depacketizer *d, ta_drop *why) { return !d->in_fragments || refuse(why, TA_DROP_FU); }

static bool is_slice(uint8_t header) { return (header & 31) == TA_NAL_SLICE || (header & 31) == TA_NAL_IDR; }

/* first_mb_in_slice is ue(v): 0 is a single one bit. */
static ta_slice slice_at(const uint8_t *nal, size_t size) {
    return size > 1 && nal[1] & 0x80 ? TA_SLICE_FIRST : TA_SLICE_LATER;
}

ta_slice ta_payload_slice(const uint8_t *payload, size_t size) {
    unsigned type = payload[0] & 31;
    if (type == FU_A) {
        if (size < 2 || !is_slice(payload[1]))
            return TA_SLICE_NONE;
        return payload[1] & 0x80 ? slice_at(payload + 1, size - 1) : TA_SLICE_LATER;
    }
    if (type != STAP_A)
        return is_slice(payload[0]) ? slice_at(payload, size) : TA_SLICE_NONE;
    for (size_t i = 1; size - i > 2;) {
        size_t length = (size_t)ta_get_be(payload + i, 2);
        i += 2;
        if (length == 0 || length >= size - i)
            length = size - i;
        if (is_slice(payload[i]))
            return slice_at(payload + i, length);
        i += length;
    }
    return TA_SLICE_NONE;
}

ta_begin ta_payload_begins(const uint8_t *payload, size_t size) {
    unsigned type = payload[0] & 31;
    if (type == STAP_A)
        type = size > 3 ? payload[3] & 31 : 0;
    if (type == TA_NAL_AUD || type == TA_NAL_SPS)
        return TA_BEGIN_SURE;
    bool likely = type == TA_NAL_SEI || type == TA_NAL_PPS || ta_payload_slice(payload, size) == TA_SLICE_FIRST;
    return likely ? TA_BEGIN_LIKELY : TA_BEGIN_NO;
}
