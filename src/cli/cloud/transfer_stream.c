/* Standard input and output: their length is not known, they cannot be gone back in, and so they
 * are moved in order; what comes in waits in memory until it is a part. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/cloud/transfer.h"

#define GROW_AFTER 2500 /* parts, after which they are twice as large: 600 GB in all */
#define CHUNK      ((size_t)256 << 10)
#define WAIT_MS    200

bool ft_transfer_is_stream(const struct ft_transfer *f)
{
    return f->kind != FT_COPY && strcmp(f->path, "-") == 0;
}

/* Reads up to `want` bytes of standard input into fd; fewer: it ended. */
static int collect(struct ft_transfers *t, struct ft_transfer *f, int64_t want, int64_t *ret,
                   struct ft_err *err)
{
    char *buf = malloc(CHUNK);
    int rc = buf == NULL ? ft_err_set(err, FT_ENOMEM, "no memory")
             : ftruncate(f->fd, 0) != 0 || lseek(f->fd, 0, SEEK_SET) != 0
                 ? ft_err_sys(err, "memory")
                 : 0;
    *ret = 0;
    while (rc == 0 && *ret < want) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        if (ft_transfer_stopped(t)) {
            rc = ft_err_set(err, FT_ECANCELED, "stopped");
            break;
        }
        if (poll(&in, 1, WAIT_MS) <= 0)
            continue;
        ssize_t n = read(STDIN_FILENO, buf, FT_MIN(CHUNK, (size_t)(want - *ret)));
        if (n == 0)
            break;
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            rc = ft_err_sys(err, "standard input");
        else if (pwrite(f->fd, buf, (size_t)n, *ret) != n)
            rc = ft_err_sys(err, "memory");
        else
            *ret += n;
    }
    free(buf);
    return rc;
}

static int send_part(struct ft_transfers *t, struct ft_transfer *f, int64_t n, struct ft_err *err)
{
    struct ft_ups_request q;
    char etag[35];
    int part = f->n_parts;
    if (part == FT_PARTS_MAX)
        return ft_err_set(err, FT_ELIMIT, "standard input is longer than an object can be");
    struct ft_transfer_piece *more = realloc(f->part, ((size_t)part + 1) * sizeof *more);
    if (more == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    f->part = more;
    ft_transfer_request_part(&q, f, part);
    int rc = ft_transfer_send(t, f, &q, 0, n, etag, err);
    f->part[part] = (struct ft_transfer_piece){.done = true};
    f->n_parts++;
    return rc == 0 ? ft_transfer_keep_etag(f, part, etag, err) : rc;
}

static void abort_parts(struct ft_transfers *t, const struct ft_transfer *f)
{
    struct ft_ups_request q;
    struct ft_err ignored = {0};
    ft_ups_request_init(&q, "DELETE", f->to_bucket, f->to_key);
    ft_ups_query(&q, "uploadId", f->upload);
    ft_object_do(t->c.server, &q, NULL, &ignored);
    ft_ups_request_fini(&q);
}

static int up(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    int64_t want = FT_PART_BYTES, n = 0;
    f->fd = memfd_create("standard input", MFD_CLOEXEC);
    int rc = f->fd < 0 ? ft_err_sys(err, "memory") : collect(t, f, want, &n, err);
    if (rc == 0 && n < want) {
        struct ft_ups_request q;
        char etag[35];
        ft_transfer_request_put(&q, f);
        return ft_transfer_send(t, f, &q, 0, n, etag, err);
    }
    if (rc == 0)
        rc = ft_transfer_begin_parts(t, f, err);
    for (bool more = true; rc == 0 && more;) {
        rc = n > 0 ? send_part(t, f, n, err) : 0;
        more = n == want;
        want = FT_PART_BYTES << (f->n_parts / GROW_AFTER);
        if (rc == 0 && more)
            rc = collect(t, f, want, &n, err);
    }
    if (rc == 0)
        rc = ft_transfer_complete(t, f, err);
    if (rc != 0 && f->upload[0] != '\0')
        abort_parts(t, f);
    f->n_parts = 0; /* none is left for the others */
    return rc;
}

int ft_transfer_stream(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    if (f->kind == FT_UPLOAD)
        return up(t, f, err);
    int rc = ft_transfer_head(t, f, err);
    f->fd = rc == 0 ? dup(STDOUT_FILENO) : -1;
    if (rc == 0 && f->fd < 0)
        rc = ft_err_sys(err, "standard output");
    return rc == 0 ? ft_transfer_fetch(t, f, 0, f->size, err) : rc;
}
