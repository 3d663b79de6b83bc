/* feitian restore: a backup back into a folder that holds nothing.
 *
 * While it goes on, and if it is killed, HOME/restoring stands there, and nothing starts in that
 * folder; another restore begins anew. What fails leaves the folder empty. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "cli/cli.h"
#include "cli/cloud/backup.h"
#include "cli/cloud/client.h"
#include "cli/cloud/show.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/storage.h"
#include "cli/table.h"
#include "control/control.h"

#define CONFIG_MAX 65536
#define CHUNK      ((size_t)1 << 20)
#define LINKS_MAX  10000 /* symbolic links, which are made last */
#define MARKER     "feitian restore: it did not come to its end; all in this folder is its own\n"

struct soft {
    char *name, *target;
};

struct restore {
    struct ft_home home;
    int dir; /* the home */
    struct ft_backup_in *in;
    struct ft_progress bar;
    int64_t done, all, files;
    bool made; /* the folder is ours to remove */
    char *chunk;
    struct soft *soft;
    int n_soft;
    char was[FT_HOME_PATH];     /* the home that it is of */
    char storage[FT_HOME_PATH]; /* where its objects are, if not in it; "" */
    bool no_models;
};

static void moved(void *ctx, int64_t bytes)
{
    struct restore *r = ctx;
    r->done += bytes;
    if (r->all > 0)
        ft_progress_show(&r->bar, (uint64_t)FT_MIN(r->done, r->all), (uint64_t)r->all);
}

static void fault(void *ctx, const char *name, const char *what)
{
    struct restore *r = ctx;
    ft_progress_clear(&r->bar);
    fprintf(stderr, "feitian restore: ");
    ft_cli_put_plain(stderr, name);
    fprintf(stderr, ": %s\n", what);
}

/* ---- the folder ---- */

/* Did a restore write the marker? What is in the folder is then ours to remove: the name alone
 * says nothing, as anybody's file may have it. */
static bool is_marked(const char *path)
{
    char marker[FT_HOME_PATH], *text = NULL;
    struct ft_err none = {0};
    size_t n;
    snprintf(marker, sizeof marker, "%.4000s/" FT_RESTORING, path);
    if (ft_file_read(marker, strlen(MARKER), &text, &n, &none) != 0)
        return false;
    bool is = strcmp(text, MARKER) == 0;
    free(text);
    return is;
}

enum { EMPTY, UNFINISHED, TAKEN };

/* What is in it: nothing, what a restore left that did not end, something else; or a code. */
static int occupied(const char *path, struct ft_err *err)
{
    int found = EMPTY;
    struct dirent *e;
    DIR *d = opendir(path);
    if (d == NULL)
        return ft_err_sys(err, "read the folder %s", path);
    while (errno = 0, found == EMPTY && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            found = TAKEN;
    if (found == EMPTY && errno != 0)
        found = ft_err_sys(err, "read the folder %s", path);
    closedir(d);
    return found == TAKEN && is_marked(path) ? UNFINISHED : found;
}

/* All in it, but not itself: others may own the folder above. The marker goes last. */
static void empty(const char *path)
{
    char below[FT_HOME_PATH];
    for (int last = 0; last < 2; last++) {
        DIR *d = opendir(path);
        for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
            bool marker = strcmp(e->d_name, FT_RESTORING) == 0;
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || marker != last)
                continue;
            snprintf(below, sizeof below, "%s/%s", path, e->d_name);
            ft_folder_remove_all(below);
        }
        if (d != NULL)
            closedir(d);
    }
}

