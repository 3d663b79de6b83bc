/* feitian session: who is signed in to the console, and from where. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"

struct session_options {
    struct ft_cloud_options cloud;
    const char *project;
    char **args;
    int n_args;
};

static void row(struct ft_table *t, const json_t *s)
{
    char begun[FT_SHOW_TIME_BYTES], used[FT_SHOW_TIME_BYTES];
    ft_table_add(t, ft_cloud_text(s, "id", ""));
    ft_table_add(t, ft_cloud_text(s, "project", ""));
    ft_table_add(t, ft_cloud_text(s, "member", "-"));
    ft_table_add(t, ft_cloud_text(s, "key", ""));
    ft_table_add(t, ft_cloud_text(s, "address", ""));
    ft_table_add(t, ft_show_time(json_object_get(s, "created"), begun));
    ft_table_add(t, ft_show_time(json_object_get(s, "used"), used));
}

static int list(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"ID",   "PROJECT", "MEMBER",   "KEY",
                                        "FROM", "BEGUN",   "LAST USED"};
    const struct session_options *o = ctx;
    struct ft_show_list l = {.path = "/api/v1/sessions",
                             .filter = "project",
                             .value = o->project,
                             .none = "nobody is signed in to the console",
                             .heads = heads,
                             .n_heads = FT_COUNT(heads),
                             .row = row};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int session_list(int argc, char **argv)
{
    struct session_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"project", 0, FT_OPT_TEXT, &o.project, 0, 0}};
    int rc = ft_opts_parse("session list", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("session list", &o.cloud, list, &o);
}

static int session_end(int argc, char **argv)
{
    static const struct ft_show_removal r = {"session end", "/api/v1/sessions/",
                                             "the session's id, which 'feitian session list' shows",
                                             "ended"};
    return ft_show_remove(&r, argc, argv);
}

const struct ft_cmd ft_cmd_session_subs[] = {
    {"list", "[--project ID] [--json]", "who is signed in", session_list, 0, NULL},
    {"end", "ID ...", "sign them out, at once", session_end, 0, NULL},
    {0},
};
