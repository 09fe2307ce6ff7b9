#include "thinair/seal.h"
#include "thinair/rtp.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum { KEY = 32, SALT = 12, RTCP_HEADER = 8, INDEX = 4, RTP_STREAMS = 2, CONTROL = 2, STREAMS = 3, MORE_WRAPS = 3 };
#define ENCRYPTED 0x80000000u /* RFC 3711 3.4: the E flag */

typedef struct stream { /* packet indexes of one SSRC, or of RTCP */
    bool any;
    uint64_t top; /* highest received or sent */
    uint64_t heard_us;
    uint64_t seen[TA_SEAL_WINDOW / 64]; /* replay window: bit index % TA_SEAL_WINDOW */
} stream;

typedef struct cipher { /* one key */
    EVP_CIPHER_CTX *context;
    uint8_t salt[SALT];
} cipher;

typedef struct pair {
    bool live, used, after_peer;
    uint32_t media_ssrc, limit;
    uint64_t until_us;                       /* opens nothing after this time; 0: no limit */
    cipher own[2], peer[2];                  /* RTP, RTCP */
    stream sent[STREAMS], received[STREAMS]; /* media, repair, control */
    uint64_t sealed[2];
} pair;

struct ta_seal {
    pair pairs[2];
    unsigned newest;
};

/* ---- keys ---- */

static bool set_cipher(cipher *l, const uint8_t *keys, bool seals) {
    memcpy(l->salt, keys + KEY, SALT);
    return EVP_CipherInit_ex(l->context, EVP_chacha20_poly1305(), NULL, keys, NULL, seals) == 1;
}

static void forget_pair(pair *p) {
    cipher kept[4];
    for (int i = 0; i < 4; i++) {
        kept[i] = i < 2 ? p->own[i] : p->peer[i - 2];
        EVP_CIPHER_CTX_reset(kept[i].context); /* clears the key */
    }
    OPENSSL_cleanse(p, sizeof *p);
    for (int i = 0; i < 4; i++)
        (i < 2 ? &p->own[i] : &p->peer[i - 2])->context = kept[i].context;
    OPENSSL_cleanse(kept, sizeof kept);
}

ta_status ta_seal_open(ta_seal **out) {
    *out = NULL;
    ta_seal *s = calloc(1, sizeof *s);
    if (!s)
        return TA_ENOMEM;
    bool all = true;
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < 2; i++)
            all = (s->pairs[p].own[i].context = EVP_CIPHER_CTX_new()) != NULL &&
                  (s->pairs[p].peer[i].context = EVP_CIPHER_CTX_new()) != NULL && all;
    if (!all) {
        ta_seal_close(&s);
        return TA_ENOMEM;
    }
    *out = s;
    return TA_OK;
}

ta_status ta_seal_install(ta_seal *s, const ta_seal_config *config) {
    /* A pair that the peer has never used is replaced before one that is in use. */
    const bool unused = s->pairs[s->newest].live && !s->pairs[s->newest].used && s->pairs[1 - s->newest].live;
    const unsigned at = unused ? s->newest : 1 - s->newest;
    pair *p = &s->pairs[at];
    bool set = true;
    forget_pair(p);
    for (int i = 0; i < 2; i++)
        set = set && set_cipher(&p->own[i], config->own + i * (KEY + SALT), true) &&
              set_cipher(&p->peer[i], config->peer + i * (KEY + SALT), false);
    if (!set) {
        forget_pair(p);
        return TA_ENOMEM;
    }
    p->live = true;
    p->after_peer = config->after_peer;
    p->media_ssrc = config->media_ssrc;
    p->limit = config->limit ? config->limit : TA_SEAL_LIMIT;
    s->newest = at;
    return TA_OK;
}

void ta_seal_forget(ta_seal *s) {
    forget_pair(&s->pairs[0]);
    forget_pair(&s->pairs[1]);
}

bool ta_seal_ready(const ta_seal *s) { return s->pairs[s->newest].live; }

void ta_seal_close(ta_seal **handle) {
    ta_seal *s = *handle;
    *handle = NULL;
    for (int p = 0; s && p < 2; p++)
        for (int i = 0; i < 2; i++) {
            EVP_CIPHER_CTX_free(s->pairs[p].own[i].context); /* clears the key */
            EVP_CIPHER_CTX_free(s->pairs[p].peer[i].context);
        }
    if (s)
        OPENSSL_cleanse(s, sizeof *s);
    free(s);
}

