/* Messages of a line, checked and brought into the shape that templates know.
 *
 * In: what OpenAI's chat format allows, deprecated functions too. Out: roles system, user,
 * assistant, tool; content a string, or null beside tool_calls; a call's arguments as the template
 * wants them. Fields that the format does not know go to the template as they are
 * (reasoning_content). Errors name the place: "messages[2].tool_calls[0].function.name". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/data/impl.h"
#include "train/data/lines.h"

#define CALLS_MAX   256 /* of one message */
#define PARTS_MAX   4096
#define NEST_MAX    64  /* of what is looked through for control tokens */
#define PLACE_MAX   192 /* bytes of a place's name; a longer one is cut */
#define CONTENT_MAX ((size_t)FT_LINES_BYTES_MAX)

static int bad(struct ft_err *err, const char *path, const char *field, const char *what)
{
    return ft_err_set(err, FT_EINVAL, "%s%s%s %s", path, field[0] != '\0' ? "." : "", field, what);
}

static void __attribute__((format(printf, 2, 3))) place(char at[PLACE_MAX], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(at, PLACE_MAX, fmt, ap);
    va_end(ap);
}

int ft_conversation_init(struct ft_conversation *c, struct ft_err *err)
{
    *c = (struct ft_conversation){.messages = json_array()};
    return c->messages != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "a conversation: no memory");
}

void ft_conversation_fini(struct ft_conversation *c)
{
    json_decref(c->messages);
    json_decref(c->tools);
    json_decref(c->parallel);
    c->messages = c->tools = c->parallel = NULL;
}

/* ---- control tokens in what people wrote ---- */

/* A text that holds the name of a control token would become that token in the rendered text: the
 * end of a turn in the middle of one. */
static int check_string(const struct ft_line_reader *r, json_t *s, const char *path,
                        struct ft_err *err)
{
    const char *p = json_string_value(s);
    size_t n = json_string_length(s), n_ids = 0;
    int32_t *ids = NULL;
    bool maybe = false;
    for (size_t i = 0; i < n && !maybe; i++)
        maybe = r->control_byte[(unsigned char)p[i]];
    if (!maybe)
        return 0;
    int rc = ft_tokenizer_encode(r->cfg.tokenizer, p, n, FT_TOK_SPECIAL, &ids, &n_ids, err);
    for (size_t i = 0; i < n_ids && rc == 0; i++)
        if (ft_tokenizer_is_control(r->cfg.tokenizer, ids[i])) {
            size_t name_n;
            const char *name = ft_tokenizer_bytes(r->cfg.tokenizer, ids[i], &name_n);
            rc = ft_err_set(err, FT_EINVAL, "%s holds the control token %.*s", path, (int)name_n,
                            name);
        }
    free(ids);
    return rc;
}

static int check_strings(const struct ft_line_reader *r, json_t *v, const char *path, int nest,
                         struct ft_err *err)
{
    char at[PLACE_MAX];
    const char *key;
    json_t *member;
    size_t i;
    int rc = 0;
    if (nest > NEST_MAX)
        return bad(err, path, "", "is nested too deep");
    if (json_is_string(v))
        return check_string(r, v, path, err);
    json_object_foreach(v, key, member)
    {
        place(at, "%s.%s", path, key);
        if (rc == 0)
            rc = check_strings(r, member, at, nest + 1, err);
    }
    json_array_foreach(v, i, member)
    {
        place(at, "%s[%zu]", path, i);
        if (rc == 0)
            rc = check_strings(r, member, at, nest + 1, err);
    }
    return rc;
}

static int check_control(const struct ft_line_reader *r, json_t *v, const char *path,
                         struct ft_err *err)
{
    return r->cfg.special_text ? 0 : check_strings(r, v, path, 0, err);
}

/* ---- content ---- */

/* Parts of text become one string, with a newline between them, as servers have it. */
static int join_parts(json_t *parts, const char *path, json_t **ret, struct ft_err *err)
{
    struct ft_buf text;
    json_t *part;
    size_t i;
    int rc =
        json_array_size(parts) <= PARTS_MAX ? 0 : bad(err, path, "content", "has too many parts");
    ft_buf_init(&text, CONTENT_MAX);
    json_array_foreach(parts, i, part)
    {
        char at[PLACE_MAX];
        const char *type = json_string_value(json_object_get(part, "type"));
        json_t *s = json_object_get(part, "text");
        if (rc != 0)
            break;
        place(at, "%s.content[%zu]", path, i);
        if (type == NULL || strcmp(type, "text") != 0)
            rc = bad(err, at, "", "is not a part of type text");
        else if (!json_is_string(s))
            rc = bad(err, at, "text", "is not a string");
        else if ((i > 0 && ft_buf_add(&text, "\n", 1) != 0) ||
                 ft_buf_add(&text, json_string_value(s), json_string_length(s)) != 0)
            rc = bad(err, path, "content", "is too long");
    }
    if (rc == 0 && (*ret = json_stringn(text.len > 0 ? text.data : "", text.len)) == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "content: no memory");
    ft_buf_fini(&text);
    return rc;
}

