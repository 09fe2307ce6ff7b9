/* I420 to BGRX, and overlays on BGRX.
 *
 * Everything runs in 16-bit lanes, so that the compiler vectorizes 16 pixels into an AVX2 register: a product keeps its
 * upper half (pmulhw), sums carry five fractional bits, and the last shift rounds. Truncation costs at most 3/32 of a
 * step, half of which the rounding constant recovers: results are within 1 of the exact value, rounded.
 *
 * Formulas: ITU-T H.273 8.3, equations 20-22 (limited) and 26-28 (full), matrices 1 (BT.709) and 6 (BT.601). Chroma is
 * repeated, not interpolated. */
#include <string.h>

#include "thinair/picture.h"

/* One build serves every x86-64: the loader selects the clone. This needs ifunc, hence glibc. Static, since clones
 * ignore hidden visibility otherwise. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES static __attribute__((target_clones("avx2", "default")))
#else
#define CLONES static
#endif
#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 2048 }; /* pixels per pass: the chroma terms of two rows stay in the L1 cache */

typedef struct matrix {
    uint16_t y;   /* times 2^13, like all factors: samples are shifted left by 8 */
    int16_t bias; /* black level, 1/2 for rounding, and 1/32 of what truncation loses */
    int16_t r_v, g_u, g_v, b_u;
} matrix;

/* [bt709][full_range]: y = 255/219 or 1, chroma = 2 (1 - K) times 255/224 or 1, and the two factors of green. */
static const matrix MATRICES[2][2] = {
    {{9539, 17 - 596, 13075, -3209, -6660, 16525}, {8192, 17, 11485, -2819, -5850, 14516}},
    {{9539, 17 - 596, 14686, -1747, -4366, 17305}, {8192, 17, 12901, -1535, -3835, 15201}},
};

INLINE int16_t high(int16_t a, int16_t b) { return (int16_t)(((int32_t)a * b) >> 16); }

INLINE uint16_t clamp(int16_t q5) {
    int16_t v = (int16_t)(q5 >> 5);
    v = v < 0 ? 0 : v;
    return (uint16_t)(v > 255 ? 255 : v);
}

/* Computes chroma terms and bias of `pairs` samples, each written twice. */
INLINE void chroma_terms(const uint8_t *restrict u, const uint8_t *restrict v, int16_t *restrict r, int16_t *restrict g,
                         int16_t *restrict b, uint32_t pairs, const matrix *m) {
    const int16_t bias = m->bias, r_v = m->r_v, g_u = m->g_u, g_v = m->g_v, b_u = m->b_u;
    for (uint32_t i = 0; i < pairs; i++) {
        const int16_t cb = (int16_t)((u[i] - 128) * 256), cr = (int16_t)((v[i] - 128) * 256);
        r[2 * i] = r[2 * i + 1] = (int16_t)(high(cr, r_v) + bias);
        g[2 * i] = g[2 * i + 1] = (int16_t)(high(cb, g_u) + high(cr, g_v) + bias);
        b[2 * i] = b[2 * i + 1] = (int16_t)(high(cb, b_u) + bias);
    }
}

INLINE void luma_row(const uint8_t *restrict y, const int16_t *restrict r, const int16_t *restrict g,
                     const int16_t *restrict b, uint16_t *restrict out, uint32_t pixels, uint16_t gain) {
    for (uint32_t i = 0; i < pixels; i++) {
        const int16_t luma = (int16_t)(((uint32_t)(uint16_t)(y[i] << 8) * gain) >> 16);
        out[2 * i] = (uint16_t)(clamp((int16_t)(luma + b[i])) | clamp((int16_t)(luma + g[i])) << 8);
        out[2 * i + 1] = (uint16_t)(clamp((int16_t)(luma + r[i])) | 0xff00);
    }
}

