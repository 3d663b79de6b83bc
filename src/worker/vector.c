/* Embeddings, reranking and token counts: one run per text, answered in one piece. */
#include <stdlib.h>
#include <string.h>

#include "worker/call.h"
#include "worker/rank.h"

static int no_memory(struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "request: no memory");
}

static int make_values(struct ft_call *c, int dim, struct ft_oai_error *e)
{
    c->dim = dim;
    c->value = calloc((size_t)c->n_runs * (size_t)dim, sizeof *c->value);
    return c->value != NULL ? 0 : no_memory(e);
}

static int take_values(struct ft_call *c, struct ft_run *run, const struct ft_event *ev,
                       struct ft_err *err)
{
    if (ev->kind != FT_EVENT_RESULT)
        return 0;
    if (ev->n_value != c->dim)
        return ft_err_set(err, FT_EINTERNAL, "%d values, %d were expected", ev->n_value, c->dim);
    memcpy(c->value + (size_t)run->index * (size_t)c->dim, ev->value,
           (size_t)c->dim * sizeof *c->value);
    return 0;
}

static bool never_again(struct ft_call *c, struct ft_run *run)
{
    (void)c;
    (void)run;
    return false;
}

static bool may_answer(struct ft_call *c)
{
    if (c->gone)
        return false;
    if (c->error.err.code == FT_OK)
        return true;
    ft_reply_told(c->x, &c->error);
    return false;
}

/* ---- embeddings ---- */

static int prepare_embed(struct ft_call *c, struct ft_oai_error *e)
{
    int d_model = c->lodger->m->source->hp.d_model;
    if (c->q.dimensions != 0 && c->q.dimensions != d_model) /* cutting needs a model made for it */
        return ft_oai_error_set(e, FT_EINVAL, "unsupported_value", "dimensions",
                                "dimensions: the vectors of `%s` have %d", c->lodger->name,
                                d_model);
    int rc = ft_call_make_runs(c, (int)c->q.n_input, e);
    for (int i = 0; rc == 0 && i < c->n_runs; i++) {
        struct ft_run *run = &c->run[i];
        rc = ft_ask_input(c->lodger, &c->q.input[i], "input", true, &run->ids, &run->n_ids, e);
        if (rc == 0)
            rc = ft_ask_check_length(c->lodger, "input", run->n_ids, 0, e);
    }
    return rc == 0 ? make_values(c, d_model, e) : rc;
}

static void request_embed(struct ft_call *c, struct ft_run *run, struct ft_request *r)
{
    (void)c;
    (void)run;
    r->kind = FT_REQUEST_EMBED;
}

static void finish_embed(struct ft_call *c)
{
    struct ft_buf out;
    if (!may_answer(c))
        return;
    ft_call_measure(c);
    ft_buf_init(&out, 2 * FT_OAI_ANSWER_BYTES_MAX);
    ft_oai_write_embeddings(&out, c->q.model, c->value, (size_t)c->n_runs, (size_t)c->dim,
                            c->q.base64, &c->usage);
    ft_reply_json(c->x, 200, &out);
    ft_buf_fini(&out);
}

const struct ft_call_ops ft_embed_ops = {prepare_embed, request_embed, take_values, never_again,
                                         finish_embed};

/* ---- reranking ---- */

static int prepare_rerank(struct ft_call *c, struct ft_oai_error *e)
{
    int rc = ft_call_make_runs(c, (int)c->q.n_document, e);
    if (rc == 0)
        rc = ft_rank_answers(c->lodger, c->rank_token, e);
    for (int i = 0; rc == 0 && i < c->n_runs; i++) {
        struct ft_run *run = &c->run[i];
        rc = ft_rank_prompt(c->lodger, c->q.query, c->q.document[i], &run->ids, &run->n_ids, e);
        if (rc == 0)
            rc = ft_ask_check_length(c->lodger, "documents", run->n_ids, 0, e);
    }
    return rc == 0 ? make_values(c, 1, e) : rc;
}

static void request_rerank(struct ft_call *c, struct ft_run *run, struct ft_request *r)
{
    (void)run;
    r->kind = FT_REQUEST_RANK;
    r->score_token = c->rank_token;
    r->n_score = c->lodger->m->source->has_cls ? 0 : 2;
}

static void finish_rerank(struct ft_call *c)
{
    struct ft_buf out;
    if (!may_answer(c))
        return;
    ft_call_measure(c);
    ft_buf_init(&out, 2 * FT_OAI_ANSWER_BYTES_MAX);
    ft_oai_write_rerank(&out, c->id, c->q.model, &c->q, c->value, &c->usage);
    ft_reply_json(c->x, 200, &out);
    ft_buf_fini(&out);
}

const struct ft_call_ops ft_rerank_ops = {prepare_rerank, request_rerank, take_values, never_again,
                                          finish_rerank};

/* ---- token counts ---- */

static int prepare_count(struct ft_call *c, struct ft_oai_error *e)
{
    int rc = ft_ask_chat(c->lodger, &c->q, false, &c->ask, e);
    return rc == 0 ? ft_call_make_runs(c, 0, e) : rc;
}

static void finish_count(struct ft_call *c)
{
    struct ft_buf out;
    if (!may_answer(c))
        return;
    ft_call_measure(c);
    ft_buf_init(&out, FT_OAI_ERROR_BYTES_MAX);
    ft_oai_write_count(&out, (int)c->ask.n_ids, &c->usage);
    ft_reply_json(c->x, 200, &out);
    ft_buf_fini(&out);
}

const struct ft_call_ops ft_count_ops = {.prepare = prepare_count, .finish = finish_count};
