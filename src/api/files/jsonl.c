/* A machine over bytes with a stack of bits: is the level an array, or an object?
 *
 *   LINE --{--> NAME_OR_END --"--> string --> COLON --:--> VALUE --...--> NEXT --}--> ... TAIL
 */
#include "api/files/jsonl.h"

#include <string.h>

#include "base/utf8.h"

enum state {
    LINE, /* of the line nothing but white space yet */
    VALUE,
    VALUE_OR_END, /* behind '[' */
    NAME_OR_END,  /* behind '{' */
    NAME,         /* behind ',' in an object */
    COLON,
    NEXT,   /* behind a value */
    STRING, /* in one */
    ESCAPE,
    HEX,
    LITERAL,
    MINUS, /* numbers, by what was read last */
    ZERO,
    INT,
    POINT,
    FRACTION,
    EXP,
    EXP_SIGN,
    EXP_DIGITS,
    TAIL /* the object is whole; white space may follow */
};

void ft_jsonl_init(struct ft_jsonl *j)
{
    *j = (struct ft_jsonl){.line = 1};
}

static void fail(struct ft_jsonl *j, const char *why)
{
    j->failed = true;
    ft_err_set(&j->err, FT_EINVAL, "line %lld: %s", (long long)j->line, why);
}

static void push(struct ft_jsonl *j, bool array)
{
    if (j->depth == FT_JSONL_DEPTH_MAX) {
        fail(j, "nested too deeply");
        return;
    }
    uint8_t *byte = &j->is_array[j->depth / 8], bit = (uint8_t)(1u << (j->depth % 8));
    *byte = array ? *byte | bit : *byte & (uint8_t)~bit;
    j->depth++;
    j->state = array ? VALUE_OR_END : NAME_OR_END;
}

static bool in_array(const struct ft_jsonl *j)
{
    int level = j->depth - 1;
    return (j->is_array[level / 8] >> (level % 8) & 1) != 0;
}

static void pop(struct ft_jsonl *j)
{
    j->state = --j->depth == 0 ? TAIL : NEXT;
    j->n_objects += j->depth == 0;
}

static void begin_string(struct ft_jsonl *j, bool is_name)
{
    j->state = STRING;
    j->is_name = is_name;
}

static void begin_literal(struct ft_jsonl *j, const char *rest)
{
    j->state = LITERAL;
    j->literal = rest;
}

static void value_byte(struct ft_jsonl *j, unsigned char c)
{
    if (c == '{' || c == '[')
        push(j, c == '[');
    else if (c == ']' && j->state == VALUE_OR_END)
        pop(j);
    else if (c == '"')
        begin_string(j, false);
    else if (c == 't')
        begin_literal(j, "rue");
    else if (c == 'f')
        begin_literal(j, "alse");
    else if (c == 'n')
        begin_literal(j, "ull");
    else if (c == '-')
        j->state = MINUS;
    else if (c == '0')
        j->state = ZERO;
    else if (c >= '1' && c <= '9')
        j->state = INT;
    else
        fail(j, "is not valid JSON: a value is expected");
}

static void next_byte(struct ft_jsonl *j, unsigned char c)
{
    bool array = in_array(j);
    if (c == ',')
        j->state = array ? VALUE : NAME;
    else if (c == (array ? ']' : '}'))
        pop(j);
    else
        fail(j, array ? "is not valid JSON: ',' or ']' is expected"
                      : "is not valid JSON: ',' or '}' is expected");
}

static void string_byte(struct ft_jsonl *j, unsigned char c)
{
    if (j->utf8_left > 0) {
        if (c < j->utf8_low || c > j->utf8_high) {
            fail(j, "is not UTF-8");
            return;
        }
        j->utf8_left--;
        j->utf8_low = 0x80;
        j->utf8_high = 0xbf;
    } else if (c == '"') {
        j->state = j->is_name ? COLON : NEXT;
    } else if (c == '\\') {
        j->state = ESCAPE;
    } else if (c < ' ') {
        fail(j, "is not valid JSON: a control character in a string");
    } else if (c >= 0x80) {
        int len = ft_utf8_lead_len(c);
        if (len == 0) {
            fail(j, "is not UTF-8");
            return;
        }
        j->utf8_left = (uint8_t)(len - 1);
        j->utf8_low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        j->utf8_high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    }
}

