/* A model that is on this machine: the same files by a second name where the file system allows it
 * (hard links), else a copy, which goes on where an earlier one stopped and is read back and
 * compared before it counts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "hub/pull/impl.h"

#define COPY_BYTES ((size_t)4 << 20)
#define PATH_BYTES 4096

/* ---- which files ---- */

static int add_file(struct ft_pull_list *l, const char *path, const char *shown, struct ft_err *err)
{
    struct stat st;
    char more[96];
    if (stat(path, &st) != 0)
        return ft_err_sys(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return ft_err_set(err, FT_EINVAL, "%s: not a regular file", path);
    int rc = ft_pull_list_add(l, shown, (uint64_t)st.st_size, NULL, err);
    snprintf(more, sizeof more, "%llx:%llx:%lld.%ld", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    if (rc == 0)
        ft_pull_tag(&l->file[l->n - 1], more);
    return rc;
}

static int add_folder(struct ft_pull_list *l, const char *folder, struct ft_err *err)
{
    char path[PATH_BYTES];
    struct stat st;
    int rc = 0;
    DIR *d = opendir(folder);
    if (d == NULL)
        return ft_err_sys(err, "%s", folder);
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        int n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.' && n < (int)sizeof path && stat(path, &st) == 0 &&
            S_ISREG(st.st_mode))
            rc = add_file(l, path, e->d_name, err);
    }
    closedir(d);
    return rc;
}

int ft_pull_local_list(const char *path, struct ft_pull_list *ret, struct ft_err *err)
{
    struct ft_pull_list l = {0};
    struct stat st;
    char folder[PATH_BYTES];
    if (stat(path, &st) != 0)
        return ft_err_sys(err, "%s", path);
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    /* The other parts of a split model lie beside its first one. */
    bool split = !S_ISDIR(st.st_mode) && strstr(ft_pull_base(path), "-of-") != NULL;
    if (split && slash != NULL)
        *slash = '\0';
    int rc = S_ISDIR(st.st_mode) || split
                 ? add_folder(&l, split && slash == NULL ? "." : folder, err)
                 : add_file(&l, path, ft_pull_base(path), err);
    if (rc != 0)
        ft_pull_list_fini(&l);
    else
        *ret = l;
    return rc;
}

/* ---- the bytes ---- */

struct copy {
    const struct ft_pull_options *o;
    struct ft_pull_progress p;
    char *buf;
};

static int move_on(struct copy *c, uint64_t n, struct ft_err *err)
{
    c->p.done += n;
    if (c->o->on_progress != NULL)
        c->o->on_progress(c->o->ctx, &c->p);
    if (c->o->interrupt != NULL && *c->o->interrupt != 0)
        return ft_err_set(err, FT_ECANCELED, "interrupted; the same command goes on");
    return 0;
}

