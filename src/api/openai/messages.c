/* The messages of a conversation: checked, and brought into the form that templates take.
 *
 * Contents become strings (text parts joined by newlines), "developer" becomes "system", members
 * that clients echo from answers without a meaning here (refusal, annotations, audio: null,
 * function_call: null, parsed) go. Every tool message answers a call before it, and every call is
 * answered before the conversation goes on. */
#include <string.h>

#include "api/openai/parts.h"
#include "base/buf.h"

enum role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };
static const char *const role_names[] = {"system", "developer", "user", "assistant", "tool", NULL};

/* Calls of the last assistant message that wait for their answers. */
struct open_calls {
    const char *id[FT_OAI_CALLS_MAX];
    size_t message; /* whose */
    int n;
};

/* ---- content ---- */

static int part_text(const json_t *part, const struct ft_oai_at *at, bool refusals,
                     const json_t **ret, struct ft_oai_error *e)
{
    int rc = ft_oai_object(part, at, e);
    if (rc != 0)
        return rc;
    json_t *type = ft_oai_get(part, "type");
    const char *s, *member = "text";
    if (type == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_str(type, FT_OAI_AT(at, "type"), 1, 64, &s, e)) != 0)
        return rc;
    if (refusals && strcmp(s, "refusal") == 0)
        member = "refusal";
    else if (strcmp(s, "image_url") == 0 || strcmp(s, "input_audio") == 0 ||
             strcmp(s, "file") == 0 || strcmp(s, "video_url") == 0)
        return ft_oai_unsupported(e, FT_OAI_AT(at, s), "models here read text only");
    else if (strcmp(s, "text") != 0)
        return ft_oai_bad(e, FT_OAI_AT(at, "type"), "invalid_value",
                          "must be \"text\", but is \"%s\"", s);
    const char *const names[] = {"type", member, NULL};
    if ((rc = ft_oai_only(part, at, names, e)) != 0)
        return rc;
    json_t *text = ft_oai_get(part, member);
    if (text == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, member));
    if (!json_is_string(text))
        return ft_oai_wrong_type(e, FT_OAI_AT(at, member), "a string", text);
    *ret = text;
    return 0;
}

/* Parts become one string, which replaces them in `message`. */
static int join_parts(json_t *message, const json_t *parts, const struct ft_oai_at *at,
                      bool refusals, struct ft_oai_error *e)
{
    struct ft_buf joined;
    ft_buf_init(&joined, FT_OAI_BODY_BYTES_MAX);
    int rc = ft_oai_array(parts, at, 1, FT_OAI_PARTS_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(parts); i++) {
        const json_t *text = NULL;
        rc = part_text(json_array_get(parts, i), FT_OAI_ELEM(at, i), refusals, &text, e);
        if (rc == 0 && i > 0)
            ft_buf_add_byte(&joined, '\n');
        if (rc == 0)
            ft_buf_add(&joined, json_string_value(text), json_string_length(text));
    }
    if (rc == 0) {
        json_t *s = joined.failed != 0
                        ? NULL
                        : json_stringn_nocheck(joined.len > 0 ? joined.data : "", joined.len);
        if (json_object_set_new_nocheck(message, "content", s) != 0)
            rc = ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "no memory for the request");
    }
    ft_buf_fini(&joined);
    return rc;
}

/* A string or text parts; absent where `optional`. */
static int check_content(json_t *message, const struct ft_oai_at *at, bool optional, bool refusals,
                         struct ft_oai_error *e)
{
    json_t *content = json_object_get(message, "content");
    if (json_is_string(content))
        return 0;
    const struct ft_oai_at *here = FT_OAI_AT(at, "content");
    if (content == NULL || json_is_null(content))
        return optional ? 0 : ft_oai_missing(e, here);
    if (!json_is_array(content))
        return ft_oai_wrong_type(e, here, "a string or an array of text parts", content);
    return join_parts(message, content, here, refusals, e);
}

/* ---- tool calls ---- */

