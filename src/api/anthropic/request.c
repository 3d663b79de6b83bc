/* A request's members, in their place in Anthropic's form, and the chat request they make.
 *
 * cache_control is checked and has no effect: prompts are cached by themselves. */
#include <limits.h>
#include <string.h>

#include "api/anthropic/turns.h"
#include "api/openai/json.h"

#define THINKING_LEAST 1024 /* budget_tokens, as Anthropic has it */

struct parse {
    struct ft_anthropic_request r;
    json_t *root;
    json_t *chat; /* in the making */
    struct ft_oai_error *e;
    bool count;
    bool think;
    int64_t max_tokens, budget;
};
typedef int member_fn(struct parse *p, json_t *v, const struct ft_oai_at *at);

static int set(struct parse *p, const char *name, json_t *new_value)
{
    return json_object_set_new(p->chat, name, new_value) == 0 ? 0 : ft_anthropic_no_memory(p->e);
}

/* ---- plain members ---- */

static int parse_model(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    const char *s;
    int rc = ft_oai_str(v, at, 1, FT_OAI_MODEL_BYTES_MAX, &s, p->e);
    return rc != 0 ? rc : set(p, "model", json_incref(v));
}

static int parse_max_tokens(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int rc = ft_oai_int(v, at, 1, INT_MAX, &p->max_tokens, p->e);
    return rc != 0 ? rc : set(p, "max_tokens", json_incref(v));
}

static int parse_temperature(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    double x;
    int rc = ft_oai_num(v, at, 0, 1, &x, p->e);
    return rc != 0 ? rc : set(p, "temperature", json_incref(v));
}

static int parse_top_p(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    double x;
    int rc = ft_oai_num(v, at, 0, 1, &x, p->e);
    return rc != 0 ? rc : set(p, "top_p", json_incref(v));
}

static int parse_top_k(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int64_t x;
    int rc = ft_oai_int(v, at, 0, INT_MAX, &x, p->e);
    return rc != 0 ? rc : set(p, "top_k", json_incref(v));
}

static int parse_stream(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int rc = ft_oai_bool(v, at, &p->r.stream, p->e);
    return rc != 0 ? rc : set(p, "stream", json_incref(v));
}

static int parse_stop(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int rc = ft_oai_array(v, at, 0, FT_OAI_STOPS_INSIDE_MAX, p->e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
        const char *s;
        rc = ft_oai_str(json_array_get(v, i), FT_OAI_ELEM(at, i), 1, FT_OAI_STOP_BYTES_MAX, &s,
                        p->e);
    }
    return rc != 0 ? rc : set(p, "stop", json_incref(v));
}

static int parse_metadata(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"user_id", NULL};
    const char *s;
    int rc = ft_oai_object(v, at, p->e);
    if (rc != 0 || (rc = ft_oai_only(v, at, names, p->e)) != 0)
        return rc;
    json_t *id = ft_oai_get(v, "user_id");
    if (id == NULL)
        return 0;
    rc = ft_oai_str(id, FT_OAI_AT(at, "user_id"), 0, 512, &s, p->e);
    return rc != 0 ? rc : set(p, "user", json_incref(id));
}

static int parse_tier(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"auto", "standard_only", NULL};
    int i;
    return ft_oai_enum(v, at, names, &i, p->e); /* there is one tier: both mean it */
}

static int parse_speed(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"standard", "fast", NULL};
    int i, rc = ft_oai_enum(v, at, names, &i, p->e);
    return rc == 0 && i == 1 ? ft_oai_unsupported(p->e, at, "there is one speed") : rc;
}

static int parse_cache(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    return ft_anthropic_cache_control(v, at, p->e);
}

/* Conversations are not kept. Clients that keep theirs go on without one when they are told so with
 * this code (ft_anthropic_error_write). */
static int parse_thread(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    (void)v;
    int rc = ft_oai_unsupported(p->e, at, "send the whole conversation");
    p->e->code = FT_ANTHROPIC_NO_THREADS;
    return rc;
}

static int parse_later(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    (void)p, (void)v, (void)at;
    return 0;
}

/* ---- thinking, output ---- */

