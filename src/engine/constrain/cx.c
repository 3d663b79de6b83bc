/* The compile context: see cx.h. */
#include "engine/constrain/cx.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GROW_FIRST 8

void *ft_cx_alloc(struct ft_cx *cx, size_t n, size_t elem_bytes)
{
    void *p = ft_arena_array(&cx->tmp, n != 0 ? n : 1, elem_bytes);
    if (p == NULL)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: compiling needs more than %zu MiB",
                   cx->what != NULL ? cx->what : "grammar", FT_CX_TMP_BYTES_MAX >> 20);
    return p;
}

void *ft_cx_keep(struct ft_cx *cx, size_t n, size_t elem_bytes)
{
    void *p = ft_arena_array(cx->keep, n != 0 ? n : 1, elem_bytes);
    if (p == NULL)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: the compiled form needs more than %zu MiB",
                   cx->what != NULL ? cx->what : "grammar", FT_CX_KEEP_BYTES_MAX >> 20);
    return p;
}

const char *ft_cx_printf(struct ft_cx *cx, const char *fmt, ...)
{
    char buf[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    size_t n = strlen(buf) + 1;
    char *s = ft_cx_alloc(cx, n, 1);
    memcpy(s, buf, n);
    return s;
}

void ft_cx_fail(struct ft_cx *cx, enum ft_code code, const char *fmt, ...)
{
    char buf[FT_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    cx->code = code;
    ft_err_set(cx->err, code, "%s", buf);
    longjmp(cx->fail, 1);
}

void ft_cx_work_over(struct ft_cx *cx)
{
    ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: too complex to compile",
               cx->what != NULL ? cx->what : "grammar");
}

void *ft_cx_grow(struct ft_cx *cx, void *v, size_t n, size_t *cap, size_t elem_bytes)
{
    size_t new_cap = *cap != 0 ? *cap * 2 : GROW_FIRST;
    void *p = ft_cx_alloc(cx, new_cap, elem_bytes);
    if (n != 0)
        memcpy(p, v, n * elem_bytes);
    *cap = new_cap;
    return p;
}
