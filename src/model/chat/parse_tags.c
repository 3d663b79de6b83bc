/* Calls written in tags: Qwen3-Coder and Qwen3.5 (<function=name><parameter=key>value), DeepSeek
 * V3.2 (<｜DSML｜invoke name="..."><｜DSML｜parameter name="..." string="true">value).
 *
 * Values stand unquoted, so the tools' schemas (or DSML's string="...") say which are strings.
 * String values are given on as they come, other values when they are whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/chat/parse_impl.h"

struct tags {
    const char *call_end; /* of the whole wrapper */
    const char *invoke, *invoke_end;
    const char *param, *param_end;
    bool newlines; /* one newline belongs to each end of a value */
};

static const struct tags *tags_of(const struct ft_chat_parser *p)
{
    static const struct tags qwen = {"</tool_call>", "<function=",   "</function>",
                                     "<parameter=",  "</parameter>", true};
    static const struct tags dsml = {"</｜DSML｜function_calls>", "<｜DSML｜invoke name=\"",
                                     "</｜DSML｜invoke>",         "<｜DSML｜parameter name=\"",
                                     "</｜DSML｜parameter>",      false};
    return p->dialect == FT_DIALECT_DEEPSEEK_V32 ? &dsml : &qwen;
}

static void cut(struct ft_buf *b, size_t n)
{
    b->len -= n;
    b->data[b->len] = '\0';
}

/* ---- types ---- */

static bool type_allows(json_t *type, const char *name)
{
    size_t i;
    json_t *t;
    if (json_is_string(type))
        return strcmp(json_string_value(type), name) == 0;
    json_array_foreach(type, i, t)
    {
        if (json_is_string(t) && strcmp(json_string_value(t), name) == 0)
            return true;
    }
    return false;
}

static bool only_strings(const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        if (!json_is_string(v))
            return false;
    }
    return json_array_size(list) > 0;
}

bool ft_chat_tag_is_text(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    if (type == NULL)
        return only_strings(json_object_get(schema, "enum"));
    return json_is_string(type) && strcmp(json_string_value(type), "string") == 0;
}

/* The parameter's schema; NULL where it has none. */
static json_t *param_schema(const struct ft_chat_parser *p)
{
    bool known;
    json_t *schema = fp_tool_schema(p, p->name.data, p->name.len, &known);
    json_t *props = json_object_get(schema, "properties");
    return p->key.data == NULL ? NULL : json_object_getn(props, p->key.data, p->key.len);
}

/* ---- values ---- */

static void args_escaped(struct ft_chat_parser *p, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
        unsigned char c = (unsigned char)s[i];
        const char *hit = c == 0 ? NULL : strchr(from, c);
        char buf[8];
        int k = 1;
        if (hit != NULL)
            k = snprintf(buf, sizeof buf, "\\%c", to[hit - from]);
        else if (c < 0x20)
            k = snprintf(buf, sizeof buf, "\\u%04x", c);
        else
            buf[0] = (char)c;
        fp_call_args(p, buf, (size_t)k);
    }
}

static void args_key(struct ft_chat_parser *p)
{
    fp_call_args(p, p->n_params == 0 ? "{\"" : ", \"", p->n_params == 0 ? 2 : 3);
    args_escaped(p, p->key.data, p->key.len);
    fp_call_args(p, "\": ", 3);
    p->n_params++;
}

/* Bytes at the end of the value that may be the beginning of its end. */
static size_t held_back(const struct ft_buf *v, const struct tags *t)
{
    char end[64];
    snprintf(end, sizeof end, "%s%s", t->newlines ? "\n" : "", t->param_end);
    size_t len = strlen(end);
    for (size_t k = FT_MIN(len, v->len); k > 0; k--)
        if (memcmp(v->data + v->len - k, end, k) == 0)
            return k;
    /* the newline may be missing */
    for (size_t k = FT_MIN(strlen(t->param_end), v->len); k > 0; k--)
        if (memcmp(v->data + v->len - k, t->param_end, k) == 0)
            return k;
    return 0;
}

static void stream_text(struct ft_chat_parser *p, size_t upto)
{
    if (upto > p->value_sent) {
        args_escaped(p, p->value.data + p->value_sent, upto - p->value_sent);
        p->value_sent = upto;
    }
}