static void escape_byte(struct ft_jsonl *j, unsigned char c)
{
    if (c == 'u') {
        j->state = HEX;
        j->left = 4;
    } else if (c != '\0' && strchr("\"\\/bfnrt", c) != NULL) {
        j->state = STRING;
    } else {
        fail(j, "is not valid JSON: an escape that there is not");
    }
}

static void hex_byte(struct ft_jsonl *j, unsigned char c)
{
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
        fail(j, "is not valid JSON: \\u without four digits");
    else if (--j->left == 0)
        j->state = STRING;
}

/* False: the byte is not the number's. */
static bool number_byte(struct ft_jsonl *j, unsigned char c)
{
    bool digit = c >= '0' && c <= '9', e = c == 'e' || c == 'E';
    enum state s = j->state;
    if (digit && s != ZERO)
        j->state = s == MINUS   ? (c == '0' ? ZERO : INT)
                   : s == POINT ? FRACTION
                   : s >= EXP   ? EXP_DIGITS
                                : s;
    else if (c == '.' && (s == ZERO || s == INT))
        j->state = POINT;
    else if (e && (s == ZERO || s == INT || s == FRACTION))
        j->state = EXP;
    else if ((c == '+' || c == '-') && s == EXP)
        j->state = EXP_SIGN;
    else if (s == ZERO || s == INT || s == FRACTION || s == EXP_DIGITS) {
        j->state = NEXT;
        return false;
    } else {
        fail(j, "is not valid JSON: a number that is none");
    }
    return true;
}

static void byte(struct ft_jsonl *j, unsigned char c)
{
    bool space = c == ' ' || c == '\t' || c == '\r';
    if (j->state >= MINUS && j->state <= EXP_DIGITS && number_byte(j, c))
        return;
    if (j->failed || (space && (j->state <= NEXT || j->state == TAIL)))
        return;
    switch ((enum state)j->state) {
    case LINE:
        if (c == '{')
            push(j, false);
        else
            fail(j, "is not a JSON object");
        break;
    case VALUE:
    case VALUE_OR_END:
        value_byte(j, c);
        break;
    case NAME_OR_END:
    case NAME:
        if (c == '"')
            begin_string(j, true);
        else if (c == '}' && j->state == NAME_OR_END)
            pop(j);
        else
            fail(j, "is not valid JSON: a member's name is expected");
        break;
    case COLON:
        if (c == ':')
            j->state = VALUE;
        else
            fail(j, "is not valid JSON: ':' is expected");
        break;
    case NEXT:
        next_byte(j, c);
        break;
    case STRING:
        string_byte(j, c);
        break;
    case ESCAPE:
        escape_byte(j, c);
        break;
    case HEX:
        hex_byte(j, c);
        break;
    case LITERAL:
        if (c != (unsigned char)*j->literal)
            fail(j, "is not valid JSON: a value is expected");
        else if (*++j->literal == '\0')
            j->state = NEXT;
        break;
    case TAIL:
        fail(j, "has something behind its object");
        break;
    default:
        break; /* numbers */
    }
}

void ft_jsonl_feed(struct ft_jsonl *j, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n && !j->failed; i++) {
        if (p[i] != '\n') {
            if (++j->line_bytes > FT_JSONL_LINE_MAX)
                fail(j, "is longer than 16 MiB");
            else
                byte(j, p[i]);
        } else if (j->state != LINE && j->state != TAIL) {
            fail(j, "is not valid JSON: it ends too early");
        } else {
            j->state = LINE;
            j->line++;
            j->line_bytes = 0;
        }
    }
}

int ft_jsonl_end(struct ft_jsonl *j, struct ft_err *err)
{
    if (!j->failed && j->state != LINE && j->state != TAIL)
        fail(j, "is not valid JSON: it ends too early");
    if (!j->failed && j->n_objects == 0)
        return ft_err_set(err, FT_EINVAL, "the file has no lines");
    if (!j->failed)
        return 0;
    return ft_err_set(err, FT_EINVAL, "%s", j->err.msg);
}