/* ---- indexes ---- */

/* RFC 3711 3.3.1: the index closest to the highest known one that has this sequence number. The first packet has
 * rollover counter 0. */
static uint64_t index_of(const stream *known, uint16_t seq) {
    const uint64_t same = (known->top & ~(uint64_t)0xffff) | seq;
    if (!known->any)
        return seq;
    if (same + 0x8000 < known->top)
        return same + 0x10000;
    return same > known->top + 0x8000 && same >= 0x10000 ? same - 0x10000 : same;
}

static bool is_replay(const stream *known, uint64_t index) {
    if (!known->any || index > known->top)
        return false;
    return known->top - index >= TA_SEAL_WINDOW || known->seen[index % TA_SEAL_WINDOW / 64] >> index % 64 & 1;
}

static bool mark(stream *known, uint64_t index, uint64_t arrival_us) {
    const bool newest = !known->any || index > known->top;
    if (newest && known->any && index - known->top < TA_SEAL_WINDOW) {
        for (uint64_t i = known->top + 1; i < index; i++)
            known->seen[i % TA_SEAL_WINDOW / 64] &= ~(1ull << i % 64);
    } else if (newest) {
        memset(known->seen, 0, sizeof known->seen);
    }
    known->seen[index % TA_SEAL_WINDOW / 64] |= 1ull << index % 64;
    known->top = newest ? index : known->top;
    known->any = true;
    known->heard_us = arrival_us > known->heard_us ? arrival_us : known->heard_us;
    return newest;
}

/* RFC 7714 8.1 with a 64-bit index: SSRC and index, XORed with the salt. */
static void make_nonce(const cipher *l, uint32_t ssrc, uint64_t index, uint8_t nonce[SALT]) {
    ta_put_be(ta_put_be(nonce, ssrc, 4), index, 8);
    for (int i = 0; i < SALT; i++)
        nonce[i] ^= l->salt[i];
}

/* ---- one packet ---- */

typedef struct part {
    const uint8_t *data;
    size_t size;
} part;

static bool authenticate(EVP_CIPHER_CTX *context, const part associated[2]) {
    int n;
    for (int i = 0; i < 2; i++)
        if (associated[i].size && EVP_CipherUpdate(context, NULL, &n, associated[i].data, (int)associated[i].size) != 1)
            return false;
    return true;
}

