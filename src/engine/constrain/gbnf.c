/* GBNF: text to code. See gbnf.h. */
#include "engine/constrain/gbnf.h"

#include <string.h>

#define DEPTH_MAX  100
#define REPEAT_MAX 10000
#define RULES_MAX  20000

struct rule {
    struct ft_str name;
    uint32_t start, end; /* code */
    bool defined, nullable, busy, done, productive;
    size_t line;
};

struct parser {
    struct ft_cx *cx;
    const char *p, *end, *start;
    struct ft_ginst *code;
    size_t n_code, code_cap;
    struct ft_set *sets;
    size_t n_sets, sets_cap;
    struct rule *rules;
    size_t n_rules, rules_cap;
    int depth;
};

static void bad(struct parser *g, enum ft_code code, const char *what)
{
    size_t line = 1;
    for (const char *q = g->start; q < g->p; q++)
        line += *q == '\n';
    ft_cx_fail(g->cx, code, "grammar: line %zu: %s", line, what);
}

static uint32_t emit(struct parser *g, enum ft_gop op, uint32_t x, uint32_t y)
{
    if (g->n_code >= FT_GBNF_CODE_MAX)
        bad(g, FT_EUNSUPPORTED, "the grammar is too large");
    FT_GROW(g->cx, g->code, g->n_code, g->code_cap);
    g->code[g->n_code] = (struct ft_ginst){.op = (uint8_t)op, .x = x, .y = y};
    return (uint32_t)g->n_code++;
}

static uint32_t rule_index(struct parser *g, struct ft_str name)
{
    ft_cx_work(g->cx, g->n_rules);
    for (size_t i = 0; i < g->n_rules; i++)
        if (g->rules[i].name.n == name.n && memcmp(g->rules[i].name.p, name.p, name.n) == 0)
            return (uint32_t)i;
    if (g->n_rules >= RULES_MAX)
        bad(g, FT_EUNSUPPORTED, "too many rules");
    FT_GROW(g->cx, g->rules, g->n_rules, g->rules_cap);
    g->rules[g->n_rules] = (struct rule){.name = name};
    return (uint32_t)g->n_rules++;
}

/* ---- text ---- */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static void skip_space(struct parser *g, bool newlines)
{
    while (g->p < g->end) {
        if (*g->p == ' ' || *g->p == '\t' || (newlines && (*g->p == '\n' || *g->p == '\r')))
            g->p++;
        else if (*g->p == '#')
            while (g->p < g->end && *g->p != '\n' && *g->p != '\r')
                g->p++;
        else
            break;
    }
}

static struct ft_str read_name(struct parser *g)
{
    const char *s = g->p;
    while (g->p < g->end && name_char(*g->p))
        g->p++;
    if (g->p == s)
        bad(g, FT_EINVAL, "a rule's name was expected");
    return (struct ft_str){s, (size_t)(g->p - s)};
}

static uint32_t read_hex(struct parser *g, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++) {
        int d = g->p < g->end ? ft_hex_digit((unsigned char)*g->p) : -1;
        if (d < 0)
            bad(g, FT_EINVAL, "an escape needs more hexadecimal digits");
        v = v << 4 | (uint32_t)d;
        g->p++;
    }
    if (v > FT_CP_MAX || (v >= 0xd800 && v <= 0xdfff))
        bad(g, FT_EINVAL, "an escape is not a character");
    return v;
}

static uint32_t read_char(struct parser *g)
{
    uint32_t cp = 0;
    int len = ft_utf8_get(g->p, (size_t)(g->end - g->p), &cp);
    if (len == 0)
        bad(g, FT_EINVAL, "not UTF-8");
    g->p += len;
    if (cp != '\\')
        return cp;
    if (g->p >= g->end)
        bad(g, FT_EINVAL, "a backslash at the end");
    char c = *g->p++;
    switch (c) {
    case 'x':
        return read_hex(g, 2);
    case 'u':
        return read_hex(g, 4);
    case 'U':
        return read_hex(g, 8);
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^':
        return (unsigned char)c;
    default:
        g->p--;
        bad(g, FT_EINVAL, "an unknown escape");
        return 0;
    }
}

