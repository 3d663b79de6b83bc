/* The journal's segments (journal.h). */
#include "ledger/journal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/partial.h"

#define PATH_BYTES 4096

/* ---- lines ---- */

int ft_journal_line(const struct ft_record *r, struct ft_buf *out)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = out->len;
    ft_buf_add(out, "00000000 ", FT_JOURNAL_PREFIX);
    if (ft_record_write(r, out) != 0)
        return out->failed;
    char *json = out->data + at + FT_JOURNAL_PREFIX;
    uint32_t crc = ft_crc32c(0, json, out->len - at - FT_JOURNAL_PREFIX - 1);
    for (int i = 0; i < 8; i++)
        out->data[at + (size_t)i] = hex[crc >> (28 - 4 * i) & 15];
    return 0;
}

size_t ft_journal_next(const char *p, size_t n, struct ft_slice *ret_json)
{
    const char *end = memchr(p, '\n', n);
    *ret_json = (struct ft_slice){NULL, 0};
    if (end == NULL)
        return 0;
    size_t len = (size_t)(end - p);
    uint32_t crc = 0;
    bool good = len > FT_JOURNAL_PREFIX && len <= FT_JOURNAL_LINE_MAX && p[8] == ' ';
    for (int i = 0; good && i < 8; i++) {
        unsigned char c = (unsigned char)p[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        crc = crc << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (good && ft_crc32c(0, p + FT_JOURNAL_PREFIX, len - FT_JOURNAL_PREFIX) == crc)
        *ret_json = (struct ft_slice){p + FT_JOURNAL_PREFIX, len - FT_JOURNAL_PREFIX};
    return len + 1;
}

bool ft_journal_id(struct ft_slice json, struct ft_slice *ret_id)
{
    static const char opening[] = "{\"id\":\"";
    size_t n = sizeof opening - 1;
    if (json.n < n || memcmp(json.p, opening, n) != 0)
        return false;
    const char *end = memchr(json.p + n, '"', json.n - n);
    if (end == NULL || memchr(json.p + n, '\\', (size_t)(end - json.p) - n) != NULL)
        return false;
    *ret_id = (struct ft_slice){json.p + n, (size_t)(end - json.p) - n};
    return true;
}

/* ---- segments ---- */

static void path_of(const struct ft_journal *j, uint32_t segment, char *ret)
{
    snprintf(ret, PATH_BYTES, "%s/%010u.log", j->dir, (unsigned)segment);
}

/* The number in a segment's name, 0 if it is none. */
static uint32_t number_of(const char *name)
{
    uint64_t n = 0;
    for (int i = 0; i < 10; i++) {
        if (!isdigit((unsigned char)name[i]))
            return 0;
        n = n * 10 + (uint64_t)(name[i] - '0');
    }
    return strcmp(name + 10, ".log") == 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

static int look(struct ft_journal *j, uint32_t *ret_last, struct ft_err *err)
{
    DIR *d = opendir(j->dir);
    if (d == NULL)
        return ft_err_sys(err, "read %s", j->dir);
    uint32_t first = 0, last = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        uint32_t n = number_of(e->d_name);
        struct stat st;
        if (n == 0 || fstatat(dirfd(d), e->d_name, &st, 0) != 0)
            continue;
        first = first == 0 || n < first ? n : first;
        last = n > last ? n : last;
        j->bytes += st.st_size;
    }
    closedir(d);
    j->first = first == 0 ? 1 : first;
    *ret_last = last == 0 ? 1 : last;
    return 0;
}

static int open_segment(struct ft_journal *j, uint32_t segment, struct ft_err *err)
{
    char path[PATH_BYTES];
    path_of(j, segment, path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ft_err_sys(err, "open %s", path);
    int rc = ft_partial_parent_sync(path, err);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    j->fd = fd;
    return 0;
}

/* Cuts off what is behind the last newline: a write that a kill or a power cut left unfinished. */
static int cut_tail(struct ft_journal *j, uint32_t segment, struct ft_err *err)
{
    char path[PATH_BYTES];
    struct ft_map map;
    path_of(j, segment, path);
    int rc = ft_map_open(path, &map, err);
    if (rc != 0)
        return rc;
    const uint8_t *end = map.bytes == 0 ? NULL : memrchr(map.data, '\n', map.bytes);
    size_t keep = end == NULL ? 0 : (size_t)(end - map.data) + 1;
    size_t had = map.bytes;
    ft_map_close(&map);
    if (had > UINT32_MAX)
        return ft_err_set(err, FT_ECORRUPT, "%s: too large for a segment", path);
    if (keep < had && ftruncate(j->fd, (off_t)keep) != 0)
        return ft_err_sys(err, "cut %s", path);
    j->bytes -= (int64_t)(had - keep);
    j->end = (struct ft_journal_pos){segment, (uint32_t)keep};
    return 0;
}

int ft_journal_open(const char *dir, int64_t segment_bytes, struct ft_journal *ret,
                    struct ft_err *err)
{
    struct ft_journal *j = ret;
    *j = (struct ft_journal){.fd = -1, .segment_bytes = segment_bytes};
    if (strlen(dir) >= sizeof j->dir)
        return ft_err_set(err, FT_EINVAL, "journal: the path is longer than %zu bytes",
                          sizeof j->dir - 1);
    strcpy(j->dir, dir);
    uint32_t last = 0;
    int rc = look(j, &last, err);
    if (rc == 0)
        rc = open_segment(j, last, err);
    if (rc == 0)
        rc = cut_tail(j, last, err);
    if (rc != 0) {
        if (j->fd >= 0)
            close(j->fd);
        *j = (struct ft_journal){.fd = -1};
        return rc;
    }
    pthread_mutex_init(&j->lock, NULL);
    return 0;
}

void ft_journal_close(struct ft_journal *j)
{
    if (j->dir[0] == '\0')
        return;
    if (j->fd >= 0)
        close(j->fd);
    pthread_mutex_destroy(&j->lock);
    *j = (struct ft_journal){.fd = -1};
}

static void move_end(struct ft_journal *j, struct ft_journal_pos end, int64_t more)
{
    pthread_mutex_lock(&j->lock);
    j->end = end;
    j->bytes += more;
    pthread_mutex_unlock(&j->lock);
}

/* A new segment if the last is full, or was given up because a failed write could not be undone. */
static int ready_segment(struct ft_journal *j, struct ft_err *err)
{
    if (j->fd >= 0 && j->end.offset < j->segment_bytes)
        return 0;
    int old = j->fd;
    uint32_t next = j->end.segment + 1;
    int rc = open_segment(j, next, err);
    if (rc != 0) {
        j->fd = old;
        return rc;
    }
    if (old >= 0)
        close(old);
    move_end(j, (struct ft_journal_pos){next, 0}, 0);
    return 0;
}

int ft_journal_append(struct ft_journal *j, const void *lines, size_t n, struct ft_err *err)
{
    FT_ASSERT(n <= FT_JOURNAL_APPEND_MAX);
    int rc = ready_segment(j, err);
    if (rc != 0)
        return rc;
    const char *p = lines;
    for (size_t done = 0; done < n;) {
        ssize_t got = pwrite(j->fd, p + done, n - done, (off_t)(j->end.offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got == 0 ? ENOSPC : errno;
            rc = ft_err_sys(err, "write %s/%010u.log", j->dir, (unsigned)j->end.segment);
            if (ftruncate(j->fd, (off_t)j->end.offset) != 0) {
                close(j->fd);
                j->fd = -1;
            }
            return rc;
        }
        done += (size_t)got;
    }
    move_end(j, (struct ft_journal_pos){j->end.segment, j->end.offset + (uint32_t)n}, (int64_t)n);
    return 0;
}

/* ---- reading ---- */

struct ft_journal_pos ft_journal_end(struct ft_journal *j)
{
    pthread_mutex_lock(&j->lock);
    struct ft_journal_pos end = j->end;
    pthread_mutex_unlock(&j->lock);
    return end;
}

int64_t ft_journal_bytes_from(struct ft_journal *j, struct ft_journal_pos from)
{
    pthread_mutex_lock(&j->lock);
    int64_t bytes = j->bytes;
    if (from.segment >= j->first)
        bytes -= from.offset;
    pthread_mutex_unlock(&j->lock);
    return FT_MAX(bytes, 0);
}

/* Reads at most max bytes of a segment; *ret_last: there are no more in it. A missing one is empty.
 */
static int read_some(struct ft_journal *j, struct ft_journal_pos pos, struct ft_journal_pos end,
                     size_t max, struct ft_buf *out, bool *ret_last, struct ft_err *err)
{
    char path[PATH_BYTES];
    path_of(j, pos.segment, path);
    *ret_last = true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : ft_err_sys(err, "open %s", path);
    size_t want = max;
    if (pos.segment == end.segment)
        want = FT_MIN(want, (size_t)end.offset - pos.offset);
    int rc = ft_buf_reserve(out, want);
    if (rc != 0)
        rc = ft_err_set(err, rc, "read %s: no memory", path);
    ssize_t got = 0;
    size_t done = 0;
    while (rc == 0 && done < want) {
        got = pread(fd, out->data + done, want - done, (off_t)(pos.offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = ft_err_sys(err, "read %s", path);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    close(fd);
    *ret_last = done < max;
    out->len = rc == 0 ? done : 0;
    return rc;
}

int ft_journal_read(struct ft_journal *j, struct ft_journal_pos *pos, struct ft_buf *out,
                    struct ft_err *err)
{
    struct ft_journal_pos end = ft_journal_end(j);
    ft_buf_reset(out);
    pthread_mutex_lock(&j->lock);
    if (pos->segment < j->first)
        *pos = (struct ft_journal_pos){j->first, 0};
    pthread_mutex_unlock(&j->lock);
    if (pos->segment > end.segment || (pos->segment == end.segment && pos->offset > end.offset))
        *pos = end; /* it was ahead of a journal that lost its end */
    while (pos->segment < end.segment || pos->offset < end.offset) {
        bool last;
        int rc = read_some(j, *pos, end, out->max_bytes - 1, out, &last, err);
        if (rc != 0)
            return rc;
        if (out->len > 0) {
            const char *newline = memrchr(out->data, '\n', out->len);
            if (newline != NULL)
                out->len = (size_t)(newline - out->data) + 1;
            /* else: more than a line without a newline; the caller sees that it is damaged */
            out->data[out->len] = '\0';
            pos->offset += (uint32_t)out->len;
            return 0;
        }
        if (pos->segment == end.segment)
            return ft_err_set(err, FT_EIO, "%s/%010u.log is shorter than it was", j->dir,
                              (unsigned)pos->segment);
        *pos = (struct ft_journal_pos){pos->segment + 1, 0};
    }
    return 0;
}

void ft_journal_drop(struct ft_journal *j, uint32_t before)
{
    char path[PATH_BYTES];
    uint32_t first = j->first;
    before = FT_MIN(before, ft_journal_end(j).segment);
    int64_t gone = 0;
    for (; first < before; first++) {
        struct stat st;
        path_of(j, first, path);
        if (stat(path, &st) == 0 && unlink(path) == 0)
            gone += st.st_size;
    }
    pthread_mutex_lock(&j->lock);
    j->first = FT_MAX(j->first, first);
    j->bytes -= gone;
    pthread_mutex_unlock(&j->lock);
}

int ft_journal_each_last(struct ft_journal *j, ft_journal_fn *fn, void *ctx, struct ft_err *err)
{
    int with_lines = 0;
    for (uint32_t segment = j->end.segment; segment >= j->first && with_lines < 2; segment--) {
        char path[PATH_BYTES];
        struct ft_map map;
        path_of(j, segment, path);
        int rc = ft_map_open(path, &map, err);
        if (rc == FT_ENOTFOUND)
            continue;
        if (rc != 0)
            return rc;
        struct ft_slice json;
        const char *p = (const char *)map.data;
        size_t left = map.bytes;
        with_lines += left > 0;
        for (size_t n; left > 0 && (n = ft_journal_next(p, left, &json)) > 0; p += n, left -= n)
            if (json.p != NULL)
                fn(ctx, json);
        ft_map_close(&map);
    }
    return 0;
}
