/* See unused.h. */
#include "control/unused.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "control/inner.h"

#define ENTRIES_MAX 100000 /* of one folder that are looked at */

static int note_used(void *ctx, const char *id, json_t *body)
{
    json_t *used = ctx;
    char real[PATH_MAX];
    const char *path = ft_ctl_text(body, "path");
    (void)id;
    if (path == NULL)
        return 0;
    json_t *text = json_string(realpath(path, real) != NULL ? real : path);
    return json_array_append_new(used, text) == 0 ? 0 : FT_ENOMEM;
}

int ft_used_paths(struct ft_state_tx *tx, json_t **ret, struct ft_err *err)
{
    const struct ft_ctl_scan models = {.kind = "model"};
    json_t *used = json_array();
    int rc = used != NULL ? ft_ctl_scan(tx, &models, note_used, used, err) : FT_ENOMEM;
    if (rc == FT_ENOMEM)
        ft_err_set(err, rc, "control: no memory");
    if (rc == 0)
        *ret = used;
    else
        json_decref(used);
    return rc;
}

/* Does a model lie there, or below? */
static bool is_used(const json_t *used, const char *folder)
{
    char real[PATH_MAX];
    size_t i;
    const json_t *one;
    if (realpath(folder, real) == NULL)
        return false; /* it is gone */
    size_t n = strlen(real);
    json_array_foreach(used, i, one)
    {
        const char *path = json_string_value(one);
        if (strncmp(path, real, n) == 0 && (path[n] == '\0' || path[n] == '/'))
            return true;
    }
    return false;
}

void ft_remove_unused(const json_t *used, const char *folder, int depth)
{
    char path[PATH_MAX];
    if (!is_used(used, folder)) {
        ft_folder_remove_all(folder);
        return;
    }
    DIR *d = depth > 0 ? opendir(folder) : NULL;
    const struct dirent *e;
    for (int i = 0; d != NULL && i < ENTRIES_MAX && (e = readdir(d)) != NULL; i++)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name) < (int)sizeof path)
            ft_remove_unused(used, path, depth - 1);
    if (d != NULL)
        closedir(d);
}