static int check_call(json_t *call, const struct ft_oai_at *at, struct open_calls *open,
                      struct ft_oai_error *e)
{
    static const char *const names[] = {"id", "type", "function", "index", NULL};
    static const char *const function_names[] = {"name", "arguments", "parsed_arguments", NULL};
    static const char *const types[] = {"function", NULL};
    int i;
    const char *s;
    int rc = ft_oai_object(call, at, e);
    if (rc != 0 || (rc = ft_oai_only(call, at, names, e)) != 0)
        return rc;
    json_t *v = ft_oai_get(call, "id");
    const struct ft_oai_at *here = FT_OAI_AT(at, "id");
    if (v == NULL)
        return ft_oai_missing(e, here);
    if ((rc = ft_oai_str(v, here, 1, FT_OAI_ID_BYTES_MAX, &open->id[open->n], e)) != 0)
        return rc;
    v = ft_oai_get(call, "type");
    if (v != NULL && (rc = ft_oai_enum(v, FT_OAI_AT(at, "type"), types, &i, e)) != 0)
        return rc;
    json_t *function = ft_oai_get(call, "function");
    here = FT_OAI_AT(at, "function");
    if (function == NULL)
        return ft_oai_missing(e, here);
    if ((rc = ft_oai_object(function, here, e)) != 0 ||
        (rc = ft_oai_only(function, here, function_names, e)) != 0)
        return rc;
    if ((v = ft_oai_get(function, "name")) == NULL)
        return ft_oai_missing(e, FT_OAI_AT(here, "name"));
    if ((rc = ft_oai_str(v, FT_OAI_AT(here, "name"), 1, FT_OAI_CALLED_BYTES_MAX, &s, e)) != 0)
        return rc;
    if ((v = ft_oai_get(function, "arguments")) == NULL)
        return ft_oai_missing(e, FT_OAI_AT(here, "arguments"));
    if (!json_is_string(v))
        return ft_oai_wrong_type(e, FT_OAI_AT(here, "arguments"), "a string", v);
    if (json_string_length(v) == 0)
        json_object_set_new_nocheck(function, "arguments", json_string_nocheck("{}"));
    json_object_del(function, "parsed_arguments");
    json_object_del(call, "index");
    json_object_set_new_nocheck(call, "type", json_string_nocheck("function"));
    open->n++;
    return 0;
}

static int check_calls(json_t *calls, const struct ft_oai_at *at, struct open_calls *open,
                       struct ft_oai_error *e)
{
    int rc = ft_oai_array(calls, at, 1, FT_OAI_CALLS_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(calls); i++)
        rc = check_call(json_array_get(calls, i), FT_OAI_ELEM(at, i), open, e);
    return rc;
}

static int check_answered(const struct open_calls *open, const struct ft_oai_at *messages,
                          struct ft_oai_error *e)
{
    if (open->n == 0)
        return 0;
    return ft_oai_bad(
        e, FT_OAI_AT(FT_OAI_ELEM(messages, open->message), "tool_calls"), "invalid_value",
        "must be followed by a tool message for each call; \"%.64s\" has none", open->id[0]);
}

static int check_tool_id(const json_t *message, const struct ft_oai_at *at, struct open_calls *open,
                         struct ft_oai_error *e)
{
    const struct ft_oai_at *here = FT_OAI_AT(at, "tool_call_id");
    json_t *v = ft_oai_get(message, "tool_call_id");
    const char *id;
    if (v == NULL)
        return ft_oai_missing(e, here);
    int rc = ft_oai_str(v, here, 1, FT_OAI_ID_BYTES_MAX, &id, e);
    if (rc != 0)
        return rc;
    for (int i = 0; i < open->n; i++)
        if (strcmp(open->id[i], id) == 0) {
            memmove(open->id + i, open->id + i + 1, (size_t)(open->n - i - 1) * sizeof open->id[0]);
            open->n--;
            return 0;
        }
    return ft_oai_bad(e, here, "invalid_value",
                      "answers no unanswered call of the assistant's message before it: \"%.64s\"",
                      id);
}

/* ---- messages ---- */

/* Members of an assistant's message that answers have and that mean nothing when they come back. */
static int drop_echoes(json_t *message, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    json_t *refusal = ft_oai_get(message, "refusal");
    if (refusal != NULL && !json_is_string(refusal))
        return ft_oai_wrong_type(e, FT_OAI_AT(at, "refusal"), "a string", refusal);
    if (refusal != NULL && ft_oai_get(message, "content") == NULL)
        json_object_set(message, "content", refusal);
    json_t *annotations = ft_oai_get(message, "annotations");
    if (annotations != NULL && !json_is_array(annotations))
        return ft_oai_wrong_type(e, FT_OAI_AT(at, "annotations"), "an array", annotations);
    if (ft_oai_get(message, "audio") != NULL)
        return ft_oai_unsupported(e, FT_OAI_AT(at, "audio"), "models here read text only");
    if (ft_oai_get(message, "function_call") != NULL)
        return ft_oai_unsupported(e, FT_OAI_AT(at, "function_call"), "use tool_calls");
    static const char *const echoes[] = {"refusal", "annotations", "audio", "function_call",
                                         "parsed"};
    for (size_t i = 0; i < FT_COUNT(echoes); i++)
        json_object_del(message, echoes[i]);
    return 0;
}

