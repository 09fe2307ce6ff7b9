/* The receiver's repair: symbols in, lost packets out; what to request and when; when to abandon a frame.
 *
 * Positions count what a frame sends without request: media packets, then proactive symbols. A position behind the
 * newest received one is lost, unless it is late by less than the reorder window. A position ahead of it may still
 * arrive, until it is overdue. Once a block lacks more than may still arrive, the difference is requested; an overdue
 * answer is requested again.
 *
 * A little over 500 lines: progress, restoring and requesting share a frame's counters. Reports are in
 * recovery_reports.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "reassembler.h"

enum {
    MIN_REORDER_US = 500,
    MAX_REORDER_US = 8000, /* how late a packet may be behind one that was sent after it */
    MIN_WAIT_US = 2000,
    MAX_WAIT_US = 200000, /* bounds of the wait for an answer */
    FIRST_RTT_US = 12000,
    REQUESTS = 16, /* per datagram */
    MAX_SILENCE_US = 500000,
    SILENT_ROUNDS = 3, /* requests while nothing is received */
    MAX_TOKENS = 96,   /* budget of symbols to request, beyond TOKENS_PER_PACKET of each media packet received */
    PROBE = 3,      /* symbols requested beyond twice the usual run of losses, while overdue packets may only be late */
    MAX_COPIES = 5, /* copies of a request; twice as many if its answer was insufficient */
    MIN_SYMBOL = TA_REPAIR_HEADER + TA_REPAIR_SIZE + TA_RTP_HEADER,
};

static const double TOKENS_PER_PACKET = 0.4;
static const uint16_t OUTCOME_COMPLETE = 2, OUTCOME_ABANDONED = 3;

ta_status ta_recovery_open(ta_reassembler *r) {
    ta_recovery *v = &r->recovery;
    if (!(v->pool = calloc(TA_SYMBOL_POOL, sizeof *v->pool)))
        return TA_ENOMEM;
    v->reorder_window_us = MIN_REORDER_US;
    return ta_repair_decoder_open(&v->decoder, TA_BLOCK_SOURCES, TA_MAX_PACKET);
}

void ta_recovery_close(ta_reassembler *r) {
    free(r->recovery.pool);
    ta_repair_decoder_close(&r->recovery.decoder);
}

void ta_recovery_reset(ta_reassembler *r) {
    ta_recovery *v = &r->recovery;
    v->spare = NULL;
    for (size_t i = 0; i < TA_SYMBOL_POOL; i++) {
        v->pool[i].next = v->spare;
        v->spare = &v->pool[i];
    }
    v->srtt_us = v->rttvar_us = v->min_rtt_us = v->spacing_us = v->gap_us = v->gap_var_us = v->run = v->loss = 0;
    v->reorder_window_us = MIN_REORDER_US;
    v->tokens = MAX_TOKENS;
    v->older_us = 0;
    v->report_taken = v->report_count;
    v->copies = 0;
    memset(v->outcomes, 0, sizeof v->outcomes);
}

void ta_reassembler_peer(ta_reassembler *r, uint32_t own_ssrc, uint64_t cookie) {
    r->recovery.own_ssrc = own_ssrc;
    r->recovery.cookie = cookie;
}

void ta_reassembler_timing(ta_reassembler *r, uint32_t interval_us, uint32_t rtt_us, uint32_t queue_us) {
    ta_recovery *v = &r->recovery;
    v->queue_us = queue_us;
    if (interval_us)
        v->interval_us = interval_us;
    if (rtt_us && (v->min_rtt_us == 0 || rtt_us < v->min_rtt_us))
        v->min_rtt_us = rtt_us;
    if (rtt_us && v->srtt_us == 0) {
        v->srtt_us = rtt_us;
        v->rttvar_us = rtt_us / 4.0;
    }
}

/* ---- a frame's shape and progress ---- */

