/* feitian hub: the cloud's own models and datasets, with their revisions. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cloud/hub.h"
#include "cli/cloud/show.h"
#include "net/date.h"

#define NAMES_MAX  64
#define PATH_BYTES 8192
#define PAGE       1000

/* ---- names ---- */

int ft_hub_name(struct ft_cloud *c, const char *text, struct ft_hub_name *ret, struct ft_err *err)
{
    const char *at = strchr(text, '@');
    size_t n = at != NULL ? (size_t)(at - text) : strlen(text);
    json_t *me = NULL;
    int rc = 0;
    if (n == 0 || n > 200 || (at != NULL && (at[1] == '\0' || strlen(at) >= sizeof ret->rev)))
        return ft_err_set(err, FT_EINVAL, "'%.200s' is not ORG/NAME or ORG/NAME@REVISION", text);
    snprintf(ret->rev, sizeof ret->rev, "%s", at != NULL ? at + 1 : "main");
    if (memchr(text, '/', n) == NULL)
        rc = ft_cloud_call(c, "GET", "/api/whoami-v2", NULL, &me, err);
    if (rc == 0)
        snprintf(ret->id, sizeof ret->id, "%s%s%.*s",
                 me != NULL ? ft_cloud_text(me, "name", "") : "", me != NULL ? "/" : "", (int)n,
                 text);
    json_decref(me);
    return rc;
}

const char *ft_hub_path(struct ft_buf *b, bool dataset, const char *id, const char *fmt, ...)
{
    char rest[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(rest, sizeof rest, fmt, ap);
    va_end(ap);
    ft_buf_reset(b);
    ft_buf_add_str(b, dataset ? "/api/datasets/" : "/api/models/");
    const char *slash = strchr(id, '/');
    char org[256];
    snprintf(org, sizeof org, "%.*s", (int)(slash != NULL ? slash - id : 0), id);
    ft_cloud_escape(b, org);
    ft_buf_add_str(b, "/");
    ft_cloud_escape(b, slash != NULL ? slash + 1 : id);
    ft_buf_add_str(b, rest);
    return b->data != NULL ? b->data : "";
}

/* Pages go on behind the last path that came. */
int ft_hub_tree(struct ft_cloud *c, bool dataset, const struct ft_hub_name *name, json_t **ret,
                struct ft_err *err)
{
    struct ft_buf b, rev;
    json_t *all = json_array();
    int rc = 0;
    size_t got = PAGE;
    ft_buf_init(&b, PATH_BYTES);
    ft_buf_init(&rev, 1024);
    ft_cloud_escape(&rev, name->rev);
    while (rc == 0 && got == PAGE) {
        json_t *page = NULL;
        const json_t *last = json_array_get(all, json_array_size(all) - 1);
        ft_hub_path(&b, dataset, name->id, "/tree/%s?recursive=true&limit=%d", rev.data, PAGE);
        if (last != NULL) {
            ft_buf_add_str(&b, "&cursor=");
            ft_cloud_escape(&b, ft_cloud_text(last, "path", ""));
        }
        rc = ft_cloud_call(c, "GET", b.data, NULL, &page, err);
        got = json_array_size(page);
        json_array_extend(all, page);
        json_decref(page);
    }
    ft_buf_fini(&b);
    ft_buf_fini(&rev);
    if (rc == 0)
        *ret = all;
    else
        json_decref(all);
    return rc;
}

/* ---- ls ---- */

static const char *licence(const json_t *m)
{
    return ft_cloud_text(m, "license", "-");
}

static int64_t parameters(const json_t *m)
{
    const json_t *of = json_object_get(m, "gguf");
    if (of == NULL)
        of = json_object_get(m, "safetensors");
    return json_integer_value(json_object_get(of, "total"));
}

static bool is_adapter(const json_t *m)
{
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(m, "tags"), i, t)
    {
        if (strcmp(json_string_value(t) != NULL ? json_string_value(t) : "", "peft") == 0)
            return true;
    }
    return false;
}

static const char *format(const json_t *m)
{
    return is_adapter(m)                               ? "adapter"
           : json_object_get(m, "gguf") != NULL        ? "gguf"
           : json_object_get(m, "safetensors") != NULL ? "safetensors"
                                                       : "-";
}

