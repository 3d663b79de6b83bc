/* Reading a PEFT folder beside an opened base: the configuration is peft_config.c's, here the
 * tensors are found, held against the base's shapes, and copied as f32.
 *
 * Names are "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", with or without the
 * first two words and with or without the adapter's name "default" before "weight". Every tensor
 * of the file must be a half of a pair: one left out would be silently wrong. */
#include "model/adapter/adapter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "model/adapter/peft_config.h"
#include "model/file/hf_names.h"
#include "model/file/hparams.h"
#include "model/file/safetensors.h"

#define CONFIG_FILE "adapter_config.json"
#define TENSOR_FILE "adapter_model.safetensors"
#define PRODUCT_MAX 1e30 /* of an element of scale B A: f32 holds its products with activations */

/* What the file holds for a tensor of the base. */
struct found {
    const struct ft_st_tensor *half[2]; /* A, B */
    size_t module_at, module_len;       /* the module's name in half[i]->name */
};

struct reader {
    const struct ft_weights *base;
    struct ft_hparams h;
    struct ft_peft_config config;
    struct ft_map map;
    struct ft_arena arena;
    struct ft_strmap names; /* of the base's tensors; finding them there would fetch FP8 ones */
    struct found *found;    /* per tensor of the base */
    struct ft_adapter *out;
};

static char *path_of(const char *folder, const char *name, struct ft_err *err)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) >= 0)
        return path;
    ft_err_set(err, FT_ENOMEM, "%s: no memory", name);
    return NULL;
}

static int config_open(struct reader *r, const char *folder, struct ft_err *err)
{
    struct ft_map map; /* which is of a regular file: opening a pipe would wait for its writer */
    char *path = path_of(folder, CONFIG_FILE, err);
    if (path == NULL)
        return FT_ENOMEM;
    int rc = ft_map_open(path, &map, err);
    free(path);
    if (rc == FT_ENOTFOUND)
        return ft_err_set(err, FT_ENOTFOUND, "not an adapter's folder: it has no " CONFIG_FILE);
    if (rc != 0)
        return rc;
    const char *text = map.bytes > 0 ? (const char *)map.data : "";
    rc = ft_peft_config_read(text, map.bytes, &r->config, err);
    ft_map_close(&map);
    return rc;
}

static int tensors_open(struct reader *r, const char *folder, struct ft_st_tensor **ret, int *ret_n,
                        struct ft_err *err)
{
    char *path = path_of(folder, TENSOR_FILE, err);
    if (path == NULL)
        return FT_ENOMEM;
    int rc = ft_map_open(path, &r->map, err);
    free(path);
    if (rc == FT_ENOTFOUND)
        return ft_err_set(err, FT_ENOTFOUND,
                          TENSOR_FILE ": there is none (adapter_model.bin is not read)");
    if (rc == 0 && (rc = ft_st_read(&r->map, &r->arena, ret, ret_n, err)) != 0)
        ft_err_wrap(err, TENSOR_FILE);
    return rc;
}

/* Splits a tensor's name into the module and which half it is; false if it is neither. */
static bool half_parse(const char *name, size_t *ret_at, size_t *ret_len, int *ret_half)
{
    static const char *const prefix = "base_model.model.";
    static const char *const tails[] = {".lora_A.weight", ".lora_B.weight",
                                        ".lora_A.default.weight", ".lora_B.default.weight"};
    for (size_t i = 0; i < FT_COUNT(tails); i++) {
        if (!ft_str_ends(name, tails[i]))
            continue;
        *ret_at = strncmp(name, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
        if (strlen(name) - *ret_at <= strlen(tails[i]))
            return false;
        *ret_len = strlen(name) - *ret_at - strlen(tails[i]);
        *ret_half = (int)(i % 2);
        return true;
    }
    return false;
}

/* The base's tensor that a module is. */
static int target_find(const struct reader *r, const char *name, const char *module, size_t len,
                       int32_t *ret, struct ft_err *err)
{
    char weight[FT_ST_NAME_MAX + 16];
    struct ft_hf_name to;
    snprintf(weight, sizeof weight, "%.*s.weight", (int)len, module);
    if (ft_hf_name_map(weight, &to) != FT_HF_KNOWN)
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "tensor %s: not a part of any architecture known here", name);
    bool is_embedding = strcmp(to.name, "token_embd.weight") == 0;
    if (to.expert >= 0 || is_embedding)
        return ft_err_set(err, FT_EUNSUPPORTED, "tensor %s: adapters of %s cannot be used", name,
                          is_embedding ? "embeddings" : "experts");
    if (ft_strmap_get(&r->names, to.name, strlen(to.name), ret))
        return 0;
    bool is_output = strcmp(to.name, "output.weight") == 0;
    return ft_err_set(err, FT_EINVAL, "tensor %s: the base has no %s%s", name, to.name,
                      is_output ? " (its embedding serves as output)" : "");
}