void ta_recovery_begin(ta_frame *f, const ta_rtp *p) {
    f->proactive = p->proactive;
    f->blocks = (uint16_t)ta_blocks_of(f->count);
    memset(f->block, 0, sizeof f->block);
    for (size_t b = 0; b < f->blocks; b++)
        f->block[b].expected = f->proactive;
}

static size_t sources_of(const ta_frame *f, size_t block) { return ta_block_sources(f->count, f->blocks, block); }
static size_t positions_of(const ta_frame *f) { return f->count + (size_t)f->proactive * f->blocks; }
static size_t lacking(const ta_frame *f, size_t block) {
    const size_t k = sources_of(f, block), held = f->block[block].have + f->block[block].symbols;
    return held < k ? k - held : 0;
}

/* Answers take so long that a second request would be too late: the first is then made at once. */
static bool slow_answers(const ta_recovery *v) { return v->srtt_us + 2 * v->rttvar_us > v->interval_us / 2.5; }

/* How much of a block may still arrive without request, after the first `passed` positions. Where answers are slow,
 * symbols do not count: they replace the answer. */
static size_t to_come(const ta_recovery *v, const ta_frame *f, size_t block, size_t passed) {
    size_t n = 0;
    if (passed < f->count) /* sources are at positions block, block + blocks, ... */
        n = sources_of(f, block) - (passed > block ? (passed - block + f->blocks - 1) / f->blocks : 0);
    if (slow_answers(v) && passed < positions_of(f))
        return n;
    const size_t first = passed > f->count ? passed - f->count : 0;
    const size_t before = first > block ? (first - block + f->blocks - 1) / f->blocks : 0;
    return n + (f->proactive > before ? f->proactive - before : 0);
}

static double spacing_now(const ta_recovery *v, const ta_frame *f) {
    /* Reacts at once to a link that slows down. */
    const double most = f->step_us > v->spacing_us ? f->step_us : v->spacing_us;
    return most > 1 ? most : 1;
}

/* When the position `ahead` of the newest received one is overdue. */
static uint64_t overdue_us(const ta_recovery *v, const ta_frame *f, size_t ahead) {
    const double usual = v->gap_us + 3 * v->gap_var_us, spacing = spacing_now(v, f);
    const double pause = (double)f->gap_us > usual ? (double)f->gap_us : usual;
    const double extra = pause > spacing ? pause - spacing : 0;
    const uint64_t from = v->older_us > f->newest_us ? v->older_us : f->newest_us;
    return from + (uint64_t)(extra + v->reorder_window_us + (double)ahead * spacing);
}

/* Number of positions that are received, lost or overdue. */
static size_t passed_by(const ta_recovery *v, const ta_frame *f, uint64_t now_us) {
    const uint64_t first = overdue_us(v, f, 0);
    const double more = now_us > first ? (double)(now_us - first) / spacing_now(v, f) : 0;
    const size_t left = positions_of(f) - f->reached;
    size_t ahead = more < (double)left ? (size_t)more : left;
    while (ahead < left && overdue_us(v, f, ahead + 1) <= now_us) /* rounded as overdue_us does */
        ahead++;
    return f->reached + ahead;
}

static void reach(ta_recovery *v, ta_frame *f, size_t position, uint64_t arrival_us) {
    if (position + 1 <= f->reached) { /* late: the reorder window must cover it */
        const double late = f->jump_us && arrival_us > f->jump_us ? 1.25 * (double)(arrival_us - f->jump_us) : 0;
        if (late > v->reorder_window_us && late < 2 * MAX_REORDER_US)
            v->reorder_window_us = late < MAX_REORDER_US ? late : MAX_REORDER_US;
        return;
    }
    if (position > f->reached) {
        f->hole_us = arrival_us;
        f->jump_us = f->jump_us ? f->jump_us : arrival_us;
    }
    if (f->reached && position == f->reached && arrival_us >= f->newest_us) {
        const uint64_t step = arrival_us - f->newest_us;
        f->gap_us = step > f->gap_us ? step : f->gap_us;
        f->step_us += ((double)step - f->step_us) / 4;
    }
    f->reached = (uint16_t)(position + 1);
    f->newest_us = arrival_us;
}

