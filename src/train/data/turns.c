/* A conversation to samples: what the model sees before each assistant turn, and what it is to
 * write.
 *
 * For the turn at message i, the context is what a request for it would be: messages[0 .. i)
 * rendered with the generation prompt, and encoded as a whole. What messages[0 .. i] renders to
 * beyond that is the answer, up to and with its end token; what a template writes behind that
 * (Qwen's newline) nobody ever generates.
 *
 * Turns share a sample as long as the tokens of a turn's context begin with all tokens of the
 * sample so far: then every target is preceded by exactly what inference would see. Where a
 * template rewrites history (Qwen3 drops earlier reasoning), or tokens merge across the end of a
 * turn, that turn begins another sample. */
#include <string.h>

#include "train/data/impl.h"

static int render(const struct ft_conversation *c, struct ft_line_reader *r, size_t n_messages,
                  bool prompt, struct ft_buf *out, struct ft_err *err)
{
    json_t *messages = json_array(), *m;
    size_t i;
    json_array_foreach(c->messages, i, m) if (i < n_messages) json_array_append(messages, m);
    json_t *vars = json_pack(
        "{s:o, s:b, s:O*, s:O*}", "messages", messages, "add_generation_prompt", prompt, "tools",
        json_array_size(c->tools) > 0 ? c->tools : NULL, "parallel_tool_calls", c->parallel);
    if (vars == NULL || json_array_size(messages) != n_messages) {
        json_decref(vars);
        return ft_err_set(err, FT_ENOMEM, "a conversation: no memory");
    }
    json_object_update_missing(vars, r->cfg.template_vars);
    ft_buf_reset(out);
    int rc = ft_prompter_render(r->cfg.prompter, vars, r->cfg.now, out, err);
    json_decref(vars);
    return rc;
}

static size_t common(const struct ft_buf *a, const struct ft_buf *b)
{
    size_t n = FT_MIN(a->len, b->len), i = 0;
    while (i < n && a->data[i] == b->data[i])
        i++;
    return i;
}

/* The end of the last whole token of the text that is at `limit` or before it. */
static int token_end(const struct ft_tokenizer *t, const char *text, size_t n, size_t limit,
                     size_t *ret, struct ft_err *err)
{
    struct ft_draft d = {0};
    size_t end = 0;
    int rc = ft_draft_encode(&d, t, text, n, FT_TOK_SPECIAL | FT_TOK_CONTINUE, false, err);
    for (size_t i = 0; i < d.n && rc == 0; i++) {
        size_t m;
        const char *p = ft_tokenizer_bytes(t, d.token[i], &m);
        if (end + m > limit || memcmp(text + end, p, m) != 0)
            break;
        end += m;
    }
    ft_draft_fini(&d);
    *ret = end;
    return rc;
}

/* Where the answer begins in r->whole, which has r->context up to there. Usually at the context's
 * end. Some templates open a section in the generation prompt that they leave out of turns without
 * it (DeepSeek R1's <think>): then at the end of the last token that both have, but never before
 * the generation prompt. */
static int answer_begin(const struct ft_conversation *c, struct ft_line_reader *r, size_t i,
                        size_t *ret, struct ft_err *err)
{
    size_t same = common(&r->context, &r->whole), from, at;
    if (same == r->context.len) {
        *ret = same;
        return 0;
    }
    int rc = render(c, r, i, false, &r->before, err);
    if (rc != 0)
        return rc;
    from = common(&r->context, &r->before);
    if (same < from)
        return ft_err_set(err, FT_EINVAL,
                          "the chat template writes what is before this turn differently once the "
                          "turn is there, so no request would ever lead to it");
    rc = token_end(r->cfg.tokenizer, r->context.data + from, r->context.len - from, same - from,
                   &at, err);
    *ret = from + at;
    return rc;
}

/* Appends the answer: to the last of its end tokens, or with one of our own. */
static int add_answer(struct ft_line_reader *r, struct ft_draft *d, const char *text, size_t n,
                      struct ft_err *err)
{
    const struct ft_tokenizer *t = r->cfg.tokenizer;
    size_t from = d->n, end;
    int rc = ft_draft_encode(d, t, text, n, FT_TOK_SPECIAL | FT_TOK_CONTINUE, true, err);
    if (rc != 0)
        return rc;
    for (end = d->n; end > from && !ft_tokenizer_is_eog(t, d->token[end - 1]);)
        end--;
    if (end > from)
        d->n = end;
    else if (ft_tokenizer_eos(t) >= 0)
        rc = ft_draft_push(d, ft_tokenizer_eos(t), true, err);
    return rc;
}

/* The turn of message i by itself: *ret, whose first *ret_context tokens are the context. */
static int read_turn(const struct ft_conversation *c, struct ft_line_reader *r, size_t i,
                     struct ft_draft *ret, size_t *ret_context, struct ft_err *err)
{
    size_t at = 0;
    int rc = render(c, r, i, true, &r->context, err);
    if (rc == 0)
        rc = render(c, r, i + 1, false, &r->whole, err);
    if (rc == 0)
        rc = answer_begin(c, r, i, &at, err);
    if (rc == 0)
        rc = ft_draft_encode_prompt(ret, r->cfg.tokenizer, at > 0 ? r->whole.data : "", at, err);
    *ret_context = ret->n;
    if (rc == 0 && at >= r->whole.len)
        rc = ft_err_set(err, FT_EINVAL, "the chat template writes nothing for this turn");
    if (rc == 0)
        rc = add_answer(r, ret, r->whole.data + at, r->whole.len - at, err);
    return rc != 0 ? ft_err_wrap(err, "the turn of message %zu", i) : 0;
}

/* Puts the turn into the last sample if its context goes on from there. */
static bool join(struct ft_drafts *out, int n_before, struct ft_draft *turn, size_t n_context)
{
    struct ft_draft *last = out->n > n_before ? &out->at[out->n - 1] : NULL;
    if (last == NULL || last->n > n_context ||
        memcmp(last->token, turn->token, last->n * sizeof *last->token) != 0)
        return false;
    memcpy(turn->loss, last->loss, last->n);
    ft_draft_fini(last);
    *last = *turn;
    return true;
}

int ft_conversation_read(const struct ft_conversation *c, struct ft_line_reader *r,
                         struct ft_drafts *out, struct ft_err *err)
{
    int n_before = out->n;
    if (r->cfg.prompter == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "messages, but the model has no chat template: give one with "
                          "--chat-template FILE");
    for (size_t i = 0; i < json_array_size(c->messages); i++) {
        struct ft_draft turn = {0}, *d;
        size_t n_context;
        if (!c->learn[i])
            continue;
        int rc = read_turn(c, r, i, &turn, &n_context, err);
        if (rc == 0 && !join(out, n_before, &turn, n_context)) {
            if ((d = ft_drafts_add(out)) != NULL)
                *d = turn;
            else
                rc = ft_err_set(err, FT_ENOMEM, "a sample: no memory");
        }
        if (rc != 0) {
            ft_draft_fini(&turn);
            return rc;
        }
    }
    if (out->n == n_before)
        return ft_err_set(err, FT_EINVAL, "no assistant turn to learn from");
    return 0;
}