/* ---- expressions to code ---- */

static void emit_set(struct parser *g, struct ft_set set)
{
    FT_GROW(g->cx, g->sets, g->n_sets, g->sets_cap);
    g->sets[g->n_sets] = set;
    emit(g, FT_G_SET, (uint32_t)g->n_sets++, 0);
}

static void emit_char(struct parser *g, uint32_t cp)
{
    struct ft_set s = {NULL, 0, 0};
    ft_set_add(g->cx, &s, cp, cp);
    emit_set(g, s);
}

static void parse_literal(struct parser *g)
{
    g->p++;
    while (g->p < g->end && *g->p != '"') {
        if (*g->p == '\n')
            bad(g, FT_EINVAL, "a literal is not closed");
        emit_char(g, read_char(g));
    }
    if (g->p >= g->end)
        bad(g, FT_EINVAL, "a literal is not closed");
    g->p++;
}

static void parse_class(struct parser *g)
{
    struct ft_set s = {NULL, 0, 0};
    g->p++;
    bool negate = g->p < g->end && *g->p == '^';
    g->p += negate;
    while (g->p < g->end && *g->p != ']') {
        uint32_t lo = read_char(g), hi = lo;
        if (g->end - g->p >= 2 && *g->p == '-' && g->p[1] != ']') {
            g->p++;
            hi = read_char(g);
        }
        if (lo > hi)
            bad(g, FT_EINVAL, "a range out of order");
        ft_set_add(g->cx, &s, lo, hi);
    }
    if (g->p >= g->end)
        bad(g, FT_EINVAL, "[ is not closed");
    g->p++;
    ft_set_tidy(g->cx, &s, negate);
    emit_set(g, s);
}

static void parse_alternates(struct parser *g, bool nested);

/* Moves code[from..] up by `by` places; jumps within it move along. */
static void shift_code(struct parser *g, size_t from, size_t by)
{
    size_t n = g->n_code;
    for (size_t i = 0; i < by; i++)
        emit(g, FT_G_JUMP, 0, 0);
    memmove(g->code + from + by, g->code + from, (n - from) * sizeof *g->code);
    for (size_t i = from + by; i < g->n_code; i++) {
        if (g->code[i].op != FT_G_SPLIT && g->code[i].op != FT_G_JUMP)
            continue;
        g->code[i].x += (uint32_t)by;
        g->code[i].y += g->code[i].op == FT_G_SPLIT ? (uint32_t)by : 0;
    }
}

/* A copy of code[from, from + n) at the end. */
static void copy_code(struct parser *g, size_t from, size_t n)
{
    size_t to = g->n_code;
    for (size_t i = 0; i < n; i++) {
        struct ft_ginst in = g->code[from + i];
        if (in.op == FT_G_SPLIT || in.op == FT_G_JUMP) {
            in.x += (uint32_t)(to - from);
            in.y += (uint32_t)(to - from);
        }
        emit(g, (enum ft_gop)in.op, in.x, in.y);
    }
    ft_cx_work(g->cx, n);
}

static bool read_counts(struct parser *g, int *min, int *max)
{
    g->p++;
    skip_space(g, false);
    long lo = 0, hi = -1;
    const char *s = g->p;
    for (; g->p < g->end && *g->p >= '0' && *g->p <= '9'; g->p++)
        lo = FT_MIN(lo * 10 + (*g->p - '0'), REPEAT_MAX + 1l);
    bool digits = g->p > s;
    skip_space(g, false);
    if (g->p < g->end && *g->p == '}' && digits) {
        hi = lo;
    } else if (g->p < g->end && *g->p == ',') {
        g->p++;
        skip_space(g, false);
        for (; g->p < g->end && *g->p >= '0' && *g->p <= '9'; g->p++)
            hi = FT_MIN((hi < 0 ? 0 : hi) * 10 + (*g->p - '0'), REPEAT_MAX + 1l);
        skip_space(g, false);
    } else {
        return false;
    }
    if (g->p >= g->end || *g->p != '}')
        return false;
    g->p++;
    if (lo > REPEAT_MAX || hi > REPEAT_MAX)
        bad(g, FT_EUNSUPPORTED, "a repetition count that large");
    if (hi >= 0 && hi < lo)
        bad(g, FT_EINVAL, "a repetition whose bounds are out of order");
    *min = (int)lo;
    *max = (int)hi;
    return true;
}

