/* A crew: a few threads that take work from a bounded queue, in order. For what may take long and
 * so must not be done on the server's threads: parsing, rendering, compiling, opening models. */
#ifndef FT_WORKER_CREW_H
#define FT_WORKER_CREW_H

#include <stddef.h>

#include "base/err.h"

#define FT_CREW_THREADS_MAX 16

struct ft_crew;

typedef void ft_crew_fn(void *ctx);

int ft_crew_open(int n_threads, size_t n_max, struct ft_crew **ret, struct ft_err *err);
/* Does what was accepted, then ends the threads; who posts from now on is refused. NULL is
 * accepted, and so is a second call. */
void ft_crew_stop(struct ft_crew *c);
/* Stops it and frees it: nobody may post any more. */
void ft_crew_close(struct ft_crew *c);
/* Any thread. FT_EBUSY: n_max pieces of work wait already. FT_ECANCELED: it was stopped. */
int ft_crew_post(struct ft_crew *c, ft_crew_fn *fn, void *ctx);
size_t ft_crew_waiting(struct ft_crew *c);

#endif