static int half_add(struct reader *r, const struct ft_st_tensor *t, struct ft_err *err)
{
    size_t at, len;
    int half;
    if (!half_parse(t->name, &at, &len, &half))
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "tensor %s: neither lora_A nor lora_B of a linear layer", t->name);
    int32_t to = 0;
    int rc = target_find(r, t->name, t->name + at, len, &to, err);
    if (rc != 0)
        return rc;
    struct found *f = &r->found[to];
    if (f->half[half] != NULL)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: appears twice", t->name);
    f->half[half] = t;
    f->module_at = at;
    f->module_len = len;
    return 0;
}

static int shape_check(const struct ft_st_tensor *t, int64_t rows, int64_t columns, int rank,
                       const struct ft_tensor *base, struct ft_err *err)
{
    if (t->n_dims == 2 && t->dim[0] == rows && t->dim[1] == columns)
        return 0;
    char shape[FT_ST_DIMS_MAX * 24] = "";
    for (int d = 0; d < t->n_dims; d++)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%" PRId64,
                 d > 0 ? ", " : "", t->dim[d]);
    return ft_err_set(err, FT_EINVAL,
                      "tensor %s: its shape is [%s], not [%" PRId64 ", %" PRId64
                      "]: the rank is %d, the base's %s [%" PRId64 ", %" PRId64 "]",
                      t->name, shape, rows, columns, rank, base->name, base->dim[1], base->dim[0]);
}

/* A copy as f32, whatever it is stored as. *ret_most: the largest magnitude. */
static int values_copy(const struct ft_st_tensor *t, float **ret, double *ret_most,
                       struct ft_err *err)
{
    const struct ft_type_info *info = ft_type_by_name(t->dtype);
    if (info == NULL || !ft_type_is_float(info->type) || strcmp(info->name, t->dtype) != 0)
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "tensor %s: the dtype %s (F32, F16 and BF16 are read)", t->name,
                          t->dtype);
    int64_t n = t->dim[0] * t->dim[1]; /* fits: checked against the file's bytes */
    float *x = calloc((size_t)n, sizeof *x);
    if (x == NULL)
        return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", t->name);
    info->dequantise(t->p, x, n);
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            free(x);
            return ft_err_set(err, FT_ECORRUPT,
                              "tensor %s: element %" PRId64 " is no finite number", t->name, i);
        }
        most = FT_MAX(most, (double)fabsf(x[i]));
    }
    *ret = x;
    *ret_most = most;
    return 0;
}

/* Rows of B from the folder's order to the base's. */
static int rows_order(struct ft_adapter_pair *p, int n_head, struct ft_err *err)
{
    int64_t d = p->n_out / n_head, r = p->rank;
    if (p->n_out % n_head != 0 || d % 2 != 0)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: %" PRId64 " rows are not %d heads",
                          p->tensor, p->n_out, n_head);
    float *b = calloc((size_t)(p->n_out * r), sizeof *b);
    if (b == NULL)
        return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", p->tensor);
    for (int64_t i = 0; i < p->n_out; i++)
        memcpy(b + i * r, p->b + ft_rope_halves_row(i, d) * r, (size_t)r * sizeof *b);
    free(p->b);
    p->b = b;
    return 0;
}

