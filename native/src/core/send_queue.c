/* Access units in, datagrams out. A packet is kept in a line of the ring, from which symbols are summed, until newer
 * packets need its place. */
#include "send_queue.h"

#include <stdlib.h>

enum {
    FIRST_TOKENS = 64,
    MAX_TOKENS = 256,
    MAX_FRAME_PACE_US = 8000,
    STALE_INTERVALS = 2,
    MIN_STALE_US = 50000,
    MAX_HOLD_US = 300000, /* upper limit for waiting on what is in flight on a slow link */
    MAX_UNCONFIRMED = 3,
    SILENT_INTERVALS = 3, /* without a report about what was sent */
};

static const uint8_t AUD_TAIL[6] = {0, 0, 0, 1, 0x09, 0xf0};

ta_status ta_send_queue_open(ta_send_queue **out, const ta_send_queue_config *config) {
    *out = NULL;
    if (config->packets.elements && !config->raw && config->packets.max_packet > TA_MAX_LINK_PACKET)
        return TA_EINVAL;
    ta_send_queue *o = calloc(1, sizeof *o);
    if (!o)
        return TA_ENOMEM;
    o->config = *config;
    o->config.pace_group = config->pace_group ? config->pace_group : 1;
    ta_status status = ta_packetizer_open(&o->packetizer, &config->packets);
    o->packets = calloc(TA_SEND_QUEUE_PACKETS, sizeof *o->packets);
    o->symbols = calloc(TA_SEND_QUEUE_BATCH, TA_SEND_QUEUE_LINE);
    if (status == TA_OK && (!o->packets || !o->symbols))
        status = TA_ENOMEM;
    if (status != TA_OK) {
        ta_send_queue_close(&o);
        return status;
    }
    ta_gf256_init(&o->field);
    ta_send_queue_reset(o);
    *out = o;
    return TA_OK;
}

void ta_send_queue_close(ta_send_queue **o) {
    if (*o) {
        ta_packetizer_close(&(*o)->packetizer);
        free((*o)->packets);
        free((*o)->symbols);
    }
    free(*o);
    *o = NULL;
}

void ta_send_queue_reset(ta_send_queue *o) {
    o->frame_at = o->frame_tail;
    memset(o->frames, 0, sizeof o->frames);
    o->waiting = o->request_count = o->due_count = 0;
    o->tokens = FIRST_TOKENS;
    o->repair_ratio = 0;
    o->pace_us = o->config.pace_us;
    o->targeted = o->target_pace = o->key_wanted = false;
    o->sent_tail = o->key_end = 0;
    o->report_delay_us = 0;
    o->next_group_us = 0;
    o->interval_us = o->config.interval_us;
    o->capture_us = o->allowed_us = 0;
    o->unconfirmed = 0;
}

const ta_send_queue_stats *ta_send_queue_stats_get(const ta_send_queue *o) { return &o->stats; }

bool ta_send_queue_last_sent(const ta_send_queue *o, ta_sent *out) {
    *out = o->sent[(o->sent_tail - 1) % TA_SEND_QUEUE_REPORTS].sent;
    return o->sent_tail > 0;
}

uint64_t ta_send_queue_find(ta_send_queue *o, uint32_t frame_id) {
    for (uint64_t back = 1; back <= TA_SEND_QUEUE_FRAMES && back <= o->frame_tail; back++) {
        const ta_out_frame *f = ta_out_frame_at(o, o->frame_tail - back);
        if (f->count && f->frame_id == frame_id)
            return ta_out_kept(o, f) && !f->dropped ? o->frame_tail - back : UINT64_MAX;
    }
    return UINT64_MAX;
}

void ta_send_queue_lost(ta_send_queue *o, uint32_t frame_id) {
    for (uint64_t back = 1; back <= TA_SEND_QUEUE_REPORTS && back <= o->sent_tail; back++) {
        ta_out_report *t = &o->sent[(o->sent_tail - back) % TA_SEND_QUEUE_REPORTS];
        if (t->sent.frame_id == frame_id)
            *t = (ta_out_report){.sent = t->sent, .reported = true, .carrier = frame_id};
        else if (t->reported && t->carrier == frame_id)
            t->reported = false;
    }
}

/* ---- in ---- */

