/* Hashes of files: SHA-256 as the hubs tell it for large files, git's name of a blob for others. */
#include <errno.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "hub/pull/impl.h"

#define READ_BYTES ((size_t)1 << 20)

struct ft_pull_sum {
    const struct ft_pull_file *file;
    union {
        struct sha256_ctx sha256;
        struct sha1_ctx sha1;
    };
};

void ft_pull_tag(struct ft_pull_file *f, const char *more)
{
    struct sha256_ctx c;
    uint8_t digest[8];
    char text[FT_PULL_PATH_MAX + 128];
    int n = snprintf(text, sizeof text, "%llu\n%s\n%s\n", (unsigned long long)f->bytes, f->hex,
                     f->hash == FT_PULL_UNHASHED ? f->path : "");
    sha256_init(&c);
    sha256_update(&c, FT_MIN((size_t)n, sizeof text - 1), (const uint8_t *)text);
    sha256_update(&c, strlen(more), (const uint8_t *)more);
    sha256_digest(&c, sizeof digest, digest);
    ft_hex(digest, sizeof digest, f->tag);
}

void ft_pull_sum_reset(struct ft_pull_sum *s)
{
    char head[40];
    if (s->file->hash == FT_PULL_GIT) {
        int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)s->file->bytes);
        sha1_init(&s->sha1);
        sha1_update(&s->sha1, (size_t)n + 1, (const uint8_t *)head); /* with its NUL */
    } else {
        sha256_init(&s->sha256);
    }
}

struct ft_pull_sum *ft_pull_sum_open(const struct ft_pull_file *f)
{
    struct ft_pull_sum *s = malloc(sizeof *s);
    if (s != NULL) {
        s->file = f;
        ft_pull_sum_reset(s);
    }
    return s;
}

void ft_pull_sum_close(struct ft_pull_sum *s)
{
    free(s);
}

void ft_pull_sum_add(struct ft_pull_sum *s, const void *data, size_t n)
{
    if (s->file->hash == FT_PULL_GIT)
        sha1_update(&s->sha1, n, data);
    else if (s->file->hash == FT_PULL_SHA256)
        sha256_update(&s->sha256, n, data);
}

int ft_pull_sum_check(struct ft_pull_sum *s, struct ft_err *err)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    char hex[2 * SHA256_DIGEST_SIZE + 1];
    bool git = s->file->hash == FT_PULL_GIT;
    if (s->file->hash == FT_PULL_UNHASHED)
        return 0;
    if (git)
        sha1_digest(&s->sha1, SHA1_DIGEST_SIZE, digest);
    else
        sha256_digest(&s->sha256, SHA256_DIGEST_SIZE, digest);
    ft_hex(digest, git ? SHA1_DIGEST_SIZE : SHA256_DIGEST_SIZE, hex);
    if (strcmp(hex, s->file->hex) == 0)
        return 0;
    return ft_err_set(err, FT_ECORRUPT, "%.200s: its %s is %s, announced was %s", s->file->path,
                      git ? "git hash" : "SHA-256", hex, s->file->hex);
}

int ft_pull_sum_file(struct ft_pull_sum *s, int fd, uint64_t bytes, const atomic_int *interrupt,
                     struct ft_err *err)
{
    char *buf = malloc(READ_BYTES);
    int rc = buf != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "read %.200s: no memory", s->file->path);
    for (uint64_t at = 0; rc == 0 && at < bytes;) {
        ssize_t n = pread(fd, buf, FT_MIN(READ_BYTES, bytes - at), (off_t)at);
        if (interrupt != NULL && *interrupt != 0)
            rc = ft_err_set(err, FT_ECANCELED, "interrupted");
        else if (n < 0 && errno != EINTR)
            rc = ft_err_sys(err, "read %.200s", s->file->path);
        else if (n == 0)
            rc = ft_err_set(err, FT_EIO, "read %.200s: it became shorter", s->file->path);
        else if (n > 0) {
            ft_pull_sum_add(s, buf, (size_t)n);
            at += (uint64_t)n;
        }
    }
    free(buf);
    return rc;
}
