/* Tasks that are only written down: no process, a clock that is moved by hand. For tests of what
 * starts and watches tasks. Events come on the thread that moves the clock or kills. */
#ifndef FT_SCHED_EXEC_FAKE_H
#define FT_SCHED_EXEC_FAKE_H

#include "sched/exec.h"

#define FT_EXEC_FAKE_SCRIPTS_MAX 64
#define FT_EXEC_FAKE_NEVER       INT64_MAX

/* What tasks of an id do from their next start on. Times are after the start. */
struct ft_exec_fake_script {
    const char *id;       /* a task's id, or "*"; borrowed as long as the fake is open */
    enum ft_code fail;    /* not 0: it cannot be started */
    int64_t ready_ns;     /* FT_EXEC_FAKE_NEVER: not */
    int64_t end_ns;       /* ends by itself then; FT_EXEC_FAKE_NEVER: not */
    int exit_code;        /* with this */
    int64_t term_ns;      /* how long after a SIGTERM it exits with 0; FT_EXEC_FAKE_NEVER: ignores
                           * it. SIGKILL acts at once */
    int64_t cpu_permille; /* processor time it takes, of the time that passes */
};

int ft_exec_fake_open(ft_exec_event_fn *on_event, void *ctx, struct ft_exec **ret_x,
                      struct ft_err *err);
/* A later script of the same id takes the place of the first. Without one: ready at once, runs for
 * ever, ends at once when asked to. */
void ft_exec_fake_script(struct ft_exec *x, const struct ft_exec_fake_script *script);
/* Moves the clock, letting what is due happen in order. */
void ft_exec_fake_advance(struct ft_exec *x, int64_t ns);
int64_t ft_exec_fake_now_ns(struct ft_exec *x);
/* Ends a running task now, as if killed by sig (0: it exits with code). */
void ft_exec_fake_end(struct ft_exec *x, const char *id, int sig, int code);
/* How often tasks of this id were started. */
int ft_exec_fake_starts(struct ft_exec *x, const char *id);
/* The owner ends and another takes over: tasks that outlive are adopted, the others gone. The fake
 * is the same; events go to the new owner. */
void ft_exec_fake_restart(struct ft_exec *x, ft_exec_event_fn *on_event, void *ctx);

#endif
