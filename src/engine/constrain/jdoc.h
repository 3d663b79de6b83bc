/* A JSON text as a tree, for schemas: numbers keep their exact text, objects their order, every
 * value knows its parent (so that a refusal can say where). Everything lives in the tmp arena.
 *
 * Our own reader, because the library's turns numbers into doubles and refuses integers past 64
 * bits, and bounds must be enforced to the last digit. */
#ifndef FT_CONSTRAIN_JDOC_H
#define FT_CONSTRAIN_JDOC_H

#include "engine/constrain/cx.h"

#define FT_JDOC_DEPTH_MAX 200
#define FT_JDOC_BYTES_MAX ((size_t)8 << 20)

enum ft_jv_kind { FT_JV_NULL, FT_JV_FALSE, FT_JV_TRUE, FT_JV_NUM, FT_JV_STR, FT_JV_ARR, FT_JV_OBJ };

struct ft_str {
    const char *p; /* NUL-terminated as well */
    size_t n;
};

struct ft_jv {
    enum ft_jv_kind kind;
    struct ft_str s;  /* string, or the number's text */
    size_t n;         /* members of an array or object */
    struct ft_jv **v; /* them */
    struct ft_str *k; /* an object's keys */
    struct ft_jv *parent;
    struct ft_str name; /* key or index in the parent */
    uint32_t node;      /* for the schema compiler: 0 = not yet, see schema.c */
    bool busy;
};

/* Fails (through cx) with FT_EINVAL on what is not JSON. */
struct ft_jv *ft_jdoc_parse(struct ft_cx *cx, const char *text, size_t n);
/* The member of that name (the last one, as JSON readers do), or NULL. */
struct ft_jv *ft_jv_get(const struct ft_jv *o, const char *key);
struct ft_jv *ft_jv_get_n(const struct ft_jv *o, const char *key, size_t n);
/* "#/properties/a" */
const char *ft_jv_path(struct ft_cx *cx, const struct ft_jv *v);
/* Equality as JSON Schema sees it: 1 equals 1.0, the order of members does not matter. */
bool ft_jv_equal(const struct ft_jv *a, const struct ft_jv *b);

#endif
