/* A sequence: one sample of one request, from waiting to done. A request: its samples and what they
 * share. The transition table is in seq.c.
 *
 *             first admission                  logits of the last token
 *   WAITING --------------------> PREFILL --------------------------> DECODE <---.
 *      ^                          ^    |                              |    |     |
 *      | no room to fork          |    |    no room: lowest priority, |    v     |
 *   FORKING ...................   |    |    newest first              |  PAUSED -'
 *   (waits for sample 0's     :   |    |                              |    |
 *   prompt)                   :   |    '-------> PREEMPTED <----------'----'
 *      :                      :   '-----------------' resumed
 *      '......................:.....> DECODE: shares sample 0's blocks
 *   every state ──> DONE (finished, cancelled, failed)
 *
 * WAITING, FORKING and PREEMPTED hold no KV; the others do. All fields belong to the owner thread
 * once the request was submitted. */
#ifndef FT_ENGINE_CORE_SEQ_H
#define FT_ENGINE_CORE_SEQ_H

#include "base/buf.h"
#include "engine/core/engine.h"
#include "engine/core/sample.h"
#include "engine/core/sched.h"
#include "engine/core/stop.h"
#include "engine/core/stream.h"

struct ft_hosted;
struct ft_hosted_adapter;

enum ft_seq_state {
    FT_SEQ_WAITING,
    FT_SEQ_FORKING,
    FT_SEQ_PREFILL,
    FT_SEQ_DECODE,
    FT_SEQ_PAUSED,
    FT_SEQ_PREEMPTED,
    FT_SEQ_DONE,
    FT_SEQ_STATES
};

/* What a draft model keeps of a sequence. */
struct ft_draft_kv {
    int32_t *block; /* [cap_block] of the sequence; NULL: no draft model */
    int n_block, n_done;
};

/* How well drafts did; decides how many come next (spec.c). */
struct ft_draft_pace {
    int len;       /* tokens to draft */
    int rest;      /* steps to sit out */
    int next_rest; /* how long the next pause is */
};

/* What a resumed sample has said, to be told again when it enters (resume.c). */
struct ft_replay {
    struct ft_buf text;
    uint32_t *end; /* [n] where each token's text ends in it */
    int n;         /* tokens that have a place in the sequence */
    bool ended;    /* finished by them: how */
    enum ft_finish how;
    int32_t last; /* the end token, -1 */
    int stop;     /* index of the stop string, -1 */
};

struct ft_seq {
    struct ft_req *req;
    int index;
    enum ft_seq_state state;
    struct ft_seq *next, *prev; /* in the model's waiting list: WAITING, PREEMPTED */
    int running_at;             /* place in the engine's running array, -1 */
    uint64_t order;             /* of arrival, and of samples within a request */

    int32_t *token; /* [limit] prompt, then what was generated */
    int n_token, n_prompt, limit;
    int n_done; /* tokens whose KV is in the cache */
    int n_told; /* generated tokens that were emitted or ended it */

    int32_t *block; /* [cap_block] */
    int n_block, cap_block;
    int n_tree;         /* leading blocks that the prefix cache has */
    int32_t slot_state; /* of recurrent state, -1 */
    int32_t *spill;     /* [cap_block] slots while PREEMPTED, -1: none */
    int n_spill, n_spill_done;

    struct ft_penalties penalties;
    bool has_penalties;
    struct ft_matcher *matcher;
    bool grammar_waits;                /* for r.grammar_after */
    char tail[FT_REQUEST_AFTER_BYTES]; /* of the text, while it waits */
    int n_tail;
    struct ft_detok detok;
    struct ft_stop_scan stop;
    struct ft_replay replay;

    int32_t draft[FT_SPEC_TOKENS_MAX];
    int n_draft;
    struct ft_draft_kv dkv;
    struct ft_draft_pace draft_pace;

    enum ft_finish finish;
    double *pool_sum; /* [d_model] of the rows pooled */
    int n_pooled;     /* rows taken in */
    float *value;     /* results */
    int n_value;
};

struct ft_req {
    uint64_t id;
    struct ft_hosted *m, *draft;       /* draft may be NULL */
    struct ft_hosted_adapter *adapter; /* NULL: none */
    struct ft_request r;               /* deep copy; prompt is NULL, it is in the sequences */
    struct ft_stops stops;
    struct ft_stream *stream; /* NULL: r.on_event */
    struct ft_caller *caller;
    int32_t root;       /* of the prefix cache, -1: not used */
    struct ft_seq *seq; /* [n_seq] */
    int n_seq, n_left;
    int lead; /* the sample that reads the prompt for all: the first that is not ended */
    bool resumed;
    bool cancelled, paused;
    int64_t t_submit, t_admit, t_first;
    struct ft_usage usage;
    struct ft_err err;
    bool failed;
    struct ft_req *next, *prev, *hash_next;
};

/* Moves between states, asserting that the table has the move, and keeps the counts. */
struct ft_engine;
void ft_seq_move(struct ft_engine *e, struct ft_seq *s, enum ft_seq_state to);
/* A submitted sequence joins its model's waiting list. */
void ft_seq_enter(struct ft_engine *e, struct ft_seq *s);
const char *ft_seq_state_name(enum ft_seq_state s);

static inline bool ft_seq_holds_kv(const struct ft_seq *s)
{
    return s->state == FT_SEQ_PREFILL || s->state == FT_SEQ_DECODE || s->state == FT_SEQ_PAUSED;
}

/* Any thread: checks r against the model and makes the request with all its memory. */
int ft_req_make(const struct ft_request *r, struct ft_hosted *m, struct ft_hosted *draft,
                struct ft_hosted_adapter *adapter, struct ft_req **ret_q, struct ft_err *err);
void ft_req_free(struct ft_req *q);

/* Owner: gives an event to whoever listens. */
void ft_req_emit(struct ft_req *q, const struct ft_event *ev);
/* Owner: may not produce more now, because the consumer is behind. */
bool ft_req_blocked(struct ft_req *q);

#endif
