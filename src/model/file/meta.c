/* Metadata getters: GGUF values in their file bytes, converted where the conversion is exact. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/file/weights_impl.h"

int ft_meta_type_bytes(enum ft_meta_type type)
{
    switch (type) {
    case FT_META_U8:
    case FT_META_I8:
    case FT_META_BOOL:
        return 1;
    case FT_META_U16:
    case FT_META_I16:
        return 2;
    case FT_META_U32:
    case FT_META_I32:
    case FT_META_F32:
        return 4;
    case FT_META_U64:
    case FT_META_I64:
    case FT_META_F64:
        return 8;
    case FT_META_STRING:
    case FT_META_ARRAY:
        break;
    }
    return 0;
}

static const char *type_name(enum ft_meta_type type)
{
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
    return (size_t)type < FT_COUNT(names) ? names[type] : "unknown";
}

/* A number as file bytes gave it: one of the three is meant. */
struct number {
    enum { NUMBER_UNSIGNED, NUMBER_SIGNED, NUMBER_FLOAT } kind;
    uint64_t u;
    int64_t i;
    double f;
};

#define LOAD(ctype, member, k)                                                                     \
    do {                                                                                           \
        ctype v_;                                                                                  \
        memcpy(&v_, p, sizeof v_);                                                                 \
        ret->kind = k;                                                                             \
        ret->member = v_;                                                                          \
        return true;                                                                               \
    } while (0)

static bool number_load(enum ft_meta_type type, const uint8_t *p, struct number *ret)
{
    switch (type) {
    case FT_META_U8:
        LOAD(uint8_t, u, NUMBER_UNSIGNED);
    case FT_META_I8:
        LOAD(int8_t, i, NUMBER_SIGNED);
    case FT_META_U16:
        LOAD(uint16_t, u, NUMBER_UNSIGNED);
    case FT_META_I16:
        LOAD(int16_t, i, NUMBER_SIGNED);
    case FT_META_U32:
        LOAD(uint32_t, u, NUMBER_UNSIGNED);
    case FT_META_I32:
        LOAD(int32_t, i, NUMBER_SIGNED);
    case FT_META_U64:
        LOAD(uint64_t, u, NUMBER_UNSIGNED);
    case FT_META_I64:
        LOAD(int64_t, i, NUMBER_SIGNED);
    case FT_META_F32:
        LOAD(float, f, NUMBER_FLOAT);
    case FT_META_F64:
        LOAD(double, f, NUMBER_FLOAT);
    case FT_META_BOOL:
    case FT_META_STRING:
    case FT_META_ARRAY:
        break;
    }
    return false;
}

static bool as_u64(enum ft_meta_type type, const uint8_t *p, uint64_t *ret)
{
    struct number n;
    if (!number_load(type, p, &n))
        return false;
    if (n.kind == NUMBER_SIGNED && n.i < 0)
        return false;
    if (n.kind == NUMBER_FLOAT && !(n.f >= 0 && n.f < 0x1p63 && n.f == floor(n.f)))
        return false;
    *ret = n.kind == NUMBER_UNSIGNED ? n.u
           : n.kind == NUMBER_SIGNED ? (uint64_t)n.i
                                     : (uint64_t)n.f;
    return true;
}

static bool as_f64(enum ft_meta_type type, const uint8_t *p, double *ret)
{
    struct number n;
    if (!number_load(type, p, &n))
        return false;
    *ret = n.kind == NUMBER_UNSIGNED ? (double)n.u : n.kind == NUMBER_SIGNED ? (double)n.i : n.f;
    return true;
}

const struct ft_meta_value *ft_meta_find(const struct ft_weights *w, const char *key)
{
    int i = ft_name_index_find(&w->meta_index, w->meta, sizeof *w->meta, key);
    return i < 0 ? NULL : &w->meta[i];
}

bool ft_meta_has(const struct ft_weights *w, const char *key)
{
    return ft_meta_find(w, key) != NULL;
}

bool ft_meta_u64(const struct ft_weights *w, const char *key, uint64_t *ret)
{
    const struct ft_meta_value *v = ft_meta_find(w, key);
    return v != NULL && as_u64(v->type, v->p, ret);
}

bool ft_meta_f64(const struct ft_weights *w, const char *key, double *ret)
{
    const struct ft_meta_value *v = ft_meta_find(w, key);
    return v != NULL && as_f64(v->type, v->p, ret);
}

bool ft_meta_bool(const struct ft_weights *w, const char *key, bool *ret)
{
    const struct ft_meta_value *v = ft_meta_find(w, key);
    if (v == NULL || v->type != FT_META_BOOL)
        return false;
    *ret = *v->p != 0;
    return true;
}

bool ft_meta_str(const struct ft_weights *w, const char *key, struct ft_slice *ret)
{
    const struct ft_meta_value *v = ft_meta_find(w, key);
    if (v == NULL || v->type != FT_META_STRING)
        return false;
    *ret = (struct ft_slice){(const char *)v->p, v->n};
    return true;
}

