/* Items of a conversation, as responses have them, and the chat messages they stand for.
 *
 *     message              -> a message of its role; content parts become one string
 *     reasoning            -> reasoning_content of the assistant's message that follows
 *     function_call        -> a call of the assistant's message before it, or of a new one
 *     function_call_output -> a tool message */
#include "api/openai/turn.h"

#include <stdio.h>
#include <string.h>

enum item { MESSAGE, FUNCTION_CALL, FUNCTION_OUTPUT, REASONING };

/* ---- checking ---- */

static int no_memory(struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "no memory for the request");
}

static int item_type(const json_t *item, const struct ft_oai_at *at, enum item *ret,
                     struct ft_oai_error *e)
{
    static const char *const known[] = {"message", "function_call", "function_call_output",
                                        "reasoning"};
    const json_t *type = ft_oai_get(item, "type");
    const char *s;
    *ret = MESSAGE;
    if (type == NULL)
        return 0;
    int rc = ft_oai_str(type, FT_OAI_AT(at, "type"), 1, 64, &s, e);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < FT_COUNT(known); i++)
        if (strcmp(s, known[i]) == 0) {
            *ret = (enum item)i;
            return 0;
        }
    char why[128];
    snprintf(why, sizeof why, "items of type \"%s\"", s);
    return ft_oai_unsupported(e, FT_OAI_AT(at, "type"), why);
}

/* One content part: its text, and as *ret_type what the part is called. */
static int check_part(const json_t *part, const struct ft_oai_at *at, bool assistant,
                      struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "text", "annotations", "logprobs", "parsed", NULL};
    static const char *const refusal_names[] = {"type", "refusal", NULL};
    const char *s, *member = "text";
    int rc = ft_oai_object(part, at, e);
    if (rc != 0)
        return rc;
    const json_t *type = ft_oai_get(part, "type");
    if (type == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_str(type, FT_OAI_AT(at, "type"), 1, 64, &s, e)) != 0)
        return rc;
    if (strcmp(s, "input_image") == 0 || strcmp(s, "input_file") == 0 ||
        strcmp(s, "input_audio") == 0)
        return ft_oai_unsupported(e, FT_OAI_AT(at, s), "models here read text only");
    if (assistant && strcmp(s, "refusal") == 0)
        member = "refusal";
    else if (strcmp(s, "input_text") != 0 && strcmp(s, "output_text") != 0 &&
             strcmp(s, "text") != 0)
        return ft_oai_bad(e, FT_OAI_AT(at, "type"), "invalid_value", "\"%s\" is no kind of text",
                          s);
    if ((rc = ft_oai_only(part, at, strcmp(member, "text") == 0 ? names : refusal_names, e)) != 0)
        return rc;
    static const char *const echoed[] = {"annotations", "logprobs"}; /* of what was answered */
    for (size_t i = 0; i < FT_COUNT(echoed); i++) {
        const json_t *list = ft_oai_get(part, echoed[i]);
        if (list != NULL && !json_is_array(list))
            return ft_oai_wrong_type(e, FT_OAI_AT(at, echoed[i]), "an array", list);
    }
    const json_t *text = ft_oai_get(part, member);
    if (text == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, member));
    return json_is_string(text) ? 0 : ft_oai_wrong_type(e, FT_OAI_AT(at, member), "a string", text);
}

static int check_content(const json_t *v, const struct ft_oai_at *at, bool assistant,
                         struct ft_oai_error *e)
{
    if (v == NULL)
        return ft_oai_missing(e, at);
    if (json_is_string(v))
        return 0;
    if (!json_is_array(v))
        return ft_oai_wrong_type(e, at, "a string or an array of parts", v);
    int rc = ft_oai_array(v, at, 0, FT_OAI_PARTS_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
        rc = check_part(json_array_get(v, i), FT_OAI_ELEM(at, i), assistant, e);
    return rc;
}

static int check_message(const json_t *item, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "role", "content", "id", "status", "phase", NULL};
    static const char *const roles[] = {"user", "system", "developer", "assistant", NULL};
    int role, rc = ft_oai_only(item, at, names, e);
    if (rc != 0)
        return rc;
    static const char *const phases[] = {"commentary", "final_answer", NULL};
    const json_t *v = ft_oai_get(item, "role"), *phase = ft_oai_get(item, "phase");
    if (phase != NULL && (rc = ft_oai_enum(phase, FT_OAI_AT(at, "phase"), phases, &role, e)) != 0)
        return rc;
    if (v == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "role"));
    if ((rc = ft_oai_enum(v, FT_OAI_AT(at, "role"), roles, &role, e)) != 0)
        return rc;
    return check_content(ft_oai_get(item, "content"), FT_OAI_AT(at, "content"), role == 3, e);
}

