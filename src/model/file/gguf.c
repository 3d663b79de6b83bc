/* One GGUF file, versions 2 and 3, little endian: header, metadata, tensor table.
 *
 * The file is hostile input. A cursor checks every read against the mapping; counts are checked
 * against the bytes that are left before anything is allocated for them, so memory stays within a
 * small multiple of the file; strings are never copied except for keys and tensor names. Format:
 * ggml's docs/gguf.md. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "model/file/weights_impl.h"

#define ALIGNMENT_DEFAULT 32
#define ALIGNMENT_MAX     (1 << 20)

/* The fewest file bytes that one entry takes; bounds the counts. */
#define KEY_BYTES_MIN    (8 + 1 + 4 + 1)
#define TENSOR_BYTES_MIN (8 + 1 + 4 + 8 + 4 + 8)

struct cursor {
    const uint8_t *base;
    uint64_t at, end;
};

static uint64_t left(const struct cursor *c)
{
    return c->end - c->at;
}

static bool take(struct cursor *c, void *ret, uint64_t n)
{
    if (n > left(c))
        return false;
    memcpy(ret, c->base + c->at, n);
    c->at += n;
    return true;
}

/* A length and that many bytes, left where they are. */
static bool take_string(struct cursor *c, const uint8_t **ret_p, uint64_t *ret_n)
{
    uint64_t n;
    if (!take(c, &n, 8) || n > left(c))
        return false;
    *ret_p = c->base + c->at;
    *ret_n = n;
    c->at += n;
    return true;
}

/* A name: copied, without control bytes (it is a C string, and goes to terminals), not empty, at
 * most max bytes. */
static int take_name(struct cursor *c, struct ft_arena *a, uint64_t max, const char *what, int i,
                     const char **ret, struct ft_err *err)
{
    const uint8_t *p;
    uint64_t n;
    if (!take_string(c, &p, &n))
        return ft_err_set(err, FT_ECORRUPT, "%s %d: its name runs past the end of the file", what,
                          i);
    if (n == 0 || n > max)
        return ft_err_set(err, FT_ECORRUPT,
                          "%s %d: a name of %" PRIu64 " bytes (1 to %" PRIu64 " are allowed)", what,
                          i, n, max);
    for (uint64_t k = 0; k < n; k++)
        if (p[k] < 32 || p[k] == 127)
            return ft_err_set(err, FT_ECORRUPT, "%s %d: its name holds a control byte", what, i);
    *ret = ft_arena_strndup(a, (const char *)p, n);
    return *ret != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "%s %d: no memory", what, i);
}

static int array_read(struct cursor *c, struct ft_meta_value *v, struct ft_err *err)
{
    uint32_t elem;
    if (!take(c, &elem, 4) || !take(c, &v->n, 8))
        return ft_err_set(err, FT_ECORRUPT, "key %s: the array's header runs past the end", v->key);
    v->elem = (enum ft_meta_type)elem;
    v->p = c->base + c->at;
    uint64_t start = c->at, bytes = (uint64_t)ft_meta_type_bytes(v->elem);
    if (bytes != 0) {
        if (v->n > left(c) / bytes)
            return ft_err_set(err, FT_ECORRUPT,
                              "key %s: %" PRIu64 " elements do not fit in the file", v->key, v->n);
        if (v->elem == FT_META_BOOL)
            for (uint64_t i = 0; i < v->n; i++)
                if (v->p[i] > 1)
                    return ft_err_set(err, FT_ECORRUPT, "key %s: element %" PRIu64 " is no boolean",
                                      v->key, i);
        c->at += v->n * bytes;
    } else if (v->elem == FT_META_STRING) {
        if (v->n > left(c) / 8)
            return ft_err_set(err, FT_ECORRUPT,
                              "key %s: %" PRIu64 " strings do not fit in the file", v->key, v->n);
        for (uint64_t i = 0; i < v->n; i++) {
            const uint8_t *p;
            uint64_t n;
            if (!take_string(c, &p, &n))
                return ft_err_set(err, FT_ECORRUPT,
                                  "key %s: string %" PRIu64 " runs past the end of the file",
                                  v->key, i);
        }
    } else if (v->elem == FT_META_ARRAY) {
        return ft_err_set(err, FT_EUNSUPPORTED, "key %s: an array of arrays", v->key);
    } else {
        return ft_err_set(err, FT_ECORRUPT, "key %s: elements of the unknown type %u", v->key,
                          elem);
    }
    v->bytes = c->at - start;
    return 0;
}