CLONES void convert_rows(const ta_picture *in, uint8_t *out, ptrdiff_t out_stride, uint32_t from, uint32_t to) {
    const matrix *m = &MATRICES[in->bt709][in->full_range];
    int16_t r[BLOCK], g[BLOCK], b[BLOCK];
    for (uint32_t row = from; row < to; row += 2) {
        const uint8_t *u = in->u + (ptrdiff_t)(row / 2) * in->u_stride,
                      *v = in->v + (ptrdiff_t)(row / 2) * in->v_stride;
        for (uint32_t x = 0; x < in->width; x += BLOCK) {
            const uint32_t pixels = in->width - x < BLOCK ? in->width - x : BLOCK;
            chroma_terms(u + x / 2, v + x / 2, r, g, b, (pixels + 1) / 2, m);
            for (uint32_t line = row; line < row + 2 && line < to; line++)
                luma_row(in->y + (ptrdiff_t)line * in->y_stride + x, r, g, b,
                         (uint16_t *)(void *)(out + (ptrdiff_t)line * out_stride + (ptrdiff_t)x * 4), pixels, m->y);
        }
    }
}

void ta_i420_to_bgrx(const ta_picture *in, uint8_t *out, ptrdiff_t out_stride, uint32_t from, uint32_t to) {
    convert_rows(in, out, out_stride, from, to);
}

/* v * k / 255, rounded; exact for products up to 255 * 255. */
INLINE uint32_t scale(uint32_t v, uint32_t k) {
    const uint32_t x = v * k + 128;
    return (x + (x >> 8)) >> 8;
}

INLINE uint32_t blend(uint32_t pixel, uint32_t coverage, uint32_t dim) {
    const uint32_t k = scale(255 - coverage, dim);
    return 0xff000000u | (scale(pixel >> 16 & 255, k) + coverage) << 16 | (scale(pixel >> 8 & 255, k) + coverage) << 8 |
           (scale(pixel & 255, k) + coverage);
}

INLINE void blend_row(uint32_t *restrict pixels, const uint8_t *restrict mask, uint32_t count, uint32_t dim) {
    for (uint32_t i = 0; i < count; i++)
        pixels[i] = blend(pixels[i], mask[i], dim);
}

CLONES void blend_rows(uint8_t *bgrx, ptrdiff_t stride, uint32_t width, uint32_t height, const ta_overlay *overlay) {
    static const uint8_t no_text[BLOCK];
    const int64_t left = overlay->x > 0 ? overlay->x : 0, top = overlay->y > 0 ? overlay->y : 0;
    int64_t right = (int64_t)overlay->x + overlay->width, bottom = (int64_t)overlay->y + overlay->height;
    right = right < width ? right : width;
    bottom = bottom < height ? bottom : height;
    for (int64_t y = top; y < bottom; y++)
        for (int64_t x = left; x < right; x += BLOCK) {
            const uint8_t *mask =
                overlay->mask ? overlay->mask + (y - overlay->y) * overlay->width + (x - overlay->x) : no_text;
            blend_row((uint32_t *)(void *)(bgrx + y * stride) + x, mask,
                      right - x < BLOCK ? (uint32_t)(right - x) : BLOCK, overlay->dim);
        }
}

void ta_overlay_blend(uint8_t *bgrx, ptrdiff_t stride, uint32_t width, uint32_t height, const ta_overlay *overlay) {
    blend_rows(bgrx, stride, width, height, overlay);
}

static void fill(uint8_t *bgrx, ptrdiff_t stride, uint32_t left, uint32_t right, uint32_t top, uint32_t bottom,
                 uint32_t pixel) {
    for (uint32_t y = top; y < bottom; y++)
        for (uint32_t x = left; x < right; x++)
            memcpy(bgrx + (ptrdiff_t)y * stride + (ptrdiff_t)x * 4, &pixel, 4);
}

void ta_border(uint8_t *bgrx, ptrdiff_t stride, uint32_t width, uint32_t height, uint32_t thickness, uint32_t rgb) {
    const uint32_t pixel = rgb | 0xff000000u;
    const uint32_t t =
        2 * thickness < (width < height ? width : height) ? thickness : (width < height ? width : height) / 2;
    fill(bgrx, stride, 0, width, 0, t, pixel);
    fill(bgrx, stride, 0, width, height - t, height, pixel);
    fill(bgrx, stride, 0, t, t, height - t, pixel);
    fill(bgrx, stride, width - t, width, t, height - t, pixel);
}
