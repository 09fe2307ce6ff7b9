/* Repair symbols. Every symbol of a block is a point of GF(256): source j is j, repair symbol i is 255 - i; all differ
 * while a block has at most 255 symbols. From any k of them, every other follows by Lagrange interpolation. Both ends
 * compute that in logarithms: no matrix is stored or inverted. */
#include "thinair/repair.h"

#include <stdlib.h>
#include <string.h>

#include "aligned_lines.h"

enum { LEAD = TA_LINE_LEAD, SKIP = TA_LINE_SKIP };

typedef struct lines { /* memory for symbols, and their sum */
    size_t max_sources, max_source, stride;
    uint8_t *memory; /* max_sources lines and one for the result */
    ta_gf256 field;
    ta_gf256_sum sum;
} lines;

static ta_status lines_open(lines *l, size_t max_sources, size_t max_source) {
    l->max_sources = max_sources;
    l->max_source = max_source;
    l->stride = TA_LINE_SIZE(max_source);
    l->memory = calloc(max_sources + 1, l->stride);
    ta_gf256_init(&l->field);
    return l->memory ? TA_OK : TA_ENOMEM;
}

static bool sizes_are_valid(size_t max_sources, size_t max_source) {
    return max_sources && max_sources <= TA_REPAIR_MAX_SOURCES && max_source && max_source <= TA_REPAIR_MAX_SOURCE;
}

static uint8_t *line_at(const lines *l, size_t index) { return l->memory + index * l->stride; }

static void line_end(const lines *l, uint8_t *line, size_t used) { memset(line + used, 0, l->stride - used); }

static void line_fill(const lines *l, uint8_t *line, const uint8_t *data, size_t size) {
    if (size && data != line + LEAD)
        memcpy(line + LEAD, data, size);
    ta_line_close(line, size, l->stride);
}

static uint8_t power(const ta_gf256 *field, int exponent) {
    exponent %= 255;
    return field->exp[exponent < 0 ? exponent + 255 : exponent];
}

static size_t repairs_of(size_t sources) { return TA_REPAIR_MAX_SYMBOLS - sources; }

static uint8_t point_of_repair(size_t index) { return (uint8_t)(255 - index); }

void ta_lines_symbol(const ta_gf256 *field, ta_gf256_sum *sum, const uint8_t *const *lines, size_t count,
                     size_t longest, size_t index, uint8_t *out) {
    const uint8_t *log = field->log, point = point_of_repair(index);
    ta_gf256_begin(sum);
    for (size_t j = 0; j < count; j++)
        ta_gf256_add(sum, power(field, log[255 ^ j] - log[point ^ j]), lines[j]);
    ta_gf256_end(sum, out, LEAD + longest);
}

/* ---- Encoder ---- */

struct ta_repair_encoder {
    size_t count, longest;
    lines l;
};

ta_status ta_repair_encoder_open(ta_repair_encoder **out, size_t max_sources, size_t max_source) {
    *out = NULL;
    if (!sizes_are_valid(max_sources, max_source))
        return TA_EINVAL;
    ta_repair_encoder *e = calloc(1, sizeof *e);
    if (!e || lines_open(&e->l, max_sources, max_source) != TA_OK) {
        free(e);
        return TA_ENOMEM;
    }
    *out = e;
    return TA_OK;
}

void ta_repair_encoder_reset(ta_repair_encoder *e) { e->count = e->longest = 0; }

uint8_t *ta_repair_encoder_place(ta_repair_encoder *e) {
    return e->count < e->l.max_sources ? line_at(&e->l, e->count) + LEAD : NULL;
}

ta_status ta_repair_encoder_add(ta_repair_encoder *e, const uint8_t *data, size_t size) {
    if (e->count == e->l.max_sources || size > e->l.max_source)
        return TA_ETOOBIG;
    line_fill(&e->l, line_at(&e->l, e->count++), data, size);
    e->longest = size > e->longest ? size : e->longest;
    return TA_OK;
}

ta_status ta_repair_encoder_add_all(ta_repair_encoder *e, const uint8_t *const *data, const size_t *sizes,
                                    size_t count) {
    if (count > e->l.max_sources - e->count)
        return TA_ETOOBIG;
    for (size_t i = 0; i < count; i++)
        if (sizes[i] > e->l.max_source)
            return TA_ETOOBIG;
    for (size_t i = 0; i < count; i++)
        ta_repair_encoder_add(e, data[i], sizes[i]);
    return TA_OK;
}

ta_status ta_repair_encoder_symbol(ta_repair_encoder *e, size_t index, uint8_t *out, size_t capacity, size_t *size) {
    lines *l = &e->l;
    if (!e->count || index >= repairs_of(e->count))
        return TA_EINVAL;
    if (capacity < TA_REPAIR_SIZE + e->longest)
        return TA_ETOOBIG;
    const uint8_t *sources[TA_REPAIR_MAX_SOURCES];
    uint8_t *result = line_at(l, l->max_sources);
    for (size_t j = 0; j < e->count; j++)
        sources[j] = line_at(l, j);
    ta_lines_symbol(&l->field, &l->sum, sources, e->count, e->longest, index, result);
    *size = TA_REPAIR_SIZE + e->longest;
    memcpy(out, result + SKIP, *size);
    return TA_OK;
}

void ta_repair_encoder_close(ta_repair_encoder **e) {
    if (*e)
        free((*e)->l.memory);
    free(*e);
    *e = NULL;
}

/* ---- Decoder ---- */

