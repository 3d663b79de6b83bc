/* See choice.h. */
#include "worker/choice.h"

#include <stdio.h>
#include <string.h>

#include "base/rand.h"

#define THINK_END "</think>"

void ft_choice_call_id(const char *request, int choice, int call, char ret[FT_CALL_ID_BYTES])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a over the id, then mixed with the place */
    for (const char *p = request; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    memcpy(ret, "call_", 5);
    for (int i = 0; i < FT_CALL_ID_BYTES - 6; i++)
        ret[5 + i] = digits[ft_rand_u64(h, (uint64_t)choice, (uint64_t)call * 64 + (uint64_t)i) %
                            (sizeof digits - 1)];
    ret[FT_CALL_ID_BYTES - 1] = '\0';
}

static bool forced(const struct ft_choice *c)
{
    return c->cfg.call_begin.n > 0;
}

static void give(struct ft_choice *c, struct ft_piece *p)
{
    p->choice = c->cfg.index;
    if (!c->muted && !c->done)
        c->fn(c->ctx, p);
}

static void give_text(struct ft_choice *c, enum ft_piece_kind kind, const char *text, size_t n)
{
    struct ft_piece p = {.kind = kind, .text = {text, n}};
    if (n > 0)
        give(c, &p);
}

static void give_finish(struct ft_choice *c, enum ft_answer_finish how, struct ft_slice stop)
{
    struct ft_piece p = {.kind = FT_PIECE_FINISH, .finish = how, .stop = stop};
    give(c, &p);
    c->done = true;
}

/* ---- calls ---- */

static void give_call_begin(struct ft_choice *c, const char *name, size_t n)
{
    char id[FT_CALL_ID_BYTES];
    ft_choice_call_id(c->cfg.request, c->cfg.index, c->n_calls, id);
    struct ft_piece p = {.kind = FT_PIECE_CALL_BEGIN,
                         .text = {name, n},
                         .call = c->n_calls,
                         .call_id = {id, strlen(id)}};
    give(c, &p);
}

static void give_call_args(struct ft_choice *c, const char *text, size_t n)
{
    struct ft_piece p = {.kind = FT_PIECE_CALL_ARGS, .text = {text, n}, .call = c->n_calls};
    if (n > 0)
        give(c, &p);
}

static void call_begin(struct ft_choice *c, const struct ft_part *part)
{
    c->streaming = forced(c);
    if (c->streaming) {
        give_call_begin(c, part->text, part->n);
        return;
    }
    ft_buf_reset(&c->name);
    ft_buf_reset(&c->args);
    ft_buf_add(&c->name, part->text, part->n);
}

static void call_end(struct ft_choice *c)
{
    if (!c->streaming) {
        c->failed |= c->name.failed | c->args.failed;
        give_call_begin(c, c->name.data != NULL ? c->name.data : "", c->name.len);
        give_call_args(c, c->args.data, c->args.len);
    }
    c->streaming = false;
    c->n_calls++;
    if (c->cfg.single_call)
        give_finish(c, FT_ANSWER_CALLS, (struct ft_slice){0});
}

static void on_part(void *ctx, const struct ft_part *part)
{
    struct ft_choice *c = ctx;
    if (c->done)
        return;
    c->in_reasoning = part->kind == FT_PART_REASONING;
    c->reasoned |= c->in_reasoning;
    switch (part->kind) {
    case FT_PART_REASONING:
        give_text(c, FT_PIECE_REASONING, part->text, part->n);
        break;
    case FT_PART_CONTENT: /* forced: white space, or the rest of a call that was cut off */
        if (!forced(c))
            give_text(c, FT_PIECE_CONTENT, part->text, part->n);
        break;
    case FT_PART_CALL_BEGIN:
        call_begin(c, part);
        break;
    case FT_PART_CALL_ARGS:
        if (c->streaming)
            give_call_args(c, part->text, part->n);
        else
            ft_buf_add(&c->args, part->text, part->n);
        break;
    case FT_PART_CALL_END:
        call_end(c);
        break;
    case FT_PART_CALL_ABORT:
        c->n_calls += c->streaming; /* what was given of it stands: the length ran out */
        c->streaming = false;
        break;
    }
}

/* ---- text ---- */

static int prime(struct ft_choice *c, struct ft_err *err)
{
    c->primed = true;
    return ft_chat_parser_push(c->parser, c->cfg.call_begin.p, c->cfg.call_begin.n, err);
}

