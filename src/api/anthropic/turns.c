/* The conversation: turns of content blocks become chat messages.
 *
 *     user       tool_result  -> a tool message; before the turn's texts
 *                text         -> one user message, blocks joined by newlines
 *     assistant  text         -> content, thinking -> reasoning_content, tool_use -> a tool call
 *
 * Turns of one role that follow each other are one turn. */
#include "api/anthropic/turns.h"

#include <string.h>

#include "api/openai/json.h"
#include "base/buf.h"

struct turns {
    json_t *messages;
    struct ft_oai_error *e;
    bool assistant, begun; /* whose turn is open, if begun */
    struct ft_buf text, thinking;
    bool has_text, has_thinking;
    json_t *calls;                      /* owned: of the assistant's open turn, or NULL */
    const char *open[FT_OAI_CALLS_MAX]; /* tool_use without tool_result */
    int n_open;
};

int ft_anthropic_no_memory(struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "no memory for the request");
}

int ft_anthropic_cache_control(const json_t *v, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "ttl", NULL};
    static const char *const types[] = {"ephemeral", NULL};
    static const char *const ttls[] = {"5m", "1h", NULL};
    int i, rc = ft_oai_object(v, at, e);
    if (rc != 0 || (rc = ft_oai_only(v, at, names, e)) != 0)
        return rc;
    const json_t *m = ft_oai_get(v, "type");
    if (m == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_enum(m, FT_OAI_AT(at, "type"), types, &i, e)) != 0)
        return rc;
    m = ft_oai_get(v, "ttl");
    return m != NULL ? ft_oai_enum(m, FT_OAI_AT(at, "ttl"), ttls, &i, e) : 0;
}

/* ---- blocks ---- */

/* The block's type; images and the like are refused by their name. */
static int block_type(const json_t *block, const struct ft_oai_at *at, const char **ret,
                      struct ft_oai_error *e)
{
    int rc = ft_oai_object(block, at, e);
    if (rc != 0)
        return rc;
    const json_t *type = ft_oai_get(block, "type");
    if (type == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_str(type, FT_OAI_AT(at, "type"), 1, 64, ret, e)) != 0)
        return rc;
    const json_t *cache = ft_oai_get(block, "cache_control");
    return cache != NULL ? ft_anthropic_cache_control(cache, FT_OAI_AT(at, "cache_control"), e) : 0;
}

static int unsupported_block(const char *type, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    static const char *const media[] = {"image", "document", "search_result", "container_upload"};
    for (size_t i = 0; i < FT_COUNT(media); i++)
        if (strcmp(type, media[i]) == 0)
            return ft_oai_unsupported(e, FT_OAI_AT(at, type), "models here read text only");
    return ft_oai_bad(e, FT_OAI_AT(at, "type"), "invalid_value",
                      "blocks of type \"%s\" do not stand here", type);
}

static int need_string(const json_t *block, const struct ft_oai_at *at, const char *name,
                       const json_t **ret, struct ft_oai_error *e)
{
    const json_t *v = ft_oai_get(block, name);
    if (v == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, name));
    *ret = v;
    return json_is_string(v) ? 0 : ft_oai_wrong_type(e, FT_OAI_AT(at, name), "a string", v);
}

static void join(struct ft_buf *to, const json_t *s, bool *begun)
{
    if (*begun)
        ft_buf_add_byte(to, '\n');
    *begun = true;
    ft_buf_add(to, json_string_value(s), json_string_length(s));
}

static int text_block(const json_t *block, const struct ft_oai_at *at, struct ft_buf *to,
                      bool *begun, struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "text", "cache_control", "citations", NULL};
    const json_t *text = NULL;
    int rc = ft_oai_only(block, at, names, e);
    if (rc == 0)
        rc = need_string(block, at, "text", &text, e);
    const json_t *citations = ft_oai_get(block, "citations");
    if (rc == 0 && json_array_size(citations) > 0)
        rc = ft_oai_unsupported(e, FT_OAI_AT(at, "citations"), "there are none here");
    else if (rc == 0 && citations != NULL && !json_is_array(citations))
        rc = ft_oai_wrong_type(e, FT_OAI_AT(at, "citations"), "an array", citations);
    if (rc == 0)
        join(to, text, begun);
    return rc;
}

