/* Sums of multiples without a multiplication table. A factor is four digits of two bits, so the sum of f_j * s_j is
 * Horner's scheme in 4 over plain XOR sums, one for each value of a digit; 3 = 2 + 1 goes into both other sums. That
 * costs three XORs per word and factor on average, one for a factor of 1, plus the doubling of a few sums, lane by lane
 * as in H. P. Anvin, "The mathematics of RAID-6". Vectors and ARM words run the same code. */
#include "gf256.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES static __attribute__((target_clones("avx2", "default")))
#else
#define CLONES static
#endif

#define INLINE static inline __attribute__((always_inline))

#if defined(__SSE2__)
typedef uint32_t lane __attribute__((vector_size(32), aligned(4), may_alias));
#elif defined(__ARM_NEON)
typedef uint32_t lane __attribute__((vector_size(16), aligned(4), may_alias));
#else
typedef uint32_t lane __attribute__((may_alias));
#endif

void ta_gf256_init(ta_gf256 *field) {
    unsigned value = 1;
    for (unsigned i = 0; i < 255; i++) {
        field->exp[i] = (uint8_t)value;
        field->log[value] = (uint8_t)i;
        value = value << 1 ^ (value & 0x80 ? 0x11d : 0);
    }
    field->log[0] = 0;
}

void ta_gf256_begin(ta_gf256_sum *sum) { memset(sum->count, 0, sizeof sum->count); }

void ta_gf256_add(ta_gf256_sum *sum, uint8_t factor, const uint8_t *line) {
    for (unsigned digit = 0; digit < 4; digit++) {
        const unsigned value = factor >> 2 * digit & 3;
        if (value)
            sum->lines[digit][value - 1][sum->count[digit][value - 1]++] = line;
    }
}

enum { LANES = 4 };

INLINE void double_all(lane total[LANES]) {
    for (int i = 0; i < LANES; i++) {
        const lane high = total[i] & 0x80808080u;
        total[i] = (total[i] ^ high) << 1 ^ ((high - (high >> 7)) & 0x1d1d1d1du);
    }
}

/* XORs lines up to `end`; returns `end`. */
INLINE const uint8_t *const *xor_all(lane total[LANES], const uint8_t *const *line, const uint8_t *const *end,
                                     size_t at) {
    for (; line < end; line++) {
        const lane *from = (const lane *)(*line + at);
        for (int i = 0; i < LANES; i++)
            total[i] ^= from[i];
    }
    return end;
}

/* `ends`: of the lines with digits 3, 2 and 1, highest digit first. */
CLONES void add_up(const uint8_t *const *lines, const uint8_t *const *const *ends, int digits, uint8_t *out,
                   size_t size) {
    for (size_t at = 0; at < size; at += LANES * sizeof(lane)) {
        lane total[LANES] = {0};
        const uint8_t *const *line = lines, *const *const *end = ends;
        for (int digit = 0; digit < digits; digit++) {
            lane both[LANES] = {0};
            line = xor_all(both, line, *end++, at);
            for (int bit = 0; bit < 2; bit++) {
                double_all(total);
                for (int i = 0; i < LANES; i++)
                    total[i] ^= both[i];
                line = xor_all(total, line, *end++, at);
            }
        }
        for (int i = 0; i < LANES; i++)
            ((lane *)(out + at))[i] = total[i];
    }
}

void ta_gf256_end(ta_gf256_sum *sum, uint8_t *out, size_t size) {
    const uint8_t **next = sum->ordered, *const * ends[12]; /* one array in order of use: fewer lookups between lines */
    int lists = 0;
    for (int digit = 3; digit >= 0; digit--) {
        if (lists == 0 && digit > 0 && !(sum->count[digit][0] | sum->count[digit][1] | sum->count[digit][2]))
            continue;
        for (int value = 2; value >= 0; value--) {
            memcpy(next, sum->lines[digit][value], sum->count[digit][value] * sizeof *next);
            next += sum->count[digit][value];
            ends[lists++] = next;
        }
    }
    add_up(sum->ordered, ends, lists / 3, out, size);
}
