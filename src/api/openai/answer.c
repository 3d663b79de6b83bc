/* Answers given whole: what comes is kept, as JSON text already, and written at END.
 *
 * Where more candidates were asked for than choices (best_of), those with the highest mean
 * log-probability are given. */
#include "api/openai/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call {
    struct ft_buf id, name, args; /* escaped */
};

struct kept {
    struct ft_buf content, reasoning; /* escaped */
    struct call *call;
    int n_call;
    struct ft_buf logprobs; /* chat: entries */
    struct ft_oai_text_logprobs text;
    int64_t offset;
    int n_prob; /* log-probabilities, and their sum: for best_of */
    double sum;
    bool has_content, finished;
    enum ft_answer_finish finish;
    char *stop;
};

struct answer {
    struct ft_oai_writer base;
    struct ft_oai_writer_config cfg; /* its strings are owned */
    enum ft_task_kind kind;
    bool logprobs, base64;
    int n, best_of, n_prompt; /* per prompt: of best_of candidates n are given */
    struct kept *kept;        /* [n_prompt * best_of] */
    json_t *result;
};

/* ---- heads ---- */

void ft_oai_answer_head(struct ft_buf *out, const struct ft_oai_writer_config *cfg,
                        enum ft_task_kind kind, const char *object)
{
    const char *id = strncmp(cfg->id, "req_", 4) == 0 ? cfg->id + 4 : cfg->id;
    FT_OAI_LIT(out, "{\"id\":\"");
    ft_buf_add_str(out, kind == FT_TASK_CHAT ? "chatcmpl-" : "cmpl-");
    ft_oai_write_escaped(out, id, strlen(id));
    FT_OAI_LIT(out, "\",\"object\":\"");
    ft_buf_add_str(out, object);
    FT_OAI_LIT(out, "\",\"created\":");
    ft_oai_write_int(out, cfg->created);
    FT_OAI_LIT(out, ",\"model\":");
    ft_oai_write_string(out, cfg->model, strlen(cfg->model));
}

void ft_oai_answer_fail(struct ft_oai_writer *w, const struct ft_oai_error *e, struct ft_buf *out)
{
    (void)w;
    ft_oai_error_write(e, out);
}

/* ---- keeping ---- */

static int keep_escaped(struct answer *a, struct ft_buf *b, struct ft_slice text)
{
    size_t before = b->len;
    ft_oai_write_escaped(b, text.p, text.n);
    return b->failed != 0 ? b->failed : ft_oai_writer_keep(&a->base, b->len - before);
}

static int keep_call(struct answer *a, struct kept *k, const struct ft_piece *p)
{
    if (p->call < 0 || p->call >= FT_OAI_CALLS_MAX || p->call > k->n_call)
        return FT_EINTERNAL;
    if (p->call == k->n_call) {
        struct call *more = reallocarray(k->call, (size_t)k->n_call + 1, sizeof *more);
        if (more == NULL)
            return FT_ENOMEM;
        k->call = more;
        struct call *c = &more[k->n_call++];
        ft_buf_init(&c->id, FT_OAI_ANSWER_BYTES_MAX);
        ft_buf_init(&c->name, FT_OAI_ANSWER_BYTES_MAX);
        ft_buf_init(&c->args, FT_OAI_ANSWER_BYTES_MAX);
    }
    struct call *c = &k->call[p->call];
    if (p->kind == FT_PIECE_CALL_ARGS)
        return keep_escaped(a, &c->args, p->text);
    int rc = keep_escaped(a, &c->id, p->call_id);
    return rc != 0 ? rc : keep_escaped(a, &c->name, p->text);
}

static int keep_logprobs(struct answer *a, struct kept *k, const json_t *logprobs)
{
    if (logprobs == NULL)
        return 0;
    if (!a->logprobs) {
        ft_oai_logprobs_sum(logprobs, &k->n_prob, &k->sum);
        return 0;
    }
    if (a->kind == FT_TASK_TEXT) {
        struct ft_oai_text_logprobs *t = &k->text;
        size_t before = t->tokens.len + t->values.len + t->top.len + t->offsets.len;
        ft_oai_text_logprobs_add(t, logprobs, &k->offset);
        k->n_prob = t->n;
        k->sum = t->sum;
        int failed = t->tokens.failed | t->values.failed | t->top.failed | t->offsets.failed;
        return failed != 0 ? FT_ENOMEM
                           : ft_oai_writer_keep(&a->base, t->tokens.len + t->values.len +
                                                              t->top.len + t->offsets.len - before);
    }
    size_t before = k->logprobs.len;
    ft_oai_logprobs_chat(&k->logprobs, logprobs, &k->n_prob, &k->sum);
    return k->logprobs.failed != 0 ? k->logprobs.failed
                                   : ft_oai_writer_keep(&a->base, k->logprobs.len - before);
}