/* ---- restoring ---- */

static void forget_symbols(ta_recovery *v, ta_frame *f, int block) {
    for (ta_symbol **at = &f->symbols; *at;) {
        ta_symbol *symbol = *at;
        if (block >= 0 && symbol->block != block) {
            at = &symbol->next;
            continue;
        }
        *at = symbol->next;
        symbol->next = v->spare;
        v->spare = symbol;
    }
    for (int b = 0; b < f->blocks; b++)
        if (block < 0 || b == block)
            f->block[b].symbols = 0;
}

static size_t packet_size(const ta_frame *f, size_t at) { return (size_t)f->offsets[at] + f->sizes[at]; }

/* Feeds the decoder everything received of a block. Returns false if symbols and packets contradict each other. */
static bool feed(ta_recovery *v, const ta_frame *f, size_t block) {
    bool good = ta_repair_decoder_begin(v->decoder, sources_of(f, block)) == TA_OK;
    for (const ta_symbol *s = f->symbols; s && good; s = s->next)
        if (s->block == block) {
            const ta_status status = ta_repair_decoder_symbol(v->decoder, s->index, s->data, s->size);
            good = status == TA_OK || status == TA_AGAIN;
        }
    for (size_t j = 0; j < sources_of(f, block) && good; j++) {
        const size_t index = j * f->blocks + block, at = ta_frame_place(f, index);
        if (ta_frame_here(f, index)) {
            const ta_status status =
                ta_repair_decoder_source(v->decoder, j, f->arena + at * TA_MAX_PACKET, packet_size(f, at));
            good = status == TA_OK || status == TA_AGAIN;
        }
    }
    return good;
}

/* Accepts a restored packet if it matches its frame. */
static bool take_restored(ta_reassembler *r, ta_frame *f, size_t index, const uint8_t *data, size_t size) {
    ta_rtp p;
    ta_drop why;
    const bool good = ta_rtp_parse(data, size, &p, &why) == TA_OK && p.has_element && p.index == index &&
                      p.count == f->count && p.frame_id == (uint32_t)f->begin && p.key == f->key &&
                      p.time == (uint32_t)f->rtp_time && p.seq == (uint16_t)(f->base + index) && p.ssrc == r->ssrc;
    if (!good)
        return false;
    f->by_symbols[index / 8] |= (uint8_t)(1u << index % 8);
    f->restored++;
    r->recovery.stats.restored++;
    f->block[index % f->blocks].have++;
    return ta_reassembler_store(r, f, &p, data, size, r->now_us);
}

static void restore(ta_reassembler *r, ta_frame *f, size_t block) {
    uint8_t data[TA_MAX_PACKET];
    size_t size;
    if (f->complete || lacking(f, block) > 0 || f->block[block].have == sources_of(f, block))
        return;
    bool good = feed(&r->recovery, f, block);
    for (size_t j = 0; j < sources_of(f, block) && good; j++) {
        const size_t index = j * f->blocks + block;
        if (!ta_frame_here(f, index))
            good = ta_repair_decoder_restore(r->recovery.decoder, j, data, sizeof data, &size) == TA_OK &&
                   take_restored(r, f, index, data, size);
    }
    if (!good) { /* the packets that remain were received or restored correctly */
        r->drops[TA_DROP_REPAIR]++;
        forget_symbols(&r->recovery, f, (int)block);
    }
}

void ta_recovery_received(ta_reassembler *r, ta_frame *f, const ta_rtp *p, size_t size, uint64_t arrival_us) {
    f->received++;
    r->recovery.tokens += r->recovery.tokens < MAX_TOKENS ? TOKENS_PER_PACKET : 0;
    f->wire_bytes += (uint32_t)size;
    f->block[p->index % f->blocks].have++;
    reach(&r->recovery, f, p->index, arrival_us);
    if (f->symbols)
        restore(r, f, p->index % f->blocks);
}

