/* Members of a response's request, and the chat request that they make. What both APIs call by one
 * name is the chat parser's to check; what differs is checked here. */
#include "api/openai/responses.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "api/openai/json.h"
#include "api/openai/turn.h"

/* Members that go into the chat request as they are. */
static const char *const passed[] = {"temperature",
                                     "top_p",
                                     "top_logprobs",
                                     "parallel_tool_calls",
                                     "user",
                                     "metadata",
                                     "service_tier",
                                     "prompt_cache_key",
                                     "prompt_cache_retention",
                                     "safety_identifier",
                                     "stream"};

/* ---- members that only this API has ---- */

static int parse_include(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                         struct ft_oai_error *e)
{
    /* the second is what agents always ask for; reasoning is given as text, so nothing is missing
     */
    static const char *const known[] = {"message.output_text.logprobs",
                                        "reasoning.encrypted_content"};
    int rc = ft_oai_array(v, at, 0, 16, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
        const char *s;
        rc = ft_oai_str(json_array_get(v, i), FT_OAI_ELEM(at, i), 1, 128, &s, e);
        if (rc == 0 && strcmp(s, known[0]) == 0)
            r->logprobs = true;
        else if (rc == 0 && strcmp(s, known[1]) != 0)
            rc = ft_oai_unsupported(e, FT_OAI_ELEM(at, i), s);
    }
    return rc;
}

static int parse_reasoning(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                           struct ft_oai_error *e)
{
    (void)r;
    static const char *const names[] = {"effort", "summary", "generate_summary", NULL};
    static const char *const kinds[] = {"auto", "concise", "detailed", NULL};
    int kind, rc = ft_oai_object(v, at, e);
    if (rc == 0)
        rc = ft_oai_only(v, at, names, e);
    for (int i = 1; rc == 0 && i < 3; i++) {
        const json_t *m = ft_oai_get(v, names[i]);
        if (m != NULL && (rc = ft_oai_enum(m, FT_OAI_AT(at, names[i]), kinds, &kind, e)) == 0 &&
            kind != 0)
            rc = ft_oai_unsupported(e, FT_OAI_AT(at, names[i]), "reasoning is given whole");
    }
    return rc;
}

static int parse_text(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                      struct ft_oai_error *e)
{
    (void)r;
    static const char *const names[] = {"format", "verbosity", NULL};
    static const char *const levels[] = {"low", "medium", "high", NULL};
    int level, rc = ft_oai_object(v, at, e);
    if (rc == 0)
        rc = ft_oai_only(v, at, names, e);
    const json_t *m = ft_oai_get(v, "verbosity");
    if (rc == 0 && m != NULL &&
        (rc = ft_oai_enum(m, FT_OAI_AT(at, "verbosity"), levels, &level, e)) == 0 && level != 1)
        rc = ft_oai_unsupported(e, FT_OAI_AT(at, "verbosity"), "say it in the instructions");
    if (rc == 0 && (m = ft_oai_get(v, "format")) != NULL)
        rc = ft_oai_object(m, FT_OAI_AT(at, "format"), e);
    return rc;
}

static int parse_truncation(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                            struct ft_oai_error *e)
{
    (void)r;
    static const char *const names[] = {"disabled", "auto", NULL};
    int i, rc = ft_oai_enum(v, at, names, &i, e);
    return rc == 0 && i == 1 ? ft_oai_unsupported(e, at, "nothing is cut off silently") : rc;
}

static int parse_background(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                            struct ft_oai_error *e)
{
    (void)r;
    bool on;
    int rc = ft_oai_bool(v, at, &on, e);
    return rc == 0 && on ? ft_oai_unsupported(e, at, "responses are given at once") : rc;
}

static int parse_stream_options(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                                struct ft_oai_error *e)
{
    (void)r;
    static const char *const names[] = {"include_obfuscation", NULL};
    bool on = false;
    int rc = ft_oai_object(v, at, e);
    if (rc == 0)
        rc = ft_oai_only(v, at, names, e);
    const json_t *m = ft_oai_get(v, names[0]);
    if (rc == 0 && m != NULL)
        rc = ft_oai_bool(m, FT_OAI_AT(at, names[0]), &on, e);
    return rc == 0 && on ? ft_oai_unsupported(e, FT_OAI_AT(at, names[0]), "events are not padded")
                         : rc;
}

