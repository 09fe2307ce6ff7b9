/* Result codes, and the reasons why a datagram or a frame was not used.
 *
 * Conventions of every call in these headers:
 * - `ta_x_open` allocates; the caller owns the result until `ta_x_close`, which frees it and sets the handle to NULL. A
 *   second close does nothing.
 * - Calls copy what they are given, unless they say otherwise.
 * - Calls of src/core make no system call, read no clock, and allocate nothing after open. One owner at a time.
 * - Times ending in _us are microseconds of CLOCK_MONOTONIC of this machine, unless they say otherwise. */
#ifndef THINAIR_STATUS_H
#define THINAIR_STATUS_H

typedef enum ta_status {
    TA_OK = 0,
    TA_AGAIN,      /* nothing available now */
    TA_EINVAL,     /* invalid argument */
    TA_ENOMEM,     /* out of memory */
    TA_ETOOBIG,    /* over a documented limit, or the output buffer is too small */
    TA_EBITSTREAM, /* the input violates its syntax */
    TA_ESYS,       /* a system call failed, see errno */
} ta_status;

/* Returns English text for a status; never NULL, static storage. */
const char *ta_status_text(ta_status status);

typedef enum ta_drop {
    TA_DROP_SHORT = 0,    /* shorter than its headers */
    TA_DROP_VERSION,      /* RTP version is not 2 */
    TA_DROP_PADDING,      /* padding count exceeds the packet */
    TA_DROP_EXTENSION,    /* header extension or CSRC count exceeds the packet */
    TA_DROP_PAYLOAD_TYPE, /* unexpected payload type */
    TA_DROP_SSRC,         /* unexpected SSRC */
    TA_DROP_ADDRESS,      /* from an address without a session */
    TA_DROP_DUPLICATE,    /* received before */
    TA_DROP_LATE,         /* its frame is already decided */
    TA_DROP_SEQUENCE,     /* far outside the window, or inside another frame's sequence numbers */
    TA_DROP_OVERSIZE,     /* packet, frame or access unit over its limit */
    TA_DROP_ELEMENT,      /* frame element missing, inconsistent, or contradicting its frame */
    TA_DROP_STAP,         /* STAP-A with invalid sizes */
    TA_DROP_FU,           /* FU-A without start, with S and E, or with a gap */
    TA_DROP_NAL,          /* NAL unit type outside packetization mode 1 (RFC 6184 6.3) */
    TA_DROP_INCOMPLETE,   /* frame: abandoned with packets missing */
    TA_DROP_QUEUE_FULL,   /* frame: completed, but not taken in time */
    TA_DROP_CONTROL,      /* control message malformed, or its queue full */
    TA_DROP_REPAIR,       /* repair packet malformed, or contradicting its frame */
    TA_DROP_AUTH,         /* not sealed with the session's keys */
    TA_DROP_REPLAY,       /* sealed, but received before or older than the replay window */
    TA_DROP_COUNT
} ta_drop;

/* Returns the reason's name, as reports print it; "unknown" outside the enum. Static storage. */
const char *ta_drop_name(ta_drop reason);

#endif