static int need_string(const json_t *item, const struct ft_oai_at *at, const char *name, size_t min,
                       size_t max, struct ft_oai_error *e)
{
    const json_t *v = ft_oai_get(item, name);
    const char *s;
    return v != NULL ? ft_oai_str(v, FT_OAI_AT(at, name), min, max, &s, e)
                     : ft_oai_missing(e, FT_OAI_AT(at, name));
}

static int check_call(const json_t *item, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    static const char *const names[] = {"type",   "call_id",          "name", "arguments", "id",
                                        "status", "parsed_arguments", NULL};
    int rc = ft_oai_only(item, at, names, e);
    if (rc == 0)
        rc = need_string(item, at, "call_id", 1, FT_OAI_ID_BYTES_MAX, e);
    if (rc == 0)
        rc = need_string(item, at, "name", 1, FT_OAI_CALLED_BYTES_MAX, e);
    return rc != 0 ? rc : need_string(item, at, "arguments", 0, FT_OAI_BODY_BYTES_MAX, e);
}

static int check_output(const json_t *item, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "call_id", "output", "id", "status", NULL};
    int rc = ft_oai_only(item, at, names, e);
    if (rc == 0)
        rc = need_string(item, at, "call_id", 1, FT_OAI_ID_BYTES_MAX, e);
    return rc != 0 ? rc
                   : check_content(ft_oai_get(item, "output"), FT_OAI_AT(at, "output"), false, e);
}

/* Parts of reasoning, all of one type. list: may be NULL. */
static int check_thoughts(const json_t *list, const char *const types[], const struct ft_oai_at *at,
                          struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "text", NULL};
    int type, rc = list != NULL ? ft_oai_array(list, at, 0, FT_OAI_PARTS_MAX, e) : 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        const struct ft_oai_at *here = FT_OAI_ELEM(at, i);
        const json_t *part = json_array_get(list, i), *v;
        rc = ft_oai_object(part, here, e);
        if (rc == 0)
            rc = ft_oai_only(part, here, names, e);
        if (rc == 0 && (v = ft_oai_get(part, "type")) != NULL)
            rc = ft_oai_enum(v, FT_OAI_AT(here, "type"), types, &type, e);
        if (rc == 0)
            rc = need_string(part, here, "text", 0, FT_OAI_BODY_BYTES_MAX, e);
    }
    return rc;
}

static int check_reasoning(const json_t *item, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    static const char *const names[] = {"type",   "id", "summary", "content", "encrypted_content",
                                        "status", NULL};
    static const char *const of_summary[] = {"summary_text", NULL};
    static const char *const of_content[] = {"reasoning_text", NULL};
    int rc = ft_oai_only(item, at, names, e);
    if (rc == 0 && ft_oai_get(item, "encrypted_content") != NULL)
        return ft_oai_unsupported(e, FT_OAI_AT(at, "encrypted_content"),
                                  "reasoning is given and taken as text");
    if (rc == 0)
        rc = check_thoughts(ft_oai_get(item, "summary"), of_summary, FT_OAI_AT(at, "summary"), e);
    if (rc == 0)
        rc = check_thoughts(ft_oai_get(item, "content"), of_content, FT_OAI_AT(at, "content"), e);
    return rc;
}

/* Sets the members that stored items always have. */
static int complete_item(json_t *item, enum item type, const char *id, size_t number)
{
    static const struct {
        const char *type, *prefix;
    } of[] = {{"message", "msg"},
              {"function_call", "fc"},
              {"function_call_output", "fco"},
              {"reasoning", "rs"}};
    int rc = json_object_set_new(item, "type", json_string(of[type].type));
    if (ft_oai_get(item, "id") == NULL)
        rc |= json_object_set_new(item, "id",
                                  json_sprintf("%s_%s_in%zu", of[type].prefix, id, number));
    if (type != REASONING)
        rc |= json_object_set_new(item, "status", json_string("completed"));
    if (type == MESSAGE && json_is_string(json_object_get(item, "content"))) {
        const char *role = json_string_value(json_object_get(item, "role"));
        bool assistant = strcmp(role, "assistant") == 0;
        json_t *part = json_pack("{s:s,s:O}", "type", assistant ? "output_text" : "input_text",
                                 "text", json_object_get(item, "content"));
        if (assistant)
            json_object_set_new(part, "annotations", json_array());
        rc |= json_object_set_new(item, "content", json_pack("[o]", part));
    }
    return rc;
}

