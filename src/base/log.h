/* Log: one line an event to standard error, "2026-01-31T12:00:00.123Z info  engine: ...", or as
 * JSON,
 * {"ts":"2026-..","level":"info","module":"engine","msg":"...","request":"req_.."}: request is
 * there where the message names one.
 *
 * No allocation, one write per line, any thread. Lines longer than FT_LOG_LINE_MAX are cut and end
 * in "..."; control characters inside a message are written as escapes, so that text from outside
 * can never forge a second line or drive a terminal. */
#ifndef FT_BASE_LOG_H
#define FT_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define FT_LOG_LINE_MAX 1024

enum ft_log_level {
    FT_LOG_ERROR, /* something asked for was not done */
    FT_LOG_WARN,  /* done, but someone should look */
    FT_LOG_INFO,  /* rare events of normal life: started, model loaded, shut down */
    FT_LOG_DEBUG  /* everything else; off by default */
};

/* Levels above `level` are dropped; FT_LOG_INFO at start. */
void ft_log_set_level(enum ft_log_level level);
/* "error", "warn", "info", "debug"; false for any other name. */
bool ft_log_level_parse(const char *name, enum ft_log_level *ret_level);
/* "text" or "json"; false for any other name. Text at start. */
bool ft_log_format_parse(const char *name, bool *ret_json);
void ft_log_set_json(bool json);
/* FEITIAN_LOG_FORMAT and FEITIAN_LOG_LEVEL of the environment; what makes no sense there is left
 * alone. */
void ft_log_from_env(void);
/* Where lines go: a file descriptor, 2 at start. */
void ft_log_set_fd(int fd);

/* True if a line of this level would be written: guards work that only the log needs. */
bool ft_log_on(enum ft_log_level level);

/* What a line says besides its message: " name=value" in text, members in JSON. */
struct ft_log_field {
    const char *name; /* ours: plain */
    const char *text; /* NULL: number */
    int64_t number;
};
void ft_log_fields(enum ft_log_level level, const char *module, const char *msg,
                   const struct ft_log_field *field, int n);

/* module: who speaks ("engine"). Keeps errno. */
void ft_log(enum ft_log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
