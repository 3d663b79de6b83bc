/* What the commands of `feitian hub` share: names of repositories, sending and fetching files. */
#ifndef FT_CLI_CLOUD_HUB_H
#define FT_CLI_CLOUD_HUB_H

#include "cli/cloud/client.h"

struct ft_hub_options {
    struct ft_cloud_options cloud;
    bool dataset, is_private, delete, branch;
    const char *to, *message;
    char **args;
    int n_args;
};

/* "[ORG/]NAME[@REV]" with the key's project where there is no ORG. */
struct ft_hub_name {
    char id[256]; /* "ORG/NAME" */
    char rev[160];
};
int ft_hub_name(struct ft_cloud *c, const char *text, struct ft_hub_name *ret, struct ft_err *err);
/* "/api/models/ORG/NAME" + rest, into b, which is emptied before. */
const char *ft_hub_path(struct ft_buf *b, bool dataset, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* All pages of a list that goes on by cursor; path as above, with a '?' in it. */
int ft_hub_tree(struct ft_cloud *c, bool dataset, const struct ft_hub_name *name, json_t **ret,
                struct ft_err *err);

/* args: PATH, NAME. args: NAME [FOLDER]. */
int ft_hub_push(struct ft_cloud *c, void *options, struct ft_err *err);
int ft_hub_pull(struct ft_cloud *c, void *options, struct ft_err *err);

#endif