/* ---- repair packets ---- */

static void take_answer(ta_recovery *v, ta_frame *f, ta_block *block, size_t index, uint64_t arrival_us) {
    f->on_demand_received++;
    v->stats.on_demand_received++;
    /* Answers arrive in the order of their indexes: those skipped are lost. */
    const size_t gone = index >= block->expected ? index - block->expected + 1u : 0;
    block->expected = gone ? (uint8_t)(index + 1) : block->expected;
    block->coming = (uint16_t)(block->coming > gone ? block->coming - gone : 0);
    if (block->coming)
        block->due_us = arrival_us + (uint64_t)(block->coming * spacing_now(v, f) + v->reorder_window_us);
    if (block->timed || arrival_us < block->requested_us || block->round != 1)
        return; /* after a repeated request the answer may belong to the first one */
    const double rtt = (double)(arrival_us - block->requested_us);
    block->timed = true;
    const double off = v->srtt_us ? rtt - v->srtt_us : 0; /* RFC 6298 section 2 */
    v->rttvar_us = v->srtt_us ? 0.75 * v->rttvar_us + 0.25 * fabs(off) : rtt / 2;
    v->srtt_us = v->srtt_us ? v->srtt_us + off / 8 : rtt;
    if (v->min_rtt_us == 0 || rtt < v->min_rtt_us)
        v->min_rtt_us = rtt;
}

static void keep(ta_reassembler *r, ta_frame *f, size_t block, size_t index, const uint8_t *data, size_t size) {
    ta_recovery *v = &r->recovery;
    for (const ta_symbol *s = f->symbols; s; s = s->next)
        if (s->block == block && s->index == index) {
            r->drops[TA_DROP_DUPLICATE]++;
            return;
        }
    if (!v->spare || lacking(f, block) == 0) {
        v->stats.surplus++;
        return;
    }
    ta_symbol *symbol = v->spare;
    v->spare = symbol->next;
    symbol->block = (uint8_t)block;
    symbol->index = (uint8_t)index;
    symbol->size = (uint16_t)size;
    memcpy(symbol->data, data, size);
    symbol->next = f->symbols;
    f->symbols = symbol;
    f->block[block].symbols++;
    restore(r, f, block);
}

void ta_recovery_push(ta_reassembler *r, const ta_rtp *p, uint64_t arrival_us) {
    ta_recovery *v = &r->recovery;
    const uint8_t *h = p->payload;
    const size_t size = p->payload_size;
    if (!r->known || p->ssrc != r->ssrc + 1) {
        r->drops[TA_DROP_SSRC]++;
        return;
    }
    ta_rtp media = *p; /* what it says of its frame, as the first media packet would */
    media.has_element = true;
    media.index = 0;
    const size_t block = size >= MIN_SYMBOL ? h[8] : 0, index = size >= MIN_SYMBOL ? h[9] : 0;
    if (size >= MIN_SYMBOL) {
        media.frame_id = (uint32_t)ta_get_be(h, 4);
        media.seq = (uint16_t)ta_get_be(h + 4, 2);
        media.count = (uint16_t)ta_get_be(h + 6, 2);
        media.key = h[10] & 1;
        media.proactive = h[10] >> 1;
    }
    const size_t blocks = ta_blocks_of(media.count);
    if (size < MIN_SYMBOL || media.count == 0 || media.count > TA_MAX_FRAME_PACKETS || block >= blocks ||
        index + ta_block_sources(media.count, blocks, block) >= TA_REPAIR_MAX_SYMBOLS) {
        r->drops[TA_DROP_REPAIR]++;
        return;
    }
    v->stats.symbols++;
    const uint64_t place = ta_extend(r->newest, media.frame_id, 32);
    /* Answers overtake what waits in the sender's queue, so an older frame's symbol only shows what the next packet
     * waits for. */
    if (place >= r->newest)
        r->heard_us = arrival_us;
    else
        v->older_us = arrival_us;
    const int64_t distance = (int64_t)(place - r->newest);
    if (place < r->floor || distance < -TA_MAX_WINDOW) {
        v->stats.surplus++; /* frame already decided */
        return;
    }
    if (distance > 3) { /* only media packets may jump this far */
        r->drops[TA_DROP_REPAIR]++;
        return;
    }
    ta_frame *f = ta_reassembler_frame(r, &media, place, arrival_us);
    if (!f)
        return;
    if (f->proactive != media.proactive) {
        r->drops[TA_DROP_REPAIR]++;
        return;
    }
    if (index < f->proactive) {
        f->proactive_received++;
        f->wire_bytes += (uint32_t)(size + TA_RTP_HEADER);
        if (!f->complete)
            reach(v, f, f->count + index * f->blocks + block, arrival_us);
    } else {
        take_answer(v, f, &f->block[block], index, arrival_us);
    }
    if (f->complete)
        v->stats.surplus++;
    else
        keep(r, f, block, index, h + TA_REPAIR_HEADER, size - TA_REPAIR_HEADER);
}

