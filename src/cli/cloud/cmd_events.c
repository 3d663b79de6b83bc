/* feitian events: what happened in the cloud. feitian node: the machines it runs on. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"

struct events_options {
    struct ft_cloud_options cloud;
    const char *endpoint, *kind;
    int64_t limit;
    char **args;
};

static const char *when(const json_t *e, char ret[FT_SHOW_TIME_BYTES])
{
    time_t at = (time_t)(json_integer_value(json_object_get(e, "at")) / 1000);
    struct tm t;
    ret[0] = '\0';
    if (localtime_r(&at, &t) != NULL)
        strftime(ret, FT_SHOW_TIME_BYTES, "%Y-%m-%d %H:%M:%S", &t);
    return ret;
}

static void event_row(struct ft_table *t, const json_t *e)
{
    char text[FT_SHOW_TIME_BYTES];
    json_int_t count = json_integer_value(json_object_get(e, "count"));
    ft_table_add(t, when(e, text));
    ft_table_add(t, ft_cloud_text(e, "level", ""));
    ft_table_add(t, ft_cloud_text(e, "kind", ""));
    ft_table_add(t, ft_cloud_text(e, "endpoint", "-"));
    if (count > 1)
        ft_table_addf(t, "%s (%lld times)", ft_cloud_text(e, "text", ""), (long long)count);
    else
        ft_table_add(t, ft_cloud_text(e, "text", ""));
}

static void add_filter(struct ft_buf *path, const char *name, const char *value)
{
    if (value == NULL)
        return;
    ft_buf_addf(path, "&%s=", name);
    ft_cloud_escape(path, value);
}

/* The oldest first: the newest stand where one looks. */
static void print(const json_t *data)
{
    static const char *const heads[] = {"WHEN", "LEVEL", "KIND", "ENDPOINT", "WHAT"};
    struct ft_table *t = ft_table_open(FT_COUNT(heads), heads);
    for (size_t i = json_array_size(data); i-- > 0;)
        event_row(t, json_array_get(data, i));
    ft_table_print_here(t);
    ft_table_close(t);
}

static int events(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct events_options *o = ctx;
    struct ft_buf path;
    json_t *answer;
    ft_buf_init(&path, 4096);
    ft_buf_addf(&path, "/api/v1/events?limit=%d", (int)o->limit);
    add_filter(&path, "endpoint", o->endpoint);
    add_filter(&path, "kind", o->kind);
    int rc = ft_cloud_call(c, "GET", path.data, NULL, &answer, err);
    ft_buf_fini(&path);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(json_incref(json_object_get(answer, "data")));
    } else if (json_array_size(json_object_get(answer, "data")) == 0) {
        printf("nothing happened yet\n");
    } else {
        print(json_object_get(answer, "data"));
    }
    json_decref(answer);
    return 0;
}

int ft_cmd_events(int argc, char **argv)
{
    struct events_options o = {.limit = 50};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"endpoint", 0, FT_OPT_TEXT, &o.endpoint, 0, 0},
                                  {"kind", 0, FT_OPT_TEXT, &o.kind, 0, 0},
                                  {"limit", 0, FT_OPT_WHOLE, &o.limit, 1, 500}};
    int rc = ft_opts_parse("events", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("events", &o.cloud, events, &o);
}

/* ---- nodes ---- */

static void node_row(struct ft_table *t, const json_t *n)
{
    char a[FT_FIGURE_BYTES], b[FT_FIGURE_BYTES];
    const json_t *cpu = json_object_get(n, "cpu"), *memory = json_object_get(n, "memory");
    const json_t *disk = json_array_get(json_object_get(n, "disks"), 0), *check;
    int wrong = 0;
    size_t i;
    json_array_foreach(json_object_get(n, "checks"), i, check)
    {
        wrong += strcmp(ft_cloud_text(check, "level", "ok"), "ok") != 0;
    }
    ft_table_add(t, ft_cloud_text(n, "name", ""));
    ft_table_add(t, ft_cloud_text(n, "version", ""));
    ft_table_addf(t, "%d", (int)json_integer_value(json_object_get(cpu, "cores")));
    ft_table_addf(t, "%.2f", json_number_value(json_array_get(json_object_get(cpu, "load"), 0)));
    ft_table_addf(
        t, "%s of %s",
        ft_figure_bytes(a, (uint64_t)json_integer_value(json_object_get(memory, "available"))),
        ft_figure_bytes(b, (uint64_t)json_integer_value(json_object_get(memory, "total"))));
    ft_table_addf(t, "%s of %s",
                  ft_figure_bytes(a, (uint64_t)json_integer_value(json_object_get(disk, "free"))),
                  ft_figure_bytes(b, (uint64_t)json_integer_value(json_object_get(disk, "total"))));
    ft_table_addf(t, "%zu", json_array_size(json_object_get(n, "workers")));
    if (wrong > 0)
        ft_table_addf(t, "%d: see 'feitian doctor'", wrong);
    else
        ft_table_add(t, "none");
}

static int nodes(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"NAME",         "VERSION",    ">CORES",   ">LOAD",
                                        ">MEMORY LEFT", ">DISK LEFT", ">WORKERS", "TO KNOW OF"};
    const struct events_options *o = ctx;
    struct ft_show_list l = {
        .path = "/api/v1/nodes", .heads = heads, .n_heads = FT_COUNT(heads), .row = node_row};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int node_list(int argc, char **argv)
{
    struct events_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("node list", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("node list", &o.cloud, nodes, &o);
}

const struct ft_cmd ft_cmd_node_subs[] = {
    {"list", "[--json]", "the machines, what they have left, what to know of", node_list, 0, NULL},
    {0},
};
