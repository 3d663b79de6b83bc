/* Answers with calls, and calls written as JSON. See calls.h. */
#include "worker/calls.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/calls_impl.h"
#include "worker/forced.h"

#define ARENA_BYTES_MAX ((size_t)64 << 20)
#define TEXT_BYTES_MAX  512 /* a mark with a name in it */

/* ---- nodes ---- */

void fc_fail(struct fc *c, enum ft_code code, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    if (c->failed != 0)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->failed = ft_err_set(c->err, code, "%s", text);
    c->blamed = c->tool_now;
}

int fc_node(struct fc *c, const struct ft_layout_node *n)
{
    if (c->n_nodes == FT_LAYOUT_NODES_MAX) {
        fc_fail(c, FT_EUNSUPPORTED, "too many functions and parameters");
        return 0;
    }
    c->node[c->n_nodes] = *n;
    c->tool[c->n_nodes] = c->tool_now;
    return c->n_nodes++;
}

int fc_fork(struct fc *c, int a, int b)
{
    return fc_node(c, &(struct ft_layout_node){.op = FT_LAYOUT_FORK, .next = a, .other = b});
}

int fc_cut(struct fc *c, int next)
{
    return fc_node(c, &(struct ft_layout_node){.op = FT_LAYOUT_CUT, .next = next});
}

static struct ft_slice keep(struct fc *c, const char *s, size_t n)
{
    char *p = ft_arena_strndup(&c->arena, s, n);
    if (p == NULL)
        fc_fail(c, FT_EUNSUPPORTED, "the schemas are longer than %zu MiB in all",
                ARENA_BYTES_MAX >> 20);
    return (struct ft_slice){p, p != NULL ? n : 0};
}

int fc_text(struct fc *c, int next, const char *fmt, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text) {
        fc_fail(c, FT_EUNSUPPORTED, "a name is longer than %zu bytes", sizeof text);
        return 0;
    }
    return fc_node(c, &(struct ft_layout_node){
                          .op = FT_LAYOUT_TEXT, .text = keep(c, text, (size_t)n), .next = next});
}

int fc_regex(struct fc *c, int next, const char *re)
{
    return fc_node(
        c, &(struct ft_layout_node){.op = FT_LAYOUT_REGEX, .text = {re, strlen(re)}, .next = next});
}

int fc_schema(struct fc *c, int next, enum ft_layout_op op, json_t *v, const char *without,
              bool maybe)
{
    struct ft_layout_node n = {.op = op, .next = next, .maybe = maybe};
    char *text = v != NULL ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(v);
    if (text == NULL) {
        fc_fail(c, FT_ENOMEM, "no memory");
        return 0;
    }
    if (without != NULL)
        n.without = (struct ft_slice){without, strlen(without)};
    n.text = keep(c, text, strlen(text));
    free(text);
    return fc_node(c, &n);
}

/* ---- tools ---- */

static const json_t *function_of(const json_t *tool)
{
    return json_object_get(tool, "function");
}

bool fc_is_strict(const json_t *tool)
{
    return json_is_true(json_object_get(function_of(tool), "strict"));
}

bool ft_calls_any_strict(const json_t *tools)
{
    size_t i;
    json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        if (fc_is_strict(tool))
            return true;
    }
    return false;
}

int fc_tools(struct fc *c, int (*rest)(struct fc *c, const json_t *tool, int next), int next,
             const char *before, const char *after)
{
    size_t i;
    json_t *tool;
    int any = -1;
    json_array_foreach(c->cfg->tools, i, tool)
    {
        c->tool_now = (int)i;
        int one = rest(c, tool, next);
        const char *name = json_string_value(json_object_get(function_of(tool), "name"));
        one = fc_text(c, one, "%s%s%s", before, name != NULL ? name : "", after);
        any = any < 0 ? one : fc_fork(c, one, any);
    }
    c->tool_now = -1;
    return any;
}

void fc_mark(struct fc *c, const char *text, int entry)
{
    c->mark[c->n_marks++] = (struct fc_mark){text, entry};
}

/* ---- calls written as JSON ---- */

static int arguments(struct fc *c, const json_t *tool, int next)
{
    if (fc_is_strict(tool))
        return fc_schema(c, next, FT_LAYOUT_SCHEMA, ft_forced_parameters(tool), NULL, false);
    if (c->any < 0) /* the same for all: behind every tool's arguments comes the same */
        c->any =
            fc_schema(c, next, FT_LAYOUT_SCHEMA, json_pack("{s:s}", "type", "object"), NULL, false);
    return c->any;
}

