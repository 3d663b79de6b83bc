/* Keeps named children running: starts them, restarts those that end, stops them in order.
 *
 *   WAITING --(its time)--> STARTING --(ready)--> UP --(ends)--> WAITING (after a pause)
 *      any --stop--> STOPPING --(ends)--> STOPPED
 *
 * The pause before a restart doubles from 0.1 s to 5 s and is forgotten once a child has lived for
 * 10 s. Stopping goes by stop_order, lowest first: SIGTERM to all of one order, SIGKILL to those
 * that are left after their stop_ms, then the order's sweep (tasks that outlived, such as workers)
 * if there is one, then the next order. */
#ifndef FT_SCHED_SUPERVISE_H
#define FT_SCHED_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/exec.h"

#define FT_SUPERVISE_CHILDREN_MAX 16

struct ft_supervise_child {
    struct ft_exec_spec task; /* id is its name; outlives must be false */
    int stop_order;
    int stop_ms;           /* 0: 5,000 */
    const char *sweep_dir; /* once it has stopped for good, tasks in this folder of an exec_local of
                            * its own are stopped too (ft_exec_sweep); NULL: none */
};

enum ft_supervise_state {
    FT_SUPERVISE_WAITING,
    FT_SUPERVISE_STARTING,
    FT_SUPERVISE_UP,
    FT_SUPERVISE_STOPPING,
    FT_SUPERVISE_STOPPED
};

struct ft_supervise_status {
    enum ft_supervise_state state;
    int64_t pid; /* of STARTING, UP, STOPPING */
    int restarts;
    char last_end[96]; /* how it ended last; "" if it never did */
};

struct ft_supervise;

/* children: copied shallowly, what they point to is borrowed until the close. */
int ft_supervise_open(const struct ft_supervise_child *children, int n_children,
                      struct ft_supervise **ret_s, struct ft_err *err);
void ft_supervise_close(struct ft_supervise *s); /* after the exec is closed; NULL is accepted */

/* To be given to the exec that runs the children: ft_exec_local_open(dir, ft_supervise_event, s).
 */
ft_exec_event_fn ft_supervise_event;
/* Then this; the exec is borrowed. */
void ft_supervise_attach(struct ft_supervise *s, struct ft_exec *x);

/* Does what is due at now_ns (monotonic). *ret_next_ns: when it wants to be called again at the
 * latest (INT64_MAX: only after an event; ft_supervise_fd becomes readable then). True while any
 * child is not STOPPED. One thread. */
bool ft_supervise_step(struct ft_supervise *s, int64_t now_ns, int64_t *ret_next_ns);
int ft_supervise_fd(const struct ft_supervise *s);
/* From now on everything is stopped, in order. */
void ft_supervise_stop(struct ft_supervise *s);
/* All children are ready (those that tell), or run (the others). */
bool ft_supervise_all_up(const struct ft_supervise *s);
void ft_supervise_status(const struct ft_supervise *s, int child,
                         struct ft_supervise_status *ret_status);

/* Runs until SIGTERM or SIGINT came and everything is stopped; a second one stops at once. The
 * signals must be blocked in all threads (ft_supervise_block_signals, before any is started).
 * on_up: called once when all are up first, may be NULL. SIGHUP is passed on to all children. */
void ft_supervise_block_signals(void);
int ft_supervise_run(struct ft_supervise *s, void (*on_up)(void *ctx), void *ctx,
                     struct ft_err *err);

#endif
