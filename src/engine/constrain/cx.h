/* What every compile step shares: arenas, a bound on work, one way to fail.
 *
 * Compiling is a deep recursion over hostile input in which any step may run out of a bound.
 * Failing is a longjmp to the one entry (ft_cx_enter's caller): everything lives in arenas, so
 * nothing leaks, and a hundred functions need no error path each. Never used once a grammar is
 * compiled. */
#ifndef FT_CONSTRAIN_CX_H
#define FT_CONSTRAIN_CX_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define FT_CX_TMP_BYTES_MAX  ((size_t)512 << 20)    /* while compiling */
#define FT_CX_KEEP_BYTES_MAX ((size_t)128 << 20)    /* of a compiled grammar */
#define FT_CX_WORK_MAX       ((uint64_t)1500 << 20) /* elementary steps: a few seconds */

struct ft_cx {
    struct ft_arena tmp;   /* freed when compiling ends (of a layout: of each node) */
    struct ft_arena *keep; /* the grammar's own */
    struct ft_err *err;
    jmp_buf fail;
    enum ft_code code;
    uint64_t work;
    const char *what; /* keyword and place being compiled, for messages; or NULL */
};

void *ft_cx_alloc(struct ft_cx *cx, size_t n, size_t elem_bytes); /* tmp, zeroed, never NULL */
void *ft_cx_keep(struct ft_cx *cx, size_t n, size_t elem_bytes);  /* keep, zeroed, never NULL */
/* All of tmp is freed: between parts that share nothing of it. */
static inline void ft_cx_forget(struct ft_cx *cx)
{
    cx->what = NULL;
    ft_arena_fini(&cx->tmp);
    ft_arena_init(&cx->tmp, FT_CX_TMP_BYTES_MAX);
}
const char *ft_cx_printf(struct ft_cx *cx, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void ft_cx_fail(struct ft_cx *cx, enum ft_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn, cold));
void ft_cx_work_over(struct ft_cx *cx) __attribute__((noreturn, cold));

static inline void ft_cx_work(struct ft_cx *cx, uint64_t steps)
{
    cx->work += steps;
    if (cx->work > FT_CX_WORK_MAX)
        ft_cx_work_over(cx);
}

/* A growing array in the tmp arena: v[n] may be written after FT_GROW(cx, v, n, cap). */
void *ft_cx_grow(struct ft_cx *cx, void *v, size_t n, size_t *cap, size_t elem_bytes);
#define FT_GROW(cx, v, n, cap)                                                                     \
    ((n) < (cap) ? (void)0 : (void)((v) = ft_cx_grow(cx, v, n, &(cap), sizeof *(v))))

#endif