static int check_item(const json_t *item, const struct ft_oai_at *at, enum item *ret,
                      struct ft_oai_error *e)
{
    static const char *const states[] = {"in_progress", "completed", "incomplete", NULL};
    const json_t *id, *status = ft_oai_get(item, "status");
    const char *s;
    int state, rc = ft_oai_object(item, at, e);
    if (rc != 0 || (rc = item_type(item, at, ret, e)) != 0)
        return rc;
    if ((id = ft_oai_get(item, "id")) != NULL &&
        (rc = ft_oai_str(id, FT_OAI_AT(at, "id"), 1, 128, &s, e)) != 0)
        return rc;
    if (status != NULL &&
        (rc = ft_oai_enum(status, FT_OAI_AT(at, "status"), states, &state, e)) != 0)
        return rc;
    switch (*ret) {
    case MESSAGE:
        return check_message(item, at, e);
    case FUNCTION_CALL:
        return check_call(item, at, e);
    case FUNCTION_OUTPUT:
        return check_output(item, at, e);
    case REASONING:
        return check_reasoning(item, at, e);
    }
    return FT_EINTERNAL;
}

static int parse_item(struct ft_oai_responses *r, json_t *item, size_t number, const char *id,
                      struct ft_oai_error *e)
{
    enum item type;
    int rc = check_item(item, FT_OAI_ELEM(FT_OAI_AT(NULL, "input"), number), &type, e);
    if (rc == 0 &&
        (complete_item(item, type, id, number) != 0 || json_array_append(r->input, item) != 0))
        rc = no_memory(e);
    return rc;
}

int ft_oai_turn_parse(struct ft_oai_responses *r, const char *id, struct ft_oai_error *e)
{
    json_t *v = ft_oai_get(r->root, "input");
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "input");
    id = strncmp(id, "req_", 4) == 0 ? id + 4 : id;
    r->input = json_array();
    if (r->input == NULL)
        return no_memory(e);
    if (v == NULL) /* with previous_response_id that may be meant */
        return r->previous != NULL ? 0 : ft_oai_missing(e, at);
    if (json_is_string(v)) {
        json_t *item = json_pack("{s:s,s:O}", "role", "user", "content", v);
        int rc = item != NULL ? parse_item(r, item, 0, id, e) : no_memory(e);
        json_decref(item);
        return rc;
    }
    if (!json_is_array(v))
        return ft_oai_wrong_type(e, at, "a string or an array of items", v);
    int rc = ft_oai_array(v, at, r->previous != NULL ? 0 : 1, FT_OAI_ITEMS_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
        rc = parse_item(r, json_array_get(v, i), i, id, e);
    return rc;
}

/* ---- messages ---- */

struct turn {
    json_t *messages;
    json_t *last;      /* the assistant's message that calls may be added to, or NULL */
    json_t *reasoning; /* owned: for the next message of the assistant */
    const char *open[FT_OAI_CALLS_MAX]; /* calls without output */
    int n_open;
};

/* A string, or parts joined by newlines. A new reference. */
static json_t *content_text(const json_t *v)
{
    if (json_is_string(v))
        return json_incref((json_t *)v);
    struct ft_buf text;
    ft_buf_init(&text, FT_OAI_DOCUMENT_BYTES_MAX);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *part = json_array_get(v, i);
        const json_t *s = json_object_get(part, "text");
        if (s == NULL)
            s = json_object_get(part, "refusal");
        if (i > 0)
            ft_buf_add_byte(&text, '\n');
        ft_buf_add(&text, json_string_value(s), json_string_length(s));
    }
    json_t *joined =
        text.failed != 0 ? NULL : json_stringn(text.len > 0 ? text.data : "", text.len);
    ft_buf_fini(&text);
    return joined;
}

static json_t *assistant_message(struct turn *t)
{
    json_t *m = json_pack("{s:s}", "role", "assistant");
    if (m != NULL && t->reasoning != NULL)
        json_object_set_new(m, "reasoning_content", t->reasoning);
    else
        json_decref(t->reasoning);
    t->reasoning = NULL;
    json_array_append_new(t->messages, m);
    t->last = m;
    return m;
}

