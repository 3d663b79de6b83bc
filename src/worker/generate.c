/* Chat and completions: the engine's tokens become pieces, the pieces an answer.
 *
 * Each token is one step: the pieces that it causes, then STEP with its id, in one event for a
 * gateway. The token that ends a choice and the end are one step too. Tokens that a request brings
 * along (another worker gave them out) go the same way with their pieces muted.
 *
 * Everything here happens on the engine's thread, or, when nothing runs any more, in `finish`. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "worker/call.h"
#include "worker/choice.h"
#include "worker/logprobs.h"

#define CALL_BYTES_MAX ((size_t)4 << 20) /* arguments of one tool call */

struct ft_generation {
    struct ft_oai_writer *writer;
    struct ft_buf out; /* of the writer, not sent yet */
    bool begun;        /* the stream's head was sent */
    int n_choices;
    struct gen_choice {
        struct ft_choice c;
        size_t chars;    /* characters of its text so far, for offsets */
        json_t *lp;      /* of the step */
        int32_t pending; /* a token whose step waits for the end that comes with it; -1: none */
        bool echoed;
    } * choice;               /* [n_choices] */
    struct ft_resume *resume; /* [n_choices]; NULL: a fresh request */
    struct ft_buf *echo;      /* [n_echo] the prompts' texts; NULL: not asked for */
    int n_echo;
    int n_done;
};

static const struct ft_tokenizer *tokenizer_of(const struct ft_call *c)
{
    return c->lodger->m->source->tokenizer;
}

/* ---- making ---- */

void ft_generation_free(struct ft_generation *g)
{
    if (g == NULL)
        return;
    for (int i = 0; i < g->n_choices && g->choice != NULL; i++) {
        ft_choice_close(&g->choice[i].c);
        json_decref(g->choice[i].lp);
        if (g->resume != NULL)
            free((void *)g->resume[i].token);
    }
    for (int i = 0; i < g->n_echo; i++)
        ft_buf_fini(&g->echo[i]);
    free(g->choice);
    free(g->resume);
    free(g->echo);
    ft_oai_writer_close(g->writer);
    ft_buf_fini(&g->out);
    free(g);
}

static void on_piece(void *ctx, const struct ft_piece *p)
{
    struct ft_call *c = ctx;
    int rc = ft_oai_writer_piece(c->gen->writer, p, &c->gen->out);
    if (rc != 0) {
        struct ft_err err;
        ft_err_set(&err, (enum ft_code)rc,
                   rc == FT_ELIMIT ? "the answer is longer than %zu bytes"
                                   : "no memory for the answer (%zu bytes)",
                   FT_OAI_ANSWER_BYTES_MAX);
        ft_call_fail_err(c, &err);
    }
}

static int no_memory(struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "request: no memory");
}

/* The tokens that other workers have given out. */
static int read_resume(struct ft_call *c, struct ft_oai_error *e)
{
    struct ft_generation *g = c->gen;
    const json_t *list = c->q.inner.resume;
    if (!c->q.inner.present || c->q.inner.n_resume == 0)
        return 0;
    if (c->q.inner.n_resume > (size_t)g->n_choices)
        return ft_oai_error_set(e, FT_EINVAL, NULL, "feitian.resume",
                                "feitian.resume: %zu choices, the request has %d",
                                c->q.inner.n_resume, g->n_choices);
    g->resume = calloc((size_t)g->n_choices, sizeof *g->resume);
    if (g->resume == NULL)
        return no_memory(e);
    for (size_t i = 0; i < c->q.inner.n_resume; i++) {
        const json_t *ids = json_array_get(list, i);
        size_t n = json_array_size(ids);
        int32_t *token = calloc(FT_MAX(n, 1), sizeof *token);
        if (token == NULL)
            return no_memory(e);
        for (size_t k = 0; k < n; k++)
            token[k] = (int32_t)json_integer_value(json_array_get(ids, k));
        g->resume[i] = (struct ft_resume){token, (int)n};
    }
    return 0;
}

