/* Merging is conversion with a change on the way (fetch.h): each row of an adapted matrix gets its
 * row of scale * B A. Sums are taken in tiles of columns, so that an adapter's products add up
 * among themselves before they meet the weight: the result does not depend on where a chunk begins.
 */
#include "model/adapter/merge.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/folder.h"
#include "model/file/hf_write.h"
#include "model/token/tok_write.h"

#define TILE 256 /* columns */

static bool pair_changes(void *ctx, const struct ft_tensor *t)
{
    return ft_adapter_find(ctx, t->name) != NULL;
}

static void row_add(const struct ft_adapter_pair *p, int64_t row, float *y)
{
    const float *b = p->b + row * p->rank;
    for (int64_t at = 0; at < p->n_in; at += TILE) {
        float sum[TILE] = {0};
        int64_t n = FT_MIN(TILE, p->n_in - at);
        for (int64_t r = 0; r < p->rank; r++) {
            const float *a = p->a + r * p->n_in + at;
            for (int64_t i = 0; i < n; i++)
                sum[i] += b[r] * a[i];
        }
        for (int64_t i = 0; i < n; i++)
            y[at + i] += p->scale * sum[i];
    }
}

static void pair_apply(void *ctx, const struct ft_tensor *t, int64_t at, int64_t n, float *y)
{
    const struct ft_adapter_pair *p = ft_adapter_find(ctx, t->name);
    for (int64_t i = 0; i < n / p->n_in; i++)
        row_add(p, at / p->n_in + i, y + i * p->n_in);
}

/* What a caller asked for, with the adapter as the change. */
static struct ft_convert_opts opts_with(const struct ft_convert_opts *o, const struct ft_adapter *a,
                                        struct ft_edit *edit)
{
    FT_ASSERT(a == NULL || o->edit == NULL);
    struct ft_convert_opts all = *o;
    *edit = (struct ft_edit){pair_changes, pair_apply, (void *)a};
    if (a != NULL)
        all.edit = edit;
    return all;
}

int ft_merge_gguf(const struct ft_weights *w, const struct ft_adapter *a,
                  const struct ft_convert_opts *o, const char *path, struct ft_err *err)
{
    struct ft_edit edit;
    struct ft_convert_opts all = opts_with(o, a, &edit);
    return ft_convert(w, &all, path, err);
}

/* What transformers reads of a folder beside the configuration and the weights. */
static const char *const side_files[] = {
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "LICENSE",
};

static int side_files_copy(const struct ft_weights *w, struct ft_folder *f, struct ft_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(side_files); i++) {
        struct ft_err e = {0};
        char *path, *data;
        size_t n;
        if (asprintf(&path, "%s/%s", ft_weights_path(w), side_files[i]) < 0)
            return ft_err_set(err, FT_ENOMEM, "%s: no memory", side_files[i]);
        rc = ft_file_read(path, FT_TOK_JSON_MAX, &data, &n, &e);
        free(path);
        if (rc == 0) {
            rc = ft_folder_put(f, side_files[i], data, n, err);
            free(data);
        } else if (rc == FT_ENOTFOUND) {
            rc = 0;
        } else if (err != NULL) {
            *err = e;
        }
    }
    return rc;
}

typedef int tokenizer_fn(const struct ft_weights *w, struct ft_buf *out, struct ft_err *err);

static int tokenizer_file_put(const struct ft_weights *w, struct ft_folder *f, const char *name,
                              tokenizer_fn *write, struct ft_err *err)
{
    struct ft_buf b;
    ft_buf_init(&b, FT_TOK_JSON_MAX);
    int rc = write(w, &b, err);
    if (rc == 0)
        rc = ft_folder_put(f, name, b.data, b.len, err);
    ft_buf_fini(&b);
    return rc;
}

static int side_files_write(const struct ft_weights *w, struct ft_folder *f, struct ft_err *err)
{
    if (ft_weights_source(w) == FT_SOURCE_HF)
        return side_files_copy(w, f, err);
    if (ft_meta_array_len(w, "tokenizer.ggml.tokens") < 0)
        return 0; /* a model without a tokenizer stays one */
    int rc = tokenizer_file_put(w, f, "tokenizer.json", ft_tokenizer_json_write, err);
    if (rc == 0)
        rc = tokenizer_file_put(w, f, "tokenizer_config.json", ft_tokenizer_config_write, err);
    return rc;
}

int ft_merge_folder(const struct ft_weights *w, const struct ft_adapter *a,
                    const struct ft_convert_opts *o, uint64_t shard_bytes, const char *folder,
                    struct ft_err *err)
{
    struct ft_edit edit;
    struct ft_convert_opts all = opts_with(o, a, &edit);
    struct ft_folder *f = NULL;
    int rc = ft_folder_open(folder, false, &f, err);
    if (rc == 0)
        rc = ft_hf_config_write(w, o->type, f, err);
    if (rc == 0)
        rc = side_files_write(w, f, err);
    if (rc == 0)
        rc =
            ft_hf_tensors_write(w, &all, shard_bytes > 0 ? shard_bytes : FT_HF_SHARD_BYTES, f, err);
    if (rc == 0)
        rc = ft_folder_commit(f, err);
    ft_folder_close(f);
    return rc;
}
