/* Files brought to the disk by a thread of their own, so that who writes them never waits for a
 * slow disk: what is written outlives the process at once, and the machine's power as soon as this
 * has come around to it. */
#ifndef FT_LEDGER_SYNCER_H
#define FT_LEDGER_SYNCER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

#define FT_SYNCER_FILES_MAX 8 /* waiting at a time; more are synced by whoever asks */

/* err NULL: it went well. On the syncer's thread, after every sync. */
typedef void ft_syncer_fn(void *ctx, const struct ft_err *err);

struct ft_syncer {
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    int fd[FT_SYNCER_FILES_MAX]; /* ours, duplicates */
    int n;
    bool stop, runs;
    ft_syncer_fn *fn;
    void *ctx;
};

void ft_syncer_init(struct ft_syncer *s, ft_syncer_fn *fn, void *ctx);
int ft_syncer_start(struct ft_syncer *s, struct ft_err *err);
/* What was written to fd so far is on the disk soon. fd may be closed right after. -1: nothing. */
void ft_syncer_ask(struct ft_syncer *s, int fd);
/* Syncs what waits, ends the thread. */
void ft_syncer_fini(struct ft_syncer *s);

#endif
