/* feitian usage: what was used and what it cost, from the ledger. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"
#include "cli/cloud/terms.h"

#define GROUPS_MAX 4
#define URL_BYTES  4096
#define ROWS_MAX   1000000

struct usage_options {
    struct ft_cloud_options cloud;
    struct ft_opt_many by;
    const char *project, *key, *model, *since;
    char **args;
};

static const char *const groups[] = {"model", "project", "key", "route", "status", "hour", "day"};

static void add_param(struct ft_buf *b, const char *name, const char *value)
{
    if (value == NULL)
        return;
    ft_buf_addf(b, "&%s=", name);
    ft_cloud_escape(b, value);
}

static int query(const struct usage_options *o, struct ft_buf *b, struct ft_err *err)
{
    int64_t since;
    ft_buf_add_str(b, "/api/v1/usage?limit=10000");
    for (int i = 0; i < o->by.n; i++) {
        bool known = false;
        for (size_t g = 0; g < FT_COUNT(groups); g++)
            known |= strcmp(groups[g], o->by.value[i]) == 0;
        if (!known)
            return ft_err_set(err, FT_EINVAL,
                              "--by: '%s' is none of model, project, key, route, status, hour, day",
                              o->by.value[i]);
        add_param(b, "group_by", o->by.value[i]);
    }
    add_param(b, "project", o->project);
    add_param(b, "key", o->key);
    add_param(b, "model", o->model);
    if (o->since == NULL)
        return 0;
    int rc = ft_terms_when("since", o->since, true, &since, err);
    if (rc == 0)
        ft_buf_addf(b, "&start_time=%lld", (long long)since);
    return rc;
}

/* All pages as one answer. */
static int fetch(struct ft_cloud *c, const char *path, json_t **ret, struct ft_err *err)
{
    json_t *all = NULL;
    struct ft_buf at;
    int rc = 0;
    ft_buf_init(&at, URL_BYTES);
    ft_buf_add_str(&at, path);
    for (;;) {
        json_t *page = NULL;
        rc = ft_cloud_call(c, "GET", at.data, NULL, &page, err);
        if (rc != 0)
            break;
        if (all == NULL)
            all = json_incref(page);
        else
            json_array_extend(json_object_get(all, "data"), json_object_get(page, "data"));
        const char *next = json_string_value(json_object_get(page, "next_page"));
        bool more = next != NULL && json_is_true(json_object_get(page, "has_more")) &&
                    json_array_size(json_object_get(all, "data")) < ROWS_MAX;
        ft_buf_reset(&at);
        ft_buf_add_str(&at, path);
        add_param(&at, "page", next);
        json_decref(page);
        if (!more)
            break;
    }
    ft_buf_fini(&at);
    if (rc != 0)
        json_decref(all);
    else
        *ret = all;
    return rc;
}

static void add_figures(struct ft_table *t, const json_t *r, const char *currency)
{
    static const char *const counts[] = {"requests", "prompt_tokens", "cached_tokens",
                                         "completion_tokens"};
    for (size_t i = 0; i < FT_COUNT(counts); i++)
        ft_table_addf(t, "%lld", (long long)json_integer_value(json_object_get(r, counts[i])));
    ft_table_addf(t, "%s %s", ft_cloud_text(r, "cost", "0"), currency);
    ft_table_addf(t, "%.1f", json_number_value(json_object_get(r, "cpu_s")));
    ft_table_addf(t, "%s%.1f", json_is_true(json_object_get(r, "energy_estimated")) ? "~" : "",
                  json_number_value(json_object_get(r, "energy_j")));
}

/* {id: name} of the keys that are there; of those that may not be listed, nothing. */
static json_t *names_of_keys(struct ft_cloud *c)
{
    json_t *keys, *k, *names = json_object();
    size_t i;
    struct ft_err ignored = {0};
    if (ft_cloud_list(c, "/api/v1/keys", &keys, &ignored) != 0)
        return names;
    json_array_foreach(keys, i, k)
        json_object_set(names, ft_cloud_text(k, "id", ""), json_object_get(k, "name"));
    json_decref(keys);
    return names;
}