static int parse_max_output(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                            struct ft_oai_error *e)
{
    (void)r;
    int64_t n;
    return ft_oai_int(v, at, 1, INT_MAX, &n, e);
}

static int parse_previous(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                          struct ft_oai_error *e)
{
    return ft_oai_str(v, at, 1, FT_OAI_ID_BYTES_MAX + 8, &r->previous, e);
}

static int parse_store(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                       struct ft_oai_error *e)
{
    return ft_oai_bool(v, at, &r->store, e);
}

static int parse_stream(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                        struct ft_oai_error *e)
{
    return ft_oai_bool(v, at, &r->stream, e);
}

static int parse_model(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                       struct ft_oai_error *e)
{
    return ft_oai_str(v, at, 1, FT_OAI_MODEL_BYTES_MAX, &r->model, e);
}

static int parse_instructions(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                              struct ft_oai_error *e)
{
    (void)r;
    const char *s;
    return ft_oai_str(v, at, 0, FT_OAI_BODY_BYTES_MAX, &s, e);
}

static int parse_later(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
                       struct ft_oai_error *e)
{
    (void)r, (void)v, (void)at, (void)e;
    return 0;
}

struct member {
    const char *name;
    int (*fn)(struct ft_oai_responses *r, json_t *v, const struct ft_oai_at *at,
              struct ft_oai_error *e);
    const char *why; /* fn NULL: refused */
};

static const struct member members[] = {
    {"model", parse_model, NULL},
    {"input", parse_later, NULL},
    {"instructions", parse_instructions, NULL},
    {"stream", parse_stream, NULL},
    {"store", parse_store, NULL},
    {"previous_response_id", parse_previous, NULL},
    {"max_output_tokens", parse_max_output, NULL},
    {"tools", parse_later, NULL},
    {"tool_choice", parse_later, NULL},
    {"text", parse_text, NULL},
    {"reasoning", parse_reasoning, NULL},
    {"include", parse_include, NULL},
    {"truncation", parse_truncation, NULL},
    {"background", parse_background, NULL},
    {"stream_options", parse_stream_options, NULL},
    {"conversation", NULL, "go on behind previous_response_id"},
    {"prompt", NULL, "there are no stored prompts"},
    {"max_tool_calls", NULL, "there are no built-in tools"},
    {"context_management", NULL, "nothing is cut off silently"},
    {"moderation", NULL, "nothing is moderated here"},
    {"prompt_cache_options", NULL, "prompts are cached by themselves"},
};

static int parse_member(struct ft_oai_responses *r, const char *key, json_t *v,
                        struct ft_oai_error *e)
{
    const struct ft_oai_at *at = FT_OAI_AT(NULL, key);
    for (size_t i = 0; i < FT_COUNT(members); i++)
        if (strcmp(members[i].name, key) == 0) {
            if (json_is_null(v))
                return 0;
            return members[i].fn != NULL ? members[i].fn(r, v, at, e)
                                         : ft_oai_unsupported(e, at, members[i].why);
        }
    for (size_t i = 0; i < FT_COUNT(passed); i++)
        if (strcmp(passed[i], key) == 0)
            return 0;
    return ft_oai_unknown(e, at);
}

