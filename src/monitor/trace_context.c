/* W3C Trace Context (https://www.w3.org/TR/trace-context/) and OpenTelemetry's list of headers,
 * read from outside bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "monitor/trace.h"

#define PARENT_CHARS 55 /* of version 00 */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 2n lower-case digits; false: others, or all zero. */
static bool take_bytes(const char *text, size_t n, uint8_t *ret)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        int hi = digit(text[2 * i]), lo = hi < 0 ? -1 : digit(text[2 * i + 1]);
        if (lo < 0)
            return false;
        ret[i] = (uint8_t)(hi << 4 | lo);
        any |= ret[i] != 0;
    }
    return any;
}

bool ft_trace_parent_parse(const char *text, struct ft_trace_context *ret)
{
    struct ft_trace_context c = {.has_parent = true};
    size_t n = strnlen(text, PARENT_CHARS + 2);
    if (n < PARENT_CHARS || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    int hi = digit(text[0]), lo = digit(text[1]);
    bool zero = text[0] == '0' && text[1] == '0';
    if (hi < 0 || lo < 0 || (hi == 15 && lo == 15)) /* "ff" is forbidden */
        return false;
    /* versions to come may have more behind another '-' */
    if (n > PARENT_CHARS && (zero || text[PARENT_CHARS] != '-'))
        return false;
    if (!take_bytes(text + 3, FT_TRACE_ID_BYTES, c.trace_id) ||
        !take_bytes(text + 36, FT_TRACE_SPAN_BYTES, c.parent_id))
        return false;
    hi = digit(text[53]);
    lo = digit(text[54]);
    if (hi < 0 || lo < 0)
        return false;
    c.sampled = (lo & 1) != 0;
    memcpy(c.span_id, ret->span_id, sizeof c.span_id);
    *ret = c;
    return true;
}

void ft_trace_parent_write(const struct ft_trace_context *c,
                           const uint8_t span[FT_TRACE_SPAN_BYTES], char ret[FT_TRACE_PARENT_BYTES])
{
    memcpy(ret, "00-", 3);
    ft_hex(c->trace_id, FT_TRACE_ID_BYTES, ret + 3);
    ret[35] = '-';
    ft_hex(span, FT_TRACE_SPAN_BYTES, ret + 36);
    memcpy(ret + 52, c->sampled ? "-01" : "-00", 4);
}

bool ft_trace_state_ok(const char *text)
{
    size_t n = strnlen(text, FT_TRACE_STATE_MAX + 1);
    if (n == 0 || n > FT_TRACE_STATE_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return strchr(text, '=') != NULL;
}

/* ---- headers of the exporter ---- */

static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* One value, decoded, behind "name: ". False: a broken escape, or what no header may have. */
static bool decode(const char *p, size_t n, struct ft_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)p[i];
        if (c == '%') {
            char two[3] = {0};
            if (i + 2 >= n)
                return false;
            memcpy(two, p + i + 1, 2);
            char *end;
            c = (int)strtol(two, &end, 16);
            if (end != two + 2 || two[0] == '+' || two[0] == '-' || two[0] == ' ')
                return false;
            i += 2;
        }
        if (c < ' ' || c > '~')
            return false;
        ft_buf_add_byte(out, (unsigned char)c);
    }
    return true;
}

/* "name=value", blanks around both left out. */
static char *header_of(const char *p, size_t n)
{
    const char *eq = memchr(p, '=', n);
    if (eq == NULL)
        return NULL;
    const char *name_end = eq, *value = eq + 1, *end = p + n;
    while (p < name_end && (*p == ' ' || *p == '\t'))
        p++;
    while (name_end > p && (name_end[-1] == ' ' || name_end[-1] == '\t'))
        name_end--;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    bool good = name_end > p;
    for (const char *q = p; good && q < name_end; q++)
        good = is_token(*q);
    struct ft_buf b;
    ft_buf_init(&b, 8192);
    ft_buf_add(&b, p, (size_t)(name_end - p));
    ft_buf_add_str(&b, ": ");
    good = good && decode(value, (size_t)(end - value), &b) && b.failed == 0;
    char *ret = good ? strndup(b.data, b.len) : NULL;
    ft_buf_fini(&b);
    return ret;
}

int ft_trace_headers_parse(const char *text, char *ret[FT_TRACE_HEADERS_MAX], int *ret_n,
                           struct ft_err *err)
{
    int n = 0, at = 0;
    const char *bad = NULL;
    while (*text != '\0' && bad == NULL) {
        size_t len = strcspn(text, ",");
        at++;
        if (strspn(text, " \t") < len) { /* an empty entry is none */
            char *h = n < FT_TRACE_HEADERS_MAX ? header_of(text, len) : NULL;
            if (h == NULL)
                bad = n == FT_TRACE_HEADERS_MAX ? "there are too many" : "must be name=value";
            else
                ret[n++] = h;
        }
        text += len + (text[len] == ',');
    }
    if (bad == NULL) {
        *ret_n = n;
        return 0;
    }
    while (n > 0)
        free(ret[--n]);
    return ft_err_set(err, FT_EINVAL, "headers for the collector: entry %d: %s", at, bad);
}