/* may_lack: beside calls, null or nothing will do, which templates see as null. */
static int fix_content(json_t *m, const char *path, bool may_lack, struct ft_err *err)
{
    json_t *content = json_object_get(m, "content"), *text = NULL;
    int rc = 0;
    if (json_is_array(content))
        rc = join_parts(content, path, &text, err);
    else if (json_is_string(content))
        return 0;
    else if (content != NULL && !json_is_null(content))
        rc = bad(err, path, "content", "is not a string or an array of parts");
    else if (!may_lack)
        rc = bad(err, path, "content", content == NULL ? "is missing" : "is null");
    else
        text = json_null();
    if (rc == 0 && json_object_set_new(m, "content", text) != 0)
        rc = ft_err_set(err, FT_ENOMEM, "content: no memory");
    return rc;
}

/* ---- calls ---- */

static int fix_call(json_t *call, const char *path, struct ft_err *err)
{
    json_t *f = json_object_get(call, "function"), *type = json_object_get(call, "type");
    json_t *arguments = json_object_get(f, "arguments"), *id = json_object_get(call, "id");
    if (!json_is_object(call))
        return bad(err, path, "", "is not an object");
    if (type != NULL && (!json_is_string(type) || strcmp(json_string_value(type), "function") != 0))
        return bad(err, path, "type", "is not function");
    if (id != NULL && !json_is_string(id))
        return bad(err, path, "id", "is not a string");
    if (!json_is_object(f))
        return bad(err, path, "function", "is not an object");
    if (!json_is_string(json_object_get(f, "name")))
        return bad(err, path, "function.name", "is not a string");
    if (!json_is_string(arguments) && !json_is_object(arguments))
        return bad(err, path, "function.arguments", "is not a JSON object");
    return json_object_set_new(call, "type", json_string("function"));
}