static ta_status plan(ta_send_queue *o, const uint8_t *au, size_t size, const ta_frame_meta *meta, size_t *count) {
    if (o->config.raw) {
        *count = (size + sizeof AUD_TAIL + o->config.packets.max_packet - 1) / o->config.packets.max_packet;
        return TA_OK;
    }
    ta_frame_meta reported = *meta;
    /* Reports the oldest unreported send times: two frames may end between two units. Without any, the newest again. */
    uint64_t report = o->sent_tail > TA_SEND_QUEUE_REPORTS ? o->sent_tail - TA_SEND_QUEUE_REPORTS : 0;
    while (report + 1 < o->sent_tail && o->sent[report % TA_SEND_QUEUE_REPORTS].reported)
        report++;
    if (o->sent_tail)
        reported.sent = o->sent[report % TA_SEND_QUEUE_REPORTS].sent;
    o->reporting = report;
    const ta_status status = ta_packetizer_push(o->packetizer, au, size, &reported);
    *count = ta_packetizer_count(o->packetizer);
    return status;
}

/* Copies part of the unit, or of the delimiter behind it. */
static size_t cut_raw(const ta_send_queue *o, const uint8_t *au, size_t size, size_t at, uint8_t *out) {
    const size_t total = size + sizeof AUD_TAIL, most = o->config.packets.max_packet;
    const size_t part = total - at < most ? total - at : most;
    const size_t unit = at < size ? (size - at < part ? size - at : part) : 0;
    if (unit)
        memcpy(out, au + at, unit);
    if (part > unit)
        memcpy(out + unit, AUD_TAIL + (at + unit - size), part - unit);
    return part;
}

static uint8_t proactive_symbols(const ta_send_queue *o, size_t count) {
    if (!o->config.packets.elements || o->config.raw || !o->repair_ratio)
        return 0;
    const size_t k = ta_block_sources(count, ta_blocks_of(count), 0), r = (o->repair_ratio * k + 255) / 256;
    return (uint8_t)(r < TA_MAX_PROACTIVE ? r : TA_MAX_PROACTIVE);
}

static void see_interval(ta_send_queue *o, uint64_t capture_us) {
    const uint64_t passed = capture_us - o->capture_us;
    if (o->capture_us && capture_us > o->capture_us && passed >= 4000 && passed <= 250000)
        o->interval_us = o->interval_us ? o->interval_us + ((double)passed - o->interval_us) / 8 : (double)passed;
    o->capture_us = capture_us;
}

ta_status ta_send_queue_push(ta_send_queue *o, const uint8_t *au, size_t size, const ta_frame_meta *meta,
                             uint64_t now_us, size_t *packets) {
    size_t count = 0, at = 0;
    *packets = 0;
    o->due_count = 0;
    ta_status status = plan(o, au, size, meta, &count);
    if (status != TA_OK)
        return status;
    const uint64_t oldest = o->frame_at < o->frame_tail ? ta_out_frame_at(o, o->frame_at)->first : o->packet_tail;
    const bool room = count <= TA_SEND_QUEUE_PACKETS - (o->packet_tail - oldest) &&
                      o->frame_tail - o->frame_at < TA_SEND_QUEUE_FRAMES && (!o->key_wanted || meta->key);
    const uint8_t proactive = proactive_symbols(o, count);
    ta_packetizer_set_proactive(o->packetizer, proactive);
    ta_out_frame f = {
        .frame_id = meta->frame_id,
        .rtp_time = meta->rtp_time,
        .capture_us = meta->stamps.capture_us,
        .pushed_us = now_us,
        .first = o->packet_tail,
        .count = (uint16_t)count,
        .blocks = (uint16_t)ta_blocks_of(count),
        .proactive = proactive,
        .key = meta->key,
    };
    memset(f.fresh, proactive, sizeof f.fresh);
    ta_out_packet spare;
    size_t bytes = 0;
    for (size_t i = 0; i < count;
         i++) { /* Without room the plan is drained all the same: the sequence numbers then show the gap. */
        ta_out_packet *p = room ? ta_out_packet_at(o, o->packet_tail + i) : &spare;
        uint8_t *data = p->line + TA_LINE_LEAD;
        size_t written = 0;
        if (o->config.raw)
            at += written = cut_raw(o, au, size, at, data);
        else if (ta_packetizer_next(o->packetizer, data, TA_MAX_PACKET, &written) != TA_OK)
            break;
        if (!o->config.raw)
            p->seq = (uint16_t)ta_get_be(data + 2, 2);
        f.first_seq = i == 0 ? p->seq : f.first_seq;
        f.longest = written > f.longest ? (uint16_t)written : f.longest;
        p->size = (uint16_t)written;
        ta_line_close(p->line, written, TA_SEND_QUEUE_LINE);
        bytes += written;
    }
    if (!room) {
        o->stats.queue_full++;
        o->key_wanted = true;
        return TA_ETOOBIG;
    }
    if (o->sent_tail) {
        o->sent[o->reporting % TA_SEND_QUEUE_REPORTS].reported = true;
        o->sent[o->reporting % TA_SEND_QUEUE_REPORTS].carrier = meta->frame_id;
    }
    if (meta->key)
        o->key_wanted = false;
    *ta_out_frame_at(o, o->frame_tail++) = f;
    if (meta->key)
        o->key_end = o->frame_tail;
    ta_out_frame_at(o, o->frame_tail - 1)->bytes = (uint32_t)bytes;
    o->packet_tail += count;
    o->waiting += bytes;
    o->frame_bytes = o->frame_bytes != 0 ? o->frame_bytes + ((double)bytes - o->frame_bytes) / 8 : (double)bytes;
    see_interval(o, meta->stamps.capture_us);
    *packets = count;
    return TA_OK;
}

