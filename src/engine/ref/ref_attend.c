/* The reference device: the paged cache and attention, by the definition. */
#include "engine/ref/ref_dev.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t layer_floats(const struct ft_kv_layer *l)
{
    return (size_t)l->n_head * (size_t)(l->d_k + (l->v_in_k ? 0 : l->d_v)) * FT_KV_BLOCK;
}

static size_t block_floats(const struct ft_kv_shape *shape)
{
    size_t n = 0;
    for (int i = 0; i < shape->n_layer; i++)
        n += layer_floats(&shape->layer[i]);
    return n;
}

size_t ft_ref_kv_block_bytes(struct ft_dev *d, const struct ft_kv_shape *shape)
{
    (void)d;
    return block_floats(shape) * sizeof(float);
}

int ft_ref_kv_open(struct ft_dev *d, const struct ft_kv_shape *shape, int n_blocks, int n_states,
                   struct ft_kv **ret_kv, struct ft_err *err)
{
    (void)d;
    (void)n_states; /* no step of this seam reads a recurrent state */
    struct ft_kv *kv = calloc(1, sizeof *kv);
    if (kv == NULL)
        return ft_err_set(err, FT_ENOMEM, "kv cache: no memory");
    kv->shape = *shape;
    kv->n_blocks = n_blocks;
    kv->block_floats = block_floats(shape);
    kv->layer_at = calloc((size_t)shape->n_layer + 1, sizeof *kv->layer_at);
    kv->data = calloc((size_t)n_blocks * kv->block_floats + 1, sizeof(float));
    if (kv->layer_at == NULL || kv->data == NULL) {
        ft_ref_kv_close(d, kv);
        return ft_err_set(err, FT_ENOMEM, "kv cache: no memory for %d blocks", n_blocks);
    }
    for (int i = 0; i < shape->n_layer; i++)
        kv->layer_at[i + 1] = kv->layer_at[i] + layer_floats(&shape->layer[i]);
    *ret_kv = kv;
    return 0;
}

void ft_ref_kv_close(struct ft_dev *d, struct ft_kv *kv)
{
    (void)d;
    free(kv->layer_at);
    free(kv->data);
    free(kv);
}

static float *block_at(const struct ft_kv *kv, int block)
{
    FT_ASSERT(block >= 0 && block < kv->n_blocks);
    return kv->data + (size_t)block * kv->block_floats;
}

void ft_ref_kv_read(struct ft_dev *d, struct ft_kv *kv, int block, void *host)
{
    (void)d;
    memcpy(host, block_at(kv, block), kv->block_floats * sizeof(float));
}

void ft_ref_kv_write(struct ft_dev *d, struct ft_kv *kv, int block, const void *host)
{
    (void)d;
    memcpy(block_at(kv, block), host, kv->block_floats * sizeof(float));
}

void ft_ref_kv_copy(struct ft_dev *d, struct ft_kv *kv, int dst_block, int src_block)
{
    (void)d;
    memmove(block_at(kv, dst_block), block_at(kv, src_block), kv->block_floats * sizeof(float));
}

void ft_ref_kv_release(struct ft_dev *d, struct ft_kv *kv, int block)
{
    (void)d;
    memset(block_at(kv, block), 0, kv->block_floats * sizeof(float));
}

/* The key (or value) of position pos of a segment's sequence, for one head. */
static float *cell(struct ft_kv *kv, int layer, const struct ft_seg *s, int pos, int head,
                   bool value)
{
    const struct ft_kv_layer *l = &kv->shape.layer[layer];
    float *p = block_at(kv, s->block[pos / FT_KV_BLOCK]) + kv->layer_at[layer];
    int d = value ? l->d_v : l->d_k;
    if (value)
        p += (size_t)l->n_head * (size_t)l->d_k * FT_KV_BLOCK;
    return p + ((size_t)(pos % FT_KV_BLOCK) * (size_t)l->n_head + (size_t)head) * (size_t)d;
}

void ft_ref_kv_store(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                     struct ft_mat k, struct ft_mat v)
{
    (void)d;
    const struct ft_kv_layer *l = &kv->shape.layer[layer];
    for (int i = 0; i < b->n_segs; i++) {
        const struct ft_seg *s = &b->seg[i];
        for (int j = 0; j < s->n; j++) {
            float *dst = cell(kv, layer, s, s->pos + j, 0, false);
            memcpy(dst, k.p + (s->row + j) * k.ld,
                   (size_t)l->n_head * (size_t)l->d_k * sizeof(float));
            if (!l->v_in_k)
                memcpy(cell(kv, layer, s, s->pos + j, 0, true), v.p + (s->row + j) * v.ld,
                       (size_t)l->n_head * (size_t)l->d_v * sizeof(float));
        }
    }
}

/* One query head of one row over positions 0 .. last. p: [last + 1] scratch. */
static void attend_one(struct ft_kv *kv, int layer, const struct ft_seg *s, int last, int head,
                       const float *q, float scale, double *p, float *y)
{
    const struct ft_kv_layer *l = &kv->shape.layer[layer];
    double max = -INFINITY, sum = 0;
    for (int t = 0; t <= last; t++) {
        const float *k = cell(kv, layer, s, t, head, false);
        p[t] = 0;
        for (int c = 0; c < l->d_k; c++)
            p[t] += (double)q[c] * k[c];
        p[t] *= scale;
        max = fmax(max, p[t]);
    }
    for (int t = 0; t <= last; t++)
        sum += p[t] = exp(p[t] - max);
    for (int c = 0; c < l->d_v; c++) {
        double v = 0;
        for (int t = 0; t <= last; t++)
            v += p[t] * cell(kv, layer, s, t, head, !l->v_in_k)[c];
        y[c] = (float)(v / sum);
    }
}

void ft_ref_attend(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                   struct ft_mat q, int n_q_head, float scale, struct ft_mat y)
{
    (void)d;
    const struct ft_kv_layer *l = &kv->shape.layer[layer];
    int group = n_q_head / l->n_head;
    for (int i = 0; i < b->n_segs; i++) {
        const struct ft_seg *s = &b->seg[i];
        double *p = malloc((size_t)(s->pos + s->n) * sizeof *p);
        FT_ASSERT(p != NULL);
        for (int j = 0; j < s->n; j++)
            for (int h = 0; h < n_q_head; h++)
                attend_one(kv, layer, s, s->pos + j, h / group,
                           q.p + (s->row + j) * q.ld + (int64_t)h * l->d_k, scale, p,
                           y.p + (s->row + j) * y.ld + (int64_t)h * l->d_v);
        free(p);
    }
}
