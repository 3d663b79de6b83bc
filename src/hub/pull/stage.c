/* The folder in the making, MODELS/.pull/NAME, locked by whoever works in it:
 *   FILE.TAG.partial   bytes from the start of the file; as long as what has come
 *   FILE.TAG           all of them, checked and on the disk
 *   model/             whole files under their names, put together at the end (links)
 * TAG is a hash of what the file must be, so that a pull of something else, or of a new revision,
 * goes on with what is the same and never with what is not. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/folder.h"
#include "base/partial.h"
#include "hub/pull/impl.h"

#define SPARE_BYTES ((uint64_t)64 << 20) /* of the disk, that a pull does not take */
#define PATH_BYTES  4096
#define TRIES       1000 /* to hold a folder that others remove behind them */

static int make_dir(const char *path, struct ft_err *err)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : ft_err_sys(err, "make folder %s", path);
}

/* Is what fd holds still what is called path? Who closed it before may have removed it. */
static bool is_still(int fd, const char *path)
{
    struct stat held, found;
    return fstat(fd, &held) == 0 && stat(path, &found) == 0 && held.st_ino == found.st_ino &&
           held.st_dev == found.st_dev;
}

/* 1: somebody who closed theirs took a folder away meanwhile. */
static int try_open(struct ft_pull_stage *st, const char *pulls, struct ft_err *err)
{
    int rc = make_dir(pulls, err);
    if (rc != 0)
        return rc;
    if (mkdir(st->dir, 0777) != 0 && errno != EEXIST)
        return errno == ENOENT ? 1 : ft_err_sys(err, "make folder %s", st->dir);
    st->lock = open(st->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (st->lock < 0)
        return errno == ENOENT ? 1 : ft_err_sys(err, "open %s", st->dir);
    bool mine = flock(st->lock, LOCK_EX | LOCK_NB) == 0;
    if (mine && is_still(st->lock, st->dir))
        return 0;
    close(st->lock);
    st->lock = -1;
    return mine ? 1 : ft_err_set(err, FT_EBUSY, "%s is being fetched by another process", st->name);
}

int ft_pull_stage_open(struct ft_pull_stage *st, const char *models, const char *name,
                       enum ft_pull_form form, struct ft_err *err)
{
    char pulls[sizeof st->models + 16];
    *st = (struct ft_pull_stage){.form = form, .lock = -1};
    if (strlen(models) >= sizeof st->models)
        return ft_err_set(err, FT_EINVAL, "folder of models: its path is too long");
    strcpy(st->models, models);
    snprintf(st->name, sizeof st->name, "%s", name);
    snprintf(pulls, sizeof pulls, "%s/.pull", models);
    snprintf(st->dir, sizeof st->dir, "%s/%s", pulls, name);
    int rc = make_dir(models, err);
    for (int i = 0; i < TRIES && (rc == 0 || rc == 1); i++)
        if ((rc = try_open(st, pulls, err)) == 0)
            return 0;
    return rc == 1 ? ft_err_set(err, FT_EIO, "open %s: it comes and goes", st->dir) : rc;
}

void ft_pull_stage_close(struct ft_pull_stage *st)
{
    char pulls[sizeof st->models + 16];
    if (st->lock < 0)
        return;
    rmdir(st->dir); /* fails while there is something to go on with */
    snprintf(pulls, sizeof pulls, "%s/.pull", st->models);
    rmdir(pulls);
    close(st->lock);
    st->lock = -1;
}

void ft_pull_stage_path(const struct ft_pull_stage *st, const struct ft_pull_file *f,
                        enum ft_pull_where where, char *ret, size_t n)
{
    const char *base = ft_pull_base(f->path);
    if (where == FT_PULL_FINAL && st->form == FT_PULL_GGUF)
        snprintf(ret, n, "%s/%s.gguf", st->models, st->name);
    else if (where == FT_PULL_FINAL)
        snprintf(ret, n, "%s/%s/%s", st->models, st->name, base);
    else
        snprintf(ret, n, "%s/%.200s.%s%s", st->dir, base, f->tag,
                 where == FT_PULL_PARTIAL ? ".partial" : "");
}

void ft_pull_stage_model(const struct ft_pull_stage *st, const struct ft_pull_list *l, char *ret,
                         size_t n)
{
    if (st->form == FT_PULL_FOLDER)
        snprintf(ret, n, "%s/%s", st->models, st->name);
    else
        ft_pull_stage_path(st, &l->file[0], FT_PULL_FINAL, ret, n);
}

static bool wanted(const struct ft_pull_stage *st, const struct ft_pull_list *l, const char *path)
{
    char p[PATH_BYTES];
    for (int i = 0; i < l->n; i++) {
        ft_pull_stage_path(st, &l->file[i], FT_PULL_WHOLE, p, sizeof p);
        size_t n = strlen(p);
        if (strncmp(path, p, n) == 0 && (path[n] == '\0' || strcmp(path + n, ".partial") == 0))
            return true;
    }
    return false;
}

void ft_pull_stage_sweep(const struct ft_pull_stage *st, const struct ft_pull_list *l)
{
    char path[PATH_BYTES];
    DIR *d = opendir(st->dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%.255s", st->dir, e->d_name);
        if (e->d_name[0] != '.' && !wanted(st, l, path) && unlink(path) != 0)
            ft_folder_remove(path);
    }
    if (d != NULL)
        closedir(d);
}

static int same_file(const char *path, const struct ft_pull_file *f, const atomic_int *interrupt,
                     struct ft_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->bytes) {
        if (fd >= 0)
            close(fd);
        return ft_err_set(err, FT_EEXIST, "%s is there and is something else", path);
    }
    struct ft_pull_sum *s = ft_pull_sum_open(f);
    int rc = s != NULL ? ft_pull_sum_file(s, fd, f->bytes, interrupt, err)
                       : ft_err_set(err, FT_ENOMEM, "check %s: no memory", path);
    if (rc == 0)
        rc = ft_pull_sum_check(s, err) == 0
                 ? 1
                 : ft_err_set(err, FT_EEXIST, "%s is there and is something else", path);
    ft_pull_sum_close(s);
    close(fd);
    return rc;
}

