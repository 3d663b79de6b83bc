/* Hugging Face folders: config.json and one or many safetensors files, shown under GGUF's names.
 *
 * hf_config.c makes the metadata, safetensors.c reads each file, hf_names.c translates names; here
 * the files are found and the tensors put together: a matrix's dimensions are reversed (GGUF lists
 * the contiguous one first), the experts of a layer become one tensor of many parts. A tensor that
 * no architecture knows is an error: leaving a weight out would be silently wrong. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "model/file/hf_fp8.h"
#include "model/file/hf_impl.h"
#include "model/file/safetensors.h"

#define INDEX_FILE  "model.safetensors.index.json"
#define SINGLE_FILE "model.safetensors"
#define INDEX_MAX   ((size_t)64 << 20)

int ft_hf_file_read(const struct ft_weights *w, const char *name, size_t max, char **ret,
                    size_t *ret_n, struct ft_err *err)
{
    char *path;
    if (asprintf(&path, "%s/%s", w->path, name) < 0)
        return ft_err_set(err, FT_ENOMEM, "%s: no memory", name);
    int rc = ft_file_read(path, max, ret, ret_n, err);
    free(path);
    return rc;
}

int ft_hf_json_read(const struct ft_weights *w, const char *name, size_t max, json_t **ret,
                    struct ft_err *err)
{
    char *text;
    size_t n;
    int rc = ft_hf_file_read(w, name, max, &text, &n, err);
    if (rc != 0)
        return rc;
    json_error_t e;
    json_t *j = json_loadb(text, n, 0, &e);
    free(text);
    if (j == NULL)
        return ft_err_set(err, FT_ECORRUPT, "%s: line %d: %s", name, e.line, e.text);
    if (!json_is_object(j)) {
        json_decref(j);
        return ft_err_set(err, FT_ECORRUPT, "%s: not an object", name);
    }
    *ret = j;
    return 0;
}

/* Where a tensor of a file goes. */
struct entry {
    const struct ft_st_tensor *t;
    const struct ft_st_tensor *scale; /* of FP8 */
    struct ft_hf_name to;
};

struct folder {
    struct ft_weights *w;
    const char **file; /* names in the folder */
    int n_file;
    struct ft_st_tensor **list; /* per file */
    int *n_list;
    struct ft_hf_config config;
    int n_layer;
    uint64_t n_expert;
    struct scale { /* of FP8 matrices, by the matrix's name */
        const char *name;
        const struct ft_st_tensor *t;
    } * scale;
    struct ft_name_index scale_index;
};

static int file_add(struct folder *f, const char *name, struct ft_err *err)
{
    for (int i = 0; i < f->n_file; i++)
        if (strcmp(f->file[i], name) == 0)
            return 0;
    if (f->n_file == FT_WEIGHTS_PARTS_MAX)
        return ft_err_set(err, FT_ELIMIT, INDEX_FILE ": more than %d files", FT_WEIGHTS_PARTS_MAX);
    if (strchr(name, '/') != NULL || name[0] == '.')
        return ft_err_set(err, FT_ECORRUPT, INDEX_FILE ": weight_map: '%.64s' is no file's name",
                          name);
    f->file[f->n_file++] = name;
    return 0;
}

/* weight_map: tensor name to file name. Only which files there are is taken from it: the files' own
 * headers say what they hold. */
static int weight_map_scan(struct folder *f, struct ft_jscan *s)
{
    bool first = true;
    struct ft_slice tensor;
    const char *file, *last = "";
    int more, rc = ft_jscan_take(s, '{');
    while (rc == 0 && (more = ft_jscan_member(s, &first, &tensor)) != 0) {
        rc = more < 0 ? more : ft_jscan_name(s, FT_ST_NAME_MAX, &file);
        if (rc != 0 || strcmp(file, last) == 0)
            continue;
        last = file;
        const char *keep = ft_arena_strndup(&f->w->arena, file, strlen(file));
        rc = keep != NULL ? file_add(f, keep, s->err) : ft_err_set(s->err, FT_ENOMEM, "no memory");
    }
    return rc != 0 ? ft_err_wrap(s->err, "weight_map") : 0;
}

