/* feitian backup: all of a cloud on this machine into a folder or a tar, while it goes on; and
 * whether a backup is whole. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/partial.h"
#include "cli/cli.h"
#include "cli/cloud/backup.h"
#include "cli/cloud/client.h"
#include "cli/cloud/show.h"
#include "cli/cloud/up.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/storage.h"
#include "cli/table.h"

#define CONFIG_MAX 65536

struct options {
    const char *home, *earlier;
    bool verify, no_models, json;
    const char *what; /* DEST or SRC */
};

struct shown {
    struct ft_progress bar;
    int64_t done, all;
};

static void moved(void *ctx, int64_t bytes)
{
    struct shown *s = ctx;
    s->done += bytes;
    if (s->all > 0)
        ft_progress_show(&s->bar, (uint64_t)FT_MIN(s->done, s->all), (uint64_t)s->all);
}

static void fault(void *ctx, const char *name, const char *what)
{
    struct shown *s = ctx;
    ft_progress_clear(&s->bar);
    fprintf(stderr, "feitian backup: ");
    ft_cli_put_plain(stderr, name);
    fprintf(stderr, ": %s\n", what);
}

/* ---- of what ---- */

static void text_of_file(const char *path, const char *member, char *ret)
{
    char *text = NULL;
    size_t n;
    struct ft_err ignored = {0};
    if (ft_file_read(path, CONFIG_MAX, &text, &n, &ignored) != 0)
        return;
    json_t *j = json_loadb(text, n, 0, NULL);
    const char *is = json_string_value(json_object_get(j, member));
    if (is != NULL)
        snprintf(ret, FT_HOME_PATH, "%s", is);
    json_decref(j);
    free(text);
}

