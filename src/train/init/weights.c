/* The tensors of a new model: which there are, and their values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "model/file/hf_names.h"
#include "model/file/safetensors_write.h"
#include "train/init/impl.h"

#define PIECE_VALUES      65536
#define LAYER_TENSORS_MAX 16

enum fill { FILL_MATRIX, FILL_OUTPUT, FILL_NORM, FILL_BIAS };

struct tensor {
    const char *name; /* GGUF's, of a layer without "blk.N." */
    enum fill fill;
    int64_t rows, cols; /* cols 0: a vector */
};

/* Those of one layer; every layer has the same. */
static int layer_tensors(const struct ft_init_shape *s, struct tensor out[LAYER_TENSORS_MAX])
{
    const int64_t d = s->d_model, f = s->d_ff;
    const int64_t q = (int64_t)s->n_head * s->d_head, kv = (int64_t)s->n_head_kv * s->d_head;
    const bool biased = strcmp(s->arch, "qwen2") == 0, normed = strcmp(s->arch, "qwen3") == 0;
    const struct {
        bool has;
        struct tensor t;
    } all[] = {
        {true, {"attn_norm.weight", FILL_NORM, d, 0}},
        {true, {"attn_q.weight", FILL_MATRIX, q, d}},
        {biased, {"attn_q.bias", FILL_BIAS, q, 0}},
        {true, {"attn_k.weight", FILL_MATRIX, kv, d}},
        {biased, {"attn_k.bias", FILL_BIAS, kv, 0}},
        {true, {"attn_v.weight", FILL_MATRIX, kv, d}},
        {biased, {"attn_v.bias", FILL_BIAS, kv, 0}},
        {normed, {"attn_q_norm.weight", FILL_NORM, s->d_head, 0}},
        {normed, {"attn_k_norm.weight", FILL_NORM, s->d_head, 0}},
        {true, {"attn_output.weight", FILL_OUTPUT, d, q}},
        {true, {"ffn_norm.weight", FILL_NORM, d, 0}},
        {true, {"ffn_gate.weight", FILL_MATRIX, f, d}},
        {true, {"ffn_up.weight", FILL_MATRIX, f, d}},
        {true, {"ffn_down.weight", FILL_OUTPUT, d, f}},
    };
    int n = 0;
    for (size_t i = 0; i < FT_COUNT(all); i++)
        if (all[i].has)
            out[n++] = all[i].t;
    return n;
}

/* Those outside the layers: two, or three. */
static int global_tensors(const struct ft_init_shape *s, int n_vocab, struct tensor out[3])
{
    out[0] = (struct tensor){"token_embd.weight", FILL_MATRIX, n_vocab, s->d_model};
    out[1] = (struct tensor){"output_norm.weight", FILL_NORM, s->d_model, 0};
    out[2] = (struct tensor){"output.weight", FILL_MATRIX, n_vocab, s->d_model};
    return s->tied ? 2 : 3;
}

static int64_t values(const struct tensor *t)
{
    return t->rows * (t->cols > 0 ? t->cols : 1);
}

int64_t ft_init_params(const struct ft_init_shape *s, int n_vocab)
{
    struct tensor t[LAYER_TENSORS_MAX];
    int64_t sum = 0;
    for (int i = 0, n = layer_tensors(s, t); i < n; i++)
        sum += values(&t[i]) * s->n_layer;
    for (int i = 0, n = global_tensors(s, n_vocab, t); i < n; i++)
        sum += values(&t[i]);
    return sum;
}

/* Every tensor in the order of the file: outside the layers, then layer by layer. */
struct walk {
    const struct ft_init_shape *s;
    struct tensor global[3], layer[LAYER_TENSORS_MAX];
    int n_global, n_layer; /* of those arrays */
};

static int walk_count(const struct walk *w)
{
    return w->n_global + w->n_layer * w->s->n_layer;
}

static const struct tensor *walk_at(const struct walk *w, int i, char name[FT_TENSOR_NAME_MAX + 1])
{
    char gguf[64];
    if (i < w->n_global) {
        FT_ASSERT(ft_hf_name_of(w->global[i].name, -1, name));
        return &w->global[i];
    }
    i -= w->n_global;
    const struct tensor *t = &w->layer[i % w->n_layer];
    snprintf(gguf, sizeof gguf, "blk.%d.%s", i / w->n_layer, t->name);
    FT_ASSERT(ft_hf_name_of(gguf, -1, name));
    return t;
}

static float value_of(enum fill fill, double deviation, uint64_t seed, uint64_t stream, uint64_t i)
{
    if (fill == FILL_NORM)
        return 1;
    return fill == FILL_BIAS ? 0 : (float)(deviation * ft_rand_normal(seed, stream, i));
}

static int tensor_write(const struct walk *w, struct ft_st_writer *out, const struct tensor *t,
                        uint64_t seed, uint64_t stream, float *piece, struct ft_err *err)
{
    double deviation = FT_INIT_DEVIATION;
    if (t->fill == FILL_OUTPUT)
        deviation /= sqrt(2.0 * w->s->n_layer);
    int rc = 0;
    for (int64_t at = 0, n; rc == 0 && at < values(t); at += n) {
        n = FT_MIN(PIECE_VALUES, values(t) - at);
        for (int64_t i = 0; i < n; i++)
            piece[i] = value_of(t->fill, deviation, seed, stream, (uint64_t)(at + i));
        rc = ft_st_write(out, piece, (size_t)n * sizeof *piece, err);
    }
    return rc;
}

int ft_init_weights_write(const struct ft_init_shape *s, int n_vocab, uint64_t seed,
                          const char *folder, struct ft_err *err)
{
    struct walk w = {.s = s};
    struct ft_st_writer *out = NULL;
    char name[FT_TENSOR_NAME_MAX + 1];
    w.n_global = global_tensors(s, n_vocab, w.global);
    w.n_layer = layer_tensors(s, w.layer);
    float *piece = malloc(PIECE_VALUES * sizeof *piece);
    if (piece == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for weights");
    int rc = ft_st_writer_open(folder, "model", 0, NULL, &out, err);
    for (int i = 0; rc == 0 && i < walk_count(&w); i++) {
        const struct tensor *t = walk_at(&w, i, name);
        ft_st_put(out, name, FT_F32, t->cols > 0 ? 2 : 1, (int64_t[]){t->rows, t->cols});
    }
    for (int i = 0; rc == 0 && i < walk_count(&w); i++)
        rc = tensor_write(&w, out, walk_at(&w, i, name), seed, (uint64_t)i, piece, err);
    if (rc == 0)
        rc = ft_st_finish(out, err);
    ft_st_writer_close(out);
    free(piece);
    return rc;
}
