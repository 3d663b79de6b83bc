/* Any text that the grammar of an answer with calls takes, read as the worker reads it: every call
 * in it is of a known function, with arguments that keep a strict one's schema; an answer with a
 * format is calls alone or keeps it. The first byte chooses dialect, format and reasoning; bytes
 * above 0xdf stand for pieces of calls, and those that do not fit are left out. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/calls.h"

#define TEXT_MAX 4000

static const char format[] = "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
                             "\"parameters\":{}},\"additionalProperties\":false}";
static const char tools_text[] =
    "[{\"function\":{\"name\":\"fly\",\"strict\":true,\"parameters\":{\"properties\":{\"to\":{"
    "\"$ref\":\"#/$defs/p\"},\"n\":{\"type\":\"integer\"},\"s\":{\"type\":[\"string\",\"null\"],"
    "\"maxLength\":20},\"t\":{\"type\":\"string\"},\"o\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"string\"}}},\"required\":[\"to\"],\"additionalProperties\":false,\"$defs\":{\"p\":{\"enum\":"
    "[\"Rome\",\"Oslo\"]}}}}},{\"function\":{\"name\":\"look\"}}]";

static const char *const piece[] = {
    "<tool_call>",
    "\n{\"name\": \"fly\", \"arguments\": ",
    "{\"to\": \"Rome\"",
    "}\n</tool_call>",
    "<function=fly>\n",
    "\n<function=",
    "<parameter=to>\n",
    "<parameter=s>\n",
    "<parameter=o>\n",
    "\n</parameter>\n",
    "</function>\n</tool_call>",
    "{\"name\": \"fly\", \"parameters\": ",
    "{\"type\": \"function\", \"name\": \"look\"",
    "<|python_tag|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "fly<｜tool▁sep｜>",
    "function<｜tool▁sep｜>look",
    "\n```json\n",
    "\n```<｜tool▁call▁end｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<｜DSML｜function_calls>\n",
    "<｜DSML｜invoke name=\"fly\">\n",
    "<｜DSML｜parameter name=\"to\" string=\"true\">",
    "<｜DSML｜parameter name=\"o\" string=\"false\">",
    "</｜DSML｜parameter>\n",
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    "<think>",
    "</think>",
    "Rome",
    "[\"x\", \"</parameter>\"]",
};

static json_t *tools;

struct got {
    char name[300], args[2 * TEXT_MAX], content[2 * TEXT_MAX];
    size_t n_args, n_content;
    int n_calls;
};

static bool is_place(const json_t *v)
{
    const char *s = json_string_value(v);
    return s != NULL && (strcmp(s, "Rome") == 0 || strcmp(s, "Oslo") == 0);
}

static bool is_flight(json_t *args)
{
    const char *key;
    json_t *v, *one;
    size_t i;
    bool ok = is_place(json_object_get(args, "to"));
    json_object_foreach(args, key, v)
    {
        bool text = json_is_string(v);
        ok = ok && strlen(key) == (strcmp(key, "to") == 0 ? 2 : 1) && strchr("tnso", key[0]) &&
             (key[0] != 'n' || json_is_integer(v)) && (key[0] != 't' || text) &&
             (key[0] != 's' || text || json_is_null(v)) && (key[0] != 'o' || json_is_array(v));
        json_array_foreach(v, i, one)
        {
            ok = ok && json_is_string(one);
        }
    }
    return ok;
}

static void on_part(void *ctx, const struct ft_part *p)
{
    struct got *g = ctx;
    switch (p->kind) {
    case FT_PART_CONTENT:
        if (g->n_content + p->n < sizeof g->content)
            memcpy(g->content + g->n_content, p->text, p->n);
        g->n_content += p->n;
        break;
    case FT_PART_CALL_BEGIN:
        if (p->n >= sizeof g->name)
            abort();
        memcpy(g->name, p->text, p->n);
        g->name[p->n] = '\0';
        g->n_args = 0;
        break;
    case FT_PART_CALL_ARGS:
        if (g->n_args + p->n < sizeof g->args)
            memcpy(g->args + g->n_args, p->text, p->n);
        g->n_args += p->n;
        break;
    case FT_PART_CALL_END: {
        json_t *v = json_loadb(g->args, g->n_args, JSON_ALLOW_NUL, NULL);
        bool fly = strcmp(g->name, "fly") == 0;
        if (fly ? !is_flight(v) : strcmp(g->name, "look") != 0)
            abort();
        json_decref(v);
        g->n_calls++;
        break;
    }
    default:
        break;
    }
}

static bool keeps_format(const struct got *g)
{
    struct ft_grammar *f;
    struct ft_matcher *m;
    struct ft_err err;
    if (ft_grammar_from_schema(format, sizeof format - 1, &f, &err) != 0 ||
        ft_matcher_open(f, NULL, &m, &err) != 0)
        abort();
    bool ok = ft_matcher_accept_bytes(m, g->content, g->n_content) && ft_matcher_may_end(m);
    ft_matcher_close(m);
    ft_grammar_unref(f);
    return ok;
}

static void check(const struct ft_calls_config *c, const char *text, size_t n, bool whole)
{
    static struct got g;
    struct ft_chat_parser *p;
    struct ft_err err;
    bool either = c->format_text.n > 0;
    g.n_args = g.n_content = 0;
    g.n_calls = 0;
    if (ft_chat_parser_open(c->dialect, tools, "<think>", c->reasons ? 7 : 0, on_part, &g, &p,
                            &err) != 0)
        abort();
    ft_chat_parser_bind(p, either ? FT_CHAT_BOUND_ANSWER : FT_CHAT_BOUND_CALLS);
    if (ft_chat_parser_push(p, text, n, &err) != 0 || ft_chat_parser_finish(p, &err) != 0)
        abort();
    ft_chat_parser_close(p);
    if (either && whole && (g.n_calls > 0 ? g.n_content > 0 : !keeps_format(&g)))
        abort();
}

/* Takes what fits of the text, and what must follow it. */
static size_t take(struct ft_matcher *m, const char *text, size_t n, char *to, size_t room)
{
    size_t done = 0;
    for (size_t i = 0; i < n && done + 9 < room; i++) {
        if (!ft_matcher_accept_bytes(m, text + i, 1))
            continue;
        to[done++] = text[i];
        size_t k = ft_matcher_forced(m, to + done, 8);
        if (k > 0 && !ft_matcher_accept_bytes(m, to + done, k))
            abort();
        done += k;
    }
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct ft_grammar *kept[256];
    char text[TEXT_MAX], field[FT_CALLS_FIELD_BYTES];
    struct ft_matcher *m;
    struct ft_err err;
    if (tools == NULL)
        tools = json_loads(tools_text, 0, NULL);
    if (tools == NULL)
        abort();
    if (n == 0)
        return 0;
    struct ft_calls_config c = {.dialect = (enum ft_dialect)(1 + data[0] % FT_DIALECT_DEEPSEEK_V32),
                                .tools = tools,
                                .control = true,
                                .reasons = data[0] >= 0x80};
    if (data[0] % 0x80 >= 0x40) {
        c.format = FT_LAYOUT_SCHEMA;
        c.format_text = (struct ft_slice){format, sizeof format - 1};
        c.reasons = false; /* the grammar begins behind it */
    }
    struct ft_grammar **g = &kept[data[0]];
    if ((*g == NULL && ft_calls_grammar(&c, field, g, &err) != 0) ||
        ft_matcher_open(*g, NULL, &m, &err) != 0)
        abort();
    size_t len = 0;
    for (size_t i = 1; i < n; i++) {
        char one = (char)(data[i] & 0x7f); /* answers are UTF-8 */
        const char *p = data[i] >= 0xe0 ? piece[data[i] - 0xe0] : &one;
        len += take(m, p, data[i] >= 0xe0 ? strlen(p) : 1, text + len, sizeof text - len);
    }
    check(&c, text, len, ft_matcher_may_end(m));
    ft_matcher_close(m);
    return 0;
}