/* In the folder of the cloud, or below it? "/srv/feitian.conf" is not in "/srv/feitian". */
static bool is_within(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Certificates that lie elsewhere have an owner of their own. */
static void warn_of_tls(const struct ft_backup_home *b, const json_t *given)
{
    static const char *const options[] = {"--tls-cert", "--tls-key"};
    for (size_t i = 0; i < FT_COUNT(options); i++) {
        const char *path = json_string_value(json_object_get(given, options[i]));
        if (path != NULL && !is_within(path, b->root))
            fprintf(stderr, "feitian backup: %s %s lies elsewhere and is not in it\n", options[i],
                    path);
    }
}

/* The settings in force (into ret): as it runs, else as it was up last. Those that lie elsewhere
 * come into the backup as its config.json. */
static void find_config(struct ft_backup_home *b, bool running, const json_t *given,
                        char ret[FT_HOME_PATH])
{
    char path[FT_HOME_PATH], *text = NULL;
    size_t n;
    struct ft_err ignored = {0};
    const char *config = json_string_value(json_object_get(given, "--config"));
    if (!running && ft_file_read(ft_home_at(&b->home, FT_UP_CONFIG, path), FT_HOME_PATH - 1, &text,
                                 &n, &ignored) == 0)
        config = text;
    ft_home_at(&b->home, "config.json", ret);
    if (config != NULL) {
        snprintf(ret, FT_HOME_PATH, "%s", config);
        if (!is_within(config, b->root))
            snprintf(b->config, sizeof b->config, "%s", config);
    }
    free(text);
}

/* Where its objects are: as it runs, else as it would be started, else as it was. */
static void find_storage(struct ft_backup_home *b, bool running)
{
    char path[FT_HOME_PATH], config[FT_HOME_PATH];
    json_t *given = running ? ft_home_options(&b->home) : NULL;
    const char *at = json_string_value(json_object_get(given, "--storage"));
    struct stat st;
    ft_home_at(&b->home, "blob", b->where);
    if (at != NULL)
        snprintf(b->where, sizeof b->where, "%s", at);
    find_config(b, running, given, config);
    warn_of_tls(b, given);
    if (!running) {
        text_of_file(ft_home_at(&b->home, "storage.id", path), "where", b->where);
        text_of_file(config, "storage", b->where);
    }
    json_decref(given);
    snprintf(path, sizeof path, "%.4000s/index.db", b->where);
    b->objects = b->where[0] == '/' && stat(path, &st) == 0;
}

static int find(const struct options *o, struct ft_backup_home *b, bool *ret_running, int *ret_lock,
                struct ft_err *err)
{
    char path[FT_HOME_PATH];
    struct ft_home_up up;
    int rc = ft_home_find(o->home, &b->home, err);
    if (rc == 0 && access(ft_home_at(&b->home, "state/state.db", path), R_OK) != 0)
        rc = ft_err_set(err, FT_ENOTFOUND, "there is no cloud in %s, or it is not yours: %s",
                        b->home.path, strerror(errno));
    if (rc == 0 && realpath(b->home.path, b->root) == NULL)
        rc = ft_err_sys(err, "%s", b->home.path);
    if (rc == 0 && access(ft_home_at(&b->home, FT_RESTORING, path), F_OK) == 0)
        rc = ft_err_set(err, FT_EINVAL, "a restore into %s did not come to its end", b->home.path);
    if (rc == 0)
        rc = ft_home_running(&b->home, &up, err);
    *ret_running = rc == 1;
    if (rc == 0) /* nobody starts it meanwhile */
        rc = ft_home_lock(&b->home, ret_lock, err);
    if (rc == 0 && !*ret_running && *ret_lock < 0)
        *ret_running = true; /* just now */
    find_storage(b, *ret_running);
    b->models = !o->no_models;
    return FT_MIN(rc, 0);
}

/* A backup within what it is of would hold itself. */
static int check_dest(const struct ft_backup_home *b, const char *dest, struct ft_err *err)
{
    char folder[FT_HOME_PATH], real[FT_HOME_PATH];
    if (strcmp(dest, "-") == 0)
        return isatty(STDOUT_FILENO) ? ft_err_set(err, FT_EINVAL,
                                                  "standard output is a terminal: "
                                                  "give a folder or a file, or send it on")
                                     : 0;
    snprintf(folder, sizeof folder, "%s", dest);
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        strcpy(folder, ".");
    else
        slash[slash == folder] = '\0';
    if (realpath(folder, real) == NULL)
        return ft_err_sys(err, "%s", folder);
    if (is_within(real, b->root))
        return ft_err_set(err, FT_EINVAL, "%s lies in the cloud's own folder", dest);
    return 0;
}

/* ---- making one ---- */

static void say_made(const struct options *o, const struct ft_backup_home *b,
                     const struct ft_backup_sum *sum)
{
    bool stream = strcmp(o->what, "-") == 0;
    FILE *out = stream ? stderr : stdout;
    char bytes[FT_FIGURE_BYTES], linked[FT_FIGURE_BYTES];
    if (o->json && !stream) {
        ft_show_json(json_pack("{s:s,s:I,s:I,s:I,s:s,s:b}", "backup", o->what, "files",
                               (json_int_t)sum->files, "bytes", (json_int_t)sum->bytes,
                               "linked_bytes", (json_int_t)sum->linked_bytes, "storage", b->where,
                               "objects", b->objects));
    } else {
        fprintf(out, "%s: %lld files, %s", stream ? "backup" : o->what, (long long)sum->files,
                ft_figure_bytes(bytes, (uint64_t)sum->bytes));
        if (sum->linked_bytes > 0)
            fprintf(out,
                    o->earlier != NULL
                        ? ", of which %s are shared and were not read again (--verify reads all)"
                        : ", of which %s are shared",
                    ft_figure_bytes(linked, (uint64_t)sum->linked_bytes));
        fprintf(out, "\n");
    }
    if (ft_storage_is_elsewhere(b->where))
        fprintf(stderr,
                "Objects are not in it: they are at %s. What the cloud itself must know of them "
                "(its keys there, which store it is) is.\n",
                b->where);
    else if (!b->objects && strcmp(b->where, "memory") == 0)
        fprintf(stderr, "Objects are not in it: they are in memory alone.\n");
    if (!b->models)
        fprintf(stderr, "Models are not in it (--no-models): keep %s/models yourself.\n", b->root);
    if (!stream && !o->json)
        fprintf(stderr, "It holds keys and secrets: keep it as you keep those.\n");
}

/* A folder for what is copied twice, on the disk that the backup goes to. */
static int make_scratch(struct ft_backup_home *b, const char *dest, int *ret_fd, struct ft_err *err)
{
    char beside[FT_HOME_PATH], *temp = NULL;
    size_t n = strlen(dest);
    while (n > 1 && dest[n - 1] == '/')
        n--;
    if (strcmp(dest, "-") == 0)
        ft_home_at(&b->home, "run/backup", beside);
    else
        snprintf(beside, sizeof beside, "%.*s.scratch", (int)FT_MIN(n, (size_t)4000), dest);
    int rc = ft_partial_open(beside, true, &temp, ret_fd, err);
    if (rc == 0) {
        snprintf(b->scratch, sizeof b->scratch, "%s", temp);
        if (chmod(temp, 0700) != 0)
            rc = ft_err_sys(err, "%s", temp);
    }
    free(temp);
    return rc;
}

static int write_all(const struct options *o, struct ft_backup_home *b, bool running,
                     struct ft_backup_sum *ret, struct ft_err *err)
{
    struct shown shown = {.bar = {.what = "backup"}};
    const struct ft_backup_watch watch = {.interrupt = b->interrupt, .moved = moved, .ctx = &shown};
    struct ft_backup_out *out = NULL;
    int fd = -1, rc = ft_backup_create(o->what, o->earlier, &watch, &out, err);
    if (rc == 0)
        rc = make_scratch(b, o->what, &fd, err);
    if (rc == 0) {
        shown.all = ft_backup_home_bytes(b);
        rc = ft_backup_home_write(b, running, out, err);
    }
    if (rc == 0)
        rc = ft_backup_commit(out, ret, err);
    else
        ft_backup_abort(out);
    ft_progress_clear(&shown.bar);
    if (b->scratch[0] != '\0')
        ft_folder_remove_all(b->scratch);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int make(const struct options *o)
{
    struct ft_backup_home *b = calloc(1, sizeof *b);
    struct ft_backup_sum sum = {0};
    struct ft_err err = {0};
    bool running = false;
    int lock = -1, rc = b != NULL ? 0 : ft_err_set(&err, FT_ENOMEM, "no memory");
    if (rc == 0) {
        b->interrupt = ft_interrupt_catch();
        rc = find(o, b, &running, &lock, &err);
    }
    if (rc == 0)
        rc = check_dest(b, o->what, &err);
    if (rc == 0)
        rc = write_all(o, b, running, &sum, &err);
    if (rc == 0)
        say_made(o, b, &sum);
    if (lock >= 0)
        close(lock);
    free(b);
    return rc == 0 ? 0 : ft_cli_fail(rc == FT_EINVAL ? 2 : 1, &err, "backup");
}

/* ---- looking at one ---- */

static int verify(const struct options *o)
{
    struct shown shown = {.bar = {.what = "verify"}};
    const struct ft_backup_watch watch = {
        .interrupt = ft_interrupt_catch(), .moved = moved, .fault = fault, .ctx = &shown};
    struct ft_backup_in *in = NULL;
    struct ft_backup_member m;
    struct ft_err err = {0};
    int64_t files = 0;
    char bytes[FT_FIGURE_BYTES], made[64] = "", home[FT_HOME_PATH] = "";
    int rc = ft_backup_open(o->what, &watch, &in, &err);
    if (rc == 0) {
        shown.all = ft_backup_bytes(in);
        snprintf(made, sizeof made, "%s", ft_cloud_text(ft_backup_info(in), "made", "?"));
        snprintf(home, sizeof home, "%s", ft_cloud_text(ft_backup_info(in), "home", "?"));
        while ((rc = ft_backup_next(in, &m, &err)) > 0)
            files++;
    }
    ft_progress_clear(&shown.bar);
    ft_backup_close(in);
    if (rc != 0)
        return ft_cli_fail(1, &err, "backup");
    if (o->json)
        ft_show_json(json_pack("{s:s,s:b,s:I,s:I,s:s,s:s}", "backup", o->what, "whole", 1, "files",
                               (json_int_t)files, "bytes", (json_int_t)shown.done, "made", made,
                               "home", home));
    else
        printf("%s is whole: %lld files, %s, of %s, made %s\n", o->what, (long long)files,
               ft_figure_bytes(bytes, (uint64_t)shown.done), home, made);
    return 0;
}

int ft_cmd_backup(int argc, char **argv)
{
    struct options o = {0};
    const struct ft_opt opts[] = {{"verify", 0, FT_OPT_FLAG, &o.verify, 0, 0},
                                  {"earlier", 0, FT_OPT_TEXT, &o.earlier, 0, 0},
                                  {"no-models", 0, FT_OPT_FLAG, &o.no_models, 0, 0},
                                  {"home", 0, FT_OPT_TEXT, &o.home, 0, 0},
                                  {"json", 0, FT_OPT_FLAG, &o.json, 0, 0}};
    char **args;
    int status = ft_opts_parse("backup", opts, FT_COUNT(opts), argc, argv, 1, 1, "DEST", &args);
    if (status != 0)
        return status;
    o.what = args[0];
    if (o.verify && (o.earlier != NULL || o.no_models || o.home != NULL))
        return ft_cli_usage("backup", "--verify reads a backup: it takes no other option but "
                                      "--json");
    return o.verify ? verify(&o) : make(&o);
}
