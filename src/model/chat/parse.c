/* Answers apart: reasoning, content, calls.
 *
 * Works byte by byte on three modes: reasoning (until "</think>"), content (until a marker of the
 * dialect), call (parse_json.c, parse_tags.c). What may still become a marker is held back, no
 * longer. Text is collected and given to the caller once per push. */
#include "model/chat/parse.h"

#include <stdlib.h>
#include <string.h>

#include "model/chat/parse_impl.h"

#define THINK_BEGIN "<think>"
#define THINK_END   "</think>"
#define HELD_MAX    128

/* What begins a call. Llama's bare JSON has no marker: it is known by standing first. */
static const char *const markers[][3] = {
    [FT_DIALECT_PLAIN] = {NULL},
    [FT_DIALECT_HERMES] = {"<tool_call>", NULL},
    [FT_DIALECT_QWEN_XML] = {"<tool_call>", "<function=", NULL},
    [FT_DIALECT_LLAMA3] = {"<|python_tag|>", NULL},
    [FT_DIALECT_DEEPSEEK_V3] = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", NULL},
    [FT_DIALECT_DEEPSEEK_V31] = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", NULL},
    [FT_DIALECT_DEEPSEEK_V32] = {"<｜DSML｜function_calls>", NULL},
};

static bool has(const char *text, size_t n, const char *what)
{
    return memmem(text, n, what, strlen(what)) != NULL;
}

enum ft_dialect ft_dialect_detect(const char *text, size_t n)
{
    if (n == 0)
        return FT_DIALECT_PLAIN;
    if (has(text, n, "｜DSML｜"))
        return FT_DIALECT_DEEPSEEK_V32;
    if (has(text, n, "<｜tool▁call▁begin｜>"))
        return has(text, n, "```json") ? FT_DIALECT_DEEPSEEK_V3 : FT_DIALECT_DEEPSEEK_V31;
    if (has(text, n, "<function="))
        return FT_DIALECT_QWEN_XML;
    if (has(text, n, "<tool_call>"))
        return FT_DIALECT_HERMES;
    if (has(text, n, "<|python_tag|>") ||
        (has(text, n, "<|start_header_id|>") && has(text, n, "\"parameters\"")))
        return FT_DIALECT_LLAMA3;
    return FT_DIALECT_PLAIN;
}

static void flush(struct ft_chat_parser *p)
{
    if (p->text.len == 0)
        return;
    struct ft_part part = {p->kind, p->kind == FT_PART_CALL_ARGS ? p->n_calls : 0, p->text.data,
                           p->text.len};
    p->fn(p->ctx, &part);
    ft_buf_reset(&p->text);
}

void fp_part(struct ft_chat_parser *p, enum ft_part_kind kind, const char *text, size_t n)
{
    bool is_text =
        kind == FT_PART_CONTENT || kind == FT_PART_REASONING || kind == FT_PART_CALL_ARGS;
    if (p->kind != kind || !is_text)
        flush(p);
    p->kind = kind;
    p->said |= kind == FT_PART_CONTENT;
    if (is_text) {
        p->failed |= ft_buf_add(&p->text, text, n) != 0;
        return;
    }
    struct ft_part part = {kind, p->n_calls, text, n};
    p->fn(p->ctx, &part);
}

static void content(struct ft_chat_parser *p, const char *text, size_t n)
{
    if (n == 0)
        return;
    fp_part(p, FT_PART_CONTENT, text, n);
}

void fp_call_begin(struct ft_chat_parser *p, const char *name, size_t n)
{
    fp_part(p, FT_PART_CALL_BEGIN, name, n);
    p->begun = true;
}

void fp_call_args(struct ft_chat_parser *p, const char *text, size_t n)
{
    if (n != 0)
        fp_part(p, FT_PART_CALL_ARGS, text, n);
}

void fp_call_end(struct ft_chat_parser *p)
{
    fp_part(p, FT_PART_CALL_END, NULL, 0);
    p->begun = false;
    p->n_calls++;
    /* What is given as content from here on begins after this call. */
    ft_buf_reset(&p->raw);
    p->json_from = p->token_from = p->args_sent = 0;
}

json_t *fp_tool_schema(const struct ft_chat_parser *p, const char *name, size_t n, bool *known)
{
    size_t i;
    json_t *tool;
    *known = false;
    json_array_foreach(p->tools, i, tool)
    {
        json_t *f = json_object_get(tool, "function");
        f = json_is_object(f) ? f : tool;
        json_t *have = json_object_get(f, "name");
        if (!json_is_string(have) || json_string_length(have) != n ||
            memcmp(json_string_value(have), name, n) != 0)
            continue;
        *known = true;
        return json_object_get(f, "parameters");
    }
    return NULL;
}