/* The element's code lies at code[from..]; rewrites it as that many of it. */
static void repeat(struct parser *g, size_t from, int min, int max)
{
    size_t n = g->n_code - from;
    if (n == 0) /* nothing, however often */
        return;
    struct ft_ginst *body = ft_cx_alloc(g->cx, n, sizeof *body);
    memcpy(body, g->code + from, n * sizeof *body);
    if (min == 0 && max < 0) { /* split(+1, out) body jump(split) */
        shift_code(g, from, 1);
        emit(g, FT_G_JUMP, (uint32_t)from, 0);
        g->code[from] =
            (struct ft_ginst){.op = FT_G_SPLIT, .x = (uint32_t)from + 1, .y = (uint32_t)g->n_code};
        return;
    }
    if (max == 0) {
        g->n_code = from;
        return;
    }
    size_t first = from; /* a copy of the body, wherever it is */
    if (min == 0) {
        shift_code(g, from, 1);
        first = from + 1;
    }
    for (int i = 1; i < min; i++)
        copy_code(g, first, n);
    if (max < 0) { /* min >= 1: the last one may come again */
        size_t last = g->n_code - n;
        uint32_t split = emit(g, FT_G_SPLIT, (uint32_t)last, 0);
        g->code[split].y = (uint32_t)g->n_code;
        return;
    }
    /* optional ones nest: split(+1, out) body split(+1, out) body ... */
    uint32_t *splits = ft_cx_alloc(g->cx, (size_t)max + 1, sizeof *splits);
    size_t k = 0;
    if (min == 0)
        splits[k++] = (uint32_t)from;
    for (int i = min == 0 ? 1 : min; i < max; i++) {
        splits[k++] = emit(g, FT_G_SPLIT, 0, 0);
        copy_code(g, first, n);
    }
    for (size_t i = 0; i < k; i++)
        g->code[splits[i]] =
            (struct ft_ginst){.op = FT_G_SPLIT, .x = splits[i] + 1, .y = (uint32_t)g->n_code};
}

static void parse_postfix(struct parser *g, size_t from, bool nested)
{
    for (;;) {
        int min = 0, max = -1;
        skip_space(g, nested);
        if (g->p >= g->end)
            return;
        if (*g->p == '*') {
            g->p++;
        } else if (*g->p == '+') {
            min = 1;
            g->p++;
        } else if (*g->p == '?') {
            max = 1;
            g->p++;
        } else if (*g->p != '{') {
            return;
        } else if (!read_counts(g, &min, &max)) {
            bad(g, FT_EINVAL, "a malformed repetition");
        }
        repeat(g, from, min, max);
    }
}

/* One element; false at the end of a sequence. */
static bool parse_element(struct parser *g, bool nested)
{
    size_t from = g->n_code;
    if (g->p >= g->end)
        return false;
    char c = *g->p;
    if (c == '"') {
        parse_literal(g);
    } else if (c == '[') {
        parse_class(g);
    } else if (c == '.') {
        struct ft_set any = {NULL, 0, 0};
        g->p++;
        ft_set_add(g->cx, &any, 0, FT_CP_MAX);
        emit_set(g, any);
    } else if (c == '(') {
        g->p++;
        skip_space(g, true);
        parse_alternates(g, true);
        if (g->p >= g->end || *g->p != ')')
            bad(g, FT_EINVAL, "( is not closed");
        g->p++;
    } else if (name_char(c)) {
        struct ft_str name = read_name(g);
        emit(g, FT_G_CALL, rule_index(g, name), 0);
    } else {
        return false;
    }
    parse_postfix(g, from, nested);
    return true;
}

