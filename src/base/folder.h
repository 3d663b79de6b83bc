/* A folder written all at once: its files are made in a folder beside it, and it appears under its
 * name only when everything is on the disk, so nobody ever sees half of it.
 *
 * The folder in the making is called PATH.partial-PID (partial.h). Files directly in it only. Not
 * thread-safe. */
#ifndef FT_BASE_FOLDER_H
#define FT_BASE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct ft_folder;

/* path: nothing yet or an empty folder. replace: or a folder of files alone, whose place the new
 * one takes whole. FT_EEXIST for anything else. */
int ft_folder_open(const char *path, bool replace, struct ft_folder **ret_f, struct ft_err *err);
/* Removes what was written unless committed. NULL is accepted. */
void ft_folder_close(struct ft_folder *f);

/* Where further files may be written (and synced) by others. */
const char *ft_folder_temp(const struct ft_folder *f);
/* Writes a whole file. */
int ft_folder_put(struct ft_folder *f, const char *name, const void *data, size_t n,
                  struct ft_err *err);

/* A folder and the files directly in it, if there are no others; failing is no error. */
void ft_folder_remove(const char *path);
/* With everything below it, links not followed; failing is no error. A file is removed, too. */
void ft_folder_remove_all(const char *path);

int ft_folder_commit(struct ft_folder *f, struct ft_err *err);

#endif