/* Text after reasoning is not the parser's, or it is told that a call begins there. */
static int push_after_think(struct ft_choice *c, const char *text, size_t n, struct ft_err *err)
{
    size_t i = 0;
    while (i < n && c->n_mark < sizeof THINK_END - 1) {
        c->n_mark = text[i] == THINK_END[c->n_mark] ? c->n_mark + 1 : text[i] == THINK_END[0];
        i++;
    }
    int rc = i > 0 ? ft_chat_parser_push(c->parser, text, i, err) : 0;
    if (rc != 0 || c->n_mark < sizeof THINK_END - 1)
        return rc;
    if (forced(c) && !c->primed)
        rc = prime(c, err);
    if (rc == 0 && forced(c))
        return ft_chat_parser_push(c->parser, text + i, n - i, err);
    c->in_reasoning = false;
    while (i < n && !c->primed && strchr("\r\n", text[i]) != NULL && text[i] != '\0')
        i++; /* newlines around reasoning belong to it */
    c->primed |= i < n;
    give_text(c, FT_PIECE_CONTENT, text + i, n - i);
    return rc;
}

static int push(struct ft_choice *c, const char *text, size_t n, struct ft_err *err)
{
    if (n == 0 || c->done)
        return 0;
    if (c->parser == NULL) {
        give_text(c, FT_PIECE_CONTENT, text, n);
        return 0;
    }
    if (forced(c) || c->cfg.plain_after)
        return push_after_think(c, text, n, err);
    return ft_chat_parser_push(c->parser, text, n, err);
}

int ft_choice_open(struct ft_choice *c, const struct ft_choice_config *cfg, ft_piece_fn *fn,
                   void *ctx, struct ft_err *err)
{
    *c = (struct ft_choice){.cfg = *cfg, .fn = fn, .ctx = ctx};
    c->cfg.tail = (struct ft_slice){0};
    ft_buf_init(&c->name, cfg->call_bytes_max);
    ft_buf_init(&c->args, cfg->call_bytes_max);
    c->in_reasoning = !cfg->plain && ft_chat_opens_reasoning(cfg->tail.p, cfg->tail.n);
    if (cfg->plain || (cfg->plain_after && !c->in_reasoning))
        return 0;
    /* a forced call is read as Hermes writes them, whatever the model's own way */
    int rc = ft_chat_parser_open(cfg->call_begin.n > 0 ? FT_DIALECT_HERMES : cfg->dialect,
                                 cfg->plain_after ? NULL : cfg->tools, cfg->tail.p, cfg->tail.n,
                                 on_part, c, &c->parser, err);
    if (rc == 0)
        ft_chat_parser_bind(c->parser, cfg->bound);
    if (rc == 0 && cfg->call_begin.n > 0 && !c->in_reasoning) {
        c->n_mark = sizeof THINK_END - 1;
        rc = prime(c, err);
    }
    return rc;
}

void ft_choice_close(struct ft_choice *c)
{
    ft_chat_parser_close(c->parser);
    ft_buf_fini(&c->name);
    ft_buf_fini(&c->args);
    c->parser = NULL;
}

static int failed(const struct ft_choice *c, int rc, struct ft_err *err)
{
    if (rc == 0 && c->failed != 0)
        return ft_err_set(err, FT_ELIMIT, "a tool call is longer than %zu bytes",
                          c->cfg.call_bytes_max);
    return rc;
}

int ft_choice_token(struct ft_choice *c, const char *text, size_t n, struct ft_err *err)
{
    if (c->done)
        return 0;
    c->n_token++;
    c->reasoned = c->in_reasoning; /* the end of reasoning is a part of it */
    int rc = push(c, text, n, err);
    c->n_reasoning += c->reasoned;
    if (c->parser != NULL) /* a call that is held says nothing yet */
        c->in_reasoning = c->in_reasoning && ft_chat_parser_reasons(c->parser);
    return failed(c, rc, err);
}

int ft_choice_finish(struct ft_choice *c, const char *text, size_t n, int n_token,
                     enum ft_answer_finish how, struct ft_slice stop, struct ft_err *err)
{
    if (c->done)
        return 0;
    c->n_token += n_token;
    int rc = push(c, text, n, err);
    if (rc == 0 && forced(c) && c->primed && how == FT_ANSWER_STOP && !c->done)
        rc = ft_chat_parser_push(c->parser, c->cfg.call_end.p, c->cfg.call_end.n, err);
    if (rc == 0 && c->parser != NULL && !c->done)
        rc = ft_chat_parser_finish(c->parser, err);
    if (rc == 0 && !c->done)
        give_finish(c, how == FT_ANSWER_STOP && c->n_calls > 0 ? FT_ANSWER_CALLS : how, stop);
    return failed(c, rc, err);
}