static int parse_thinking(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"type", "budget_tokens", "display", NULL};
    static const char *const types[] = {"disabled", "enabled", "adaptive", NULL};
    static const char *const displays[] = {"summarized", "omitted", NULL};
    int type, display, rc = ft_oai_object(v, at, p->e);
    if (rc != 0 || (rc = ft_oai_only(v, at, names, p->e)) != 0)
        return rc;
    const json_t *m = ft_oai_get(v, "type");
    if (m == NULL)
        return ft_oai_missing(p->e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_enum(m, FT_OAI_AT(at, "type"), types, &type, p->e)) != 0)
        return rc;
    p->think = type != 0;
    m = ft_oai_get(v, "budget_tokens");
    if (type == 1 && m == NULL)
        return ft_oai_missing(p->e, FT_OAI_AT(at, "budget_tokens"));
    if (type != 1 && m != NULL)
        return ft_oai_bad(p->e, FT_OAI_AT(at, "budget_tokens"), "invalid_value",
                          "is only allowed with type \"enabled\"");
    if (m != NULL && (rc = ft_oai_int(m, FT_OAI_AT(at, "budget_tokens"), THINKING_LEAST, INT_MAX,
                                      &p->budget, p->e)) != 0)
        return rc;
    if ((m = ft_oai_get(v, "display")) == NULL)
        return 0;
    rc = ft_oai_enum(m, FT_OAI_AT(at, "display"), displays, &display, p->e);
    p->r.omit_thinking = rc == 0 && display == 1;
    return rc;
}

static int output_format(struct parse *p, const json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"type", "schema", NULL};
    static const char *const types[] = {"json_schema", NULL};
    int type, rc = ft_oai_object(v, at, p->e);
    if (rc != 0 || (rc = ft_oai_only(v, at, names, p->e)) != 0)
        return rc;
    json_t *t = ft_oai_get(v, "type"), *schema = ft_oai_get(v, "schema");
    if (t == NULL || schema == NULL)
        return ft_oai_missing(p->e, FT_OAI_AT(at, t == NULL ? "type" : "schema"));
    if ((rc = ft_oai_enum(t, FT_OAI_AT(at, "type"), types, &type, p->e)) != 0 ||
        (rc = ft_oai_object(schema, FT_OAI_AT(at, "schema"), p->e)) != 0)
        return rc;
    return set(p, "response_format",
               json_pack("{s:s,s:{s:s,s:b,s:O}}", "type", "json_schema", "json_schema", "name",
                         "output", "strict", 1, "schema", schema));
}

static int parse_output(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"effort", "format", NULL};
    static const char *const efforts[] = {"low", "medium", "high", "xhigh", "max", NULL};
    int i, rc = ft_oai_object(v, at, p->e);
    if (rc != 0 || (rc = ft_oai_only(v, at, names, p->e)) != 0)
        return rc;
    const json_t *m = ft_oai_get(v, "effort");
    if (m != NULL) {
        if ((rc = ft_oai_enum(m, FT_OAI_AT(at, "effort"), efforts, &i, p->e)) != 0 ||
            (rc = set(p, "reasoning_effort", json_string(efforts[FT_MIN(i, 3)]))) != 0)
            return rc;
    }
    m = ft_oai_get(v, "format");
    return m != NULL ? output_format(p, m, FT_OAI_AT(at, "format")) : 0;
}

/* ---- tools ---- */

static int tool(struct parse *p, const json_t *v, const struct ft_oai_at *at, json_t *into)
{
    static const char *const names[] = {
        "name", "description", "input_schema", "type", "strict", "cache_control", NULL};
    const char *s;
    bool strict = false;
    int rc = ft_oai_object(v, at, p->e);
    if (rc != 0)
        return rc;
    json_t *m = ft_oai_get(v, "type");
    if (m != NULL && (!json_is_string(m) || strcmp(json_string_value(m), "custom") != 0))
        return ft_oai_unsupported(p->e, FT_OAI_AT(at, "type"), "tools are the caller's own");
    if ((rc = ft_oai_only(v, at, names, p->e)) != 0)
        return rc;
    json_t *name = ft_oai_get(v, "name"), *schema = ft_oai_get(v, "input_schema");
    if (name == NULL || schema == NULL)
        return ft_oai_missing(p->e, FT_OAI_AT(at, name == NULL ? "name" : "input_schema"));
    if ((rc = ft_oai_name(name, FT_OAI_AT(at, "name"), &s, p->e)) != 0 ||
        (rc = ft_oai_schema_shape(schema, FT_OAI_AT(at, "input_schema"), p->e)) != 0)
        return rc;
    json_t *description = ft_oai_get(v, "description");
    if (description != NULL && !json_is_string(description))
        return ft_oai_wrong_type(p->e, FT_OAI_AT(at, "description"), "a string", description);
    if ((m = ft_oai_get(v, "strict")) != NULL &&
        (rc = ft_oai_bool(m, FT_OAI_AT(at, "strict"), &strict, p->e)) != 0)
        return rc;
    if ((m = ft_oai_get(v, "cache_control")) != NULL &&
        (rc = ft_anthropic_cache_control(m, FT_OAI_AT(at, "cache_control"), p->e)) != 0)
        return rc;
    json_t *f =
        json_pack("{s:O,s:O*,s:O}", "name", name, "description", description, "parameters", schema);
    if (f != NULL && strict)
        json_object_set_new(f, "strict", json_true());
    json_t *one = json_pack("{s:s,s:o}", "type", "function", "function", f);
    return json_array_append_new(into, one) == 0 ? 0 : ft_anthropic_no_memory(p->e);
}

