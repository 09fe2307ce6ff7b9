/* Encryption of the receiving pump: keys, and invites of senders without a common key. */
#include "rx_private.h"

#include <string.h>

enum { HELLO_SUBTYPE = 1, HELLO_SIZE = 68, INVITE_SUBTYPE = 10, INVITE_SIZE = 72 };
enum { INVITE_INTERVAL_US = 20000 }; /* minimum interval between two */

bool ta_rx_send_one(ta_rx *rx, const uint8_t *data, size_t size, const ta_address *to) {
    uint8_t sealed_packet[TA_CONTROL_MAX + TA_SEAL_CONTROL];
    if (size > TA_CONTROL_MAX)
        return false;
    ta_rx_log_packet(rx, data, size, ta_now_us(), to, true);
    if (rx->encrypted) {
        if (ta_seal_rtcp(rx->seal, data, size, sealed_packet, &size) != TA_OK)
            return false;
        data = sealed_packet;
    }
    return sendto(rx->fd, data, size, MSG_DONTWAIT, (const struct sockaddr *)&to->storage, to->size) == (ssize_t)size;
}

void ta_rx_put_control(ta_rx *rx, const uint8_t *data, size_t size, uint64_t arrival_us, const ta_address *from) {
    ta_rx_log_packet(rx, data, size, arrival_us, from, false);
    if (!ta_control_ring_put(&rx->control, data, size, arrival_us, from))
        rx->drops[TA_DROP_CONTROL]++;
}

/* Stores an unsealed invite, or a HELLO of a sender without encryption (docs/wire-protocol.md). Only a hint for the
 * user: it is not authenticated. */
static bool take_invite(ta_rx *rx, const uint8_t *data, size_t size, uint64_t arrival_us, const ta_address *from) {
    const bool hello = size == HELLO_SIZE && (data[0] & 0x1f) == HELLO_SUBTYPE;
    const bool called = size == INVITE_SIZE && (data[0] & 0x1f) == INVITE_SUBTYPE;
    if ((!hello && !called) || data[1] != 204 || memcmp(data + 8, "TAIR", 4) != 0)
        return false;
    if (rx->invite_count == INVITES || arrival_us < rx->invited_us + INVITE_INTERVAL_US) {
        rx->drops[TA_DROP_CONTROL]++;
        return true;
    }
    ta_control *call = &rx->invites[(rx->invite_head + rx->invite_count++) % INVITES];
    memcpy(call->data, data, size);
    call->size = size;
    call->arrival_us = arrival_us;
    call->from = *from;
    rx->invited_us = arrival_us;
    ta_wake(rx->control.eventfd);
    return true;
}

/* Passes a genuine packet on as in an unencrypted session, whatever its address; the newest one's address is the
 * peer's. */
void ta_rx_take_sealed(ta_rx *rx, const uint8_t *data, size_t size, uint64_t arrival_us, const ta_address *from) {
    uint8_t open[TA_MAX_PACKET + TA_SEAL_CONTROL];
    const bool control = ta_is_rtcp(data, size);
    bool newest;
    ta_drop why = TA_DROP_OVERSIZE;
    const ta_status status = size > sizeof open ? TA_EBITSTREAM
                           : control ? ta_unseal_rtcp(rx->seal, data, size, arrival_us, open, &size, &newest, &why)
                                     : ta_unseal_rtp(rx->seal, data, size, arrival_us, open, &size, &newest, &why);
    if (status != TA_OK) {
        if (!control || !take_invite(rx, data, size, arrival_us, from))
            rx->drops[why]++;
        return;
    }
    if (newest && rx->have_peer && !ta_address_equal(&rx->peer, from)) {
        rx->peer = *from;
        rx->stats.address_changes++;
    }
    if (control)
        ta_rx_put_control(rx, open, size, arrival_us, from);
    else
        ta_rx_take_media(rx, open, size, arrival_us, from);
}

ta_status ta_rx_install(ta_rx *rx, const ta_seal_config *keys) {
    if (!rx->encrypted)
        return TA_EINVAL;
    pthread_mutex_lock(&rx->lock);
    const ta_status status = ta_seal_install(rx->seal, keys);
    pthread_mutex_unlock(&rx->lock);
    return status;
}

void ta_rx_forget_keys(ta_rx *rx) {
    if (!rx->encrypted)
        return;
    pthread_mutex_lock(&rx->lock);
    ta_seal_forget(rx->seal);
    pthread_mutex_unlock(&rx->lock);
}

bool ta_rx_take_invite(ta_rx *rx, ta_control *out) {
    pthread_mutex_lock(&rx->lock);
    const bool got = rx->invite_count > 0;
    if (got) {
        *out = rx->invites[rx->invite_head];
        rx->invite_head = (rx->invite_head + 1) % INVITES;
        rx->invite_count--;
    }
    pthread_mutex_unlock(&rx->lock);
    return got;
}

bool ta_rx_take_control(ta_rx *rx, ta_control *out) {
    pthread_mutex_lock(&rx->lock);
    bool got = ta_control_ring_take(&rx->control, out);
    pthread_mutex_unlock(&rx->lock);
    return got;
}
