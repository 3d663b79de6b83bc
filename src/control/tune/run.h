/* What the files of the runner share: tune/run.c (jobs), tune/fetch.c (their files), tune/read.c
 * (the training's report), tune/bill.c (what it uses), tune/done.c (the result). All of it is the
 * runner's thread's alone but `changed` and `end`. */
#ifndef FT_CONTROL_TUNE_RUN_H
#define FT_CONTROL_TUNE_RUN_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "control/tune/tune.h"
#include "sched/exec.h"

enum ft_tune_end {
    TUNE_END_NONE,    /* the report has no end: it runs, or was killed */
    TUNE_END_DONE,    /* well */
    TUNE_END_STOPPED, /* it was told to, and has written a checkpoint */
    TUNE_END_FAILED   /* trying again is of no use */
};

struct tune_job {
    char id[CTL_ID_MAX];
    json_t *body; /* the row as last read, with what the runner changed since */
    bool looked;  /* the report was read since this process began */
    bool seen;    /* its row was there at the last look */
    int stopping; /* the signal that its training was sent; 0: none */
    bool stepped, trained, gone;
    int tries;
    int64_t not_before_ns;
    char waits_for[FT_ERR_MSG_MAX];
    /* the report */
    bool has_read_to, planned;
    int64_t read_to;
    enum ft_tune_end end;
    char end_code[32], end_message[FT_ERR_MSG_MAX + 64];
    const char *end_param;         /* NULL, or static */
    double train_loss, valid_loss; /* the last ones */
    int64_t step, steps, tokens, finish_s;
    int64_t end_cpu_us; /* as the training said at its end */
    int64_t settle_ns;  /* when its usage is next put on the record; and at its first step: */
    bool billed;
};

struct ft_tune {
    struct ft_ctl *ctl;
    struct ft_exec *exec;
    pthread_t thread;
    atomic_bool end, changed;
    struct ft_tune_fetches *fetches;
    struct tune_job job[TUNE_JOBS_MAX];
    int n_jobs;
    bool looked;              /* at the rows, once */
    int64_t prune_s;          /* when those that ended long ago are next looked for */
    char base_path[PATH_MAX]; /* of the model that is being started */
    uint64_t memory;          /* bytes that a training may take */
};

/* HOME/tune/ID/name, or the folder for "". ret: PATH_MAX bytes. */
void ft_tune_path(const struct ft_tune *t, const char *id, const char *name, char *ret);
/* Takes the reference. */
void ft_tune_job_set(struct tune_job *job, json_t *body);

/* A change of a job's row, in one transaction with what `more` (may be NULL) writes. Nothing is
 * done to a job that has ended, or if the status is not `only` any more (NULL: any). */
struct ft_tune_change {
    const char *only;
    bool unless_paused;
    const json_t *patch; /* RFC 7396 */
    int (*more)(struct ft_ctl_call *c, struct ft_state_tx *tx, void *ctx, struct ft_err *err);
    void *ctx;
};
int ft_tune_change(struct ft_tune *t, struct tune_job *job, const struct ft_tune_change *what,
                   struct ft_err *err);
void ft_tune_fail(struct ft_tune *t, struct tune_job *job, const char *code, const char *param,
                  const char *message);

/* tune/read.c: what the report says beyond read_to becomes events, checkpoints, the row's status.
 * False: not all of it could be taken now. */
bool ft_tune_read(struct ft_tune *t, struct tune_job *job);

/* tune/push.c: an adapter's folder as a private repository of the project's; "ORG/NAME" into ret.
 * Again: another commit of the same. */
#define TUNE_REPO_MAX 128
int ft_tune_push(struct ft_tune *t, const struct tune_job *job, const char *folder,
                 char ret[TUNE_REPO_MAX], struct ft_err *err);

/* tune/fetch.c: the files to train on come on threads of their own. Fetch begins, or goes on with,
 * a job's download, when there is a place; true: it is over, *ret_rc 0 or why not, about
 * *ret_member. Stops: true once none is under way any more. */
int ft_tune_fetches_open(struct ft_tune *t, struct ft_err *err);
void ft_tune_fetches_close(struct ft_tune *t);
bool ft_tune_has_files(const struct ft_tune *t, const struct tune_job *job);
bool ft_tune_fetch(struct ft_tune *t, struct tune_job *job, int *ret_rc, const char **ret_member,
                   struct ft_err *err);
bool ft_tune_fetch_stops(struct ft_tune *t, const char *id);

/* tune/bill.c: what was used since the last time goes on the record, and a job whose budget is used
 * up is held, or let go. info: its training, NULL where there is none; over: it has ended. False:
 * not now. */
bool ft_tune_settle(struct ft_tune *t, struct tune_job *job, const struct ft_exec_info *info,
                    bool over);
/* The tokens alone, in a transaction of the caller's; body: the row. */
int ft_tune_settle_in(struct ft_state_tx *tx, struct ft_tune *t, struct tune_job *job,
                      const json_t *body, int64_t *ret_cost, struct ft_err *err);
void ft_tune_tell_cost(const struct ft_tune *t, const struct tune_job *job, int64_t nanos);
/* Waits for its budget. */
bool ft_tune_is_held(const json_t *body);

/* tune/done.c: the adapter is kept, the model and its checkpoints get names, and the job has
 * succeeded. May be called again after a failure, or a kill, at any point.
 */
int ft_tune_finish(struct ft_tune *t, struct tune_job *job, struct ft_err *err);
/* Adapters of a job that came to nothing. */
void ft_tune_drop_adapters(const struct ft_tune *t, const struct tune_job *job);

#endif