/* ---- whether to encode ---- */

/* Bytes of frames that were sent and not yet reported as received. */
static size_t in_flight(ta_send_queue *o) {
    size_t bytes = 0;
    for (uint64_t back = 1; back <= TA_SEND_QUEUE_FRAMES && back <= o->frame_tail; back++) {
        const ta_out_frame *f = ta_out_frame_at(o, o->frame_tail - back);
        if (!f->count || (int32_t)(f->frame_id - o->reported_id) + !o->reported_whole <= 0)
            break;
        bytes += f->bytes;
    }
    return bytes;
}

/* Returns the oldest frame that was sent and that no report has mentioned; NULL: none. */
static const ta_out_frame *unreported(ta_send_queue *o) {
    const ta_out_frame *oldest = NULL;
    for (uint64_t back = 1; back <= TA_SEND_QUEUE_FRAMES && back <= o->frame_tail; back++) {
        const ta_out_frame *f = ta_out_frame_at(o, o->frame_tail - back);
        if (!f->count || (int32_t)(f->frame_id - o->reported_id) <= 0)
            break;
        oldest = f->last_send_us ? f : oldest;
    }
    return oldest;
}

ta_ready ta_send_queue_ready(ta_send_queue *o, uint64_t now_us, size_t unsent) {
    if (o->frame_bytes != 0 && (double)(o->waiting + unsent) > 1.5 * o->frame_bytes) {
        o->stats.pre_encode_drops++;
        return TA_SKIP;
    }
    if (o->targeted && o->congested && o->target_bps && now_us - o->allowed_us < MAX_HOLD_US) {
        const double queued_us = 8e6 * (double)in_flight(o) / o->target_bps;
        if (queued_us > 1.5 * o->interval_us + o->report_delay_us) {
            o->stats.pre_encode_drops++;
            return TA_SKIP;
        }
    }
    const ta_out_frame *f = o->targeted && o->interval_us != 0 ? unreported(o) : NULL;
    if (f && (double)(now_us - f->last_send_us) > SILENT_INTERVALS * o->interval_us + 2 * o->report_delay_us) {
        /* Perhaps only the return path is broken, so some pictures pass, at growing intervals: after a long silence
         * they must not pile up. */
        const unsigned every = o->unconfirmed < MAX_UNCONFIRMED ? 1u << o->unconfirmed : 1u << MAX_UNCONFIRMED;
        if ((double)(now_us - o->allowed_us) < (every + 0.5) * o->interval_us) {
            o->stats.pre_encode_drops++;
            return TA_SKIP;
        }
        o->unconfirmed++;
    }
    o->allowed_us = now_us;
    return o->key_wanted ? TA_READY_KEY : TA_READY;
}

/* ---- out ---- */

static size_t positions(const ta_out_frame *f) { return f->count + (size_t)f->proactive * f->blocks; }

/* Drops stale frames, and after one all frames up to the next key frame: a stall is not followed by a burst of old
 * pictures. */
static void drop_stale(ta_send_queue *o, uint64_t now_us) {
    const double limit = STALE_INTERVALS * o->interval_us;
    const uint64_t stale_us = limit > MIN_STALE_US ? (uint64_t)limit : MIN_STALE_US;
    for (; o->frame_at < o->frame_tail; o->frame_at++) {
        ta_out_frame *f = ta_out_frame_at(o, o->frame_at);
        if (o->key_wanted && f->key)
            o->key_wanted = false;
        if (f->out || (!o->key_wanted && now_us - f->pushed_us <= stale_us))
            return;
        for (size_t i = 0; i < f->count; i++)
            o->waiting -= ta_out_packet_at(o, f->first + i)->size;
        f->dropped = o->key_wanted = true;
        ta_send_queue_lost(o, f->frame_id);
        o->stats.stale_frames++;
    }
}