static int check_assistant(json_t *message, const struct ft_oai_at *at, struct open_calls *open,
                           struct ft_oai_error *e)
{
    static const char *const names[] = {
        "role",  "content", "name",          "refusal",           "tool_calls", "annotations",
        "audio", "parsed",  "function_call", "reasoning_content", "reasoning",  NULL};
    int rc = ft_oai_only(message, at, names, e);
    if (rc != 0 || (rc = drop_echoes(message, at, e)) != 0)
        return rc;
    json_t *calls = ft_oai_get(message, "tool_calls");
    if (calls == NULL || (json_is_array(calls) && json_array_size(calls) == 0)) {
        json_object_del(message, "tool_calls");
        calls = NULL;
    }
    if ((rc = check_content(message, at, calls != NULL, true, e)) != 0)
        return rc;
    /* two names of one thing are about */
    json_t *reasoning = ft_oai_get(message, "reasoning");
    if (reasoning != NULL && !json_is_string(reasoning))
        return ft_oai_wrong_type(e, FT_OAI_AT(at, "reasoning"), "a string", reasoning);
    if (reasoning != NULL && ft_oai_get(message, "reasoning_content") == NULL)
        json_object_set(message, "reasoning_content", reasoning);
    json_object_del(message, "reasoning");
    reasoning = ft_oai_get(message, "reasoning_content");
    if (reasoning == NULL)
        json_object_del(message, "reasoning_content");
    else if (!json_is_string(reasoning))
        return ft_oai_wrong_type(e, FT_OAI_AT(at, "reasoning_content"), "a string", reasoning);
    return calls == NULL ? 0 : check_calls(calls, FT_OAI_AT(at, "tool_calls"), open, e);
}

static int check_role(json_t *message, const struct ft_oai_at *at, int *ret, struct ft_oai_error *e)
{
    json_t *role = ft_oai_get(message, "role");
    const struct ft_oai_at *here = FT_OAI_AT(at, "role");
    if (role == NULL)
        return ft_oai_missing(e, here);
    if (json_is_string(role) && strcmp(json_string_value(role), "function") == 0)
        return ft_oai_unsupported(e, here, "\"function\" was replaced by \"tool\"");
    return ft_oai_enum(role, here, role_names, ret, e);
}

static int check_message(json_t *message, size_t number, const struct ft_oai_at *messages,
                         struct open_calls *open, struct ft_oai_error *e)
{
    static const char *const plain_names[] = {"role", "content", "name", NULL};
    static const char *const tool_names[] = {"role", "content", "name", "tool_call_id", NULL};
    const struct ft_oai_at *at = FT_OAI_ELEM(messages, number);
    int role;
    int rc = ft_oai_object(message, at, e);
    if (rc != 0 || (rc = check_role(message, at, &role, e)) != 0)
        return rc;
    json_t *name = json_object_get(message, "name");
    const char *s;
    if (json_is_null(name))
        json_object_del(message, "name");
    else if (name != NULL && (rc = ft_oai_str(name, FT_OAI_AT(at, "name"), 0, 64, &s, e)) != 0)
        return rc;
    if (role != ROLE_TOOL && (rc = check_answered(open, messages, e)) != 0)
        return rc;
    if (role == ROLE_ASSISTANT) {
        open->message = number;
        return check_assistant(message, at, open, e);
    }
    if ((rc = ft_oai_only(message, at, role == ROLE_TOOL ? tool_names : plain_names, e)) != 0 ||
        (rc = check_content(message, at, false, false, e)) != 0)
        return rc;
    if (role == ROLE_DEVELOPER)
        json_object_set_new_nocheck(message, "role", json_string_nocheck("system"));
    return role == ROLE_TOOL ? check_tool_id(message, at, open, e) : 0;
}

int ft_oai_parse_messages(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e)
{
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "messages");
    struct open_calls open = {.n = 0};
    int rc = ft_oai_array(v, at, 1, FT_OAI_MESSAGES_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
        rc = check_message(json_array_get(v, i), i, at, &open, e);
    if (rc == 0)
        rc = check_answered(&open, at, e);
    q->messages = v;
    return rc;
}