static void call_reset(struct ft_chat_parser *p)
{
    p->stage = ST_START;
    p->begun = p->object_seen = false;
    p->args_sent = 0;
    p->name_known = p->args_known = p->streaming = false;
    p->match.n = 0;
    p->n_params = 0;
    p->value_open = false;
    ft_buf_reset(&p->name);
    ft_buf_reset(&p->args);
    ft_buf_reset(&p->key);
    ft_buf_reset(&p->value);
}

static void call_open(struct ft_chat_parser *p, const char *text, size_t n)
{
    ft_buf_reset(&p->raw);
    p->failed |= ft_buf_add(&p->raw, text, n) != 0;
    p->in_call = true;
    call_reset(p);
    if (p->dialect == FT_DIALECT_LLAMA3 && n != 0 && text[n - 1] == '>')
        p->stage = ST_PYTHON;
    const char *inner = markers[p->dialect][0] != NULL ? markers[p->dialect][1] : NULL;
    if (inner != NULL && n >= strlen(inner) &&
        memcmp(text + n - strlen(inner), inner, strlen(inner)) == 0)
        p->stage = ST_NAME; /* the wrapper was left out */
}

/* What was held as a call is none: all of its text is content. */
static void call_abort(struct ft_chat_parser *p)
{
    if (p->begun)
        fp_part(p, FT_PART_CALL_ABORT, NULL, 0);
    p->begun = p->in_call = false;
    content(p, p->raw.data, p->raw.len);
    ft_buf_reset(&p->raw);
    p->at_start = p->skip_newlines = false;
}

/* ---- markers in content and reasoning ---- */

enum { MATCH_NO = -2, MATCH_MAYBE = -1 };

static int match_one(const char *s, size_t n, const char *marker)
{
    size_t len = strlen(marker);
    if (n < len)
        return memcmp(s, marker, n) == 0 ? MATCH_MAYBE : MATCH_NO;
    return memcmp(s, marker, len) == 0 ? 0 : MATCH_NO;
}

enum found { FOUND_NO, FOUND_MAYBE, FOUND_THINK, FOUND_THINK_END, FOUND_CALL, FOUND_JSON };

/* Could held, after its newlines, be a marker? */
static enum found examine(const struct ft_chat_parser *p)
{
    const char *s = p->held.data;
    size_t n = p->held.len, k = 0;
    while (k < n && s[k] == '\n')
        k++;
    bool answer = p->bound == FT_CHAT_BOUND_ANSWER;
    if (k > (answer ? FT_CHAT_BOUND_NEWLINES_MAX : FP_NEWLINES_MAX))
        return FOUND_NO;
    s += k;
    n -= k;
    if (n == 0)
        return FOUND_MAYBE;
    if (p->reasoning) {
        int m = match_one(s, n, THINK_END);
        return m == 0 ? FOUND_THINK_END : m == MATCH_MAYBE ? FOUND_MAYBE : FOUND_NO;
    }
    bool maybe = false;
    if (p->at_start && !answer) {
        int m = match_one(s, n, THINK_BEGIN);
        if (m == 0)
            return FOUND_THINK;
        maybe = m == MATCH_MAYBE;
    }
    if (p->tools == NULL || (answer && p->said))
        return maybe ? FOUND_MAYBE : FOUND_NO;
    for (int i = 0; markers[p->dialect][i] != NULL; i++) {
        int m = match_one(s, n, markers[p->dialect][i]);
        if (m == 0)
            return FOUND_CALL;
        maybe |= m == MATCH_MAYBE;
    }
    if (p->dialect == FT_DIALECT_LLAMA3 && p->at_start && s[0] == '{')
        return FOUND_JSON;
    return maybe ? FOUND_MAYBE : FOUND_NO;
}

static void emit_text(struct ft_chat_parser *p, const char *s, size_t n)
{
    fp_part(p, p->reasoning ? FT_PART_REASONING : FT_PART_CONTENT, s, n);
}

/* Gives the first n held bytes away as text. */
static void release(struct ft_chat_parser *p, size_t n)
{
    emit_text(p, p->held.data, n);
    for (size_t i = 0; i < n; i++)
        if (strchr(" \t\r\n", p->held.data[i]) == NULL)
            p->at_start = false;
    p->held.len -= n;
    memmove(p->held.data, p->held.data + n, p->held.len);
}

static void call_byte(struct ft_chat_parser *p, char c);