static int value_read(struct cursor *c, struct ft_meta_value *v, struct ft_err *err)
{
    uint32_t type;
    if (!take(c, &type, 4))
        return ft_err_set(err, FT_ECORRUPT, "key %s: its type runs past the end of the file",
                          v->key);
    v->type = (enum ft_meta_type)type;
    v->n = 1;
    if (v->type == FT_META_ARRAY)
        return array_read(c, v, err);
    if (v->type == FT_META_STRING) {
        if (!take_string(c, &v->p, &v->n))
            return ft_err_set(err, FT_ECORRUPT, "key %s: the string runs past the end of the file",
                              v->key);
        v->bytes = v->n;
        return 0;
    }
    v->bytes = (uint64_t)ft_meta_type_bytes(v->type);
    if (v->bytes == 0)
        return ft_err_set(err, FT_ECORRUPT, "key %s: the unknown value type %u", v->key, type);
    if (v->bytes > left(c))
        return ft_err_set(err, FT_ECORRUPT, "key %s: the value runs past the end of the file",
                          v->key);
    v->p = c->base + c->at;
    c->at += v->bytes;
    if (v->type == FT_META_BOOL && *v->p > 1)
        return ft_err_set(err, FT_ECORRUPT, "key %s: %u is no boolean", v->key, *v->p);
    return 0;
}