/* ---- requests ---- */

/* Half an interval past the deadline, or the time of one more answer: a frame this late still arrives sooner than the
 * key frame that would be requested instead. */
static uint64_t abandon_us(const ta_reassembler *r, const ta_frame *f) {
    const ta_recovery *v = &r->recovery;
    if (!v->interval_us)
        return f->first_us + r->config.repair_timeout_us;
    /* Nothing received since: the channel stalls, and the missing packets may still arrive. */
    if (r->heard_us <= f->newest_us)
        return f->newest_us + MAX_SILENCE_US;
    const double answer = v->srtt_us + 2 * v->rttvar_us, half = v->interval_us / 2.0, most = 2.0 * v->interval_us;
    return f->first_us + v->interval_us + (uint64_t)(answer < half ? half : answer > most ? most : answer);
}

static double wait_us(const ta_recovery *v) {
    const double rtt = (v->srtt_us != 0 ? v->srtt_us + 2 * v->rttvar_us : FIRST_RTT_US) + v->queue_us;
    return rtt < MIN_WAIT_US ? MIN_WAIT_US : rtt > MAX_WAIT_US ? MAX_WAIT_US : rtt;
}

uint32_t ta_reassembler_answer_us(const ta_reassembler *r) {
    const ta_recovery *v = &r->recovery;
    return (uint32_t)(v->srtt_us != 0 ? v->srtt_us + 2 * v->rttvar_us : 0);
}

/* Returns whether an answer requested now can arrive in time. */
static bool in_time(const ta_reassembler *r, const ta_frame *f, uint64_t now_us) {
    return now_us + (uint64_t)r->recovery.min_rtt_us + r->recovery.queue_us <= abandon_us(r, f);
}

static uint8_t *put_request(uint8_t *at, const ta_frame *f, size_t block, size_t missing, unsigned round) {
    at = ta_put_be(at, (uint32_t)f->begin, 4);
    *at++ = (uint8_t)block;
    *at++ = (uint8_t)missing;
    *at++ = (uint8_t)round;
    *at++ = 0;
    return at;
}

/* When a block lacks more than may still arrive, with `in_flight` answers pending. */
static uint64_t lacking_us(const ta_recovery *v, const ta_frame *f, size_t block, size_t in_flight) {
    const size_t lack = lacking(f, block);
    for (size_t passed = f->reached; passed <= positions_of(f); passed++)
        if (lack > to_come(v, f, block, passed) + in_flight)
            return passed > f->reached ? overdue_us(v, f, passed - f->reached)
                 : f->hole_us          ? f->hole_us + (uint64_t)v->reorder_window_us
                                       : f->newest_us;
    return UINT64_MAX;
}

