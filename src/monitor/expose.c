/* Writes families of metrics. See expose.h; parse.c reads. */
#include "monitor/expose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

#define ACCEPT_BYTES_MAX 4096

/* ---- which format ---- */

static const char openmetrics[] = "application/openmetrics-text";

const char *ft_expose_type(enum ft_expose_format format)
{
    return format == FT_EXPOSE_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

/* A parameter of a media range, "" if it has none; n: bytes of the range. */
static void parameter(const char *range, size_t n, const char *name, char ret[16])
{
    const char *end = range + n;
    size_t n_name = strlen(name);
    ret[0] = '\0';
    for (const char *p = memchr(range, ';', n); p != NULL; p = memchr(p, ';', (size_t)(end - p))) {
        p += 1 + strspn(p + 1, " \t");
        if (p >= end || (size_t)(end - p) <= n_name || strncasecmp(p, name, n_name) != 0 ||
            p[n_name] != '=')
            continue;
        p += n_name + 1;
        size_t len = strcspn(p, "; \t,");
        snprintf(ret, 16, "%.*s", (int)FT_MIN(FT_MIN(len, (size_t)(end - p)), (size_t)15), p);
        return;
    }
}

static double quality(const char *range, size_t n)
{
    char q[16];
    parameter(range, n, "q", q);
    return q[0] != '\0' ? strtod(q, NULL) : 1;
}

/* Does the range mean `type`? *: how well it fits: 3 the type itself, 1 everything. */
static int fits(const char *range, size_t n, const char *type)
{
    size_t len = strcspn(range, ";, \t"), major = strcspn(type, "/") + 1;
    len = FT_MIN(len, n);
    if (len == strlen(type) && strncasecmp(range, type, len) == 0)
        return 3;
    if (len == major + 1 && range[len - 1] == '*' && strncasecmp(range, type, major) == 0)
        return 2;
    return len == 3 && memcmp(range, "*/*", 3) == 0;
}

static bool known_version(const char *range, size_t n)
{
    char version[16];
    parameter(range, n, "version", version);
    return version[0] == '\0' || strcmp(version, "1.0.0") == 0 || strcmp(version, "0.0.1") == 0;
}

enum ft_expose_format ft_expose_choose(const char *accept)
{
    double open = 0, text = 0; /* qualities */
    int text_fit = 0;
    if (accept == NULL || strnlen(accept, ACCEPT_BYTES_MAX) == ACCEPT_BYTES_MAX)
        return FT_EXPOSE_TEXT;
    for (const char *p = accept; *p != '\0'; p += *p == ',') {
        p += strspn(p, " \t");
        size_t n = strcspn(p, ",");
        double q = quality(p, n);
        int fit = fits(p, n, "text/plain");
        if (fits(p, n, openmetrics) == 3 && known_version(p, n)) /* never by a wildcard */
            open = FT_MAX(open, q);
        if (fit > text_fit || (fit > 0 && fit == text_fit && q > text)) {
            text = q;
            text_fit = fit;
        }
        p += n;
    }
    return open > 0 && open >= text ? FT_EXPOSE_OPENMETRICS : FT_EXPOSE_TEXT;
}

/* ---- writing ---- */

struct writer {
    struct ft_metric_out out; /* first */
    struct ft_buf *b;
    const struct ft_metric *family;
    const struct ft_metric_def *def;
    const char *suffix; /* "_total" of counters */
    int n_label;
};

/* Text between quotes, or of a HELP line. */
static void write_text(struct ft_buf *b, const char *s, bool quotes)
{
    size_t n = strlen(s);
    while (n > 0) {
        size_t good = ft_utf8_valid_len(s, n);
        for (size_t i = 0; i < good; i++) {
            if (s[i] == '\n')
                ft_buf_add_str(b, "\\n");
            else if (s[i] == '\\' || (quotes && s[i] == '"'))
                ft_buf_addf(b, "\\%c", s[i]);
            else
                ft_buf_add_byte(b, (unsigned char)s[i]);
        }
        s += good;
        n -= good;
        if (n > 0) {
            ft_buf_add_str(b, "\xEF\xBF\xBD");
            s++;
            n--;
        }
    }
}

/* As short as says it exactly. */
static void write_number(struct ft_buf *b, double v)
{
    char text[40];
    if (isnan(v) || isinf(v)) {
        ft_buf_add_str(b, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (fabs(v) < 1e15 && v == (double)(int64_t)v) {
        ft_buf_addf(b, "%lld", (long long)v);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    ft_buf_add_str(b, text);
}

/* A bucket's bound as OpenMetrics wants it, and both take it: never without a point. */
static void write_bound(struct ft_buf *b, double v)
{
    if (v == (double)(int64_t)v)
        ft_buf_addf(b, "%lld.0", (long long)v);
    else
        write_number(b, v);
}

static void write_labels(const struct writer *w, const char *const *value, const double *le)
{
    struct ft_buf *b = w->b;
    if (w->n_label == 0 && le == NULL)
        return;
    for (int i = 0; i < w->n_label; i++) {
        ft_buf_addf(b, "%c%s=\"", i == 0 ? '{' : ',', w->def->label[i]);
        write_text(b, value[i] != NULL ? value[i] : "", true);
        ft_buf_add_byte(b, '"');
    }
    if (le != NULL) {
        ft_buf_addf(b, "%cle=\"", w->n_label == 0 ? '{' : ',');
        if (isinf(*le))
            ft_buf_add_str(b, "+Inf");
        else
            write_bound(b, *le);
        ft_buf_add_byte(b, '"');
    }
    ft_buf_add_byte(b, '}');
}

static void write_sample(const struct writer *w, const char *suffix, const char *const *value,
                         const double *le, double number)
{
    ft_buf_addf(w->b, "%s%s", w->def->name, suffix);
    write_labels(w, value, le);
    ft_buf_add_byte(w->b, ' ');
    write_number(w->b, number);
    ft_buf_add_byte(w->b, '\n');
}

static void write_series(struct ft_metric_out *out, const char *const *value, double number,
                         const struct ft_histogram *h)
{
    struct writer *w = (struct writer *)out;
    const double above = INFINITY;
    uint64_t count = 0;
    if (h == NULL) {
        write_sample(w, w->suffix, value, NULL, number);
        return;
    }
    for (int i = 0; i <= h->n_bound; i++) {
        count += h->bucket[i];
        write_sample(w, "_bucket", value, i < h->n_bound ? &h->bound[i] : &above, (double)count);
    }
    write_sample(w, "_sum", value, NULL, h->sum);
    write_sample(w, "_count", value, NULL, (double)count);
}

static void write_head(const struct writer *w, enum ft_expose_format format)
{
    static const char *const kind[] = {"counter", "gauge", "histogram"};
    bool open = format == FT_EXPOSE_OPENMETRICS;
    const char *suffix = open ? "" : w->suffix; /* there the family is named without it */
    ft_buf_addf(w->b, "# HELP %s%s ", w->def->name, suffix);
    write_text(w->b, w->def->help, open);
    ft_buf_addf(w->b, "\n# TYPE %s%s %s\n", w->def->name, suffix, kind[w->def->kind]);
    if (open && w->def->unit != NULL)
        ft_buf_addf(w->b, "# UNIT %s %s\n", w->def->name, w->def->unit);
}

void ft_expose_write(const struct ft_metric_set *m, void *ctx, enum ft_expose_format format,
                     struct ft_buf *out)
{
    for (int i = 0; i < ft_metric_set_count(m); i++) {
        const struct ft_metric *f = ft_metric_set_family(m, i);
        struct writer w = {.out = {write_series},
                           .b = out,
                           .family = f,
                           .def = ft_metric_def(f),
                           .n_label = ft_metric_labels(f)};
        w.suffix = w.def->kind == FT_METRIC_COUNTER ? "_total" : "";
        write_head(&w, format);
        ft_metric_read(f, ctx, &w.out);
    }
}

void ft_expose_end(enum ft_expose_format format, struct ft_buf *out)
{
    if (format == FT_EXPOSE_OPENMETRICS)
        ft_buf_add_str(out, "# EOF\n");
}
