/* What an engine of the store implements (state_sqlite.c); everybody else sees state.h. */
#ifndef FT_STATE_ENGINE_H
#define FT_STATE_ENGINE_H

#include <pthread.h>

#include "state/state.h"

#define FT_STATE_ID_MAX 33 /* with the NUL */

/* All slots but `open` and `close` are called with a connection, by one thread at a time; any may
 * block on the disk or the network. Failures: FT_EBUSY: roll back and run the transaction again;
 * FT_EIO, FT_ECORRUPT: the store is in trouble; FT_EEXIST, FT_EINVAL: a constraint;
 * FT_EINTERNAL: a wrong statement. */
struct ft_state_ops {
    const char *name;
    /* Before every transaction: a connection to what is at the store's place now. *ret_fresh: it is
     * a new one, whose schema is to be looked at. A lost connection is made again here. */
    int (*ready)(struct ft_state *s, bool *ret_fresh, struct ft_err *err);
    /* Serialisable. write: false: one consistent view, and statements that change fail. */
    int (*begin)(struct ft_state *s, bool write, struct ft_err *err);
    /* 0: durable. Else rolled back. */
    int (*commit)(struct ft_state *s, struct ft_err *err);
    void (*rollback)(struct ft_state *s);
    /* Several statements without parameters, in a transaction. */
    int (*script)(struct ft_state *s, const char *sql, struct ft_err *err);
    /* *ret has its base set to 0 and lives until `finish`. */
    int (*prepare)(struct ft_state *s, const char *sql, struct ft_state_rows **ret,
                   struct ft_err *err);
    /* index: from 1, of $index; the value is borrowed until `finish`. */
    int (*bind)(struct ft_state_rows *r, int index, const struct ft_sql_value *v,
                struct ft_err *err);
    int (*step)(struct ft_state_rows *r, struct ft_err *err); /* as ft_rows_step */
    int64_t (*changed)(struct ft_state_rows *r);              /* once step returned 0 */
    /* Borrowed until the next step; texts NUL-terminated. */
    struct ft_sql_value (*column)(struct ft_state_rows *r, int column);
    void (*finish)(struct ft_state_rows *r);
    /* Something is wrong with the connection: let it go; `ready` makes another. */
    void (*drop)(struct ft_state *s);
    void (*close)(struct ft_state *s); /* frees all but the base's own */
};

struct ft_state_set {
    const char *module;
    const struct ft_migration *list;
    int n;
};

/* An engine embeds it first. */
struct ft_state {
    const struct ft_state_ops *ops;
    bool known;           /* the place holds a store: never make a new one */
    pthread_mutex_t lock; /* held through a transaction */
    struct ft_state_set sets[FT_STATE_MODULES_MAX];
    int n_sets;
    char id[FT_STATE_ID_MAX];
    void (*watch)(void *ctx, int64_t seq);
    void *watch_ctx;
};

struct ft_state_rows {
    struct ft_state_tx *tx;
};

int ft_state_base_init(struct ft_state *s, const struct ft_state_ops *ops, struct ft_err *err);

#endif
