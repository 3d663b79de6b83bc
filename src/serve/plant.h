/* Where workers come from: numbered places, each with at most one process that serves models.
 *
 * plant_local.c: processes by sched/exec.h, spoken to over unix sockets. The unit tests have one
 * that is made of scripted doubles. */
#ifndef FT_SERVE_PLANT_H
#define FT_SERVE_PLANT_H

#include "serve/replica.h"

struct ft_plant;

struct ft_plant_info {
    bool running, adopted;
    int64_t pid;
    int64_t memory_bytes; /* that it was started with; 0: not known */
    bool out_of_memory;   /* ended: killed at its memory limit */
    char how[64];         /* ended: "killed by signal 9", "exited with 1" */
};

/* status: of HTTP, 0 if there was no answer. answer: borrowed; NULL if it is no JSON. Any thread,
 * but never from within ask. */
typedef void ft_plant_answer_fn(void *ctx, int status, const json_t *answer);

struct ft_plant_ops {
    /* Starts the process of place k. Blocks for milliseconds. */
    int (*start)(struct ft_plant *p, int k, int64_t memory_bytes, struct ft_err *err);
    /* Asks it to end; now: kills it. */
    void (*stop)(struct ft_plant *p, int k, bool now);
    /* False: never started, or forgotten. */
    bool (*look)(struct ft_plant *p, int k, struct ft_plant_info *ret);
    /* What completes sequences at place k, whichever process is there then. Opened once. */
    int (*replica)(struct ft_plant *p, int k, struct ft_replica **ret, struct ft_err *err);
    /* One request to the worker's admin side; on_answer comes exactly once. body may be NULL. */
    void (*ask)(struct ft_plant *p, int k, const char *method, const char *path, const json_t *body,
                int timeout_ms, ft_plant_answer_fn *on_answer, void *ctx);
    /* No ask may be under way. */
    void (*close)(struct ft_plant *p);
};

struct ft_plant {
    const struct ft_plant_ops *ops;
};

#endif