static int parse_tools(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int rc = ft_oai_array(v, at, 0, FT_OAI_TOOLS_MAX, p->e);
    json_t *tools = json_array();
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
        rc = tool(p, json_array_get(v, i), FT_OAI_ELEM(at, i), tools);
    if (rc == 0)
        return set(p, "tools", tools);
    json_decref(tools);
    return rc;
}

static int parse_choice(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"type", "name", "disable_parallel_tool_use", NULL};
    static const char *const types[] = {"auto", "any", "none", "tool", NULL};
    static const char *const choices[] = {"auto", "required", "none"};
    bool alone = false;
    const char *s;
    int type, rc = ft_oai_object(v, at, p->e);
    if (rc != 0 || (rc = ft_oai_only(v, at, names, p->e)) != 0)
        return rc;
    json_t *m = ft_oai_get(v, "type");
    if (m == NULL)
        return ft_oai_missing(p->e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_enum(m, FT_OAI_AT(at, "type"), types, &type, p->e)) != 0)
        return rc;
    if ((m = ft_oai_get(v, "disable_parallel_tool_use")) != NULL &&
        (rc = ft_oai_bool(m, FT_OAI_AT(at, "disable_parallel_tool_use"), &alone, p->e)) != 0)
        return rc;
    if (alone && (rc = set(p, "parallel_tool_calls", json_false())) != 0)
        return rc;
    m = ft_oai_get(v, "name");
    if (type != 3)
        return m == NULL ? set(p, "tool_choice", json_string(choices[type]))
                         : ft_oai_bad(p->e, FT_OAI_AT(at, "name"), "invalid_value",
                                      "is only allowed with type \"tool\"");
    if (m == NULL)
        return ft_oai_missing(p->e, FT_OAI_AT(at, "name"));
    if ((rc = ft_oai_name(m, FT_OAI_AT(at, "name"), &s, p->e)) != 0)
        return rc;
    return set(p, "tool_choice",
               json_pack("{s:s,s:{s:s}}", "type", "function", "function", "name", s));
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    member_fn *fn;
    bool counts;     /* also of count_tokens */
    const char *why; /* fn NULL: refused */
} members[] = {
    {"model", parse_model, true, NULL},
    {"messages", parse_later, true, NULL},
    {"system", parse_later, true, NULL},
    {"max_tokens", parse_max_tokens, false, NULL},
    {"stream", parse_stream, false, NULL},
    {"temperature", parse_temperature, false, NULL},
    {"top_p", parse_top_p, false, NULL},
    {"top_k", parse_top_k, false, NULL},
    {"stop_sequences", parse_stop, false, NULL},
    {"tools", parse_tools, true, NULL},
    {"tool_choice", parse_choice, true, NULL},
    {"thinking", parse_thinking, true, NULL},
    {"output_config", parse_output, true, NULL},
    {"metadata", parse_metadata, false, NULL},
    {"service_tier", parse_tier, false, NULL},
    {"speed", parse_speed, true, NULL},
    {"cache_control", parse_cache, true, NULL},
    {"container", NULL, false, "nothing is run here"},
    {"mcp_servers", NULL, true, "tools are the caller's own"},
    {"context_management", NULL, true, "nothing is cut off silently"},
    {"inference_geo", NULL, false, "there is one place"},
    {"diagnostics", NULL, false, "there are none"},
    {"thread", parse_thread, true, NULL},
    {"user_profile_id", NULL, true, "there are no profiles"},
    {"workspace_id", NULL, true, "the key says which project it is"},
};

