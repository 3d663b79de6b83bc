/* Writing a backup: members one after the other, into a folder or a tar; their manifest is spooled
 * in a file without a name and comes last. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/impl.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/partial.h"

#define EARLIER_MAX 100000       /* names of an earlier backup that are looked up in any order */
#define IN_ORDER    "blob/data/" /* names below it come in their order: looked up in one pass */

struct known { /* a file with several names */
    dev_t dev;
    ino_t ino;
    char *name;
};

struct earlier {
    int dir; /* -1: there is none */
    FILE *manifest;
    void *tree; /* of struct hashed: what is not IN_ORDER */
    int n_tree;
    struct ft_bk_line line; /* the next one in order; name "": the end */
};

struct hashed {
    char hex[BACKUP_HEX + 1];
    char name[];
};

struct ft_backup_out {
    const struct ft_backup_watch *watch;
    char *dest, *temp;   /* temp: as of partial.h; NULL on standard output */
    int fd;              /* the tar, or the folder */
    struct archive *tar; /* NULL: a folder */
    FILE *spool;
    struct earlier earlier;
    void *links; /* a tree of struct known */
    int n_links;
    struct ft_backup_sum sum;
    char *chunk;
};

static int tar_err(struct ft_backup_out *o, struct ft_err *err)
{
    errno = archive_errno(o->tar);
    if (errno == ENOSPC || errno == EDQUOT || errno == EPIPE || errno == EIO)
        return ft_err_disk(err, "write %s", o->temp != NULL ? o->dest : "standard output");
    return ft_err_set(err, FT_EIO, "write %s: %s", o->temp != NULL ? o->dest : "standard output",
                      archive_error_string(o->tar));
}

/* ---- an earlier backup ---- */

static int entry_order(const void *a, const void *b)
{
    return strcmp(((const struct hashed *)a)->name, ((const struct hashed *)b)->name);
}

