/* The tensors of a folder, streamed: a plan lists them under their names there, then rows are
 * fetched, changed and written (fetch.h, rows.h, safetensors_write.h). */
#include "model/file/hf_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "model/file/hf_names.h"
#include "model/file/hparams.h"
#include "model/file/rows.h"
#include "model/file/safetensors_write.h"
#include "model/file/weights_impl.h"

struct output {
    const struct ft_tensor *t;
    enum ft_type type;
    int n_head;      /* 0: rows as they are */
    int64_t k, rows; /* of this output */
    int64_t first;   /* element of t at which it begins */
};

struct job {
    const struct ft_weights *w;
    const struct ft_convert_opts *o;
    struct ft_hparams h;
    enum ft_type type;
    bool is_typed;
    struct output *out;
    int n_out;
    struct ft_st_writer *st;
    uint64_t done, total;
};

static enum ft_type type_of(const struct job *j, const struct ft_tensor *t)
{
    /* a router's bias chooses experts by small differences: F32 everywhere */
    bool own = !j->is_typed || ft_str_ends(t->name, ".exp_probs_b.bias");
    return !own ? j->type : ft_type_is_float(t->type) ? t->type : FT_BF16;
}

static int plan_tensor(struct job *j, const struct ft_tensor *t, struct ft_err *err)
{
    bool is_stack = t->n_dims == 3, from_gguf = ft_weights_source(j->w) == FT_SOURCE_GGUF;
    char name[FT_TENSOR_NAME_MAX + 1];
    if (from_gguf && strcmp(t->name, "rope_freqs.weight") == 0)
        return 0; /* config.json says it */
    int n_head = from_gguf ? ft_rope_ordered_heads(&j->h, t->name) : 0;
    int64_t k = t->n_dims == 1 ? 1 : t->dim[0], rows = t->n_dims == 1 ? t->dim[0] : t->dim[1];
    int64_t count = is_stack ? t->dim[2] : 1;
    if (t->n_dims > 3 || count > FT_EXPERTS_MAX)
        return ft_err_set(err, FT_EUNSUPPORTED, "tensor %s: %d dimensions", t->name, t->n_dims);
    if (n_head > 0 && (rows % (2 * (int64_t)n_head) != 0 || (k == 1 && !ft_type_is_float(t->type))))
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: %lld rows are not %d heads", t->name,
                          (long long)rows, n_head);
    for (int i = 0; i < count; i++) {
        if (!ft_hf_name_of(t->name, is_stack ? i : -1, name))
            return ft_err_set(err, FT_EUNSUPPORTED, "tensor %s: a folder has no name for it",
                              t->name);
        struct output *o = &j->out[j->n_out++];
        *o = (struct output){t, type_of(j, t), n_head, k, rows, i * k * rows};
        int64_t dim[2] = {rows, k};
        ft_st_put(j->st, name, o->type, t->n_dims == 1 ? 1 : 2, dim);
        j->total += (uint64_t)(rows * k);
    }
    return 0;
}

static int plan_make(struct job *j, struct ft_err *err)
{
    size_t n = 1;
    for (int i = 0; i < ft_weights_count(j->w); i++) {
        const struct ft_tensor *t = ft_weights_at(j->w, i);
        n += t->n_dims == 3 ? (size_t)FT_MIN(t->dim[2], FT_EXPERTS_MAX) : 1;
    }
    int rc = 0;
    j->out = calloc(n, sizeof *j->out);
    if (j->out == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a list of %zu tensors", n);
    for (int i = 0; rc == 0 && i < ft_weights_count(j->w); i++)
        rc = plan_tensor(j, ft_weights_at(j->w, i), err);
    return rc;
}

struct rows_ctx {
    const struct output *o;
    const struct ft_edit *edit;
};

static void rows_get(void *ctx, int64_t at, int64_t n, float *y)
{
    const struct rows_ctx *r = ctx;
    const struct output *o = r->o;
    if (o->n_head == 0) {
        ft_tensor_fetch(o->t, r->edit, o->first + at, n, y);
        return;
    }
    for (int64_t i = 0; i < n / o->k; i++) {
        int64_t row = ft_rope_neighbours_row(at / o->k + i, o->rows / o->n_head);
        ft_tensor_fetch(o->t, r->edit, row * o->k, o->k, y + i * o->k);
    }
}

static void rows_done(void *ctx, int64_t at, int64_t n)
{
    const struct rows_ctx *r = ctx;
    ft_tensor_release(r->o->t, r->o->first + at, n);
}

static int bytes_put(void *sink, const void *data, size_t n, struct ft_err *err)
{
    return ft_st_write(sink, data, n, err);
}

static int tensor_write(struct job *j, struct ft_pool *pool, const struct output *o,
                        struct ft_err *err)
{
    bool is_changed = ft_edit_changes(j->o->edit, o->t);
    struct rows_ctx ctx = {o, is_changed ? j->o->edit : NULL};
    struct ft_rows r = {rows_get, rows_done, &ctx, bytes_put, j->st};
    ft_weights_fetch(j->w, o->t);
    if (is_changed || o->n_head > 0 || o->type != o->t->type)
        return ft_rows_write(pool, &r, o->type, o->k, o->rows, err);
    return ft_tensor_copy(o->t, o->first, o->k * o->rows, bytes_put, j->st, err);
}

static int tensors_write(struct job *j, struct ft_err *err)
{
    struct ft_pool *pool = NULL;
    int rc = ft_pool_open(FT_MAX(j->o->n_threads, 1), &pool, err);
    for (int i = 0; rc == 0 && i < j->n_out; i++) {
        const struct output *o = &j->out[i];
        rc = tensor_write(j, pool, o, err);
        if (i + 1 == j->n_out || j->out[i + 1].t != o->t) {
            ft_tensor_release(o->t, 0, ft_tensor_elements(o->t));
            ft_weights_drop(j->w, o->t);
        }
        j->done += (uint64_t)(o->k * o->rows);
        if (j->o->progress != NULL)
            j->o->progress(j->o->ctx, j->done, j->total);
    }
    ft_pool_close(pool);
    return rc == 0 ? ft_st_finish(j->st, err) : rc;
}

int ft_hf_tensors_write(const struct ft_weights *w, const struct ft_convert_opts *o,
                        uint64_t shard_bytes, struct ft_folder *f, struct ft_err *err)
{
    struct job j = {.w = w, .o = o, .is_typed = o->type != NULL};
    int rc = o->type != NULL ? ft_hf_type(o->type, &j.type, err) : 0;
    if (rc == 0)
        rc = ft_hparams_read(w, &j.h, err);
    if (rc == 0)
        rc = ft_st_writer_open(ft_folder_temp(f), "model", shard_bytes, o->interrupt, &j.st, err);
    if (rc == 0)
        rc = plan_make(&j, err);
    if (rc == 0)
        rc = tensors_write(&j, err);
    ft_st_writer_close(j.st);
    free(j.out);
    return rc;
}

int ft_hf_type(const char *name, enum ft_type *ret, struct ft_err *err)
{
    const struct ft_type_info *info = ft_type_by_name(name);
    if (info == NULL || !ft_type_is_float(info->type))
        return ft_err_set(err, FT_EINVAL, "type '%s': a folder holds F32, F16 or BF16", name);
    *ret = info->type;
    return 0;
}