static int copy_rest(struct copy *c, int in, int out, uint64_t from, const struct ft_pull_file *f,
                     struct ft_err *err)
{
    int rc = lseek(out, (off_t)from, SEEK_SET) < 0 ? ft_err_sys(err, "write %.200s", f->path) : 0;
    for (uint64_t at = from; rc == 0 && at < f->bytes;) {
        ssize_t n = pread(in, c->buf, FT_MIN(COPY_BYTES, f->bytes - at), (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? ft_err_set(err, FT_EIO, "read %.200s: it became shorter", f->path)
                          : ft_err_sys(err, "read %.200s", f->path);
        rc = ft_file_write(out, c->buf, (size_t)n, f->path, NULL, err);
        at += (uint64_t)n;
        if (rc == 0)
            rc = move_on(c, (uint64_t)n, err);
    }
    if (rc == 0 && fsync(out) != 0)
        rc = ft_err_sys(err, "sync %.200s", f->path);
    return rc;
}

/* Reads both to the end. */
static int compare(struct copy *c, int in, int out, const struct ft_pull_file *f,
                   struct ft_err *err)
{
    char *other = c->buf + COPY_BYTES;
    for (uint64_t at = 0; at < f->bytes;) {
        size_t want = FT_MIN(COPY_BYTES, f->bytes - at);
        if (pread(in, c->buf, want, (off_t)at) != (ssize_t)want ||
            pread(out, other, want, (off_t)at) != (ssize_t)want || memcmp(c->buf, other, want) != 0)
            return ft_err_set(err, FT_ECORRUPT, "%.200s: the copy is not the same", f->path);
        at += want;
        if (c->o->interrupt != NULL && *c->o->interrupt != 0)
            return ft_err_set(err, FT_ECANCELED, "interrupted; the same command goes on");
    }
    return 0;
}

static int copy_file(struct copy *c, const struct ft_pull_stage *st, const char *source,
                     const struct ft_pull_file *f, struct ft_err *err)
{
    char partial[PATH_BYTES], whole[PATH_BYTES];
    struct stat have = {0};
    ft_pull_stage_path(st, f, FT_PULL_PARTIAL, partial, sizeof partial);
    ft_pull_stage_path(st, f, FT_PULL_WHOLE, whole, sizeof whole);
    int in = open(source, O_RDONLY | O_CLOEXEC);
    int out = open(partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666), rc = 0;
    if (in < 0)
        rc = ft_err_sys(err, "open %s", source);
    else if (out < 0 || fstat(out, &have) != 0)
        rc = ft_err_sys(err, "open %s", partial);
    uint64_t from = (uint64_t)have.st_size <= f->bytes ? (uint64_t)have.st_size : 0;
    c->p.earlier += from;
    c->p.file = f->path;
    if (rc == 0)
        rc = move_on(c, from, err);
    if (rc == 0)
        rc = copy_rest(c, in, out, from, f, err);
    if (rc == 0)
        rc = compare(c, in, out, f, err);
    if (rc == FT_ECORRUPT)
        unlink(partial);
    if (rc == 0 && rename(partial, whole) != 0)
        rc = ft_err_sys(err, "rename %s to %s", partial, whole);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc;
}

/* Is `whole` there already, as a link to the source or as a copy of an earlier pull? */
static bool have_whole(const char *source, const char *whole, uint64_t bytes)
{
    struct stat a, b;
    if (stat(whole, &a) != 0)
        return false;
    if ((uint64_t)a.st_size == bytes && stat(source, &b) == 0)
        return true;
    unlink(whole);
    return false;
}

int ft_pull_local_same(const struct ft_pull_options *o, const struct ft_pull_stage *st,
                       const struct ft_pull_list *l, const char *folder, struct ft_err *err)
{
    struct copy c = {.o = o, .buf = malloc(2 * COPY_BYTES)};
    char source[PATH_BYTES], final[PATH_BYTES];
    int rc = c.buf != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "compare: no memory");
    for (int i = 0; rc == 0 && i < l->n; i++) {
        snprintf(source, sizeof source, "%s/%s", folder, l->file[i].path);
        ft_pull_stage_path(st, &l->file[i], FT_PULL_FINAL, final, sizeof final);
        int a = open(source, O_RDONLY | O_CLOEXEC), b = open(final, O_RDONLY | O_CLOEXEC);
        rc = compare(&c, a, b, &l->file[i], err);
        close(a);
        close(b);
    }
    free(c.buf);
    return rc == 0 ? 1 : rc == FT_ECORRUPT ? FT_EEXIST : rc;
}

int ft_pull_local_get(const struct ft_pull_options *o, struct ft_pull_stage *st,
                      const struct ft_pull_list *l, const char *folder, bool *ret_linked,
                      struct ft_err *err)
{
    struct copy c = {.o = o, .p = {.n_files = l->n, .file = ""}};
    char source[PATH_BYTES], real[PATH_MAX], whole[PATH_BYTES];
    int rc = 0;
    *ret_linked = true;
    for (int i = 0; i < l->n; i++)
        c.p.all += l->file[i].bytes;
    c.buf = malloc(2 * COPY_BYTES);
    if (c.buf == NULL)
        return ft_err_set(err, FT_ENOMEM, "copy: no memory");
    for (int i = 0; rc == 0 && i < l->n; i++) {
        const struct ft_pull_file *f = &l->file[i];
        snprintf(source, sizeof source, "%s/%s", folder, f->path);
        ft_pull_stage_path(st, f, FT_PULL_WHOLE, whole, sizeof whole);
        bool linked = realpath(source, real) != NULL && link(real, whole) == 0;
        if (!linked && !have_whole(source, whole, f->bytes)) {
            *ret_linked = false;
            rc = ft_pull_stage_room(st, c.p.all - c.p.done, err);
            if (rc == 0)
                rc = copy_file(&c, st, source, f, err);
        } else {
            rc = move_on(&c, f->bytes, err);
        }
        c.p.n_done++;
    }
    free(c.buf);
    return rc;
}
