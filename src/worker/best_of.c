/* See best_of.h. */
#include "worker/best_of.h"

#include <stdlib.h>

#include "worker/logprobs.h"

#define TEXT_MAX ((size_t)16 << 20)

struct ft_best_of {
    const struct ft_tokenizer *tokenizer;
    int n_runs, n;
    struct ft_candidate *all; /* [n_runs][n] */
};

struct ft_best_of *ft_best_of_new(int n_runs, int n, const struct ft_tokenizer *t, bool logprobs)
{
    struct ft_best_of *b = calloc(1, sizeof *b);
    if (b == NULL || (b->all = calloc((size_t)(n_runs * n), sizeof *b->all)) == NULL) {
        free(b);
        return NULL;
    }
    b->tokenizer = t;
    b->n_runs = n_runs;
    b->n = n;
    for (int i = 0; i < n_runs * n; i++) {
        ft_buf_init(&b->all[i].text, TEXT_MAX);
        b->all[i].stop_index = -1;
        b->all[i].lp = logprobs ? ft_logprobs_text() : NULL;
    }
    return b;
}

void ft_best_of_free(struct ft_best_of *b)
{
    if (b == NULL)
        return;
    for (int i = 0; i < b->n_runs * b->n; i++) {
        ft_buf_fini(&b->all[i].text);
        free(b->all[i].token);
        json_decref(b->all[i].lp);
    }
    free(b->all);
    free(b);
}

static int add_token(struct ft_candidate *c, int32_t token, struct ft_err *err)
{
    if (c->n_token == c->cap) {
        int cap = c->cap > 0 ? 2 * c->cap : 64;
        int32_t *grown = realloc(c->token, (size_t)cap * sizeof *grown);
        if (grown == NULL)
            return ft_err_set(err, FT_ENOMEM, "best_of: no memory");
        c->token = grown;
        c->cap = cap;
    }
    c->token[c->n_token++] = token;
    return 0;
}

int ft_best_of_event(struct ft_best_of *b, int run, const struct ft_event *ev, struct ft_err *err)
{
    struct ft_candidate *c = &b->all[run * b->n + ev->index];
    if (ev->kind != FT_EVENT_TOKEN && ev->kind != FT_EVENT_DONE)
        return 0;
    if (ev->kind == FT_EVENT_TOKEN && c->lp != NULL)
        ft_logprobs_text_add(c->lp, b->tokenizer, ev, false, c->chars);
    ft_buf_add(&c->text, ev->text, ev->text_n);
    c->chars += ft_text_chars(ev->text, ev->text_n);
    if (ev->kind == FT_EVENT_DONE) {
        c->length = ev->finish == FT_FINISH_LENGTH;
        c->stop_index = ev->finish == FT_FINISH_STOP_STRING ? ev->stop_index : -1;
    }
    if (ev->token < 0)
        return 0;
    c->logprob += (double)ev->logprob;
    int rc = add_token(c, ev->token, err);
    if (rc == 0 && c->text.failed != 0)
        rc = ft_err_set(err, FT_ELIMIT, "best_of: a candidate is longer than %zu bytes", TEXT_MAX);
    return rc;
}

static double mean(const struct ft_candidate *c)
{
    return c->n_token > 0 ? c->logprob / c->n_token : 0;
}

struct ft_candidate *ft_best_of_pick(struct ft_best_of *b, int run, int k)
{
    struct ft_candidate *of = &b->all[run * b->n];
    for (int i = 0; i < b->n; i++) {
        int better = 0;
        for (int j = 0; j < b->n; j++)
            better += mean(&of[j]) > mean(&of[i]) || (mean(&of[j]) == mean(&of[i]) && j < i);
        if (better == k)
            return &of[i];
    }
    return &of[0]; /* not a number anywhere */
}
