/* Which files of a repository make a model: for those that have them without a pull. */
#ifndef FT_HUB_PULL_PICK_H
#define FT_HUB_PULL_PICK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_PULL_PICK_MAX 1024 /* files of one model */

struct ft_pull_pick {
    int index[FT_PULL_PICK_MAX]; /* of the paths; the first is what to open, unless it is a folder
                                  */
    int n;
    bool folder; /* all of them, in a folder, under the last parts of their paths */
};
/* hint: part of a file's name such as Q4_K_M; "": none. Errors as of ft_pull. */
int ft_pull_pick(const char *const *paths, int n, const char *hint, bool adapter,
                 struct ft_pull_pick *ret, struct ft_err *err);

#endif