static int known_order(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static bool is_in_order(const char *name)
{
    return strncmp(name, IN_ORDER, strlen(IN_ORDER)) == 0;
}

/* The next line of a file in order, or the end. */
static void earlier_advance(struct earlier *e)
{
    char text[BACKUP_LINE_MAX];
    bool is_other = false; /* another name of one: left out */
    struct ft_err ignored;
    while (ft_bk_line_read(e->manifest, text, &ignored) == 1) {
        if (!ft_bk_line_parse(text, &e->line))
            continue;
        if (e->line.kind == LINE_FILE && is_in_order(e->line.name) && !is_other)
            return;
        is_other = e->line.kind == LINE_LINK;
    }
    e->line.name[0] = '\0';
}

static void earlier_keep(struct earlier *e, const struct ft_bk_line *l)
{
    size_t n = strlen(l->name) + 1;
    struct hashed *x = e->n_tree < EARLIER_MAX ? malloc(sizeof *x + n) : NULL;
    if (x == NULL)
        return; /* it is copied */
    memcpy(x->hex, l->hex, sizeof x->hex);
    memcpy(x->name, l->name, n);
    struct hashed **at = tsearch(x, &e->tree, entry_order);
    if (at == NULL || *at != x)
        free(x);
    else
        e->n_tree++;
}

/* The last line is the hash of all before it: with it, the hashes that are taken over are those
 * that were written. */
static int earlier_seal(struct earlier *e, const char *path, struct ft_err *err)
{
    char text[BACKUP_LINE_MAX], hex[BACKUP_HEX + 1];
    const size_t seal = strlen(BACKUP_SEAL);
    struct sha256_ctx sha;
    int rc;
    sha256_init(&sha);
    while ((rc = ft_bk_line_read(e->manifest, text, err)) == 1) {
        if (strncmp(text, BACKUP_SEAL, seal) == 0)
            break;
        sha256_update(&sha, strlen(text), (const uint8_t *)text);
        sha256_update(&sha, 1, (const uint8_t *)"\n");
    }
    ft_bk_hex(&sha, hex);
    if (rc == 1 && strcmp(text + seal, hex) == 0 && getc(e->manifest) == EOF) {
        rewind(e->manifest);
        return 0;
    }
    return ft_err_set(err, FT_ECORRUPT,
                      "the earlier backup %s is damaged: its manifest has changed", path);
}

static int earlier_open(struct earlier *e, const char *path, struct ft_err *err)
{
    char text[BACKUP_LINE_MAX];
    e->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (e->dir < 0)
        return ft_err_sys(err, "open the earlier backup %s", path);
    int fd = openat(e->dir, BACKUP_MANIFEST, O_RDONLY | O_CLOEXEC);
    e->manifest = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (e->manifest == NULL) {
        ft_err_sys(err, "%s/" BACKUP_MANIFEST, path);
        if (fd >= 0)
            close(fd);
        return ft_err_wrap(err, "the earlier backup");
    }
    int rc = earlier_seal(e, path, err);
    if (rc != 0)
        return rc;
    while (ft_bk_line_read(e->manifest, text, err) == 1)
        if (ft_bk_line_parse(text, &e->line) && e->line.kind == LINE_FILE &&
            !is_in_order(e->line.name))
            earlier_keep(e, &e->line);
    rewind(e->manifest);
    earlier_advance(e);
    return 0;
}

static void earlier_close(struct earlier *e)
{
    tdestroy(e->tree, free);
    if (e->manifest != NULL)
        fclose(e->manifest);
    if (e->dir >= 0)
        close(e->dir);
}

/* The hash that it has of a file of this name, if it has one. */
static const char *earlier_find(struct earlier *e, const char *name)
{
    if (is_in_order(name)) {
        while (e->line.name[0] != '\0' && strcmp(e->line.name, name) < 0)
            earlier_advance(e);
        return strcmp(e->line.name, name) == 0 ? e->line.hex : NULL;
    }
    size_t n = strlen(name) + 1;
    struct hashed *key = malloc(sizeof *key + n);
    if (key == NULL)
        return NULL;
    memcpy(key->name, name, n);
    struct hashed **at = tfind(key, &e->tree, entry_order);
    free(key);
    return at != NULL ? (*at)->hex : NULL;
}

/* ---- the manifest ---- */

static int note(struct ft_backup_out *o, const char *line, struct ft_err *err)
{
    return fputs(line, o->spool) >= 0 ? 0 : ft_err_disk(err, "write %s", "the manifest");
}

static int note_file(struct ft_backup_out *o, const char *hex, const char *name, int64_t bytes,
                     struct ft_err *err)
{
    char line[BACKUP_LINE_MAX];
    ft_bk_line_file(hex, name, line);
    o->sum.files++;
    o->sum.bytes += bytes;
    return note(o, line, err);
}

/* ---- members ---- */

static bool is_stopped(const struct ft_backup_out *o)
{
    return o->watch->interrupt != NULL && *o->watch->interrupt != 0;
}

static void moved(const struct ft_backup_out *o, int64_t bytes)
{
    if (o->watch->moved != NULL)
        o->watch->moved(o->watch->ctx, bytes);
}

/* The folders above a member, in the folder of the backup. */
static int make_parents(const struct ft_backup_out *o, const char *name, struct ft_err *err)
{
    char path[FT_BACKUP_NAME_MAX];
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%.*s", (int)(slash - name), name);
        if (mkdirat(o->fd, path, 0700) != 0 && errno != EEXIST)
            return ft_err_disk(err, "make the folder %s", path);
    }
    return 0;
}

static int begin_tar(struct ft_backup_out *o, const char *name, const struct stat *st,
                     const char *hard, const char *soft, struct ft_err *err)
{
    struct archive_entry *e = archive_entry_new();
    if (e == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a backup");
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, soft != NULL ? AE_IFLNK : AE_IFREG);
    archive_entry_set_perm(e, st->st_mode & 07777);
    archive_entry_set_mtime(e, st->st_mtim.tv_sec, 0);
    archive_entry_set_size(e, hard != NULL || soft != NULL ? 0 : st->st_size);
    if (hard != NULL)
        archive_entry_set_hardlink(e, hard);
    if (soft != NULL)
        archive_entry_set_symlink(e, soft);
    int rc = archive_write_header(o->tar, e) >= ARCHIVE_WARN ? 0 : tar_err(o, err);
    archive_entry_free(e);
    return rc;
}

static int put_chunk(struct ft_backup_out *o, int to, const char *data, size_t n, const char *name,
                     struct ft_err *err)
{
    if (o->tar != NULL)
        return archive_write_data(o->tar, data, n) == (la_ssize_t)n ? 0 : tar_err(o, err);
    int rc = ft_file_write(to, data, n, name, o->watch->interrupt, err);
    if (rc == FT_EIO && (err->sys_errno == ENOSPC || err->sys_errno == EDQUOT))
        err->code = rc = FT_ELIMIT;
    return rc;
}

