#include "thinair/visual_code.h"

enum { CELLS = 34, BITS = 32, MIN_CONTRAST = 80 };

static uint16_t crc_ccitt(const uint8_t *data, size_t size) {
    uint16_t crc = 0xffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint16_t)(data[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

static bool read_row(const uint8_t *first, size_t step, uint32_t *out) {
    const int white = first[0], black = first[step];
    if (white - black < MIN_CONTRAST)
        return false;
    const int threshold = (white + black) / 2;
    uint32_t value = 0;
    for (int i = CELLS - BITS; i < CELLS; i++)
        value = value << 1 | (first[(size_t)i * step] > threshold);
    *out = value;
    return true;
}

bool ta_code_read(const uint8_t *pixels, const ta_code_place *place, size_t step, ta_code *out) {
    uint32_t head, time_us;
    if (!read_row(pixels + place->row[0], step, &head) || !read_row(pixels + place->row[1], step, &time_us))
        return false;
    const uint8_t body[6] = {(uint8_t)(head >> 24),    (uint8_t)(head >> 16),   (uint8_t)(time_us >> 24),
                             (uint8_t)(time_us >> 16), (uint8_t)(time_us >> 8), (uint8_t)time_us};
    if (crc_ccitt(body, sizeof body) != (head & 0xffff))
        return false;
    *out = (ta_code){.frame_id = (uint16_t)(head >> 16), .time_us = time_us};
    return true;
}