int ft_oai_responses_parse(const char *body, size_t n, const char *id, struct ft_oai_responses *ret,
                           struct ft_oai_error *e)
{
    struct ft_oai_responses r = {.store = true};
    if (n > FT_OAI_BODY_BYTES_MAX)
        return ft_oai_error_set(e, FT_ELIMIT, "request_too_large", NULL,
                                "the body has more than %zu bytes", FT_OAI_BODY_BYTES_MAX);
    int rc = ft_oai_json_object(body, n, &r.root, e);
    const char *key;
    json_t *v;
    json_object_foreach(r.root, key, v)
    {
        if (rc == 0)
            rc = parse_member(&r, key, v, e);
    }
    if (rc == 0 && r.model == NULL)
        rc = ft_oai_missing(e, FT_OAI_AT(NULL, "model"));
    if (rc == 0 && !r.logprobs && json_integer_value(ft_oai_get(r.root, "top_logprobs")) > 0)
        rc = ft_oai_bad(e, FT_OAI_AT(NULL, "top_logprobs"), "invalid_value",
                        "is only allowed with include: [\"message.output_text.logprobs\"]");
    if (rc == 0 && !r.stream && ft_oai_get(r.root, "stream_options") != NULL)
        rc = ft_oai_bad(e, FT_OAI_AT(NULL, "stream_options"), "invalid_value",
                        "is only allowed with stream: true");
    if (rc == 0)
        rc = ft_oai_turn_parse(&r, id, e);
    if (rc != 0)
        ft_oai_responses_fini(&r);
    else
        *ret = r;
    return rc;
}

void ft_oai_responses_fini(struct ft_oai_responses *r)
{
    json_decref(r->root);
    json_decref(r->input);
    json_decref(r->context);
    ft_oai_request_fini(&r->chat); /* last: it has parts of these, and serving may hold it longer */
    *r = (struct ft_oai_responses){.root = NULL};
}

/* ---- the chat request ---- */

/* {"type":"function","name":..,..} as {"type":"function","function":{"name":..,..}}. */
static int wrap_function(const json_t *tool, const struct ft_oai_at *at, json_t **ret,
                         struct ft_oai_error *e)
{
    int rc = ft_oai_object(tool, at, e);
    if (rc != 0)
        return rc;
    const json_t *type = ft_oai_get(tool, "type");
    const char *s;
    if (type == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_str(type, FT_OAI_AT(at, "type"), 1, 64, &s, e)) != 0)
        return rc;
    if (strcmp(s, "function") != 0)
        return ft_oai_unsupported(e, FT_OAI_AT(at, "type"), "tools are functions");
    json_t *f = json_copy((json_t *)tool);
    json_object_del(f, "type");
    *ret = json_pack("{s:s,s:o}", "type", "function", "function", f);
    return *ret != NULL ? 0 : ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "no memory");
}

static int wrap_functions(json_t *into, const char *name, const json_t *list,
                          const struct ft_oai_at *at, struct ft_oai_error *e)
{
    json_t *wrapped = json_array(), *one = NULL;
    int rc = ft_oai_array(list, at, 0, FT_OAI_TOOLS_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        rc = wrap_function(json_array_get(list, i), FT_OAI_ELEM(at, i), &one, e);
        if (rc == 0)
            json_array_append_new(wrapped, one);
    }
    if (rc == 0)
        json_object_set(into, name, wrapped);
    json_decref(wrapped);
    return rc;
}

static int chat_choice(json_t *chat, json_t *v, struct ft_oai_error *e)
{
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "tool_choice");
    if (!json_is_object(v))
        return json_object_set(chat, "tool_choice", v);
    const char *type = json_string_value(ft_oai_get(v, "type"));
    if (type == NULL || strcmp(type, "allowed_tools") != 0) {
        json_t *named = NULL;
        int rc = wrap_function(v, at, &named, e);
        return rc != 0 ? rc : json_object_set_new(chat, "tool_choice", named);
    }
    static const char *const names[] = {"type", "mode", "tools", NULL};
    int rc = ft_oai_only(v, at, names, e);
    if (rc != 0)
        return rc;
    if (ft_oai_get(v, "mode") == NULL || ft_oai_get(v, "tools") == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, ft_oai_get(v, "mode") == NULL ? "mode" : "tools"));
    json_t *allowed = json_pack("{s:O}", "mode", json_object_get(v, "mode"));
    rc = wrap_functions(allowed, "tools", ft_oai_get(v, "tools"), FT_OAI_AT(at, "tools"), e);
    if (rc == 0)
        rc = json_object_set_new(
            chat, "tool_choice",
            json_pack("{s:s,s:O}", "type", "allowed_tools", "allowed_tools", allowed));
    json_decref(allowed);
    return rc;
}

