/* What comes from outside: the lines of a commit, the objects of an LFS batch. */
#ifndef FT_API_HUB_LINES_H
#define FT_API_HUB_LINES_H

#include "api/hub/hub.h"

struct ft_hub_lines {
    struct ft_buf line;
    struct ft_arena arena; /* paths, texts */
    const char *title, *message, *parent;
    bool has_header;
    struct ft_repo_op *op;
    int n_ops, cap;
    /* Content that came inline: stores it and says what it is. */
    int (*store)(void *ctx, const void *data, size_t n, struct ft_repo_content *ret,
                 struct ft_err *err);
    void *ctx;
    int n; /* of the line, for messages */
};
void ft_hub_lines_init(struct ft_hub_lines *l);
void ft_hub_lines_fini(struct ft_hub_lines *l);
int ft_hub_lines_feed(struct ft_hub_lines *l, const char *data, size_t n, struct ft_err *err);
int ft_hub_lines_end(struct ft_hub_lines *l, struct ft_err *err);

/* The objects of an LFS batch. */
struct ft_hub_lfs_object {
    char sha256[FT_REPO_SHA_BYTES];
    int64_t size;
};
struct ft_hub_lfs_ask {
    bool upload, multipart;
    struct ft_hub_lfs_object object[FT_HUB_LFS_MAX];
    int n;
};
int ft_hub_lfs_parse(const json_t *body, struct ft_hub_lfs_ask *ret, struct ft_err *err);

#endif
