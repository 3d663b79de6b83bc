/* Calls written as JSON: Hermes and Qwen ({"name", "arguments"}), Llama ({"name", "parameters"} and
 * <|python_tag|>), DeepSeek V3 to V3.1 (name, then an object of arguments between markers).
 *
 * The arguments are checked byte by byte and given on as they are written; nothing is decoded but
 * names, and arguments that came as a string. */
#include <stdlib.h>
#include <string.h>

#include "model/chat/parse_impl.h"

/* ---- JSON, byte by byte (RFC 8259) ---- */

enum {
    J_VALUE,        /* a value is due */
    J_VALUE_OR_END, /* after "[" */
    J_KEY_OR_END,   /* after "{" */
    J_KEY,          /* after "," in an object */
    J_COLON,
    J_AFTER, /* after a value */
    J_STRING,
    J_ESCAPE,
    J_HEX,
    J_LITERAL,
    J_MINUS,
    J_ZERO,
    J_INT,
    J_POINT,
    J_FRAC,
    J_E,
    J_E_SIGN,
    J_EXP,
};

void fp_json_init(struct fp_json *j)
{
    *j = (struct fp_json){.state = J_VALUE};
}

static bool in_object(const struct fp_json *j)
{
    int d = j->depth - 1;
    return (j->stack[d / 8] >> (d % 8) & 1) != 0;
}

static enum fp_event value_done(struct fp_json *j)
{
    j->state = J_AFTER;
    if (j->depth == 0)
        return FP_END;
    return j->depth == 1 ? FP_VALUE_END : FP_NONE;
}

static enum fp_event open_nested(struct fp_json *j, bool object)
{
    if (j->depth == FP_JSON_DEPTH_MAX)
        return FP_BAD;
    int d = j->depth++;
    unsigned char bit = (unsigned char)(1u << (d % 8));
    j->stack[d / 8] = (unsigned char)(object ? j->stack[d / 8] | bit : j->stack[d / 8] & ~bit);
    j->state = object ? J_KEY_OR_END : J_VALUE_OR_END;
    return FP_NONE;
}

static enum fp_event begin_value(struct fp_json *j, unsigned char c)
{
    enum fp_event e = j->depth == 1 ? FP_VALUE_BEGIN : FP_NONE;
    j->key = false;
    switch (c) {
    case '{':
    case '[':
        return open_nested(j, c == '{') == FP_BAD ? FP_BAD : e;
    case '"':
        j->state = J_STRING;
        return e;
    case '-':
        j->state = J_MINUS;
        return e;
    case '0':
        j->state = J_ZERO;
        return e;
    case 't':
    case 'f':
    case 'n':
        j->state = J_LITERAL;
        j->literal = c == 't' ? "true" : c == 'f' ? "false" : "null";
        j->literal_at = 1;
        return e;
    default:
        if (c < '1' || c > '9')
            return FP_BAD;
        j->state = J_INT;
        return e;
    }
}

