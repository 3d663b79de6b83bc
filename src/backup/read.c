/* Reading a backup: a folder by its manifest, a tar member by member.
 *
 * In a tar the manifest is last: a line for each member is spooled in a file without a name as they
 * come, and both are compared at the end, line by line. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/impl.h"

#define INFO_MAX     ((size_t)64 << 10)
#define MANIFEST_MAX ((int64_t)4 << 30) /* of a tar, unpacked into a file to be compared */
#define FAULTS_MAX   100                /* told; more are counted */

struct ft_backup_in {
    const struct ft_backup_watch *watch;
    char *src;
    struct archive *tar;    /* NULL: a folder */
    int fd;                 /* the tar's file, or the folder */
    FILE *manifest;         /* of a folder: read; of a tar: what was spooled */
    struct sha256_ctx seal; /* of a folder's manifest, as far as it was read */
    struct ft_bk_line *line;
    json_t *info;
    int64_t bytes;
    /* the member that is read now */
    struct ft_backup_member member;
    char name[FT_BACKUP_NAME_MAX], target[FT_BACKUP_NAME_MAX];
    char hex[BACKUP_HEX + 1]; /* of a folder's: what it must be */
    struct sha256_ctx sha;
    int file; /* of a folder's; -1: none, or not to be read */
    int64_t left;
    bool open; /* a file, not at its end */
    int64_t faults;
    char *chunk, *text;
};

static void fault(struct ft_backup_in *in, const char *name, const char *what)
{
    if (in->faults++ < FAULTS_MAX && in->watch->fault != NULL)
        in->watch->fault(in->watch->ctx, name, what);
}

static int damaged(const struct ft_backup_in *in, const char *what, struct ft_err *err)
{
    return ft_err_set(err, FT_ECORRUPT, "%s is damaged: %s", in->src, what);
}

static int tar_err(struct ft_backup_in *in, struct ft_err *err)
{
    const char *why = archive_error_string(in->tar);
    return damaged(in, why != NULL ? why : "not a tar", err);
}

static bool is_stopped(const struct ft_backup_in *in)
{
    return in->watch->interrupt != NULL && *in->watch->interrupt != 0;
}

/* ---- the bytes of a member ---- */

static int64_t pull(struct ft_backup_in *in, void *data, size_t n, struct ft_err *err)
{
    ssize_t got;
    if (in->tar != NULL) {
        got = archive_read_data(in->tar, data, n);
        if (got < 0)
            return tar_err(in, err);
    } else {
        got = read(in->file, data, n);
        if (got < 0)
            return ft_err_sys(err, "read %s/%s", in->src, in->name);
    }
    return got;
}

/* What the end of a member means for the whole. */
static int member_end(struct ft_backup_in *in, struct ft_err *err)
{
    char hex[BACKUP_HEX + 1];
    in->open = false;
    ft_bk_hex(&in->sha, hex);
    if (in->tar != NULL) {
        ft_bk_line_file(hex, in->name, in->text);
        return fputs(in->text, in->manifest) >= 0 ? 0 : ft_err_sys(err, "write a temporary file");
    }
    close(in->file);
    in->file = -1;
    if (strcmp(hex, in->hex) != 0)
        fault(in, in->name, "is not what was written: its bytes have changed");
    return 0;
}

int64_t ft_backup_read(struct ft_backup_in *in, void *data, size_t n, struct ft_err *err)
{
    if (!in->open)
        return 0;
    if (is_stopped(in))
        return ft_err_set(err, FT_ECANCELED, "interrupted");
    int64_t got = pull(in, data, n, err);
    if (got > 0) {
        sha256_update(&in->sha, (size_t)got, data);
        if (in->watch->moved != NULL)
            in->watch->moved(in->watch->ctx, got);
        return got;
    }
    int rc = got == 0 ? member_end(in, err) : 0;
    return got < 0 ? got : rc;
}

