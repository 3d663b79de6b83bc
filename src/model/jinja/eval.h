/* Between the statements (eval.c) and the expressions (expr.c) of the interpreter. */
#ifndef FT_MODEL_JINJA_EVAL_H
#define FT_MODEL_JINJA_EVAL_H

#include "model/jinja/ast.h"

/* The variables of one running function; `up` is the function it was defined in. */
struct jframe {
    struct jframe *up;
    struct jv slot[];
};

static inline struct jv *jf_slot(struct jframe *f, struct jn_ref ref)
{
    for (int h = ref.hops; h > 0; h--)
        f = f->up;
    return &f->slot[ref.slot];
}

struct jv je_eval(struct jr *r, struct jframe *f, const struct jn *n);
bool je_true(struct jr *r, struct jframe *f, const struct jn *n);
/* callee(args of n); extra_caller is JV_MISSING or the macro of a call block. */
struct jv je_call(struct jr *r, struct jframe *f, const struct jn *n, struct jv extra_caller);
/* Applies the chain of filters to text, for filter blocks and set blocks. */
struct jv je_filter_text(struct jr *r, struct jframe *f, const struct jn *n, struct jv text);

/* Renders the whole template into r->out. */
void je_run(struct jr *r, const struct jn_template *t);

#endif