static int index_scan(struct folder *f, const char *text, size_t n, struct ft_err *err)
{
    struct ft_arena scratch;
    ft_arena_init(&scratch, INDEX_MAX);
    struct ft_jscan s;
    ft_jscan_init(&s, text, n, &scratch, err);
    bool first = true, found = false;
    struct ft_slice key, skipped;
    int more, rc = ft_jscan_take(&s, '{');
    while (rc == 0 && (more = ft_jscan_member(&s, &first, &key)) != 0) {
        bool is_map = key.n == 10 && memcmp(key.p, "weight_map", 10) == 0;
        rc = more < 0 ? more : is_map ? weight_map_scan(f, &s) : ft_jscan_value(&s, &skipped);
        found |= is_map;
    }
    ft_arena_fini(&scratch);
    if (rc == 0 && !found)
        rc = ft_err_set(err, FT_ECORRUPT, "weight_map: missing");
    return rc != 0 ? ft_err_wrap(err, INDEX_FILE) : 0;
}

static int is_safetensors(const struct dirent *e)
{
    return e->d_name[0] != '.' && ft_str_ends(e->d_name, ".safetensors");
}

/* Without an index: the one file, or else all there are. */
static int files_list(struct folder *f, struct ft_err *err)
{
    struct dirent **found;
    int n = scandir(f->w->path, &found, is_safetensors, alphasort), rc = 0;
    if (n < 0)
        return ft_err_sys(err, "read the folder");
    bool single = false;
    for (int i = 0; i < n; i++)
        single = single || strcmp(found[i]->d_name, SINGLE_FILE) == 0;
    if (single)
        rc = file_add(f, SINGLE_FILE, err);
    for (int i = 0; i < n; i++) {
        const char *name = found[i]->d_name;
        if (rc == 0 && !single) {
            name = ft_arena_strndup(&f->w->arena, name, strlen(name));
            rc = name != NULL ? file_add(f, name, err) : ft_err_set(err, FT_ENOMEM, "no memory");
        }
        free(found[i]);
    }
    free(found);
    return rc != 0 || n > 0 ? rc : ft_err_set(err, FT_ENOTFOUND, SINGLE_FILE ": there is none");
}