struct ta_repair_decoder {
    size_t sources, held;
    size_t longest;                       /* of the sources held */
    size_t symbol;                        /* bytes of a repair symbol; 0: none held */
    bool have[256];                       /* by point */
    uint8_t point[TA_REPAIR_MAX_SOURCES]; /* of line 0 .. held - 1 */
    bool solved;
    int weight[256]; /* by point, of held and missing ones: see solve() */
    lines l;
};

ta_status ta_repair_decoder_open(ta_repair_decoder **out, size_t max_sources, size_t max_source) {
    *out = NULL;
    if (!sizes_are_valid(max_sources, max_source))
        return TA_EINVAL;
    ta_repair_decoder *d = calloc(1, sizeof *d);
    if (!d || lines_open(&d->l, max_sources, max_source) != TA_OK) {
        free(d);
        return TA_ENOMEM;
    }
    *out = d;
    return TA_OK;
}

ta_status ta_repair_decoder_begin(ta_repair_decoder *d, size_t sources) {
    if (!sources || sources > d->l.max_sources)
        return TA_EINVAL;
    d->sources = sources;
    d->held = d->longest = d->symbol = 0;
    d->solved = false;
    memset(d->have, 0, sizeof d->have);
    return TA_OK;
}

size_t ta_repair_decoder_wanted(const ta_repair_decoder *d) { return d->sources - d->held; }

/* Returns the line for a new symbol; NULL if it is not needed. */
static uint8_t *hold(ta_repair_decoder *d, uint8_t point) {
    if (d->have[point] || d->held == d->sources)
        return NULL;
    d->have[point] = true;
    d->point[d->held] = point;
    return line_at(&d->l, d->held++);
}

ta_status ta_repair_decoder_source(ta_repair_decoder *d, size_t index, const uint8_t *data, size_t size) {
    if (index >= d->sources)
        return TA_EINVAL;
    if (size > d->l.max_source)
        return TA_ETOOBIG;
    if (d->symbol && size + TA_REPAIR_SIZE > d->symbol)
        return TA_EBITSTREAM;
    uint8_t *line = hold(d, (uint8_t)index);
    if (!line)
        return TA_AGAIN;
    line_fill(&d->l, line, data, size);
    d->longest = size > d->longest ? size : d->longest;
    return TA_OK;
}

ta_status ta_repair_decoder_symbol(ta_repair_decoder *d, size_t index, const uint8_t *data, size_t size) {
    if (!d->sources || index >= repairs_of(d->sources))
        return TA_EINVAL;
    if (size > TA_REPAIR_SIZE + d->l.max_source)
        return TA_ETOOBIG;
    if (size < TA_REPAIR_SIZE + d->longest || (d->symbol && size != d->symbol))
        return TA_EBITSTREAM;
    uint8_t *line = hold(d, point_of_repair(index));
    if (!line)
        return TA_AGAIN;
    memset(line, 0, SKIP);
    memcpy(line + SKIP, data, size);
    line_end(&d->l, line, SKIP + size);
    d->symbol = size;
    return TA_OK;
}

/* Source m is the sum over the held points z of symbol z times exp(weight[z] - weight[m] - log(z ^ m)). With f of
 * degree below k, source j = f(j) / ((255 ^ j) * product of (j ^ l) over the other sources l), and repair symbol x =
 * f(x) / product of (x ^ l) over all of them. In Lagrange's formula everything cancels except missing sources and held
 * repair symbols. */
static void solve(ta_repair_decoder *d) {
    const uint8_t *log = d->l.field.log;
    uint8_t missing[TA_REPAIR_MAX_SOURCES];
    size_t count = 0;
    for (size_t j = 0; j < d->sources; j++)
        if (!d->have[j])
            missing[count++] = (uint8_t)j;
    for (size_t z = 0; z < 256; z++) {
        if (z >= d->sources && !d->have[z])
            continue;
        int weight = z < d->sources ? log[255 ^ z] : 0;
        for (size_t n = 0; n < count; n++)
            weight += missing[n] != z ? log[missing[n] ^ z] : 0;
        for (size_t n = 0; n < d->held; n++)
            weight -= d->point[n] >= d->sources && d->point[n] != z ? log[d->point[n] ^ z] : 0;
        d->weight[z] = weight;
    }
    d->solved = true;
}

ta_status ta_repair_decoder_restore(ta_repair_decoder *d, size_t index, uint8_t *out, size_t capacity, size_t *size) {
    lines *l = &d->l;
    if (index >= d->sources || d->have[index])
        return TA_EINVAL;
    if (d->held < d->sources)
        return TA_AGAIN;
    if (!d->solved)
        solve(d);
    uint8_t *result = line_at(l, l->max_sources);
    ta_gf256_begin(&l->sum);
    for (size_t n = 0; n < d->held; n++) {
        const uint8_t z = d->point[n];
        ta_gf256_add(&l->sum, power(&l->field, d->weight[z] - d->weight[index] - l->field.log[z ^ index]),
                     line_at(l, n));
    }
    ta_gf256_end(&l->sum, result, SKIP + d->symbol);
    const size_t length = (size_t)ta_get_be(result + SKIP, TA_REPAIR_SIZE);
    if (length + TA_REPAIR_SIZE > d->symbol)
        return TA_EBITSTREAM;
    for (size_t i = LEAD + length; i < SKIP + d->symbol; i++)
        if (result[i])
            return TA_EBITSTREAM;
    if (length > capacity)
        return TA_ETOOBIG;
    memcpy(out, result + LEAD, length);
    *size = length;
    return TA_OK;
}

void ta_repair_decoder_close(ta_repair_decoder **d) {
    if (*d)
        free((*d)->l.memory);
    free(*d);
    *d = NULL;
}
