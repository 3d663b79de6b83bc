/* Formats a line on the stack and writes it with one write(2): whole lines never interleave on a
 * pipe or terminal, and no lock is needed. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"error", "warn", "info", "debug"};
static atomic_int max_level = FT_LOG_INFO;
static atomic_int out_fd = STDERR_FILENO;
static atomic_bool as_json;

void ft_log_set_level(enum ft_log_level level)
{
    max_level = (int)level;
}

void ft_log_set_fd(int fd)
{
    out_fd = fd;
}

void ft_log_set_json(bool json)
{
    as_json = json;
}

bool ft_log_format_parse(const char *name, bool *ret_json)
{
    bool json = strcmp(name, "json") == 0;
    if (!json && strcmp(name, "text") != 0)
        return false;
    *ret_json = json;
    return true;
}

void ft_log_from_env(void)
{
    const char *format = getenv("FEITIAN_LOG_FORMAT"), *level = getenv("FEITIAN_LOG_LEVEL");
    enum ft_log_level l;
    bool json;
    if (format != NULL && ft_log_format_parse(format, &json))
        ft_log_set_json(json);
    if (level != NULL && ft_log_level_parse(level, &l))
        ft_log_set_level(l);
}

bool ft_log_level_parse(const char *name, enum ft_log_level *ret_level)
{
    for (int i = 0; i <= FT_LOG_DEBUG; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_level = (enum ft_log_level)i;
            return true;
        }
    }
    return false;
}

bool ft_log_on(enum ft_log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

/* "2026-01-31T12:00:00.123Z info  module: " */
static size_t put_head(char *line, size_t cap, enum ft_log_level level, const char *module)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
    int more = snprintf(line + n, cap - n, ".%03ldZ %-5s %.32s: ", now.tv_nsec / 1000000,
                        names[level], module);
    return n + (size_t)more;
}

/* Appends text with control characters escaped; false if it did not fit. */
static bool put_text(char *line, size_t cap, size_t *len, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool control = *p < 0x20 || *p == 0x7f;
        if (cap - *len < 5)
            return false;
        if (control)
            *len += (size_t)snprintf(line + *len, cap - *len, "\\x%02x", *p);
        else
            line[(*len)++] = (char)*p;
    }
    return true;
}

/* ---- JSON ---- */

/* Room that the end of every line needs: a cut message, its request, the brace. */
#define JSON_TAIL 80

static bool put_json_text(char *line, size_t cap, size_t *len, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (cap - *len < 8)
            return false;
        if (c == '"' || c == '\\')
            *len += (size_t)snprintf(line + *len, cap - *len, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            *len += (size_t)snprintf(line + *len, cap - *len, "\\u%04x", c);
        else
            line[(*len)++] = (char)c;
    }
    return true;
}

/* The first request's id in a text: "req_" and 24 digits of base 62. */
static const char *request_in(const char *text, char ret[32])
{
    for (const char *p = text; (p = strstr(p, "req_")) != NULL; p += 4) {
        size_t n = strspn(p + 4, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
        if (n != 24)
            continue;
        memcpy(ret, p, 28);
        ret[28] = '\0';
        return ret;
    }
    return NULL;
}

static size_t put_json(char *line, size_t cap, enum ft_log_level level, const char *module,
                       const char *text, const struct ft_log_field *field, int n)
{
    struct timespec now;
    struct tm tm;
    char id[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(line, cap, "{\"ts\":\"%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(line + len, cap - len,
                            ".%03ldZ\",\"level\":\"%s\",\"module\":\"%.32s\",\"msg\":\"",
                            now.tv_nsec / 1000000, names[level], module);
    /* cut between characters, so that the line stays UTF-8 */
    if (!put_json_text(line, cap - JSON_TAIL, &len, text)) {
        while (len > 0 && ((unsigned char)line[len - 1] & 0xc0) == 0x80)
            len--;
        len -= (unsigned char)line[len - 1] >= 0xc0;
        len += (size_t)snprintf(line + len, cap - len, "...");
    }
    line[len++] = '"';
    bool named = false;
    for (int i = 0; i < n && cap - len > JSON_TAIL + 64; i++) {
        size_t before = len;
        named |= strcmp(field[i].name, "request") == 0;
        len += (size_t)snprintf(line + len, cap - len, ",\"%s\":", field[i].name);
        if (field[i].text == NULL) {
            len += (size_t)snprintf(line + len, cap - len, "%lld", (long long)field[i].number);
            continue;
        }
        line[len++] = '"';
        if (!put_json_text(line, cap - JSON_TAIL, &len, field[i].text)) {
            len = before;
            break;
        }
        line[len++] = '"';
    }
    if (!named && request_in(text, id) != NULL)
        len += (size_t)snprintf(line + len, cap - len, ",\"request\":\"%s\"", id);
    line[len++] = '}';
    return len;
}

/* ---- lines ---- */

static size_t put_line(char *line, size_t cap, enum ft_log_level level, const char *module,
                       const char *text, bool whole, const struct ft_log_field *field, int n)
{
    size_t len = put_head(line, cap, level, module);
    whole &= put_text(line, cap, &len, text);
    for (int i = 0; whole && i < n; i++) {
        char value[FT_LOG_LINE_MAX];
        if (field[i].text != NULL)
            snprintf(value, sizeof value, " %s=%s", field[i].name, field[i].text);
        else
            snprintf(value, sizeof value, " %s=%lld", field[i].name, (long long)field[i].number);
        whole &= put_text(line, cap, &len, value);
    }
    if (!whole) {
        memcpy(line + len, "...", 3);
        len += 3;
    }
    return len;
}

static void write_line(enum ft_log_level level, const char *module, const char *text, bool whole,
                       const struct ft_log_field *field, int n)
{
    int saved = errno;
    char line[FT_LOG_LINE_MAX + 1];
    size_t cap = sizeof line - 5; /* room for "..." and the line's end */
    size_t len = atomic_load(&as_json) ? put_json(line, cap, level, module, text, field, n)
                                       : put_line(line, cap, level, module, text, whole, field, n);
    line[len++] = '\n';
    ssize_t written = write(out_fd, line, len);
    (void)written; /* there is nowhere to report a log that cannot be written */
    errno = saved;
}

void ft_log_fields(enum ft_log_level level, const char *module, const char *msg,
                   const struct ft_log_field *field, int n)
{
    write_line(level, module, msg, true, field, n);
}

void ft_log(enum ft_log_level level, const char *module, const char *fmt, ...)
{
    if (!ft_log_on(level))
        return;
    int saved = errno;
    char text[FT_LOG_LINE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int want = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    errno = saved;
    write_line(level, module, want < 0 ? "(bad format)" : text, want < (int)sizeof text, NULL, 0);
}