static int keep_finish(struct kept *k, const struct ft_piece *p)
{
    k->finished = true;
    k->finish = p->finish;
    if (p->stop.p == NULL || k->stop != NULL)
        return 0;
    k->stop = strndup(p->stop.p, p->stop.n);
    return k->stop != NULL ? 0 : FT_ENOMEM;
}

/* ---- writing ---- */

static void write_message(const struct kept *k, struct ft_buf *out)
{
    FT_OAI_LIT(out, "\"message\":{\"role\":\"assistant\",\"content\":");
    if (k->has_content || k->n_call == 0) {
        ft_buf_add_byte(out, '"');
        ft_buf_add(out, k->content.data, k->content.len);
        ft_buf_add_byte(out, '"');
    } else {
        FT_OAI_LIT(out, "null");
    }
    FT_OAI_LIT(out, ",\"refusal\":null,\"annotations\":[]");
    if (k->reasoning.len > 0) {
        FT_OAI_LIT(out, ",\"reasoning_content\":\"");
        ft_buf_add(out, k->reasoning.data, k->reasoning.len);
        ft_buf_add_byte(out, '"');
    }
    for (int i = 0; i < k->n_call; i++) {
        const struct call *c = &k->call[i];
        ft_buf_add_str(out, i == 0 ? ",\"tool_calls\":[{\"id\":\"" : ",{\"id\":\"");
        ft_buf_add(out, c->id.data, c->id.len);
        FT_OAI_LIT(out, "\",\"type\":\"function\",\"function\":{\"name\":\"");
        ft_buf_add(out, c->name.data, c->name.len);
        FT_OAI_LIT(out, "\",\"arguments\":\"");
        ft_buf_add(out, c->args.data, c->args.len);
        FT_OAI_LIT(out, "\"}}");
    }
    ft_buf_add_str(out, k->n_call > 0 ? "]}" : "}");
}

static void write_choice(const struct answer *a, const struct kept *k, int index,
                         struct ft_buf *out)
{
    FT_OAI_LIT(out, "{\"index\":");
    ft_oai_write_int(out, index);
    ft_buf_add_byte(out, ',');
    if (a->kind == FT_TASK_CHAT) {
        write_message(k, out);
    } else {
        FT_OAI_LIT(out, "\"text\":\"");
        ft_buf_add(out, k->content.data, k->content.len);
        ft_buf_add_byte(out, '"');
    }
    FT_OAI_LIT(out, ",\"logprobs\":");
    if (!a->logprobs) {
        FT_OAI_LIT(out, "null");
    } else if (a->kind == FT_TASK_CHAT) {
        FT_OAI_LIT(out, "{\"content\":[");
        ft_buf_add(out, k->logprobs.data, k->logprobs.len);
        FT_OAI_LIT(out, "],\"refusal\":null}");
    } else {
        ft_oai_text_logprobs_write(&k->text, out);
    }
    FT_OAI_LIT(out, ",\"finish_reason\":\"");
    ft_buf_add_str(out, ft_answer_finish_name(k->finished ? k->finish : FT_ANSWER_STOP));
    ft_buf_add_byte(out, '"');
    if (a->cfg.worker && k->stop != NULL) {
        FT_OAI_LIT(out, ",\"stop_reason\":");
        ft_oai_write_string(out, k->stop, strlen(k->stop));
    }
    ft_buf_add_byte(out, '}');
}

static double mean(const struct kept *k)
{
    return k->n_prob > 0 ? k->sum / k->n_prob : -1e9;
}

static int by_mean(const void *a, const void *b)
{
    double x = mean(a), y = mean(b);
    return x < y ? 1 : x > y ? -1 : 0;
}

static void write_choices(struct answer *a, struct ft_buf *out)
{
    FT_OAI_LIT(out, ",\"choices\":[");
    for (int p = 0; p < a->n_prompt; p++) {
        struct kept *of_prompt = a->kept + (ptrdiff_t)p * a->best_of;
        if (a->best_of > a->n)
            qsort(of_prompt, (size_t)a->best_of, sizeof *of_prompt, by_mean);
        for (int i = 0; i < a->n; i++) {
            int index = p * a->n + i;
            if (index > 0)
                ft_buf_add_byte(out, ',');
            write_choice(a, &of_prompt[i], index, out);
        }
    }
    ft_buf_add_byte(out, ']');
}