static int all_answered(const struct turn *t, struct ft_oai_error *e)
{
    if (t->n_open == 0)
        return 0;
    return ft_oai_bad(e, FT_OAI_AT(NULL, "input"), "invalid_value",
                      "no function_call_output for the call \"%s\"", t->open[0]);
}

static int add_message(struct turn *t, const json_t *item, struct ft_oai_error *e)
{
    const char *role = json_string_value(json_object_get(item, "role"));
    int rc = all_answered(t, e);
    if (rc != 0)
        return rc;
    json_t *text = content_text(json_object_get(item, "content"));
    if (strcmp(role, "assistant") == 0)
        return json_object_set_new(assistant_message(t), "content", text) == 0 ? 0 : no_memory(e);
    t->last = NULL;
    json_t *m = json_pack("{s:s,s:o}", "role", role, "content", text);
    return json_array_append_new(t->messages, m) == 0 ? 0 : no_memory(e);
}

static int add_call(struct turn *t, const json_t *item, struct ft_oai_error *e)
{
    if (t->n_open == FT_OAI_CALLS_MAX)
        return ft_oai_bad(e, FT_OAI_AT(NULL, "input"), "array_above_max_length",
                          "more than %d calls without output", FT_OAI_CALLS_MAX);
    json_t *m = t->last != NULL ? t->last : assistant_message(t);
    json_t *calls = json_object_get(m, "tool_calls");
    if (calls == NULL) {
        calls = json_array();
        if (json_object_set_new(m, "tool_calls", calls) != 0)
            return no_memory(e);
    }
    json_t *id = json_object_get(item, "call_id");
    t->open[t->n_open++] = json_string_value(id);
    json_t *call =
        json_pack("{s:O,s:s,s:{s:O,s:O}}", "id", id, "type", "function", "function", "name",
                  json_object_get(item, "name"), "arguments", json_object_get(item, "arguments"));
    return json_array_append_new(calls, call) == 0 ? 0 : no_memory(e);
}

static int add_output(struct turn *t, const json_t *item, struct ft_oai_error *e)
{
    json_t *id = json_object_get(item, "call_id");
    int i = 0;
    while (i < t->n_open && strcmp(t->open[i], json_string_value(id)) != 0)
        i++;
    if (i == t->n_open)
        return ft_oai_bad(e, FT_OAI_AT(NULL, "input"), "invalid_value",
                          "no call waits for the function_call_output \"%s\"",
                          json_string_value(id));
    memmove(t->open + i, t->open + i + 1, (size_t)(t->n_open - i - 1) * sizeof t->open[0]);
    t->n_open--;
    t->last = NULL;
    json_t *m = json_pack("{s:s,s:O,s:o}", "role", "tool", "tool_call_id", id, "content",
                          content_text(json_object_get(item, "output")));
    return json_array_append_new(t->messages, m) == 0 ? 0 : no_memory(e);
}

/* What was stored is checked again: a file may have been damaged. */
static int add_items(struct turn *t, const json_t *items, const char *name, struct ft_oai_error *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        enum item type;
        rc = check_item(item, FT_OAI_ELEM(FT_OAI_AT(NULL, name), i), &type, e);
        if (rc != 0)
            break;
        switch (type) {
        case MESSAGE:
            rc = add_message(t, item, e);
            break;
        case FUNCTION_CALL:
            rc = add_call(t, item, e);
            break;
        case FUNCTION_OUTPUT:
            rc = add_output(t, item, e);
            break;
        case REASONING:
            json_decref(t->reasoning);
            t->reasoning = content_text(json_object_get(item, "content"));
            t->last = NULL;
            break;
        }
    }
    return rc;
}

int ft_oai_turn_messages(const struct ft_oai_responses *r, json_t **ret, struct ft_oai_error *e)
{
    struct turn t = {.messages = json_array()};
    json_t *instructions = ft_oai_get(r->root, "instructions");
    int rc = t.messages != NULL ? 0 : no_memory(e);
    if (rc == 0 && instructions != NULL &&
        json_array_append_new(
            t.messages, json_pack("{s:s,s:O}", "role", "system", "content", instructions)) != 0)
        rc = no_memory(e);
    if (rc == 0)
        rc = add_items(&t, r->context, "previous_response_id", e);
    if (rc == 0)
        rc = add_items(&t, r->input, "input", e);
    if (rc == 0)
        rc = all_answered(&t, e);
    json_decref(t.reasoning);
    if (rc != 0)
        json_decref(t.messages);
    else
        *ret = t.messages;
    return rc;
}
