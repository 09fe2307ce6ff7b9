/* The visual code in a picture. Two rows of 34 cells: a white and a black reference, then 32 bits, most significant
 * first. Row 0 is the frame id (16 bits) and a CRC-16/CCITT-FALSE of the other 48 bits; row 1 is the capture time in us
 * modulo 2^32. Python draws it (visual_code.py). */
#ifndef THINAIR_VISUAL_CODE_H
#define THINAIR_VISUAL_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ta_code {
    uint16_t frame_id;
    uint32_t time_us;
} ta_code;

typedef struct ta_code_place {
    size_t row[2]; /* byte offsets of the centre of each row's first cell */
} ta_code_place;

/* Reads the brightness of 34 cell centres in both rows, `step` bytes apart. The caller ensures that all lie in
 * `pixels`. Returns false if there is no code or its checksum fails. */
bool ta_code_read(const uint8_t *pixels, const ta_code_place *place, size_t step, ta_code *out);

#endif