static int pair_make(struct reader *r, const struct ft_tensor *t, const struct found *f,
                     struct ft_err *err)
{
    const struct ft_st_tensor *a = f->half[0], *b = f->half[1];
    if (a == NULL || b == NULL)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: its lora_%c is missing",
                          (a != NULL ? a : b)->name, a == NULL ? 'A' : 'B');
    if (t->n_dims != 2)
        return ft_err_set(err, FT_EINVAL, "tensor %s: the base's %s is no matrix", a->name,
                          t->name);
    char module[FT_ST_NAME_MAX + 1];
    snprintf(module, sizeof module, "%.*s", (int)f->module_len, b->name + f->module_at);
    int rank;
    double alpha;
    int rc = ft_peft_config_module(&r->config, module, &rank, &alpha, err);
    if (rc == 0)
        rc = shape_check(a, rank, t->dim[0], rank, t, err);
    if (rc == 0)
        rc = shape_check(b, t->dim[1], rank, rank, t, err);
    if (rc != 0)
        return rc;
    struct ft_adapter_pair *p = &r->out->pair[r->out->n++];
    *p = (struct ft_adapter_pair){.n_in = t->dim[0],
                                  .n_out = t->dim[1],
                                  .rank = rank,
                                  .alpha = (float)alpha,
                                  .scale =
                                      ft_adapter_scale((float)alpha, rank, r->config.is_rslora)};
    snprintf(p->tensor, sizeof p->tensor, "%s", t->name);
    double most_a = 0, most_b = 0;
    rc = values_copy(a, &p->a, &most_a, err);
    if (rc == 0)
        rc = values_copy(b, &p->b, &most_b, err);
    if (rc == 0 && rank * most_a * most_b * FT_MAX(fabs((double)p->scale), 1) > PRODUCT_MAX)
        rc = ft_err_set(err, FT_ECORRUPT, "tensor %s: its product with lora_A may reach %.2g",
                        b->name, rank * most_a * most_b);
    int n_head = ft_rope_ordered_heads(&r->h, t->name);
    if (rc == 0 && n_head > 0 && ft_weights_source(r->base) == FT_SOURCE_GGUF)
        rc = rows_order(p, n_head, err);
    return rc;
}

static int pairs_make(struct reader *r, const struct ft_st_tensor *list, int n_list,
                      struct ft_err *err)
{
    int n = ft_weights_count(r->base), n_pair = 0, rc = 0;
    r->found = ft_arena_array(&r->arena, (size_t)n + 1, sizeof *r->found);
    if (r->found == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a list of %d tensors", n);
    for (int i = 0; rc == 0 && i < n; i++) {
        const char *name = ft_weights_at(r->base, i)->name;
        rc = ft_strmap_add(&r->names, name, strlen(name), i);
    }
    if (rc != 0)
        return ft_err_set(err, rc, "no memory for %d names", n);
    for (int i = 0; rc == 0 && i < n_list; i++)
        rc = half_add(r, &list[i], err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < n; i++)
        n_pair += r->found[i].half[0] != NULL || r->found[i].half[1] != NULL;
    if (n_pair == 0)
        return ft_err_set(err, FT_ECORRUPT, TENSOR_FILE ": no tensors");
    r->out = calloc(1, sizeof *r->out);
    if (r->out != NULL)
        r->out->pair = calloc((size_t)n_pair, sizeof *r->out->pair);
    if (r->out == NULL || r->out->pair == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %d pairs", n_pair);
    r->out->is_rslora = r->config.is_rslora;
    for (int i = 0; rc == 0 && i < n; i++)
        if (r->found[i].half[0] != NULL || r->found[i].half[1] != NULL)
            rc = pair_make(r, ft_weights_at(r->base, i), &r->found[i], err);
    return rc;
}

int ft_adapter_open(const char *folder, const struct ft_weights *base, struct ft_adapter **ret_a,
                    struct ft_err *err)
{
    struct reader r = {.base = base};
    struct ft_st_tensor *list = NULL;
    int n = 0;
    ft_arena_init(&r.arena, SIZE_MAX); /* bounded by the file's header */
    int rc = config_open(&r, folder, err);
    if (rc == 0)
        rc = ft_hparams_read(base, &r.h, err);
    if (rc == 0)
        rc = tensors_open(&r, folder, &list, &n, err);
    if (rc == 0)
        rc = pairs_make(&r, list, n, err);
    ft_map_close(&r.map);
    ft_arena_fini(&r.arena);
    ft_strmap_fini(&r.names);
    ft_peft_config_fini(&r.config);
    if (rc == 0) {
        *ret_a = r.out;
        return 0;
    }
    ft_adapter_close(r.out);
    ft_err_wrap(err, "adapter %s", folder);
    return rc;
}