/* bytes of `from` (or, -1, of data) into the member that was begun. */
static int put_bytes(struct ft_backup_out *o, int to, int from, const void *data, int64_t bytes,
                     const char *name, char ret_hex[BACKUP_HEX + 1], struct ft_err *err)
{
    struct sha256_ctx sha;
    int rc = 0;
    sha256_init(&sha);
    for (int64_t at = 0; rc == 0 && at < bytes;) {
        const char *chunk = from >= 0 ? o->chunk : (const char *)data + at;
        size_t want = (size_t)FT_MIN(bytes - at, (int64_t)BACKUP_CHUNK);
        ssize_t n = from >= 0 ? pread(from, o->chunk, want, at) : (ssize_t)want;
        if (is_stopped(o))
            return ft_err_set(err, FT_ECANCELED, "interrupted");
        if (n < 0)
            return ft_err_sys(err, "read %s", name);
        if (n == 0)
            return ft_err_set(err, FT_EIO, "%s became shorter while it was read", name);
        sha256_update(&sha, (size_t)n, (const uint8_t *)chunk);
        rc = put_chunk(o, to, chunk, (size_t)n, name, err);
        moved(o, n);
        at += n;
    }
    ft_bk_hex(&sha, ret_hex);
    return rc;
}

static int add(struct ft_backup_out *o, const char *name, int from, const void *data,
               const struct stat *st, struct ft_err *err)
{
    char hex[BACKUP_HEX + 1];
    int to = -1, rc;
    if (o->tar != NULL) {
        rc = begin_tar(o, name, st, NULL, NULL, err);
    } else if ((rc = make_parents(o, name, err)) == 0) {
        to = openat(o->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        rc = to < 0 ? ft_err_disk(err, "make %s", name) : 0;
    }
    if (rc == 0)
        rc = put_bytes(o, to, from, data, st->st_size, name, hex, err);
    if (to >= 0) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};
        if (rc == 0 && (fchmod(to, st->st_mode & 07777) != 0 || futimens(to, times) != 0))
            rc = ft_err_sys(err, "%s", name);
        if (close(to) != 0 && rc == 0)
            rc = ft_err_disk(err, "write %s", name);
    }
    return rc != 0 ? rc : note_file(o, hex, name, st->st_size, err);
}

/* As another name of `target`, which is a member already. 0: it could not be. */
static int add_link(struct ft_backup_out *o, const char *name, const char *target,
                    const struct stat *st, struct ft_err *err)
{
    char line[BACKUP_LINE_MAX], none[BACKUP_HEX + 1];
    int rc;
    if (o->tar != NULL)
        rc = begin_tar(o, name, st, target, NULL, err);
    else if ((rc = make_parents(o, name, err)) == 0 && linkat(o->fd, target, o->fd, name, 0) != 0)
        return 0;
    if (rc != 0)
        return rc;
    memset(none, '0', BACKUP_HEX); /* that of the target says it */
    none[BACKUP_HEX] = '\0';
    ft_bk_line_note("link", target, line);
    rc = note(o, line, err);
    if (rc == 0)
        rc = note_file(o, none, name, st->st_size, err);
    o->sum.linked_bytes += st->st_size;
    moved(o, st->st_size);
    return rc != 0 ? rc : 1;
}

