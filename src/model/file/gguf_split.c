/* GGUF files and split GGUF files: `NAME-00001-of-00003.gguf`, as llama.cpp's gguf-split writes
 * them. The first part holds the metadata; every part its own tensors. Any part may be given. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/file/weights_impl.h"

/* "-00001-of-00003.gguf" */
#define SUFFIX_LEN 20

/* The number of parts that a path's name says it has, 0 if it is no part's name. */
static int parts_of_name(const char *path)
{
    size_t n = strlen(path);
    if (n < SUFFIX_LEN)
        return 0;
    const char *s = path + n - SUFFIX_LEN;
    int no, count, end = 0;
    if (sscanf(s, "-%5d-of-%5d.gguf%n", &no, &count, &end) != 2 || end != SUFFIX_LEN)
        return 0;
    return no >= 1 && no <= count && count <= FT_WEIGHTS_PARTS_MAX ? count : 0;
}

static bool u64_of(const struct ft_gguf *g, const char *key, uint64_t *ret)
{
    struct ft_weights view = {.meta = g->meta, .n_meta = g->n_meta, .meta_index = g->meta_index};
    return ft_meta_u64(&view, key, ret);
}

static int part_read(struct ft_weights *w, const char *path, struct ft_gguf *ret,
                     struct ft_err *err)
{
    struct ft_map *map = &w->map[w->n_map];
    int rc = ft_map_open(path, map, err);
    if (rc != 0)
        return rc;
    w->n_map++;
    return ft_gguf_read(map, &w->arena, ret, err);
}

static int maps_alloc(struct ft_weights *w, int n, struct ft_err *err)
{
    struct ft_map *map = ft_arena_array(&w->arena, (size_t)n, sizeof *map);
    if (map == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %d parts", n);
    if (w->n_map > 0)
        memcpy(map, w->map, (size_t)w->n_map * sizeof *map);
    w->map = map;
    return 0;
}

/* Holds one part to what the first says. */
static int part_check(const struct ft_gguf *g, int no, int count, struct ft_err *err)
{
    uint64_t v;
    if (!u64_of(g, "split.count", &v) || v != (uint64_t)count)
        return ft_err_set(err, FT_ECORRUPT, "key split.count: not the %d of the file's name",
                          count);
    if (!u64_of(g, "split.no", &v) || v != (uint64_t)no)
        return ft_err_set(err, FT_ECORRUPT, "key split.no: not %d as the file's name says", no);
    return 0;
}

static int parts_read(struct ft_weights *w, int count, struct ft_gguf *part, struct ft_err *err)
{
    size_t stem = strlen(w->path) - SUFFIX_LEN;
    char *path = malloc(stem + SUFFIX_LEN + 8);
    if (path == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    int rc = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        snprintf(path, stem + SUFFIX_LEN + 8, "%.*s-%05d-of-%05d.gguf", (int)stem, w->path, i + 1,
                 count);
        rc = part_read(w, path, &part[i], err);
        if (rc == 0)
            rc = part_check(&part[i], i, count, err);
        if (rc != 0)
            rc = ft_err_wrap(err, "part %d of %d", i + 1, count);
    }
    free(path);
    return rc;
}

static int parts_join(struct ft_weights *w, const struct ft_gguf *part, int count,
                      struct ft_err *err)
{
    uint64_t total = 0, declared;
    for (int i = 0; i < count; i++)
        total += (uint64_t)part[i].n_tensor;
    if (u64_of(&part[0], "split.tensors.count", &declared) && declared != total)
        return ft_err_set(err, FT_ECORRUPT,
                          "key split.tensors.count: %" PRIu64 ", but the parts hold %" PRIu64,
                          declared, total);
    if (total > FT_TENSORS_MAX)
        return ft_err_set(err, FT_ELIMIT, "%" PRIu64 " tensors", total);
    w->tensor = ft_arena_array(&w->arena, total, sizeof *w->tensor);
    if (w->tensor == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %" PRIu64 " tensors", total);
    for (int i = 0; i < count; i++) {
        if (part[i].n_tensor > 0)
            memcpy(w->tensor + w->n_tensor, part[i].tensor,
                   (size_t)part[i].n_tensor * sizeof *w->tensor);
        w->n_tensor += part[i].n_tensor;
    }
    w->meta = part[0].meta;
    w->n_meta = part[0].n_meta;
    w->meta_index = part[0].meta_index;
    return 0;
}

int ft_gguf_open(struct ft_weights *w, struct ft_err *err)
{
    int rc = maps_alloc(w, 1, err);
    struct ft_gguf one = {0};
    if (rc == 0)
        rc = part_read(w, w->path, &one, err);
    if (rc != 0)
        return rc;
    uint64_t declared = 0;
    u64_of(&one, "split.count", &declared);
    if (declared <= 1)
        return parts_join(w, &one, 1, err);
    int count = parts_of_name(w->path);
    if (count == 0 || (uint64_t)count != declared)
        return ft_err_set(err, FT_EINVAL,
                          "key split.count: one of %" PRIu64 " parts, but its name"
                          " is not NAME-00001-of-%05" PRIu64 ".gguf",
                          declared, declared);
    /* Read again as one of all: the given part may be any of them. */
    ft_map_close(&w->map[0]);
    w->n_map = 0;
    rc = maps_alloc(w, count, err);
    struct ft_gguf *part = ft_arena_array(&w->arena, (size_t)count, sizeof *part);
    if (rc == 0 && part == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for %d parts", count);
    if (rc == 0)
        rc = parts_read(w, count, part, err);
    return rc == 0 ? parts_join(w, part, count, err) : rc;
}
