/* A ring of streams: filled up with requests, then the oldest is waited for. */
#include "train/evaluate/ask.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS 50

struct asker {
    const struct ft_eval_config *cfg;
    const struct ft_questions *q;
    struct ft_stream *stream[FT_EVAL_PARALLEL_MAX]; /* of item i at i % cfg->parallel */
    int64_t asked, done;
    struct ft_answer answer;
};

static int submit(struct asker *a, struct ft_err *err)
{
    struct ft_request r;
    uint64_t id;
    ft_request_init(&r);
    r.model = a->cfg->model;
    r.adapter = a->cfg->adapter;
    a->q->ask(a->q->ctx, a->asked, &r);
    int at = (int)(a->asked % a->cfg->parallel);
    int rc = ft_engine_submit(a->cfg->engine, &r, &id, &a->stream[at], err);
    a->asked += rc == 0;
    return rc;
}

static int add_token(struct ft_answer *a, int32_t token, struct ft_err *err)
{
    if (a->n == a->cap) {
        size_t cap = a->cap == 0 ? 256 : a->cap * 2;
        int32_t *p = realloc(a->token, cap * sizeof *p);
        if (p == NULL)
            return ft_err_set(err, FT_ENOMEM, "an answer: no memory");
        a->token = p;
        a->cap = cap;
    }
    a->token[a->n++] = token;
    return 0;
}

static int set_values(struct ft_answer *a, const float *value, int n, struct ft_err *err)
{
    if (n > a->cap_value) {
        float *p = realloc(a->value, (size_t)n * sizeof *p);
        if (p == NULL)
            return ft_err_set(err, FT_ENOMEM, "an answer: no memory");
        a->value = p;
        a->cap_value = n;
    }
    memcpy(a->value, value, (size_t)n * sizeof *value);
    a->n_value = n;
    return 0;
}

/* Waits for the oldest request's end. */
static int take(struct asker *a, struct ft_err *err)
{
    const struct ft_eval_config *cfg = a->cfg;
    struct ft_stream *s = a->stream[a->done % cfg->parallel];
    a->answer.n = 0;
    a->answer.n_value = 0;
    for (;;) {
        struct ft_event ev;
        int rc = ft_stream_take(s, &ev, POLL_MS);
        if (cfg->progress != NULL && cfg->progress(cfg->ctx, a->done, a->q->n) != 0)
            return ft_err_set(err, FT_ECANCELED, "stopped");
        if (rc == FT_EBUSY)
            continue;
        if (rc != 0)
            return ft_err_set(err, FT_EINTERNAL, "the engine's events stopped");
        if (ev.kind == FT_EVENT_TOKEN)
            rc = add_token(&a->answer, ev.token, err);
        if (ev.kind == FT_EVENT_RESULT)
            rc = set_values(&a->answer, ev.value, ev.n_value, err);
        if (rc != 0)
            return rc;
        if (ev.kind != FT_EVENT_END)
            continue;
        a->answer.finish = ev.finish;
        if (ev.finish == FT_FINISH_ERROR) {
            *err = *ev.err;
            return err->code;
        }
        return 0;
    }
}

static int answer_one(struct asker *a, struct ft_err *err)
{
    int at = (int)(a->done % a->cfg->parallel);
    int rc = take(a, err);
    if (rc == 0)
        rc = a->q->answered(a->q->ctx, a->done, &a->answer, err);
    ft_stream_close(a->stream[at]);
    a->stream[at] = NULL;
    a->done++;
    return rc;
}

int ft_ask_all(const struct ft_eval_config *cfg, const struct ft_questions *q, struct ft_err *err)
{
    struct asker *a = calloc(1, sizeof *a);
    int rc = 0;
    if (a == NULL)
        return ft_err_set(err, FT_ENOMEM, "evaluation: no memory");
    a->cfg = cfg;
    a->q = q;
    while (rc == 0 && a->done < q->n)
        rc = a->asked < q->n && a->asked - a->done < cfg->parallel ? submit(a, err)
                                                                   : answer_one(a, err);
    if (rc == 0 && cfg->progress != NULL && cfg->progress(cfg->ctx, q->n, q->n) != 0)
        rc = ft_err_set(err, FT_ECANCELED, "stopped");
    for (int i = 0; i < cfg->parallel; i++)
        ft_stream_close(a->stream[i]);
    free(a->answer.token);
    free(a->answer.value);
    free(a);
    return rc;
}
