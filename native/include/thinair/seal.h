/* AEAD of one end's packets: RTP and RTCP as in RFC 7714, with ChaCha20-Poly1305 (RFC 8439). Headers stay readable and
 * are authenticated. Layouts and order of the keys: docs/wire-protocol.md.
 *
 * Keys come as a pair, one per direction. A new pair may be installed at any time; the older one still opens packets
 * that are on their way. */
#ifndef THINAIR_SEAL_H
#define THINAIR_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "thinair/status.h"

enum {
    TA_SEAL_KEYS = 88,           /* bytes of one direction: RTP key 32, RTP salt 12, RTCP key 32, RTCP salt 12 */
    TA_SEAL_TAG = 16,            /* bytes that sealing adds to RTP */
    TA_SEAL_CONTROL = 20,        /* bytes that sealing adds to RTCP: tag and index */
    TA_SEAL_WINDOW = 1024,       /* replay window, packets */
    TA_SEAL_OLD_US = 2000000,    /* how long an older pair opens after the first packet of the newer one */
    TA_SEAL_SILENT_US = 1000000, /* after this silence a stream's sequence numbers may have wrapped unseen */
};
#define TA_SEAL_LIMIT 0x7fffffffu /* packets per key and kind, in RTP and in RTCP (RFC 7714 9.3) */

typedef struct ta_seal_config {
    const uint8_t *own, *peer; /* TA_SEAL_KEYS bytes each: for sent and for received packets */
    uint32_t media_ssrc;       /* of the sender; its repair symbols have the next SSRC */
    uint32_t limit;            /* packets per key; 0: TA_SEAL_LIMIT */
    bool after_peer;           /* keep sealing with the older pair until the peer uses this one */
} ta_seal_config;

typedef struct ta_seal ta_seal;

/* TA_ENOMEM. */
ta_status ta_seal_open(ta_seal **out);
/* Installs a pair; the keys are copied. TA_ENOMEM: libcrypto has no context; the pairs stay as they were. */
ta_status ta_seal_install(ta_seal *s, const ta_seal_config *config);
/* Clears all keys: nothing is sealed or opened. */
void ta_seal_forget(ta_seal *s);
/* Returns whether there are keys. */
bool ta_seal_ready(const ta_seal *s);
/* Returns the packets sealed with the current key, RTP or RTCP, whichever are more. */
uint64_t ta_seal_packets_sealed(const ta_seal *s);

/* Seal one packet. `out` has room for size + TA_SEAL_TAG (RTP) or size + TA_SEAL_CONTROL (RTCP) and does not overlap
 * `in`. The same RTP packet seals to the same bytes. TA_EINVAL: not RTP or RTCP, or of another SSRC. TA_ETOOBIG: no
 * key, or its limit is reached. */
ta_status ta_seal_rtp(ta_seal *s, const uint8_t *in, size_t size, uint8_t *out, size_t *out_size);
ta_status ta_seal_rtcp(ta_seal *s, const uint8_t *in, size_t size, uint8_t *out, size_t *out_size);

/* Open one packet. `out` has room for `size`. *newest: no later packet of its stream has been received. TA_EBITSTREAM:
 * refused, *why says the reason. Only a genuine packet changes state. */
ta_status ta_unseal_rtp(ta_seal *s, const uint8_t *in, size_t size, uint64_t arrival_us, uint8_t *out, size_t *out_size,
                        bool *newest, ta_drop *why);
ta_status ta_unseal_rtcp(ta_seal *s, const uint8_t *in, size_t size, uint64_t arrival_us, uint8_t *out,
                         size_t *out_size, bool *newest, ta_drop *why);
/* Clears all keys and frees. */
void ta_seal_close(ta_seal **s);

#endif