/* A value that need not be a string: JSON as it stands, Python's names for constants, else text. */
static bool typed_value(struct ft_chat_parser *p)
{
    json_t *type = json_object_get(param_schema(p), "type");
    const char *s = p->value.data != NULL ? p->value.data : "";
    size_t n = p->value.len;
    while (n > 0 && fp_is_space(*s)) {
        s++;
        n--;
    }
    while (n > 0 && fp_is_space(s[n - 1]))
        n--;
    static const char *const python[] = {"True", "False", "None"}, *const json[] = {"true", "false",
                                                                                    "null"};
    for (size_t i = 0; i < FT_COUNT(python); i++) {
        if (n == strlen(python[i]) && memcmp(s, python[i], n) == 0) {
            s = json[i];
            n = strlen(s);
            break;
        }
    }
    json_t *v = json_loadb(s, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    /* Where strings are allowed beside other types, a value of none of those is a string. */
    bool as_json = v != NULL && !json_is_string(v);
    if (v != NULL && json_is_array(type) && type_allows(type, "string"))
        as_json = (json_is_object(v) && type_allows(type, "object")) ||
                  (json_is_array(v) && type_allows(type, "array")) ||
                  (json_is_boolean(v) && type_allows(type, "boolean")) ||
                  (json_is_null(v) && type_allows(type, "null")) ||
                  (json_is_integer(v) && type_allows(type, "integer")) ||
                  (json_is_number(v) && type_allows(type, "number"));
    json_decref(v);
    if (as_json) {
        fp_call_args(p, s, n);
        return true;
    }
    if (p->value_type == FP_RAW_JSON) {
        if (v == NULL)
            return false;
        fp_call_args(p, s, n);
        return true;
    }
    fp_call_args(p, "\"", 1);
    args_escaped(p, p->value.data, p->value.len);
    fp_call_args(p, "\"", 1);
    return true;
}

static enum fp_step value_end(struct ft_chat_parser *p, const struct tags *t)
{
    cut(&p->value, strlen(t->param_end));
    if (t->newlines && p->value.len > 0 && p->value.data[p->value.len - 1] == '\n')
        cut(&p->value, 1);
    p->stage = ST_BODY;
    if (p->value_type == FP_TEXT) {
        stream_text(p, p->value.len);
        fp_call_args(p, "\"", 1);
        return FP_MORE;
    }
    return typed_value(p) ? FP_MORE : FP_BROKEN;
}

static enum fp_step value_byte(struct ft_chat_parser *p, const struct tags *t, char c)
{
    if (t->newlines && c == '\n' && !p->value_open) {
        p->value_open = true; /* the newline after the tag */
        return FP_MORE;
    }
    p->value_open = true;
    p->failed |= ft_buf_add_byte(&p->value, (unsigned char)c) != 0;
    if (c == '>' && fp_ends_with(&p->value, t->param_end))
        return value_end(p, t);
    if (p->value_type == FP_TEXT)
        stream_text(p, p->value.len - held_back(&p->value, t));
    return FP_MORE;
}

/* ---- tags ---- */

/* <parameter=KEY> and name="KEY" string="true">: everything up to the ">". */
static enum fp_step param_open(struct ft_chat_parser *p, const struct tags *t, char c)
{
    if (c != '>') {
        p->failed |= ft_buf_add_byte(&p->key, (unsigned char)c) != 0;
        return p->key.len > 2 * FP_NAME_BYTES_MAX || c == '\n' ? FP_BROKEN : FP_MORE;
    }
    if (t->newlines) {
        p->value_type = ft_chat_tag_is_text(param_schema(p)) ? FP_TEXT : FP_TYPED;
    } else {
        static const char yes[] = "\" string=\"true\"", no[] = "\" string=\"false\"";
        bool text = fp_ends_with(&p->key, yes);
        if (!text && !fp_ends_with(&p->key, no))
            return FP_BROKEN;
        cut(&p->key, text ? sizeof yes - 1 : sizeof no - 1);
        if (p->key.len > 0 && memchr(p->key.data, '"', p->key.len) != NULL)
            return FP_BROKEN;
        p->value_type = text ? FP_TEXT : FP_RAW_JSON;
    }
    if (!fp_name_ok(&p->key))
        return FP_BROKEN;
    ft_buf_reset(&p->value);
    p->value_sent = 0;
    p->value_open = false;
    args_key(p);
    if (p->value_type == FP_TEXT)
        fp_call_args(p, "\"", 1);
    p->stage = ST_VALUE;
    return FP_MORE;
}

static enum fp_step invoke_open(struct ft_chat_parser *p, const struct tags *t, char c)
{
    if (c != '>') {
        p->failed |= ft_buf_add_byte(&p->name, (unsigned char)c) != 0;
        return p->name.len > FP_NAME_BYTES_MAX || c == '\n' || c == '<' ? FP_BROKEN : FP_MORE;
    }
    if (!t->newlines) { /* the closing quote */
        if (!fp_ends_with(&p->name, "\""))
            return FP_BROKEN;
        cut(&p->name, 1);
    }
    if (!fp_name_ok(&p->name))
        return FP_BROKEN;
    fp_call_begin(p, p->name.data, p->name.len);
    p->n_params = 0;
    p->stage = ST_BODY;
    return FP_MORE;
}

enum fp_step fp_tags_call(struct ft_chat_parser *p, char c)
{
    const struct tags *t = tags_of(p);
    const char *const in_call[] = {t->param, t->invoke_end}, *const outside[] = {t->invoke,
                                                                                 t->call_end};
    int m;
    switch (p->stage) {
    case ST_START:
    case ST_TAIL:
        m = fp_tail_feed(p, outside, p->stage == ST_TAIL ? 2 : 1, c);
        if (m == 0) {
            ft_buf_reset(&p->name);
            p->stage = ST_NAME;
        }
        return m == -2 ? FP_BROKEN : m == 1 ? FP_DONE : FP_MORE;
    case ST_NAME:
        return invoke_open(p, t, c);
    case ST_BODY:
        m = fp_tail_feed(p, in_call, 2, c);
        if (m == 0) {
            ft_buf_reset(&p->key);
            p->stage = ST_KEY;
        } else if (m == 1) {
            fp_call_args(p, p->n_params == 0 ? "{}" : "}", p->n_params == 0 ? 2 : 1);
            fp_call_end(p);
            p->stage = ST_TAIL;
        }
        return m == -2 ? FP_BROKEN : FP_MORE;
    case ST_KEY:
        return param_open(p, t, c);
    default:
        return value_byte(p, t, c);
    }
}
