/* safetensors reader: the header is scanned in place, twice: once to check
 * and count, once to fill; so nothing is allocated for what is not there. */
#include "model/file/safetensors.h"

#include <inttypes.h>
#include <string.h>

#include "base/json_scan.h"
#include "model/file/weights_impl.h"

static int bad(struct ft_err *err, const char *name, const char *what)
{
    return ft_err_set(err, FT_ECORRUPT, "tensor %s: %s", name, what);
}

/* An array of at most max whole numbers. */
static int numbers(struct ft_jscan *s, int64_t *out, int max, int *ret_n)
{
    bool first = true;
    int n = 0, more, rc = ft_jscan_take(s, '[');
    if (rc != 0)
        return rc;
    while ((more = ft_jscan_next(s, ']', &first)) > 0) {
        uint64_t v;
        if (n == max)
            return ft_jscan_fail(s, "too many numbers");
        if ((rc = ft_jscan_u64(s, &v)) != 0)
            return rc;
        if (v > INT64_MAX)
            return ft_jscan_fail(s, "a number that is too large");
        out[n++] = (int64_t)v;
    }
    *ret_n = n;
    return more;
}

static int entry_field(struct ft_jscan *s, struct ft_slice key, struct ft_st_tensor *t,
                       int64_t offsets[2], unsigned *seen)
{
    static const char *const names[] = {"dtype", "shape", "data_offsets"};
    unsigned i = 0;
    while (i < FT_COUNT(names) &&
           (strlen(names[i]) != key.n || memcmp(names[i], key.p, key.n) != 0))
        i++;
    struct ft_slice text;
    if (i == FT_COUNT(names))
        return ft_jscan_value(s, &text);
    if ((*seen & 1u << i) != 0)
        return ft_jscan_fail(s, "a field stands twice");
    *seen |= 1u << i;
    int n = 0, rc;
    if (i == 1)
        return numbers(s, t->dim, FT_ST_DIMS_MAX, &t->n_dims);
    if (i == 2) {
        rc = numbers(s, offsets, 2, &n);
        return rc == 0 && n != 2 ? ft_jscan_fail(s, "data_offsets are not two numbers") : rc;
    }
    rc = ft_jscan_string(s, &text);
    if (rc == 0 && text.n >= sizeof t->dtype)
        return ft_jscan_fail(s, "a dtype that is too long");
    if (rc == 0)
        memcpy(t->dtype, text.p, text.n);
    return rc;
}

/* The object of one tensor. */
static int entry_scan(struct ft_jscan *s, struct ft_st_tensor *t, int64_t offsets[2])
{
    unsigned seen = 0;
    bool first = true;
    struct ft_slice key;
    int more, rc = ft_jscan_take(s, '{');
    while (rc == 0 && (more = ft_jscan_member(s, &first, &key)) != 0)
        rc = more < 0 ? more : entry_field(s, key, t, offsets, &seen);
    if (rc == 0 && seen != 7)
        return ft_jscan_fail(s, "dtype, shape or data_offsets is missing");
    return rc;
}

static uint64_t dtype_bytes(const char *dtype)
{
    return strcmp(dtype, "F32") == 0                                 ? 4
           : strcmp(dtype, "F16") == 0 || strcmp(dtype, "BF16") == 0 ? 2
           : strcmp(dtype, "F8_E4M3") == 0                           ? 1
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

/* One member of the header. *ret_is: whether it is a tensor. */
static int member_scan(struct ft_jscan *s, const uint8_t *data, uint64_t data_bytes,
                       struct ft_st_tensor *t, bool *ret_is)
{
    int64_t offsets[2] = {0};
    struct ft_slice skipped;
    int rc = ft_jscan_name(s, FT_ST_NAME_MAX, &t->name);
    if (rc == 0)
        rc = ft_jscan_take(s, ':');
    if (rc != 0)
        return ft_err_wrap(s->err, "header");
    *ret_is = strcmp(t->name, "__metadata__") != 0;
    rc = *ret_is ? entry_scan(s, t, offsets) : ft_jscan_value(s, &skipped);
    if (rc != 0)
        return ft_err_wrap(s->err, "header: tensor %s", t->name);
    return *ret_is ? extent_set(t, offsets, data, data_bytes, s->err) : 0;
}

/* Walks the header; with `out`, fills it. Returns the number of tensors. */
static int header_scan(struct ft_slice header, const uint8_t *data, uint64_t data_bytes,
                       struct ft_arena *a, struct ft_st_tensor *out, int *ret_n, struct ft_err *err)
{
    struct ft_jscan s;
    ft_jscan_init(&s, header.p, header.n, a, err);
    bool first = true;
    int n = 0, more = 0, rc = ft_jscan_take(&s, '{');
    if (rc != 0)
        return ft_err_set(err, FT_ECORRUPT, "header: not a JSON object");
    while ((more = ft_jscan_next(&s, '}', &first)) > 0) {
        struct ft_st_tensor one = {0}, *t = out != NULL ? &out[n] : &one;
        bool is_tensor = false;
        rc = member_scan(&s, data, data_bytes, t, &is_tensor);
        if (rc == 0 && is_tensor && ++n > FT_TENSORS_MAX)
            rc = ft_err_set(err, FT_ELIMIT, "header: more than %d tensors", FT_TENSORS_MAX);
        if (rc != 0)
            return rc;
    }
    if (more < 0)
        return ft_err_set(err, FT_ECORRUPT, "header: cut off after %d tensors", n);
    if (ft_jscan_peek(&s) != '\0' || s.p != s.end) /* the header is padded with spaces */
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
    struct ft_slice text = {(const char *)map->data + 8, header};
    const uint8_t *data = map->data + 8 + header;
    uint64_t data_bytes = map->bytes - 8 - header;
    struct ft_arena scratch; /* the first pass's names */
    ft_arena_init(&scratch, SIZE_MAX);
    int n = 0, rc = header_scan(text, data, data_bytes, &scratch, NULL, &n, err);
    ft_arena_fini(&scratch);
    if (rc != 0)
        return rc;
    struct ft_st_tensor *t = ft_arena_array(a, (size_t)n + 1, sizeof *t);
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for %d tensors", n);
    rc = header_scan(text, data, data_bytes, a, t, &n, err);
    if (rc == 0)
        rc = overlaps_check(map, t, n, err);
    if (rc != 0)
        return rc;
    *ret_tensors = t;
    *ret_n = n;
    return 0;
}
