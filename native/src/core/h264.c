/* H.264 headers: SPS (7.3.2.1, VUI E.1), PPS (7.3.2.2), first_mb_in_slice (7.3.3), and the SPS rewriter. */
#include "thinair/h264.h"

#include <string.h>

#include "bits.h"

enum { MAX_RBSP = 4096 }; /* the longest legal SPS has half of this */

/* Where the rewriter cuts the SPS. */
typedef struct sps_cuts {
    size_t vui_flag, restriction_flag,
        reorder;                    /* bit positions; the latter two are valid with a VUI, and with a restriction */
    size_t signal_flag, signal_end; /* of video_signal_type, valid with a VUI */
} sps_cuts;

/* Removes emulation prevention bytes (7.4.1.1) after the header byte. */
static size_t unescape(const uint8_t *nal, size_t size, uint8_t *out, size_t capacity) {
    size_t n = 0, zeros = 0;
    for (size_t i = 1; i < size && n < capacity; i++) {
        if (zeros >= 2 && nal[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = nal[i] == 0 ? zeros + 1 : 0;
        out[n++] = nal[i];
    }
    return n;
}

/* ---- SPS ---- */

static void skip_scaling_list(ta_bits *b, unsigned size) {
    int32_t last = 8, next = 8;
    for (unsigned i = 0; i < size && !b->bad; i++) {
        if (next != 0)
            next = (last + ta_se(b) % 256 + 256) % 256;
        last = next == 0 ? last : next;
    }
}

static bool has_chroma_fields(uint32_t profile) {
    static const uint8_t profiles[] = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
    return memchr(profiles, (int)profile, sizeof profiles) != NULL;
}

static bool read_chroma(ta_bits *b, ta_sps *s) {
    s->chroma_format_idc = ta_ue(b);
    if (s->chroma_format_idc > 3)
        return false;
    if (s->chroma_format_idc == 3)
        ta_read(b, 1); /* separate_colour_plane_flag */
    uint32_t luma = ta_ue(b), chroma = ta_ue(b);
    if (luma > 6 || chroma > 6)
        return false;
    s->bit_depth_luma = 8 + luma;
    s->bit_depth_chroma = 8 + chroma;
    ta_read(b, 1);       /* qpprime_y_zero_transform_bypass_flag */
    if (ta_read(b, 1)) { /* seq_scaling_matrix_present_flag */
        unsigned lists = s->chroma_format_idc == 3 ? 12 : 8;
        for (unsigned i = 0; i < lists; i++)
            if (ta_read(b, 1))
                skip_scaling_list(b, i < 6 ? 16 : 64);
    }
    return !b->bad;
}

static bool read_order_count(ta_bits *b) {
    uint32_t type = ta_ue(b);
    if (type == 0)
        return ta_ue(b) <= 12;
    if (type == 1) {
        ta_read(b, 1);
        ta_se(b);
        ta_se(b);
        uint32_t cycle = ta_ue(b);
        if (cycle > 255)
            return false;
        for (uint32_t i = 0; i < cycle; i++)
            ta_se(b);
    }
    return type <= 2 && !b->bad;
}

/* Luma samples after cropping (7.4.2.1.1, crop units 7-19 to 7-22). */
static bool read_size(ta_bits *b, ta_sps *s) {
    uint32_t columns = ta_ue(b), rows = ta_ue(b);
    s->frame_mbs_only = ta_read(b, 1);
    if (!s->frame_mbs_only)
        ta_read(b, 1); /* mb_adaptive_frame_field_flag */
    ta_read(b, 1);     /* direct_8x8_inference_flag */
    uint32_t fields = s->frame_mbs_only ? 1 : 2;
    if (b->bad || columns >= TA_MAX_DIMENSION / 16 || rows >= TA_MAX_DIMENSION / 16 / fields)
        return false;
    s->width = 16 * (columns + 1);
    s->height = 16 * (rows + 1) * fields;
    if (ta_read(b, 1)) {
        uint32_t unit_x = s->chroma_format_idc == 1 || s->chroma_format_idc == 2 ? 2 : 1;
        uint32_t unit_y = (s->chroma_format_idc == 1 ? 2 : 1) * fields;
        uint64_t left = ta_ue(b), right = ta_ue(b), top = ta_ue(b), bottom = ta_ue(b);
        if (unit_x * (left + right) >= s->width || unit_y * (top + bottom) >= s->height)
            return false;
        s->width -= unit_x * (uint32_t)(left + right);
        s->height -= unit_y * (uint32_t)(top + bottom);
    }
    return !b->bad;
}

static bool skip_hrd(ta_bits *b) {
    uint32_t count = ta_ue(b) + 1;
    if (count > 32)
        return false;
    ta_read(b, 8);
    for (uint32_t i = 0; i < count; i++) {
        ta_ue(b);
        ta_ue(b);
        ta_read(b, 1);
    }
    ta_read(b, 20);
    return !b->bad;
}

static bool read_vui(ta_bits *b, ta_sps *s, sps_cuts *cuts) {
    if (ta_read(b, 1) && ta_read(b, 8) == 255) /* Extended_SAR: explicit sample aspect ratio */
        ta_read(b, 32);
    if (ta_read(b, 1)) /* overscan_info_present_flag */
        ta_read(b, 1);
    cuts->signal_flag = b->at;
    if (ta_read(b, 1)) {
        ta_read(b, 3);
        s->video_full_range = ta_read(b, 1);
        if (ta_read(b, 1)) {
            s->colour_primaries = ta_read(b, 8);
            s->transfer = ta_read(b, 8);
            s->matrix = ta_read(b, 8);
        }
    }
    cuts->signal_end = b->at;
    if (ta_read(b, 1)) { /* chroma_loc_info_present_flag */
        ta_ue(b);
        ta_ue(b);
    }
    if (ta_read(b, 1)) {
        s->num_units_in_tick = ta_read(b, 32);
        s->time_scale = ta_read(b, 32);
        ta_read(b, 1);
    }
    bool nal_hrd = ta_read(b, 1);
    if (nal_hrd && !skip_hrd(b))
        return false;
    bool vcl_hrd = ta_read(b, 1);
    if (vcl_hrd && !skip_hrd(b))
        return false;
    if (nal_hrd || vcl_hrd)
        ta_read(b, 1);
    ta_read(b, 1); /* pic_struct_present_flag */
    cuts->restriction_flag = b->at;
    s->bitstream_restriction = ta_read(b, 1);
    if (s->bitstream_restriction) {
        ta_read(b, 1);
        for (int i = 0; i < 4; i++)
            ta_ue(b);
        cuts->reorder = b->at;
        s->max_num_reorder_frames = ta_ue(b);
        s->max_dec_frame_buffering = ta_ue(b);
    }
    return !b->bad;
}

static bool read_sps(ta_bits *b, ta_sps *s, sps_cuts *cuts) {
    memset(s, 0, sizeof *s);
    s->chroma_format_idc = 1;
    s->bit_depth_luma = s->bit_depth_chroma = 8;
    s->colour_primaries = s->transfer = s->matrix = 2;
    s->profile_idc = ta_read(b, 8);
    s->constraint_flags = ta_read(b, 8);
    s->level_idc = ta_read(b, 8);
    s->sps_id = ta_ue(b);
    if (b->bad || s->sps_id > 31 || (has_chroma_fields(s->profile_idc) && !read_chroma(b, s)))
        return false;
    if (ta_ue(b) > 12 || !read_order_count(b)) /* log2_max_frame_num_minus4 */
        return false;
    s->num_ref_frames = ta_ue(b);
    ta_read(b, 1); /* gaps_in_frame_num_value_allowed_flag */
    if (s->num_ref_frames > 16 || !read_size(b, s))
        return false;
    cuts->vui_flag = b->at;
    s->vui_present = ta_read(b, 1);
    return s->vui_present ? read_vui(b, s, cuts) : !b->bad;
}

/* Parses an SPS: its RBSP to `rbsp` (MAX_RBSP bytes), its fields to *out. */
static ta_status open_sps(const uint8_t *nal, size_t size, uint8_t *rbsp, ta_bits *bits, ta_sps *out, sps_cuts *cuts) {
    if (size < 4 || (nal[0] & 0x9f) != TA_NAL_SPS)
        return TA_EBITSTREAM;
    *bits = (ta_bits){.data = rbsp, .bits = 8 * unescape(nal, size, rbsp, MAX_RBSP)};
    return read_sps(bits, out, cuts) ? TA_OK : TA_EBITSTREAM;
}

ta_status ta_sps_parse(const uint8_t *nal, size_t size, ta_sps *out) {
    uint8_t rbsp[MAX_RBSP];
    ta_bits bits;
    sps_cuts cuts;
    return open_sps(nal, size, rbsp, &bits, out, &cuts);
}

/* ---- rewriting ---- */

static ta_status copy(const uint8_t *nal, size_t size, uint8_t *out, size_t capacity, size_t *out_size) {
    if (size > capacity)
        return TA_ETOOBIG;
    memcpy(out, nal, size);
    *out_size = size;
    return TA_OK;
}

/* Inserts emulation prevention bytes. */
static ta_status escape(uint8_t header, const uint8_t *rbsp, size_t size, uint8_t *out, size_t capacity,
                        size_t *out_size) {
    size_t n = 0, zeros = 0;
    if (capacity == 0)
        return TA_ETOOBIG;
    out[n++] = header;
    for (size_t i = 0; i < size; i++) {
        bool guard = zeros >= 2 && rbsp[i] <= 3;
        if (n + guard + 1u > capacity)
            return TA_ETOOBIG;
        if (guard) {
            out[n++] = 3;
            zeros = 0;
        }
        zeros = rbsp[i] == 0 ? zeros + 1 : 0;
        out[n++] = rbsp[i];
    }
    *out_size = n;
    return TA_OK;
}

ta_status ta_sps_rewrite(const uint8_t *nal, size_t size, uint8_t *out, size_t capacity, size_t *out_size) {
    uint8_t rbsp[MAX_RBSP], written[MAX_RBSP + 32] = {0};
    ta_bits bits;
    ta_sps sps;
    sps_cuts cuts;
    ta_status status = open_sps(nal, size, rbsp, &bits, &sps, &cuts);
    if (status != TA_OK)
        return status;
    if (sps.bitstream_restriction && sps.max_num_reorder_frames == 0 &&
        sps.max_dec_frame_buffering == sps.num_ref_frames)
        return copy(nal, size, out, capacity, out_size);

    ta_bit_writer w = {.data = written, .bits = 8 * sizeof written};
    size_t kept = sps.bitstream_restriction ? cuts.reorder : sps.vui_present ? cuts.restriction_flag : cuts.vui_flag;
    bits = (ta_bits){.data = rbsp, .bits = kept};
    while (bits.at < kept)
        ta_put(&w, ta_bit(&bits), 1);
    if (!sps.vui_present)
        ta_put(&w, 0x100, 9); /* vui_parameters_present_flag, then all absent up to the restriction */
    if (!sps.bitstream_restriction) {
        ta_put(&w, 3, 2); /* bitstream_restriction_flag, motion_vectors_over_pic_boundaries_flag. This and the next four
                             are the values that */
        ta_put_ue(&w, 2); /* E.2.1 infers without a restriction: max_bytes_per_pic_denom */
        ta_put_ue(&w, 1); /* max_bits_per_mb_denom */
        ta_put_ue(&w, 15); /* log2_max_mv_length_horizontal */
        ta_put_ue(&w, 15); /* log2_max_mv_length_vertical */
    }
    ta_put_ue(&w, 0);
    ta_put_ue(&w, sps.num_ref_frames);
    ta_put(&w, 1, 1); /* rbsp_stop_one_bit */
    return escape(nal[0], written, (w.at + 7) / 8, out, capacity, out_size);
}

static void put_bits(ta_bit_writer *w, const uint8_t *rbsp, size_t from, size_t to) {
    ta_bits bits = {.data = rbsp, .bits = to, .at = from};
    while (bits.at < to)
        ta_put(w, ta_bit(&bits), 1);
}

ta_status ta_sps_colour(const uint8_t *nal, size_t size, bool bt709, bool full_range, uint8_t *out, size_t capacity,
                        size_t *out_size) {
    uint8_t rbsp[MAX_RBSP], written[MAX_RBSP + 32] = {0};
    ta_bits bits;
    ta_sps sps;
    sps_cuts cuts;
    ta_status status = open_sps(nal, size, rbsp, &bits, &sps, &cuts);
    if (status != TA_OK)
        return status;
    size_t stop = bits.bits; /* of rbsp_stop_one_bit, the last bit that is set */
    while (stop > 0 && !(rbsp[(stop - 1) / 8] >> (7 - (stop - 1) % 8) & 1))
        stop--;
    if (stop == 0 || stop - 1 < bits.at)
        return TA_EBITSTREAM;
    ta_bit_writer w = {.data = written, .bits = 8 * sizeof written};
    put_bits(&w, rbsp, 0, sps.vui_present ? cuts.signal_flag : cuts.vui_flag);
    if (!sps.vui_present)
        ta_put(&w, 4, 3);             /* vui_parameters_present_flag, no aspect ratio, no overscan */
    ta_put(&w, 0x1a | full_range, 5); /* video_signal_type_present_flag, unspecified format, range */
    ta_put(&w, 1, 1);
    const uint32_t code = bt709 ? 1 : 6; /* tables E-3, E-4, E-5: BT.709, SMPTE 170M */
    for (int i = 0; i < 3; i++)
        ta_put(&w, code, 8);
    if (sps.vui_present)
        put_bits(&w, rbsp, cuts.signal_end, stop - 1);
    else
        ta_put(&w, 0, 6); /* no chroma location, timing, HRDs, pic_struct, restriction */
    ta_put(&w, 1, 1);
    return escape(nal[0], written, (w.at + 7) / 8, out, capacity, out_size);
}

/* ---- PPS, slice ---- */

enum { HEAD = 16 }; /* enough for three ue(v) */

ta_status ta_pps_parse(const uint8_t *nal, size_t size, ta_pps *out) {
    uint8_t rbsp[HEAD];
    if (size < 2 || (nal[0] & 0x9f) != TA_NAL_PPS)
        return TA_EBITSTREAM;
    ta_bits bits = {.data = rbsp, .bits = 8 * unescape(nal, size, rbsp, sizeof rbsp)};
    out->pps_id = ta_ue(&bits);
    out->sps_id = ta_ue(&bits);
    out->cabac = ta_read(&bits, 1);
    return bits.bad || out->pps_id > 255 || out->sps_id > 31 ? TA_EBITSTREAM : TA_OK;
}

ta_status ta_slice_first_mb(const uint8_t *nal, size_t size, uint32_t *first_mb) {
    uint8_t rbsp[HEAD];
    if (size < 2 || ((nal[0] & 0x9f) != TA_NAL_SLICE && (nal[0] & 0x9f) != TA_NAL_IDR))
        return TA_EBITSTREAM;
    ta_bits bits = {.data = rbsp, .bits = 8 * unescape(nal, size, rbsp, sizeof rbsp)};
    *first_mb = ta_ue(&bits);
    return bits.bad ? TA_EBITSTREAM : TA_OK;
}