static enum fp_event close_nested(struct fp_json *j, bool object)
{
    if (j->depth == 0 || in_object(j) != object)
        return FP_BAD;
    j->depth--;
    return value_done(j);
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* Numbers end at the first byte that is not theirs. */
static enum fp_event number_feed(struct fp_json *j, unsigned char c, bool *consumed)
{
    static const unsigned char on_digit[] = {
        [J_MINUS] = J_INT, [J_INT] = J_INT,    [J_POINT] = J_FRAC, [J_FRAC] = J_FRAC,
        [J_E] = J_EXP,     [J_E_SIGN] = J_EXP, [J_EXP] = J_EXP,    [J_ZERO] = 0};
    unsigned char s = j->state;
    if (is_digit(c) && s != J_ZERO) {
        j->state = s == J_MINUS && c == '0' ? J_ZERO : on_digit[s];
        return FP_NONE;
    }
    if (c == '.' && (s == J_INT || s == J_ZERO)) {
        j->state = J_POINT;
        return FP_NONE;
    }
    if ((c | 32) == 'e' && (s == J_INT || s == J_ZERO || s == J_FRAC)) {
        j->state = J_E;
        return FP_NONE;
    }
    if ((c == '+' || c == '-') && s == J_E) {
        j->state = J_E_SIGN;
        return FP_NONE;
    }
    if (s != J_INT && s != J_ZERO && s != J_FRAC && s != J_EXP)
        return FP_BAD;
    *consumed = false;
    return value_done(j);
}

static enum fp_event string_feed(struct fp_json *j, unsigned char c)
{
    if (j->state == J_HEX) {
        if (!is_digit(c) && !((c | 32) >= 'a' && (c | 32) <= 'f'))
            return FP_BAD;
        if (--j->hex_left == 0)
            j->state = J_STRING;
        return FP_NONE;
    }
    if (j->state == J_ESCAPE) {
        if (c == 'u') {
            j->state = J_HEX;
            j->hex_left = 4;
            return FP_NONE;
        }
        j->state = J_STRING;
        return c != 0 && strchr("\"\\/bfnrt", c) != NULL ? FP_NONE : FP_BAD;
    }
    if (c == '\\')
        j->state = J_ESCAPE;
    else if (c < 0x20)
        return FP_BAD;
    if (c != '"')
        return FP_NONE;
    if (j->key) {
        j->state = J_COLON;
        return j->depth == 1 ? FP_KEY : FP_NONE;
    }
    return value_done(j);
}

enum fp_event fp_json_feed(struct fp_json *j, unsigned char c, bool *consumed)
{
    *consumed = true;
    switch (j->state) {
    case J_STRING:
    case J_ESCAPE:
    case J_HEX:
        return string_feed(j, c);
    case J_LITERAL:
        if (c != (unsigned char)j->literal[j->literal_at])
            return FP_BAD;
        return j->literal[++j->literal_at] == '\0' ? value_done(j) : FP_NONE;
    case J_MINUS:
    case J_ZERO:
    case J_INT:
    case J_POINT:
    case J_FRAC:
    case J_E:
    case J_E_SIGN:
    case J_EXP:
        return number_feed(j, c, consumed);
    default:
        break;
    }
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        return FP_NONE;
    switch (j->state) {
    case J_VALUE_OR_END:
        return c == ']' ? close_nested(j, false) : begin_value(j, c);
    case J_VALUE:
        return begin_value(j, c);
    case J_KEY_OR_END:
    case J_KEY:
        if (c == '}' && j->state == J_KEY_OR_END)
            return close_nested(j, true);
        j->key = true;
        j->state = J_STRING;
        return c == '"' ? FP_NONE : FP_BAD;
    case J_COLON:
        j->state = J_VALUE;
        return c == ':' ? FP_NONE : FP_BAD;
    default: /* J_AFTER */
        if (c == '}' || c == ']')
            return close_nested(j, c == '}');
        if (c != ',' || j->depth == 0)
            return FP_BAD;
        j->state = in_object(j) ? J_KEY : J_VALUE;
        return FP_NONE;
    }
}

/* ---- {"name": ..., "arguments": ...} ---- */

enum { FIELD_NAME, FIELD_ARGS, FIELD_OTHER };

/* The string that raw holds from `from` on, decoded into out. */
static bool decode_string(struct ft_buf *out, const char *s, size_t n)
{
    json_t *v = json_loadb(s, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool ok = json_is_string(v);
    ft_buf_reset(out);
    if (ok)
        ok = ft_buf_add(out, json_string_value(v), json_string_length(v)) == 0;
    json_decref(v);
    return ok;
}

static bool begin_named(struct ft_chat_parser *p)
{
    bool known;
    if (!fp_name_ok(&p->name))
        return false;
    fp_tool_schema(p, p->name.data, p->name.len, &known);
    if (p->dialect == FT_DIALECT_LLAMA3 && !known) /* JSON that only looks like a call */
        return false;
    fp_call_begin(p, p->name.data, p->name.len);
    return true;
}

/* Where a grammar knows a call by how it begins, only what it knows may be one: a name, perhaps
 * behind a type, before the arguments; nothing escaped. */
static bool is_strict(const struct ft_chat_parser *p)
{
    return p->dialect == FT_DIALECT_LLAMA3 && p->bound != FT_CHAT_UNBOUND;
}

static bool strict_key(const struct ft_chat_parser *p, const char *key)
{
    bool plain = memchr(p->raw.data + p->token_from, '\\', p->raw.len - p->token_from) == NULL;
    bool first = strcmp(key, "name") == 0 || strcmp(key, "type") == 0;
    return plain && first != p->name_known && strcmp(key, "function") != 0;
}

static bool strict_value(const struct ft_chat_parser *p, const char *s, size_t n)
{
    if (p->field == FIELD_OTHER)
        return n == 10 && memcmp(s, "\"function\"", 10) == 0;
    size_t run = 0;
    for (size_t i = 0; p->field == FIELD_NAME && i < p->raw.len; i++) {
        run = fp_is_space(p->raw.data[i]) ? run + 1 : 0;
        if (run > FT_CHAT_BOUND_SPACES_MAX)
            return false;
    }
    return p->field == FIELD_ARGS || memchr(s, '\\', n) == NULL;
}

static bool key_seen(struct ft_chat_parser *p)
{
    static const char *const fields[] = {"name", "arguments", "parameters",
                                         "type", "id",        "function"};
    if (!decode_string(&p->key, p->raw.data + p->token_from, p->raw.len - p->token_from))
        return false;
    for (size_t i = 0; i < FT_COUNT(fields); i++) {
        if (p->key.data == NULL || strcmp(p->key.data, fields[i]) != 0)
            continue;
        if (is_strict(p) && !strict_key(p, fields[i]))
            return false;
        p->field = i == 0 || i == 5 ? FIELD_NAME : i <= 2 ? FIELD_ARGS : FIELD_OTHER;
        return p->field == FIELD_OTHER || !(p->field == FIELD_NAME ? p->name_known : p->args_known);
    }
    return false;
}

/* A value of the call's object ended; its text is raw[token_from .. end). */
static bool value_seen(struct ft_chat_parser *p, size_t end)
{
    const char *s = p->raw.data + p->token_from;
    size_t n = end - p->token_from;
    if (is_strict(p) && !strict_value(p, s, n))
        return false;
    if (p->field == FIELD_NAME) {
        p->name_known = decode_string(&p->name, s, n) && begin_named(p);
        return p->name_known;
    }
    if (p->field != FIELD_ARGS)
        return true;
    p->args_known = true;
    if (p->streaming) {
        fp_call_args(p, p->raw.data + p->args_sent, end - p->args_sent);
        p->streaming = false;
        return true;
    }
    if (s[0] == '"') { /* the arguments' JSON text as a string */
        json_t *v = NULL;
        if (!decode_string(&p->args, s, n) ||
            (v = json_loadb(p->args.len != 0 ? p->args.data : "", p->args.len, JSON_ALLOW_NUL,
                            NULL)) == NULL)
            return false;
        bool object = json_is_object(v);
        json_decref(v);
        return object;
    }
    ft_buf_reset(&p->args);
    bool null = n == 4 && memcmp(s, "null", 4) == 0;
    if (s[0] != '{' && !null)
        return false;
    return ft_buf_add(&p->args, null ? "{}" : s, null ? 2 : n) == 0;
}

static bool call_done(struct ft_chat_parser *p)
{
    if (!p->name_known)
        return false;
    if (!p->args_known)
        fp_call_args(p, "{}", 2);
    else if (p->args.len != 0)
        fp_call_args(p, p->args.data, p->args.len);
    return true;
}

/* Feeds the object; FP_DONE when it is closed. */
static enum fp_step object_feed(struct ft_chat_parser *p, char c)
{
    bool consumed = false;
    while (!consumed) {
        unsigned char before = p->json.state;
        enum fp_event e = fp_json_feed(&p->json, (unsigned char)c, &consumed);
        switch (e) {
        case FP_BAD:
            return FP_BROKEN;
        case FP_KEY:
            if (!key_seen(p))
                return FP_BROKEN;
            break;
        case FP_VALUE_BEGIN:
            p->token_from = p->raw.len - 1;
            if (p->field == FIELD_ARGS && c == '{' && p->begun) {
                p->streaming = true;
                p->args_sent = p->token_from;
            }
            break;
        case FP_VALUE_END:
            if (!value_seen(p, p->raw.len - !consumed))
                return FP_BROKEN;
            break;
        case FP_END:
            return call_done(p) ? FP_DONE : FP_BROKEN;
        default:
            if (before == J_KEY_OR_END || before == J_KEY) /* a key may just have begun */
                p->token_from = p->json.depth == 1 && c == '"' ? p->raw.len - 1 : p->token_from;
        }
    }
    if (p->streaming && p->raw.len > p->args_sent) {
        fp_call_args(p, p->raw.data + p->args_sent, p->raw.len - p->args_sent);
        p->args_sent = p->raw.len;
    }
    return FP_MORE;
}

static enum fp_step next_call(struct ft_chat_parser *p)
{
    fp_json_init(&p->json);
    p->stage = ST_JSON;
    p->name_known = p->args_known = p->streaming = false;
    p->match.n = 0;
    ft_buf_reset(&p->name);
    ft_buf_reset(&p->args);
    return object_feed(p, '{');
}

/* After an object: the closing tag, or another object. */
static enum fp_step json_tail(struct ft_chat_parser *p, char c)
{
    static const char *const end[] = {"</tool_call>"};
    if (c == '{' && p->match.n == 0) {
        p->raw.data[0] = '{';
        p->raw.len = 1;
        return next_call(p);
    }
    if (p->dialect == FT_DIALECT_LLAMA3)
        return fp_is_space(c) || c == ';' ? FP_MORE : FP_BROKEN;
    int m = fp_tail_feed(p, end, 1, c);
    return m == 0 ? FP_DONE : m == -1 ? FP_MORE : FP_BROKEN;
}

enum fp_step fp_json_call(struct ft_chat_parser *p, char c)
{
    enum fp_step s;
    switch (p->stage) {
    case ST_START:
        if (fp_is_space(c))
            return FP_MORE;
        return c == '{' ? next_call(p) : FP_BROKEN;
    case ST_PYTHON: /* JSON after <|python_tag|>, or code up to the end of the answer */
        if (fp_is_space(c))
            return FP_MORE;
        if (c == '{')
            return next_call(p);
        p->stage = ST_BODY;
        p->token_from = p->raw.len - 1;
        return FP_MORE;
    case ST_BODY:
        return FP_MORE;
    case ST_JSON:
        s = object_feed(p, c);
        if (s != FP_DONE)
            return s;
        fp_call_end(p);
        p->stage = ST_TAIL;
        return FP_MORE;
    default:
        return json_tail(p, c);
    }
}

/* ---- Llama's built-in tools: name.call(key="value", ...), or Python code ---- */

static bool ident(char c)
{
    return c == '_' || is_digit((unsigned char)c) || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Reads key="..." up to a quote that ends the value: one before ")" at the end or before `, key="`.
 */
static const char *builtin_arg(const char *s, const char *end, json_t *args)
{
    const char *k = s;
    while (k < end && ident(*k))
        k++;
    if (k == s || end - k < 3 || k[0] != '=' || k[1] != '"')
        return NULL;
    for (const char *q = k + 2; q < end; q++) {
        if (*q != '"')
            continue;
        const char *n = q + 1;
        bool last = n + 1 == end && *n == ')';
        if (end - n > 2 && n[0] == ',' && n[1] == ' ') {
            for (n += 2; n < end && ident(*n); n++)
                ;
            if (end - n < 2 || n[0] != '=' || n[1] != '"')
                continue;
        } else if (!last) {
            continue;
        }
        char key[FP_NAME_BYTES_MAX];
        if (k - s >= (ptrdiff_t)sizeof key)
            return NULL;
        memcpy(key, s, (size_t)(k - s));
        key[k - s] = '\0';
        json_t *value = json_stringn(k + 2, (size_t)(q - k - 2));
        if (value == NULL || json_object_set_new(args, key, value) != 0)
            return NULL;
        return last ? end : q + 3;
    }
    return NULL;
}

static bool give_call(struct ft_chat_parser *p, const char *name, size_t n, json_t *args)
{
    char *text = json_dumps(args, 0);
    if (text == NULL)
        return false;
    fp_call_begin(p, name, n);
    fp_call_args(p, text, strlen(text));
    free(text);
    fp_call_end(p);
    return true;
}

enum fp_step fp_python_call(struct ft_chat_parser *p)
{
    const char *s = p->raw.data + p->token_from, *end = p->raw.data + p->raw.len, *q = s;
    while (q < end && ident(*q))
        q++;
    json_t *args = json_object();
    bool ok = false;
    if (args != NULL && q > s && end - q >= 7 && memcmp(q, ".call(", 6) == 0) {
        const char *a = q + 6;
        if (a + 1 == end && *a == ')')
            a = end;
        while (a != NULL && a < end)
            a = builtin_arg(a, end, args);
        ok = a != NULL && give_call(p, s, (size_t)(q - s), args);
    }
    bool interpreter = false;
    fp_tool_schema(p, "code_interpreter", 16, &interpreter);
    if (!ok && interpreter && args != NULL) {
        json_object_clear(args);
        ok = json_object_set_new(args, "code", json_stringn(s, (size_t)(end - s))) == 0 &&
             give_call(p, "code_interpreter", 16, args);
    }
    json_decref(args);
    return ok ? FP_DONE : FP_BROKEN;
}

/* ---- DeepSeek ---- */

#define CALL_BEGIN "<｜tool▁call▁begin｜>"
#define SEP        "<｜tool▁sep｜>"
#define CALL_END   "<｜tool▁call▁end｜>"
#define CALLS_END  "<｜tool▁calls▁end｜>"

static void trim(struct ft_buf *b)
{
    while (b->len > 0 && fp_is_space(b->data[b->len - 1]))
        b->data[--b->len] = '\0';
}

/* The arguments: an object, streamed; or a string that holds one. */
static enum fp_step args_feed(struct ft_chat_parser *p, char c)
{
    bool consumed = false;
    enum fp_event e = FP_NONE;
    while (!consumed) { /* the arguments are no number: their end is always consumed */
        e = fp_json_feed(&p->json, (unsigned char)c, &consumed);
        if (e == FP_BAD)
            return FP_BROKEN;
    }
    if (p->streaming) {
        fp_call_args(p, &c, 1);
    } else if (e == FP_END) {
        json_t *v = NULL;
        if (decode_string(&p->args, p->raw.data + p->token_from, p->raw.len - p->token_from) &&
            p->args.len != 0)
            v = json_loadb(p->args.data, p->args.len, JSON_ALLOW_NUL, NULL);
        bool object = json_is_object(v);
        json_decref(v);
        if (!object)
            return FP_BROKEN;
        fp_call_args(p, p->args.data, p->args.len);
    }
    return e == FP_END ? FP_DONE : FP_MORE;
}

static enum fp_step args_begin(struct ft_chat_parser *p, char c)
{
    if (c != '{' && c != '"')
        return FP_BROKEN;
    if (!fp_name_ok(&p->name))
        return FP_BROKEN;
    fp_call_begin(p, p->name.data, p->name.len);
    fp_json_init(&p->json);
    p->streaming = c == '{';
    p->token_from = p->raw.len - 1;
    p->stage = ST_JSON;
    return args_feed(p, c);
}

/* V3: the name's line and the fence after the separator; V3.1: the arguments right away. */
static enum fp_step deepseek_fence(struct ft_chat_parser *p, char c)
{
    if (p->key.len == 0 && (fp_is_space(c) || c == '{' || c == '"'))
        return fp_is_space(c) ? FP_MORE : args_begin(p, c);
    if (p->key.len > FP_NAME_BYTES_MAX + 16)
        return FP_BROKEN;
    if (fp_ends_with(&p->key, "\n```json")) {
        if (fp_is_space(c))
            return FP_MORE;
        p->key.len -= strlen("\n```json");
        p->key.data[p->key.len] = '\0';
        trim(&p->key);
        ft_buf_reset(&p->name);
        p->failed |= ft_buf_add(&p->name, p->key.data, p->key.len) != 0;
        return args_begin(p, c);
    }
    p->failed |= ft_buf_add_byte(&p->key, (unsigned char)c) != 0;
    return FP_MORE;
}

enum fp_step fp_deepseek_call(struct ft_chat_parser *p, char c)
{
    static const char *const call_end[] = {CALL_END, "```"};
    static const char *const next[] = {CALL_BEGIN, CALLS_END};
    enum fp_step s;
    int m;
    switch (p->stage) {
    case ST_START: /* after the outer marker */
        m = fp_tail_feed(p, next, 1, c);
        if (m == 0)
            p->stage = ST_NAME;
        return m == -2 ? FP_BROKEN : FP_MORE;
    case ST_NAME:
        p->failed |= ft_buf_add_byte(&p->name, (unsigned char)c) != 0;
        if (!fp_ends_with(&p->name, SEP))
            return p->name.len > FP_NAME_BYTES_MAX + 16 ? FP_BROKEN : FP_MORE;
        p->name.len -= strlen(SEP);
        p->name.data[p->name.len] = '\0';
        trim(&p->name);
        p->stage = ST_FENCE;
        return FP_MORE;
    case ST_FENCE:
        return deepseek_fence(p, c);
    case ST_JSON:
        s = args_feed(p, c);
        if (s == FP_DONE) {
            p->stage = ST_TAIL;
            return FP_MORE;
        }
        return s;
    case ST_TAIL:
        m = fp_tail_feed(p, call_end, 2, c);
        if (m == 0) {
            fp_call_end(p);
            p->stage = ST_BODY;
        }
        return m == -2 ? FP_BROKEN : FP_MORE;
    default: /* between calls */
        m = fp_tail_feed(p, next, 2, c);
        if (m == 0) {
            ft_buf_reset(&p->name);
            ft_buf_reset(&p->key);
            p->stage = ST_NAME;
        }
        return m == -2 ? FP_BROKEN : m == 1 ? FP_DONE : FP_MORE;
    }
}

bool fp_call_complete(struct ft_chat_parser *p)
{
    if (p->dialect == FT_DIALECT_LLAMA3 && p->stage == ST_BODY)
        return fp_python_call(p) == FP_DONE;
    if (p->dialect == FT_DIALECT_HERMES || p->dialect == FT_DIALECT_LLAMA3)
        return p->stage == ST_TAIL && !p->begun;
    if (p->dialect == FT_DIALECT_QWEN_XML || p->dialect == FT_DIALECT_DEEPSEEK_V32)
        return p->stage == ST_TAIL && !p->begun;
    if (p->stage == ST_TAIL && p->begun) { /* only the marker is missing */
        fp_call_end(p);
        return true;
    }
    return p->stage == ST_BODY && !p->begun;
}