static int parse_member(struct parse *p, const char *key, json_t *v)
{
    const struct ft_oai_at *at = FT_OAI_AT(NULL, key);
    for (size_t i = 0; i < FT_COUNT(members); i++) {
        if (strcmp(members[i].name, key) != 0 || (p->count && !members[i].counts))
            continue;
        if (json_is_null(v))
            return 0;
        return members[i].fn != NULL ? members[i].fn(p, v, at)
                                     : ft_oai_unsupported(p->e, at, members[i].why);
    }
    return ft_oai_unknown(p->e, at);
}

static int parse_members(struct parse *p)
{
    const char *key;
    json_t *v;
    json_object_foreach(p->root, key, v)
    {
        int rc = parse_member(p, key, v);
        if (rc != 0)
            return rc;
    }
    static const char *const needed[] = {"model", "messages", "max_tokens"};
    for (size_t i = 0; i < FT_COUNT(needed) - p->count; i++)
        if (ft_oai_get(p->root, needed[i]) == NULL)
            return ft_oai_missing(p->e, FT_OAI_AT(NULL, needed[i]));
    if (p->budget > 0 && !p->count && p->budget >= p->max_tokens)
        return ft_oai_bad(p->e, FT_OAI_AT(FT_OAI_AT(NULL, "thinking"), "budget_tokens"),
                          "invalid_value", "must be less than max_tokens");
    return 0;
}

/* Anthropic's models think when told to, and not otherwise. */
static int make_chat(struct parse *p)
{
    json_t *messages = NULL;
    int rc = ft_anthropic_turns(p->root, &messages, p->e);
    if (rc == 0)
        rc = set(p, "messages", messages);
    if (rc == 0)
        rc = set(p, "chat_template_kwargs", json_pack("{s:b}", "enable_thinking", (int)p->think));
    return rc;
}

/* What chat requests call the parameters of a tool. */
static void say_input_schema(char *s, size_t room)
{
    static const char from[] = "].parameters", to[] = "].input_schema";
    char *p = strstr(s, from);
    size_t n = strlen(s), more = sizeof to - sizeof from;
    if (p == NULL || n + more >= room)
        return;
    memmove(p + sizeof to - 1, p + sizeof from - 1, n - (size_t)(p - s) - (sizeof from - 1) + 1);
    memcpy(p, to, sizeof to - 1);
}

void ft_anthropic_rename(struct ft_oai_error *e)
{
    static const struct ft_oai_renamed names[] = {
        {"response_format.json_schema", "output_config.format"},
        {"response_format", "output_config.format"},
        {"reasoning_effort", "output_config.effort"}};
    ft_oai_error_cut(e, "tool", ".function");
    if (strncmp(e->param, "tools[", 6) == 0) {
        say_input_schema(e->param, sizeof e->param);
        say_input_schema(e->err.msg, sizeof e->err.msg);
    }
    ft_oai_error_rename(e, names, FT_COUNT(names));
}

int ft_anthropic_parse(bool count, const char *body, size_t n, struct ft_anthropic_request *ret,
                       struct ft_oai_error *e)
{
    struct parse p = {.count = count, .e = e};
    if (n > FT_OAI_BODY_BYTES_MAX)
        return ft_oai_error_set(e, FT_ELIMIT, "request_too_large", NULL,
                                "the body has more than %zu bytes", FT_OAI_BODY_BYTES_MAX);
    int rc = ft_oai_json_object(body, n, &p.root, e);
    if (rc != 0)
        return rc;
    p.chat = json_object();
    rc = p.chat != NULL ? parse_members(&p) : ft_anthropic_no_memory(e);
    if (rc == 0)
        rc = make_chat(&p);
    json_decref(p.root);
    if (rc != 0) {
        json_decref(p.chat);
        return rc;
    }
    rc = ft_oai_parse_root(count ? FT_TASK_COUNT : FT_TASK_CHAT, FT_OAI_INSIDE, p.chat, &p.r.chat,
                           e);
    if (rc == 0)
        *ret = p.r;
    else
        ft_anthropic_rename(e);
    return rc;
}

void ft_anthropic_request_fini(struct ft_anthropic_request *r)
{
    ft_oai_request_fini(&r->chat);
    *r = (struct ft_anthropic_request){.stream = false};
}
