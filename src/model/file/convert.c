/* Conversion: a plan lists the tensors of the output with where their rows come from; metadata is
 * copied with the few changes that the GGUF form of a folder needs; then every tensor is streamed.
 *
 * A folder differs from a GGUF file in three ways that are put right here: llama's q and k rows are
 * reordered so that rotary pairs are neighbours; deepseek's kv_b is split into k_b (transposed) and
 * v_b; Llama 3's rope scaling becomes the tensor rope_freqs.weight. */
#include "model/file/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/slice.h"
#include "model/file/gguf_write.h"
#include "model/file/hf.h"
#include "model/file/hparams.h"
#include "model/file/quant_mix.h"
#include "model/file/rows.h"
#include "model/file/weights_impl.h"

enum source {
    SOURCE_SAME,      /* rows as they are */
    SOURCE_PERMUTED,  /* rows of each head from halves to neighbours */
    SOURCE_K_B,       /* the key part of kv_b, each head transposed */
    SOURCE_V_B,       /* the value part of kv_b */
    SOURCE_ROPE_FREQS /* made from the hyperparameters */
};

struct output {
    char name[FT_TENSOR_NAME_MAX + 1];
    enum ft_type type;
    int n_dims;
    int64_t dim[FT_TENSOR_DIMS_MAX];
    enum source source;
    const struct ft_tensor *t;  /* NULL: SOURCE_ROPE_FREQS */
    const struct ft_edit *edit; /* NULL: the weights stay as they are */
    int n_head;                 /* SOURCE_PERMUTED */
};

struct job {
    const struct ft_weights *w;
    const struct ft_convert_opts *o;
    const struct ft_mix *mix;
    struct ft_hparams h;
    struct output *out;
    int n_out;
    uint64_t done, total;
};

static bool is_folder(const struct job *j)
{
    return ft_weights_source(j->w) == FT_SOURCE_HF;
}

static int64_t elements(const int64_t *dim)
{
    return dim[0] * dim[1] * dim[2] * dim[3];
}

static void fetch_permuted(const struct output *o, int64_t at, int64_t n, float *y)
{
    /* a bias is one row of its own: its elements are the rows */
    int64_t k = o->n_dims == 1 ? 1 : o->dim[0], rows = elements(o->dim) / k;
    for (int64_t i = 0; i < n / k; i++)
        ft_tensor_fetch(o->t, o->edit, ft_rope_halves_row(at / k + i, rows / o->n_head) * k, k,
                        y + i * k);
}

/* kv_b is [n_head * (d_nope + d_v)] rows of `lora`. k_b's rows are (head, lora) pairs of d_nope
 * weights, columns of the head's first rows; the whole tensor is transposed at once (34 MB in
 * DeepSeek V3). */
static float *k_b_make(const struct output *o)
{
    int64_t d_nope = o->dim[0], lora = o->dim[1], heads = o->dim[2];
    int64_t head_rows = o->t->dim[1] / heads;
    float *all = calloc((size_t)(d_nope * lora), (size_t)heads * sizeof *all);
    float *row = calloc((size_t)lora, sizeof *row);
    for (int64_t h = 0; all != NULL && row != NULL && h < heads; h++) {
        for (int64_t i = 0; i < d_nope; i++) {
            ft_tensor_fetch(o->t, o->edit, (h * head_rows + i) * lora, lora, row);
            for (int64_t l = 0; l < lora; l++)
                all[(h * lora + l) * d_nope + i] = row[l];
        }
    }
    if (row == NULL) {
        free(all);
        all = NULL;
    }
    free(row);
    return all;
}

static void fetch_v_b(const struct output *o, int64_t at, int64_t n, float *y)
{
    int64_t lora = o->dim[0], d_v = o->dim[1], head_rows = o->t->dim[1] / o->dim[2];
    for (int64_t row = at / lora, last = (at + n) / lora; row < last; row++, y += lora)
        ft_tensor_fetch(o->t, o->edit, (row / d_v * head_rows + head_rows - d_v + row % d_v) * lora,
                        lora, y);
}