/* As the other commands show dates. */
static const char *changed(const json_t *m, char ret[FT_SHOW_TIME_BYTES])
{
    int64_t at = 0;
    bool known = ft_date_parse_iso(ft_cloud_text(m, "lastModified", ""), &at);
    json_t *seconds = known ? json_integer(at) : NULL;
    ft_show_time(seconds, ret);
    json_decref(seconds);
    return known ? ret : "-";
}

static void row(struct ft_table *t, const json_t *m)
{
    char figure[FT_FIGURE_BYTES];
    int64_t n = parameters(m);
    ft_table_add(t, ft_cloud_text(m, "id", ""));
    ft_table_add(t, json_is_true(json_object_get(m, "private")) ? "private" : "public");
    ft_table_add(t, format(m));
    ft_table_add(t, n > 0 ? ft_figure_count(figure, (double)n) : "-");
    ft_table_add(t, ft_figure_bytes(
                        figure, (uint64_t)json_integer_value(json_object_get(m, "usedStorage"))));
    ft_table_add(t, licence(m));
    ft_table_addf(t, "%lld", (long long)json_integer_value(json_object_get(m, "downloadsAllTime")));
    char when[FT_SHOW_TIME_BYTES];
    ft_table_add(t, changed(m, when));
}

static void list_files(const json_t *files)
{
    static const char *const heads[] = {"PATH", ">SIZE", "HASH"};
    struct ft_table *t = ft_table_open(FT_COUNT(heads), heads);
    size_t i;
    json_t *f;
    json_array_foreach((json_t *)files, i, f)
    {
        char figure[FT_FIGURE_BYTES];
        if (strcmp(ft_cloud_text(f, "type", ""), "file") != 0)
            continue;
        const json_t *lfs = json_object_get(f, "lfs");
        ft_table_add(t, ft_cloud_text(f, "path", ""));
        ft_table_add(
            t, ft_figure_bytes(figure, (uint64_t)json_integer_value(json_object_get(f, "size"))));
        ft_table_addf(t, "%.12s", ft_cloud_text(lfs != NULL ? lfs : f, "oid", ""));
    }
    ft_table_print_here(t);
    ft_table_close(t);
}

static int ls_files(struct ft_cloud *c, const struct ft_hub_options *o, struct ft_err *err)
{
    struct ft_hub_name name;
    json_t *files = NULL;
    int rc = ft_hub_name(c, o->args[0], &name, err);
    if (rc == 0)
        rc = ft_hub_tree(c, o->dataset, &name, &files, err);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(files);
        return 0;
    }
    list_files(files);
    json_decref(files);
    return 0;
}

static int ls(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"NAME",  "SEEN BY", "FORMAT",     ">WEIGHTS",
                                        ">SIZE", "LICENCE", ">DOWNLOADS", "CHANGED"};
    const struct ft_hub_options *o = ctx;
    json_t *all = json_array(), *m;
    size_t i, got = PAGE;
    char path[160];
    int rc = 0;
    if (o->n_args == 1) {
        json_decref(all);
        return ls_files(c, o, err);
    }
    while (rc == 0 && got == PAGE) {
        json_t *page = NULL;
        snprintf(path, sizeof path, "/api/%s?limit=%d&sort=id&cursor=%zu",
                 o->dataset ? "datasets" : "models", PAGE, json_array_size(all));
        rc = ft_cloud_call(c, "GET", path, NULL, &page, err);
        got = json_array_size(page);
        json_array_extend(all, page);
        json_decref(page);
    }
    if (rc != 0) {
        json_decref(all);
        return rc;
    }
    if (o->cloud.json) {
        ft_show_json(all);
        return 0;
    }
    if (json_array_size(all) == 0) {
        printf("there are none: 'feitian hub push PATH NAME' makes one\n");
    } else {
        struct ft_table *t = ft_table_open(FT_COUNT(heads), heads);
        json_array_foreach(all, i, m) row(t, m);
        ft_table_print_here(t);
        ft_table_close(t);
    }
    json_decref(all);
    return 0;
}

/* ---- show ---- */

static void say(const char *label, const char *text)
{
    printf("%-12s ", label);
    ft_cli_put_plain(stdout, text);
    putchar('\n');
}

static void show_refs(const json_t *refs)
{
    static const char *const kinds[][2] = {{"branches", "branch"}, {"tags", "tag"}};
    size_t i;
    json_t *r;
    for (int k = 0; k < 2; k++)
        json_array_foreach(json_object_get(refs, kinds[k][0]), i, r)
        {
            char text[256];
            snprintf(text, sizeof text, "%s at %.12s", ft_cloud_text(r, "name", ""),
                     ft_cloud_text(r, "targetCommit", ""));
            say(kinds[k][1], text);
        }
}

