/* See pick.h: choose.c on paths alone. */
#include "hub/pull/pick.h"

#include <string.h>

#include "base/slice.h"
#include "hub/pull/impl.h"

/* The rest of a repository is not looked at. */
static bool may_belong(const char *path)
{
    static const char *const endings[] = {".gguf", ".safetensors", ".json", ".txt", ".jinja"};
    for (size_t i = 0; i < FT_COUNT(endings); i++)
        if (ft_str_ends(path, endings[i]))
            return true;
    return false;
}

int ft_pull_pick(const char *const *paths, int n, const char *hint, bool adapter,
                 struct ft_pull_pick *ret, struct ft_err *err)
{
    struct ft_pull_list l = {0};
    enum ft_pull_form form = FT_PULL_FOLDER;
    int rc = 0;
    for (int i = 0; rc == 0 && i < n; i++)
        if (may_belong(paths[i]))
            rc = ft_pull_list_add(&l, paths[i], 1, NULL, err);
    if (rc == 0)
        rc = adapter ? ft_pull_choose_adapter(&l, err) : ft_pull_choose(&l, hint, &form, err);
    if (rc == 0 && l.n > FT_PULL_PICK_MAX)
        rc = ft_err_set(err, FT_ELIMIT, "a model has at most %d files", FT_PULL_PICK_MAX);
    ret->n = 0;
    ret->folder = form == FT_PULL_FOLDER;
    for (int k = 0; rc == 0 && k < l.n; k++)
        for (int i = 0; i < n; i++)
            if (strcmp(paths[i], l.file[k].path) == 0) {
                ret->index[ret->n++] = i;
                break;
            }
    ft_pull_list_fini(&l);
    return rc;
}