static ta_datagram packet_datagram(const ta_send_queue *o, uint64_t number) {
    const ta_out_packet *p = ta_out_packet_at(o, number);
    return (ta_datagram){p->line + TA_LINE_LEAD, p->size};
}

/* Makes a repair packet; layout: docs/wire-protocol.md, Repair. */
static ta_datagram symbol_datagram(ta_send_queue *o, const ta_out_frame *f, size_t block, size_t index, uint16_t seq,
                                   size_t slot) {
    const uint8_t *sources[TA_BLOCK_SOURCES];
    const size_t k = ta_block_sources(f->count, f->blocks, block);
    /* The line's unused bytes in front of the symbol leave room for the headers, which are written after the sum. */
    enum { HEADERS = TA_RTP_HEADER + TA_REPAIR_HEADER };
    _Alignas(8) uint8_t sum[TA_SEND_QUEUE_LINE];
    uint8_t *out = o->symbols + slot * TA_SEND_QUEUE_LINE, *at = out;
    for (size_t j = 0; j < k; j++)
        sources[j] = ta_out_packet_at(o, f->first + j * f->blocks + block)->line;
    ta_lines_symbol(&o->field, &o->sum, sources, k, f->longest, index, sum);
    *at++ = 0x80;
    *at++ = TA_REPAIR_PAYLOAD_TYPE;
    at = ta_put_be(at, seq, 2);
    at = ta_put_be(at, f->rtp_time, 4);
    at = ta_put_be(at, o->config.packets.ssrc + 1, 4);
    at = ta_put_be(at, f->frame_id, 4);
    at = ta_put_be(at, f->first_seq, 2);
    at = ta_put_be(at, f->count, 2);
    *at++ = (uint8_t)block;
    *at++ = (uint8_t)index;
    *at++ = (uint8_t)(f->key | f->proactive << 1);
    *at++ = 0;
    memcpy(at, sum + TA_LINE_SKIP, TA_REPAIR_SIZE + f->longest);
    return (ta_datagram){out, HEADERS + TA_REPAIR_SIZE + (size_t)f->longest};
}

/* Returns the request with the fewest answers left, answers of this batch included; -1: none. */
static int smallest(const ta_send_queue *o, const uint16_t *taken) {
    int best = -1;
    for (size_t i = 0; i < o->request_count; i++)
        if (o->requests[i].left > taken[i] && (best < 0 || o->requests[i].left < o->requests[best].left))
            best = (int)i;
    return best;
}

/* Symbols not sent before: indexes continue after those sent, and start again after the block's last one. */
static size_t fresh_index(const ta_out_frame *f, size_t block, size_t further) {
    return (f->fresh[block] + further) % (TA_REPAIR_MAX_SYMBOLS - ta_block_sources(f->count, f->blocks, block));
}

static size_t answer(ta_send_queue *o, ta_datagram *out, size_t limit, uint16_t *seq) {
    uint16_t taken[TA_SEND_QUEUE_REQUESTS] = {0};
    size_t n = 0;
    for (int i; n < limit && (i = smallest(o, taken)) >= 0; n++) {
        const ta_out_request *q = &o->requests[i];
        if (q->retransmit) {
            out[n] = packet_datagram(o, q->packet);
        } else {
            size_t further = 0; /* symbols of this block in this batch */
            for (size_t other = 0; other < o->request_count; other++)
                if (!o->requests[other].retransmit && o->requests[other].frame == q->frame &&
                    o->requests[other].block == q->block)
                    further += taken[other];
            const ta_out_frame *f = ta_out_frame_at(o, q->frame);
            out[n] = symbol_datagram(o, f, q->block, fresh_index(f, q->block, further), (*seq)++, n);
        }
        taken[i]++;
        o->due[n].kind = q->retransmit ? TA_OUT_RETRANSMISSION : TA_OUT_ON_DEMAND;
        o->due[n].request = (size_t)i;
    }
    return n;
}

/* Forgets requests whose frame is no longer kept. */
static void forget_requests(ta_send_queue *o) {
    size_t kept = 0;
    for (size_t i = 0; i < o->request_count; i++) {
        const ta_out_request *q = &o->requests[i];
        const bool here = q->retransmit ? q->packet + TA_SEND_QUEUE_PACKETS >= o->packet_tail
                                        : q->frame + TA_SEND_QUEUE_FRAMES >= o->frame_tail &&
                                              ta_out_kept(o, ta_out_frame_at(o, q->frame));
        if (q->left && here)
            o->requests[kept++] = *q;
    }
    o->request_count = kept;
}