static int open_choices(struct ft_call *c, struct ft_oai_error *e)
{
    struct ft_generation *g = c->gen;
    struct ft_err err = {0};
    bool chat = c->kind == FT_TASK_CHAT;
    struct ft_choice_config cfg = {.request = c->id,
                                   .plain = !chat,
                                   .dialect = c->ask.dialect,
                                   .plain_after = c->ask.grammar != NULL &&
                                                  c->ask.bound == FT_CHAT_UNBOUND &&
                                                  c->ask.call_begin.len == 0,
                                   .bound = c->ask.bound,
                                   .call_begin = {c->ask.call_begin.data, c->ask.call_begin.len},
                                   .call_end = {c->ask.call_end.data, c->ask.call_end.len},
                                   .single_call = !c->q.parallel_calls,
                                   .call_bytes_max = CALL_BYTES_MAX};
    if (chat && c->q.choose != FT_OAI_CHOOSE_NONE)
        cfg.tools = (json_t *)c->q.tools;
    if (chat)
        cfg.tail = (struct ft_slice){c->ask.text.data, c->ask.text.len};
    g->choice = calloc((size_t)g->n_choices, sizeof *g->choice);
    int rc = g->choice != NULL ? 0 : ft_err_set(&err, FT_ENOMEM, "request: no memory");
    for (int i = 0; rc == 0 && i < g->n_choices; i++) {
        cfg.index = i;
        g->choice[i].pending = -1;
        rc = ft_choice_open(&g->choice[i].c, &cfg, on_piece, c, &err);
    }
    if (rc != 0)
        ft_oai_error_from(e, &err);
    return rc;
}

static int open_writer(struct ft_call *c, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    struct ft_oai_writer_config cfg = {.id = c->id,
                                       .model = c->q.model,
                                       .created = (int64_t)time(NULL),
                                       .worker = c->q.inner.present};
    ft_buf_init(&c->gen->out, 2 * FT_OAI_ANSWER_BYTES_MAX);
    int rc = ft_oai_writer_open(&cfg, &c->q, &c->gen->writer, &err);
    if (rc != 0)
        ft_oai_error_from(e, &err);
    return rc;
}

/* ---- preparing ---- */

static int prepare_chat(struct ft_call *c, struct ft_oai_error *e)
{
    int rc = ft_ask_chat(c->lodger, &c->q, true, &c->ask, e);
    if (rc == 0)
        rc = ft_ask_check_length(c->lodger, "messages", c->ask.n_ids, 1, e);
    if (rc == 0)
        rc = ft_call_make_runs(c, 1, e);
    if (rc != 0)
        return rc;
    c->run[0].ids = c->ask.ids;
    c->run[0].n_ids = c->ask.n_ids;
    c->ask.ids = NULL;
    c->base.grammar = c->ask.grammar;
    if (c->ask.reasons && c->ask.grammar != NULL && c->ask.bound != FT_CHAT_BOUND_CALLS)
        c->base.grammar_after = (struct ft_slice){"</think>", 8};
    c->base.keep_control = c->ask.keep_control;
    return 0;
}

/* The prompt as the answer gives it back. */
static int read_echo(struct ft_call *c, int i, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    struct ft_buf *b = &c->gen->echo[i];
    const struct ft_oai_input *in = &c->q.input[i];
    ft_buf_init(b, FT_OAI_BODY_BYTES_MAX);
    c->gen->n_echo = i + 1;
    int rc = in->ids == NULL ? ft_buf_add(b, in->text.p, in->text.n)
                             : ft_tokenizer_decode(tokenizer_of(c), c->run[i].ids, c->run[i].n_ids,
                                                   false, b, &err);
    return rc == 0 ? 0 : no_memory(e);
}

static int prepare_text(struct ft_call *c, struct ft_oai_error *e)
{
    int rc = ft_call_make_runs(c, (int)c->q.n_input, e);
    if (rc == 0)
        rc = ft_ask_format(&c->q, &c->ask.grammar, e);
    if (rc == 0 && c->q.echo)
        c->gen->echo = calloc(c->q.n_input, sizeof *c->gen->echo);
    if (rc == 0 && c->q.echo && c->gen->echo == NULL)
        rc = no_memory(e);
    for (int i = 0; rc == 0 && i < c->n_runs; i++) {
        struct ft_run *run = &c->run[i];
        rc = ft_ask_input(c->lodger, &c->q.input[i], "prompt", false, &run->ids, &run->n_ids, e);
        if (rc == 0)
            rc = ft_ask_check_length(c->lodger, "prompt", run->n_ids, !c->q.max_zero, e);
        if (rc == 0 && c->q.echo)
            rc = read_echo(c, i, e);
        run->scoring = c->q.echo && c->q.logprobs;
    }
    c->base.grammar = c->ask.grammar;
    return rc;
}

static int prepare(struct ft_call *c, struct ft_oai_error *e)
{
    struct ft_generation *g = c->gen = calloc(1, sizeof *g);
    if (g == NULL)
        return no_memory(e);
    int rc = open_writer(c, e);
    if (rc == 0)
        rc = c->kind == FT_TASK_CHAT ? prepare_chat(c, e) : prepare_text(c, e);
    g->n_choices = rc == 0 ? c->q.n * c->n_runs : 0;
    if (rc == 0 && g->n_choices > FT_PIECE_CHOICES_MAX)
        rc = ft_oai_error_set(e, FT_EINVAL, NULL, "n", "n: %d choices over all prompts, at most %d",
                              g->n_choices, FT_PIECE_CHOICES_MAX);
    if (rc == 0)
        rc = open_choices(c, e);
    if (rc == 0)
        rc = read_resume(c, e);
    return rc;
}

