/* The receiving pump's media: from which peer, and on to the reassembler or the Annex B stream. */
#include "thinair/send_queue.h"

#include "rx_private.h"

enum { SILENT_PEER_US = 500000 }; /* after this silence another peer may send */

void ta_rx_forget_frames(ta_rx *rx) {
    if (rx->frames)
        ta_reassembler_reset(rx->frames);
    if (rx->stream)
        ta_annexb_stream_reset(rx->stream);
    for (; rx->queue_count > 0; rx->queue_count--) {
        rx->queue[rx->queue_head]->state = SLOT_FREE;
        rx->queue_head = (rx->queue_head + 1) % MAX_SLOTS;
    }
    rx->unreported_lost = 0;
    rx->unreported_gap = rx->stats.frames > 0;
    rx->arrival_count = 0;
}

/* Without a session, the first to send is the peer, until it is silent or restarts. */
static bool latch_peer(ta_rx *rx, const ta_address *from, uint32_t ssrc, uint64_t arrival_us) {
    bool same = rx->have_peer && ta_address_equal(&rx->peer, from);
    bool silent = !rx->have_peer || arrival_us > rx->last_media_us + SILENT_PEER_US;
    if (!same && !silent)
        return false;
    if (!same || ssrc != rx->ssrc) {
        ta_rx_forget_frames(rx);
        rx->have_peer = true;
        rx->peer = *from;
        rx->ssrc = ssrc;
    }
    return true;
}

void ta_rx_take_media(ta_rx *rx, const uint8_t *data, size_t size, uint64_t arrival_us, const ta_address *from) {
    rx->stats.packets++;
    rx->stats.bytes += size;
    ta_rx_log_packet(rx, data, size, arrival_us, from, false);
    if (rx->mode == TA_MODE_ANNEXB) {
        if (!latch_peer(rx, from, 0, arrival_us)) {
            rx->drops[TA_DROP_ADDRESS]++;
            return;
        }
        rx->last_media_us = arrival_us;
        ta_annexb_stream_push(rx->stream, data, size, arrival_us);
        return;
    }
    if (size < TA_RTP_HEADER) {
        rx->drops[TA_DROP_SHORT]++;
        return;
    }
    uint32_t ssrc = (uint32_t)data[8] << 24 | (uint32_t)data[9] << 16 | (uint32_t)data[10] << 8 | data[11];
    bool known = rx->mode == TA_MODE_THINAIR ? rx->have_peer && (rx->encrypted || ta_address_equal(&rx->peer, from))
                                             : latch_peer(rx, from, ssrc, arrival_us);
    if (!known) {
        rx->drops[TA_DROP_ADDRESS]++;
        return;
    }
    const bool repair = rx->repair && (data[1] & 0x7f) == TA_REPAIR_PAYLOAD_TYPE;
    if (ssrc != rx->ssrc + repair) {
        rx->drops[TA_DROP_SSRC]++;
        return;
    }
    rx->last_media_us = arrival_us;
    if (!repair)
        rx->arrivals[rx->arrival_count++ % ARRIVALS] = (ta_arrival){(uint16_t)(data[2] << 8 | data[3]), arrival_us};
    ta_reassembler_push(rx->frames, data, size, arrival_us);
}