static int skip_rest(struct ft_backup_in *in, struct ft_err *err)
{
    int64_t n = 1;
    while (in->open && n > 0)
        n = ft_backup_read(in, in->chunk, BACKUP_CHUNK, err);
    return n < 0 ? (int)n : 0;
}

static void begin_file(struct ft_backup_in *in)
{
    sha256_init(&in->sha);
    in->open = true;
}

/* ---- a folder ---- */

/* The next line of its manifest, counted into the seal; 0: the end, and the seal was good. */
static int folder_line(struct ft_backup_in *in, struct ft_err *err)
{
    char hex[BACKUP_HEX + 1];
    size_t seal = strlen(BACKUP_SEAL);
    int rc = ft_bk_line_read(in->manifest, in->text, err);
    if (rc < 0)
        return ft_err_wrap(err, "%s", in->src);
    if (rc == 0)
        return damaged(in, "its manifest has no end", err);
    if (strncmp(in->text, BACKUP_SEAL, seal) == 0) {
        ft_bk_hex(&in->seal, hex);
        if (strcmp(in->text + seal, hex) != 0 || getc(in->manifest) != EOF)
            return damaged(in, "its manifest has changed", err);
        return 0;
    }
    sha256_update(&in->seal, strlen(in->text), (const uint8_t *)in->text);
    sha256_update(&in->seal, 1, (const uint8_t *)"\n");
    if (!ft_bk_line_parse(in->text, in->line))
        return damaged(in, "a line of its manifest is none", err);
    return 1;
}

