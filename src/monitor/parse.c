/* Reads metrics' text, line by line. Tolerant: a line that is none is passed over. See expose.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/expose.h"

struct line {
    char text[FT_EXPOSE_SAMPLE_MAX + 1]; /* names and values, each with its NUL, in here */
    size_t n;
    const char *at, *end; /* what is to be read */
};

static bool is_start(char c, bool colon)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':');
}

static void skip_blanks(struct line *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\t'))
        l->at++;
}

static bool take(struct line *l, char c)
{
    skip_blanks(l);
    if (l->at == l->end || *l->at != c)
        return false;
    l->at++;
    return true;
}

/* Into the line's text, which is as long as the line at least. */
static void put(struct line *l, char c)
{
    l->text[l->n++] = c;
}

/* NULL: there is none. */
static const char *read_name(struct line *l, bool colon)
{
    const char *name = &l->text[l->n], *from = l->at;
    while (l->at < l->end &&
           (is_start(*l->at, colon) || (l->at > from && *l->at >= '0' && *l->at <= '9')))
        put(l, *l->at++);
    size_t n = (size_t)(l->at - from);
    if (n == 0 || n > FT_EXPOSE_NAME_LENGTH)
        return NULL;
    put(l, '\0');
    return name;
}

/* Behind the first quote. An escape that is none stays as it is. */
static const char *read_value(struct line *l)
{
    const char *value = &l->text[l->n];
    for (; l->at < l->end && *l->at != '"'; l->at++) {
        char next = l->at + 1 < l->end ? l->at[1] : '\0';
        bool escape = *l->at == '\\' && (next == 'n' || next == '"' || next == '\\');
        if (*l->at == '\0')
            return NULL;
        put(l, escape && next == 'n' ? '\n' : escape ? next : *l->at);
        l->at += escape;
    }
    if (l->at == l->end)
        return NULL;
    l->at++;
    put(l, '\0');
    return value;
}

static bool read_labels(struct line *l, struct ft_sample *s)
{
    if (!take(l, '{'))
        return true;
    while (!take(l, '}')) {
        if (s->n_label == FT_EXPOSE_LABELS_MAX)
            return false;
        skip_blanks(l);
        const char *name = read_name(l, false);
        if (name == NULL || !take(l, '=') || !take(l, '"'))
            return false;
        const char *value = read_value(l);
        if (value == NULL)
            return false;
        s->label[s->n_label].name = name;
        s->label[s->n_label++].value = value;
        if (!take(l, ',')) {
            if (!take(l, '}'))
                return false;
            break;
        }
    }
    return true;
}

/* A number up to a blank or the end; time stamps and exemplars behind it are of no interest. */
static bool read_number(struct line *l, double *ret)
{
    char text[64], *end;
    size_t n = 0;
    skip_blanks(l);
    while (l->at < l->end && *l->at != ' ' && *l->at != '\t' && *l->at != '\r') {
        if (n == sizeof text - 1 || *l->at == 'x' || *l->at == 'X' || *l->at == '(')
            return false; /* what strtod takes, and the formats do not */
        text[n++] = *l->at++;
    }
    text[n] = '\0';
    *ret = strtod(text, &end);
    return n > 0 && end == text + n;
}

static bool read_sample(struct line *l, const char *from, size_t n,
                        void (*fn)(void *ctx, const struct ft_sample *s), void *ctx)
{
    struct ft_sample s = {0};
    l->n = 0;
    l->at = from;
    l->end = from + n;
    s.name = read_name(l, true);
    if (s.name == NULL || !read_labels(l, &s) || !read_number(l, &s.value))
        return false;
    fn(ctx, &s);
    return true;
}

const char *ft_sample_label(const struct ft_sample *s, const char *name)
{
    for (int i = 0; i < s->n_label; i++)
        if (strcmp(s->label[i].name, name) == 0)
            return s->label[i].value;
    return "";
}

int ft_expose_read(const char *text, size_t n, void (*fn)(void *ctx, const struct ft_sample *s),
                   void *ctx)
{
    struct line l;
    int broken = 0;
    for (const char *at = text, *end = text + n; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((stop != NULL ? stop : end) - at);
        size_t blank = 0;
        while (blank < len && (at[blank] == ' ' || at[blank] == '\t' || at[blank] == '\r'))
            blank++;
        if (blank < len && at[blank] != '#') {
            /* each name and value may need one byte more than it has there: its NUL, but also
             * leaves out the '=' or quote behind it */
            bool fits = len - blank <= FT_EXPOSE_SAMPLE_MAX;
            broken += !fits || !read_sample(&l, at + blank, len - blank, fn, ctx);
        }
        at += len + 1;
    }
    return broken;
}
