/* A conversation to samples: what the model sees before each assistant turn, and what it is to
 * write.
 *
 * For the turn at message i, the context is what a request for it would be: messages[0 .. i)
 * rendered with the generation prompt, and encoded as a whole. The answer is what messages[0 .. i]
 * renders to behind the generation prompt, up to and with the turn's end token; what a template
 * writes behind that (Qwen's newline) nobody ever generates.
 *
 * Usually the second rendering begins with the first. Not so where
 * - the generation prompt opens or closes a section of reasoning, and finished turns have none
 *   (DeepSeek R1, QwQ): the context stays, and the answer gets its reasoning, or none, and the end
 *   of the section, as the model would write it;
 * - earlier turns look different once the turn is there: the answer begins behind the last
 *   generation prompt.
 *
 * Turns share a sample as long as the tokens of a turn's context begin with all tokens of the
 * sample so far: then every target is preceded by exactly what inference would see. Where a
 * template rewrites history (Qwen3 drops earlier reasoning), or tokens merge across the end of a
 * turn, that turn begins another sample. */
#include <string.h>

#include "base/slice.h"
#include "train/data/impl.h"

#define THINK_BEGIN "<think>"
#define THINK_END   "</think>"

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

/* ---- reasoning ---- */

static bool begins(struct ft_slice s, const char *with)
{
    size_t n = strlen(with);
    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static struct ft_slice from(struct ft_slice s, size_t n)
{
    return (struct ft_slice){s.p + n, s.n - n};
}

static const char *find(struct ft_slice s, const char *what)
{
    return s.n > 0 ? memmem(s.p, s.n, what, strlen(what)) : NULL;
}

static struct ft_slice trimmed(struct ft_slice s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL)
        s = from(s, 1);
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

static struct ft_slice string_of(json_t *v)
{
    return json_is_string(v) ? (struct ft_slice){json_string_value(v), json_string_length(v)}
                             : (struct ft_slice){"", 0};
}

/* What the message says that the model thought: a field, or a section before the content. */
static struct ft_slice reasoning_of(json_t *message)
{
    struct ft_slice field = trimmed(string_of(json_object_get(message, "reasoning_content")));
    struct ft_slice content = string_of(json_object_get(message, "content"));
    const char *end = find(content, THINK_END);
    if (field.n > 0 || end == NULL)
        return field;
    struct ft_slice s = trimmed((struct ft_slice){content.p, (size_t)(end - content.p)});
    return begins(s, THINK_BEGIN) ? trimmed(from(s, strlen(THINK_BEGIN))) : s;
}

/* What the template writes for a turn: where it continues the context's section of reasoning, if
 * there is one ("<think>\n"); whether it was found as what follows the context. */
struct written {
    struct ft_slice opened, rest;
    bool follows;
};

/* Is the thought where it belongs? In an open section it must come before the section's end. */
static bool has_thought(const struct written *w, bool open, struct ft_slice thought)
{
    const char *end = open ? find(w->rest, THINK_END) : w->rest.p + w->rest.n;
    size_t n = end != NULL ? (size_t)(end - w->rest.p) : 0;
    return (!open || w->follows) && n >= thought.n &&
           memmem(w->rest.p, n, thought.p, thought.n) != NULL;
}

/* Writes the answer to r->answer. */
static int write_answer(struct ft_line_reader *r, json_t *message, const struct written *w,
                        struct ft_err *err)
{
    struct ft_slice thought = reasoning_of(message), end = w->rest;
    struct ft_buf *b = &r->answer;
    bool open = w->opened.n > 0 && find(w->opened, THINK_END) == NULL;
    bool missing = thought.n > 0 && !has_thought(w, open, thought);
    if (missing && !open)
        return ft_err_set(err, FT_EINVAL,
                          "the chat template leaves its reasoning out (some ask for "
                          "enable_thinking)");
    while (open && begins(end, "\n"))
        end = from(end, 1);
    bool ended = begins(end, THINK_END);
    if (open && ended && begins(from(end, strlen(THINK_END)), THINK_BEGIN))
        return ft_err_set(err, FT_EINVAL,
                          "the chat template wants its reasoning in reasoning_content");
    ft_buf_reset(b);
    if (open && (missing || !w->follows)) {
        bool lines = w->opened.p[w->opened.n - 1] == '\n';
        ft_buf_add(b, thought.p, thought.n);
        ft_buf_add_str(b, lines ? "\n" : "");
        ft_buf_add_str(b, ended ? "" : THINK_END);
        ft_buf_add_str(b, lines && !ended ? "\n\n" : "");
        ft_buf_add(b, end.p, end.n);
    } else if (!open && w->opened.n > 0 && ended) {
        end = from(end, strlen(THINK_END)); /* the context has it already */
        ft_buf_add(b, end.p, end.n);
    } else {
        ft_buf_add(b, w->rest.p, w->rest.n);
    }
    return b->failed == 0 ? 0 : ft_err_set(err, FT_ELIMIT, "longer than %zu bytes", b->max_bytes);
}

/* ---- turns ---- */

/* The last place of `what` in b, or NULL. */
static const char *find_last(const struct ft_buf *b, struct ft_slice what)
{
    for (size_t at = b->len >= what.n ? b->len - what.n + 1 : 0; at > 0; at--)
        if (memcmp(b->data + at - 1, what.p, what.n) == 0)
            return b->data + at - 1;
    return NULL;
}

/* For a context that is not how r->whole begins. Finds the part of the context that opens a section
 * of reasoning, and what the template writes behind the rest of the generation prompt. */
static int find_written(const struct ft_conversation *c, struct ft_line_reader *r, size_t i,
                        struct written *ret, struct ft_err *err)
{
    int rc = render(c, r, i, false, &r->before, err);
    if (rc != 0)
        return rc;
    size_t at = common(&r->context, &r->before);
    struct ft_slice prompt = {r->context.data + at, r->context.len - at};
    const char *think = find(prompt, THINK_BEGIN);
    struct ft_slice head = {prompt.p, think != NULL ? (size_t)(think - prompt.p) : prompt.n};
    const char *p = common(&r->context, &r->whole) >= at + head.n ? r->whole.data + at
                    : head.n > 0                                  ? find_last(&r->whole, head)
                                                                  : NULL;
    if (p == NULL)
        return ft_err_set(err, FT_EINVAL,
                          "the chat template writes no generation prompt before it, so no request "
                          "would ever lead to it");
    struct ft_slice opened = from(prompt, head.n);
    struct ft_slice rest = {p + head.n, (size_t)(r->whole.data + r->whole.len - p) - head.n};
    *ret = (struct written){.opened = opened, .rest = rest};
    if (opened.n == 0)
        return 0;
    if (rest.n >= opened.n && memcmp(rest.p, opened.p, opened.n) == 0) {
        ret->rest = from(rest, opened.n);
        ret->follows = true;
    } else if (begins(rest, THINK_BEGIN)) {
        return ft_err_set(err, FT_EINVAL,
                          "the chat template opens its reasoning otherwise than the prompt does "
                          "(some ask for enable_thinking)");
    }
    return 0;
}

/* The section of reasoning that the context ends with, if it is open. */
static struct ft_slice open_section(const struct ft_buf *context)
{
    size_t n = context->len, m = strlen(THINK_BEGIN);
    while (n > 0 && context->data[n - 1] == '\n')
        n--;
    if (n < m || memcmp(context->data + n - m, THINK_BEGIN, m) != 0)
        return (struct ft_slice){"", 0};
    return (struct ft_slice){context->data + n - m, context->len - (n - m)};
}

static int find_and_write_answer(const struct ft_conversation *c, struct ft_line_reader *r,
                                 size_t i, struct ft_err *err)
{
    size_t same = common(&r->context, &r->whole);
    struct written w = {.opened = open_section(&r->context),
                        .rest = {r->whole.data + same, r->whole.len - same},
                        .follows = true};
    if (same < r->context.len) {
        int rc = find_written(c, r, i, &w, err);
        if (rc != 0)
            return rc;
    }
    if (w.rest.n == 0)
        return ft_err_set(err, FT_EINVAL, "the chat template writes nothing for it");
    return write_answer(r, json_array_get(c->messages, i), &w, err);
}

/* Appends the answer: to the last of its end tokens, or with one of our own. */
static int add_answer(struct ft_line_reader *r, struct ft_draft *d, struct ft_err *err)
{
    const struct ft_tokenizer *t = r->cfg.tokenizer;
    size_t n_context = d->n, end;
    int rc = ft_draft_encode(d, t, r->answer.data, r->answer.len, FT_TOK_SPECIAL | FT_TOK_CONTINUE,
                             true, err);
    if (rc != 0)
        return rc;
    for (end = d->n; end > n_context && !ft_tokenizer_is_eog(t, d->token[end - 1]);)
        end--;
    if (end > n_context)
        d->n = end;
    else if (ft_tokenizer_eos(t) >= 0)
        rc = ft_draft_push(d, ft_tokenizer_eos(t), true, err);
    return rc;
}

/* The turn of message i by itself: *ret, whose first *ret_context tokens are the context. */
static int read_turn(const struct ft_conversation *c, struct ft_line_reader *r, size_t i,
                     struct ft_draft *ret, size_t *ret_context, struct ft_err *err)
{
    int rc = render(c, r, i, true, &r->context, err);
    if (rc == 0)
        rc = render(c, r, i + 1, false, &r->whole, err);
    if (rc == 0)
        rc = find_and_write_answer(c, r, i, err);
    if (rc == 0)
        rc = ft_draft_encode_prompt(ret, r->cfg.tokenizer,
                                    r->context.len > 0 ? r->context.data : "", r->context.len, err);
    *ret_context = ret->n;
    if (rc == 0)
        rc = add_answer(r, ret, err);
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
