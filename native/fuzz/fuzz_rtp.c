/* One RTP packet: pointers of an accepted one lead into the datagram. */
#include "fuzz.h"
#include "thinair/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ta_rtp p;
    ta_drop why = TA_DROP_COUNT;
    ta_status status = ta_rtp_parse(data, size, &p, &why);
    CHECK(why < TA_DROP_COUNT && (status == TA_OK || status == TA_EBITSTREAM));
    if (status == TA_OK) {
        CHECK(p.payload_size > 0 && p.payload >= data + TA_RTP_HEADER);
        CHECK(p.payload + p.payload_size <= data + size);
    }
    return 0;
}
