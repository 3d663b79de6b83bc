/* A conversation: template, tokenizer, engine and answer parser in a row. */
#include "cli/chat.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "model/prompt/prompt.h"

#define PROMPT_MAX (64u << 20)
#define ANSWER_MAX (64u << 20)
#define POLL_MS    50

struct ft_chat {
    struct ft_engine *engine;
    const struct ft_chat_config *cfg;
    const struct ft_model_source *source;
    struct ft_prompter *prompter; /* NULL: raw */
    enum ft_dialect dialect;
    json_t *messages;
    struct ft_buf prompt;
};

/* ---- opening ---- */

static int open_template(struct ft_chat *c, struct ft_err *err)
{
    struct ft_slice text;
    if (c->cfg->raw)
        return 0;
    const struct ft_weights *w = c->source->weights;
    if (ft_prompt_template_text(w, false, &text, NULL) != 0)
        return ft_err_set(err, FT_EINVAL,
                          "the model has no chat template; --raw continues the text as it is");
    int rc = ft_prompter_open(w, c->source->tokenizer, &c->prompter, err);
    if (rc != 0)
        return rc;
    c->dialect = ft_dialect_detect(text.p, text.n);
    return 0;
}

int ft_chat_open(struct ft_engine *e, const struct ft_chat_config *cfg, struct ft_chat **ret,
                 struct ft_err *err)
{
    struct ft_chat *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ft_err_set(err, FT_ENOMEM, "chat: no memory");
    c->engine = e;
    c->cfg = cfg;
    ft_buf_init(&c->prompt, PROMPT_MAX);
    int rc = ft_engine_model_source(e, cfg->model, &c->source, err);
    if (rc == 0 && c->source->tokenizer == NULL)
        rc = ft_err_set(err, FT_EINVAL, "the model has no tokenizer");
    if (rc == 0)
        rc = open_template(c, err);
    if (rc == 0)
        rc = ft_chat_set_system(c, cfg->system, err);
    if (rc != 0) {
        ft_chat_close(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void ft_chat_close(struct ft_chat *c)
{
    if (c == NULL)
        return;
    ft_prompter_close(c->prompter);
    ft_model_source_unref(c->source);
    json_decref(c->messages);
    ft_buf_fini(&c->prompt);
    free(c);
}

static int add_message(struct ft_chat *c, const char *role, const char *text, size_t n,
                       const char *reasoning, size_t reasoning_n, struct ft_err *err)
{
    json_t *m = json_pack("{s:s, s:s%}", "role", role, "content", text, n);
    if (m != NULL && reasoning_n > 0)
        json_object_set_new(m, "reasoning_content", json_stringn(reasoning, reasoning_n));
    if (m == NULL)
        return ft_err_set(err, FT_EINVAL, "the text is not valid UTF-8");
    return json_array_append_new(c->messages, m) == 0
               ? 0
               : ft_err_set(err, FT_ENOMEM, "chat: no memory");
}

int ft_chat_set_system(struct ft_chat *c, const char *text, struct ft_err *err)
{
    json_decref(c->messages);
    c->messages = json_array();
    if (c->messages == NULL)
        return ft_err_set(err, FT_ENOMEM, "chat: no memory");
    return text == NULL ? 0 : add_message(c, "system", text, strlen(text), NULL, 0, err);
}

void ft_chat_reset(struct ft_chat *c)
{
    json_t *first = json_array_get(c->messages, 0);
    const char *role = json_string_value(json_object_get(first, "role"));
    size_t keep = role != NULL && strcmp(role, "system") == 0 ? 1 : 0;
    while (json_array_size(c->messages) > keep)
        json_array_remove(c->messages, json_array_size(c->messages) - 1);
}

/* ---- the prompt ---- */

static int render(struct ft_chat *c, struct ft_err *err)
{
    json_t *vars = json_pack("{s:O, s:b}", "messages", c->messages, "add_generation_prompt", 1);
    if (vars == NULL)
        return ft_err_set(err, FT_ENOMEM, "chat: no memory");
    if (c->cfg->thinking != FT_THINKING_DEFAULT)
        json_object_set_new(vars, "enable_thinking",
                            json_boolean(c->cfg->thinking == FT_THINKING_ON));
    ft_buf_reset(&c->prompt);
    int rc = ft_prompter_render(c->prompter, vars, ft_clock_wall_s(), &c->prompt, err);
    json_decref(vars);
    return rc;
}

/* The prompt's text and ids. */
static int make_prompt(struct ft_chat *c, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                       struct ft_err *err)
{
    const struct ft_tokenizer *t = c->source->tokenizer;
    if (c->prompter != NULL) {
        int rc = render(c, err);
        const char *data = c->prompt.len > 0 ? c->prompt.data : "";
        return rc != 0 ? rc : ft_prompt_encode(t, data, c->prompt.len, ids, n_ids, err);
    }
    ft_buf_reset(&c->prompt);
    if (ft_buf_add(&c->prompt, text, n) != 0)
        return ft_err_set(err, FT_ELIMIT, "the prompt is longer than %u bytes", PROMPT_MAX);
    return ft_tokenizer_encode(t, text, n, FT_TOK_BOS, ids, n_ids, err);
}

/* ---- the answer ---- */

struct answer {
    struct ft_buf content, reasoning;
    ft_part_fn *on_part;
    void *ctx;
};

static void take_part(void *ctx, const struct ft_part *part)
{
    struct answer *a = ctx;
    if (part->kind == FT_PART_CONTENT)
        ft_buf_add(&a->content, part->text, part->n);
    if (part->kind == FT_PART_REASONING)
        ft_buf_add(&a->reasoning, part->text, part->n);
    a->on_part(a->ctx, part);
}

static int stream_answer(struct ft_chat *c, struct ft_stream *s, uint64_t id,
                         struct ft_chat_parser *p, const atomic_int *interrupt,
                         struct ft_chat_result *ret, struct ft_err *err)
{
    bool cancelled = false;
    for (;;) {
        struct ft_event ev;
        int rc = ft_stream_take(s, &ev, POLL_MS);
        if (interrupt != NULL && *interrupt != 0 && !cancelled) {
            ft_engine_cancel(c->engine, id);
            cancelled = true;
        }
        if (rc == FT_EBUSY)
            continue;
        if (rc != 0)
            return ft_err_set(err, FT_EINTERNAL, "the engine's events stopped");
        if (ev.text_n > 0 && (rc = ft_chat_parser_push(p, ev.text, ev.text_n, err)) != 0) {
            ft_engine_cancel(c->engine, id);
            return rc;
        }
        if (ev.kind != FT_EVENT_END)
            continue;
        ret->finish = ev.finish;
        ret->usage = ev.usage;
        if (ev.finish == FT_FINISH_ERROR) {
            *err = *ev.err;
            return err->code;
        }
        return ft_chat_parser_finish(p, err);
    }
}

static int ask(struct ft_chat *c, const char *text, size_t n, struct answer *a,
               const atomic_int *interrupt, struct ft_chat_result *ret, struct ft_err *err)
{
    struct ft_request r = c->cfg->request;
    struct ft_stream *stream = NULL;
    struct ft_chat_parser *parser = NULL;
    int32_t *ids = NULL;
    uint64_t id = 0;
    r.model = c->cfg->model;
    int rc = make_prompt(c, text, n, &ids, &r.n_prompt, err);
    r.prompt = ids;
    if (rc == 0 && r.n_prompt == 0)
        rc = ft_err_set(err, FT_EINVAL, "the prompt is empty");
    if (rc == 0) {
        bool plain = c->prompter == NULL || r.grammar != NULL;
        rc = ft_chat_parser_open(plain ? FT_DIALECT_PLAIN : c->dialect, NULL,
                                 plain ? "" : c->prompt.data, plain ? 0 : c->prompt.len, take_part,
                                 a, &parser, err);
    }
    if (rc == 0)
        rc = ft_engine_submit(c->engine, &r, &id, &stream, err);
    if (rc == 0)
        rc = stream_answer(c, stream, id, parser, interrupt, ret, err);
    ft_stream_close(stream);
    ft_chat_parser_close(parser);
    free(ids);
    return rc;
}

int ft_chat_ask(struct ft_chat *c, const char *text, size_t n, ft_part_fn *on_part, void *ctx,
                const atomic_int *interrupt, struct ft_chat_result *ret, struct ft_err *err)
{
    struct answer a = {.on_part = on_part, .ctx = ctx};
    ft_buf_init(&a.content, ANSWER_MAX);
    ft_buf_init(&a.reasoning, ANSWER_MAX);
    size_t before = json_array_size(c->messages);
    int rc = c->prompter != NULL ? add_message(c, "user", text, n, NULL, 0, err) : 0;
    if (rc == 0)
        rc = ask(c, text, n, &a, interrupt, ret, err);
    if (rc == 0 && c->prompter != NULL)
        rc = add_message(c, "assistant", a.content.len > 0 ? a.content.data : "", a.content.len,
                         a.reasoning.data, a.reasoning.len, err);
    while (rc != 0 && json_array_size(c->messages) > before)
        json_array_remove(c->messages, json_array_size(c->messages) - 1);
    ft_buf_fini(&a.content);
    ft_buf_fini(&a.reasoning);
    return rc;
}