static int prepare(struct restore *r, struct ft_err *err)
{
    struct ft_home_up up;
    char path[FT_HOME_PATH];
    const char *home = r->home.path;
    int rc = ft_home_running(&r->home, &up, err);
    if (rc == 1)
        return ft_err_set(err, FT_EEXIST,
                          "a cloud runs in %s: restore into an empty folder (--home)", home);
    if (rc == 0 && mkdir(home, 0700) == 0)
        r->made = true;
    else if (rc == 0 && errno != EEXIST)
        rc = ft_err_sys(err, "make the folder %s", home);
    int found = rc == 0 && !r->made ? occupied(home, err) : EMPTY;
    if (found < 0)
        rc = found;
    if (found == TAKEN)
        rc = ft_err_set(err, FT_EEXIST,
                        "%s is not empty: restore into an empty folder (--home), or move away what "
                        "is there",
                        home);
    if (rc != 0)
        return rc;
    if (found == UNFINISHED)
        empty(home);
    rc = ft_file_put(ft_home_at(&r->home, FT_RESTORING, path), MARKER, strlen(MARKER), err);
    if (rc == 0 && (r->dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = ft_err_sys(err, "open %s", home);
    return rc;
}

/* ---- members ---- */

static int make_parents(struct restore *r, const char *name, struct ft_err *err)
{
    char path[FT_BACKUP_NAME_MAX];
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%.*s", (int)(slash - name), name);
        if (mkdirat(r->dir, path, 0700) != 0 && errno != EEXIST)
            return ft_err_disk(err, "write %s", path);
    }
    return 0;
}

static int take_file(struct restore *r, const struct ft_backup_member *m, struct ft_err *err)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, m->mtime};
    int64_t n = 0;
    int rc = 0, fd = openat(r->dir, m->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ft_err_disk(err, "write %s", m->name);
    while (rc == 0 && (n = ft_backup_read(r->in, r->chunk, CHUNK, err)) > 0)
        rc = ft_file_write(fd, r->chunk, (size_t)n, m->name, NULL, err);
    if (rc == FT_EIO && (err->sys_errno == ENOSPC || err->sys_errno == EDQUOT))
        rc = ft_err_set(err, FT_ELIMIT, "the disk is full: %s", m->name);
    if (n < 0)
        rc = (int)n;
    if (rc == 0 && (fchmod(fd, m->mode & 0777) != 0 || futimens(fd, times) != 0))
        rc = ft_err_sys(err, "%s", m->name);
    if (close(fd) != 0 && rc == 0)
        rc = ft_err_disk(err, "write %s", m->name);
    return rc;
}

static int keep_soft(struct restore *r, const struct ft_backup_member *m, struct ft_err *err)
{
    struct soft *more =
        r->n_soft < LINKS_MAX ? realloc(r->soft, (size_t)(r->n_soft + 1) * sizeof *more) : NULL;
    if (more == NULL)
        return ft_err_set(err, FT_ELIMIT, "more than %d symbolic links", LINKS_MAX);
    r->soft = more;
    r->soft[r->n_soft] = (struct soft){strdup(m->name), strdup(m->target)};
    return r->soft[r->n_soft].name != NULL && r->soft[r->n_soft++].target != NULL
               ? 0
               : ft_err_set(err, FT_ENOMEM, "no memory");
}

static int take(struct restore *r, const struct ft_backup_member *m, struct ft_err *err)
{
    r->files++;
    int rc = make_parents(r, m->name, err);
    if (rc != 0)
        return rc;
    switch (m->kind) {
    case FT_BACKUP_FILE:
        return take_file(r, m, err);
    case FT_BACKUP_LINK:
        return linkat(r->dir, m->target, r->dir, m->name, 0) == 0
                   ? 0
                   : ft_err_disk(err, "write %s", m->name);
    default:
        return keep_soft(r, m, err);
    }
}

/* Last, so that nothing is ever written where one leads. */
static int make_soft(struct restore *r, struct ft_err *err)
{
    for (int i = 0; i < r->n_soft; i++)
        if (symlinkat(r->soft[i].target, r->dir, r->soft[i].name) != 0)
            return ft_err_disk(err, "write %s", r->soft[i].name);
    return 0;
}

/* ---- what is not the same in another folder ---- */

static int rehome(struct restore *r, struct ft_err *err)
{
    char path[FT_HOME_PATH], real[FT_HOME_PATH];
    struct ft_state *s = NULL;
    if (realpath(r->home.path, real) == NULL)
        return ft_err_sys(err, "%s", r->home.path);
    if (strcmp(real, r->was) == 0)
        return 0;
    int rc = ft_state_sqlite_open(ft_home_at(&r->home, "state/state.db", path), true, &s, err);
    if (rc == 0)
        rc = ft_control_rehome(s, r->was, real, err);
    ft_state_close(s);
    return rc;
}

/* Objects are in HOME/blob now, wherever they were: config.json must not name another place. */
static int settle_config(struct restore *r, struct ft_err *err)
{
    char path[FT_HOME_PATH], *text = NULL;
    size_t n;
    struct ft_err none = {0};
    int rc = 0;
    if (ft_file_read(ft_home_at(&r->home, "config.json", path), CONFIG_MAX, &text, &n, &none) != 0)
        return 0;
    json_t *j = json_loadb(text, n, 0, NULL);
    const char *storage = json_string_value(json_object_get(j, "storage"));
    if (storage != NULL && r->storage[0] == '\0') {
        fprintf(stderr,
                "feitian restore: objects are in %s/blob now: \"storage\": \"%s\" was taken out of "
                "config.json\n",
                r->home.path, storage);
        json_object_del(j, "storage");
        char *now = json_dumps(j, JSON_INDENT(2));
        rc = now != NULL ? ft_file_put(path, now, strlen(now), err)
                         : ft_err_set(err, FT_ENOMEM, "no memory");
        free(now);
    }
    if (rc == 0 && strstr(text, r->was) != NULL && strcmp(r->was, r->home.path) != 0)
        fprintf(stderr,
                "feitian restore: config.json names files in %s: look at it before the "
                "cloud is started\n",
                r->was);
    json_decref(j);
    free(text);
    return rc;
}

