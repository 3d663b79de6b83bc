/* The engine's own state. Private to engine/core.
 *
 * What `lock` guards is said at each field; everything else belongs to the owner thread. */
#ifndef FT_ENGINE_CORE_CORE_H
#define FT_ENGINE_CORE_CORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/mailbox.h"
#include "engine/core/adapters.h"
#include "engine/core/engine.h"
#include "engine/core/models.h"
#include "engine/core/sample.h"
#include "engine/core/sched.h"
#include "engine/core/seq.h"
#include "engine/core/spill.h"

#define FT_ENGINE_DRAIN_MS  1000 /* a model waits so long before others stop admitting */
#define FT_PROMPT_ROWS_MAX  32   /* of FT_REQUEST_PROMPT in a step: every one has logits */
#define FT_SPEC_ROWS_MAX    32   /* drafted rows of a step: beyond, decoding is bound by compute */
#define FT_ENGINE_HASH_SIZE 4096 /* buckets of the table of requests */
#define FT_ENGINE_PREEMPT_RESERVE                                                                  \
    8 /* blocks kept free for running sequences at admission, at most */

enum ft_msg_kind {
    FT_MSG_SUBMIT,
    FT_MSG_CANCEL,
    FT_MSG_PAUSE,
    FT_MSG_RESUME,
    FT_MSG_WAKE,
    FT_MSG_MODEL_ADD,
    FT_MSG_MODEL_REMOVE,
    FT_MSG_MODEL_LOAD,
    FT_MSG_ADAPTER_ADD,
    FT_MSG_ADAPTER_REMOVE,
};

/* Someone waits on another thread until the owner has done what was asked. */
struct ft_reply {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    int rc;
    struct ft_err err;
    void (*progress)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
};

struct ft_msg {
    enum ft_msg_kind kind;
    uint64_t id;
    struct ft_req *req;
    struct ft_hosted *hosted;
    const char *name;  /* of a model; the asker waits */
    const char *name2; /* of an adapter */
    struct ft_hosted_adapter *adapter;
    struct ft_reply *reply;
};

/* What one sequence does in the step being built. */
struct ft_plan {
    struct ft_seq *s;
    int n;     /* rows */
    int out;   /* first of its rows in the output, -1: none */
    int n_out; /* how many */
};

struct ft_engine {
    struct ft_engine_config cfg;
    char *spill_dir;
    struct ft_dev *dev;
    pthread_t thread;
    struct ft_mailbox *box;
    atomic_int n_requests; /* submitted and not ended */
    atomic_ullong next_id;

    pthread_mutex_t lock;
    struct ft_hosted *model[FT_ENGINE_MODELS_MAX];           /* lock; written by the owner alone */
    int n_models;                                            /* lock */
    struct ft_engine_stats stats;                            /* lock: the last snapshot */
    struct ft_model_stats model_stats[FT_ENGINE_MODELS_MAX]; /* lock */
    int n_model_stats;                                       /* lock */

    struct ft_hosted *gone; /* removed, waiting for their last request */
    struct ft_hosted_adapter *gone_adapters;
    int n_adapters;           /* of all models */
    uint64_t adapter_serials; /* given out */
    struct ft_budget budget;
    struct ft_spill_budget spill_budget;
    uint64_t clock;      /* of the prefix caches */
    uint64_t next_order; /* of arrival */
    struct ft_sched sched;
    struct ft_sampler sampler;
    struct ft_engine_stats count; /* the totals, unlocked */

    struct ft_req *requests; /* all that have not ended */
    struct ft_req *dead;     /* ended in this step: freed after it */
    bool drafting;           /* a draft model runs: its blocks are not for the taking */
    bool swept;              /* false: somebody was cancelled in a callback */
    bool again;              /* a callback changed what can be done: look again before sleeping */
    struct ft_req *hash[FT_ENGINE_HASH_SIZE];
    struct ft_seq *running[FT_ENGINE_RUNNING_MAX]; /* those that hold KV */
    int n_running;
    int n_state[FT_SEQ_STATES];
    int turn;                /* the model whose turn it was */
    int rotate;              /* where decoding starts when not all fit a batch */
    struct ft_hosted *drain; /* the model that others make way for, NULL: none */
    uint64_t drain_order;    /* of its sequence that waits for room, and what ranks it */
    int drain_priority;
    int64_t drain_ns;

    /* the batch being built */
    struct ft_plan plan[FT_ENGINE_RUNNING_MAX];
    struct ft_seg seg[FT_ENGINE_RUNNING_MAX];
    int n_plan;
    int64_t cpu_mark; /* processor time that has been accounted for; 0: not in a step */
    int32_t *row_token, *row_pos, *row_out; /* [max_rows + spec rows] */
    uint32_t *mask;                         /* grammar, grown to the vocabulary */
    int mask_words;
    void *block_copy; /* one KV block on its way to or from the spill file */
    size_t block_copy_bytes;
    struct ft_buf piece, text; /* of the token being emitted */
};

/* True on the engine's own thread, that is, in a callback. */
bool ft_engine_is_owner(const struct ft_engine *e);
/* Any thread: the owner has something to free. */
void ft_engine_wake(struct ft_engine *e);