static bool seal(const cipher *l, const uint8_t nonce[SALT], const part associated[2], part in, uint8_t *out,
                 uint8_t *tag) {
    int n;
    return EVP_CipherInit_ex(l->context, NULL, NULL, NULL, nonce, 1) == 1 && authenticate(l->context, associated) &&
           EVP_CipherUpdate(l->context, out, &n, in.data, (int)in.size) == 1 &&
           EVP_CipherFinal_ex(l->context, out + n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(l->context, EVP_CTRL_AEAD_GET_TAG, TA_SEAL_TAG, tag) == 1;
}

static bool unseal(const cipher *l, const uint8_t nonce[SALT], const part associated[2], part in, uint8_t *out,
                   const uint8_t *tag) {
    int n;
    return EVP_CipherInit_ex(l->context, NULL, NULL, NULL, nonce, 0) == 1 &&
           EVP_CIPHER_CTX_ctrl(l->context, EVP_CTRL_AEAD_SET_TAG, TA_SEAL_TAG, (void *)(uintptr_t)tag) == 1 &&
           authenticate(l->context, associated) && EVP_CipherUpdate(l->context, out, &n, in.data, (int)in.size) == 1 &&
           EVP_CipherFinal_ex(l->context, out + n, &n) == 1;
}

/* Returns the size of what is authenticated but not encrypted: header, CSRCs, extension (RFC 7714 8.2). 0: not RTP,
 * *why says the reason. */
static size_t rtp_header(const uint8_t *data, size_t size, ta_drop *why) {
    size_t at = TA_RTP_HEADER;
    *why = size < at ? TA_DROP_SHORT : TA_DROP_VERSION;
    if (size < at || data[0] >> 6 != 2)
        return 0;
    at += 4u * (data[0] & 15u);
    *why = TA_DROP_EXTENSION;
    if (at > size || (data[0] & 0x10 && size - at < 4))
        return 0;
    if (data[0] & 0x10)
        at += 4 + 4 * (size_t)ta_get_be(data + at + 2, 2);
    return at <= size ? at : 0;
}

/* Returns the pair to seal with, which may be the older one; NULL: none. */
static pair *sealing(ta_seal *s) {
    pair *newest = &s->pairs[s->newest], *older = &s->pairs[1 - s->newest];
    if (newest->after_peer && !newest->used && older->live)
        return older;
    return newest->live ? newest : NULL;
}

uint64_t ta_seal_packets_sealed(const ta_seal *s) {
    const pair *p = &s->pairs[s->newest];
    return p->sealed[0] > p->sealed[1] ? p->sealed[0] : p->sealed[1];
}

ta_status ta_seal_rtp(ta_seal *s, const uint8_t *in, size_t size, uint8_t *out, size_t *out_size) {
    pair *p = sealing(s);
    ta_drop why;
    const size_t head = rtp_header(in, size, &why);
    const uint32_t ssrc = head ? (uint32_t)ta_get_be(in + 8, 4) : 0, which = p ? ssrc - p->media_ssrc : 0;
    if (!head || which >= RTP_STREAMS)
        return TA_EINVAL;
    if (!p || p->sealed[0] >= p->limit)
        return TA_ETOOBIG;
    stream *sent = &p->sent[which];
    const uint64_t index = index_of(sent, (uint16_t)ta_get_be(in + 2, 2));
    uint8_t nonce[SALT];
    make_nonce(&p->own[0], ssrc, index, nonce);
    memcpy(out, in, head);
    if (!seal(&p->own[0], nonce, (part[2]){{in, head}, {0}}, (part){in + head, size - head}, out + head, out + size))
        return TA_ENOMEM;
    sent->top = !sent->any || index > sent->top ? index : sent->top;
    sent->any = true;
    p->sealed[0]++;
    *out_size = size + TA_SEAL_TAG;
    return TA_OK;
}

ta_status ta_seal_rtcp(ta_seal *s, const uint8_t *in, size_t size, uint8_t *out, size_t *out_size) {
    pair *p = sealing(s);
    uint8_t nonce[SALT], trailer[INDEX];
    if (size < RTCP_HEADER)
        return TA_EINVAL;
    if (!p || p->sealed[1] >= p->limit)
        return TA_ETOOBIG;
    ta_put_be(trailer, ENCRYPTED | p->sealed[1], INDEX);
    make_nonce(&p->own[1], (uint32_t)ta_get_be(in + 4, 4), p->sealed[1], nonce);
    memcpy(out, in, RTCP_HEADER);
    if (!seal(&p->own[1], nonce, (part[2]){{in, RTCP_HEADER}, {trailer, INDEX}},
              (part){in + RTCP_HEADER, size - RTCP_HEADER}, out + RTCP_HEADER, out + size))
        return TA_ENOMEM;
    memcpy(out + size + TA_SEAL_TAG, trailer, INDEX);
    p->sealed[1]++;
    *out_size = size + TA_SEAL_CONTROL;
    return TA_OK;
}

/* Marks a pair as used by the peer; the newer pair then limits the older one's life. */
static void used(ta_seal *s, pair *p, uint64_t arrival_us) {
    pair *other = p == &s->pairs[0] ? &s->pairs[1] : &s->pairs[0];
    if (!p->used && p == &s->pairs[s->newest])
        other->until_us = arrival_us + TA_SEAL_OLD_US;
    p->used = true;
}

/* Lists the pairs that may open a packet now, the likelier one first. */
static int opening(ta_seal *s, uint64_t arrival_us, pair *out[2]) {
    pair *newest = &s->pairs[s->newest], *older = &s->pairs[1 - s->newest];
    int n = 0;
    if (older->live && older->until_us && arrival_us > older->until_us)
        forget_pair(older);
    if (older->live && !newest->used)
        out[n++] = older;
    if (newest->live)
        out[n++] = newest;
    if (older->live && newest->used)
        out[n++] = older;
    return n;
}

static ta_status unseal_rtp_with(pair *p, const uint8_t *in, size_t size, size_t head, uint64_t arrival_us,
                                 uint8_t *out, bool *newest, ta_drop *why) {
    const uint32_t ssrc = (uint32_t)ta_get_be(in + 8, 4), which = ssrc - p->media_ssrc;
    *why = TA_DROP_SSRC;
    if (which >= RTP_STREAMS)
        return TA_EBITSTREAM;
    stream *received = &p->received[which];
    const uint64_t first = index_of(received, (uint16_t)ta_get_be(in + 2, 2));
    *why = TA_DROP_REPLAY;
    if (is_replay(received, first))
        return TA_EBITSTREAM;
    const uint64_t wraps = !received->any || arrival_us > received->heard_us + TA_SEAL_SILENT_US ? MORE_WRAPS : 0;
    const part sealed = {in + head, size - head - TA_SEAL_TAG};
    *why = TA_DROP_AUTH;
    for (uint64_t index = first; index <= first + wraps * 0x10000; index += 0x10000) {
        uint8_t nonce[SALT];
        make_nonce(&p->peer[0], ssrc, index, nonce);
        if (!unseal(&p->peer[0], nonce, (part[2]){{in, head}, {0}}, sealed, out + head, in + size - TA_SEAL_TAG))
            continue;
        *newest = mark(received, index, arrival_us);
        return TA_OK;
    }
    return TA_EBITSTREAM;
}

ta_status ta_unseal_rtp(ta_seal *s, const uint8_t *in, size_t size, uint64_t arrival_us, uint8_t *out, size_t *out_size,
                        bool *newest, ta_drop *why) {
    pair *pairs[2];
    *newest = false;
    *why = TA_DROP_SHORT;
    const size_t head = size < TA_SEAL_TAG ? 0 : rtp_header(in, size - TA_SEAL_TAG, why);
    if (!head)
        return TA_EBITSTREAM;
    *why = TA_DROP_AUTH;
    const int count = opening(s, arrival_us, pairs);
    for (int i = 0; i < count; i++) {
        if (unseal_rtp_with(pairs[i], in, size, head, arrival_us, out, newest, why) != TA_OK)
            continue;
        used(s, pairs[i], arrival_us);
        memcpy(out, in, head);
        *out_size = size - TA_SEAL_TAG;
        return TA_OK;
    }
    return TA_EBITSTREAM;
}

ta_status ta_unseal_rtcp(ta_seal *s, const uint8_t *in, size_t size, uint64_t arrival_us, uint8_t *out,
                         size_t *out_size, bool *newest, ta_drop *why) {
    pair *pairs[2];
    uint8_t nonce[SALT];
    *newest = false;
    *why = TA_DROP_SHORT;
    if (size < RTCP_HEADER + TA_SEAL_CONTROL)
        return TA_EBITSTREAM;
    const uint8_t *trailer = in + size - INDEX, *tag = trailer - TA_SEAL_TAG;
    const uint32_t index = (uint32_t)ta_get_be(trailer, INDEX) & ~ENCRYPTED;
    const part sealed = {in + RTCP_HEADER, size - RTCP_HEADER - TA_SEAL_CONTROL};
    *why = TA_DROP_AUTH;
    if (!(trailer[0] & 0x80)) /* not marked as encrypted: refused */
        return TA_EBITSTREAM;
    const int count = opening(s, arrival_us, pairs);
    for (int i = 0; i < count; i++) {
        stream *received = &pairs[i]->received[CONTROL];
        *why = TA_DROP_REPLAY;
        if (is_replay(received, index))
            continue;
        *why = TA_DROP_AUTH;
        make_nonce(&pairs[i]->peer[1], (uint32_t)ta_get_be(in + 4, 4), index, nonce);
        if (!unseal(&pairs[i]->peer[1], nonce, (part[2]){{in, RTCP_HEADER}, {trailer, INDEX}}, sealed,
                    out + RTCP_HEADER, tag))
            continue;
        *newest = mark(received, index, arrival_us);
        used(s, pairs[i], arrival_us);
        memcpy(out, in, RTCP_HEADER);
        *out_size = size - TA_SEAL_CONTROL;
        return TA_OK;
    }
    return TA_EBITSTREAM;
}
