/* What of a cloud's folder goes into a backup, and how it comes back. */
#ifndef FT_CLI_CLOUD_BACKUP_H
#define FT_CLI_CLOUD_BACKUP_H

#include <stdatomic.h>

#include "backup/backup.h"
#include "cli/cloud/home.h"

/* While this stands in a cloud's folder, a restore into it did not come to its end. */
#define FT_RESTORING "restoring"

/* ---- backup_hold.c: the store of objects kept as it is, by the gateway that has it ---- */

struct ft_backup_hold;
/* Waits until it is held. Goes on in a thread of its own, over restarts of the gateway. */
int ft_backup_hold_begin(const struct ft_home *home, struct ft_backup_hold **ret,
                         struct ft_err *err);
void ft_backup_hold_end(struct ft_backup_hold *h); /* NULL is accepted */

/* ---- backup_home.c ---- */

struct ft_backup_home {
    struct ft_home home;
    char root[FT_HOME_PATH];    /* where it really is */
    char where[FT_HOME_PATH];   /* of objects: a folder, or "s3://..." */
    bool objects;               /* they are in a folder, which is there */
    char config[FT_HOME_PATH];  /* config.json, if it is elsewhere (up --config); "" */
    bool models;                /* asked for: HOME/models too */
    char scratch[FT_HOME_PATH]; /* a folder of ours, for copies on their way */
    const atomic_int *interrupt;
};

/* How many bytes it is about. */
int64_t ft_backup_home_bytes(const struct ft_backup_home *b);
/* All of it as members of `o`, in an order in which nothing refers to what is missing; running
 * or not: then nobody may start it meanwhile. */
int ft_backup_home_write(const struct ft_backup_home *b, bool running, struct ft_backup_out *o,
                         struct ft_err *err);

#endif