static void add_group(struct ft_table *t, const json_t *r, const char *group, const json_t *keys)
{
    char when[FT_SHOW_TIME_BYTES];
    const char *id = ft_cloud_text(r, group, "");
    const char *name = strcmp(group, "key") == 0 ? ft_cloud_text(keys, id, "") : "";
    if (name[0] != '\0')
        ft_table_addf(t, "%s (%s)", id, name);
    else if (strcmp(group, "hour") == 0 || strcmp(group, "day") == 0)
        ft_table_add(t, ft_show_time(json_object_get(r, "start"), when));
    else
        ft_table_add(t, id);
}

static int show(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct usage_options *o = ctx;
    const char *heads[FT_TABLE_COLUMNS_MAX];
    char upper[FT_OPT_MANY_MAX][16], from[FT_SHOW_TIME_BYTES], to[FT_SHOW_TIME_BYTES];
    static const char *const figures[] = {">REQUESTS", ">PROMPT", ">CACHED", ">COMPLETION",
                                          ">COST",     ">CPU S",  ">JOULES"};
    struct ft_buf path;
    json_t *u, *r, *keys = NULL;
    size_t i;
    int n = 0;
    ft_buf_init(&path, URL_BYTES);
    int rc = query(o, &path, err);
    if (rc == 0)
        rc = fetch(c, path.data, &u, err);
    ft_buf_fini(&path);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(u);
        return 0;
    }
    for (; n < o->by.n; n++) {
        if (keys == NULL && strcmp(o->by.value[n], "key") == 0)
            keys = names_of_keys(c);
        for (i = 0; i < sizeof upper[n] - 1 && o->by.value[n][i] != '\0'; i++)
            upper[n][i] = (char)(o->by.value[n][i] - 'a' + 'A');
        upper[n][i] = '\0';
        heads[n] = upper[n];
    }
    if (n == 0)
        heads[n++] = "";
    for (i = 0; i < FT_COUNT(figures); i++)
        heads[n++] = figures[i];
    const char *currency = ft_cloud_text(u, "currency", "");
    const json_t *data = json_object_get(u, "data");
    struct ft_table *t = ft_table_open(n, heads);
    for (i = 0; o->by.n > 0 && (r = json_array_get(data, i)) != NULL; i++) {
        for (int g = 0; g < o->by.n; g++)
            add_group(t, r, o->by.value[g], keys);
        add_figures(t, r, currency);
    }
    ft_table_add(t, "all");
    for (int g = 1; g < o->by.n; g++)
        ft_table_add(t, " ");
    add_figures(t, json_object_get(u, "total"), currency);
    /* it is counted in whole hours or days, of which the last goes on */
    const json_t *end = json_object_get(u, "end_time");
    printf("%s to %s\n\n", ft_show_time(json_object_get(u, "start_time"), from),
           json_integer_value(end) > (json_int_t)time(NULL) ? "now" : ft_show_time(end, to));
    ft_table_print_here(t);
    ft_table_close(t);
    json_decref(keys);
    json_decref(u);
    return 0;
}

int ft_cmd_usage(int argc, char **argv)
{
    struct usage_options o = {0};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud),
        {"by", 0, FT_OPT_MANY, &o.by, 0, 0},
        {"project", 0, FT_OPT_TEXT, &o.project, 0, 0},
        {"key", 0, FT_OPT_TEXT, &o.key, 0, 0},
        {"model", 0, FT_OPT_TEXT, &o.model, 0, 0},
        {"since", 0, FT_OPT_TEXT, &o.since, 0, 0},
    };
    int rc = ft_opts_parse("usage", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    if (rc == 0 && o.by.n > GROUPS_MAX)
        return ft_cli_usage("usage", "--by: at most %d times", GROUPS_MAX);
    return rc != 0 ? rc : ft_cloud_command("usage", &o.cloud, show, &o);
}