static void request(struct ft_call *c, struct ft_run *run, struct ft_request *r)
{
    if (run->scoring || c->q.max_zero) {
        r->kind = FT_REQUEST_PROMPT;
        r->n_top = FT_MAX(r->n_top, 1); /* without, there are no events for tokens */
        r->grammar = NULL;
    } else if (c->gen->resume != NULL) {
        r->resume = &c->gen->resume[run->index * c->q.n];
    }
}

/* ---- sending ---- */

/* Server's thread. */
static void on_drained(void *ctx, struct ft_http_exchange *x)
{
    (void)x;
    ft_call_pause(ctx, false);
}

static void begin_stream(struct ft_call *c)
{
    struct ft_http_field field = {"x-request-id", c->id};
    if (c->gen->begun)
        return;
    ft_http_stream_on_drained(c->x, on_drained, c);
    ft_http_stream_begin(c->x, 200, FT_OAI_CONTENT_STREAM, &field, 1);
    c->gen->begun = true;
}

static void send(struct ft_call *c)
{
    struct ft_generation *g = c->gen;
    if (g->out.len == 0 || !ft_oai_writer_streams(g->writer) ||
        ft_oai_writer_status(g->writer) != 200)
        return;
    begin_stream(c);
    if (ft_http_stream_write(c->x, g->out.data, g->out.len) == FT_EBUSY) {
        ft_call_pause(c, true);
        if (!ft_http_stream_is_full(c->x)) /* drained before the pause */
            ft_call_pause(c, false);
    }
    ft_buf_reset(&g->out);
}

static void step(struct ft_call *c, struct gen_choice *g, const int32_t *token, int n)
{
    struct ft_piece p = {.kind = FT_PIECE_STEP,
                         .choice = g->c.cfg.index,
                         .token = token,
                         .n_token = n,
                         .logprobs = g->lp,
                         .usage = {.prompt_tokens = c->usage.prompt_tokens,
                                   .cached_tokens = c->usage.cached_tokens}};
    if (!g->c.muted) {
        on_piece(c, &p);
        send(c);
    }
    json_decref(g->lp);
    g->lp = NULL;
    g->pending = -1;
}

/* The prompt comes before the first token, in its step. */
static void echo(struct ft_call *c, struct ft_run *run, struct gen_choice *g)
{
    if (c->gen->echo == NULL || g->echoed)
        return;
    const struct ft_buf *text = &c->gen->echo[run->index];
    struct ft_piece p = {
        .kind = FT_PIECE_CONTENT, .choice = g->c.cfg.index, .text = {text->data, text->len}};
    g->echoed = true;
    g->chars = ft_text_chars(text->data, text->len);
    if (!g->c.muted && text->len > 0)
        on_piece(c, &p);
    if (!g->c.muted && run->prompt_lp != NULL)
        g->lp = json_deep_copy(run->prompt_lp);
}

static void add_logprobs(struct ft_call *c, struct gen_choice *g, const struct ft_event *ev)
{
    if (!c->q.logprobs || g->c.muted)
        return;
    if (c->kind == FT_TASK_CHAT) {
        g->lp = ft_logprobs_chat(tokenizer_of(c), ev);
        return;
    }
    if (g->lp == NULL)
        g->lp = ft_logprobs_text();
    ft_logprobs_text_add(g->lp, tokenizer_of(c), ev, false, g->chars);
}

/* A choice has said all it will; when all have, what still runs may stop. */
static void choice_done(struct ft_call *c)
{
    if (++c->gen->n_done == c->gen->n_choices)
        ft_call_enough(c);
}

/* ---- events ---- */

static int on_token(struct ft_call *c, struct ft_run *run, struct gen_choice *g,
                    const struct ft_event *ev, struct ft_err *err)
{
    if (g->c.done)
        return 0; /* a single call was made, others go on */
    g->c.muted = ev->resumed;
    echo(c, run, g);
    add_logprobs(c, g, ev);
    int rc = ft_choice_token(&g->c, ev->text, ev->text_n, err);
    g->chars += ft_text_chars(ev->text, ev->text_n);
    bool done = g->c.done;
    g->pending = ev->token;
    if (!ev->last || done) {
        int32_t token = ev->token;
        step(c, g, &token, 1);
    }
    if (done)
        choice_done(c);
    return rc;
}

