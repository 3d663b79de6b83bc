/* feitian files: files of a project, as batches and fine-tuning read and write them. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"

#define FILES "/v1/files"

struct files_options {
    struct ft_cloud_options cloud;
    const char *purpose, *out;
    char **args;
    int n_args;
};

static void file_row(struct ft_table *t, const json_t *file)
{
    char when[FT_SHOW_TIME_BYTES], size[FT_FIGURE_BYTES];
    ft_table_add(t, ft_cloud_text(file, "id", ""));
    ft_table_add(
        t, ft_figure_bytes(size, (uint64_t)json_integer_value(json_object_get(file, "bytes"))));
    ft_table_add(t, ft_cloud_text(file, "purpose", ""));
    ft_table_add(t, ft_show_time(json_object_get(file, "created_at"), when));
    ft_table_add(t, ft_show_time(json_object_get(file, "expires_at"), when));
    ft_table_add(t, ft_cloud_text(file, "filename", ""));
}

static int list(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"FILE", ">SIZE", "PURPOSE", "CREATED", "EXPIRES", "NAME"};
    const struct files_options *o = ctx;
    const struct ft_show_list l = {.path = FILES,
                                   .filter = "purpose",
                                   .value = o->purpose,
                                   .none = "there are no files: feitian files put FILE",
                                   .heads = heads,
                                   .n_heads = FT_COUNT(heads),
                                   .row = file_row};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int files_ls(int argc, char **argv)
{
    struct files_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"purpose", 0, FT_OPT_TEXT, &o.purpose, 0, 0}};
    int rc = ft_opts_parse("files ls", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("files ls", &o.cloud, list, &o);
}

static int put(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct files_options *o = ctx;
    json_t *all = json_array();
    int rc = 0;
    for (int i = 0; rc == 0 && o->args[i] != NULL; i++) {
        json_t *file = NULL;
        rc = ft_cloud_upload(c, o->args[i], o->purpose, &file, err);
        if (rc == 0 && !o->cloud.json)
            printf("%s  %s\n", ft_cloud_text(file, "id", "?"), o->args[i]);
        if (rc == 0)
            json_array_append(all, file);
        json_decref(file);
    }
    if (rc == 0 && o->cloud.json)
        ft_show_json(json_incref(all));
    json_decref(all);
    return rc;
}

static int files_put(int argc, char **argv)
{
    struct files_options o = {.purpose = "user_data"};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"purpose", 0, FT_OPT_TEXT, &o.purpose, 0, 0}};
    int rc = ft_opts_parse("files put", opts, FT_COUNT(opts), argc, argv, 1, 1000,
                           "files to upload", &o.args);
    return rc != 0 ? rc : ft_cloud_command("files put", &o.cloud, put, &o);
}

static int get(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct files_options *o = ctx;
    struct ft_buf b;
    json_t *file = NULL;
    const char *to = o->out;
    ft_buf_init(&b, 1024);
    ft_buf_add_str(&b, FILES "/");
    ft_cloud_escape(&b, o->args[0]);
    int rc =
        b.failed == 0 ? 0 : ft_err_set(err, FT_EINVAL, "%.60s...: is no file's id", o->args[0]);
    if (rc == 0 && to == NULL) {
        rc = ft_cloud_call(c, "GET", b.data, NULL, &file, err);
        to = ft_cloud_text(file, "filename", "");
        if (rc == 0 && (to[0] == '\0' || to[0] == '.' || strchr(to, '/') != NULL))
            rc = ft_err_set(err, FT_EINVAL, "its name is not one for here; say -o PATH");
    }
    ft_buf_add_str(&b, "/content");
    if (rc == 0)
        rc = ft_cloud_save(c, b.data, to, err);
    if (rc == 0 && strcmp(to, "-") != 0) {
        ft_cli_put_plain(stderr, to);
        fputc('\n', stderr);
    }
    json_decref(file);
    ft_buf_fini(&b);
    return rc;
}

static int files_get(int argc, char **argv)
{
    struct files_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"output", 'o', FT_OPT_TEXT, &o.out, 0, 0}};
    int rc = ft_opts_parse("files get", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a file's id, which 'feitian files ls' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("files get", &o.cloud, get, &o);
}

static int rm(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct files_options *o = ctx;
    int n = 0;
    while (o->args[n] != NULL)
        n++;
    return ft_show_delete(c, FILES "/", o->args, n, "", "is removed", o->cloud.json, err);
}

static int files_rm(int argc, char **argv)
{
    struct files_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("files rm", opts, FT_COUNT(opts), argc, argv, 1, 1000,
                           "ids of files, which 'feitian files ls' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("files rm", &o.cloud, rm, &o);
}

const struct ft_cmd ft_cmd_files_subs[] = {
    {"ls", "[--purpose P] [--json]", "the files there are", files_ls, 0, NULL},
    {"put", "FILE ... [--purpose batch|fine-tune|user_data|...]", "upload", files_put, 0, NULL},
    {"get", "ID [-o PATH]", "download", files_get, 0, NULL},
    {"rm", "ID ...", "remove", files_rm, 0, NULL},
    {0},
};
