/* The seam of execution: tasks (processes) with limits, watched, and found again after a restart.
 *
 *   absent --start--> RUNNING --(it ends, or is killed)--> ENDED --remove--> absent
 *
 * Implementations: exec_local (processes of this machine), exec_fake (scripted, for tests). Use
 * the ft_exec_* wrappers. Any thread may call any of them, but for on_event's own thread while it
 * is in on_event: from there only ft_exec_query and ft_exec_list. */
#ifndef FT_SCHED_EXEC_H
#define FT_SCHED_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_EXEC_TASKS_MAX  1024
#define FT_EXEC_ID_MAX     64   /* bytes with the NUL; [A-Za-z0-9._-], not beginning with '.' */
#define FT_EXEC_NOTE_MAX   1024 /* bytes with the NUL */
#define FT_EXEC_ARGS_MAX   1024 /* of argv, and of env */
#define FT_EXEC_LIMITS_MAX 96

struct ft_exec_limits {
    int64_t
        memory_bytes; /* 0: none. Mapped files count once they are in memory, and can leave it */
    int cpu_weight;   /* share of the processors when they are short: 1..10000; 0 means 100 */
    int threads_max;  /* threads and processes; 0: none */
    int nofile;       /* open files; 0: as the owner's */
};

/* All borrowed during the call. */
struct ft_exec_spec {
    const char *id;
    const char *const *argv; /* argv[0]: an absolute path */
    const char *const *env;  /* "NAME=value"; NULL: the owner's. Readiness variables are left out */
    const char *cwd;         /* NULL: the owner's */
    struct ft_exec_limits limits;
    const char *log;   /* standard output and error are appended here; NULL: the owner's error */
    int64_t log_bytes; /* about this size it becomes LOG.1, in the place of the one before; 0: 16
                        * MiB. Looked at once a second */
    bool outlives;     /* goes on when the owner ends; otherwise it is killed with it */
    bool tells_ready;  /* gets FEITIAN_READY_FD (ready.h); READY comes when it has written */
    const char *note;  /* the caller's own words, found again with an adopted task; NULL: "" */
};

enum ft_exec_state { FT_EXEC_RUNNING, FT_EXEC_ENDED };

struct ft_exec_info {
    char id[FT_EXEC_ID_MAX];
    char note[FT_EXEC_NOTE_MAX];
    enum ft_exec_state state;
    bool ready;
    bool adopted; /* started by an earlier owner */
    bool outlives;
    int64_t pid;
    int64_t started_ns; /* wall clock, ns since the epoch */
    bool status_known;  /* ENDED: exit_code and term_signal hold (not so for adopted tasks) */
    int exit_code;      /* -1 if ended by a signal */
    int term_signal;    /* 0 if it exited */
    bool out_of_memory; /* the system killed it at its memory limit */
    int64_t cpu_us;     /* processor time so far; of a task that ended: all, or as last seen */
    int64_t peak_bytes; /* most memory it had resident, as far as is known */
    char limits[FT_EXEC_LIMITS_MAX]; /* how limits are held: "memory: cgroup v1, cpu: nice" */
};

enum ft_exec_event {
    FT_EXEC_EVENT_READY, /* at most once, before ENDED */
    FT_EXEC_EVENT_ENDED  /* exactly once for every task that ran while the owner did */
};
/* On the watcher's thread, one at a time; must not block. */
typedef void ft_exec_event_fn(void *ctx, enum ft_exec_event event, const struct ft_exec_info *info);

struct ft_exec;

struct ft_exec_ops {
    const char *name;
    /* Blocks for milliseconds. After 0 the task's program runs (a program that cannot be started
     * is an error here, not a task that ended). FT_EEXIST: a task of this id is there, running or
     * ended; FT_EINVAL: a field, named; FT_ELIMIT: FT_EXEC_TASKS_MAX; FT_ENOTFOUND, FT_EIO. */
    int (*start)(struct ft_exec *x, const struct ft_exec_spec *spec, struct ft_err *err);
    /* Never reaches a later process under a used pid. Nothing happens to a task that ended.
     * FT_ENOTFOUND, FT_EIO. */
    int (*kill)(struct ft_exec *x, const char *id, int sig, struct ft_err *err);
    /* Use is as of now for running tasks. FT_ENOTFOUND. */
    int (*query)(struct ft_exec *x, const char *id, struct ft_exec_info *ret_info,
                 struct ft_err *err);
    /* Ids in no order: at most max into ret_ids; *ret_n: how many there are. Adopted tasks are
     * there from the opening on, and so are those that ended while there was no owner. */
    void (*list)(struct ft_exec *x, char (*ret_ids)[FT_EXEC_ID_MAX], int max, int *ret_n);
    /* Forgets a task that ended and what it left (its folder, its control group; not its log).
     * FT_EBUSY: it runs. FT_ENOTFOUND. */
    int (*remove)(struct ft_exec *x, const char *id, struct ft_err *err);
    /* Kills tasks that do not outlive their owner and leaves the others alone. No further event. */
    void (*close)(struct ft_exec *x);
};

struct ft_exec {
    const struct ft_exec_ops *ops;
};

int ft_exec_start(struct ft_exec *x, const struct ft_exec_spec *spec, struct ft_err *err);
int ft_exec_kill(struct ft_exec *x, const char *id, int sig, struct ft_err *err);
int ft_exec_query(struct ft_exec *x, const char *id, struct ft_exec_info *ret_info,
                  struct ft_err *err);
void ft_exec_list(struct ft_exec *x, char (*ret_ids)[FT_EXEC_ID_MAX], int max, int *ret_n);
int ft_exec_remove(struct ft_exec *x, const char *id, struct ft_err *err);
void ft_exec_close(struct ft_exec *x); /* NULL is accepted */

/* Stops every task: SIGTERM, after grace_ms SIGKILL; removes all. For those that outlive. */
void ft_exec_sweep(struct ft_exec *x, int grace_ms);

/* "exited with 3", "killed by signal 9 (out of memory)", "ended": for logs and messages. */
const char *ft_exec_how_ended(const struct ft_exec_info *info, char *buf, size_t n);

/* What every implementation holds a spec to. FT_EINVAL names the field. */
int ft_exec_spec_check(const struct ft_exec_spec *spec, struct ft_err *err);
bool ft_exec_id_valid(const char *id);

#endif