/* When to request symbols of a block. */
static uint64_t request_due_us(const ta_reassembler *r, const ta_frame *f, size_t block) {
    const ta_recovery *v = &r->recovery;
    const ta_block *b = &f->block[block];
    if (b->round >= SILENT_ROUNDS && r->heard_us <= b->requested_us)
        return UINT64_MAX;
    if (f->count == 0)
        return b->coming ? b->due_us : f->first_us;
    const uint64_t more = lacking_us(v, f, block, b->coming);
    if (!b->coming)
        return more;
    const uint64_t again = lacking_us(v, f, block, 0), due = again > b->due_us ? again : b->due_us;
    return more < due ? more : due;
}

static uint8_t *request_block(ta_reassembler *r, ta_frame *f, size_t block, uint64_t now_us, uint8_t *at) {
    ta_recovery *v = &r->recovery;
    ta_block *b = &f->block[block];
    const bool unseen = f->count == 0;
    const size_t passed = unseen ? 0 : passed_by(v, f, now_us), in_flight = now_us < b->due_us ? b->coming : 0;
    const size_t lack = unseen ? TA_ALL_BLOCKS : lacking(f, block),
                 coming = unseen ? 0 : to_come(v, f, block, passed) + in_flight;
    b->coming = (uint16_t)in_flight;
    if (lack <= coming)
        return at;
    if (!in_time(r, f, now_us) || b->round == UINT8_MAX) {
        f->lost = in_flight == 0;
        f->too_late = true;
        return at;
    }
    /* The newest packets sent are lost, so an answer may run into the same burst of losses. */
    const bool bursting = passed > f->reached || (b->round && f->on_demand_received == 0);
    const double burst = bursting ? v->run * (b->round + 1) : b->round;
    /* There is no time for a second request. */
    const bool last = (double)now_us + 2 * wait_us(v) > (double)f->first_us + v->interval_us;
    size_t want = (size_t)((double)(lack - coming) * (1 + 2 * v->loss) + burst + (last ? v->run / 2 + 1 : 0) + 0.5);
    /* Overdue packets are probed before being declared lost: if the requested symbols arrive and the packets do not,
     * they are lost. */
    const bool doubtful = passed > f->reached && f->on_demand_received == 0 && f->begin == r->newest;
    const size_t few = (size_t)(2 * v->run + PROBE);
    want = doubtful && want > few ? few : want;
    const size_t afford = v->tokens > 1 ? (size_t)v->tokens - 1 : 0, least = want < afford ? want : afford;
    const size_t missing = least < TA_ALL_BLOCKS ? least : TA_ALL_BLOCKS - 1;
    if (missing == 0) { /* on a full link, repair would only displace newer packets */
        f->too_late = true;
        return at;
    }
    v->tokens -= unseen ? 1 : (double)missing + 1;
    b->round++;
    /* The return path loses packets in bursts too. */
    const double run = v->run < MAX_COPIES - 1 ? v->run : MAX_COPIES - 1;
    const size_t copies = (size_t)(1 + run) * (b->round > 1 ? 2 : 1);
    v->copies = v->copies > copies ? v->copies : copies;
    b->coming = (uint16_t)(in_flight + missing + 1);
    b->requested_us = now_us;
    b->due_us = now_us + (uint64_t)(wait_us(v) + v->reorder_window_us); /* due time of the first answer */
    /* The size of an unseen frame is unknown. */
    f->on_demand = (uint16_t)(f->on_demand + (unseen ? 0 : missing + 1));
    f->unseen |= unseen;
    v->stats.requests++;
    v->stats.on_demand += missing + 1;
    return put_request(at, f, unseen ? TA_ALL_BLOCKS : block, unseen ? TA_ALL_BLOCKS : missing, b->round);
}