/* A string, or text blocks: system, and what tools return. */
static int texts(const json_t *v, const struct ft_oai_at *at, struct ft_buf *to,
                 struct ft_oai_error *e)
{
    bool begun = false;
    if (json_is_string(v)) {
        join(to, v, &begun);
        return 0;
    }
    if (!json_is_array(v))
        return ft_oai_wrong_type(e, at, "a string or an array of text blocks", v);
    int rc = ft_oai_array(v, at, 0, FT_OAI_PARTS_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
        const struct ft_oai_at *here = FT_OAI_ELEM(at, i);
        const char *type = NULL;
        rc = block_type(json_array_get(v, i), here, &type, e);
        if (rc == 0 && strcmp(type, "text") != 0)
            rc = unsupported_block(type, here, e);
        if (rc == 0)
            rc = text_block(json_array_get(v, i), here, to, &begun, e);
    }
    return rc;
}

static json_t *buffer_string(const struct ft_buf *b)
{
    return b->failed != 0 ? NULL : json_stringn(b->len > 0 ? b->data : "", b->len);
}

static int tool_use(struct turns *t, const json_t *block, const struct ft_oai_at *at)
{
    static const char *const names[] = {"type",          "id",     "name", "input",
                                        "cache_control", "caller", NULL};
    const json_t *id = NULL, *name = NULL;
    const char *s;
    int rc = ft_oai_only(block, at, names, t->e);
    if (rc != 0 || (rc = need_string(block, at, "id", &id, t->e)) != 0 ||
        (rc = need_string(block, at, "name", &name, t->e)) != 0 ||
        (rc = ft_oai_str(id, FT_OAI_AT(at, "id"), 1, FT_OAI_ID_BYTES_MAX, &s, t->e)) != 0 ||
        (rc = ft_oai_str(name, FT_OAI_AT(at, "name"), 1, FT_OAI_CALLED_BYTES_MAX, &s, t->e)) != 0)
        return rc;
    const json_t *input = ft_oai_get(block, "input");
    if (input == NULL)
        return ft_oai_missing(t->e, FT_OAI_AT(at, "input"));
    if ((rc = ft_oai_object(input, FT_OAI_AT(at, "input"), t->e)) != 0)
        return rc;
    if (t->n_open == FT_OAI_CALLS_MAX)
        return ft_oai_bad(t->e, at, "array_above_max_length", "more than %d tool uses in a turn",
                          FT_OAI_CALLS_MAX);
    t->open[t->n_open++] = json_string_value(id);
    struct ft_buf args;
    ft_buf_init(&args, FT_OAI_BODY_BYTES_MAX);
    ft_oai_json_dump(input, &args);
    json_t *call = json_pack("{s:O,s:s,s:{s:O,s:o}}", "id", id, "type", "function", "function",
                             "name", name, "arguments", buffer_string(&args));
    ft_buf_fini(&args);
    if (t->calls == NULL)
        t->calls = json_array();
    return json_array_append_new(t->calls, call) == 0 ? 0 : ft_anthropic_no_memory(t->e);
}

static int thinking_block(struct turns *t, const json_t *block, const struct ft_oai_at *at)
{
    static const char *const names[] = {"type", "thinking", "signature", NULL};
    const json_t *text = NULL, *signature = ft_oai_get(block, "signature");
    int rc = ft_oai_only(block, at, names, t->e);
    if (rc == 0)
        rc = need_string(block, at, "thinking", &text, t->e);
    if (rc == 0 && signature != NULL && !json_is_string(signature))
        rc = ft_oai_wrong_type(t->e, FT_OAI_AT(at, "signature"), "a string", signature);
    if (rc == 0)
        join(&t->thinking, text, &t->has_thinking);
    return rc;
}

