/* feitian cp: files and objects, up, down and across, many at a time. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cloud/objects.h"
#include "cli/cloud/show.h"
#include "cli/interrupt.h"

#define DEPTH_MAX  64 /* folders within folders */
#define THREADS    8
#define PATH_BYTES 4096

struct cp_options {
    struct ft_cloud_options cloud;
    int64_t threads;
    bool deep, fresh, quiet;
    char **args;
    int n_args;
};

struct cp {
    const struct cp_options *o;
    struct ft_ups_server server;
    struct ft_transfers *t;
    struct ft_object_at to; /* "": this machine, at `path` */
    const char *path;
    bool into;   /* the place is a folder, or a prefix */
    bool stream; /* it is standard output */
    struct ft_object_at from;
    size_t cut; /* bytes of a source's name that do not appear in the place's */
    int n;
};

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

/* PLACE/NAME, with one slash. */
static int join(const char *place, const char *name, char *ret, size_t n, struct ft_err *err)
{
    size_t len = strlen(place);
    const char *slash = len > 0 && place[len - 1] != '/' ? "/" : "";
    return snprintf(ret, n, "%s%s%s", place, slash, name) < (int)n
               ? 0
               : ft_err_set(err, FT_EINVAL, "%.100s...: the name is too long", name);
}

/* ---- up ---- */

static int add_file(struct cp *c, const char *path, const char *name, int64_t size,
                    struct ft_err *err)
{
    struct ft_object_at to = c->to;
    int rc = c->into ? join(c->to.key, name, to.key, sizeof to.key, err) : 0;
    c->n++;
    return rc == 0 ? ft_transfers_add(c->t, FT_UPLOAD, path, NULL, &to, size, err) : rc;
}

static int add_folder(struct cp *c, const char *path, const char *name, int depth,
                      struct ft_err *err)
{
    DIR *d = opendir(path);
    int rc = d == NULL ? ft_err_sys(err, "%s", path)
             : depth == DEPTH_MAX
                 ? ft_err_set(err, FT_ELIMIT, "%s: folders deeper than %d", path, DEPTH_MAX)
                 : 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        char full[PATH_BYTES], in[PATH_BYTES];
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        rc = join(path, e->d_name, full, sizeof full, err);
        if (rc == 0)
            rc = join(name, e->d_name, in, sizeof in, err);
        if (rc == 0 && stat(full, &st) != 0) {
            struct stat link;
            if (errno == ENOENT && lstat(full, &link) == 0 && S_ISLNK(link.st_mode)) {
                fprintf(stderr, "%s: left out: a symbolic link to what is not there\n", full);
                continue;
            }
            rc = ft_err_sys(err, "%s", full);
        }
        if (rc == 0 && S_ISDIR(st.st_mode))
            rc = add_folder(c, full, in, depth + 1, err);
        else if (rc == 0 && S_ISREG(st.st_mode))
            rc = add_file(c, full, in, st.st_size, err);
    }
    if (d != NULL)
        closedir(d);
    return rc;
}

