/* The common front of all model files: opening by kind, finding tensors, closing.
 *
 * Reading a format is gguf.c's, gguf_split.c's and hf.c's work; this file only chooses among them
 * and builds the index of tensor names, so that duplicates are refused whatever the source. */
#include "model/file/weights.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/rand.h"
#include "model/file/weights_impl.h"

static uint64_t name_hash(uint64_t seed, const char *name)
{
    size_t n = strlen(name);
    uint64_t h = seed ^ n;
    for (; n >= 8; n -= 8, name += 8) {
        uint64_t v;
        memcpy(&v, name, 8);
        h = ft_rand_mix(h ^ v);
    }
    uint64_t v = 0;
    memcpy(&v, name, n);
    return ft_rand_mix(h ^ v);
}

int ft_name_index_init(struct ft_name_index *x, struct ft_arena *a, int n, struct ft_err *err)
{
    uint32_t size = 16;
    while (size < (uint32_t)n * 2)
        size *= 2;
    uint32_t *slot = ft_arena_array(a, size, sizeof *slot);
    if (slot == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for an index of %d names", n);
    uint64_t seed = ft_rand_mix((uint64_t)ft_clock_now_ns() ^ (uint64_t)(uintptr_t)slot);
    *x = (struct ft_name_index){slot, size - 1, seed};
    return 0;
}

static const char *item_name(const void *items, size_t stride, uint32_t i)
{
    const char *name;
    memcpy(&name, (const char *)items + stride * i, sizeof name);
    return name;
}

int ft_name_index_find(const struct ft_name_index *x, const void *items, size_t stride,
                       const char *name)
{
    if (x->slot == NULL)
        return -1;
    uint32_t at = (uint32_t)name_hash(x->seed, name) & x->mask;
    for (; x->slot[at] != 0; at = (at + 1) & x->mask)
        if (strcmp(item_name(items, stride, x->slot[at] - 1), name) == 0)
            return (int)(x->slot[at] - 1);
    return -1;
}

bool ft_name_index_add(struct ft_name_index *x, const void *items, size_t stride, int i)
{
    const char *name = item_name(items, stride, (uint32_t)i);
    uint32_t at = (uint32_t)name_hash(x->seed, name) & x->mask;
    for (; x->slot[at] != 0; at = (at + 1) & x->mask)
        if (strcmp(item_name(items, stride, x->slot[at] - 1), name) == 0)
            return false;
    x->slot[at] = (uint32_t)i + 1;
    return true;
}

static int extent_compare(const void *a, const void *b)
{
    const struct ft_extent *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

int ft_extents_check(struct ft_extent *e, int n, struct ft_err *err)
{
    for (int i = 1; i < n; i++) {
        if (e[i].offset < e[i - 1].offset) { /* files list them in order, as a rule */
            qsort(e, (size_t)n, sizeof *e, extent_compare);
            break;
        }
    }
    for (int i = 1; i < n; i++)
        if (e[i].offset - e[i - 1].offset < e[i - 1].bytes)
            return ft_err_set(err, FT_ECORRUPT, "tensor %s: overlaps with %s", e[i].name,
                              e[i - 1].name);
    return 0;
}

static int tensors_index(struct ft_weights *w, struct ft_err *err)
{
    int rc = ft_name_index_init(&w->tensor_index, &w->arena, w->n_tensor, err);
    if (rc != 0)
        return rc;
    w->bytes = 0;
    for (int i = 0; i < w->n_tensor; i++) {
        const struct ft_tensor *t = &w->tensor[i];
        if (!ft_name_index_add(&w->tensor_index, w->tensor, sizeof *w->tensor, i))
            return ft_err_set(err, FT_ECORRUPT, "tensor %s: the name appears twice", t->name);
        w->bytes += (uint64_t)t->part_bytes * (uint64_t)t->n_parts;
    }
    return 0;
}

int ft_weights_open(const char *path, struct ft_weights **ret_w, struct ft_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return ft_err_sys(err, "open %s", path);
    struct ft_weights *w = calloc(1, sizeof *w);
    char *copy = strdup(path);
    if (w == NULL || copy == NULL) {
        free(w);
        free(copy);
        return ft_err_set(err, FT_ENOMEM, "open %s: no memory", path);
    }
    w->path = copy;
    /* The readers bound what they ask for by the bytes of their files; no second bound is
     * needed. */
    ft_arena_init(&w->arena, SIZE_MAX);
    w->source = S_ISDIR(st.st_mode) ? FT_SOURCE_HF : FT_SOURCE_GGUF;
    int rc = w->source == FT_SOURCE_HF ? ft_hf_open(w, err) : ft_gguf_open(w, err);
    if (rc == 0)
        rc = tensors_index(w, err);
    if (rc != 0) {
        ft_weights_close(w);
        return ft_err_wrap(err, "open %s", path);
    }
    *ret_w = w;
    return 0;
}

void ft_weights_close(struct ft_weights *w)
{
    if (w == NULL)
        return;
    for (int i = 0; i < w->n_map; i++)
        ft_map_close(&w->map[i]);
    ft_fp8_close(w);
    ft_arena_fini(&w->arena); /* holds w->map too */
    free(w->path);
    free(w);
}

int ft_weights_count(const struct ft_weights *w)
{
    return w->n_tensor;
}

const struct ft_tensor *ft_weights_at(const struct ft_weights *w, int i)
{
    FT_ASSERT(i >= 0 && i < w->n_tensor);
    return &w->tensor[i];
}

const struct ft_tensor *ft_weights_find(const struct ft_weights *w, const char *name)
{
    int i = ft_name_index_find(&w->tensor_index, w->tensor, sizeof *w->tensor, name);
    if (i < 0)
        return NULL;
    ft_fp8_fetch(w, i);
    return &w->tensor[i];
}

void ft_weights_fetch(const struct ft_weights *w, const struct ft_tensor *t)
{
    ft_fp8_fetch(w, (int)(t - w->tensor));
}

void ft_weights_drop(const struct ft_weights *w, const struct ft_tensor *t)
{
    ft_fp8_drop(w, (int)(t - w->tensor));
}

uint64_t ft_weights_bytes(const struct ft_weights *w)
{
    return w->bytes;
}

enum ft_source ft_weights_source(const struct ft_weights *w)
{
    return w->source;
}

const char *ft_weights_path(const struct ft_weights *w)
{
    return w->path;
}

int ft_weights_spare(const struct ft_weights *w, const char *path, struct ft_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0; /* nothing there, or nothing that can be written: the writer says why */
    for (int i = 0; i < w->n_map; i++)
        if (w->map[i].file_dev == (uint64_t)st.st_dev && w->map[i].file_ino == (uint64_t)st.st_ino)
            return ft_err_set(err, FT_EINVAL, "output %s: is a file of the source", path);
    return 0;
}