static void write_answer(struct answer *a, const struct ft_answer_usage *usage, struct ft_buf *out)
{
    if (a->kind != FT_TASK_CHAT && a->kind != FT_TASK_TEXT) {
        ft_oai_list_write(out, &a->cfg, a->kind, a->base64, a->result, usage);
        return;
    }
    ft_oai_answer_head(out, &a->cfg, a->kind,
                       a->kind == FT_TASK_CHAT ? "chat.completion" : "text_completion");
    write_choices(a, out);
    ft_buf_add_byte(out, ',');
    ft_oai_write_usage(out, usage);
    ft_buf_add_byte(out, '}');
}

/* ---- pieces ---- */

static int answer_piece(struct ft_oai_writer *w, const struct ft_piece *p, struct ft_buf *out)
{
    struct answer *a = (struct answer *)w;
    if (p->kind == FT_PIECE_END) {
        write_answer(a, &p->usage, out);
        return 0;
    }
    if (p->kind == FT_PIECE_RESULT) {
        json_decref(a->result);
        a->result = json_incref(p->json);
        return 0;
    }
    if (p->choice < 0 || p->choice >= a->n_prompt * a->best_of)
        return FT_EINTERNAL;
    struct kept *k = &a->kept[p->choice];
    switch (p->kind) {
    case FT_PIECE_CONTENT:
        k->has_content = true;
        return keep_escaped(a, &k->content, p->text);
    case FT_PIECE_REASONING:
        return keep_escaped(a, a->kind == FT_TASK_CHAT ? &k->reasoning : &k->content, p->text);
    case FT_PIECE_CALL_BEGIN:
    case FT_PIECE_CALL_ARGS:
        return keep_call(a, k, p);
    case FT_PIECE_STEP:
        return keep_logprobs(a, k, p->logprobs);
    case FT_PIECE_FINISH:
        return keep_finish(k, p);
    case FT_PIECE_RESULT:
    case FT_PIECE_END:
        break;
    }
    return 0;
}

static void answer_close(struct ft_oai_writer *w)
{
    struct answer *a = (struct answer *)w;
    for (int i = 0; a->kept != NULL && i < a->n_prompt * a->best_of; i++) {
        struct kept *k = &a->kept[i];
        for (int c = 0; c < k->n_call; c++) {
            ft_buf_fini(&k->call[c].id);
            ft_buf_fini(&k->call[c].name);
            ft_buf_fini(&k->call[c].args);
        }
        free(k->call);
        free(k->stop);
        ft_buf_fini(&k->content);
        ft_buf_fini(&k->reasoning);
        ft_buf_fini(&k->logprobs);
        ft_oai_text_logprobs_fini(&k->text);
    }
    free(a->kept);
    free((char *)a->cfg.id);
    free((char *)a->cfg.model);
    json_decref(a->result);
}

static const struct ft_oai_writer_ops answer_ops = {
    .piece = answer_piece,
    .fail_stream = ft_oai_answer_fail, /* never: nothing is written before END */
    .fail = ft_oai_answer_fail,
    .close = answer_close,
};

int ft_oai_answer_open(const struct ft_oai_writer_config *cfg, const struct ft_oai_request *q,
                       struct ft_oai_writer **ret)
{
    struct answer *a = calloc(1, sizeof *a);
    if (a == NULL)
        return FT_ENOMEM;
    *ret = &a->base;
    a->base.ops = &answer_ops;
    a->cfg = *cfg;
    a->cfg.id = strdup(cfg->id);
    a->cfg.model = strdup(cfg->model);
    a->kind = q->kind;
    a->logprobs = q->logprobs;
    a->base64 = q->base64;
    a->n = q->n;
    a->best_of = FT_MAX(q->best_of, q->n);
    a->n_prompt = q->kind == FT_TASK_TEXT ? (int)q->n_input : 1;
    a->kept = calloc((size_t)a->n_prompt * (size_t)a->best_of, sizeof *a->kept);
    if (a->kept == NULL || a->cfg.id == NULL || a->cfg.model == NULL)
        return FT_ENOMEM;
    for (int i = 0; i < a->n_prompt * a->best_of; i++) {
        struct kept *k = &a->kept[i];
        ft_buf_init(&k->content, FT_OAI_ANSWER_BYTES_MAX);
        ft_buf_init(&k->reasoning, FT_OAI_ANSWER_BYTES_MAX);
        ft_buf_init(&k->logprobs, FT_OAI_ANSWER_BYTES_MAX);
        ft_oai_text_logprobs_init(&k->text);
    }
    return 0;
}
