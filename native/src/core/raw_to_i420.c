/* Raw pictures of capture devices to I420. Layouts: Linux media uAPI, packed YUV formats and semi-planar NV12.
 *
 * Every inner loop reads or writes pairs of bytes, which compilers vectorize as packs; chroma of two lines is averaged
 * (rounded up) into a temporary line first. Bytes only: no unaligned word access. */
#include <string.h>

#include "thinair/picture.h"

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES static __attribute__((target_clones("avx2", "default")))
#else
#define CLONES static
#endif
#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 1024 }; /* pairs of pixels per pass: their chroma stays in the L1 cache */

INLINE void split(const uint8_t *restrict in, uint8_t *restrict even, uint8_t *restrict odd, size_t pairs) {
    for (size_t i = 0; i < pairs; i++) {
        even[i] = in[2 * i];
        odd[i] = in[2 * i + 1];
    }
}

INLINE void every_other(const uint8_t *restrict in, uint8_t *restrict out, size_t count) {
    for (size_t i = 0; i < count; i++)
        out[i] = in[2 * i];
}

INLINE void average(const uint8_t *restrict a, const uint8_t *restrict b, uint8_t *restrict out, size_t count) {
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)((a[2 * i] + b[2 * i] + 1) >> 1);
}

/* `luma`: offset of Y in a pair of bytes: 1 in UYVY, 0 in YUYV. */
INLINE void packed(const ta_raw_picture *in, const ta_i420 *out, size_t luma) {
    uint8_t chroma[2 * BLOCK];
    const size_t width = in->width;
    for (uint32_t row = 0; row < in->height; row += 2) {
        const uint8_t *a = in->data + row * in->stride;
        const bool two = row + 1 < in->height; /* the last line of an odd height has its own chroma */
        const uint8_t *b = two ? a + in->stride : a;
        uint8_t *y = out->y + row * out->y_stride;
        uint8_t *u = out->u + row / 2 * out->u_stride, *v = out->v + row / 2 * out->v_stride;
        for (size_t x = 0; x < width; x += 2 * BLOCK) {
            const size_t pixels = width - x < 2 * BLOCK ? width - x : 2 * BLOCK, pairs = (pixels + 1) / 2;
            every_other(a + 2 * x + luma, y + x, pixels);
            if (two)
                every_other(b + 2 * x + luma, y + out->y_stride + x, pixels);
            average(a + 2 * x + 1 - luma, b + 2 * x + 1 - luma, chroma, 2 * pairs);
            split(chroma, u + x / 2, v + x / 2, pairs);
        }
    }
}

CLONES void convert_uyvy(const ta_raw_picture *in, const ta_i420 *out) { packed(in, out, 1); }

CLONES void convert_yuyv(const ta_raw_picture *in, const ta_i420 *out) { packed(in, out, 0); }

CLONES void convert_nv12(const ta_raw_picture *in, const ta_i420 *out) {
    for (uint32_t row = 0; row < in->height; row++)
        memcpy(out->y + row * out->y_stride, in->data + row * in->stride, in->width);
    const uint8_t *chroma = in->data + in->height * in->stride;
    for (uint32_t row = 0; row < (in->height + 1) / 2; row++)
        split(chroma + row * in->stride, out->u + row * out->u_stride, out->v + row * out->v_stride,
              (in->width + 1) / 2);
}

/* Returns whether `lines` of `bytes` each, `stride` apart, fit `size`. Cannot overflow a 32-bit size_t: both factors
 * are bounded first. */
static bool holds(size_t size, size_t stride, size_t bytes, size_t lines) {
    return stride >= bytes && stride <= TA_MAX_RAW_STRIDE && size >= bytes && (size - bytes) / stride >= lines - 1;
}

static bool is_valid(const ta_raw_picture *in) {
    if (!in->width || !in->height || in->width > TA_MAX_DIMENSION || in->height > TA_MAX_DIMENSION)
        return false;
    const size_t half = ((size_t)in->width + 1) / 2, lines = ((size_t)in->height + 1) / 2;
    return in->layout == TA_RAW_NV12 ? holds(in->size, in->stride, 2 * half, in->height + lines)
                                     : holds(in->size, in->stride, 4 * half, in->height);
}

ta_status ta_raw_thumbnail(const ta_raw_picture *in, ta_thumbnail *out) {
    if (!is_valid(in) || in->width < 4 || in->height < 4)
        return TA_EINVAL;
    const uint32_t longer = in->width > in->height ? in->width : in->height;
    const uint32_t step = (longer + TA_THUMBNAIL_WIDTH - 1) / TA_THUMBNAIL_WIDTH;
    if (in->width < 2 * step || in->height < 2 * step)
        return TA_EINVAL;
    out->width = in->width / step & ~1u;
    out->height = in->height / step & ~1u;
    uint8_t *y = out->data, *u = y + out->width * out->height, *v = u + out->width / 2 * (out->height / 2);
    const size_t luma = in->layout == TA_RAW_UYVY, chroma = in->layout == TA_RAW_YUYV;
    for (uint32_t row = 0; row < out->height; row++) {
        const uint8_t *line = in->data + (size_t)row * step * in->stride;
        const uint8_t *colour = in->data + ((size_t)in->height + (size_t)row * step / 2) * in->stride;
        for (uint32_t column = 0; column < out->width; column++) {
            const size_t x = (size_t)column * step;
            *y++ = in->layout == TA_RAW_NV12 ? line[x] : line[2 * x + luma];
            if (row % 2 || column % 2)
                continue;
            const uint8_t *pair = in->layout == TA_RAW_NV12 ? colour + (x & ~(size_t)1) : line + 4 * (x / 2) + chroma;
            *u++ = pair[0];
            *v++ = in->layout == TA_RAW_NV12 ? pair[1] : pair[2];
        }
    }
    return TA_OK;
}

ta_status ta_raw_to_i420(const ta_raw_picture *in, const ta_i420 *out) {
    if (!is_valid(in))
        return TA_EINVAL;
    const size_t width = in->width, height = in->height, half = (width + 1) / 2, lines = (height + 1) / 2;
    if (!holds(out->y_size, out->y_stride, width, height) || !holds(out->u_size, out->u_stride, half, lines) ||
        !holds(out->v_size, out->v_stride, half, lines))
        return TA_EINVAL;
    switch (in->layout) {
    case TA_RAW_UYVY: convert_uyvy(in, out); return TA_OK;
    case TA_RAW_YUYV: convert_yuyv(in, out); return TA_OK;
    case TA_RAW_NV12: convert_nv12(in, out); return TA_OK;
    }
    return TA_EINVAL;
}