static int tool_result(struct turns *t, const json_t *block, const struct ft_oai_at *at)
{
    static const char *const names[] = {"type",     "tool_use_id",   "content",
                                        "is_error", "cache_control", NULL};
    const json_t *id = NULL;
    int rc = ft_oai_only(block, at, names, t->e);
    if (rc != 0 || (rc = need_string(block, at, "tool_use_id", &id, t->e)) != 0)
        return rc;
    int i = 0;
    while (i < t->n_open && strcmp(t->open[i], json_string_value(id)) != 0)
        i++;
    if (i == t->n_open)
        return ft_oai_bad(t->e, FT_OAI_AT(at, "tool_use_id"), "invalid_value",
                          "answers no tool_use of the turn before: \"%.64s\"",
                          json_string_value(id));
    if (t->has_text)
        return ft_oai_bad(t->e, at, "invalid_value", "tool results come before texts");
    memmove(t->open + i, t->open + i + 1, (size_t)(t->n_open - i - 1) * sizeof t->open[0]);
    t->n_open--;
    bool wrong = false;
    const json_t *m = ft_oai_get(block, "is_error");
    if (m != NULL && (rc = ft_oai_bool(m, FT_OAI_AT(at, "is_error"), &wrong, t->e)) != 0)
        return rc;
    struct ft_buf text;
    ft_buf_init(&text, FT_OAI_BODY_BYTES_MAX);
    if (wrong) /* chat templates have no other way to say so */
        ft_buf_add_str(&text, "Error: ");
    m = ft_oai_get(block, "content");
    if (m != NULL)
        rc = texts(m, FT_OAI_AT(at, "content"), &text, t->e);
    if (rc == 0) {
        json_t *message = json_pack("{s:s,s:O,s:o}", "role", "tool", "tool_call_id", id, "content",
                                    buffer_string(&text));
        rc = json_array_append_new(t->messages, message) == 0 ? 0 : ft_anthropic_no_memory(t->e);
    }
    ft_buf_fini(&text);
    return rc;
}

/* ---- turns ---- */

static int close_turn(struct turns *t)
{
    json_t *m = NULL;
    if (t->assistant && t->begun) {
        m = json_pack("{s:s,s:o}", "role", "assistant", "content",
                      t->has_text || t->calls == NULL ? buffer_string(&t->text) : json_null());
        if (t->has_thinking)
            json_object_set_new(m, "reasoning_content", buffer_string(&t->thinking));
        if (t->calls != NULL)
            json_object_set_new(m, "tool_calls", t->calls);
        t->calls = NULL;
    } else if (t->has_text) {
        m = json_pack("{s:s,s:o}", "role", "user", "content", buffer_string(&t->text));
    }
    bool made = m != NULL || !((t->assistant && t->begun) || t->has_text);
    ft_buf_reset(&t->text);
    ft_buf_reset(&t->thinking);
    t->has_text = t->has_thinking = t->begun = false;
    if (!made)
        return ft_anthropic_no_memory(t->e);
    return m == NULL || json_array_append_new(t->messages, m) == 0 ? 0
                                                                   : ft_anthropic_no_memory(t->e);
}

static int add_block(struct turns *t, const json_t *block, const struct ft_oai_at *at)
{
    const char *type = NULL;
    int rc = block_type(block, at, &type, t->e);
    if (rc != 0)
        return rc;
    if (strcmp(type, "text") == 0)
        return text_block(block, at, &t->text, &t->has_text, t->e);
    if (!t->assistant && strcmp(type, "tool_result") == 0)
        return tool_result(t, block, at);
    if (t->assistant && strcmp(type, "tool_use") == 0)
        return tool_use(t, block, at);
    if (t->assistant && strcmp(type, "thinking") == 0)
        return thinking_block(t, block, at);
    return unsupported_block(type, at, t->e);
}

static int add_system(struct turns *t, const json_t *system, const struct ft_oai_at *at)
{
    if (system == NULL)
        return 0;
    int rc = texts(system, at, &t->text, t->e);
    if (rc == 0 && t->text.len > 0 &&
        json_array_append_new(t->messages, json_pack("{s:s,s:o}", "role", "system", "content",
                                                     buffer_string(&t->text))) != 0)
        rc = ft_anthropic_no_memory(t->e);
    ft_buf_reset(&t->text);
    return rc;
}