static int folder_open_file(struct ft_backup_in *in, struct ft_err *err)
{
    struct stat st;
    in->file = openat(in->fd, in->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (in->file < 0 || fstat(in->file, &st) != 0 || !S_ISREG(st.st_mode)) {
        fault(in, in->name, in->file < 0 ? strerror(errno) : "is no file");
        if (in->file >= 0)
            close(in->file);
        in->file = -1;
        return 0;
    }
    (void)err;
    in->member.bytes = st.st_size;
    in->member.mode = st.st_mode & 07777;
    in->member.mtime = st.st_mtim;
    begin_file(in);
    return 1;
}

/* The line of a name, behind one that said what is special about it. */
static int folder_named(struct ft_backup_in *in, int kind, struct ft_err *err)
{
    int rc = folder_line(in, err);
    if (rc == 0 || (rc > 0 && (int)in->line->kind != kind))
        return damaged(in, "a line of its manifest is missing", err);
    if (rc > 0)
        snprintf(in->name, sizeof in->name, "%s", in->line->name);
    return rc;
}

/* 1: a member; 2: a line that is none, or a file that cannot be read, which was told. */
static int folder_step(struct ft_backup_in *in, struct ft_err *err)
{
    int rc = folder_line(in, err), kind = rc > 0 ? (int)in->line->kind : 0;
    if (rc <= 0)
        return rc;
    in->member = (struct ft_backup_member){.name = in->name, .target = in->target};
    if (kind == LINE_NOTE)
        return 2;
    snprintf(kind == LINE_FILE ? in->name : in->target, FT_BACKUP_NAME_MAX, "%s", in->line->name);
    if (kind != LINE_FILE) {
        rc = folder_named(in, kind == LINE_LINK ? LINE_FILE : LINE_NOTE, err);
        in->member.kind = kind == LINE_LINK ? FT_BACKUP_LINK : FT_BACKUP_SYMLINK;
    }
    if (rc < 0)
        return rc;
    if (!ft_bk_name_ok(in->name) || (kind == LINE_LINK && !ft_bk_name_ok(in->target)))
        return damaged(in, "a name leads out of it", err);
    if (kind != LINE_FILE)
        return 1;
    memcpy(in->hex, in->line->hex, sizeof in->hex);
    rc = folder_open_file(in, err);
    return rc == 0 ? 2 : rc;
}

static int folder_next(struct ft_backup_in *in, struct ft_err *err)
{
    int rc;
    while ((rc = folder_step(in, err)) == 2)
        if (is_stopped(in))
            return ft_err_set(err, FT_ECANCELED, "interrupted");
    return rc;
}

/* How much it is, by the manifest's last line but one. */
static int64_t folder_bytes(int fd)
{
    char tail[512];
    long long files, bytes;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return 0;
    ssize_t n = pread(fd, tail, sizeof tail - 1, FT_MAX(st.st_size - (off_t)sizeof tail + 1, 0));
    tail[FT_MAX(n, 0)] = '\0';
    const char *at = strstr(tail, "# files ");
    return at != NULL && sscanf(at, "# files %lld bytes %lld", &files, &bytes) == 2 ? bytes : 0;
}

static int folder_open(struct ft_backup_in *in, struct ft_err *err)
{
    int fd = openat(in->fd, BACKUP_MANIFEST, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    in->manifest = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (in->manifest == NULL && errno == ENOENT)
        return damaged(in, "it has no " BACKUP_MANIFEST ": it is no backup, or not a whole one",
                       err);
    if (in->manifest == NULL)
        return ft_err_sys(err, "open %s/" BACKUP_MANIFEST, in->src);
    in->bytes = folder_bytes(fd);
    sha256_init(&in->seal);
    return 0;
}

/* ---- a tar ---- */

static int spool(struct ft_backup_in *in, struct ft_err *err)
{
    return fputs(in->text, in->manifest) >= 0 ? 0 : ft_err_sys(err, "write a temporary file");
}

/* The member's line, where it is another name or a link; a file's is spooled at its end. */
static int tar_special(struct ft_backup_in *in, const char *hard, const char *soft,
                       struct ft_err *err)
{
    char none[BACKUP_HEX + 1];
    const char *to = hard != NULL ? hard : soft;
    if (to == NULL || strlen(to) >= FT_BACKUP_NAME_MAX || (hard != NULL && !ft_bk_name_ok(hard)))
        return damaged(in, "a link leads out of it", err);
    snprintf(in->target, sizeof in->target, "%s", to);
    in->member.kind = hard != NULL ? FT_BACKUP_LINK : FT_BACKUP_SYMLINK;
    ft_bk_line_note(hard != NULL ? "link" : "symlink", to, in->text);
    int rc = spool(in, err);
    memset(none, '0', BACKUP_HEX);
    none[BACKUP_HEX] = '\0';
    if (hard != NULL)
        ft_bk_line_file(none, in->name, in->text);
    else
        ft_bk_line_note("", in->name, in->text);
    return rc != 0 ? rc : spool(in, err);
}

/* The manifest's text is the spool's, line by line: then it is the seal's, too. */
static int compare(struct ft_backup_in *in, FILE *manifest, struct ft_err *err)
{
    char *seen = malloc(BACKUP_LINE_MAX);
    struct ft_bk_line *was = malloc(sizeof *was);
    size_t seal = strlen(BACKUP_SEAL);
    struct sha256_ctx sha;
    char hex[BACKUP_HEX + 1];
    int rc = seen != NULL && was != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "no memory");
    sha256_init(&sha);
    rewind(manifest);
    rewind(in->manifest);
    while (rc == 0 && (rc = ft_bk_line_read(manifest, in->text, err)) == 1) {
        rc = 0;
        if (strncmp(in->text, BACKUP_SEAL, seal) == 0)
            break;
        sha256_update(&sha, strlen(in->text), (const uint8_t *)in->text);
        sha256_update(&sha, 1, (const uint8_t *)"\n");
        if (strncmp(in->text, "# files ", 8) == 0)
            continue;
        int got = ft_bk_line_read(in->manifest, seen, err);
        if (got == 1 && strcmp(seen, in->text) == 0)
            continue;
        if (got != 1 || !ft_bk_line_parse(in->text, in->line) || !ft_bk_line_parse(seen, was) ||
            in->line->kind != was->kind || strcmp(in->line->name, was->name) != 0)
            rc = damaged(in, "what it holds is not what its manifest lists", err);
        else
            fault(in, was->name, "is not what was written: its bytes have changed");
    }
    ft_bk_hex(&sha, hex);
    if (rc == 0 && (strncmp(in->text, BACKUP_SEAL, seal) != 0 ||
                    strcmp(in->text + seal, hex) != 0 || getc(manifest) != EOF))
        rc = damaged(in, "its manifest has changed", err);
    if (rc == 0 && getc(in->manifest) != EOF)
        rc = damaged(in, "it holds more than its manifest lists", err);
    free(seen);
    free(was);
    return rc;
}

static int tar_manifest(struct ft_backup_in *in, struct ft_err *err)
{
    FILE *manifest = tmpfile();
    struct archive_entry *e;
    int64_t n, all = 0;
    int rc = manifest != NULL ? 0 : ft_err_sys(err, "make a temporary file");
    while (rc == 0 && (n = archive_read_data(in->tar, in->chunk, BACKUP_CHUNK)) != 0) {
        if (n < 0)
            rc = tar_err(in, err);
        else if ((all += n) > MANIFEST_MAX)
            rc = damaged(in, "its manifest is too long", err);
        else if (fwrite(in->chunk, 1, (size_t)n, manifest) != (size_t)n)
            rc = ft_err_sys(err, "write a temporary file");
    }
    if (rc == 0)
        rc = compare(in, manifest, err);
    if (rc == 0 && archive_read_next_header(in->tar, &e) != ARCHIVE_EOF)
        rc = damaged(in, "something follows its manifest", err);
    if (manifest != NULL)
        fclose(manifest);
    return rc;
}

static int tar_next(struct ft_backup_in *in, struct ft_err *err)
{
    struct archive_entry *e;
    int rc = archive_read_next_header(in->tar, &e);
    if (rc == ARCHIVE_EOF)
        return damaged(in, "it ends before its " BACKUP_MANIFEST ": it is not whole", err);
    if (rc < ARCHIVE_WARN)
        return tar_err(in, err);
    const char *name = archive_entry_pathname(e);
    if (name == NULL || !ft_bk_name_ok(name))
        return damaged(in, "a name leads out of it", err);
    if (strcmp(name, BACKUP_MANIFEST) == 0)
        return tar_manifest(in, err);
    snprintf(in->name, sizeof in->name, "%s", name);
    in->member = (struct ft_backup_member){
        .name = in->name,
        .target = in->target,
        .bytes = archive_entry_size(e),
        .mode = archive_entry_perm(e),
        .mtime = {.tv_sec = archive_entry_mtime(e), .tv_nsec = archive_entry_mtime_nsec(e)}};
    if (archive_entry_hardlink(e) == NULL && archive_entry_filetype(e) == AE_IFREG) {
        begin_file(in);
        return 1;
    }
    if (archive_entry_hardlink(e) == NULL && archive_entry_filetype(e) != AE_IFLNK)
        return damaged(in, "it holds what is neither file nor link", err);
    rc = tar_special(in, archive_entry_hardlink(e), archive_entry_symlink(e), err);
    return rc != 0 ? rc : 1;
}

/* By name: among "all" are some that run a program (lrzip, grzip, lzop) on whatever bytes come.
 * ARCHIVE_WARN would be such a program, too: a libarchive without the library itself. */
static bool add_filters(struct archive *tar)
{
    return archive_read_support_filter_gzip(tar) == ARCHIVE_OK &&
           archive_read_support_filter_bzip2(tar) == ARCHIVE_OK &&
           archive_read_support_filter_xz(tar) == ARCHIVE_OK &&
           archive_read_support_filter_zstd(tar) == ARCHIVE_OK;
}

static int tar_open(struct ft_backup_in *in, struct ft_err *err)
{
    struct stat st;
    if (fstat(in->fd, &st) == 0 && S_ISREG(st.st_mode))
        in->bytes = st.st_size;
    in->tar = archive_read_new();
    in->manifest = tmpfile();
    if (in->manifest == NULL)
        return ft_err_sys(err, "make a temporary file");
    if (in->tar == NULL || !add_filters(in->tar) ||
        archive_read_support_format_tar(in->tar) != ARCHIVE_OK)
        return ft_err_set(err, FT_ENOMEM, "no memory for a backup");
    return archive_read_open_fd(in->tar, in->fd, BACKUP_CHUNK) == ARCHIVE_OK ? 0 : tar_err(in, err);
}

/* ---- both ---- */

static int read_info(struct ft_backup_in *in, struct ft_err *err)
{
    struct ft_backup_member m;
    size_t n = 0;
    int64_t got = 1;
    int rc = ft_backup_next(in, &m, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || strcmp(m.name, BACKUP_INFO) != 0 || m.kind != FT_BACKUP_FILE)
        return ft_err_set(err, FT_ECORRUPT, "%s is no backup of a cloud", in->src);
    while (got > 0 && n < INFO_MAX)
        if ((got = ft_backup_read(in, in->chunk + n, INFO_MAX - n, err)) > 0)
            n += (size_t)got;
    if (got < 0)
        return (int)got;
    in->info = json_loadb(in->chunk, n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *format = json_object_get(in->info, "format");
    if (!json_is_integer(format))
        return ft_err_set(err, FT_ECORRUPT, "%s is no backup of a cloud", in->src);
    if (json_integer_value(format) > FT_BACKUP_FORMAT)
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "%s was made by a newer feitian (format %lld, this one knows %d)",
                          in->src, (long long)json_integer_value(format), FT_BACKUP_FORMAT);
    return 0;
}

int ft_backup_open(const char *src, const struct ft_backup_watch *watch, struct ft_backup_in **ret,
                   struct ft_err *err)
{
    struct stat st;
    struct ft_backup_in *in = calloc(1, sizeof *in);
    if (in == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a backup");
    in->watch = watch;
    in->file = -1;
    in->src = strdup(strcmp(src, "-") == 0 ? "standard input" : src);
    in->line = malloc(sizeof *in->line);
    in->chunk = malloc(BACKUP_CHUNK);
    in->text = malloc(BACKUP_LINE_MAX);
    in->fd = strcmp(src, "-") == 0 ? dup(STDIN_FILENO) : open(src, O_RDONLY | O_CLOEXEC);
    int rc = 0;
    if (in->src == NULL || in->line == NULL || in->chunk == NULL || in->text == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a backup");
    else if (in->fd < 0 || fstat(in->fd, &st) != 0)
        rc = ft_err_sys(err, "open %s", src);
    else
        rc = S_ISDIR(st.st_mode) ? folder_open(in, err) : tar_open(in, err);
    if (rc == 0)
        rc = read_info(in, err);
    if (rc != 0)
        ft_backup_close(in);
    else
        *ret = in;
    return rc;
}

const json_t *ft_backup_info(const struct ft_backup_in *in)
{
    return in->info;
}

int64_t ft_backup_bytes(const struct ft_backup_in *in)
{
    return in->bytes;
}

int ft_backup_next(struct ft_backup_in *in, struct ft_backup_member *ret, struct ft_err *err)
{
    int rc = skip_rest(in, err);
    if (rc == 0)
        rc = in->tar != NULL ? tar_next(in, err) : folder_next(in, err);
    if (rc > 0)
        *ret = in->member;
    if (rc == 0 && in->faults > 0)
        return ft_err_set(err, FT_ECORRUPT, "%s is damaged: %lld of its files are", in->src,
                          (long long)in->faults);
    return rc;
}

void ft_backup_close(struct ft_backup_in *in)
{
    if (in == NULL)
        return;
    if (in->tar != NULL)
        archive_read_free(in->tar);
    if (in->manifest != NULL)
        fclose(in->manifest);
    if (in->file >= 0)
        close(in->file);
    if (in->fd >= 0)
        close(in->fd);
    json_decref(in->info);
    free(in->src);
    free(in->line);
    free(in->chunk);
    free(in->text);
    free(in);
}