/* For ft_engine_stats: taken after every step, and before an END is told. */
void ft_engine_snapshot(struct ft_engine *e);

/* Posts a message and waits for the owner's answer; r is zeroed by the caller. */
int ft_engine_ask(struct ft_engine *e, struct ft_msg *m, struct ft_reply *r, struct ft_err *err);
/* Frees what ended: requests, then adapters and models that nobody holds any more. Not in a step.
 */
void ft_engine_reap(struct ft_engine *e);
int ft_engine_check_id(const char *what, const char *id, struct ft_err *err);
/* The model with one more reference, or NULL; any thread. */
struct ft_hosted *ft_hosted_hold(struct ft_engine *e, const char *id);
void ft_hosted_unhold(struct ft_engine *e, struct ft_hosted *h);

/* loop.c: one turn of one model; false if nothing could be done. */
bool ft_loop_step(struct ft_engine *e);
/* Must s, which waits, let another model's sequence go first (e->drain)? */
bool ft_loop_gives_way(const struct ft_engine *e, const struct ft_seq *s, int64_t now);

/* finish.c: ends a sample or the whole request; after its last sample the request is dead. */
void ft_loop_finish(struct ft_engine *e, struct ft_seq *s, enum ft_finish how, int32_t token,
                    const struct ft_sample_out *out, int stop_index);
void ft_loop_fail(struct ft_engine *e, struct ft_req *q, const struct ft_err *err);
void ft_loop_cancel(struct ft_engine *e, struct ft_req *q);

/* kv.c: what a sequence holds. */
bool ft_kv_reserve(struct ft_engine *e, struct ft_seq *s, int n_tokens, bool may_preempt);
void ft_kv_release(struct ft_engine *e, struct ft_seq *s);
void ft_kv_preempt(struct ft_engine *e, struct ft_seq *s);
bool ft_kv_admit(struct ft_engine *e, struct ft_seq *s);
/* Blocks it needs to come in: for its tokens and the next one. */
int ft_kv_blocks_wanted(const struct ft_seq *s);
bool ft_kv_fork(struct ft_engine *e, struct ft_seq *from, struct ft_seq *to);
void ft_kv_publish(struct ft_engine *e, struct ft_seq *s);
bool ft_kv_stands_still(const struct ft_seq *s);
/* The sequence that gives way first, NULL if none may for the sake of s. */
struct ft_seq *ft_kv_victim(struct ft_engine *e, const struct ft_seq *s, bool for_admission);

/* output.c. What came of one more token of a sample. */
struct ft_output {
    bool placed; /* it has a place in the sequence: not an end token */
    bool ended;
    enum ft_finish how;
    int stop; /* index of the stop string that ended it, -1 */
};
/* Takes token in as the next of s: grammar, its place, its text, ends. text: what it frees; piece:
 * scratch. Any thread until s was submitted. FT_EINVAL: the grammar refuses it. */
int ft_output_take(struct ft_seq *s, int32_t token, struct ft_buf *piece, struct ft_buf *text,
                   struct ft_output *ret, struct ft_err *err);
/* From a row of logits to events. False when the sample has ended. */
bool ft_output_sample(struct ft_engine *e, struct ft_seq *s, const float *logits,
                      int32_t *ret_token);

/* resume.c: takes in what the sample has generated elsewhere; on the submitting thread, when all
 * else of s is made. */
int ft_resume_take(struct ft_seq *s, const struct ft_resume *given, struct ft_err *err);
/* Which sample reads the prompt, and what is generated already. */
void ft_resume_lead(struct ft_req *q);
void ft_resume_free(struct ft_seq *s);
/* Owner: tells the events of a request that has just entered. */
void ft_resume_tell(struct ft_engine *e, struct ft_req *q);
/* Owner: s has got on with the prompt; once it is read, the others come in by the prefix cache. */
void ft_resume_release(struct ft_engine *e, struct ft_seq *s);
/* Bytes of a stream that its events take. */
size_t ft_resume_event_bytes(const struct ft_req *q);

/* account.c: processor time of steps, by rows. */
void ft_account_begin(struct ft_engine *e);
void ft_account_computed(struct ft_engine *e);                 /* the forward pass is through */
void ft_account_step(struct ft_engine *e);                     /* once a step: how many share it */
void ft_account_ending(struct ft_engine *e, struct ft_req *q); /* q ends within the step */
void ft_account_end(struct ft_engine *e);

/* embed.c: rows of a sequence that is not generating. */
void ft_embed_rows(struct ft_engine *e, struct ft_seq *s, const struct ft_plan *p, int pos,
                   const float *logits, const float *hidden);
bool ft_embed_wants_hidden(const struct ft_req *q);
bool ft_embed_wants_all_rows(const struct ft_req *q); /* no prefix of its prompt may be left out */
int ft_embed_out_rows(const struct ft_seq *s, int n_rows);

/* spec.c */
void ft_spec_draft(struct ft_engine *e, struct ft_hosted *m);
void ft_spec_note(struct ft_seq *s, int n_drafted, int n_accepted);
void ft_spec_release(struct ft_engine *e, struct ft_seq *s); /* draft KV */
bool ft_spec_release_any(struct ft_engine *e);

#endif
