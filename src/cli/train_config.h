/* The configuration file of a training run. It stays in memory until options have been checked, so
 * that whatever is wrong with one is told with the line that it stands in. */
#ifndef FT_CLI_TRAIN_CONFIG_H
#define FT_CLI_TRAIN_CONFIG_H

#include <stddef.h>

#include "train/core/options.h"

struct ft_train_config {
    const char *path; /* borrowed; NULL: none was read */
    char *text;
    size_t n;
};

/* Reads the file and sets its options. FT_EINVAL begins with "path:line: ". c is to be ended in any
 * case. */
int ft_train_config_read(struct ft_train_config *c, const char *path, struct ft_train_options *o,
                         struct ft_err *err);
/* Puts "path:line: " before a message that begins with the name of an option ("rank: ...") which
 * the file has; others, and all where no file was read, are left as they are. */
void ft_train_config_locate(const struct ft_train_config *c, struct ft_err *err);
void ft_train_config_fini(struct ft_train_config *c); /* a zeroed one is accepted */

#endif
