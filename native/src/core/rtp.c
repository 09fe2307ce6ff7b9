/* RTP packets: RFC 3550 5.1, header extension of RFC 8285 4.2 with the elements of docs/wire-protocol.md. */
#include "thinair/rtp.h"

#include <string.h>

#include "bytes.h"

static uint64_t stamp(uint64_t capture_us, const uint8_t *delta) {
    uint64_t value = ta_get_be(delta, 3);
    return value == TA_DELTA_UNKNOWN || capture_us == 0 ? 0 : capture_us + value;
}

/* An element of unexpected size has another meaning: ignored. */
static void read_element(unsigned id, const uint8_t *p, size_t size, ta_rtp *out) {
    if (id == 1 && size == 8) {
        out->capture_ntp = ta_get_be(p, 8);
    } else if (id == 2 && size == 9) {
        out->has_element = true;
        out->frame_id = (uint32_t)ta_get_be(p, 4);
        out->index = (uint16_t)ta_get_be(p + 4, 2);
        out->count = (uint16_t)ta_get_be(p + 6, 2);
        out->key = p[8] & 1;
        out->proactive = p[8] >> 1;
    } else if (id == 3 && size == 15) {
        uint64_t capture_us = ta_get_be(p, 6);
        out->has_stamps = true;
        out->stamps =
            (ta_stamps){capture_us, stamp(capture_us, p + 6), stamp(capture_us, p + 9), stamp(capture_us, p + 12)};
    } else if (id == 4 && size == 8) {
        out->has_sent = true;
        out->sent_frame_id = (uint16_t)ta_get_be(p, 2);
        out->sent_first_delta = (uint32_t)ta_get_be(p + 2, 3);
        out->sent_last_delta = (uint32_t)ta_get_be(p + 5, 3);
    }
}

static bool read_elements(const uint8_t *p, size_t size, ta_rtp *out) {
    size_t i = 0;
    while (i < size) {
        unsigned id = p[i] >> 4, length = (p[i] & 15u) + 1;
        if (p[i] == 0) { /* padding */
            i++;
            continue;
        }
        if (id == 0 || id == 15) /* RFC 8285 4.2: ignore the rest */
            return true;
        if (length > size - i - 1)
            return false;
        read_element(id, p + i + 1, length, out);
        i += 1 + length;
    }
    return true;
}

ta_status ta_rtp_parse(const uint8_t *data, size_t size, ta_rtp *out, ta_drop *why) {
    memset(out, 0, sizeof *out);
    *why = TA_DROP_SHORT;
    if (size < TA_RTP_HEADER)
        return TA_EBITSTREAM;
    *why = TA_DROP_VERSION;
    if (data[0] >> 6 != 2)
        return TA_EBITSTREAM;
    out->marker = data[1] >> 7;
    out->payload_type = data[1] & 0x7f;
    out->seq = (uint16_t)ta_get_be(data + 2, 2);
    out->time = (uint32_t)ta_get_be(data + 4, 4);
    out->ssrc = (uint32_t)ta_get_be(data + 8, 4);

    *why = TA_DROP_EXTENSION;
    size_t at = TA_RTP_HEADER + 4u * (data[0] & 15u);
    if (at > size)
        return TA_EBITSTREAM;
    if (data[0] & 0x10) {
        if (size - at < 4)
            return TA_EBITSTREAM;
        size_t bytes = 4 * (size_t)ta_get_be(data + at + 2, 2);
        unsigned profile = (unsigned)ta_get_be(data + at, 2);
        at += 4;
        if (bytes > size - at || (profile == 0xbede && !read_elements(data + at, bytes, out)))
            return TA_EBITSTREAM;
        at += bytes;
    }
    size_t padding = 0;
    *why = TA_DROP_PADDING;
    if (data[0] & 0x20) {
        padding = data[size - 1];
        if (padding == 0 || padding > size - at)
            return TA_EBITSTREAM;
    }
    /* An inconsistent element counts as absent. */
    out->has_element = out->has_element && out->count <= TA_MAX_FRAME_PACKETS && out->index < out->count &&
                       out->marker == (out->index + 1 == out->count);
    *why = TA_DROP_SHORT; /* a media packet without payload is useless */
    out->payload = data + at;
    out->payload_size = size - at - padding;
    return out->payload_size == 0 ? TA_EBITSTREAM : TA_OK;
}
