/* A session's packets sealed at one end: AEAD over RTP and RTCP as RFC 7714 builds it, with the ChaCha20-Poly1305 of RFC 8439.
 * Headers stay in the clear and are authenticated. Layouts and key order: docs/wire-protocol.md, Sealing.
 *
 * Keys come in pairs, one direction each. New ones may be installed at any time: the older pair opens what is still on its way. */
#ifndef THINAIR_SEAL_H
#define THINAIR_SEAL_H

#include "thinair/core.h"

enum {
    TA_SEAL_KEYS = 88,            /* of one direction: RTP key 32, RTP salt 12, RTCP key 32, RTCP salt 12 */
    TA_SEAL_TAG = 16,             /* what RTP grows by */
    TA_SEAL_CONTROL = 20,         /* what RTCP grows by: tag and index */
    TA_SEAL_WINDOW = 1024,        /* packets behind the newest that are told from replays */
    TA_SEAL_OLD_US = 2000000,     /* an older pair opens for so long after the newer one was first heard */
    TA_SEAL_SILENT_US = 1000000,  /* a stream not heard for so long may have wrapped its sequence numbers unseen */
};
#define TA_SEAL_LIMIT 0x7fffffffu /* packets per key and kind, both ways of counting (RFC 7714 9.3) */

typedef struct ta_seal_config {
    const uint8_t *own, *peer;    /* TA_SEAL_KEYS bytes each: what is sent, what comes */
    uint32_t media_ssrc;          /* of the sender; its repair symbols have the next */
    uint32_t limit;               /* 0: TA_SEAL_LIMIT. Beyond it nothing is sealed */
    bool after_peer;              /* seal with the older pair until the peer is heard with this one */
} ta_seal_config;

typedef struct ta_seal ta_seal;

ta_status ta_seal_open(ta_seal **out);
/* TA_ENOMEM: libcrypto gives no context; the pairs stay as they were. */
ta_status ta_seal_install(ta_seal *s, const ta_seal_config *config);
void ta_seal_forget(ta_seal *s);         /* all keys: nothing is sealed or opened */
bool ta_seal_ready(const ta_seal *s);    /* there are keys */
uint64_t ta_seal_packets_sealed(const ta_seal *s);/* packets of the kind used most, sealed with the present key */
/* `out` has room for size + TA_SEAL_TAG; `in` may not lie in it. TA_EINVAL: no RTP, or of another SSRC. TA_ETOOBIG: no key
 * left to seal it with. A packet given twice is sealed to the same bytes. */
ta_status ta_seal_rtp(ta_seal *s, const uint8_t *in, size_t size, uint8_t *out, size_t *out_size);
ta_status ta_seal_rtcp(ta_seal *s, const uint8_t *in, size_t size, uint8_t *out, size_t *out_size);
/* TA_EBITSTREAM: refused, and why. `out` has room for `size`. Nothing changes but by what is genuine. `newest`: no packet of
 * its stream after it has come before. */
ta_status ta_unseal_rtp(ta_seal *s, const uint8_t *in, size_t size, uint64_t arrival_us, uint8_t *out, size_t *out_size,
                        bool *newest, ta_drop *why);
ta_status ta_unseal_rtcp(ta_seal *s, const uint8_t *in, size_t size, uint64_t arrival_us, uint8_t *out, size_t *out_size,
                         bool *newest, ta_drop *why);
void ta_seal_close(ta_seal **s);

#endif
