/* Reading lines: a window over the file that holds the line being read and what came with it. */
#include "train/data/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

#define READ_BYTES ((size_t)1 << 20)

struct window {
    char *p;
    size_t n, cap, seen; /* seen: bytes in which no newline is */
    int64_t line;
    bool too_long; /* the rest of the line is thrown away */
    ft_lines_fn *fn;
    void *ctx;
};

const char *ft_lines_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            return false;
    return true;
}

static int give(struct window *w, const char *p, size_t n, struct ft_err *err)
{
    if (w->too_long) { /* its end */
        w->too_long = false;
        return 0;
    }
    w->line++;
    size_t mark = w->line == 1 ? ft_utf8_mark_len(p, n) : 0;
    p += mark;
    n -= mark;
    if (n > FT_LINES_BYTES_MAX)
        p = NULL;
    return p != NULL && is_blank(p, n) ? 0 : w->fn(w->ctx, w->line, p, n, err);
}

/* Gives out the lines that the window has whole. */
static int take(struct window *w, bool end, struct ft_err *err)
{
    size_t at = 0;
    int rc = 0;
    while (rc == 0) {
        char *nl = memchr(w->p + at + w->seen, '\n', w->n - at - w->seen);
        if (nl == NULL && !(end && w->n > at))
            break;
        size_t n = nl != NULL ? (size_t)(nl - (w->p + at)) : w->n - at;
        rc = give(w, w->p + at, n, err);
        at += nl != NULL ? n + 1 : n;
        w->seen = 0;
    }
    memmove(w->p, w->p + at, w->n - at);
    w->n -= at;
    w->seen = w->n;
    if (rc == 0 && w->n > FT_LINES_BYTES_MAX) {
        rc = give(w, w->p, w->n, err);
        w->too_long = true;
        w->n = w->seen = 0;
    }
    return rc;
}

static int window_grow(struct window *w, const char *path, struct ft_err *err)
{
    size_t cap = w->cap == 0 ? 2 * READ_BYTES : w->cap * 2;
    char *p = realloc(w->p, cap);
    if (p == NULL)
        return ft_err_set(err, FT_ENOMEM, "%s: no memory", path);
    w->p = p;
    w->cap = cap;
    return 0;
}

static int read_fd(struct window *w, int fd, const char *path, struct ft_err *err)
{
    ssize_t got = 1;
    int rc = 0;
    while (rc == 0 && got > 0) {
        if (w->cap - w->n < READ_BYTES && (rc = window_grow(w, path, err)) != 0)
            break;
        got = read(fd, w->p + w->n, READ_BYTES);
        if (got < 0 && errno == EINTR) {
            got = 1;
        } else if (got < 0) {
            rc = ft_err_sys(err, "%s", path);
        } else {
            w->n += (size_t)got;
            rc = take(w, got == 0, err);
        }
    }
    return rc;
}

int ft_lines_read(const char *path, ft_lines_fn *fn, void *ctx, struct ft_err *err)
{
    struct window w = {.fn = fn, .ctx = ctx};
    bool in = strcmp(path, "-") == 0;
    int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ft_err_sys(err, "%s", path);
    int rc = read_fd(&w, fd, ft_lines_name(path), err);
    free(w.p);
    if (!in)
        close(fd);
    return rc;
}
