/* Packets of any shape, sealed, opened, opened again, and changed by a bit, with keys renewed and forgotten between: a
 * genuine packet opens once, as it was; everything else is refused. Layout of a case: steps of a kind and its bytes. */
#include "fuzz.h"

#include "thinair/seal.h"

enum { SSRC = 7, MOST = 300 };
enum { CONTROL = 8, AGAIN = 16, CHANGED = 32 }; /* bits of a step's kind */

typedef ta_status (*sealer)(ta_seal *, const uint8_t *, size_t, uint8_t *, size_t *);
typedef ta_status (*opener)(ta_seal *, const uint8_t *, size_t, uint64_t, uint8_t *, size_t *, bool *, ta_drop *);

static uint8_t sealed[MOST + TA_SEAL_CONTROL], out[MOST + TA_SEAL_CONTROL];
static size_t out_size;
static bool newest;

static bool opens(ta_seal *s, bool control, const uint8_t *data, size_t size, uint64_t now_us) {
    ta_drop why = TA_DROP_COUNT;
    const opener open = control ? ta_unseal_rtcp : ta_unseal_rtp;
    const ta_status status = open(s, data, size, now_us, out, &out_size, &newest, &why);
    CHECK(status == TA_OK || (status == TA_EBITSTREAM && why < TA_DROP_COUNT));
    return status == TA_OK;
}

static void install(ta_seal *one, ta_seal *other, uint8_t number) {
    static uint32_t serial; /* makes every key unique */
    uint8_t down[TA_SEAL_KEYS], up[TA_SEAL_KEYS];
    memset(down, number, sizeof down);
    memset(up, ~number, sizeof up);
    put_be(down, ++serial, 4);
    put_be(down + TA_SEAL_KEYS / 2, serial, 4);
    put_be(up, serial, 4);
    put_be(up + TA_SEAL_KEYS / 2, serial, 4);
    CHECK(ta_seal_install(one, &(ta_seal_config){down, up, SSRC, 40, number & 1}) == TA_OK);
    CHECK(ta_seal_install(other, &(ta_seal_config){up, down, SSRC, 40, false}) == TA_OK);
}

/* A packet whose first bytes hold the required header fields. */
static void pass(ta_seal *from, ta_seal *to, uint8_t kind, cursor *c, uint64_t now_us) {
    const bool control = kind & CONTROL;
    size_t got, size = 0;
    const uint8_t *data = take_bytes(c, take(c) + 12u, &got);
    const sealer seal = control ? ta_seal_rtcp : ta_seal_rtp;
    if (got > MOST || seal(from, data, got, sealed, &size) != TA_OK) {
        CHECK(!opens(to, control, data, got, now_us)); /* plain bytes are never accepted */
        return;
    }
    CHECK(size == got + (control ? TA_SEAL_CONTROL : TA_SEAL_TAG));
    if (kind & CHANGED) {
        sealed[take(c) * size / 256] ^= (uint8_t)(1u << take(c) % 8);
        CHECK(!opens(to, control, sealed, size, now_us));
        return;
    }
    if (opens(to, control, sealed, size, now_us))
        CHECK(out_size == got && memcmp(out, data, got) == 0 && !opens(to, control, sealed, size, now_us));
    CHECK(!(kind & AGAIN) || !opens(to, control, sealed, take(c) * size / 256, now_us));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cursor c = {data, size};
    ta_seal *sender = NULL, *receiver = NULL;
    CHECK(ta_seal_open(&sender) == TA_OK && ta_seal_open(&receiver) == TA_OK);
    install(sender, receiver, take(&c));
    for (uint64_t now_us = 0; c.size; now_us += 10000u * take(&c)) {
        const uint8_t kind = take(&c);
        if (kind % 8 == 7)
            install(sender, receiver, take(&c));
        else if (kind % 8 == 6 && kind & AGAIN)
            ta_seal_forget(kind & CONTROL ? sender : receiver);
        else if (kind % 8 == 5)
            pass(receiver, sender, kind | CONTROL, &c, now_us);
        else
            pass(sender, receiver, kind, &c, now_us);
    }
    CHECK(ta_seal_packets_sealed(sender) <= 40);
    ta_seal_close(&sender);
    ta_seal_close(&receiver);
    CHECK(!sender && !receiver);
    return 0;
}