int ft_pull_stage_present(const struct ft_pull_stage *st, const struct ft_pull_list *l,
                          const atomic_int *interrupt, struct ft_err *err)
{
    char path[PATH_BYTES];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", st->models, st->name);
    bool folder = lstat(path, &found) == 0;
    for (int i = 0; i < l->n; i++) {
        ft_pull_stage_path(st, &l->file[i], FT_PULL_FINAL, path, sizeof path);
        int rc = same_file(path, &l->file[i], interrupt, err);
        if (rc == 0 && folder && st->form != FT_PULL_GGUF)
            rc = ft_err_set(err, FT_EEXIST, "%s/%s is there and is something else", st->models,
                            st->name);
        if (rc != 1)
            return rc;
    }
    return 1;
}

int ft_pull_stage_room(const struct ft_pull_stage *st, uint64_t bytes, struct ft_err *err)
{
    struct statvfs v;
    if (fstatvfs(st->lock, &v) != 0)
        return ft_err_sys(err, "look at the disk of %s", st->models);
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    if (room >= bytes + SPARE_BYTES || bytes == 0)
        return 0;
    return ft_err_set(err, FT_ELIMIT,
                      "%s: %.1f GB are still to come, and the disk has %.1f GB left", st->models,
                      (double)bytes / 1e9, (double)room / 1e9);
}

/* The same bytes under a second name. */
static int add_name(const char *from, const char *to, struct ft_err *err)
{
    if (link(from, to) == 0 || errno == EEXIST || rename(from, to) == 0)
        return 0;
    return ft_err_sys(err, "make %s", to);
}

int ft_pull_stage_assemble(const struct ft_pull_stage *st, const struct ft_pull_list *l,
                           char *ret_path, size_t n, struct ft_err *err)
{
    char from[PATH_BYTES], to[PATH_BYTES], folder[sizeof st->dir + 16];
    snprintf(folder, sizeof folder, "%s/model", st->dir);
    ft_folder_remove(folder);
    if (mkdir(folder, 0777) != 0)
        return ft_err_sys(err, "make folder %s", folder);
    for (int i = 0; i < l->n; i++) {
        ft_pull_stage_path(st, &l->file[i], FT_PULL_WHOLE, from, sizeof from);
        snprintf(to, sizeof to, "%s/%.255s", folder, ft_pull_base(l->file[i].path));
        int rc = add_name(from, to, err);
        if (rc != 0)
            return rc;
    }
    if (st->form == FT_PULL_FOLDER)
        snprintf(ret_path, n, "%s", folder);
    else
        snprintf(ret_path, n, "%s/%s", folder, ft_pull_base(l->file[0].path));
    return 0;
}

int ft_pull_stage_commit(struct ft_pull_stage *st, const struct ft_pull_list *l, struct ft_err *err)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    int rc = 0;
    if (st->form == FT_PULL_GGUF) {
        snprintf(from, sizeof from, "%s/model/%.255s", st->dir, ft_pull_base(l->file[0].path));
        ft_pull_stage_path(st, &l->file[0], FT_PULL_FINAL, to, sizeof to);
    } else {
        snprintf(from, sizeof from, "%s/model", st->dir);
        snprintf(to, sizeof to, "%s/%s", st->models, st->name);
        char inside[sizeof st->dir + 16];
        snprintf(inside, sizeof inside, "%s/model/.", st->dir);
        rc = ft_partial_parent_sync(inside, err);
    }
    if (rc == 0 && rename(from, to) != 0)
        rc = ft_err_sys(err, "rename %s to %s", from, to);
    if (rc == 0)
        rc = ft_partial_parent_sync(to, err);
    if (rc == 0)
        ft_pull_stage_sweep(st, &(struct ft_pull_list){0});
    return rc;
}