static void hermes(struct fc *c, int done)
{
    int tail = fc_text(c, done, "}\n</tool_call>");
    int names = fc_tools(c, arguments, tail, "", "\", \"arguments\": ");
    fc_mark(c, "<tool_call>", fc_text(c, names, "\n{\"name\": \""));
}

/* Behind the name it is a call, whatever else the object might have become. */
static int llama_rest(struct fc *c, const json_t *tool, int next)
{
    return fc_cut(c, fc_text(c, arguments(c, tool, next), ", \"parameters\": "));
}

#define SPACES "[ \\t\\r\\n]{0,16}"
_Static_assert(FT_CHAT_BOUND_SPACES_MAX == 16, "as many as the reader lets pass");

static void llama(struct fc *c, int done)
{
    static const char begin[] = "\\{" SPACES "(\"type\"" SPACES ":" SPACES "\"function\"" SPACES
                                "," SPACES ")?\"name\"" SPACES ":" SPACES "\"";
    int tail = fc_text(c, done, "}");
    c->bare = fc_regex(c, fc_tools(c, llama_rest, tail, "", "\""), begin);
    fc_mark(c, "<|python_tag|>", c->bare);
}

#define DS_CALLS_BEGIN "<｜tool▁calls▁begin｜>"
#define DS_CALLS_END   "<｜tool▁calls▁end｜>"
#define DS_CALL_BEGIN  "<｜tool▁call▁begin｜>"
#define DS_CALL_END    "<｜tool▁call▁end｜>"
#define DS_SEP         "<｜tool▁sep｜>"

static void deepseek(struct fc *c, int done)
{
    bool v3 = c->cfg->dialect == FT_DIALECT_DEEPSEEK_V3;
    int more = fc_fork(c, -1, -1);
    int tail = fc_text(c, more, "%s", v3 ? "\n```" DS_CALL_END : DS_CALL_END);
    int call =
        fc_tools(c, arguments, tail, v3 ? "function" DS_SEP : "", v3 ? "\n```json\n" : DS_SEP);
    int next = fc_fork(c, fc_text(c, call, "%s", DS_CALL_BEGIN),
                       fc_text(c, call, "%s", "\n" DS_CALL_BEGIN));
    c->node[more].next = fc_text(c, done, "%s", DS_CALLS_END);
    c->node[more].other = next;
    fc_mark(c, DS_CALLS_BEGIN, fc_text(c, call, "%s", DS_CALL_BEGIN));
    fc_mark(c, DS_CALL_BEGIN, call); /* the wrapper was left out */
}

static void calls(struct fc *c, int done)
{
    switch (c->cfg->dialect) {
    case FT_DIALECT_HERMES:
        hermes(c, done);
        break;
    case FT_DIALECT_LLAMA3:
        llama(c, done);
        break;
    case FT_DIALECT_DEEPSEEK_V3:
    case FT_DIALECT_DEEPSEEK_V31:
        deepseek(c, done);
        break;
    case FT_DIALECT_QWEN_XML:
    case FT_DIALECT_DEEPSEEK_V32:
        fc_tags(c, done);
        break;
    case FT_DIALECT_PLAIN:
        fc_fail(c, FT_EINVAL, "this model's template has no calls");
    }
}

/* ---- answers ---- */

/* A call's beginning, or `other` (-1: nothing else). */
static int or_marks(struct fc *c, int other)
{
    for (int i = c->n_marks - 1; i >= 0; i--) {
        int one = fc_text(c, fc_cut(c, c->mark[i].entry), "%s", c->mark[i].text);
        other = other >= 0 ? fc_fork(c, one, other) : one;
    }
    return other;
}