ta_status ta_reassembler_request(ta_reassembler *r, uint64_t now_us, uint8_t *out, size_t *size) {
    ta_recovery *v = &r->recovery;
    uint8_t *at = out + 20, *const end = at + 8 * REQUESTS;
    if (!ta_recovers(r) || v->cookie == 0)
        return TA_AGAIN;
    if (v->copies) {
        v->copies--;
        memcpy(out, v->request, *size = v->request_size);
        return TA_OK;
    }
    for (size_t k = 0; k < r->held_count; k++) {
        ta_frame *f = r->held[k];
        if (f->complete || f->lost || f->too_late || end - at < 8 * TA_MAX_BLOCKS)
            continue;
        for (size_t b = 0; b < (f->blocks ? f->blocks : 1u) && !f->lost; b++)
            if (request_due_us(r, f, b) <= now_us)
                at = request_block(r, f, b, now_us, at);
    }
    *size = (size_t)(at - out);
    if (*size == 20)
        return TA_AGAIN;
    out[0] = 0x80 | 7;
    out[1] = 204;
    ta_put_be(out + 2, *size / 4 - 1, 2);
    ta_put_be(out + 4, v->own_ssrc, 4);
    memcpy(out + 8, "TAIR", 4);
    ta_put_be(out + 12, v->cookie, 8);
    memcpy(v->request, out, v->request_size = *size);
    v->copies--;
    return TA_OK;
}

bool ta_recovery_abandons(const ta_reassembler *r, const ta_frame *f, uint64_t now_us) {
    return f->lost || now_us >= abandon_us(r, f);
}

uint64_t ta_recovery_deadline(const ta_reassembler *r, const ta_frame *f, bool first) {
    const ta_recovery *v = &r->recovery;
    if (f->complete)
        return UINT64_MAX;
    uint64_t due = !first ? UINT64_MAX : f->lost ? 0 : abandon_us(r, f);
    for (size_t b = 0; v->cookie && !f->too_late && !f->lost && b < (f->blocks ? f->blocks : 1u); b++) {
        const uint64_t at = request_due_us(r, f, b);
        due = at < due ? at : due;
    }
    return due;
}

/* ---- what became of frames ---- */

static void blend(double *mean, double value, double weight) { *mean += (value - *mean) * (*mean != 0 ? weight : 1); }

static void note_outcome(ta_recovery *v, uint64_t frame_id, uint16_t outcome) {
    v->outcomes[frame_id % TA_OUTCOMES].frame_id = frame_id;
    v->outcomes[frame_id % TA_OUTCOMES].outcome = (uint8_t)outcome;
}

void ta_recovery_completed(ta_reassembler *r, ta_frame *f) {
    ta_recovery *v = &r->recovery;
    note_outcome(v, f->begin, OUTCOME_COMPLETE);
    v->stats.frames_repaired += f->restored > 0;
    forget_symbols(v, f, -1);
    if (f->reached > 4 && f->on_demand == 0) {
        blend(&v->spacing_us, (double)(f->newest_us - f->first_us) / (f->reached - 1), 1.0 / 8);
        blend(&v->gap_var_us, fabs((double)f->gap_us - v->gap_us), 1.0 / 16);
        blend(&v->gap_us, (double)f->gap_us, 1.0 / 16);
    }
    v->reorder_window_us -= (v->reorder_window_us - MIN_REORDER_US) / 64;
}

void ta_recovery_decided(ta_reassembler *r, ta_frame *f, uint64_t now_us) {
    ta_recovery *v = &r->recovery;
    forget_symbols(v, f, -1);
    if (!f->complete)
        note_outcome(v, f->begin, OUTCOME_ABANDONED);
    const ta_frame_report report = ta_recovery_report(f, f->complete ? f->last_us : now_us);
    if (f->count)
        blend(&v->loss, 1 - (double)report.received / f->count, 1.0 / 64);
    if (f->count && report.received < f->count) {
        const size_t tail = positions_of(f) - f->reached, run = report.longest_run > tail ? report.longest_run : tail;
        blend(&v->run, (double)run, 1.0 / 16);
    }
    v->reports[v->report_count++ % TA_REPORTS] = report;
}
