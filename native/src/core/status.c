/* Names of statuses and drop reasons, for users and JSON. */
#include "thinair/status.h"

const char *ta_status_text(ta_status status) {
    switch (status) {
    case TA_OK: return "ok";
    case TA_AGAIN: return "nothing available";
    case TA_EINVAL: return "invalid argument";
    case TA_ENOMEM: return "out of memory";
    case TA_ETOOBIG: return "over its size limit";
    case TA_EBITSTREAM: return "not valid H.264";
    case TA_ESYS: return "a system call failed";
    }
    return "unknown status";
}

const char *ta_drop_name(ta_drop reason) {
    static const char *const names[TA_DROP_COUNT] = {
        "short",     "version",    "padding",    "extension", "payload_type", "ssrc", "address",
        "duplicate", "late",       "sequence",   "oversize",  "element",      "stap", "fu",
        "nal",       "incomplete", "queue_full", "control",   "repair",       "auth", "replay",
    };
    return (unsigned)reason < TA_DROP_COUNT ? names[reason] : "unknown";
}