static void show_text(const json_t *m, const json_t *refs, bool dataset)
{
    char figure[FT_FIGURE_BYTES], text[512];
    const json_t *said = json_object_get(m, "inspected");
    int64_t n = parameters(m);
    say(dataset ? "dataset" : "model", ft_cloud_text(m, "id", ""));
    say("seen by", json_is_true(json_object_get(m, "private")) ? "its project (private)"
                                                               : "every project (public)");
    say("revision", ft_cloud_text(m, "sha", ""));
    char when[FT_SHOW_TIME_BYTES];
    say("changed", changed(m, when));
    say("licence", licence(m));
    if (said != NULL) {
        say("format", ft_cloud_text(said, "source", "-"));
        say("architecture", ft_cloud_text(said, "architecture", "-"));
        say("weights", ft_figure_count(figure, (double)n));
    }
    say("size",
        ft_figure_bytes(figure, (uint64_t)json_integer_value(json_object_get(m, "usedStorage"))));
    say("tags", ft_show_words(json_object_get(m, "tags"), text, sizeof text));
    snprintf(text, sizeof text, "%lld, %lld of them in 30 days",
             (long long)json_integer_value(json_object_get(m, "downloadsAllTime")),
             (long long)json_integer_value(json_object_get(m, "downloads")));
    say("downloads", text);
    show_refs(refs);
    snprintf(text, sizeof text, "%zu", json_array_size(json_object_get(m, "siblings")));
    say("files", text);
}

static int show(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct ft_hub_options *o = ctx;
    struct ft_hub_name name;
    struct ft_buf b, rev;
    json_t *m = NULL, *refs = NULL;
    ft_buf_init(&b, PATH_BYTES);
    ft_buf_init(&rev, 1024);
    int rc = ft_hub_name(c, o->args[0], &name, err);
    if (rc == 0) {
        ft_cloud_escape(&rev, name.rev);
        rc = ft_cloud_call(
            c, "GET", ft_hub_path(&b, o->dataset, name.id, "/revision/%s?blobs=true", rev.data),
            NULL, &m, err);
    }
    if (rc == 0)
        rc = ft_cloud_call(c, "GET", ft_hub_path(&b, o->dataset, name.id, "/refs"), NULL, &refs,
                           err);
    if (rc == 0 && o->cloud.json) {
        json_object_set(m, "refs", refs);
        ft_show_json(json_incref(m));
    } else if (rc == 0) {
        show_text(m, refs, o->dataset);
    }
    json_decref(m);
    json_decref(refs);
    ft_buf_fini(&b);
    ft_buf_fini(&rev);
    return rc;
}

/* ---- rm, tag ---- */

static int rm(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct ft_hub_options *o = ctx;
    json_t *gone = json_array();
    int rc = 0;
    for (int i = 0; rc == 0 && i < o->n_args; i++) {
        struct ft_hub_name name;
        rc = strchr(o->args[i], '@') != NULL
                 ? ft_err_set(err, FT_EINVAL,
                              "'%.200s': a whole repository is removed; 'feitian hub tag --delete' "
                              "removes a tag or branch",
                              o->args[i])
                 : ft_hub_name(c, o->args[i], &name, err);
        if (rc == 0)
            rc = ft_cloud_call(
                c, "DELETE", "/api/repos/delete",
                json_pack("{s:s,s:s}", "name", name.id, "type", o->dataset ? "dataset" : "model"),
                NULL, err);
        if (rc == 0 && !o->cloud.json)
            printf("%s removed\n", name.id);
        if (rc == 0)
            json_array_append_new(gone, json_pack("{s:s,s:b}", "id", name.id, "deleted", 1));
    }
    if (o->cloud.json && (rc == 0 || json_array_size(gone) > 0)) /* also what went before */
        ft_show_json(json_incref(gone));
    json_decref(gone);
    return rc;
}