static void text_byte(struct ft_chat_parser *p, char c)
{
    if (p->skip_newlines && c == '\n')
        return;
    p->skip_newlines = false;
    p->failed |= ft_buf_add_byte(&p->held, (unsigned char)c) != 0;
    while (p->held.len != 0) {
        enum found f = examine(p);
        if (f == FOUND_MAYBE)
            return;
        if (f == FOUND_NO) {
            release(p, 1);
            continue;
        }
        if (f == FOUND_CALL || f == FOUND_JSON) {
            size_t n = p->held.len - (f == FOUND_JSON);
            call_open(p, p->held.data, n);
            ft_buf_reset(&p->held);
            if (f == FOUND_JSON)
                call_byte(p, '{');
            return;
        }
        if (f == FOUND_THINK)
            flush(p);
        p->reasoning = f == FOUND_THINK;
        p->skip_newlines = true;
        p->at_start = f == FOUND_THINK_END;
        ft_buf_reset(&p->held);
    }
}

static enum fp_step call_step(struct ft_chat_parser *p, char c)
{
    switch (p->dialect) {
    case FT_DIALECT_HERMES:
    case FT_DIALECT_LLAMA3:
        return fp_json_call(p, c);
    case FT_DIALECT_QWEN_XML:
    case FT_DIALECT_DEEPSEEK_V32:
        return fp_tags_call(p, c);
    default:
        return fp_deepseek_call(p, c);
    }
}

static void call_byte(struct ft_chat_parser *p, char c)
{
    if (p->raw.len >= FP_RAW_BYTES_MAX) {
        call_abort(p);
        text_byte(p, c);
        return;
    }
    p->failed |= ft_buf_add_byte(&p->raw, (unsigned char)c) != 0;
    switch (call_step(p, c)) {
    case FP_MORE:
        return;
    case FP_DONE:
        p->in_call = false;
        ft_buf_reset(&p->raw);
        p->skip_newlines = true;
        p->at_start = false;
        return;
    case FP_BROKEN: /* this byte may begin a marker of its own */
        p->raw.len--;
        call_abort(p);
        text_byte(p, c);
        return;
    }
}

int ft_chat_parser_push(struct ft_chat_parser *p, const char *text, size_t n, struct ft_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (p->in_call)
            call_byte(p, text[i]);
        else
            text_byte(p, text[i]);
    }
    flush(p);
    return p->failed ? ft_err_set(err, FT_ENOMEM, "no memory to parse an answer") : 0;
}

int ft_chat_parser_finish(struct ft_chat_parser *p, struct ft_err *err)
{
    if (p->in_call && fp_call_complete(p)) {
        p->in_call = false;
        ft_buf_reset(&p->raw);
    } else if (p->in_call) {
        call_abort(p);
    }
    if (p->held.len != 0)
        emit_text(p, p->held.data, p->held.len);
    ft_buf_reset(&p->held);
    flush(p);
    return p->failed ? ft_err_set(err, FT_ENOMEM, "no memory to parse an answer") : 0;
}

bool ft_chat_opens_reasoning(const char *s, size_t n)
{
    while (n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL && s[n - 1] != '\0')
        n--;
    size_t k = strlen(THINK_BEGIN);
    return n >= k && memcmp(s + n - k, THINK_BEGIN, k) == 0;
}

int ft_chat_parser_open(enum ft_dialect d, json_t *tools, const char *rendered_prompt_tail,
                        size_t n, ft_part_fn *fn, void *ctx, struct ft_chat_parser **ret,
                        struct ft_err *err)
{
    if (tools != NULL && !json_is_array(tools) && !json_is_null(tools))
        return ft_err_set(err, FT_EINVAL, "tools: an array is wanted");
    struct ft_chat_parser *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory to parse an answer");
    p->dialect = d;
    p->tools = json_array_size(tools) > 0 ? json_incref(tools) : NULL;
    p->fn = fn;
    p->ctx = ctx;
    p->reasoning = n != 0 && ft_chat_opens_reasoning(rendered_prompt_tail, n);
    p->skip_newlines = p->reasoning;
    p->at_start = true;
    p->kind = FT_PART_CONTENT;
    ft_buf_init(&p->held, HELD_MAX);
    struct ft_buf *const bufs[] = {&p->text, &p->raw, &p->name, &p->args, &p->key, &p->value};
    for (size_t i = 0; i < FT_COUNT(bufs); i++)
        ft_buf_init(bufs[i], 8 * FP_RAW_BYTES_MAX); /* escaping can lengthen text sixfold */
    *ret = p;
    return 0;
}

void ft_chat_parser_bind(struct ft_chat_parser *p, enum ft_chat_bound bound)
{
    p->bound = bound;
}

bool ft_chat_parser_reasons(const struct ft_chat_parser *p)
{
    return p->reasoning;
}

void ft_chat_parser_close(struct ft_chat_parser *p)
{
    if (p == NULL)
        return;
    struct ft_buf *const bufs[] = {&p->text, &p->raw,   &p->name, &p->args,
                                   &p->key,  &p->value, &p->held};
    for (size_t i = 0; i < FT_COUNT(bufs); i++)
        ft_buf_fini(bufs[i]);
    json_decref(p->tools);
    free(p);
}