/* From the earlier backup, if it is the same there. */
static int add_earlier(struct ft_backup_out *o, const char *name, const struct stat *st,
                       struct ft_err *err)
{
    struct stat was;
    const char *hex = o->earlier.dir >= 0 ? earlier_find(&o->earlier, name) : NULL;
    if (hex == NULL || fstatat(o->earlier.dir, name, &was, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(was.st_mode) || was.st_size != st->st_size ||
        was.st_mtim.tv_sec != st->st_mtim.tv_sec || was.st_mtim.tv_nsec != st->st_mtim.tv_nsec)
        return 0;
    int rc = make_parents(o, name, err);
    if (rc != 0)
        return rc;
    if (linkat(o->earlier.dir, name, o->fd, name, 0) != 0)
        return 0; /* another disk, or too many links: it is copied */
    o->sum.linked_bytes += st->st_size;
    moved(o, st->st_size);
    rc = note_file(o, hex, name, st->st_size, err);
    return rc != 0 ? rc : 1;
}

static int check_name(const char *name, struct ft_err *err)
{
    if (ft_bk_name_ok(name))
        return 0;
    return ft_err_set(err, FT_EINVAL, "a name that cannot be in a backup: '%.300s'", name);
}

int ft_backup_put(struct ft_backup_out *o, const char *name, const void *data, size_t n,
                  struct ft_err *err)
{
    struct stat st = {.st_mode = 0600, .st_size = (off_t)n};
    clock_gettime(CLOCK_REALTIME, &st.st_mtim);
    int rc = check_name(name, err);
    return rc != 0 ? rc : add(o, name, -1, data, &st, err);
}

/* Remembers the first name of a file that has several; the node that is known by then. */
static struct known *remember(struct ft_backup_out *o, const char *name, const struct stat *st)
{
    struct known key = {.dev = st->st_dev, .ino = st->st_ino};
    struct known **at = tfind(&key, &o->links, known_order);
    if (at != NULL)
        return *at;
    struct known *k = o->n_links < FT_BACKUP_LINKS_MAX ? malloc(sizeof *k) : NULL;
    if (k == NULL)
        return NULL;
    *k = (struct known){st->st_dev, st->st_ino, strdup(name)};
    if (k->name != NULL && tsearch(k, &o->links, known_order) != NULL) {
        o->n_links++;
    } else {
        free(k->name);
        free(k);
    }
    return NULL;
}

int ft_backup_file(struct ft_backup_out *o, const char *name, int fd, bool linkable,
                   struct ft_err *err)
{
    struct stat st;
    int rc = check_name(name, err);
    if (rc == 0 && fstat(fd, &st) != 0)
        rc = ft_err_sys(err, "%s", name);
    if (rc != 0)
        return rc;
    linkable &= st.st_nlink > 1;
    const struct known *k = linkable ? remember(o, name, &st) : NULL;
    rc = k != NULL ? add_link(o, name, k->name, &st, err) : 0;
    if (rc == 0)
        rc = add_earlier(o, name, &st, err);
    return rc != 0 ? FT_MIN(rc, 0) : add(o, name, fd, NULL, &st, err);
}

int ft_backup_symlink(struct ft_backup_out *o, const char *name, const char *target,
                      struct ft_err *err)
{
    char line[BACKUP_LINE_MAX];
    const struct stat st = {.st_mode = 0777};
    int rc = check_name(name, err);
    if (rc == 0 && (target[0] == '\0' || strlen(target) >= FT_BACKUP_NAME_MAX))
        rc = ft_err_set(err, FT_EINVAL, "%s: a link that leads nowhere", name);
    if (rc == 0 && o->tar != NULL)
        rc = begin_tar(o, name, &st, NULL, target, err);
    else if (rc == 0 && (rc = make_parents(o, name, err)) == 0 &&
             symlinkat(target, o->fd, name) != 0)
        rc = ft_err_disk(err, "make %s", name);
    ft_bk_line_note("symlink", target, line);
    if (rc == 0)
        rc = note(o, line, err);
    ft_bk_line_note("", name, line);
    return rc != 0 ? rc : note(o, line, err);
}

/* ---- its begin and end ---- */

static void out_free(struct ft_backup_out *o)
{
    if (o->temp != NULL && o->tar == NULL)
        ft_folder_remove_all(o->temp);
    if (o->tar != NULL) {
        archive_write_free(o->tar); /* ends it, without a manifest */
        if (o->temp != NULL)
            unlink(o->temp);
    }
    struct known *k;
    while (o->links != NULL) {
        k = *(struct known **)o->links;
        tdelete(k, &o->links, known_order);
        free(k->name);
        free(k);
    }
    earlier_close(&o->earlier);
    if (o->spool != NULL)
        fclose(o->spool);
    if (o->fd >= 0 && o->fd != STDOUT_FILENO)
        close(o->fd);
    free(o->dest);
    free(o->temp);
    free(o->chunk);
    free(o);
}

static int open_dest(struct ft_backup_out *o, bool is_tar, struct ft_err *err)
{
    struct stat st;
    if (strcmp(o->dest, "-") == 0) {
        o->fd = STDOUT_FILENO;
    } else {
        if (lstat(o->dest, &st) == 0)
            return ft_err_set(err, FT_EEXIST, "%s is there already: give another name", o->dest);
        int rc = ft_partial_open(o->dest, !is_tar, &o->temp, &o->fd, err);
        if (rc != 0)
            return rc;
        if (fchmod(o->fd, is_tar ? 0600 : 0700) != 0) /* it holds secrets */
            return ft_err_sys(err, "%s", o->temp);
    }
    if (!is_tar)
        return 0;
    o->tar = archive_write_new();
    if (o->tar == NULL || archive_write_set_format_pax_restricted(o->tar) != ARCHIVE_OK ||
        archive_write_add_filter_none(o->tar) != ARCHIVE_OK ||
        archive_write_set_options(o->tar, "hdrcharset=BINARY") != ARCHIVE_OK ||
        archive_write_open_fd(o->tar, o->fd) != ARCHIVE_OK)
        return ft_err_set(err, FT_ENOMEM, "begin the tar: %s",
                          o->tar != NULL ? archive_error_string(o->tar) : "no memory");
    return 0;
}

int ft_backup_create(const char *dest, const char *earlier, const struct ft_backup_watch *watch,
                     struct ft_backup_out **ret, struct ft_err *err)
{
    size_t n = strlen(dest);
    bool is_tar = strcmp(dest, "-") == 0 || (n > 4 && strcmp(dest + n - 4, ".tar") == 0);
    if (n == 0 || strcmp(dest, "/") == 0)
        return ft_err_set(err, FT_EINVAL, "give a folder, a file NAME.tar, or -");
    if (is_tar && earlier != NULL)
        return ft_err_set(err, FT_EINVAL, "only folders share files with an earlier backup");
    struct ft_backup_out *o = calloc(1, sizeof *o);
    if (o == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a backup");
    o->watch = watch;
    o->fd = o->earlier.dir = -1;
    o->dest = strdup(dest);
    o->chunk = malloc(BACKUP_CHUNK);
    o->spool = tmpfile();
    int rc = 0;
    if (o->dest == NULL || o->chunk == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a backup");
    else if (o->spool == NULL)
        rc = ft_err_sys(err, "make a temporary file");
    while (rc == 0 && n > 1 && o->dest[n - 1] == '/')
        o->dest[--n] = '\0';
    if (rc == 0 && earlier != NULL)
        rc = earlier_open(&o->earlier, earlier, err);
    if (rc == 0)
        rc = open_dest(o, is_tar, err);
    if (rc != 0)
        out_free(o);
    else
        *ret = o;
    return rc;
}

/* The spooled lines and the seal, as the last member. */
static int put_manifest(struct ft_backup_out *o, struct ft_err *err)
{
    struct sha256_ctx sha;
    char hex[BACKUP_HEX + 1], line[BACKUP_LINE_MAX];
    size_t n;
    snprintf(line, sizeof line, "# files %lld bytes %lld\n", (long long)o->sum.files,
             (long long)o->sum.bytes);
    int rc = note(o, line, err);
    if (rc == 0 && fflush(o->spool) != 0)
        rc = ft_err_disk(err, "write %s", "the manifest");
    rewind(o->spool);
    sha256_init(&sha);
    while (rc == 0 && (n = fread(o->chunk, 1, BACKUP_CHUNK, o->spool)) > 0)
        sha256_update(&sha, n, (const uint8_t *)o->chunk);
    ft_bk_hex(&sha, hex);
    snprintf(line, sizeof line, BACKUP_SEAL "%s\n", hex);
    if (rc == 0)
        rc = note(o, line, err);
    if (rc == 0 && (fflush(o->spool) != 0 || ferror(o->spool)))
        rc = ft_err_disk(err, "write %s", "the manifest");
    const struct ft_backup_sum sum = o->sum; /* without itself */
    if (rc == 0)
        rc = ft_backup_file(o, BACKUP_MANIFEST, fileno(o->spool), false, err);
    o->sum = sum;
    return rc;
}

static int settle(struct ft_backup_out *o, struct ft_err *err)
{
    if (o->tar != NULL && archive_write_close(o->tar) != ARCHIVE_OK)
        return tar_err(o, err);
    if (o->temp == NULL)
        return 0;
    if ((o->tar != NULL ? fsync(o->fd) : syncfs(o->fd)) != 0)
        return ft_err_disk(err, "write %s", o->dest);
    if (rename(o->temp, o->dest) != 0)
        return ft_err_sys(err, "%s", o->dest);
    free(o->temp);
    o->temp = NULL;
    return ft_partial_parent_sync(o->dest, err);
}

int ft_backup_commit(struct ft_backup_out *o, struct ft_backup_sum *ret, struct ft_err *err)
{
    int rc = put_manifest(o, err);
    if (rc == 0)
        rc = settle(o, err);
    *ret = o->sum;
    out_free(o);
    return rc;
}

void ft_backup_abort(struct ft_backup_out *o)
{
    if (o != NULL)
        out_free(o);
}
