/* Compiling: the public entries, each around one call that may fail by longjmp. See constrain.h. */
#include "engine/constrain/grammar.h"

#include <stdlib.h>

#include "engine/constrain/cx.h"
#include "engine/constrain/gbnf.h"
#include "engine/constrain/layout.h"
#include "engine/constrain/regex.h"

struct job {
    const char *text;
    size_t n;
    const struct ft_layout *layout;
    int *ret_at;
};

static const void *compile_schema(struct ft_cx *cx, const struct job *j)
{
    return ft_tables_from_schema(cx, j->text, j->n, false);
}

static const void *compile_regex(struct ft_cx *cx, const struct job *j)
{
    return ft_regex_compile(cx, j->text, j->n);
}

static const void *compile_gbnf(struct ft_cx *cx, const struct job *j)
{
    return ft_gbnf_compile(cx, j->text, j->n);
}

static const void *compile_layout(struct ft_cx *cx, const struct job *j)
{
    return ft_layout_compile(cx, j->layout, j->ret_at);
}

static int compile(const struct ft_machine_ops *ops,
                   const void *(*how)(struct ft_cx *, const struct job *), const struct job *job,
                   struct ft_grammar **ret, struct ft_err *err)
{
    struct ft_grammar *g = calloc(1, sizeof *g);
    struct ft_cx *cx = calloc(1, sizeof *cx);
    if (g == NULL || cx == NULL) {
        free(g);
        free(cx);
        return ft_err_set(err, FT_ENOMEM, "no memory for a grammar");
    }
    atomic_init(&g->refs, 1);
    ft_cache_init(&g->cache);
    ft_arena_init(&g->arena, FT_CX_KEEP_BYTES_MAX);
    ft_arena_init(&cx->tmp, FT_CX_TMP_BYTES_MAX);
    cx->keep = &g->arena;
    cx->err = err;
    g->ops = ops;
    int rc = 0;
    if (setjmp(cx->fail) == 0) {
        g->g = how(cx, job);
        *ret = g;
    } else {
        rc = cx->code;
        ft_grammar_unref(g);
    }
    ft_arena_fini(&cx->tmp);
    free(cx);
    return rc;
}

int ft_grammar_from_schema(const char *json, size_t n, struct ft_grammar **ret, struct ft_err *err)
{
    return compile(&ft_machine_json, compile_schema, &(struct job){json, n, NULL, NULL}, ret, err);
}

int ft_grammar_from_regex(const char *re, size_t n, struct ft_grammar **ret, struct ft_err *err)
{
    return compile(&ft_machine_regex, compile_regex, &(struct job){re, n, NULL, NULL}, ret, err);
}

int ft_grammar_from_gbnf(const char *text, size_t n, struct ft_grammar **ret, struct ft_err *err)
{
    return compile(&ft_machine_gbnf, compile_gbnf, &(struct job){text, n, NULL, NULL}, ret, err);
}

int ft_grammar_json_object(struct ft_grammar **ret, struct ft_err *err)
{
    return ft_grammar_from_schema(FT_ANY_OBJECT, sizeof FT_ANY_OBJECT - 1, ret, err);
}

int ft_grammar_from_layout(const struct ft_layout *layout, int *ret_at, struct ft_grammar **ret,
                           struct ft_err *err)
{
    *ret_at = -1;
    return compile(&ft_machine_layout, compile_layout, &(struct job){NULL, 0, layout, ret_at}, ret,
                   err);
}

struct ft_grammar *ft_grammar_ref(struct ft_grammar *g)
{
    atomic_fetch_add(&g->refs, 1);
    return g;
}

void ft_grammar_unref(struct ft_grammar *g)
{
    if (g == NULL || atomic_fetch_sub(&g->refs, 1) != 1)
        return;
    ft_cache_fini(&g->cache);
    ft_arena_fini(&g->arena);
    free(g);
}
