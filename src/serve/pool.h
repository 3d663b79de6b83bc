/* Inside serving: workers, what they hold, what they are asked. Everything here is under s->mu,
 * unless it says otherwise. */
#ifndef FT_SERVE_POOL_H
#define FT_SERVE_POOL_H

#include "serve/plant.h"
#include "serve/router.h"
#include "serve/serve.h"

#define FT_SERVE_MS         INT64_C(1000000)
#define FT_SERVE_PLACES     (FT_SERVE_WORKERS_MAX + 1)
#define FT_SERVE_QUARANTINE FT_SERVE_WORKERS_MAX /* the place of the quarantine */
#define FT_SERVE_HELD_MAX   512                  /* models and adapters registered with a worker */

struct ft_serve_call;
struct ft_target;

/*   NONE --start--> STARTING --health--> READY --stop--> STOPPING --(ended)--> NONE
 *                      |                   |
 *                      +-----(died)--------+--> RESTING --(pause is over)--> NONE            */
enum ft_worker_state {
    FT_WORKER_NONE,
    FT_WORKER_STARTING,
    FT_WORKER_READY,
    FT_WORKER_STOPPING,
    FT_WORKER_RESTING
};
extern const char *const ft_worker_state_name[];

enum ft_held_state { FT_HELD_ADDING, FT_HELD_READY, FT_HELD_REMOVING, FT_HELD_FAILED };

struct ft_held { /* a model or adapter that a worker knows */
    char *name;
    char *of;         /* an adapter's model */
    uint64_t version; /* of its row */
    int n_ctx;
    bool adopted; /* found there; which file it is, is not known yet */
    bool warm;    /* asked to load it already */
    enum ft_held_state state;
    int64_t since_ns;
};

struct ft_worker {
    enum ft_worker_state state;
    int64_t since_ns;
    uint64_t run; /* counts processes: answers for an earlier one are dropped */
    int64_t pid;
    int64_t memory_bytes;
    struct ft_replica *replica; /* opened once, stays */
    int running;
    struct ft_held held[FT_SERVE_HELD_MAX];
    int n_held;
    bool asking;           /* an admin request is under way */
    bool unanswered;       /* the last one got no answer: perhaps the worker died of it */
    bool checking;         /* a health request is under way */
    int misses;            /* health requests in a row without an answer */
    int64_t next_check_ns; /* when to ask next */
    int64_t useless_ns;    /* since when nothing wants it; 0: something does */
    int quick_deaths;      /* in a row, soon after the start */
    int failed_starts;     /* in a row, before it was ready or had opened what it was asked to */
    int restarts;
    char last_end[96];
    bool out_of_memory;  /* so it ended last */
    double tokens_per_s; /* between its last two answers */
    int64_t tokens, tokens_ns;
    json_t *stats; /* its last answer to GET /health */
    struct ft_router_seen *seen;
    struct ft_serve_call *leader[FT_ROUTER_LEADERS_MAX]; /* calls whose prompts it is reading */
    int n_leader;
};

/* held.c: which models a worker holds */
/* The next thing to ask of the ready worker k; NULL: all is as it should be. */
struct ft_ask *ft_held_next(struct ft_serve *s, int k, int64_t now);
void ft_held_answer(struct ft_serve *s, struct ft_worker *w, const struct ft_ask *a, int status,
                    const json_t *answer);
/* A worker that was found running: what it says it holds. */
void ft_held_adopt(struct ft_worker *w, const json_t *stats);
/* The worker said that it does not have the target's model: it is asked again. */
void ft_held_doubt(struct ft_serve *s, const struct ft_target *t, int k);
void ft_held_clear(struct ft_worker *w);

/* pool.c */
enum ft_ask_kind { FT_ASK_HEALTH, FT_ASK_ADD, FT_ASK_REMOVE, FT_ASK_LOAD };
struct ft_ask { /* a request to a worker's admin side */
    struct ft_ask *next;
    struct ft_serve *s;
    int k;
    uint64_t run;
    enum ft_ask_kind kind;
    const char *method;
    char *path, *name;
    json_t *body;
    int timeout_ms;
};
struct ft_ask *ft_ask_new(struct ft_serve *s, int k, enum ft_ask_kind kind, const char *name);
/* Takes over what runs; *ret_memory: what an earlier gateway gave all of it. */
void ft_workers_adopt(struct ft_serve *s, int64_t *ret_memory);
/* Looks after processes, health, and which models lie where. */
void ft_workers_step(struct ft_serve *s, int64_t now, int64_t *next);
/* Can the target's calls run at place k now? */
bool ft_workers_serves(const struct ft_serve *s, const struct ft_target *t, int k);
/* Is the target wanted at place k? */
bool ft_workers_wants(const struct ft_serve *s, const struct ft_target *t, int k);
/* What calls of the endpoint or model `name` are told: place k's worker ended for lack of memory.
 * Returns true. */
bool ft_workers_no_memory(const struct ft_serve *s, int k, const char *name, struct ft_err *ret);
void ft_workers_close(struct ft_serve *s, bool stop_workers);

#endif