static int files_find(struct folder *f, struct ft_err *err)
{
    f->file = ft_arena_array(&f->w->arena, FT_WEIGHTS_PARTS_MAX, sizeof *f->file);
    if (f->file == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a list of files");
    char *text;
    size_t n;
    struct ft_err e = {0};
    int rc = ft_hf_file_read(f->w, INDEX_FILE, INDEX_MAX, &text, &n, &e);
    if (rc == FT_ENOTFOUND)
        return files_list(f, err);
    if (rc != 0) {
        *err = e;
        return rc;
    }
    rc = index_scan(f, text, n, err);
    free(text);
    return rc;
}

static int files_read(struct folder *f, struct ft_err *err)
{
    struct ft_weights *w = f->w;
    size_t n = (size_t)f->n_file;
    w->map = ft_arena_array(&w->arena, n + 1, sizeof *w->map);
    f->list = ft_arena_array(&w->arena, n + 1, sizeof *f->list);
    f->n_list = ft_arena_array(&w->arena, n + 1, sizeof *f->n_list);
    if (w->map == NULL || f->list == NULL || f->n_list == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %d files", f->n_file);
    int rc = 0;
    for (int i = 0; rc == 0 && i < f->n_file; i++) {
        char *path;
        if (asprintf(&path, "%s/%s", w->path, f->file[i]) < 0)
            return ft_err_set(err, FT_ENOMEM, "no memory");
        rc = ft_map_open(path, &w->map[i], err);
        free(path);
        if (rc != 0)
            break;
        w->n_map = i + 1;
        rc = ft_st_read(&w->map[i], &w->arena, &f->list[i], &f->n_list[i], err);
        if (rc != 0)
            rc = ft_err_wrap(err, "%s", f->file[i]);
    }
    return rc;
}

static int dtype_of(const struct ft_st_tensor *t, enum ft_type *ret, struct ft_err *err)
{
    static const struct {
        const char *name;
        enum ft_type type;
    } types[] = {{"F32", FT_F32}, {"F16", FT_F16}, {"BF16", FT_BF16}, {"F8_E4M3", FT_BF16}};
    for (size_t i = 0; i < FT_COUNT(types); i++) {
        if (strcmp(types[i].name, t->dtype) == 0) {
            *ret = types[i].type;
            return 0;
        }
    }
    return ft_err_set(err, FT_EUNSUPPORTED,
                      "tensor %s: the dtype %s (F32, F16, BF16 and F8_E4M3 are read)", t->name,
                      t->dtype);
}

static int shape_set(struct ft_tensor *to, const struct ft_st_tensor *t, struct ft_err *err)
{
    int rc = dtype_of(t, &to->type, err);
    if (rc != 0)
        return rc;
    if (t->n_dims < 1 || t->n_dims >= FT_TENSOR_DIMS_MAX) /* one is kept for the experts */
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: %d dimensions", t->name, t->n_dims);
    to->n_dims = t->n_dims;
    for (int d = 0; d < FT_TENSOR_DIMS_MAX; d++) {
        to->dim[d] = d < t->n_dims ? t->dim[t->n_dims - 1 - d] : 1;
        if (to->dim[d] < 1)
            return ft_err_set(err, FT_ECORRUPT, "tensor %s: a dimension of 0", t->name);
    }
    to->n_parts = 1;
    to->is_mapped = !ft_fp8_is_matrix(t);
    to->part_bytes = to->is_mapped ? t->bytes : t->bytes * 2;
    return 0;
}

/* Where FP8 matrices will look for their scales. */
static int scales_find(struct folder *f, struct ft_err *err)
{
    struct ft_arena *a = &f->w->arena;
    int n = 0;
    size_t len;
    for (int i = 0; i < f->n_file; i++)
        for (int k = 0; k < f->n_list[i]; k++)
            n += ft_fp8_is_scale(f->list[i][k].name, &len);
    if (n == 0)
        return 0;
    f->scale = ft_arena_array(a, (size_t)n, sizeof *f->scale);
    int rc = f->scale == NULL ? ft_err_set(err, FT_ENOMEM, "no memory for %d scales", n)
                              : ft_name_index_init(&f->scale_index, a, n, err);
    n = 0;
    for (int i = 0; rc == 0 && i < f->n_file; i++) {
        for (int k = 0; rc == 0 && k < f->n_list[i]; k++) {
            const struct ft_st_tensor *t = &f->list[i][k];
            if (!ft_fp8_is_scale(t->name, &len))
                continue;
            f->scale[n] = (struct scale){ft_arena_strndup(a, t->name, len), t};
            if (f->scale[n].name == NULL)
                rc = ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", t->name);
            else if (!ft_name_index_add(&f->scale_index, f->scale, sizeof *f->scale, n++))
                rc = ft_err_set(err, FT_ECORRUPT, "tensor %s: appears twice", t->name);
        }
    }
    return rc;
}

static const struct ft_st_tensor *scale_of(const struct folder *f, const struct ft_st_tensor *t)
{
    int i = ft_name_index_find(&f->scale_index, f->scale, sizeof *f->scale, t->name);
    return i < 0 ? NULL : f->scale[i].t;
}

/* Which tensors are used, and as what: entries in the files' order. */
static int entries_make(struct folder *f, struct entry *e, int *ret_n, struct ft_err *err)
{
    int n = 0;
    for (int i = 0; i < f->n_file; i++) {
        for (int k = 0; k < f->n_list[i]; k++) {
            const struct ft_st_tensor *t = &f->list[i][k];
            size_t len;
            if (ft_fp8_is_scale(t->name, &len))
                continue;
            enum ft_hf_known known = ft_hf_name_map(t->name, &e[n].to);
            if (known == FT_HF_IGNORED || e[n].to.layer >= f->n_layer)
                continue; /* layers past the last: DeepSeek V3's for predicting further tokens */
            if (known == FT_HF_UNKNOWN)
                return ft_err_set(err, FT_EUNSUPPORTED,
                                  "tensor %s: not a part of any architecture known here", t->name);
            if (f->config.tied == 1 && strcmp(e[n].to.name, "output.weight") == 0)
                continue;
            if (e[n].to.expert >= 0 && (uint64_t)e[n].to.expert >= f->n_expert)
                return ft_err_set(err, FT_ECORRUPT, "tensor %s: config.json has %llu experts",
                                  t->name, (unsigned long long)f->n_expert);
            e[n].t = t;
            e[n].scale = scale_of(f, t);
            if (e[n++].scale != NULL && !ft_fp8_is_matrix(t))
                return ft_err_set(err, FT_EUNSUPPORTED, "tensor %s: %s with block scales", t->name,
                                  t->dtype);
        }
    }
    *ret_n = n;
    return 0;
}

/* Puts expert `x` into its place of the stacked tensor, making it at the first one. */
static int expert_add(struct folder *f, struct ft_tensor *to, const struct entry *e,
                      struct ft_err *err)
{
    struct ft_tensor one = {0};
    int rc = shape_set(&one, e->t, err);
    if (rc != 0)
        return rc;
    if (one.n_dims != 2)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: not a matrix", e->t->name);
    if (to->part == NULL) {
        const char *name = to->name;
        *to = one;
        to->name = name;
        to->n_dims = 3;
        to->dim[2] = (int64_t)f->n_expert;
        to->n_parts = (int)f->n_expert;
        to->part = ft_arena_array(&f->w->arena, f->n_expert, sizeof *to->part);
        if (to->part == NULL)
            return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", e->t->name);
    } else if (one.type != to->type || one.dim[0] != to->dim[0] || one.dim[1] != to->dim[1]) {
        return ft_err_set(err, FT_ECORRUPT,
                          "tensor %s: its shape or dtype is not that of the other experts",
                          e->t->name);
    }
    const void **place = (const void **)to->part + e->to.expert;
    if (*place != NULL)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: appears twice", e->t->name);
    *place = e->t->p;
    return 0;
}

static int whole_add(struct folder *f, struct ft_tensor *to, const struct entry *e,
                     struct ft_err *err)
{
    const char *name = to->name;
    if (to->part != NULL)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: appears twice", e->t->name);
    int rc = shape_set(to, e->t, err);
    if (rc != 0)
        return rc;
    to->name = name;
    const void **part = ft_arena_alloc(&f->w->arena, sizeof *part);
    if (part == NULL)
        return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", e->t->name);
    *part = e->t->p;
    to->part = part;
    return 0;
}

static int tensors_make(struct folder *f, const struct entry *e, int n, struct ft_err *err)
{
    struct ft_weights *w = f->w;
    struct ft_name_index index;
    w->tensor = ft_arena_array(&w->arena, (size_t)n + 1, sizeof *w->tensor);
    if (w->tensor == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %d tensors", n);
    w->n_tensor_cap = n;
    int rc = ft_name_index_init(&index, &w->arena, n, err);
    for (int i = 0; rc == 0 && i < n; i++) {
        int at = ft_name_index_find(&index, w->tensor, sizeof *w->tensor, e[i].to.name);
        if (at < 0) {
            at = w->n_tensor;
            struct ft_tensor *t = &w->tensor[at];
            t->name = ft_arena_strndup(&w->arena, e[i].to.name, strlen(e[i].to.name));
            if (t->name == NULL)
                return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", e[i].t->name);
            ft_name_index_add(&index, w->tensor, sizeof *w->tensor, at);
            w->n_tensor++;
        }
        rc = e[i].to.expert >= 0 ? expert_add(f, &w->tensor[at], &e[i], err)
                                 : whole_add(f, &w->tensor[at], &e[i], err);
        if (rc == 0 && ft_fp8_is_matrix(e[i].t))
            rc = ft_fp8_add(w, at, FT_MAX(e[i].to.expert, 0), e[i].t, e[i].scale,
                            f->config.fp8_block, err);
    }
    return rc == 0 ? ft_fp8_place(w, err) : rc;
}

static int complete_check(const struct folder *f, struct ft_err *err)
{
    bool output = false;
    for (int i = 0; i < f->w->n_tensor; i++) {
        const struct ft_tensor *t = &f->w->tensor[i];
        output = output || strcmp(t->name, "output.weight") == 0;
        for (int k = 0; k < t->n_parts; k++)
            if (t->part[k] == NULL)
                return ft_err_set(err, FT_ECORRUPT, "tensor %s: expert %d is missing", t->name, k);
    }
    if (f->config.tied == 0 && !output)
        return ft_err_set(err, FT_ECORRUPT,
                          "tensor lm_head.weight: missing, and tie_word_embeddings is false");
    return 0;
}

int ft_hf_open(struct ft_weights *w, struct ft_err *err)
{
    struct folder f = {.w = w};
    int rc = ft_hf_config_read(w, &f.config, err);
    if (rc != 0)
        return rc;
    char key[80];
    struct ft_slice arch = {"", 0};
    uint64_t n_layer = 0;
    ft_meta_str(w, "general.architecture", &arch);
    snprintf(key, sizeof key, "%.*s.block_count", (int)arch.n, arch.p);
    ft_meta_u64(w, key, &n_layer);
    snprintf(key, sizeof key, "%.*s.expert_count", (int)arch.n, arch.p);
    ft_meta_u64(w, key, &f.n_expert);
    f.n_layer = (int)n_layer;
    rc = files_find(&f, err);
    if (rc == 0)
        rc = files_read(&f, err);
    if (rc != 0)
        return rc;
    int64_t total = 0;
    for (int i = 0; i < f.n_file; i++)
        total += f.n_list[i];
    if (total > FT_TENSORS_MAX)
        return ft_err_set(err, FT_ELIMIT, "%lld tensors", (long long)total);
    struct entry *e = calloc((size_t)total + 1, sizeof *e);
    if (e == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %lld tensors", (long long)total);
    int n = 0;
    rc = scales_find(&f, err);
    if (rc == 0)
        rc = entries_make(&f, e, &n, err);
    if (rc == 0)
        rc = tensors_make(&f, e, n, err);
    if (rc == 0)
        rc = complete_check(&f, err);
    free(e);
    return rc;
}
