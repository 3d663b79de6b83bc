/* The seam of serving: a place that completes sequences. A worker's process on this machine or
 * another, any OpenAI-compatible server, a scripted double.
 *
 * Callbacks of one job never overlap and come in order; they may come on any thread, also from
 * within submit. They must not block. */
#ifndef FT_SERVE_REPLICA_H
#define FT_SERVE_REPLICA_H

#include "serve/piece.h"

enum ft_task_kind {
    FT_TASK_CHAT,
    FT_TASK_TEXT, /* /v1/completions */
    FT_TASK_EMBED,
    FT_TASK_RERANK,
    FT_TASK_COUNT, /* prompt tokens of a chat request, nothing generated */
};

/* A worker's form of OpenAI's API: the request carries "feitian":{"id","salt","caller","weight",
 * "priority","resume":[[ids of choice 0 so far],..]}; every event of a stream carries
 * "feitian":{"i":choice,"t":[ids]} and is atomic: it holds exactly what these tokens caused; the
 * first also "p" and "c", the prompt's tokens and how many of them were cached. With
 * resume the ids count as generated already: what they cause is not said again. The last event
 * carries usage and "feitian":{"cpu_us","uj","uj_estimated","ph":{..}}, ph: the worker's part of
 * base/phases.h by name, zeros left out. FT_TASK_COUNT is POST /feitian/count with a chat request;
 * its answer {"prompt_tokens":N}. */
struct ft_replica;
struct ft_replica_job; /* the replica's own record of a running job */

struct ft_job {
    enum ft_task_kind kind;
    /* The request as OpenAI's JSON, checked already, with the replica's own name of the model and
     * "feitian" (above: id, salt, caller, weight, priority, resume). Borrowed during submit. */
    const json_t *body;
    const char *trace_parent, *trace_state; /* headers, for servers that are not ours; NULL: none */
    ft_piece_fn *on_piece;
    void *ctx;
};

struct ft_replica_ops {
    const char *name;
    /* Does not block. After 0, exactly one END comes; *ret stays valid until it was called. */
    int (*submit)(struct ft_replica *r, const struct ft_job *job, struct ft_replica_job **ret,
                  struct ft_err *err);
    /* Soon an END comes, with FT_ECANCELED unless it was on its way already. Like pause it never
     * calls back from within, and job is valid until the callback of END returned: so both may be
     * called under a lock that the callback takes. */
    void (*cancel)(struct ft_replica *r, struct ft_replica_job *job);
    /* Flow control: a paused job gets no further pieces (a few may be on their way). */
    void (*pause)(struct ft_replica *r, struct ft_replica_job *job, bool paused);
    /* No job may run; frees r. Does not wait, not even when called from a job's last callback. */
    void (*close)(struct ft_replica *r);
    bool resumes; /* can go on behind given tokens (the piece's `token`) */
};

struct ft_replica {
    const struct ft_replica_ops *ops;
};

#endif
