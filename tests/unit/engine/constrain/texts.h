/* Whether a grammar takes a text: what most tests here ask. */
#ifndef FT_TEST_TEXTS_H
#define FT_TEST_TEXTS_H

#include "testing.h"

#include "engine/constrain/constrain.h"

typedef int ft_test_compile(const char *, size_t, struct ft_grammar **, struct ft_err *);

static inline bool ft_test_takes(struct ft_grammar *g, const char *text)
{
    struct ft_matcher *m;
    struct ft_err err;
    assert_int_equal(ft_matcher_open(g, NULL, &m, &err), 0);
    bool ok = ft_matcher_accept_bytes(m, text, strlen(text)) && ft_matcher_may_end(m);
    ft_matcher_close(m);
    return ok;
}

/* texts: NULL-terminated, "+text" must be taken, "-text" must not. */
static inline void ft_test_texts(ft_test_compile *how, const char *grammar,
                                 const char *const *texts)
{
    struct ft_grammar *g;
    struct ft_err err;
    if (how(grammar, strlen(grammar), &g, &err) != 0)
        fail_msg("%s: %s", grammar, err.msg);
    for (; *texts != NULL; texts++)
        if (ft_test_takes(g, *texts + 1) != (**texts == '+'))
            fail_msg("%s: %s was %s", grammar, *texts + 1, **texts == '+' ? "rejected" : "taken");
    ft_grammar_unref(g);
}

/* The grammar is refused with `code`, and the message names `word`. */
static inline void ft_test_refused(ft_test_compile *how, const char *grammar, int code,
                                   const char *word)
{
    struct ft_grammar *g;
    struct ft_err err;
    assert_int_equal(how(grammar, strlen(grammar), &g, &err), code);
    if (strstr(err.msg, word) == NULL)
        fail_msg("%s: \"%s\" does not name %s", grammar, err.msg, word);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