struct rows_ctx {
    const struct output *o;
    const float *made; /* SOURCE_K_B, SOURCE_ROPE_FREQS */
};

static void rows_get(void *ctx, int64_t at, int64_t n, float *y)
{
    const struct rows_ctx *r = ctx;
    switch (r->o->source) {
    case SOURCE_SAME:
        ft_tensor_fetch(r->o->t, r->o->edit, at, n, y);
        break;
    case SOURCE_PERMUTED:
        fetch_permuted(r->o, at, n, y);
        break;
    case SOURCE_V_B:
        fetch_v_b(r->o, at, n, y);
        break;
    case SOURCE_K_B:
    case SOURCE_ROPE_FREQS:
        memcpy(y, r->made + at, (size_t)n * sizeof *y);
        break;
    }
}

/* What is behind these rows may go: they, or those of the same heads. */
static void rows_done(void *ctx, int64_t at, int64_t n)
{
    const struct rows_ctx *r = ctx;
    if (r->o->source == SOURCE_SAME || r->o->source == SOURCE_PERMUTED)
        ft_tensor_release(r->o->t, at, n);
}

static int bytes_put(void *sink, const void *data, size_t n, struct ft_err *err)
{
    return ft_gguf_write(sink, data, n, err);
}

/* What is changed and has fewer bits than Q8_0 becomes that, where no type is asked for. Its
 * weights stand on the steps of a coarse scale; most of what an adapter adds to them is less than
 * half a step, and rounding to the same steps would take just that away again. */
static enum ft_type changed_type(enum ft_type t)
{
    const struct ft_type_info *q8 = ft_type_info(FT_Q8_0), *x = ft_type_info(t);
    bool coarse = (int64_t)x->block_bytes * q8->block_len < (int64_t)q8->block_bytes * x->block_len;
    return coarse && !ft_type_is_float(t) ? FT_Q8_0 : t;
}

/* The format of a tensor in the output. */
static enum ft_type type_of(const struct job *j, const struct output *o)
{
    bool tied = ft_weights_find(j->w, "output.weight") == NULL;
    enum ft_type f32_or = j->mix == NULL ? o->t->type : FT_F32;
    if (j->mix != NULL)
        return ft_mix_type(j->mix, o->name, o->n_dims, o->dim, j->h.n_layer, tied, j->o->pure);
    /* kept: what must be F32 is, in a folder's result too */
    if (is_folder(j) && ft_mix_type(ft_mix_by_name("F16"), o->name, o->n_dims, o->dim, j->h.n_layer,
                                    tied, false) == FT_F32)
        return FT_F32;
    return o->edit != NULL ? changed_type(f32_or) : f32_or;
}

static struct output *add(struct job *j, const struct ft_tensor *t, enum source source)
{
    struct output *o = &j->out[j->n_out++];
    *o = (struct output){.t = t, .source = source, .n_dims = t->n_dims};
    if (ft_edit_changes(j->o->edit, t))
        o->edit = j->o->edit;
    snprintf(o->name, sizeof o->name, "%s", t->name);
    memcpy(o->dim, t->dim, sizeof o->dim);
    return o;
}

/* The two halves of a folder's kv_b. */
static int split_add(struct job *j, const struct ft_tensor *t, struct ft_err *err)
{
    const struct ft_hparams *h = &j->h;
    int64_t d_nope = h->d_k_mla - h->rope.n_rot;
    if (t->n_dims != 2 || t->dim[0] != h->kv_lora_rank ||
        t->dim[1] != (int64_t)h->n_head * (d_nope + h->d_v_mla))
        return ft_err_set(err, FT_ECORRUPT,
                          "tensor %s: its shape is not heads * (keys + values) "
                          "by kv_lora_rank",
                          t->name);
    int stem = (int)(strlen(t->name) - strlen("attn_kv_b.weight"));
    for (int k = 0; k < 2; k++) {
        struct output *o = add(j, t, k == 0 ? SOURCE_K_B : SOURCE_V_B);
        o->n_dims = 3;
        snprintf(o->name, sizeof o->name, "%.*s%s", stem, t->name,
                 k == 0 ? "attn_k_b.weight" : "attn_v_b.weight");
        o->dim[0] = k == 0 ? d_nope : h->kv_lora_rank;
        o->dim[1] = k == 0 ? h->kv_lora_rank : h->d_v_mla;
        o->dim[2] = h->n_head;
    }
    return 0;
}

