/* Formats a line on the stack and writes it with one write(2): whole lines never interleave on a
 * pipe or terminal, and no lock is needed. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"error", "warn", "info", "debug"};
static atomic_int max_level = FT_LOG_INFO;
static atomic_int out_fd = STDERR_FILENO;

void ft_log_set_level(enum ft_log_level level)
{
    max_level = (int)level;
}

void ft_log_set_fd(int fd)
{
    out_fd = fd;
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

void ft_log(enum ft_log_level level, const char *module, const char *fmt, ...)
{
    if (!ft_log_on(level))
        return;
    int saved = errno;
    char text[FT_LOG_LINE_MAX], line[FT_LOG_LINE_MAX + 1];
    va_list ap;
    va_start(ap, fmt);
    int want = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t cap = sizeof line - 5; /* room for "..." and the line's end */
    size_t len = put_head(line, cap, level, module);
    bool whole = put_text(line, cap, &len, want < 0 ? "(bad format)" : text);
    if (!whole || want >= (int)sizeof text) {
        memcpy(line + len, "...", 3);
        len += 3;
    }
    line[len++] = '\n';
    ssize_t n = write(out_fd, line, len);
    (void)n; /* there is nowhere to report a log that cannot be written */
    errno = saved;
}