static int add_local(struct cp *c, const char *path, struct ft_err *err)
{
    struct stat st;
    if (strcmp(path, "-") == 0 && c->to.bucket[0] != '\0')
        return c->into
                   ? ft_err_set(err, FT_EINVAL, "standard input has no name: say s3://BUCKET/KEY")
                   : add_file(c, path, "", -1, err);
    if (c->to.bucket[0] == '\0')
        return ft_err_set(
            err, FT_EINVAL,
            "%s: one of the two must be s3://BUCKET/KEY ('cp' copies on this machine)", path);
    if (stat(path, &st) != 0)
        return ft_err_sys(err, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return add_file(c, path, last_part(path), st.st_size, err);
    if (!c->o->deep)
        return ft_err_set(err, FT_EINVAL, "%s is a folder: -r copies it", path);
    c->into = true;
    return add_folder(c, path, "", 0, err);
}

/* ---- down and across ---- */

static int add_object(void *ctx, const struct ft_object_entry *e, struct ft_err *err)
{
    struct cp *c = ctx;
    struct ft_object_at from = c->from, to = c->to;
    char path[PATH_BYTES];
    const char *name = e->key + c->cut;
    size_t n = strlen(e->key);
    if (n >= sizeof from.key || n == 0 || e->key[n - 1] == '/') /* stands for a folder */
        return 0;
    strcpy(from.key, e->key);
    c->n++;
    if (c->to.bucket[0] != '\0') {
        int rc = c->into ? join(c->to.key, name, to.key, sizeof to.key, err) : 0;
        return rc == 0 ? ft_transfers_add(c->t, FT_COPY, NULL, &from, &to, e->size, err) : rc;
    }
    /* a key may say anything: it stays below the folder that was named */
    if (c->into && (name[0] == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 ||
                    strstr(name, "/../") != NULL || (n > 3 && strcmp(e->key + n - 3, "/..") == 0)))
        return ft_err_set(err, FT_EINVAL, "%.200s: cannot be a file below %s", e->key, c->path);
    int rc = c->into ? join(c->path, name, path, sizeof path, err) : 0;
    return rc == 0 ? ft_transfers_add(c->t, FT_DOWNLOAD, c->into ? path : c->path, &from, NULL,
                                      e->size, err)
                   : rc;
}

static int add_remote(struct cp *c, struct ft_err *err)
{
    const struct ft_object_entry one = {.key = c->from.key, .size = -1};
    if (c->from.bucket[0] == '\0')
        return ft_err_set(err, FT_EINVAL, "s3://: which bucket?");
    c->cut = (size_t)(last_part(c->from.key) - c->from.key);
    if (!c->o->deep && c->from.key[0] != '\0')
        return add_object(c, &one, err);
    if (!c->o->deep)
        return ft_err_set(err, FT_EINVAL, "s3://%s is a bucket: -r copies all of it",
                          c->from.bucket);
    size_t n = strlen(c->from.key);
    if (n > 0 && c->from.key[n - 1] != '/' && n + 1 < sizeof c->from.key)
        strcpy(c->from.key + n, "/");
    c->cut = strlen(c->from.key);
    c->into = true;
    int before = c->n, rc = ft_object_list(&c->server, &c->from, true, add_object, c, err);
    return rc == 0 && c->n == before ? ft_err_set(err, FT_ENOTFOUND, "s3://%s/%s: nothing is there",
                                                  c->from.bucket, c->from.key)
                                     : rc;
}

/* ---- the command ---- */

static int look_at_place(struct cp *c, const char *text, struct ft_err *err)
{
    struct stat st;
    int rc = ft_object_at(text, &c->to, err);
    size_t n = strlen(text);
    if (rc < 0)
        return rc;
    if (rc > 0 && c->to.bucket[0] == '\0')
        return ft_err_set(err, FT_EINVAL, "%s: which bucket?", text);
    c->path = text;
    c->stream = rc == 0 && strcmp(text, "-") == 0;
    if (c->stream && (c->o->deep || c->o->n_args > 2 || c->o->cloud.json))
        return ft_err_set(err, FT_EINVAL,
                          "standard output takes one object: no -r, no --json, no second one");
    c->into = rc > 0 ? c->to.key[0] == '\0' || text[n - 1] == '/'
                     : text[n - 1] == '/' || (stat(text, &st) == 0 && S_ISDIR(st.st_mode));
    if (c->o->n_args > 2 && !c->into)
        return ft_err_set(err, FT_EINVAL, "%s: is no folder; several things go into one", text);
    return 0;
}

static int add_all(struct cp *c, struct ft_err *err)
{
    int rc = 0;
    bool into = c->into;
    for (int i = 0; rc == 0 && i + 1 < c->o->n_args; i++) {
        rc = ft_object_at(c->o->args[i], &c->from, err);
        if (rc >= 0)
            rc = rc > 0 ? add_remote(c, err) : add_local(c, c->o->args[i], err);
        c->into = into;
    }
    return rc;
}

static void say(const struct cp *c, int failed, int64_t bytes)
{
    char text[FT_FIGURE_BYTES];
    if (c->o->cloud.json)
        ft_show_json(json_pack("{s:i,s:i,s:I}", "copied", c->n - failed, "failed", failed, "bytes",
                               (json_int_t)bytes));
    else if (!c->o->quiet && !c->stream && failed == 0)
        printf("%d %s, %s\n", c->n - failed, c->n - failed == 1 ? "file" : "files",
               ft_figure_bytes(text, (uint64_t)bytes));
}

static int cp(struct ft_cloud *cloud, void *ctx, struct ft_err *err)
{
    const struct cp_options *o = ctx;
    struct cp c = {.o = o};
    struct ft_transfers_sum sum = {0};
    int rc = look_at_place(&c, o->args[o->n_args - 1], err);
    if (rc == 0)
        rc = ft_objects_open(cloud, &c.server, err);
    const struct ft_transfers_config config = {.server = &c.server,
                                               .n_threads = (int)o->threads,
                                               .fresh = o->fresh,
                                               .quiet = o->quiet || o->cloud.json || c.stream ||
                                                        isatty(STDERR_FILENO) != 1,
                                               .stop = ft_interrupt_catch()};
    if (rc == 0)
        rc = ft_transfers_open(&config, &c.t, err);
    if (rc == 0)
        rc = add_all(&c, err);
    if (rc == 0 && c.n > 1 && c.to.bucket[0] != '\0') /* said once, not by every file */
        rc = ft_object_bucket(&c.server, c.to.bucket, err);
    if (rc == 0)
        rc = ft_transfers_run(c.t, &sum, err);
    ft_transfers_close(c.t);
    ft_objects_close(&c.server);
    if (rc == 0)
        say(&c, sum.failed, sum.bytes);
    if (rc == 0 && sum.failed > 0)
        rc = ft_err_set(err, FT_EIO, "%d of %d failed%s", sum.failed, c.n,
                        sum.again == 0            ? ""
                        : sum.again == sum.failed ? "; the same command goes on with them"
                                                  : "; the same command goes on with some of them");
    return rc;
}

int ft_cmd_cp(int argc, char **argv)
{
    struct cp_options o = {.threads = THREADS};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"recursive", 'r', FT_OPT_FLAG, &o.deep, 0, 0},
                                  {"fresh", 0, FT_OPT_FLAG, &o.fresh, 0, 0},
                                  {"quiet", 0, FT_OPT_FLAG, &o.quiet, 0, 0},
                                  {"at-once", 0, FT_OPT_WHOLE, &o.threads, 1, FT_TRANSFERS_MAX}};
    int rc = ft_opts_parse("cp", opts, FT_COUNT(opts), argc, argv, 2, 1 << 20,
                           "from and to: feitian cp FILE s3://BUCKET/KEY", &o.args);
    o.n_args = rc == 0 ? (int)(argv + argc - o.args) : 0;
    return rc != 0 ? rc : ft_cloud_command("cp", &o.cloud, cp, &o);
}