static int tag(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct ft_hub_options *o = ctx;
    struct ft_hub_name name;
    struct ft_buf b, part;
    const char *what = o->branch ? "branch" : "tag";
    ft_buf_init(&b, PATH_BYTES);
    ft_buf_init(&part, 1024);
    int rc = ft_hub_name(c, o->args[0], &name, err);
    if (rc == 0 && o->delete) {
        ft_cloud_escape(&part, o->args[1]);
        rc = ft_cloud_call(c, "DELETE",
                           ft_hub_path(&b, o->dataset, name.id, "/%s/%s", what, part.data), NULL,
                           NULL, err);
    } else if (rc == 0) {
        ft_cloud_escape(&part, o->branch ? o->args[1] : name.rev);
        rc = ft_cloud_call(c, "POST",
                           ft_hub_path(&b, o->dataset, name.id, "/%s/%s", what, part.data),
                           o->branch ? json_pack("{s:s}", "startingPoint", name.rev)
                                     : json_pack("{s:s}", "tag", o->args[1]),
                           NULL, err);
    }
    if (rc == 0)
        printf("%s %s of %s %s\n", what, o->args[1], name.id, o->delete ? "removed" : "made");
    ft_buf_fini(&b);
    ft_buf_fini(&part);
    return rc;
}

/* ---- the commands ---- */

static int run(const char *cmd, int argc, char **argv, int min, int max, const char *words,
               ft_cloud_command_fn *fn)
{
    struct ft_hub_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"dataset", 0, FT_OPT_FLAG, &o.dataset, 0, 0},
                                  {"private", 0, FT_OPT_FLAG, &o.is_private, 0, 0},
                                  {"delete", 0, FT_OPT_FLAG, &o.delete, 0, 0},
                                  {"branch", 0, FT_OPT_FLAG, &o.branch, 0, 0},
                                  {"to", 0, FT_OPT_TEXT, &o.to, 0, 0},
                                  {"message", 'm', FT_OPT_TEXT, &o.message, 0, 0}};
    int rc = ft_opts_parse(cmd, opts, FT_COUNT(opts), argc, argv, min, max, words, &o.args);
    bool push = strcmp(cmd, "hub push") == 0, tags = strcmp(cmd, "hub tag") == 0;
    if (rc != 0)
        return rc;
    o.n_args = (int)(argv + argc - o.args);
    if (!push && (o.is_private || o.to != NULL || o.message != NULL))
        return ft_cli_usage(cmd, "--private, --to and --message are for 'hub push'");
    if ((!push && !tags && o.delete) || (!tags && o.branch))
        return ft_cli_usage(cmd, "--%s is not for this command", o.branch ? "branch" : "delete");
    return ft_cloud_command(cmd, &o.cloud, fn, &o);
}

static int hub_ls(int argc, char **argv)
{
    return run("hub ls", argc, argv, 0, 1, "at most a repository: feitian hub ls [NAME[@REV]]", ls);
}

static int hub_show(int argc, char **argv)
{
    return run("hub show", argc, argv, 1, 1, "a repository: NAME[@REV]", show);
}

static int hub_push(int argc, char **argv)
{
    return run("hub push", argc, argv, 2, 2, "what and where to: PATH NAME[@BRANCH]", ft_hub_push);
}

static int hub_pull(int argc, char **argv)
{
    return run("hub pull", argc, argv, 1, 2, "what, and a folder: NAME[@REV] [FOLDER]",
               ft_hub_pull);
}

static int hub_rm(int argc, char **argv)
{
    return run("hub rm", argc, argv, 1, NAMES_MAX, "repositories", rm);
}

static int hub_tag(int argc, char **argv)
{
    return run("hub tag", argc, argv, 2, 2, "what, and the tag: NAME[@REV] TAG", tag);
}

const struct ft_cmd ft_cmd_hub_subs[] = {
    {"ls", "[NAME[@REV]] [--dataset] [--json]", "repositories there are, or the files of one",
     hub_ls, 0, NULL},
    {"show", "NAME[@REV] [--dataset] [--json]", "card, format, weights, licence, downloads",
     hub_show, 0, NULL},
    {"push", "PATH NAME[@BRANCH] [--private] [--message TEXT] [OPTION ...]",
     "send a file or folder as a new revision", hub_push, 0, NULL},
    {"pull", "NAME[@REV] [FOLDER] [--dataset]", "fetch a revision into a folder", hub_pull, 0,
     NULL},
    {"rm", "NAME ... [--dataset]", "remove repositories", hub_rm, 0, NULL},
    {"tag", "NAME[@REV] TAG [--branch] [--delete]", "give a revision a name", hub_tag, 0, NULL},
    {0},
};
