#include "pcm.h"

struct bits {
    uint8_t *out;
    size_t size;
    uint32_t held, count; /* bits not written yet */
    uint32_t zeros;
};

static void put_byte(struct bits *b, uint8_t byte) { /* with emulation prevention, H.264 7.4.1.1 */
    if (b->zeros >= 2 && byte <= 3) {
        b->out[b->size++] = 3;
        b->zeros = 0;
    }
    b->out[b->size++] = byte;
    b->zeros = byte ? 0 : b->zeros + 1;
}

static void put(struct bits *b, uint32_t count, uint32_t value) {
    while (count--) {
        b->held = b->held << 1 | (value >> count & 1);
        if (++b->count == 8) {
            put_byte(b, (uint8_t)b->held);
            b->held = b->count = 0;
        }
    }
}

static void put_ue(struct bits *b, uint32_t value) { /* 9.1 */
    uint32_t length = 0;
    while ((value + 1) >> (length + 1))
        length++;
    put(b, length, 0);
    put(b, length + 1, value + 1);
}

static void align(struct bits *b) {
    while (b->count)
        put(b, 1, 0);
}

static void begin(struct bits *b, uint8_t nal_header) {
    static const uint8_t start[] = {0, 0, 0, 1};
    for (size_t i = 0; i < sizeof start; i++)
        b->out[b->size++] = start[i];
    b->zeros = 0;
    put_byte(b, nal_header);
}

static void end(struct bits *b) { /* rbsp_trailing_bits */
    put(b, 1, 1);
    align(b);
}

static uint32_t in_macroblocks(uint32_t size) { return (size + 15) / 16; }

size_t pcm_capacity(uint32_t width, uint32_t height) {
    size_t all = (size_t)in_macroblocks(width) * in_macroblocks(height);
    return 4096 + all * 4 + (all < PCM_MACROBLOCKS ? all : PCM_MACROBLOCKS) * 600;
}

size_t pcm_headers(uint8_t *out, uint32_t width, uint32_t height, uint32_t rate_numerator, uint32_t rate_denominator) {
    struct bits b = {.out = out};
    uint32_t columns = in_macroblocks(width), rows = in_macroblocks(height);
    begin(&b, 0x67);
    put(&b, 24, 66u << 16 | 0xc0u << 8 | 42); /* constrained baseline, level 4.2 */
    put_ue(&b, 0);
    put_ue(&b, 4); /* frame_num of 8 bits */
    put_ue(&b, 2); /* output in decoding order */
    put_ue(&b, 1);
    put(&b, 1, 0);
    put_ue(&b, columns - 1);
    put_ue(&b, rows - 1);
    put(&b, 2, 3); /* frames only, direct_8x8_inference */
    put(&b, 1, 1);
    put_ue(&b, 0);
    put_ue(&b, (columns * 16 - width) / 2);
    put_ue(&b, 0);
    put_ue(&b, (rows * 16 - height) / 2);
    put(&b, 1, rate_numerator > 0);
    if (rate_numerator) { /* VUI with timing alone */
        put(&b, 4, 0);
        put(&b, 1, 1);
        put(&b, 32, rate_denominator);
        put(&b, 32, rate_numerator * 2);
        put(&b, 1, 1);
        put(&b, 4, 0);
    }
    end(&b);
    begin(&b, 0x68);
    put_ue(&b, 0);
    put_ue(&b, 0);
    put(&b, 2, 0);
    put_ue(&b, 0);
    put_ue(&b, 0);
    put_ue(&b, 0);
    put(&b, 3, 0);
    put_ue(&b, 0);
    put_ue(&b, 0);
    put_ue(&b, 0);
    put(&b, 3, 4); /* deblocking_filter_control_present */
    end(&b);
    return b.size;
}

static uint8_t sample(const struct pcm_picture *p, int plane, uint32_t x, uint32_t y) { /* luma coordinates */
    x = x < p->width ? x : p->width - 1;
    y = y < p->height ? y : p->height - 1;
    const uint8_t *line = p->data + (size_t)y * p->stride, *chroma = p->data + (size_t)p->stride * p->lines;
    switch (p->layout) {
    case 'U': return line[plane == 0 ? x * 2 + 1 : x / 2 * 4 + (plane == 2 ? 2 : 0)];
    case 'Y': return line[plane == 0 ? x * 2 : x / 2 * 4 + (plane == 2 ? 3 : 1)];
    case 'N': return plane == 0 ? line[x] : chroma[(size_t)(y / 2) * p->stride + x / 2 * 2 + (plane == 2)];
    default:
        if (plane == 0)
            return line[x];
        chroma += plane == 2 ? (size_t)p->stride / 2 * (p->lines / 2) : 0;
        return chroma[(size_t)(y / 2) * (p->stride / 2) + x / 2];
    }
}

static void put_macroblock(struct bits *b, const struct pcm_picture *p, uint32_t left, uint32_t top) {
    align(b);
    for (uint32_t i = 0; i < 256; i++)
        put_byte(b, sample(p, 0, left + i % 16, top + i / 16));
    for (int plane = 1; plane <= 2; plane++)
        for (uint32_t i = 0; i < 64; i++)
            put_byte(b, sample(p, plane, left + i % 8 * 2, top + i / 8 * 2));
}

size_t pcm_picture(struct pcm_stream *s, uint8_t *out, const struct pcm_picture *p, bool key) {
    struct bits b = {.out = out};
    uint32_t columns = in_macroblocks(p->width), rows = in_macroblocks(p->height);
    uint32_t pcm_rows = columns * rows <= PCM_MACROBLOCKS ? rows * 3 / 5 : PCM_MACROBLOCKS / columns * 3 / 5;
    s->frame_num = key ? 0 : (s->frame_num + 1) & 255;
    begin(&b, key ? 0x65 : 0x61);
    put_ue(&b, 0);
    put_ue(&b, key ? 7 : 5); /* all slices I, P */
    put_ue(&b, 0);
    put(&b, 8, s->frame_num);
    if (key)
        put_ue(&b, s->idr_id++ & 255);
    put(&b, 2, 0); /* IDR: dec_ref_pic_marking; P: no override, no list modification */
    if (!key)
        put(&b, 1, 0);
    put_ue(&b, 0); /* slice_qp_delta */
    put_ue(&b, 1); /* no deblocking */
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t column = 0; column < columns; column++) {
            if (row < pcm_rows) {
                if (!key)
                    put_ue(&b, 0);         /* mb_skip_run */
                put_ue(&b, key ? 25 : 30); /* I_PCM */
                put_macroblock(&b, p, column * 16, row * 16);
            } else if (key) { /* I_16x16 predicted from its neighbours, no residual */
                put_ue(&b, 3);
                put_ue(&b, 0);
                put_ue(&b, 0);
                if (row == pcm_rows) /* coeff_token 0: nC is 8 or 16 under I_PCM, else 0 */
                    put(&b, 6, 3);
                else
                    put(&b, 1, 1);
            }
        }
    }
    if (!key && pcm_rows < rows)
        put_ue(&b, columns * (rows - pcm_rows));
    end(&b);
    return b.size;
}