static int metadata_read(struct cursor *c, uint64_t n, struct ft_arena *a, struct ft_gguf *g,
                         struct ft_err *err)
{
    if (n > FT_META_KEYS_MAX || n > left(c) / KEY_BYTES_MIN)
        return ft_err_set(err, FT_ECORRUPT,
                          "header: %" PRIu64 " metadata keys do not fit in the file", n);
    g->meta = ft_arena_array(a, n, sizeof *g->meta);
    if (g->meta == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %" PRIu64 " metadata keys", n);
    int rc = ft_name_index_init(&g->meta_index, a, (int)n, err);
    for (; rc == 0 && g->n_meta < (int)n; g->n_meta++) {
        struct ft_meta_value *v = &g->meta[g->n_meta];
        rc = take_name(c, a, FT_META_KEY_LEN_MAX, "metadata key", g->n_meta, &v->key, err);
        if (rc == 0)
            rc = value_read(c, v, err);
        if (rc == 0 && !ft_name_index_add(&g->meta_index, g->meta, sizeof *g->meta, g->n_meta))
            rc = ft_err_set(err, FT_ECORRUPT, "key %s: appears twice", v->key);
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* Names for messages about types that exist but are not read here. */
static const char *foreign_type(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } names[] = {{9, "Q8_1"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
                 {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {24, "I8"},     {25, "I16"},
                 {26, "I32"},   {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {34, "TQ1_0"},
                 {35, "TQ2_0"}, {40, "NVFP4"}};
    for (size_t i = 0; i < FT_COUNT(names); i++)
        if (names[i].type == type)
            return names[i].name;
    return NULL;
}

/* Shape, type and offset of one tensor; *ret_offset is from the start of the data. */
static int tensor_read(struct cursor *c, struct ft_tensor *t, uint64_t *ret_offset,
                       struct ft_err *err)
{
    uint32_t n_dims, type;
    if (!take(c, &n_dims, 4))
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: cut off", t->name);
    if (n_dims < 1 || n_dims > FT_TENSOR_DIMS_MAX)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: %u dimensions (1 to %d are allowed)",
                          t->name, n_dims, FT_TENSOR_DIMS_MAX);
    t->n_dims = (int)n_dims;
    int64_t elements = 1;
    for (int d = 0; d < FT_TENSOR_DIMS_MAX; d++) {
        t->dim[d] = 1;
        if (d < t->n_dims && !take(c, &t->dim[d], 8))
            return ft_err_set(err, FT_ECORRUPT, "tensor %s: cut off", t->name);
        if (t->dim[d] < 1 || __builtin_mul_overflow(elements, t->dim[d], &elements))
            return ft_err_set(err, FT_ECORRUPT, "tensor %s: dimension %d is %" PRId64, t->name, d,
                              t->dim[d]);
    }
    if (!take(c, &type, 4) || !take(c, ret_offset, 8))
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: cut off", t->name);
    const struct ft_type_info *info = ft_type_info((enum ft_type)type);
    if (info == NULL) {
        const char *name = foreign_type(type);
        return ft_err_set(err, name != NULL ? FT_EUNSUPPORTED : FT_ECORRUPT,
                          "tensor %s: the type %s%s(%u)", t->name, name != NULL ? name : "",
                          name != NULL ? " " : "", type);
    }
    t->type = info->type;
    if (t->dim[0] % info->block_len != 0)
        return ft_err_set(err, FT_ECORRUPT,
                          "tensor %s: rows of %" PRId64 " are not whole blocks of %s", t->name,
                          t->dim[0], info->name);
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)(elements / info->block_len), (uint64_t)info->block_bytes,
                               &bytes))
        return ft_err_set(err, FT_ECORRUPT, "tensor %s: its shape is beyond any size", t->name);
    t->n_parts = 1;
    t->part_bytes = bytes;
    return 0;
}

static int alignment_get(const struct ft_gguf *g, uint64_t *ret, struct ft_err *err)
{
    *ret = ALIGNMENT_DEFAULT;
    int i = ft_name_index_find(&g->meta_index, g->meta, sizeof *g->meta, "general.alignment");
    if (i < 0)
        return 0;
    uint32_t a = 0;
    if (g->meta[i].type == FT_META_U32)
        memcpy(&a, g->meta[i].p, 4);
    if (a == 0 || a > ALIGNMENT_MAX || (a & (a - 1)) != 0)
        return ft_err_set(err, FT_ECORRUPT,
                          "key general.alignment: must be a u32 power of two up to %d",
                          ALIGNMENT_MAX);
    *ret = a;
    return 0;
}

static int tensors_place(const struct ft_map *map, const struct cursor *c, struct ft_arena *a,
                         struct ft_gguf *g, struct ft_extent *e, struct ft_err *err)
{
    uint64_t align;
    int rc = alignment_get(g, &align, err);
    if (rc != 0)
        return rc;
    uint64_t data = (c->at + align - 1) & ~(align - 1); /* at most the file's size + 1 MiB */
    const void **where = ft_arena_array(a, (size_t)g->n_tensor, sizeof *where);
    if (where == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %d tensors", g->n_tensor);
    for (int i = 0; i < g->n_tensor; i++) {
        struct ft_tensor *t = &g->tensor[i];
        if (e[i].offset % align != 0)
            return ft_err_set(err, FT_ECORRUPT,
                              "tensor %s: offset %" PRIu64 " is not a multiple of %" PRIu64,
                              t->name, e[i].offset, align);
        if (data > map->bytes || e[i].offset > map->bytes - data ||
            t->part_bytes > map->bytes - data - e[i].offset)
            return ft_err_set(err, FT_ECORRUPT,
                              "tensor %s: offset %" PRIu64 " and %zu bytes reach"
                              " past the end of the file (is it cut off?)",
                              t->name, e[i].offset, t->part_bytes);
        where[i] = map->data + data + e[i].offset;
        t->part = &where[i];
        t->is_mapped = true;
    }
    return ft_extents_check(e, g->n_tensor, err);
}

static int tensors_read(const struct ft_map *map, struct cursor *c, uint64_t n, struct ft_arena *a,
                        struct ft_gguf *g, struct ft_err *err)
{
    if (n > FT_TENSORS_MAX || n > left(c) / TENSOR_BYTES_MIN)
        return ft_err_set(err, FT_ECORRUPT, "header: %" PRIu64 " tensors do not fit in the file",
                          n);
    if (n == 0)
        return 0;
    g->tensor = ft_arena_array(a, n, sizeof *g->tensor);
    struct ft_extent *e = calloc(n, sizeof *e);
    if (g->tensor == NULL || e == NULL) {
        free(e);
        return ft_err_set(err, FT_ENOMEM, "no memory for %" PRIu64 " tensors", n);
    }
    int rc = 0;
    for (int i = 0; rc == 0 && i < (int)n; i++) {
        struct ft_tensor *t = &g->tensor[i];
        rc = take_name(c, a, FT_TENSOR_NAME_MAX, "tensor", i, &t->name, err);
        if (rc == 0)
            rc = tensor_read(c, t, &e[i].offset, err);
        e[i].bytes = t->part_bytes;
        e[i].name = t->name;
    }
    if (rc == 0) {
        g->n_tensor = (int)n;
        rc = tensors_place(map, c, a, g, e, err);
    }
    free(e);
    return rc;
}

int ft_gguf_read(const struct ft_map *map, struct ft_arena *a, struct ft_gguf *ret,
                 struct ft_err *err)
{
    struct cursor c = {map->data, 0, map->bytes};
    uint32_t magic, version;
    uint64_t n_tensor, n_meta;
    if (!take(&c, &magic, 4) || memcmp(&magic, "GGUF", 4) != 0)
        return ft_err_set(err, FT_ECORRUPT, "not a GGUF file: it does not begin with \"GGUF\"");
    if (!take(&c, &version, 4))
        return ft_err_set(err, FT_ECORRUPT, "header: cut off");
    if (version != 2 && version != 3)
        return ft_err_set(err, FT_EUNSUPPORTED, "GGUF version %u%s; versions 2 and 3 are read",
                          version, (version & 0xffff) == 0 ? " (a big-endian file?)" : "");
    if (!take(&c, &n_tensor, 8) || !take(&c, &n_meta, 8))
        return ft_err_set(err, FT_ECORRUPT, "header: cut off");
    struct ft_gguf g = {0};
    int rc = metadata_read(&c, n_meta, a, &g, err);
    if (rc == 0)
        rc = tensors_read(map, &c, n_tensor, a, &g, err);
    if (rc == 0)
        *ret = g;
    return rc;
}