int64_t ft_meta_array_len(const struct ft_weights *w, const char *key)
{
    const struct ft_meta_value *v = ft_meta_find(w, key);
    return v == NULL || v->type != FT_META_ARRAY ? -1 : (int64_t)v->n;
}

static const uint8_t *element(const struct ft_weights *w, const char *key, int64_t i,
                              enum ft_meta_type *ret_type)
{
    const struct ft_meta_value *v = ft_meta_find(w, key);
    if (v == NULL || v->type != FT_META_ARRAY || i < 0 || (uint64_t)i >= v->n)
        return NULL;
    int bytes = ft_meta_type_bytes(v->elem);
    *ret_type = v->elem;
    return bytes == 0 ? NULL : v->p + (uint64_t)i * (uint64_t)bytes;
}

bool ft_meta_array_u64(const struct ft_weights *w, const char *key, int64_t i, uint64_t *ret)
{
    enum ft_meta_type type;
    const uint8_t *p = element(w, key, i, &type);
    return p != NULL && as_u64(type, p, ret);
}

bool ft_meta_array_f64(const struct ft_weights *w, const char *key, int64_t i, double *ret)
{
    enum ft_meta_type type;
    const uint8_t *p = element(w, key, i, &type);
    return p != NULL && as_f64(type, p, ret);
}

bool ft_meta_array_f64s(const struct ft_weights *w, const char *key, double *out, int64_t n)
{
    const struct ft_meta_value *v = ft_meta_find(w, key);
    if (v == NULL || v->type != FT_META_ARRAY || (uint64_t)n != v->n)
        return false;
    int bytes = ft_meta_type_bytes(v->elem);
    for (int64_t i = 0; i < n; i++)
        if (!as_f64(v->elem, v->p + i * bytes, &out[i]))
            return false;
    return true;
}

bool ft_meta_array_strs(const struct ft_weights *w, const char *key, struct ft_slice *out,
                        int64_t n)
{
    const struct ft_meta_value *v = ft_meta_find(w, key);
    if (v == NULL || v->type != FT_META_ARRAY || v->elem != FT_META_STRING || (uint64_t)n != v->n)
        return false;
    const uint8_t *p = v->p; /* lengths were checked when the file was opened */
    for (int64_t i = 0; i < n; i++) {
        uint64_t len;
        memcpy(&len, p, 8);
        out[i] = (struct ft_slice){(const char *)p + 8, len};
        p += 8 + len;
    }
    return true;
}

int ft_meta_count(const struct ft_weights *w)
{
    return w->n_meta;
}

const char *ft_meta_key(const struct ft_weights *w, int i)
{
    FT_ASSERT(i >= 0 && i < w->n_meta);
    return w->meta[i].key;
}

/* Control bytes would upset a terminal: they show as '?'. */
static void print_text(const uint8_t *p, uint64_t len, char *out, size_t n)
{
    size_t at = 0;
    if (at + 1 < n)
        out[at++] = '"';
    for (uint64_t i = 0; i < len && at + 5 < n; i++) {
        if (p[i] == '\n' && at + 6 < n) {
            out[at++] = '\\';
            out[at++] = 'n';
        } else {
            out[at++] = p[i] < 32 || p[i] == 127 ? '?' : (char)p[i];
        }
        if (at + 5 >= n && i + 1 < len) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
    }
    if (at + 1 < n)
        out[at++] = '"';
    out[at] = '\0';
}

static void print_number(enum ft_meta_type type, const uint8_t *p, char *out, size_t n)
{
    struct number v;
    if (type == FT_META_BOOL)
        snprintf(out, n, "%s", *p != 0 ? "true" : "false");
    else if (!number_load(type, p, &v))
        snprintf(out, n, "?");
    else if (v.kind == NUMBER_UNSIGNED)
        snprintf(out, n, "%llu", (unsigned long long)v.u);
    else if (v.kind == NUMBER_SIGNED)
        snprintf(out, n, "%lld", (long long)v.i);
    else
        snprintf(out, n, type == FT_META_F32 ? "%.7g" : "%.15g", v.f);
}

void ft_meta_print(const struct ft_weights *w, int i, char *out, size_t n)
{
    FT_ASSERT(i >= 0 && i < w->n_meta && n > 0);
    const struct ft_meta_value *v = &w->meta[i];
    if (v->type == FT_META_STRING) {
        print_text(v->p, v->n, out, n);
    } else if (v->type != FT_META_ARRAY) {
        print_number(v->type, v->p, out, n);
    } else if (v->n <= 8 && v->elem != FT_META_STRING) {
        size_t at = (size_t)snprintf(out, n, "[");
        for (uint64_t k = 0; k < v->n && at < n; k++) {
            char text[32];
            print_number(v->elem, v->p + k * (uint64_t)ft_meta_type_bytes(v->elem), text,
                         sizeof text);
            at += (size_t)snprintf(out + at, n - at, "%s%s", k > 0 ? ", " : "", text);
        }
        if (at < n)
            snprintf(out + at, n - at, "]");
    } else {
        snprintf(out, n, "[%llu %s%s]", (unsigned long long)v->n, type_name(v->elem),
                 v->elem == FT_META_STRING ? "s" : "");
    }
}
