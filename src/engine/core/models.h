/* Hosted models: what an engine keeps per model, and which of them are resident.
 *
 * The engine's byte budget holds the weights of resident models and the KV of all. Room is made in
 * this order: pages of free blocks, KV that only the prefix caches hold (oldest first), weights of
 * models that nobody uses (least recently used first). Preemption, the last resort, is the loop's.
 */
#ifndef FT_ENGINE_CORE_MODELS_H
#define FT_ENGINE_CORE_MODELS_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/arch/model.h"
#include "engine/core/engine.h"
#include "engine/core/radix.h"
#include "engine/core/seq.h"
#include "engine/core/spill.h"

#define FT_SOURCE_EOG_MAX 64

/* The immutable side, any thread. */
struct ft_source_box {
    struct ft_model_source pub; /* first: ft_model_source_unref casts back */
    atomic_int ref;
    char id[FT_ENGINE_ID_MAX];
    struct ft_weights *weights;
    struct ft_tokenizer *tokenizer;
    int32_t eog[FT_SOURCE_EOG_MAX]; /* tokens that end a generation */
    int n_eog;
    size_t token_bytes_max; /* longest token */
    float *cls;             /* [n_cls, d_model] classification head, NULL: none */
    int n_cls;
    pthread_mutex_t lock;   /* guards what is made at the first use: */
    struct ft_vocab *vocab; /* for grammars */
    uint64_t tokens_hash;   /* of all tokens; 0: not known yet */
};

struct ft_hosted {
    struct ft_source_box *src;
    int n_ref; /* under the engine's lock: the table's, and one per request */

    /* owner thread */
    struct ft_model *model;
    struct ft_kv *kv;
    struct ft_blocks pool;
    struct ft_radix radix;
    struct ft_spill spill;
    bool has_state, opened; /* keeps recurrent state: nothing of it can be shared or moved */
    int32_t *state_free;
    int n_state_free;
    enum ft_model_state state;
    uint64_t weight_bytes;                /* counted in the budget */
    uint64_t used;                        /* clock of the last step */
    int64_t dropped_ns;                   /* when its weights last went */
    int64_t load_begun_ns, load_ended_ns; /* the last time they came */
    bool removed;
    struct ft_hosted_adapter *
        *adapter;                 /* [n_adapters] by id; under the engine's lock, written by */
    int n_adapters, cap_adapters; /* the owner alone */
    struct ft_seq *wait_head, *wait_tail; /* WAITING, PREEMPTED, by order */
    int n_state[FT_SEQ_STATES];
    int n_requests; /* as model or as draft */
    struct ft_pace pace;
    bool hidden_turn; /* the next turn is for embeddings */
    uint64_t prompt_tokens, cached_tokens, generated_tokens, loads;
    uint64_t load_done, load_all; /* under the engine's lock */
    struct ft_hosted *next_gone;
};

/* Any thread. Takes w and t (may be NULL) on success. */
int ft_source_open(const char *id, struct ft_weights *w, struct ft_tokenizer *t, int n_ctx,
                   struct ft_source_box **ret_s, struct ft_err *err);
struct ft_source_box *ft_source_ref(struct ft_source_box *s);
int ft_source_vocab(struct ft_source_box *s, const struct ft_vocab **ret_v, struct ft_err *err);
/* The same ids mean the same texts, as far as tokenizers are there to tell. */
bool ft_source_same_tokens(struct ft_source_box *a, struct ft_source_box *b);

/* Owner thread from here on. */
int ft_hosted_open(struct ft_engine *e, struct ft_hosted *h, struct ft_err *err);
void ft_hosted_close(struct ft_engine *e, struct ft_hosted *h);
/* Gives its weights and cached KV back; nothing of it may run. */
void ft_hosted_drop(struct ft_engine *e, struct ft_hosted *h);

/* 1: the weights are resident now; 0: the memory is held by others who may not be disturbed;
 * negative: the load failed. */
int ft_models_ready(struct ft_engine *e, struct ft_hosted *h,
                    void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx,
                    struct ft_err *err);
/* One block for h, making room as above; -1: only preemption helps. */
int32_t ft_models_block(struct ft_engine *e, struct ft_hosted *h);
/* Blocks h could get that way, `less_idle` cached ones of its own not counted. */
int64_t ft_models_room(struct ft_engine *e, struct ft_hosted *h, int less_idle);
/* Makes `bytes` of the budget free for h in the same way; false: others hold it. */
bool ft_models_make_room(struct ft_engine *e, struct ft_hosted *h, uint64_t bytes);
/* Most blocks one sequence of h can ever have. */
int ft_models_blocks_max(const struct ft_engine *e, const struct ft_hosted *h);

#endif