static int on_done(struct ft_call *c, struct ft_run *run, struct gen_choice *g,
                   const struct ft_event *ev, struct ft_err *err)
{
    if (g->c.done || ev->finish == FT_FINISH_CANCELLED || ev->finish == FT_FINISH_ERROR)
        return 0;
    struct ft_slice stop = {0};
    if (ev->finish == FT_FINISH_STOP_STRING && ev->stop_index >= 0)
        stop = c->q.stop[ev->stop_index];
    g->c.muted = ev->resumed;
    echo(c, run, g);
    int rc = ft_choice_finish(&g->c, ev->text, ev->text_n, ev->token >= 0,
                              ev->finish == FT_FINISH_LENGTH ? FT_ANSWER_LENGTH : FT_ANSWER_STOP,
                              stop, err);
    int32_t token = g->pending >= 0 ? g->pending : ev->token;
    step(c, g, &token, token >= 0);
    choice_done(c);
    return rc;
}

/* A prompt that is being scored; the first token has no event. */
static void on_prompt_token(struct ft_call *c, struct ft_run *run, const struct ft_event *ev)
{
    const struct ft_tokenizer *t = tokenizer_of(c);
    struct ft_event first = {.token = run->ids[0]};
    if (run->prompt_lp == NULL) {
        run->prompt_lp = ft_logprobs_text();
        ft_logprobs_text_add(run->prompt_lp, t, &first, true, 0);
        run->n_chars = 0;
        if (run->ids[0] != ft_tokenizer_bos(t)) {
            size_t n;
            const char *s = ft_tokenizer_bytes(t, run->ids[0], &n);
            run->n_chars = ft_text_chars(s, n);
        }
    }
    if (ev == NULL)
        return;
    struct ft_event told = *ev;
    told.n_top = FT_MIN(ev->n_top, c->q.n_top);
    ft_logprobs_text_add(run->prompt_lp, t, &told, false, run->n_chars);
    size_t n;
    const char *s = ft_tokenizer_bytes(t, ev->token, &n);
    run->n_chars += ft_text_chars(s, n);
}

static int event(struct ft_call *c, struct ft_run *run, const struct ft_event *ev,
                 struct ft_err *err)
{
    struct ft_generation *g = c->gen;
    if (run->scoring || c->q.max_zero) {
        if (ev->kind == FT_EVENT_TOKEN && run->scoring)
            on_prompt_token(c, run, ev);
        return 0;
    }
    struct gen_choice *one = &g->choice[run->index * c->q.n + ev->index];
    return ev->kind == FT_EVENT_TOKEN  ? on_token(c, run, one, ev, err)
           : ev->kind == FT_EVENT_DONE ? on_done(c, run, one, ev, err)
                                       : 0;
}

/* ---- ends ---- */

/* Nothing is generated: the prompts are given back. */
static void give_echo(struct ft_call *c, struct ft_run *run)
{
    for (int k = 0; k < c->q.n; k++) {
        struct gen_choice *one = &c->gen->choice[run->index * c->q.n + k];
        struct ft_err err;
        echo(c, run, one);
        ft_choice_finish(&one->c, "", 0, 0, FT_ANSWER_LENGTH, (struct ft_slice){0}, &err);
        step(c, one, NULL, 0);
        choice_done(c);
    }
}

static bool again(struct ft_call *c, struct ft_run *run)
{
    if (run->scoring && run->prompt_lp == NULL)
        on_prompt_token(c, run, NULL); /* a prompt of one token */
    if (c->q.max_zero) {
        give_echo(c, run);
    } else if (run->scoring) {
        run->scoring = false;
        return true;
    }
    return false;
}

static void finish(struct ft_call *c)
{
    struct ft_generation *g = c->gen;
    if (c->gone)
        return;
    if (g == NULL || g->writer == NULL) { /* the request never got so far */
        ft_reply_told(c->x, &c->error);
        return;
    }
    ft_call_measure(c);
    struct ft_piece end = {.kind = FT_PIECE_END, .usage = c->usage};
    for (int i = 0; i < g->n_choices && g->choice != NULL; i++) {
        end.usage.completion_tokens += g->choice[i].c.n_token;
        end.usage.reasoning_tokens += g->choice[i].c.n_reasoning;
    }
    bool failed = c->error.err.code != FT_OK;
    if (failed && !g->begun) { /* nothing was said yet: the status can tell */
        ft_reply_told(c->x, &c->error);
        return;
    }
    end.err = failed ? &c->error.err : NULL;
    end.retry_after_ms = c->error.retry_after_ms;
    on_piece(c, &end);
    if (ft_oai_writer_streams(g->writer)) {
        send(c);
        ft_http_stream_end(c->x);
    } else {
        ft_reply_json(c->x, ft_oai_writer_status(g->writer), &g->out);
    }
}

const struct ft_call_ops ft_generate_ops = {prepare, request, event, again, finish};
