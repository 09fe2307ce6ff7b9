/* Access unit to RTP packets: RFC 6184 mode 1 (5.6 single NAL unit, 5.7.1 STAP-A, 5.8 FU-A), as few packets as fit.
 * push() plans the packets, next() writes them from the caller's access unit. */
#include "thinair/h264.h"
#include "thinair/rtp.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum { STAP_A = 24, FU_A = 28, MAX_EXTENSION = 48, FRAME_ELEMENT = 10 };
_Static_assert(TA_MIN_PACKET > TA_RTP_HEADER + MAX_EXTENSION + 2, "a fragment always has room for a byte");

typedef struct plan {
    uint16_t nal;      /* index of the (first) NAL unit */
    uint16_t together; /* 0: fragment; 1: single NAL unit; more: STAP-A of this many */
    size_t offset;     /* fragment: offset in the NAL unit */
    size_t size;       /* bytes of the fragment, else of the payload */
} plan;

struct ta_packetizer {
    ta_packetizer_config config;
    uint16_t seq;
    const uint8_t *au;
    ta_frame_meta meta;
    size_t nal_count, count, at;
    ta_nal nals[TA_MAX_NALS];
    plan plans[TA_MAX_FRAME_PACKETS];
};

ta_status ta_packetizer_open(ta_packetizer **out, const ta_packetizer_config *config) {
    *out = NULL;
    if (config->max_packet < TA_MIN_PACKET || config->max_packet > TA_MAX_PACKET || config->payload_type > 127)
        return TA_EINVAL;
    ta_packetizer *p = calloc(1, sizeof *p);
    if (!p)
        return TA_ENOMEM;
    p->config = *config;
    p->seq = config->first_seq;
    *out = p;
    return TA_OK;
}

void ta_packetizer_close(ta_packetizer **p) {
    free(*p);
    *p = NULL;
}

void ta_packetizer_set_proactive(ta_packetizer *p, uint8_t proactive) { p->meta.proactive = proactive; }

size_t ta_packetizer_count(const ta_packetizer *p) { return p->count; }

static size_t extension_size(const ta_packetizer *p, size_t index) {
    if (!p->config.elements)
        return 0;
    size_t elements = FRAME_ELEMENT;
    if (index == 0) {
        elements += p->meta.capture_ntp ? 9 : 0;
        elements += p->meta.stamps.capture_us ? 16 : 0;
        elements += p->meta.sent.first_send_us ? 9 : 0;
    }
    return 4 + (elements + 3) / 4 * 4;
}

static size_t room(const ta_packetizer *p, size_t index) {
    return p->config.max_packet - TA_RTP_HEADER - extension_size(p, index);
}

static bool travels_together(uint8_t header) {
    unsigned type = header & 31;
    return type == TA_NAL_SPS || type == TA_NAL_PPS || type == TA_NAL_SEI;
}

/* Returns how many NAL units from `first` on fit one STAP-A; its payload size in *size. */
static size_t stap_run(const ta_packetizer *p, size_t first, size_t *size) {
    size_t n = 0, space = room(p, p->count);
    *size = 1;
    while (first + n < p->nal_count) {
        const ta_nal *nal = &p->nals[first + n];
        if (!travels_together(p->au[nal->offset]) || *size + 2 + nal->size > space)
            break;
        *size += 2 + nal->size;
        n++;
    }
    return n;
}

static ta_status add(ta_packetizer *p, size_t nal, size_t together, size_t offset, size_t size) {
    if (p->count == TA_MAX_FRAME_PACKETS)
        return TA_ETOOBIG;
    p->plans[p->count++] = (plan){(uint16_t)nal, (uint16_t)together, offset, size};
    return TA_OK;
}

static ta_status plan_fragments(ta_packetizer *p, size_t nal) {
    size_t offset = 1, end = p->nals[nal].size; /* the FU header carries the header byte */
    while (offset < end) {
        size_t space = room(p, p->count) - 2, size = end - offset < space ? end - offset : space;
        ta_status status = add(p, nal, 0, offset, size);
        if (status != TA_OK)
            return status;
        offset += size;
    }
    return TA_OK;
}

static ta_status plan_packets(ta_packetizer *p) {
    ta_status status = TA_OK;
    for (size_t i = 0; i < p->nal_count && status == TA_OK;) {
        size_t size, together = stap_run(p, i, &size);
        if (together > 1) {
            status = add(p, i, together, 0, size);
            i += together;
            continue;
        }
        size = p->nals[i].size;
        status = size <= room(p, p->count) ? add(p, i, 1, 0, size) : plan_fragments(p, i);
        i++;
    }
    return status;
}

/* Removes delimiters; refuses types that RTP uses for its own packets. */
static ta_status take_nals(ta_packetizer *p, const uint8_t *au, size_t size) {
    size_t found = ta_annexb_split(au, size, p->nals, TA_MAX_NALS), kept = 0;
    if (found > TA_MAX_NALS)
        return TA_ETOOBIG;
    for (size_t i = 0; i < found; i++) {
        uint8_t header = au[p->nals[i].offset];
        if (header & 0x80 || (header & 31) == 0 || (header & 31) >= STAP_A)
            return TA_EBITSTREAM;
        if ((header & 31) != TA_NAL_AUD)
            p->nals[kept++] = p->nals[i];
    }
    p->nal_count = kept;
    return kept ? TA_OK : TA_EBITSTREAM;
}