static int fix_calls(json_t *m, const char *path, bool *ret_has_calls, struct ft_err *err)
{
    json_t *old = json_object_get(m, "function_call"), *calls, *call;
    size_t i;
    if (old != NULL &&
        json_object_set_new(m, "tool_calls",
                            json_pack("[{s:s, s:O}]", "type", "function", "function", old)) != 0)
        return ft_err_set(err, FT_ENOMEM, "function_call: no memory");
    json_object_del(m, "function_call");
    calls = json_object_get(m, "tool_calls");
    *ret_has_calls = json_array_size(calls) > 0;
    if (calls == NULL)
        return 0;
    if (!json_is_array(calls) || json_array_size(calls) > CALLS_MAX)
        return bad(err, path, "tool_calls", "is not an array of at most 256 calls");
    if (!*ret_has_calls)
        json_object_del(m, "tool_calls");
    json_array_foreach(calls, i, call)
    {
        char at[PLACE_MAX];
        place(at, "%s.tool_calls[%zu]", path, i);
        int rc = fix_call(call, at, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- messages ---- */

static int want_string_or_none(json_t *m, const char *path, const char *field, struct ft_err *err)
{
    json_t *v = json_object_get(m, field);
    return v == NULL || json_is_string(v) ? 0 : bad(err, path, field, "is not a string");
}

/* The weight of an assistant turn; takes it away, since it is not for the template. */
static int take_weight(json_t *m, const char *path, bool assistant, bool *learn, struct ft_err *err)
{
    json_t *w = json_object_get(m, "weight");
    if (w == NULL)
        return 0;
    double v = json_number_value(w);
    if (!json_is_number(w) || (v != 0 && v != 1))
        return bad(err, path, "weight", "is not 0 or 1");
    if (!assistant)
        return bad(err, path, "weight", "is for assistant messages only");
    *learn = v == 1;
    json_object_del(m, "weight");
    return 0;
}

static int fix_assistant(json_t *m, const char *path, struct ft_err *err)
{
    bool calls = false;
    int rc = fix_calls(m, path, &calls, err);
    if (rc == 0)
        rc = fix_content(m, path, calls, err);
    if (rc == 0 && !calls && json_string_length(json_object_get(m, "content")) == 0)
        rc = bad(err, path, "content", "is empty, and there are no tool_calls");
    return rc;
}

static int fix_message(json_t *m, const char *path, bool *learn, struct ft_err *err)
{
    /* as the format calls them, and as templates do */
    static const struct {
        const char *name, *as;
    } roles[] = {{"system", "system"}, {"developer", "system"}, {"user", "user"},
                 {"tool", "tool"},     {"function", "tool"},    {"assistant", "assistant"}};
    json_t *role;
    const char *as = NULL;
    if (!json_is_object(m))
        return bad(err, path, "", "is not an object");
    ft_line_drop_nulls(m, "content");
    role = json_object_get(m, "role");
    if (!json_is_string(role))
        return bad(err, path, "role", role == NULL ? "is missing" : "is not a string");
    for (size_t i = 0; i < FT_COUNT(roles); i++)
        if (strcmp(json_string_value(role), roles[i].name) == 0)
            as = roles[i].as;
    if (as == NULL)
        return ft_err_set(err, FT_EINVAL,
                          "%s.role: '%.64s' is not system, developer, user, assistant or tool",
                          path, json_string_value(role));
    bool assistant = strcmp(as, "assistant") == 0;
    *learn = *learn && assistant;
    int rc = take_weight(m, path, assistant, learn, err);
    if (rc == 0)
        rc = want_string_or_none(m, path, "name", err);
    if (rc == 0)
        rc = want_string_or_none(m, path, "tool_call_id", err);
    if (rc == 0)
        rc = assistant ? fix_assistant(m, path, err) : fix_content(m, path, false, err);
    if (rc == 0 && json_object_set_new(m, "role", json_string(as)) != 0)
        rc = ft_err_set(err, FT_ENOMEM, "role: no memory");
    return rc;
}

int ft_conversation_add(struct ft_conversation *c, const struct ft_line_reader *r, json_t *messages,
                        const char *path, bool learn, struct ft_err *err)
{
    size_t i, n = json_array_size(c->messages);
    json_t *m;
    if (!json_is_array(messages))
        return bad(err, path, "", messages == NULL ? "is missing" : "is not an array of messages");
    if (json_array_size(messages) == 0)
        return bad(err, path, "", "is empty");
    if (json_array_size(messages) + n > FT_DATA_MESSAGES_MAX)
        return ft_err_set(err, FT_ELIMIT, "more than %d messages", FT_DATA_MESSAGES_MAX);
    json_array_foreach(messages, i, m)
    {
        char at[PLACE_MAX];
        bool *target = &c->learn[n + i];
        json_t *copy = json_deep_copy(m);
        place(at, "%s[%zu]", path, i);
        *target = learn;
        if (copy == NULL || json_array_append_new(c->messages, copy) != 0)
            return ft_err_set(err, FT_ENOMEM, "messages: no memory");
        int rc = fix_message(copy, at, target, err);
        if (rc == 0)
            rc = check_control(r, copy, at, err);
        if (rc == 0 && r->cfg.prompter != NULL &&
            (rc = ft_prompter_fix_calls(r->cfg.prompter, json_array_size(c->tools) > 0, copy,
                                        err)) != 0)
            ft_err_wrap(err, "%s", at);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- tools ---- */

static int tools_of_functions(json_t *functions, json_t **ret, struct ft_err *err)
{
    json_t *tools = json_array(), *f;
    size_t i;
    json_array_foreach(functions, i, f) if (json_array_append_new(
                                                tools, json_pack("{s:s, s:O}", "type", "function",
                                                                 "function", f)) != 0)
    {
        json_decref(tools);
        return ft_err_set(err, FT_ENOMEM, "functions: no memory");
    }
    *ret = tools;
    return 0;
}

static int check_tools(const struct ft_line_reader *r, json_t *tools, const char *path,
                       struct ft_err *err)
{
    json_t *tool;
    size_t i;
    json_array_foreach(tools, i, tool)
    {
        char at[PLACE_MAX];
        place(at, "%s[%zu]", path, i);
        json_t *f = json_object_get(tool, "function");
        if (!json_is_object(tool) || !json_is_object(f))
            return bad(err, at, "function", "is not an object");
        if (!json_is_string(json_object_get(f, "name")))
            return bad(err, at, "function.name", "is not a string");
    }
    return check_control(r, tools, path, err);
}

int ft_conversation_tools(struct ft_conversation *c, const struct ft_line_reader *r, json_t *object,
                          const char *path, struct ft_err *err)
{
    char at[PLACE_MAX];
    json_t *tools = json_object_get(object, "tools"), *parallel;
    json_t *functions = json_object_get(object, "functions");
    bool old = tools == NULL && functions != NULL;
    place(at, "%s%s", path, old ? "functions" : "tools");
    tools = old ? functions : tools;
    if (tools != NULL) {
        if (!json_is_array(tools))
            return bad(err, at, "", "is not an array");
        int rc = old ? tools_of_functions(functions, &c->tools, err) : 0;
        if (rc == 0 && !old)
            c->tools = json_incref(tools);
        if (rc == 0)
            rc = check_tools(r, c->tools, at, err);
        if (rc != 0)
            return rc;
    }
    parallel = json_object_get(object, "parallel_tool_calls");
    if (parallel != NULL && !json_is_boolean(parallel))
        return ft_err_set(err, FT_EINVAL, "%sparallel_tool_calls is not true or false", path);
    c->parallel = json_incref(parallel);
    return 0;
}
