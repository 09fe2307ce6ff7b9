/* Sums of multiples without a multiplication table: with the factors' bits apart, sum(f_j * s_j) is Horner's scheme in 2 over
 * eight plain XOR sums, at four XORs a word and factor on average and none but one for a factor of 1. Words do it everywhere
 * that vectors do, in the same lines (arithmetic as H. P. Anvin, "The mathematics of RAID-6"). */
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

INLINE void xor_all(lane total[LANES], const uint8_t *const *lines, size_t count, size_t at) {
    for (const uint8_t *const *end = lines + count; lines < end; lines++) {
        const lane *line = (const lane *)(*lines + at);
        for (int i = 0; i < LANES; i++)
            total[i] ^= line[i];
    }
}

CLONES void add_up(const ta_gf256_sum *sum, uint8_t *out, size_t size) {
    int top = 3;
    while (top > 0 && !(sum->count[top][0] | sum->count[top][1] | sum->count[top][2]))
        top--;
    for (size_t at = 0; at < size; at += LANES * sizeof(lane)) {
        lane total[LANES] = {0};
        for (int digit = top; digit >= 0; digit--) {
            lane both[LANES] = {0};
            xor_all(both, sum->lines[digit][2], sum->count[digit][2], at);
            for (int bit = 1; bit >= 0; bit--) {
                double_all(total);
                for (int i = 0; i < LANES; i++)
                    total[i] ^= both[i];
                xor_all(total, sum->lines[digit][bit], sum->count[digit][bit], at);
            }
        }
        for (int i = 0; i < LANES; i++)
            ((lane *)(out + at))[i] = total[i];
    }
}

void ta_gf256_end(const ta_gf256_sum *sum, uint8_t *out, size_t size) { add_up(sum, out, size); }
