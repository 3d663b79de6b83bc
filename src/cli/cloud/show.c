/* Answers of a cloud on the terminal: as JSON where asked for, else as tables and short lines. */
#include "cli/cloud/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define URL_BYTES 8192
#define CALLS_MAX 100 /* of one list of requests: then it says where to go on */

void ft_show_json(json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(j);
}

int ft_show_list(struct ft_cloud *c, const struct ft_show_list *l, bool json, struct ft_err *err)
{
    struct ft_buf path;
    json_t *all, *entity;
    size_t i;
    ft_buf_init(&path, URL_BYTES);
    ft_buf_add_str(&path, l->path);
    if (l->filter != NULL && l->value != NULL) {
        ft_buf_addf(&path, "?%s=", l->filter);
        ft_cloud_escape(&path, l->value);
    }
    int rc = path.failed == 0 ? ft_cloud_list(c, path.data, &all, err)
                              : ft_err_set(err, FT_EINVAL, "--%s: too long", l->filter);
    ft_buf_fini(&path);
    if (rc != 0)
        return rc;
    if (json) {
        ft_show_json(all);
        return 0;
    }
    if (l->prepare != NULL)
        l->prepare(c, all);
    struct ft_table *t = ft_table_open(l->n_heads, l->heads);
    int hidden = 0;
    json_array_foreach(all, i, entity)
    {
        bool hide = l->hide != NULL && l->hide(entity);
        hidden += hide;
        if (!hide)
            l->row(t, entity);
    }
    if (json_array_size(all) == 0 && l->none != NULL)
        fprintf(stderr, "%s\n", l->none);
    else
        ft_table_print_here(t);
    if (hidden > 0)
        fprintf(stderr, "and %d %s\n", hidden, l->hidden);
    ft_table_close(t);
    json_decref(all);
    return 0;
}

bool ft_show_is_checkpoint(const char *name)
{
    return strncmp(name, "ft:", 3) == 0 && strstr(name, ":ckpt-step-") != NULL;
}

bool ft_show_is_idle_checkpoint(const json_t *endpoint)
{
    const json_t *ready = json_object_get(json_object_get(endpoint, "replicas"), "ready");
    return ft_show_is_checkpoint(ft_cloud_text(endpoint, "name", "")) &&
           json_integer_value(ready) == 0 &&
           json_integer_value(json_object_get(endpoint, "in_flight")) == 0 &&
           json_integer_value(json_object_get(endpoint, "queue")) == 0;
}

int ft_show_get(struct ft_cloud *c, const char *path, const char *id, json_t **ret,
                struct ft_err *err)
{
    struct ft_buf b;
    if (id[0] == '\0')
        return ft_err_set(err, FT_EINVAL, "the name is empty");
    ft_buf_init(&b, URL_BYTES);
    ft_buf_add_str(&b, path);
    ft_cloud_escape(&b, id);
    int rc = b.failed == 0 ? ft_cloud_call(c, "GET", b.data, NULL, ret, err)
                           : ft_err_set(err, FT_EINVAL, "%.60s...: too long", id);
    ft_buf_fini(&b);
    return rc;
}

int ft_show_delete(struct ft_cloud *c, const char *path, char **ids, int n, const char *query,
                   const char *done, bool json, struct ft_err *err)
{
    json_t *all = json_array();
    int rc = 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        struct ft_buf b;
        json_t *answer = NULL;
        ft_buf_init(&b, URL_BYTES);
        ft_buf_add_str(&b, path);
        ft_cloud_escape(&b, ids[i]);
        ft_buf_add_str(&b, query);
        rc = b.failed == 0 ? ft_cloud_call(c, "DELETE", b.data, NULL, &answer, err)
                           : ft_err_set(err, FT_EINVAL, "%.60s...: too long", ids[i]);
        ft_buf_fini(&b);
        if (rc == 0 && !json)
            printf("%s %s\n", ids[i], done);
        if (rc == 0)
            json_array_append_new(all, answer);
    }
    if (json && (rc == 0 || json_array_size(all) > 0)) /* also what went before one failed */
        ft_show_json(json_incref(all));
    json_decref(all);
    return rc;
}

/* ---- whole commands ---- */

struct plain {
    struct ft_cloud_options cloud;
    const struct ft_show_list *list;
    const struct ft_show_removal *removal;
    char **args;
    int n_args;
};

static int show_plain(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct plain *o = ctx;
    return ft_show_list(c, o->list, o->cloud.json, err);
}

int ft_show_list_plain(const char *command, const struct ft_show_list *l, int argc, char **argv)
{
    struct plain o = {.list = l};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse(command, opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command(command, &o.cloud, show_plain, &o);
}

static int remove_plain(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct plain *o = ctx;
    return ft_show_delete(c, o->removal->path, o->args, o->n_args, "", o->removal->done,
                          o->cloud.json, err);
}

int ft_show_remove(const struct ft_show_removal *r, int argc, char **argv)
{
    struct plain o = {.removal = r};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse(r->command, opts, FT_COUNT(opts), argc, argv, 1, FT_SHOW_REMOVE_MAX,
                           r->what, &o.args);
    o.n_args = rc == 0 ? (int)(argv + argc - o.args) : 0;
    return rc != 0 ? rc : ft_cloud_command(r->command, &o.cloud, remove_plain, &o);
}

int ft_show_requests(struct ft_cloud *c, const char *filter, const char *after, int most,
                     json_t **ret, struct ft_err *err)
{
    json_t *all = NULL;
    int rc = 0, have = 0;
    for (int calls = 0; rc == 0 && calls < CALLS_MAX && have < most; calls++) {
        struct ft_buf path;
        json_t *page = NULL;
        ft_buf_init(&path, URL_BYTES);
        ft_buf_addf(&path, "/api/v1/requests?limit=%d%s", most - have, filter);
        if (after != NULL) {
            ft_buf_add_str(&path, "&after=");
            ft_cloud_escape(&path, after);
        }
        rc = path.failed == 0 ? ft_cloud_call(c, "GET", path.data, NULL, &page, err)
                              : ft_err_set(err, FT_EINVAL, "the filter is too long");
        ft_buf_fini(&path);
        if (rc != 0)
            break;
        json_t *data = json_incref(json_object_get(page, "data"));
        if (all != NULL) {
            json_array_extend(json_object_get(all, "data"), data);
            json_object_del(page, "data");
            json_object_update(all, page);
            json_decref(page);
        } else {
            all = page;
        }
        have += (int)json_array_size(data);
        json_decref(data);
        after = json_string_value(json_object_get(all, "next"));
        if (after == NULL)
            break;
    }
    if (rc != 0)
        json_decref(all);
    else
        *ret = all;
    return rc;
}

const char *ft_show_time(const json_t *seconds, char ret[FT_SHOW_TIME_BYTES])
{
    time_t at = (time_t)json_integer_value(seconds);
    struct tm t;
    if (!json_is_integer(seconds) || localtime_r(&at, &t) == NULL)
        return "-";
    strftime(ret, FT_SHOW_TIME_BYTES, "%Y-%m-%d %H:%M", &t);
    return ret;
}

const char *ft_show_words(const json_t *list, char *ret, size_t n)
{
    size_t at = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < json_array_size(list) && at + 1 < n; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        snprintf(ret + at, n - at, "%s%s", i > 0 ? ", " : "", word != NULL ? word : "?");
        at += strlen(ret + at);
    }
    return ret;
}
