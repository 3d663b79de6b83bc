/* Commits of the hub, line by line: whatever comes, in whatever pieces, what is let through are
 * paths that stay within the repository, hashes that are hashes and sizes that are none below 0;
 * and the pieces make no difference. The first byte says how long they are. */
#include <string.h>

#include "api/hub/lines.h"

static int store(void *ctx, const void *data, size_t n, struct ft_repo_content *ret,
                 struct ft_err *err)
{
    (void)data;
    (void)err;
    ++*(int *)ctx;
    memset(ret, 0, sizeof *ret);
    memset(ret->sha256, 'a', 64);
    memset(ret->oid, 'b', 40);
    ret->size = (int64_t)n;
    return 0;
}

static void check(const struct ft_hub_lines *l)
{
    struct ft_err err;
    FT_ASSERT(l->has_header && l->title[0] != '\0' && l->message != NULL);
    for (int i = 0; i < l->n_ops; i++) {
        const struct ft_repo_op *op = &l->op[i];
        FT_ASSERT(op->path != NULL);
        if (op->kind != FT_REPO_PUT)
            continue;
        FT_ASSERT(ft_repo_path_check(op->path, &err) == 0);
        FT_ASSERT(op->path[0] != '/' && strstr(op->path, "..") != op->path);
        FT_ASSERT(strlen(op->sha256) == 64 && strspn(op->sha256, "0123456789abcdef") == 64);
        FT_ASSERT(op->size >= (op->lfs ? -1 : 0));
    }
}

/* How many operations; -1: refused. */
static int read_all(const char *data, size_t n, size_t piece)
{
    int stored = 0;
    struct ft_hub_lines l = {.store = store, .ctx = &stored};
    struct ft_err err;
    int rc = 0;
    ft_hub_lines_init(&l);
    for (size_t at = 0; rc == 0 && at < n; at += piece)
        rc = ft_hub_lines_feed(&l, data + at, FT_MIN(piece, n - at), &err);
    if (rc == 0)
        rc = ft_hub_lines_end(&l, &err);
    if (rc == 0)
        check(&l);
    int ops = rc == 0 ? l.n_ops : -1;
    ft_hub_lines_fini(&l);
    return ops;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    const char *text = (const char *)data + 1;
    FT_ASSERT(read_all(text, n - 1, (size_t)data[0] + 1) == read_all(text, n - 1, n));
    return 0;
}
