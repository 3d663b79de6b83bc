/* A machine over single bytes, but for content, in which the next CR is looked for. The delimiter
 * is CR LF "--" boundary, and CR is nowhere else in it: what has matched so far and then does not
 * go on is content, and the next match can begin at a CR alone.
 *
 *   PREAMBLE --delimiter--> BEHIND --CR LF--> HEAD --empty line--> CONTENT --delimiter--> BEHIND
 *                             '-- "--" --> EPILOGUE */
#include "net/form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

enum state { PREAMBLE, BEHIND, HEAD, CONTENT, EPILOGUE };

struct ft_form {
    const struct ft_form_ops *ops;
    void *ctx;
    char delimiter[FT_FORM_BOUNDARY_MAX + 5]; /* CR LF -- boundary */
    size_t n_delimiter, matched;
    enum state state;
    char behind; /* BEHIND: the byte before, '-' or CR; 0 */
    int n_parts;
    char head[FT_FORM_HEAD_MAX + 1];
    size_t n_head;
    char name[FT_FORM_NAME_MAX + 1], filename[FT_FORM_FILENAME_MAX + 1];
    char type[FT_FORM_TYPE_MAX + 1];
};

static int bad(struct ft_err *err, const char *why)
{
    return ft_err_set(err, FT_EINVAL, "the body is no multipart/form-data: %s", why);
}

/* ---- parameters of a header: ; name=token, ; name="quoted" ---- */

/* The next one at *p. 1: there is one, its value in text; 0: none; FT_EINVAL, FT_ELIMIT. */
static int next_param(const char **p, char name[32], char *text, size_t max)
{
    const char *s = *p + strspn(*p, " \t");
    if (*s == '\0')
        return 0;
    if (*s != ';')
        return FT_EINVAL;
    s += 1 + strspn(s + 1, " \t");
    size_t n = strcspn(s, "=; \t\""), at = 0;
    if (n == 0 && *s == '\0')
        return 0;
    if (n == 0 || n > 31 || s[n] != '=')
        return FT_EINVAL;
    memcpy(name, s, n);
    name[n] = '\0';
    s += n + 1;
    bool quoted = *s == '"';
    for (s += quoted; quoted ? *s != '"' : *s != '\0' && strchr("; \t", *s) == NULL; s++) {
        if (*s == '\0')
            return FT_EINVAL;
        /* browsers write \ of a path as it is */
        if (quoted && *s == '\\' && (s[1] == '"' || s[1] == '\\'))
            s++;
        if (at == max)
            return FT_ELIMIT;
        text[at++] = *s;
    }
    text[at] = '\0';
    *p = s + quoted;
    return 1;
}

static int open_boundary(struct ft_form *f, const char *content_type, struct ft_err *err)
{
    char name[32], text[FT_FORM_BOUNDARY_MAX + 1];
    const char *p = content_type != NULL ? content_type : "";
    size_t n = strcspn(p, "; \t");
    int rc;
    if (n != strlen("multipart/form-data") || strncasecmp(p, "multipart/form-data", n) != 0)
        return ft_err_set(err, FT_EINVAL, "the request's Content-Type must be multipart/form-data");
    p += n;
    while ((rc = next_param(&p, name, text, FT_FORM_BOUNDARY_MAX)) > 0)
        if (strcasecmp(name, "boundary") == 0 && text[0] != '\0' && text[strlen(text) - 1] != ' ') {
            for (const char *c = text; *c != '\0'; c++)
                if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
                    return bad(err, "its boundary has characters that none has");
            int len = snprintf(f->delimiter, sizeof f->delimiter, "\r\n--%s", text);
            f->n_delimiter = (size_t)len;
            return 0;
        }
    return ft_err_set(err, FT_EINVAL,
                      "the request's Content-Type names no boundary of its multipart/form-data");
}

int ft_form_open(const char *content_type, const struct ft_form_ops *ops, void *ctx,
                 struct ft_form **ret, struct ft_err *err)
{
    struct ft_form *f = calloc(1, sizeof *f);
    if (f == NULL)
        return ft_err_set(err, FT_ENOMEM, "form: out of memory");
    f->ops = ops;
    f->ctx = ctx;
    f->matched = 2; /* the first delimiter stands at the begin of a line without one before it */
    int rc = open_boundary(f, content_type, err);
    if (rc != 0) {
        free(f);
        return rc;
    }
    *ret = f;
    return 0;
}

void ft_form_close(struct ft_form *f)
{
    free(f);
}

/* ---- the head of a part ---- */