ta_status ta_packetizer_push(ta_packetizer *p, const uint8_t *au, size_t size, const ta_frame_meta *meta) {
    if (p->at < p->count)
        return TA_EINVAL;
    p->at = p->count = 0;
    p->au = au;
    p->meta = *meta;
    ta_status status = take_nals(p, au, size);
    if (status == TA_OK)
        status = plan_packets(p);
    if (status != TA_OK)
        p->count = 0;
    return status;
}

static uint64_t delta(uint64_t from, uint64_t to) {
    bool known = from != 0 && to >= from && to - from < TA_DELTA_UNKNOWN;
    return known ? to - from : TA_DELTA_UNKNOWN;
}

static uint8_t *put_extension(const ta_packetizer *p, uint8_t *out) {
    const ta_frame_meta *m = &p->meta;
    size_t size = extension_size(p, p->at);
    uint8_t *end = out + size;
    out = ta_put_be(out, 0xbede, 2);
    out = ta_put_be(out, (size - 4) / 4, 2);
    *out++ = 2 << 4 | 8;
    out = ta_put_be(out, m->frame_id, 4);
    out = ta_put_be(out, p->at, 2);
    out = ta_put_be(out, p->count, 2);
    *out++ = (uint8_t)(m->key | m->proactive << 1);
    if (p->at == 0 && m->capture_ntp) {
        *out++ = 1 << 4 | 7;
        out = ta_put_be(out, m->capture_ntp, 8);
    }
    if (p->at == 0 && m->stamps.capture_us) {
        *out++ = 3 << 4 | 14;
        out = ta_put_be(out, m->stamps.capture_us, 6);
        out = ta_put_be(out, delta(m->stamps.capture_us, m->stamps.dequeue_us), 3);
        out = ta_put_be(out, delta(m->stamps.capture_us, m->stamps.encode_in_us), 3);
        out = ta_put_be(out, delta(m->stamps.capture_us, m->stamps.encode_out_us), 3);
    }
    if (p->at == 0 && m->sent.first_send_us) {
        *out++ = 4 << 4 | 7;
        out = ta_put_be(out, m->sent.frame_id, 2);
        out = ta_put_be(out, delta(m->sent.capture_us, m->sent.first_send_us), 3);
        out = ta_put_be(out, delta(m->sent.capture_us, m->sent.last_send_us), 3);
    }
    memset(out, 0, (size_t)(end - out));
    return end;
}

static uint8_t *put_payload(const ta_packetizer *p, const plan *plan, uint8_t *out) {
    const ta_nal *nal = &p->nals[plan->nal];
    const uint8_t *bytes = p->au + nal->offset;
    if (plan->together == 0) {
        bool first = plan->offset == 1, last = plan->offset + plan->size == nal->size;
        *out++ = (uint8_t)((bytes[0] & 0xe0) | FU_A);
        *out++ = (uint8_t)(first << 7 | last << 6 | (bytes[0] & 31));
        memcpy(out, bytes + plan->offset, plan->size);
        return out + plan->size;
    }
    if (plan->together == 1) {
        memcpy(out, bytes, nal->size);
        return out + nal->size;
    }
    uint8_t *header = out++;
    *header = STAP_A;
    for (size_t i = 0; i < plan->together; i++) {
        const ta_nal *part = &p->nals[plan->nal + i];
        uint8_t importance = p->au[part->offset] & 0x60;
        if (importance > (*header & 0x60)) /* RFC 6184 5.7: the highest NRI of all */
            *header = (uint8_t)(importance | STAP_A);
        out = ta_put_be(out, part->size, 2);
        memcpy(out, p->au + part->offset, part->size);
        out += part->size;
    }
    return out;
}

ta_status ta_packetizer_next(ta_packetizer *p, uint8_t *out, size_t capacity, size_t *size) {
    if (p->at == p->count)
        return TA_AGAIN;
    const plan *plan = &p->plans[p->at];
    size_t payload = plan->size + (plan->together == 0 ? 2 : 0);
    *size = TA_RTP_HEADER + extension_size(p, p->at) + payload;
    if (capacity < *size)
        return TA_ETOOBIG;
    bool last = p->at + 1 == p->count;
    *out++ = (uint8_t)(0x80 | (p->config.elements ? 0x10 : 0));
    *out++ = (uint8_t)(last << 7 | p->config.payload_type);
    out = ta_put_be(out, p->seq++, 2);
    out = ta_put_be(out, p->meta.rtp_time, 4);
    out = ta_put_be(out, p->config.ssrc, 4);
    if (p->config.elements)
        out = put_extension(p, out);
    put_payload(p, plan, out);
    p->at++;
    return TA_OK;
}
