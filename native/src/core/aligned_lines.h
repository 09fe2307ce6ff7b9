/* The layout of a source or symbol in memory, so that sums run over aligned words: LEAD bytes, of which the last two
 * are its size; its data, aligned to a word; zeros up to a multiple of TA_GF256_STRIDE. */
#ifndef THINAIR_CORE_LINES_H
#define THINAIR_CORE_LINES_H

#include <string.h>

#include "bytes.h"
#include "gf256.h"
#include "thinair/repair.h"

enum { TA_LINE_LEAD = 4, TA_LINE_SKIP = TA_LINE_LEAD - TA_REPAIR_SIZE };

#define TA_LINE_SIZE(data) ((TA_LINE_LEAD + (data) + TA_GF256_STRIDE - 1) / TA_GF256_STRIDE * TA_GF256_STRIDE)

/* Writes the size in front of `size` data bytes that are already in the line, and zeros behind them. */
static inline void ta_line_close(uint8_t *line, size_t size, size_t line_size) {
    memset(line, 0, TA_LINE_SKIP);
    ta_put_be(line + TA_LINE_SKIP, size, TA_REPAIR_SIZE);
    memset(line + TA_LINE_LEAD + size, 0, line_size - TA_LINE_LEAD - size);
}

/* Computes repair symbol `index` of `count` lines, none longer than `longest`, into the line `out`. */
void ta_lines_symbol(const ta_gf256 *field, ta_gf256_sum *sum, const uint8_t *const *lines, size_t count,
                     size_t longest, size_t index, uint8_t *out);

#endif
