/* The front of the template interpreter: compile, render, release.
 *
 * A template is compiled once into an arena of its own and never changes; each rendering has
 * another arena, so any number of threads may render the same template. */
#include "model/jinja/template.h"

#include <stdlib.h>

#include "model/jinja/ast.h"
#include "model/jinja/eval.h"
#include "model/jinja/value.h"

struct ft_template {
    struct jn_template t;
};

int ft_template_open(const char *text, size_t n, struct ft_template **ret_t, struct ft_err *err)
{
    struct ft_template *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a template");
    ft_arena_init(&t->t.arena, JN_ARENA_BYTES_MAX);
    int rc = jn_compile(&t->t, text, n, err);
    if (rc != 0) {
        ft_template_close(t);
        return rc;
    }
    *ret_t = t;
    return 0;
}

void ft_template_close(struct ft_template *t)
{
    if (t == NULL)
        return;
    ft_arena_fini(&t->t.arena);
    free(t);
}

/* Everything that may unwind; locals of the caller stay out of setjmp's reach. */
static int render(struct jr *r, const struct ft_template *t, json_t *vars, struct jb *out)
{
    if (setjmp(r->unwind) != 0)
        return r->err.code;
    jb_init(out, r);
    r->out = out;
    r->vars = jv_dict_new(r).d;
    r->globals = jv_dict_new(r).d;
    jv_globals_add(r, r->globals);
    struct jv given = jv_from_json(r, vars, 0);
    for (size_t i = 0; i < given.d->n; i++)
        jv_dict_set(r, r->globals, given.d->e[i].key, given.d->e[i].value);
    je_run(r, &t->t);
    return 0;
}

int ft_template_render(const struct ft_template *t, json_t *vars, int64_t now, struct ft_buf *out,
                       struct ft_err *err)
{
    if (!json_is_object(vars))
        return ft_err_set(err, FT_EINVAL, "the variables of a template must be a JSON object");
    struct jr *r = calloc(1, sizeof *r);
    struct jb text = {0};
    if (r == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory to render a template");
    ft_arena_init(&r->arena, JR_ARENA_BYTES_MAX);
    r->steps = JR_STEPS_MAX;
    r->now = now;
    int rc = render(r, t, vars, &text);
    if (rc == 0) {
        rc = ft_buf_add(out, text.p, text.n);
        if (rc != 0)
            ft_err_set(err, rc, "the rendered text is longer than %zu bytes", out->max_bytes);
    } else if (err != NULL) {
        *err = r->err;
    }
    ft_arena_fini(&r->arena);
    free(r);
    return rc;
}