static void parse_alternates(struct parser *g, bool nested)
{
    if (++g->depth > DEPTH_MAX)
        bad(g, FT_EUNSUPPORTED, "groups nested too deeply");
    uint32_t last = UINT32_MAX; /* jumps to the end, chained */
    for (;;) {
        size_t from = g->n_code;
        while (parse_element(g, nested))
            ;
        skip_space(g, nested);
        if (g->p >= g->end || *g->p != '|')
            break;
        g->p++;
        skip_space(g, true);
        /* jumps already chained stand before `from`, so nothing of theirs moves */
        shift_code(g, from, 1);
        last = emit(g, FT_G_JUMP, last, 0);
        g->code[from] =
            (struct ft_ginst){.op = FT_G_SPLIT, .x = (uint32_t)from + 1, .y = (uint32_t)g->n_code};
    }
    while (last != UINT32_MAX) {
        uint32_t next = g->code[last].x;
        g->code[last].x = (uint32_t)g->n_code;
        last = next;
    }
    g->depth--;
}

static void parse_rule(struct parser *g)
{
    const char *at = g->p;
    struct ft_str name = read_name(g);
    uint32_t r = rule_index(g, name);
    skip_space(g, false);
    if (g->end - g->p < 3 || memcmp(g->p, "::=", 3) != 0)
        bad(g, FT_EINVAL, "'::=' was expected");
    g->p += 3;
    skip_space(g, true);
    if (g->rules[r].defined) {
        g->p = at;
        bad(g, FT_EINVAL, "a rule is defined twice");
    }
    uint32_t start = (uint32_t)g->n_code;
    parse_alternates(g, false);
    emit(g, FT_G_RETURN, 0, 0);
    g->rules[r].start = start;
    g->rules[r].end = (uint32_t)g->n_code;
    g->rules[r].defined = true;
    if (g->p < g->end && *g->p != '\n' && *g->p != '\r')
        bad(g, FT_EINVAL, "an unexpected character");
    skip_space(g, true);
}

/* ---- checks ---- */

/* Code of rule r that can be reached without reading a character; calls of rules that may be empty
 * are passed. `visit` sees every call on the way. Returns whether the rule's end is reached. */
static bool reach_empty(struct parser *g, uint32_t r, uint8_t *seen, uint32_t *stack,
                        uint32_t *calls, size_t *n_calls)
{
    const struct rule *rule = &g->rules[r];
    uint32_t top = 0;
    bool end = false;
    memset(seen + rule->start, 0, rule->end - rule->start);
    ft_cx_work(g->cx, rule->end - rule->start);
    stack[top++] = rule->start;
    while (top > 0) {
        uint32_t pc = stack[--top];
        if (seen[pc])
            continue;
        seen[pc] = 1;
        const struct ft_ginst *in = &g->code[pc];
        switch (in->op) {
        case FT_G_SPLIT:
            stack[top++] = in->x;
            stack[top++] = in->y;
            break;
        case FT_G_JUMP:
            stack[top++] = in->x;
            break;
        case FT_G_CALL:
            if (calls != NULL)
                calls[(*n_calls)++] = in->x;
            if (g->rules[in->x].nullable)
                stack[top++] = pc + 1;
            break;
        case FT_G_RETURN:
            end = true;
            break;
        default:
            break;
        }
    }
    return end;
}

/* Depth-first search for a cycle of calls that reads nothing; an explicit stack, as rules are many.
 */
static void check_left_recursion(struct parser *g, uint8_t *seen, uint32_t *stack)
{
    struct {
        uint32_t rule;
        uint32_t *calls;
        size_t n, at;
    } *path = ft_cx_alloc(g->cx, g->n_rules + 1, sizeof *path);
    for (uint32_t first = 0; first < g->n_rules; first++) {
        size_t depth = 0;
        uint32_t enter = first;
        for (bool entering = !g->rules[first].done; entering || depth > 0;) {
            if (entering) {
                struct rule *r = &g->rules[enter];
                r->busy = true;
                path[depth].rule = enter;
                path[depth].calls = ft_cx_alloc(g->cx, r->end - r->start, sizeof(uint32_t));
                path[depth].n = path[depth].at = 0;
                reach_empty(g, enter, seen, stack, path[depth].calls, &path[depth].n);
                depth++;
                entering = false;
            }
            if (path[depth - 1].at == path[depth - 1].n) {
                g->rules[path[depth - 1].rule].busy = false;
                g->rules[path[depth - 1].rule].done = true;
                depth--;
                continue;
            }
            enter = path[depth - 1].calls[path[depth - 1].at++];
            if (g->rules[enter].busy)
                ft_cx_fail(g->cx, FT_EUNSUPPORTED, "grammar: rule %.*s is left-recursive",
                           (int)FT_MIN(g->rules[enter].name.n, 100u), g->rules[enter].name.p);
            entering = !g->rules[enter].done;
        }
    }
}