/* What the system says goes to the model where it stands; the turn before it is over, unless that
 * still waits for results of tools. */
static int add_system_turn(struct turns *t, const json_t *content, bool first,
                           const struct ft_oai_at *at)
{
    if (first || t->n_open > 0)
        return ft_oai_bad(t->e, FT_OAI_AT(at, "role"), "invalid_value",
                          first
                              ? "the first turn is not the system's; system stands beside messages"
                              : "the results of the tools come first");
    int rc = close_turn(t);
    t->assistant = false;
    return rc != 0 ? rc : add_system(t, content, FT_OAI_AT(at, "content"));
}

static int add_turn(struct turns *t, const json_t *message, bool first, const struct ft_oai_at *at)
{
    static const char *const names[] = {"role", "content", NULL};
    static const char *const roles[] = {"user", "assistant", "system", NULL};
    int role, rc = ft_oai_object(message, at, t->e);
    if (rc != 0 || (rc = ft_oai_only(message, at, names, t->e)) != 0)
        return rc;
    const json_t *v = ft_oai_get(message, "role"), *content = ft_oai_get(message, "content");
    if (v == NULL || content == NULL)
        return ft_oai_missing(t->e, FT_OAI_AT(at, v == NULL ? "role" : "content"));
    if ((rc = ft_oai_enum(v, FT_OAI_AT(at, "role"), roles, &role, t->e)) != 0)
        return rc;
    if (role == 2)
        return add_system_turn(t, content, first, at);
    if (t->begun && t->assistant != (role == 1) && (rc = close_turn(t)) != 0)
        return rc;
    t->assistant = role == 1;
    t->begun = true;
    const struct ft_oai_at *here = FT_OAI_AT(at, "content");
    if (json_is_string(content)) {
        join(&t->text, content, &t->has_text);
        rc = 0;
    } else if (!json_is_array(content)) {
        return ft_oai_wrong_type(t->e, here, "a string or an array of blocks", content);
    } else {
        rc = ft_oai_array(content, here, 1, FT_OAI_PARTS_MAX, t->e);
        for (size_t i = 0; rc == 0 && i < json_array_size(content); i++)
            rc = add_block(t, json_array_get(content, i), FT_OAI_ELEM(here, i));
    }
    if (rc == 0 && !t->assistant && t->n_open > 0)
        rc =
            ft_oai_bad(t->e, here, "invalid_value",
                       "must begin with a tool_result for each tool_use before; \"%.64s\" has none",
                       t->open[0]);
    return rc;
}

int ft_anthropic_turns(const json_t *root, json_t **ret, struct ft_oai_error *e)
{
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "messages");
    const json_t *v = ft_oai_get(root, "messages");
    struct turns t = {.e = e, .messages = json_array()};
    ft_buf_init(&t.text, FT_OAI_BODY_BYTES_MAX);
    ft_buf_init(&t.thinking, FT_OAI_BODY_BYTES_MAX);
    int rc = t.messages != NULL
                 ? add_system(&t, ft_oai_get(root, "system"), FT_OAI_AT(NULL, "system"))
                 : ft_anthropic_no_memory(e);
    if (rc == 0)
        rc = ft_oai_array(v, at, 1, FT_OAI_MESSAGES_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
        rc = add_turn(&t, json_array_get(v, i), i == 0, FT_OAI_ELEM(at, i));
    if (rc == 0 && t.assistant)
        rc = ft_oai_unsupported(e, FT_OAI_ELEM(at, json_array_size(v) - 1),
                                "the last turn must be the user's: answers are not prefilled");
    if (rc == 0)
        rc = close_turn(&t);
    ft_buf_fini(&t.text);
    ft_buf_fini(&t.thinking);
    json_decref(t.calls);
    if (rc != 0)
        json_decref(t.messages);
    else
        *ret = t.messages;
    return rc;
}
