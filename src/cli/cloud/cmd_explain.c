/* feitian explain: in words, why a request was slow, refused, or ended in the middle; without an
 * id, the latest requests to choose from. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"

#define URL_BYTES  2048
#define BAR_CELLS  40
#define TEXT_WIDTH 96
#define LATEST     20

struct explain_options {
    struct ft_cloud_options cloud;
    const char *status, *model, *project, *batch, *after;
    bool all;
    int64_t min_ms, limit;
    char **args;
    bool named;
};

/* ---- one ---- */

/* A paragraph, its lines broken between words, behind a mark. */
static void put_paragraph(const char *mark, const char *text)
{
    size_t at = strlen(mark);
    fputs(mark, stdout);
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, " ");
        if (at > strlen(mark) && at + 1 + n > TEXT_WIDTH) {
            printf("\n%*s", (int)strlen(mark), "");
            at = strlen(mark);
        } else if (at > strlen(mark)) {
            putchar(' ');
            at++;
        }
        char word[TEXT_WIDTH * 4];
        snprintf(word, sizeof word, "%.*s", (int)n, p);
        ft_cli_put_plain(stdout, word);
        at += n;
        p += n + strspn(p + n, " ");
    }
    putchar('\n');
}

/* "12.3 s", "85 ms" */
static const char *span(double ms, char ret[24])
{
    snprintf(ret, 24,
             ms >= 10000 ? "%.1f s"
             : ms >= 10  ? "%.0f ms"
                         : "%.2f ms",
             ms >= 10000 ? ms / 1000 : ms);
    return ret;
}

/* Every phase as a bar at its place in the whole. */
static void put_timeline(const json_t *r)
{
    const json_t *list = json_object_get(r, "timeline"), *e;
    double all = json_number_value(json_object_get(r, "duration_ms"));
    size_t i;
    json_array_foreach(list, i, e)
    {
        double at = json_number_value(json_object_get(e, "at_ms"));
        double ms = json_number_value(json_object_get(e, "ms"));
        int from = all > 0 ? (int)(at / all * BAR_CELLS) : 0;
        int to = all > 0 ? (int)((at + ms) / all * BAR_CELLS + 0.999) : 0;
        char bar[BAR_CELLS + 1], took[24];
        for (int k = 0; k < BAR_CELLS; k++)
            bar[k] = k >= from && k < to ? '#' : '.';
        bar[BAR_CELLS] = '\0';
        printf("  %-13s %s %9s  ", ft_cloud_text(e, "phase", ""), bar, span(ms, took));
        ft_cli_put_plain(stdout, ft_cloud_text(e, "detail", ""));
        putchar('\n');
    }
}

/* When it began; of seconds with parts. */
static const char *began(const json_t *r, char ret[FT_SHOW_TIME_BYTES])
{
    json_t *s = json_integer((json_int_t)json_number_value(json_object_get(r, "start")));
    ft_show_time(s, ret);
    json_decref(s);
    return ret;
}

static void put_head(const json_t *r)
{
    char when[FT_SHOW_TIME_BYTES];
    printf("%s  %s  %s", ft_cloud_text(r, "id", ""), began(r, when), ft_cloud_text(r, "route", ""));
    const char *const more[] = {"model",   "target", "project", "key", "batch", "client_request_id",
                                "trace_id"};
    for (size_t i = 0; i < FT_COUNT(more); i++) {
        const char *text = ft_cloud_text(r, more[i], "");
        if (text[0] == '\0')
            continue;
        printf("  %s ", more[i]);
        ft_cli_put_plain(stdout, text);
    }
    puts("\n");
}

static int explain(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct explain_options *o = ctx;
    struct ft_buf path;
    json_t *r, *e;
    size_t i;
    if (o->args[0][0] == '\0')
        return ft_err_set(err, FT_EINVAL,
                          "the id is empty: give the x-request-id of an answer, or none for the "
                          "latest requests");
    ft_buf_init(&path, URL_BYTES);
    ft_buf_add_str(&path, "/api/v1/requests/");
    ft_cloud_escape(&path, o->args[0]);
    int rc = ft_cloud_call(c, "GET", path.data, NULL, &r, err);
    ft_buf_fini(&path);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(r);
        return 0;
    }
    put_head(r);
    json_array_foreach(json_object_get(r, "explanation"), i, e)
        put_paragraph(i == 0 ? "" : "- ", ft_cloud_text(e, "text", ""));
    if (json_array_size(json_object_get(r, "timeline")) > 0)
        putchar('\n');
    put_timeline(r);
    json_decref(r);
    return 0;
}