size_t ta_send_queue_due(ta_send_queue *o, uint64_t now_us, ta_datagram *out, size_t limit) {
    size_t n;
    uint16_t seq = o->repair_seq;
    o->due_count = 0;
    if (now_us < o->next_group_us)
        return 0;
    limit = o->pace_us && limit > o->config.pace_group ? o->config.pace_group : limit;
    limit = limit < TA_SEND_QUEUE_BATCH ? limit : TA_SEND_QUEUE_BATCH;
    forget_requests(o);
    drop_stale(o, now_us);
    n = answer(o, out, limit, &seq);
    for (uint64_t at = o->frame_at; at < o->frame_tail && n < limit; at++) {
        const ta_out_frame *f = ta_out_frame_at(o, at);
        for (size_t p = f->out; p < positions(f) && n < limit; p++, n++) {
            const bool media = p < f->count;
            const size_t symbol = p - f->count;
            out[n] = media ? packet_datagram(o, f->first + p)
                           : symbol_datagram(o, f, symbol % f->blocks, symbol / f->blocks, seq++, n);
            o->due[n].kind = media ? TA_OUT_MEDIA : TA_OUT_SYMBOL;
        }
    }
    o->due_count = n;
    return n;
}

static void media_left(ta_send_queue *o, ta_out_frame *f, uint64_t before_us, uint64_t after_us) {
    const size_t size = ta_out_packet_at(o, f->first + f->out)->size;
    o->stats.packets++;
    o->stats.bytes += size;
    o->waiting -= size;
    o->tokens += o->tokens < MAX_TOKENS;
    if (f->out++ == 0)
        f->first_send_us = before_us;
    if (f->out == f->count) {
        f->last_send_us = after_us;
        o->stats.frames++;
        o->sent[o->sent_tail++ % TA_SEND_QUEUE_REPORTS] =
            (ta_out_report){.sent = {f->frame_id, f->capture_us, f->first_send_us, after_us}};
    }
}

void ta_send_queue_sent(ta_send_queue *o, size_t count, uint64_t before_us, uint64_t after_us) {
    for (size_t i = 0; i < count && i < o->due_count; i++) {
        ta_out_request *q = &o->requests[o->due[i].request];
        ta_out_frame *f = ta_out_frame_at(o, o->due[i].kind == TA_OUT_ON_DEMAND ? q->frame : o->frame_at);
        switch (o->due[i].kind) {
        case TA_OUT_RETRANSMISSION:
            q->left--;
            o->stats.retransmitted++;
            continue;
        case TA_OUT_ON_DEMAND:
            q->left--;
            f->fresh[q->block] = (uint8_t)fresh_index(f, q->block, 1);
            o->stats.repair_on_demand++;
            break;
        case TA_OUT_SYMBOL:
            f->out++;
            o->stats.repair_proactive++;
            break;
        case TA_OUT_MEDIA: media_left(o, f, before_us, after_us); break;
        }
        if (o->due[i].kind == TA_OUT_ON_DEMAND || o->due[i].kind == TA_OUT_SYMBOL) {
            o->repair_seq++;
            o->stats.repair_bytes += TA_REPAIR_OVERHEAD + (uint64_t)f->longest;
        }
        if (o->due[i].kind != TA_OUT_ON_DEMAND && f->out == positions(f))
            o->frame_at++;
    }
    o->due_count = 0;
    if (count && !o->target_pace)
        o->next_group_us = before_us + o->pace_us;
    if (count && o->target_pace) { /* a frame is sent within half an interval, whatever the target says */
        const ta_out_frame *f = ta_out_frame_at(o, o->frame_at < o->frame_tail ? o->frame_at : o->frame_tail - 1);
        const double half = o->interval_us != 0 ? o->interval_us / 2 : MAX_FRAME_PACE_US;
        const double most = half < MAX_FRAME_PACE_US ? half : MAX_FRAME_PACE_US;
        const double groups = (double)positions(f) / o->config.pace_group;
        const uint32_t bound = groups > 1 ? (uint32_t)(most / groups) : MAX_FRAME_PACE_US;
        o->next_group_us = before_us + (o->pace_us < bound ? o->pace_us : bound);
    }
}

uint64_t ta_send_queue_deadline(const ta_send_queue *o) {
    return o->request_count || o->frame_at < o->frame_tail ? o->next_group_us : UINT64_MAX;
}