/* Marks code from which its rule's return can be reached through rules that end. */
static void mark_live(struct parser *g)
{
    for (bool more = true; more;) {
        more = false;
        ft_cx_work(g->cx, g->n_code);
        for (size_t i = g->n_code; i-- > 0;) {
            struct ft_ginst *in = &g->code[i];
            if (in->live)
                continue;
            switch (in->op) {
            case FT_G_SET:
                in->live = g->sets[in->x].n != 0 && g->code[i + 1].live;
                break;
            case FT_G_SPLIT:
                in->live = g->code[in->x].live || g->code[in->y].live;
                break;
            case FT_G_JUMP:
                in->live = g->code[in->x].live;
                break;
            case FT_G_CALL:
                in->live = g->code[g->rules[in->x].start].live && g->code[i + 1].live;
                break;
            default:
                in->live = true;
            }
            more = more || in->live;
        }
    }
}

static void check(struct parser *g)
{
    for (size_t i = 0; i < g->n_rules; i++)
        if (!g->rules[i].defined)
            ft_cx_fail(g->cx, FT_EINVAL, "grammar: rule %.*s is not defined",
                       (int)FT_MIN(g->rules[i].name.n, 100u), g->rules[i].name.p);
    uint8_t *seen = ft_cx_alloc(g->cx, g->n_code, 1);
    uint32_t *stack = ft_cx_alloc(g->cx, g->n_code * 2 + 2, sizeof *stack);
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < g->n_rules; i++)
            if (!g->rules[i].nullable && reach_empty(g, i, seen, stack, NULL, NULL))
                g->rules[i].nullable = more = true;
    }
    check_left_recursion(g, seen, stack);
    mark_live(g);
}

struct ft_gbnf *ft_gbnf_compile(struct ft_cx *cx, const char *text, size_t n)
{
    cx->what = "grammar";
    if (n > FT_GBNF_BYTES_MAX)
        ft_cx_fail(cx, FT_ELIMIT, "grammar: longer than %zu bytes", FT_GBNF_BYTES_MAX);
    struct parser *g = ft_cx_alloc(cx, 1, sizeof *g);
    g->cx = cx;
    g->p = g->start = text;
    g->end = text + n;
    uint32_t root = rule_index(g, (struct ft_str){"root", 4});
    skip_space(g, true);
    while (g->p < g->end)
        parse_rule(g);
    check(g);
    if (!g->code[g->rules[root].start].live)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "grammar: no text matches it");
    struct ft_gbnf *r = ft_cx_keep(cx, 1, sizeof *r);
    r->n_code = (uint32_t)g->n_code;
    r->n_sets = (uint32_t)g->n_sets;
    r->root = g->rules[root].start;
    r->code = ft_cx_keep(cx, g->n_code, sizeof *r->code);
    r->sets = ft_cx_keep(cx, g->n_sets, sizeof *r->sets);
    memcpy(r->code, g->code, g->n_code * sizeof *r->code);
    for (size_t i = 0; i < g->n_code; i++)
        if (r->code[i].op == FT_G_CALL)
            r->code[i].x = g->rules[r->code[i].x].start;
    for (size_t i = 0; i < g->n_sets; i++) {
        uint32_t(*iv)[2] = ft_cx_keep(cx, g->sets[i].n, sizeof *iv);
        if (g->sets[i].n != 0)
            memcpy(iv, g->sets[i].iv, g->sets[i].n * sizeof *iv);
        r->sets[i] = (struct ft_gset){(uint32_t)g->sets[i].n, iv};
    }
    return r;
}