static bool is_text(const char *s)
{
    for (const char *c = s; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return false;
    return ft_utf8_valid(s, strlen(s));
}

static int take_disposition(struct ft_form *f, const char *p, bool *ret_file, struct ft_err *err)
{
    char name[32], text[FT_FORM_FILENAME_MAX + 1];
    size_t n = strcspn(p, "; \t");
    bool named = false;
    int rc;
    if (n != 9 || strncasecmp(p, "form-data", n) != 0)
        return bad(err, "a part's Content-Disposition is not form-data");
    p += n;
    while ((rc = next_param(&p, name, text, FT_FORM_FILENAME_MAX)) > 0) {
        if (strcasecmp(name, "name") == 0 && !named) {
            if (strlen(text) > FT_FORM_NAME_MAX)
                return ft_err_set(err, FT_ELIMIT, "form: a part's name is too long");
            strcpy(f->name, text);
            named = text[0] != '\0';
        } else if (strcasecmp(name, "filename") == 0 && !*ret_file) {
            strcpy(f->filename, text);
            *ret_file = true;
        }
    }
    if (rc == FT_ELIMIT)
        return ft_err_set(err, FT_ELIMIT, "form: the name of a file is longer than %d bytes",
                          FT_FORM_FILENAME_MAX);
    if (rc != 0 || !named)
        return bad(err, "a part's Content-Disposition is broken, or has no name");
    if (!is_text(f->name) || !is_text(f->filename))
        return bad(err, "a part's name is not UTF-8, or has control characters");
    return 0;
}

static int begin_part(struct ft_form *f, struct ft_err *err)
{
    bool disposed = false, is_file = false;
    int rc = 0;
    if (++f->n_parts > FT_FORM_PARTS_MAX)
        return ft_err_set(err, FT_ELIMIT, "form: more than %d parts", FT_FORM_PARTS_MAX);
    f->head[f->n_head] = '\0';
    if (strlen(f->head) != f->n_head)
        return bad(err, "a part's headers have a NUL");
    f->name[0] = f->filename[0] = f->type[0] = '\0';
    for (char *line = f->head, *end; rc == 0 && *line != '\0'; line = end + 2) {
        end = strstr(line, "\r\n"); /* there is one behind each */
        *end = '\0';
        char *colon = strchr(line, ':');
        if (colon == NULL)
            return bad(err, "a part has a header without a colon");
        *colon = '\0';
        const char *value = colon + 1 + strspn(colon + 1, " \t");
        if (strcasecmp(line, "content-disposition") == 0 && !disposed) {
            disposed = true;
            rc = take_disposition(f, value, &is_file, err);
        } else if (strcasecmp(line, "content-type") == 0) {
            if (strlen(value) > FT_FORM_TYPE_MAX || !is_text(value))
                return bad(err, "a part's Content-Type is none");
            strcpy(f->type, value);
        }
    }
    if (rc == 0 && !disposed)
        rc = bad(err, "a part has no Content-Disposition");
    if (rc != 0)
        return rc;
    struct ft_form_part p = {f->name, is_file ? f->filename : NULL, f->type};
    f->state = CONTENT;
    f->matched = 0;
    return f->ops->begin(f->ctx, &p, err);
}

static int head_byte(struct ft_form *f, char c, struct ft_err *err)
{
    if (f->n_head == FT_FORM_HEAD_MAX)
        return ft_err_set(err, FT_ELIMIT, "form: the headers of a part are longer than %d bytes",
                          FT_FORM_HEAD_MAX);
    f->head[f->n_head++] = c;
    const char *h = f->head;
    size_t n = f->n_head;
    if (c != '\n' || n < 2 || h[n - 2] != '\r')
        return 0;
    if (n == 2)
        return bad(err, "a part has no headers");
    if (n < 4 || h[n - 3] != '\n' || h[n - 4] != '\r')
        return 0;
    f->n_head -= 2;
    return begin_part(f, err);
}

/* ---- bytes ---- */

static int behind_byte(struct ft_form *f, char c, struct ft_err *err)
{
    if (f->behind == '-' && c == '-') {
        f->state = EPILOGUE;
    } else if (f->behind == '\r' && c == '\n') {
        f->state = HEAD;
        f->n_head = 0;
    } else if (f->behind != 0 || (c != '-' && c != '\r' && c != ' ' && c != '\t')) {
        return bad(err, "a boundary is followed by other than the end of its line");
    } else if (c == '-' || c == '\r') {
        f->behind = c;
    }
    return 0;
}

static int content(struct ft_form *f, const void *data, size_t n, struct ft_err *err)
{
    return f->state == CONTENT && n > 0 ? f->ops->data(f->ctx, data, n, err) : 0;
}

/* Content up to its next CR, or a byte of what may be a delimiter. Returns how many were taken. */
static size_t content_bytes(struct ft_form *f, const char *p, size_t n, int *ret_rc,
                            struct ft_err *err)
{
    if (f->matched == 0) {
        const char *cr = memchr(p, '\r', n);
        size_t plain = cr != NULL ? (size_t)(cr - p) : n;
        *ret_rc = content(f, p, plain, err);
        f->matched = cr != NULL;
        return plain + (cr != NULL);
    }
    if (*p != f->delimiter[f->matched]) {
        *ret_rc = content(f, f->delimiter, f->matched, err);
        f->matched = 0;
        return 0;
    }
    if (++f->matched == f->n_delimiter) {
        if (f->state == CONTENT)
            *ret_rc = f->ops->end(f->ctx, err);
        f->state = BEHIND;
        f->behind = 0;
    }
    return 1;
}

int ft_form_feed(struct ft_form *f, const void *data, size_t n, struct ft_err *err)
{
    const char *p = data, *end = p + n;
    int rc = 0;
    while (rc == 0 && p < end) {
        switch (f->state) {
        case PREAMBLE:
        case CONTENT:
            p += content_bytes(f, p, (size_t)(end - p), &rc, err);
            break;
        case BEHIND:
            rc = behind_byte(f, *p++, err);
            break;
        case HEAD:
            rc = head_byte(f, *p++, err);
            break;
        case EPILOGUE:
            return 0;
        }
    }
    return rc;
}

int ft_form_end(struct ft_form *f, struct ft_err *err)
{
    return f->state == EPILOGUE ? 0 : bad(err, "it ends before its last boundary");
}
