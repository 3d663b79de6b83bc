/* Who is next while replicas are full: fair between projects, by tokens served (VTC: Sheng et al.,
 * "Fairness in Serving Large Language Models", OSDI 2024).
 *
 * Every project has a counter of tokens served, divided by its weight; the next call is one of the
 * project with the least. A project that comes back after a rest starts no lower than where the
 * others are now, so that nobody saves up. Within a project and endpoint: by priority, then by
 * time. Calls of one project and endpoint lie in one flow; what is asked for is the best flow whose
 * call finds room, so a full endpoint holds up no other.
 *
 * Calls of the lowest priority (batches) are background: they come when no other call finds room,
 * whosever it is, and do not count where others are counted.
 *
 * One owner (the serving lock), but for ft_queue_charge. */
#ifndef FT_SERVE_QUEUE_H
#define FT_SERVE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"

#define FT_QUEUE_PROJECTS_MAX 65536 /* further ones share one counter */
#define FT_QUEUE_SCAN_MAX     256   /* calls of a flow that are asked whether they find room */
#define FT_QUEUE_BACKGROUND   (-10) /* priority, FT_SERVE_BACKGROUND */

struct ft_queue_flow;

struct ft_queue_item { /* part of a call */
    struct ft_queue_item *prev, *next;
    struct ft_queue_flow *flow; /* NULL: not waiting */
    int priority;
};

struct ft_queue_project {
    char *name;
    _Atomic double weight;
    _Atomic int64_t served; /* tokens / weight, in thousandths */
    int waiting, running;
    int background; /* of those waiting */
};

struct ft_queue_flow {
    struct ft_queue_flow *next;
    struct ft_queue_project *project;
    void *endpoint;
    bool background;
    struct ft_queue_item *first, *last;
    int n;
};

struct ft_queue {
    struct ft_strmap by_name;
    struct ft_queue_project **project;
    int n_project, cap_project;
    struct ft_queue_project other; /* of those beyond the maximum */
    struct ft_queue_flow *flow;    /* those with calls */
    int waiting, background;       /* background: of those waiting */
    int64_t level;                 /* served of the project that was last served */
};

int ft_queue_init(struct ft_queue *q);
void ft_queue_fini(struct ft_queue *q);
/* Makes it if it is new; never NULL. Stays until fini. Its weight is the one told last. */
struct ft_queue_project *ft_queue_project(struct ft_queue *q, const char *name, double weight);
/* A call of the project begins (waiting or running) where it had none: see above. */
void ft_queue_enter(struct ft_queue *q, struct ft_queue_project *p);
/* front: before those of its priority, for calls that were served already. FT_ENOMEM. */
int ft_queue_add(struct ft_queue *q, struct ft_queue_project *p, void *endpoint,
                 struct ft_queue_item *item, int priority, bool front);
void ft_queue_remove(struct ft_queue *q, struct ft_queue_item *item);
/* Waiting for the endpoint. */
int ft_queue_waiting(const struct ft_queue *q, const void *endpoint);
/* Of these, how many a call of this priority has to let go first, whatever their turn. */
int ft_queue_ahead(const struct ft_queue *q, const void *endpoint, int priority);

/* Asked of calls in the order of their turn until one says true; that one is removed and returned.
 */
typedef bool ft_queue_room_fn(void *ctx, struct ft_queue_item *item);
struct ft_queue_item *ft_queue_next(struct ft_queue *q, ft_queue_room_fn *room, void *ctx);

/* Any thread. */
static inline void ft_queue_charge(struct ft_queue_project *p, int64_t tokens)
{
    atomic_fetch_add_explicit(&p->served, (int64_t)((double)tokens * 1000 / p->weight),
                              memory_order_relaxed);
}

#endif
