/* Reports: one for each decided frame, the newest frame in its present state, and the outcomes of TARGET. */
#include "reassembler.h"

static const uint16_t OUTCOME_INCOMPLETE = 1;

static size_t longest_run(const ta_frame *f) {
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < f->count && i < f->reached; i++) {
        const bool received = ta_frame_here(f, i) && !(f->by_symbols[i / 8] >> i % 8 & 1);
        run = received ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

ta_frame_report ta_recovery_report(const ta_frame *f, uint64_t done_us) {
    size_t rounds = 0;
    for (size_t b = 0; b < TA_MAX_BLOCKS; b++)
        rounds = f->block[b].round > rounds ? f->block[b].round : rounds;
    const uint32_t flags = (f->key ? TA_REPORT_KEY : 0u) | (f->complete ? TA_REPORT_COMPLETE : 0u) |
                           (f->restored ? TA_REPORT_REPAIRED : 0u) | (f->unseen ? TA_REPORT_UNSEEN : 0u);
    const ta_stamps *stamps = &f->head.stamps;
    return (ta_frame_report){
        .frame_id = f->begin,
        .flags = flags,
        .packets = f->count,
        .received = f->received,
        .longest_run = (uint16_t)longest_run(f),
        .proactive = (uint16_t)(f->proactive * f->blocks),
        .proactive_received = f->proactive_received,
        .on_demand = f->on_demand,
        .on_demand_received = f->on_demand_received,
        .rounds = (uint16_t)rounds,
        .reached = f->reached,
        .bytes = f->wire_bytes,
        .gap_us = (uint32_t)f->gap_us,
        .first_us = f->first_us,
        .newest_us = f->newest_us,
        .done_us = done_us,
        .peer_us = stamps->encode_out_us ? stamps->encode_out_us : stamps->capture_us,
    };
}

size_t ta_reassembler_reports(ta_reassembler *r, ta_frame_report *out, size_t limit) {
    ta_recovery *v = &r->recovery;
    size_t n = 0;
    if (v->report_count - v->report_taken > TA_REPORTS)
        v->report_taken = v->report_count - TA_REPORTS;
    while (n < limit && v->report_taken < v->report_count)
        out[n++] = v->reports[v->report_taken++ % TA_REPORTS];
    return n;
}

bool ta_reassembler_newest(const ta_reassembler *r, ta_frame_report *out) {
    for (size_t k = r->held_count; k-- > 0;)
        if (r->held[k]->count) {
            *out = ta_recovery_report(r->held[k], 0);
            return true;
        }
    return false;
}

uint16_t ta_reassembler_outcomes(const ta_reassembler *r, uint32_t *newest) {
    uint16_t outcomes = 0;
    *newest = (uint32_t)r->newest;
    for (unsigned back = 0; r->known && back < 8 && back <= r->newest; back++) {
        const uint64_t id = r->newest - back;
        uint16_t outcome = 0;
        if (r->recovery.outcomes[id % TA_OUTCOMES].frame_id == id)
            outcome = r->recovery.outcomes[id % TA_OUTCOMES].outcome;
        for (size_t k = 0; k < r->held_count && outcome == 0; k++)
            if (r->held[k]->begin == id && r->held[k]->count)
                outcome = OUTCOME_INCOMPLETE;
        outcomes |= (uint16_t)(outcome << 2 * back);
    }
    return outcomes;
}

void ta_reassembler_recovery(const ta_reassembler *r, ta_recovery_stats *out) {
    *out = r->recovery.stats;
    out->rtt_us = (uint32_t)r->recovery.srtt_us;
    out->reorder_window_us = (uint32_t)r->recovery.reorder_window_us;
    out->spacing_us = (uint32_t)r->recovery.spacing_us;
}