/* ---- the whole ---- */

static void read_info(struct restore *r)
{
    const json_t *info = ft_backup_info(r->in);
    snprintf(r->was, sizeof r->was, "%s", ft_cloud_text(info, "home", ""));
    if (!json_is_true(json_object_get(info, "objects")))
        snprintf(r->storage, sizeof r->storage, "%s", ft_cloud_text(info, "storage", ""));
    r->no_models = json_is_false(json_object_get(info, "models"));
}

static int write_all(struct restore *r, struct ft_err *err)
{
    struct ft_backup_member m;
    char path[FT_HOME_PATH];
    int rc;
    while ((rc = ft_backup_next(r->in, &m, err)) > 0)
        if ((rc = take(r, &m, err)) < 0)
            return rc;
    if (rc == 0)
        rc = make_soft(r, err);
    if (rc == 0)
        rc = rehome(r, err);
    if (rc == 0)
        rc = settle_config(r, err);
    if (rc == 0 && syncfs(r->dir) != 0)
        rc = ft_err_disk(err, "write %s", r->home.path);
    if (rc == 0 && unlink(ft_home_at(&r->home, FT_RESTORING, path)) != 0)
        rc = ft_err_sys(err, "%s", path);
    return rc;
}

static int run(struct restore *r, const char *src, struct ft_err *err)
{
    const struct ft_backup_watch watch = {
        .interrupt = ft_interrupt_catch(), .moved = moved, .fault = fault, .ctx = r};
    int rc = ft_backup_open(src, &watch, &r->in, err);
    if (rc != 0)
        return rc;
    r->all = ft_backup_bytes(r->in);
    read_info(r);
    rc = prepare(r, err);
    if (rc == 0) {
        rc = write_all(r, err);
        ft_progress_clear(&r->bar);
        if (rc != 0)
            empty(r->home.path);
    }
    if (rc != 0 && r->made)
        rmdir(r->home.path);
    return rc;
}

static void say(const struct restore *r, bool json)
{
    char bytes[FT_FIGURE_BYTES];
    if (json)
        ft_show_json(json_pack("{s:s,s:I,s:I}", "home", r->home.path, "files", (json_int_t)r->files,
                               "bytes", (json_int_t)r->done));
    else
        printf("%s is as it was: %lld files, %s, all as they were written\n\n"
               "  feitian up --home %s\n",
               r->home.path, (long long)r->files, ft_figure_bytes(bytes, (uint64_t)r->done),
               r->home.path);
    if (ft_storage_is_elsewhere(r->storage))
        fprintf(stderr, "Objects were not in it: they are at %s.\n", r->storage);
    if (r->no_models)
        fprintf(stderr, "Models were not in it: put them into %s/models before it is started.\n",
                r->home.path);
}

int ft_cmd_restore(int argc, char **argv)
{
    const char *home = NULL;
    bool json = false;
    struct ft_err err = {0};
    const struct ft_opt opts[] = {{"home", 0, FT_OPT_TEXT, &home, 0, 0},
                                  {"json", 0, FT_OPT_FLAG, &json, 0, 0}};
    char **args;
    int status = ft_opts_parse("restore", opts, FT_COUNT(opts), argc, argv, 1, 1, "SRC", &args);
    if (status != 0)
        return status;
    struct restore *r = calloc(1, sizeof *r);
    if (r == NULL || (r->chunk = malloc(CHUNK)) == NULL) {
        free(r);
        ft_err_set(&err, FT_ENOMEM, "no memory");
        return ft_cli_fail(1, &err, "restore");
    }
    r->dir = -1;
    r->bar.what = "restore";
    int rc = ft_home_find(home, &r->home, &err);
    if (rc == 0)
        rc = run(r, args[0], &err);
    if (rc == 0)
        say(r, json);
    ft_backup_close(r->in);
    for (int i = 0; i < r->n_soft; i++) {
        free(r->soft[i].name);
        free(r->soft[i].target);
    }
    if (r->dir >= 0)
        close(r->dir);
    free(r->soft);
    free(r->chunk);
    free(r);
    return rc == 0 ? 0 : ft_cli_fail(rc == FT_EINVAL ? 2 : 1, &err, "restore");
}
