/* safetensors reader: the header is scanned in place (scan.h), twice: once to check
 * and count, once to fill; so nothing is allocated for what is not there. */
#include "model/file/safetensors.h"

#include <inttypes.h>
#include <string.h>

#include "model/file/scan.h"
#include "model/file/weights_impl.h"

static int bad(struct ft_err *err, const char *name, const char *what)
{
    return ft_err_set(err, FT_ECORRUPT, "tensor %s: %s", name, what);
}

static bool numbers(struct ft_scan *s, int64_t *out, int max, int *ret_n)
{
    int n = 0;
    if (!ft_scan_char(s, '['))
        return false;
    if (!ft_scan_maybe(s, ']')) {
        do {
            if (n == max || !ft_scan_uint(s, &out[n++]))
                return false;
        } while (ft_scan_maybe(s, ','));
        if (!ft_scan_char(s, ']'))
            return false;
    }
    *ret_n = n;
    return true;
}

/* The object of one tensor. */
static bool entry_scan(struct ft_scan *s, struct ft_st_tensor *t, int64_t offsets[2],
                       struct ft_arena *a)
{
    unsigned seen = 0;
    if (!ft_scan_char(s, '{'))
        return false;
    do {
        const char *key, *text;
        int n = 0;
        if (!ft_scan_string(s, a, 64, &key) || !ft_scan_char(s, ':'))
            return false;
        if (strcmp(key, "dtype") == 0) {
            if ((seen & 1) != 0 || !ft_scan_string(s, a, sizeof t->dtype - 1, &text))
                return false;
            memcpy(t->dtype, text, strlen(text) + 1);
            seen |= 1;
        } else if (strcmp(key, "shape") == 0) {
            if ((seen & 2) != 0 || !numbers(s, t->dim, FT_ST_DIMS_MAX, &t->n_dims))
                return false;
            seen |= 2;
        } else if (strcmp(key, "data_offsets") == 0) {
            if ((seen & 4) != 0 || !numbers(s, offsets, 2, &n) || n != 2)
                return false;
            seen |= 4;
        } else if (!ft_scan_skip(s)) {
            return false;
        }
    } while (ft_scan_maybe(s, ','));
    return ft_scan_char(s, '}') && seen == 7;
}

static uint64_t dtype_bytes(const char *dtype)
{
    return strcmp(dtype, "F32") == 0                                 ? 4
           : strcmp(dtype, "F16") == 0 || strcmp(dtype, "BF16") == 0 ? 2
                                                                     : 0;
}

static int extent_set(struct ft_st_tensor *t, const int64_t offsets[2], const uint8_t *data,
                      uint64_t data_bytes, struct ft_err *err)
{
    if (offsets[0] > offsets[1] || (uint64_t)offsets[1] > data_bytes)
        return bad(err, t->name, "data_offsets reach past the end of the file (is it cut off?)");
    t->p = data + offsets[0];
    t->bytes = (uint64_t)(offsets[1] - offsets[0]);
    int64_t elements = 1;
    for (int d = 0; d < t->n_dims; d++)
        if (__builtin_mul_overflow(elements, t->dim[d], &elements))
            return bad(err, t->name, "the shape is beyond any size");
    uint64_t each = dtype_bytes(t->dtype), bytes;
    if (each != 0 &&
        (__builtin_mul_overflow((uint64_t)elements, each, &bytes) || bytes != t->bytes))
        return bad(err, t->name, "data_offsets are not the bytes of its shape and dtype");
    return 0;
}

/* Walks the header; with `out`, fills it. Returns the number of tensors. */
static int header_scan(struct ft_scan s, const uint8_t *data, uint64_t data_bytes,
                       struct ft_arena *a, struct ft_st_tensor *out, int *ret_n, struct ft_err *err)
{
    int n = 0;
    if (!ft_scan_char(&s, '{'))
        return ft_err_set(err, FT_ECORRUPT, "header: not a JSON object");
    bool more = !ft_scan_maybe(&s, '}');
    while (more) {
        struct ft_st_tensor one = {0}, *t = out != NULL ? &out[n] : &one;
        int64_t offsets[2];
        if (!ft_scan_string(&s, a, FT_ST_NAME_MAX, &t->name) || !ft_scan_char(&s, ':'))
            return ft_err_set(err, FT_ECORRUPT, "header: the name after %d tensors is malformed",
                              n);
        if (strcmp(t->name, "__metadata__") == 0) {
            if (!ft_scan_skip(&s))
                return ft_err_set(err, FT_ECORRUPT, "header: __metadata__ is malformed");
        } else {
            if (!entry_scan(&s, t, offsets, a))
                return bad(err, t->name, "its entry is malformed");
            int rc = extent_set(t, offsets, data, data_bytes, err);
            if (rc != 0)
                return rc;
            if (++n > FT_TENSORS_MAX)
                return ft_err_set(err, FT_ELIMIT, "header: more than %d tensors", FT_TENSORS_MAX);
        }
        more = ft_scan_maybe(&s, ',');
        if (!more && !ft_scan_char(&s, '}'))
            return ft_err_set(err, FT_ECORRUPT, "header: cut off after %d tensors", n);
    }
    ft_scan_space(&s); /* the header is padded with spaces */
    if (s.p != s.end)
        return ft_err_set(err, FT_ECORRUPT, "header: bytes follow its end");
    *ret_n = n;
    return 0;
}

static int overlaps_check(const struct ft_map *map, const struct ft_st_tensor *t, int n,
                          struct ft_err *err)
{
    struct ft_arena scratch;
    ft_arena_init(&scratch, SIZE_MAX);
    struct ft_extent *e = ft_arena_array(&scratch, (size_t)n, sizeof *e);
    int rc = e == NULL ? ft_err_set(err, FT_ENOMEM, "no memory for %d tensors", n) : 0;
    for (int i = 0; rc == 0 && i < n; i++)
        e[i] = (struct ft_extent){(uint64_t)(t[i].p - map->data), t[i].bytes, t[i].name};
    if (rc == 0)
        rc = ft_extents_check(e, n, err);
    ft_arena_fini(&scratch);
    return rc;
}

int ft_st_read(const struct ft_map *map, struct ft_arena *a, struct ft_st_tensor **ret_tensors,
               int *ret_n, struct ft_err *err)
{
    uint64_t header;
    if (map->bytes < 8)
        return ft_err_set(err, FT_ECORRUPT, "header: cut off");
    memcpy(&header, map->data, 8);
    if (header > FT_ST_HEADER_MAX || header > map->bytes - 8)
        return ft_err_set(err, FT_ECORRUPT, "header: %" PRIu64 " bytes do not fit in the file",
                          header);
    struct ft_scan s = {(const char *)map->data + 8, (const char *)map->data + 8 + header};
    const uint8_t *data = map->data + 8 + header;
    uint64_t data_bytes = map->bytes - 8 - header;
    struct ft_arena scratch; /* the first pass's names */
    ft_arena_init(&scratch, SIZE_MAX);
    int n = 0, rc = header_scan(s, data, data_bytes, &scratch, NULL, &n, err);
    ft_arena_fini(&scratch);
    if (rc != 0)
        return rc;
    struct ft_st_tensor *t = ft_arena_array(a, (size_t)n + 1, sizeof *t);
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %d tensors", n);
    rc = header_scan(s, data, data_bytes, a, t, &n, err);
    if (rc == 0)
        rc = overlaps_check(map, t, n, err);
    if (rc != 0)
        return rc;
    *ret_tensors = t;
    *ret_n = n;
    return 0;
}