static int permuted_add(struct job *j, const struct ft_tensor *t, int n_head, struct ft_err *err)
{
    struct output *o = add(j, t, SOURCE_PERMUTED);
    o->n_head = n_head;
    int64_t rows = t->n_dims == 1 ? t->dim[0] : t->dim[1];
    if (t->n_dims > 2 || rows % (2 * (int64_t)n_head) != 0)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: %lld rows are not %d heads", t->name,
                          (long long)rows, n_head);
    return 0;
}

static int plan_tensor(struct job *j, const struct ft_tensor *t, struct ft_err *err)
{
    if (is_folder(j)) {
        int n_head = ft_rope_ordered_heads(&j->h, t->name);
        if (n_head > 0)
            return permuted_add(j, t, n_head, err);
        if (ft_str_ends(t->name, ".attn_kv_b.weight"))
            return split_add(j, t, err);
    }
    add(j, t, SOURCE_SAME);
    return 0;
}

static int plan_make(struct job *j, struct ft_err *err)
{
    int n = ft_weights_count(j->w), rc = 0;
    j->out = calloc((size_t)n * 2 + 1, sizeof *j->out);
    if (j->out == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a list of %d tensors", n);
    for (int i = 0; rc == 0 && i < n; i++)
        rc = plan_tensor(j, ft_weights_at(j->w, i), err);
    for (int i = 0; rc == 0 && i < j->n_out; i++) {
        struct output *o = &j->out[i];
        o->type = type_of(j, o);
        const struct ft_type_info *info = ft_type_info(o->type);
        if (o->dim[0] % info->block_len != 0) /* k_b kept in a block format its rows do not fit */
            o->type = FT_F16;
        j->total += (uint64_t)elements(o->dim);
    }
    if (rc == 0 && is_folder(j) && j->h.rope.scaling == FT_ROPE_LLAMA3) {
        struct output *o = &j->out[j->n_out++];
        *o = (struct output){.name = "rope_freqs.weight",
                             .type = FT_F32,
                             .n_dims = 1,
                             .dim = {j->h.rope.n_rot / 2, 1, 1, 1},
                             .source = SOURCE_ROPE_FREQS};
    }
    return rc;
}

/* Keys that the output sets itself or must not carry over. */
static bool is_dropped(const struct job *j, const char *key)
{
    char scaling[64];
    snprintf(scaling, sizeof scaling, "%s.rope.scaling.", j->h.arch);
    bool llama3 = is_folder(j) && j->h.rope.scaling == FT_ROPE_LLAMA3;
    return strncmp(key, "split.", 6) == 0 || strcmp(key, "general.file_type") == 0 ||
           strcmp(key, "general.quantization_version") == 0 ||
           strcmp(key, "general.alignment") == 0 ||
           (is_folder(j) && strcmp(key, "tokenizer.ggml.eos_token_id") == 0) || /* hf_vocab.c's */
           (llama3 && strncmp(key, scaling, strlen(scaling)) == 0);
}

static int metadata_put(struct job *j, struct ft_gguf_writer *g, struct ft_err *err)
{
    for (int i = 0; i < ft_meta_count(j->w); i++)
        if (!is_dropped(j, ft_meta_key(j->w, i)))
            ft_gguf_put_meta(g, j->w, i);
    uint64_t file_type = 0;
    if (j->mix != NULL)
        file_type = (uint64_t)j->mix->file_type;
    else if (!ft_meta_u64(j->w, "general.file_type", &file_type)) {
        const struct ft_tensor *t = ft_weights_find(j->w, "token_embd.weight");
        const struct ft_mix *m = t != NULL ? ft_mix_by_name(ft_type_info(t->type)->name) : NULL;
        file_type = m != NULL ? (uint64_t)m->file_type : 0;
    }
    ft_gguf_put_u32(g, "general.file_type", (uint32_t)file_type);
    ft_gguf_put_u32(g, "general.quantization_version", 2);
    return is_folder(j) ? ft_hf_vocab_put(j->w, j->h.n_vocab, g, err) : 0;
}

static float *rope_factors(const struct ft_rope_params *p)
{
    float *v = calloc((size_t)p->n_rot / 2 + 1, sizeof *v);
    for (int i = 0; v != NULL && i < p->n_rot / 2; i++)
        v[i] = (float)ft_rope_llama3_factor(p, i);
    return v;
}

static int tensor_write(struct job *j, struct ft_pool *pool, struct ft_gguf_writer *g,
                        const struct output *o, struct ft_err *err)
{
    if (o->t != NULL)
        ft_weights_fetch(j->w, o->t);
    if (o->source == SOURCE_SAME && o->type == o->t->type && o->edit == NULL)
        return ft_tensor_copy(o->t, 0, ft_tensor_elements(o->t), bytes_put, g, err);
    float *made = NULL;
    if (o->source == SOURCE_K_B || o->source == SOURCE_ROPE_FREQS) {
        made = o->source == SOURCE_K_B ? k_b_make(o) : rope_factors(&j->h.rope);
        if (made == NULL)
            return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", o->name);
    }
    struct rows_ctx ctx = {o, made};
    struct ft_rows r = {rows_get, rows_done, &ctx, bytes_put, g};
    int rc = ft_rows_write(pool, &r, o->type, o->dim[0], elements(o->dim) / o->dim[0], err);
    free(made);
    if (o->t != NULL)
        ft_tensor_release(o->t, 0, ft_tensor_elements(o->t));
    return rc;
}

static int output_write(struct job *j, const char *path, struct ft_err *err)
{
    struct ft_gguf_writer *g = NULL;
    struct ft_pool *pool = NULL;
    int rc = ft_gguf_writer_open(path, j->o->interrupt, &g, err);
    if (rc == 0)
        rc = ft_pool_open(FT_MAX(j->o->n_threads, 1), &pool, err);
    if (rc == 0)
        rc = metadata_put(j, g, err);
    for (int i = 0; rc == 0 && i < j->n_out; i++)
        ft_gguf_put_tensor(g, j->out[i].name, j->out[i].type, j->out[i].n_dims, j->out[i].dim);
    for (int i = 0; rc == 0 && i < j->n_out; i++) {
        rc = tensor_write(j, pool, g, &j->out[i], err);
        if (j->out[i].t != NULL)
            ft_weights_drop(j->w, j->out[i].t);
        j->done += (uint64_t)elements(j->out[i].dim);
        if (j->o->progress != NULL)
            j->o->progress(j->o->ctx, FT_MIN(j->done, j->total), j->total);
    }
    if (rc == 0)
        rc = ft_gguf_commit(g, true, err);
    ft_pool_close(pool);
    ft_gguf_writer_close(g);
    return rc;
}

int ft_convert(const struct ft_weights *w, const struct ft_convert_opts *o, const char *path,
               struct ft_err *err)
{
    struct job j = {.w = w, .o = o};
    if (o->type != NULL) {
        j.mix = ft_mix_by_name(o->type);
        if (j.mix == NULL)
            return ft_err_set(err, FT_EINVAL, "type '%s': one of %s", o->type, ft_mix_names());
    }
    int rc = ft_weights_spare(w, path, err);
    if (rc == 0)
        rc = ft_hparams_read(w, &j.h, err);
    if (rc == 0)
        rc = plan_make(&j, err);
    if (rc == 0)
        rc = output_write(&j, path, err);
    free(j.out);
    return rc;
}