/* Calls, one after the other, or content by the format. */
static int answer(struct fc *c)
{
    int end = fc_node(c, &(struct ft_layout_node){.op = FT_LAYOUT_END});
    int done = fc_fork(c, end, end); /* or another call: see below */
    calls(c, done);
    int begin = or_marks(c, c->bare);
    if (c->cfg->dialect == FT_DIALECT_LLAMA3)
        c->node[done].other = fc_text(c, c->bare, "; ");
    else if (c->cfg->dialect == FT_DIALECT_HERMES || c->cfg->dialect == FT_DIALECT_QWEN_XML)
        c->node[done].other = fc_fork(c, begin, fc_text(c, begin, "\n"));
    /* models write newlines between reasoning and calls */
    _Static_assert(FT_CHAT_BOUND_NEWLINES_MAX == 2, "as many as the reader lets pass");
    int lines = fc_fork(c, fc_text(c, begin, "\n"), fc_text(c, begin, "\n\n"));
    int format = fc_node(c, &(struct ft_layout_node){
                                .op = c->cfg->format, .text = c->cfg->format_text, .next = end});
    return fc_fork(c, fc_fork(c, begin, lines), format);
}

/* White space, which changes nothing, then `other`; loops to `to`. */
static int or_spaces(struct fc *c, int to, const char *spaces, int other)
{
    for (; *spaces != '\0'; spaces++)
        other = fc_fork(c, fc_text(c, to, "%c", *spaces), other);
    return other;
}

/* Anything, with calls in it; reasoning where it may stand: at the start. */
static int free_text(struct fc *c)
{
    int end = fc_node(c, &(struct ft_layout_node){.op = FT_LAYOUT_END});
    int content = fc_fork(c, -1, -1), start = fc_fork(c, -1, -1), again = content;
    if (c->cfg->dialect == FT_DIALECT_LLAMA3) /* an object behind a call may be one too */
        again = fc_fork(c, -1, -1);
    calls(c, again);
    c->node[content].next =
        fc_node(c, &(struct ft_layout_node){.op = FT_LAYOUT_ANY, .next = content});
    c->node[content].other = or_marks(c, end);
    int reasoning = fc_fork(c, -1, -1);
    c->node[reasoning].next =
        fc_node(c, &(struct ft_layout_node){.op = FT_LAYOUT_ANY, .next = reasoning});
    c->node[reasoning].other = fc_fork(c, fc_text(c, fc_cut(c, start), "</think>"), end);
    int spaces = fc_fork(c, -1, -1), begin = fc_text(c, fc_cut(c, reasoning), "<think>");
    if (c->bare >= 0)
        begin = fc_fork(c, begin, c->bare);
    c->node[spaces].next = begin;
    c->node[spaces].other = or_spaces(c, spaces, " \t\r", fc_text(c, spaces, "\n"));
    c->node[start].next = content;
    c->node[start].other = spaces;
    if (again != content) {
        c->node[again].next = content;
        int behind = fc_fork(c, c->bare, -1);
        c->node[behind].other = or_spaces(c, behind, " \t\r;", fc_text(c, behind, "\n"));
        c->node[again].other = behind;
    }
    return c->cfg->reasons ? reasoning : start;
}

static void tell_field(const struct fc *c, int at, char field[FT_CALLS_FIELD_BYTES])
{
    int tool = at >= 0 ? c->tool[at] : c->blamed;
    bool format = at >= 0 && tool < 0;
    if (tool >= 0)
        snprintf(field, FT_CALLS_FIELD_BYTES, "tools[%d].function.parameters", tool);
    else
        snprintf(field, FT_CALLS_FIELD_BYTES, "%s", format ? "response_format" : "tools");
}

int ft_calls_grammar(const struct ft_calls_config *cfg, char field[FT_CALLS_FIELD_BYTES],
                     struct ft_grammar **ret, struct ft_err *err)
{
    struct fc c = {.cfg = cfg, .tool_now = -1, .blamed = -1, .any = -1, .bare = -1, .err = err};
    ft_arena_init(&c.arena, ARENA_BYTES_MAX);
    c.node = calloc(FT_LAYOUT_NODES_MAX, sizeof *c.node);
    c.tool = calloc(FT_LAYOUT_NODES_MAX, sizeof *c.tool);
    int at = -1, rc = 0;
    if (c.node == NULL || c.tool == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "tools: no memory");
    if (rc == 0) {
        int start = cfg->format_text.n > 0 ? answer(&c) : free_text(&c);
        struct ft_layout layout = {c.node, c.n_nodes, start, cfg->control};
        rc = c.failed != 0 ? c.failed : ft_grammar_from_layout(&layout, &at, ret, err);
    }
    if (rc != 0)
        tell_field(&c, at, field);
    ft_arena_fini(&c.arena);
    free(c.node);
    free(c.tool);
    return rc;
}