/* text.format has json_schema's members beside its type; chat has them one level down. */
static int chat_format(json_t *chat, json_t *format)
{
    const char *type = json_string_value(ft_oai_get(format, "type"));
    if (type == NULL || strcmp(type, "json_schema") != 0)
        return json_object_set(chat, "response_format", format);
    json_t *schema = json_copy(format);
    json_object_del(schema, "type");
    return json_object_set_new(
        chat, "response_format",
        json_pack("{s:s,s:o}", "type", "json_schema", "json_schema", schema));
}

static int make_chat(const struct ft_oai_responses *r, json_t *chat, bool count,
                     struct ft_oai_error *e)
{
    json_t *v;
    int rc = json_object_set_new(chat, "model", json_string(r->model));
    for (size_t i = 0; rc == 0 && i < FT_COUNT(passed); i++)
        if ((v = ft_oai_get(r->root, passed[i])) != NULL)
            rc = json_object_set(chat, passed[i], v);
    if (rc == 0 && r->logprobs)
        rc = json_object_set_new(chat, "logprobs", json_true());
    if (rc == 0 && !count && (v = ft_oai_get(r->root, "max_output_tokens")) != NULL)
        rc = json_object_set(chat, "max_tokens", v);
    if (rc == 0 && (v = ft_oai_get(ft_oai_get(r->root, "reasoning"), "effort")) != NULL)
        rc = json_object_set(chat, "reasoning_effort", v);
    if (rc == 0 && (v = ft_oai_get(ft_oai_get(r->root, "text"), "format")) != NULL)
        rc = chat_format(chat, v);
    if (rc == 0 && (v = ft_oai_get(r->root, "tools")) != NULL)
        rc = wrap_functions(chat, "tools", v, FT_OAI_AT(NULL, "tools"), e);
    if (rc == 0 && (v = ft_oai_get(r->root, "tool_choice")) != NULL)
        rc = chat_choice(chat, v, e);
    return rc;
}

void ft_oai_responses_rename(struct ft_oai_error *e)
{
    static const struct ft_oai_renamed names[] = {{"response_format.json_schema", "text.format"},
                                                  {"response_format", "text.format"},
                                                  {"reasoning_effort", "reasoning.effort"},
                                                  {"max_tokens", "max_output_tokens"},
                                                  {"messages", "input"}};
    ft_oai_error_cut(e, "tool", ".function");
    ft_oai_error_rename(e, names, FT_COUNT(names));
}

static int take_context(struct ft_oai_responses *r, const json_t *previous, struct ft_oai_error *e)
{
    r->context = json_array();
    if (r->context == NULL)
        return FT_ENOMEM;
    if (previous == NULL)
        return 0;
    json_t *const lists[] = {json_object_get(previous, "context"),
                             json_object_get(previous, "input"),
                             json_object_get(json_object_get(previous, "response"), "output")};
    for (size_t i = 0; i < FT_COUNT(lists); i++)
        if (json_is_array(lists[i]) && json_array_extend(r->context, lists[i]) != 0)
            return FT_ENOMEM;
    if (json_array_size(r->context) + json_array_size(r->input) > FT_OAI_ITEMS_MAX)
        return ft_oai_bad(e, FT_OAI_AT(NULL, "previous_response_id"), "array_above_max_length",
                          "the conversation has more than %d items", FT_OAI_ITEMS_MAX);
    return 0;
}

int ft_oai_responses_resolve(struct ft_oai_responses *r, const json_t *previous, bool count,
                             struct ft_oai_error *e)
{
    json_t *messages = NULL, *chat = json_object();
    ft_oai_error_init(e);
    int rc = take_context(r, previous, e);
    if (rc == 0)
        rc = ft_oai_turn_messages(r, &messages, e);
    if (rc == 0)
        rc = json_object_set_new(chat, "messages", messages);
    if (rc == 0)
        rc = make_chat(r, chat, count, e);
    if (rc != 0) {
        json_decref(chat);
        return e->err.code != FT_OK
                   ? (int)e->err.code
                   : ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "no memory for the request");
    }
    rc = ft_oai_parse_root(count ? FT_TASK_COUNT : FT_TASK_CHAT, FT_OAI_INSIDE, chat, &r->chat, e);
    if (rc != 0)
        ft_oai_responses_rename(e);
    return rc;
}
