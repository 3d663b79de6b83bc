/* The files of a removed project (leftover.h): folders that no row of a model names any more. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "control/inner.h"
#include "control/leftover.h"

#define LEFTOVER_FOLDERS_MAX 100000 /* entries of one folder; more are taken by the next look */

struct files {
    char home[PATH_MAX];
    json_t *used; /* where the models lie that there still are: real paths */
};

static int note_used(void *ctx, const char *id, json_t *body)
{
    struct files *f = ctx;
    char real[PATH_MAX];
    const char *path = ft_ctl_text(body, "path");
    (void)id;
    if (path == NULL)
        return 0;
    json_t *text = json_string(realpath(path, real) != NULL ? real : path);
    return json_array_append_new(f->used, text) == 0 ? 0 : FT_ENOMEM;
}

/* Does a model lie there, or below? */
static bool is_used(const struct files *f, const char *folder)
{
    char real[PATH_MAX];
    size_t i;
    const json_t *one;
    if (realpath(folder, real) == NULL)
        return false; /* it is gone */
    size_t n = strlen(real);
    json_array_foreach(f->used, i, one)
    {
        const char *path = json_string_value(one);
        if (strncmp(path, real, n) == 0 && (path[n] == '\0' || path[n] == '/'))
            return true;
    }
    return false;
}

/* A folder beneath HOME, with all in it; depth: or so far down, one by one, where a part is used.
 */
static void remove_unused(const struct files *f, const char *folder, int depth)
{
    char path[PATH_MAX];
    if (!is_used(f, folder)) {
        ft_folder_remove_all(folder);
        return;
    }
    DIR *d = depth > 0 ? opendir(folder) : NULL;
    const struct dirent *e;
    for (int i = 0; d != NULL && i < LEFTOVER_FOLDERS_MAX && (e = readdir(d)) != NULL; i++)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name) < (int)sizeof path)
            remove_unused(f, path, depth - 1);
    if (d != NULL)
        closedir(d);
}

static void remove_one(const struct files *f, const char *below, const char *name, int depth)
{
    char path[PATH_MAX];
    if (name != NULL && name[0] != '\0' && strstr(name, "..") == NULL &&
        snprintf(path, sizeof path, "%s/%s%s", f->home, below, name) < (int)sizeof path)
        remove_unused(f, path, depth);
}

int ft_leftover_files(struct ft_state_tx *tx, const char *home, const struct ft_leftover *one,
                      struct ft_err *err)
{
    struct files f = {.used = json_array()};
    struct ft_ctl_scan models = {.kind = "model"};
    size_t i;
    const json_t *name;
    snprintf(f.home, sizeof f.home, "%s", home);
    int rc = ft_ctl_scan(tx, &models, note_used, &f, err);
    if (rc == FT_ENOMEM)
        ft_err_set(err, rc, "control: no memory");
    if (rc == 0) {
        json_array_foreach(one->adapters, i, name) remove_one(&f, "", json_string_value(name), 0);
        remove_one(&f, "models/hub/", one->project, 2); /* its repositories, their revisions */
    }
    json_decref(f.used);
    return rc;
}