/* ---- the latest ---- */

static void row(struct ft_table *t, const json_t *r)
{
    char when[FT_SHOW_TIME_BYTES], took[24];
    const json_t *error = json_object_get(r, "error");
    ft_table_add(t, ft_cloud_text(r, "id", ""));
    ft_table_add(t, began(r, when));
    ft_table_add(t, ft_cloud_text(r, "route", ""));
    ft_table_add(t, ft_cloud_text(r, "model", ""));
    ft_table_add(t, ft_cloud_text(r, "status", ""));
    ft_table_addf(t, "%lld", (long long)json_integer_value(json_object_get(r, "http")));
    ft_table_add(t, span(json_number_value(json_object_get(r, "duration_ms")), took));
    ft_table_add(t, ft_cloud_text(error, "code", ""));
}

static void add_param(struct ft_buf *b, const char *name, const char *value)
{
    if (value == NULL)
        return;
    ft_buf_addf(b, "&%s=", name);
    ft_cloud_escape(b, value);
}

static void add_filter(struct ft_buf *path, const struct explain_options *o)
{
    if (o->all)
        ft_buf_add_str(path, "&pages=true");
    else /* the console's own changes, and the asking of these commands */
        add_param(path, "route", "!admin");
    add_param(path, "status", o->status);
    add_param(path, "model", o->model);
    add_param(path, "project", o->project);
    add_param(path, "batch", o->batch);
    if (o->min_ms > 0)
        ft_buf_addf(path, "&min_ms=%lld", (long long)o->min_ms);
}

static int latest(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"ID",     "BEGAN", "ROUTE", "MODEL",
                                        "STATUS", ">HTTP", ">TOOK", "ERROR"};
    const struct explain_options *o = ctx;
    struct ft_buf filter;
    json_t *all, *r;
    size_t i;
    ft_buf_init(&filter, URL_BYTES);
    add_filter(&filter, o);
    int rc = ft_show_requests(c, filter.len > 0 ? filter.data : "", o->after,
                              (int)(o->limit > 0 ? o->limit : LATEST), &all, err);
    ft_buf_fini(&filter);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(all);
        return 0;
    }
    struct ft_table *t = ft_table_open(FT_COUNT(heads), heads);
    json_array_foreach(json_object_get(all, "data"), i, r) row(t, r);
    ft_table_print_here(t);
    ft_table_close(t);
    if (i > 0)
        puts("\n'feitian explain ID' says where the time of one went.");
    const char *next = ft_cloud_text(all, "next", "");
    if (next[0] != '\0')
        printf("%sOlder ones: --after %s\n", i > 0 ? "" : "\n", next);
    if (json_is_true(json_object_get(all, "partial")))
        fputs("feitian explain: the admin side does not answer: these are the latest alone\n",
              stderr);
    json_decref(all);
    return 0;
}

int ft_cmd_explain(int argc, char **argv)
{
    struct explain_options o = {0};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud),
        {"status", 0, FT_OPT_TEXT, &o.status, 0, 0},
        {"model", 0, FT_OPT_TEXT, &o.model, 0, 0},
        {"project", 0, FT_OPT_TEXT, &o.project, 0, 0},
        {"batch", 0, FT_OPT_TEXT, &o.batch, 0, 0},
        {"after", 0, FT_OPT_TEXT, &o.after, 0, 0},
        {"min-ms", 0, FT_OPT_WHOLE, &o.min_ms, 0, INT32_MAX},
        {"limit", 0, FT_OPT_WHOLE, &o.limit, 1, 1000},
        {"all", 0, FT_OPT_FLAG, &o.all, 0, 0},
    };
    int rc = ft_opts_parse("explain", opts, FT_COUNT(opts), argc, argv, 0, 1,
                           "at most one id: the x-request-id of an answer", &o.args);
    if (rc != 0)
        return rc;
    o.named = o.args < argv + argc;
    return ft_cloud_command("explain", &o.cloud, o.named ? explain : latest, &o);
}
