/* Parameter sets of an encoder's access units: every SPS states that nothing is reordered, and every key frame carries
 * its parameter sets. Only what precedes the first slice is parsed. */
#include "thinair/h264.h"

#include <string.h>

ta_status ta_au_rewrite(const uint8_t *au, size_t size, uint8_t *out, size_t capacity, size_t *out_size,
                        size_t *changed) {
    uint8_t sps[TA_MAX_SPS];
    size_t from = 0, n = 0;
    *changed = 0;
    for (size_t at = ta_annexb_find(au, size, 0); at < size;) {
        size_t begin = at + 3, next = ta_annexb_find(au, size, begin), end = next, sps_size;
        at = next;
        while (end > begin && au[end - 1] == 0)
            end--;
        if (end == begin || (au[begin] & 31) != TA_NAL_SPS)
            continue;
        ta_status status = ta_sps_rewrite(au + begin, end - begin, sps, sizeof sps, &sps_size);
        if (status != TA_OK)
            return status;
        if (sps_size == end - begin && memcmp(sps, au + begin, sps_size) == 0)
            continue;
        ++*changed;
        if (out && n + (begin - from) + sps_size > capacity)
            return TA_ETOOBIG;
        if (out) {
            memcpy(out + n, au + from, begin - from);
            memcpy(out + n + (begin - from), sps, sps_size);
        }
        n += begin - from + sps_size;
        from = end;
    }
    *out_size = n + size - from;
    if (out && *out_size > capacity)
        return TA_ETOOBIG;
    if (out)
        memcpy(out + n, au + from, size - from);
    return TA_OK;
}

/* Finds the first slice's start code, and which NAL units precede it. */
static ta_unit_kind classify(const uint8_t *au, size_t size, size_t *slice, bool *sps) {
    bool headers = false;
    *sps = false;
    *slice = size;
    for (size_t at = ta_annexb_find(au, size, 0); at + 3 < size; at = ta_annexb_find(au, size, at + 3)) {
        const unsigned type = au[at + 3] & 31u;
        if (type >= TA_NAL_SLICE && type <= TA_NAL_IDR) {
            *slice = at > 0 && au[at - 1] == 0 ? at - 1 : at;
            return type == TA_NAL_IDR ? TA_UNIT_KEY : TA_UNIT_PICTURE;
        }
        *sps |= type == TA_NAL_SPS;
        headers |= type == TA_NAL_SPS || type == TA_NAL_PPS;
    }
    return headers ? TA_UNIT_PARAMETER_SETS : TA_UNIT_UNDECODABLE;
}

/* Writes the camera's colour into the SPS; the encoder may not know it. */
static ta_status write_colour(ta_parameter_sets *kept) {
    uint8_t sps[TA_MAX_PARAMETER_SETS];
    for (size_t at = ta_annexb_find(kept->data, kept->size, 0); at < kept->size;) {
        size_t begin = at + 3, next = ta_annexb_find(kept->data, kept->size, begin), end = next, n;
        at = next;
        while (end > begin && kept->data[end - 1] == 0)
            end--;
        if (end == begin || (kept->data[begin] & 31) != TA_NAL_SPS)
            continue;
        const ta_status status =
            ta_sps_colour(kept->data + begin, end - begin, kept->bt709, kept->full_range, sps, sizeof sps, &n);
        if (status != TA_OK)
            return status;
        if (kept->size - (end - begin) + n > sizeof kept->data)
            return TA_ETOOBIG;
        memmove(kept->data + begin + n, kept->data + end, kept->size - end);
        memcpy(kept->data + begin, sps, n);
        kept->size = kept->size - (end - begin) + n;
        return TA_OK;
    }
    return TA_OK;
}

ta_unit_kind ta_parameter_sets_apply(ta_parameter_sets *kept, const uint8_t *au, size_t size, uint8_t *out,
                                     size_t capacity, const uint8_t **sent, size_t *sent_size) {
    size_t slice, changed;
    bool sps;
    const ta_unit_kind kind = classify(au, size, &slice, &sps);
    *sent = au;
    *sent_size = size;
    if (kind == TA_UNIT_PICTURE || kind == TA_UNIT_UNDECODABLE)
        return kind;
    if (sps) {
        ta_status status = ta_au_rewrite(au, slice, kept->data, sizeof kept->data, &kept->size, &changed);
        if (status == TA_OK && kept->colour)
            status = write_colour(kept);
        if (status != TA_OK) {
            kept->size = 0;
            return TA_UNIT_UNDECODABLE;
        }
        /* A PPS in a separate unit. */
    } else if (kind == TA_UNIT_PARAMETER_SETS && kept->size + size <= sizeof kept->data) {
        memcpy(kept->data + kept->size, au, size);
        kept->size += size;
    }
    if (kind == TA_UNIT_PARAMETER_SETS)
        return kind;
    const size_t rest = sps ? slice : 0;
    if (kept->size == 0 || kept->size + (size - rest) > capacity)
        return TA_UNIT_UNDECODABLE; /* no decoder could use it */
    memcpy(out, kept->data, kept->size);
    memcpy(out + kept->size, au + rest, size - rest);
    *sent = out;
    *sent_size = kept->size + (size - rest);
    return kind;
}
