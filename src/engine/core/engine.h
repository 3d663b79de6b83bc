/* The engine: turns token ids into tokens, vectors and scores, for many callers and models at once.
 *
 * One owner thread per engine does everything with the device; every function here may be called
 * from any thread, including from an event callback, unless it says otherwise. Requests go in by a
 * bounded mailbox, results come back as events. See README.md for how a request flows.
 *
 * What callers may rely on
 * - After a successful submit exactly one FT_EVENT_END comes, whatever happens, and nothing after
 *   it.
 * - The same request gives the same tokens whatever else runs, however it is chunked, cached,
 *   preempted or speculated; sampled ones too, by their seed.
 * - A prompt is never truncated: what does not fit is refused, with the reason.
 * - Nothing accepted is dropped: at a bound, submit says FT_EBUSY. */
#ifndef FT_ENGINE_CORE_ENGINE_H
#define FT_ENGINE_CORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/core/request.h"
#include "engine/dev.h"
#include "model/file/hparams.h"
#include "model/file/weights.h"
#include "model/token/tokenizer.h"

struct ft_engine;

#define FT_ENGINE_RUNNING_MAX  256   /* sequences in one batch */
#define FT_ENGINE_ROWS_MAX     4096  /* rows in one batch */
#define FT_ENGINE_REQUESTS_MAX 65536 /* requests known at once */
#define FT_ENGINE_MODELS_MAX   256
#define FT_ENGINE_ADAPTERS_MAX 4096 /* of all models; the memory budget is the tighter bound */
#define FT_ENGINE_ID_MAX       256  /* bytes of a model's or adapter's id */

/* ---- engine ---- */

struct ft_engine_config {
    enum ft_kv_type kv_type; /* F16 */
    /* Weights of all resident models, adapters, KV in use and cached. 0: 3/4 of the machine's
     * memory. */
    uint64_t memory_bytes;
    int max_rows;          /* rows of one batch, the largest prefill chunk: 256 */
    int max_running;       /* sequences that hold KV at the same time, per engine: 64 */
    int max_requests;      /* running and waiting; more is FT_EBUSY: 1024 */
    const char *spill_dir; /* where KV of preempted sequences goes; NULL: it is recomputed */
    uint64_t spill_bytes;  /* bound on that: 8 GiB */
};

void ft_engine_config_init(struct ft_engine_config *cfg); /* the values given above */

/* dev is borrowed until close, and used by the owner thread only. FT_EINVAL names the field. */
int ft_engine_open(struct ft_dev *dev, const struct ft_engine_config *cfg, struct ft_engine **ret_e,
                   struct ft_err *err);
/* Cancels what runs (their END events still come), joins the owner thread, frees everything. Not
 * from a callback; no other thread may be in a call. NULL is accepted. */
void ft_engine_close(struct ft_engine *e);

/* ---- models ---- */

/* What belongs to a model whether or not its weights are resident. Immutable, reference-counted. */
struct ft_model_source {
    const char *id;
    const struct ft_weights *weights;
    const struct ft_tokenizer *tokenizer; /* NULL if it was added without one */
    struct ft_hparams hp;
    int n_ctx;               /* most tokens of one sequence */
    enum ft_pooling pooling; /* what the file says; NONE: it says nothing */
    bool has_cls;            /* has a classification head (cls.output) */
};

struct ft_model_options {
    int n_ctx; /* 0: as trained */
};

/* Opens the files on the calling thread and makes the model known under `id`; reads no weights.
 * FT_EEXIST, FT_ELIMIT (FT_ENGINE_MODELS_MAX, or it cannot fit the memory budget alone), and what
 * the files say. opt may be NULL. */
int ft_engine_model_add(struct ft_engine *e, const char *id, const char *path,
                        const struct ft_model_options *opt, struct ft_err *err);
/* The same with opened files; w and t (which may be NULL: then no text, stop strings or grammars)
 * belong to the engine on success. */
int ft_engine_model_add_open(struct ft_engine *e, const char *id, struct ft_weights *w,
                             struct ft_tokenizer *t, const struct ft_model_options *opt,
                             struct ft_err *err);
/* Cancels its requests and forgets it. FT_ENOTFOUND. */
int ft_engine_model_remove(struct ft_engine *e, const char *id, struct ft_err *err);
/* Makes the weights resident now, not at the first request; waits for it. progress (may be NULL) is
 * called on the owner thread. Not from a callback. FT_EBUSY: other models with requests hold the
 * memory. */
int ft_engine_model_load(struct ft_engine *e, const char *id,
                         void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx,
                         struct ft_err *err);
/* The model's source, to be given back with ft_model_source_unref; it outlives the engine if need
 * be. */
int ft_engine_model_source(struct ft_engine *e, const char *id,
                           const struct ft_model_source **ret_s, struct ft_err *err);
void ft_model_source_unref(const struct ft_model_source *s); /* NULL is accepted */

enum ft_model_state {
    FT_MODEL_COLD,    /* weights not in memory */
    FT_MODEL_LOADING, /* being read */
    FT_MODEL_READY,
    FT_MODEL_FAILED, /* the last load failed; the next request tries again */
};
const char *ft_model_state_name(enum ft_model_state s);

/* ---- adapters ---- */

/* Reads a LoRA adapter (a PEFT folder) on the calling thread and makes it known under `id`, a name
 * of its own per model; what runs goes on meanwhile. It stays in memory, also while the model's
 * weights are not, until it is removed. FT_ENOTFOUND: the model; FT_EEXIST; FT_ELIMIT:
 * FT_ENGINE_ADAPTERS_MAX, or beside it a model would not fit the memory budget; FT_EBUSY: models in
 * use hold the memory; FT_EUNSUPPORTED, FT_EINVAL and FT_ECORRUPT name the tensor or the field. Not
 * from a callback. */
int ft_engine_adapter_add(struct ft_engine *e, const char *model, const char *id,
                          const char *folder, struct ft_err *err);
/* The same with an opened adapter, which stays the caller's. */
struct ft_adapter;
int ft_engine_adapter_add_open(struct ft_engine *e, const char *model, const char *id,
                               const struct ft_adapter *a, struct ft_err *err);
/* Cancels its requests and forgets it. FT_ENOTFOUND. Not from a callback. */
int ft_engine_adapter_remove(struct ft_engine *e, const char *model, const char *id,
                             struct ft_err *err);

/* ---- requests (request.h) ---- */

/* Checks everything, copies what it needs. ret_stream: required when on_event is NULL. FT_EINVAL
 * names the field, FT_ENOTFOUND the model or adapter, FT_EBUSY: max_requests reached; FT_ECANCELED:
 * the engine is closing; FT_ELIMIT: the prompt is longer than the model's context or than the KV
 * that the memory budget can hold. */
struct ft_stream;
int ft_engine_submit(struct ft_engine *e, const struct ft_request *r, uint64_t *ret_id,
                     struct ft_stream **ret_stream, struct ft_err *err);
/* Ends a request soon; unknown and finished ids are ignored. */
void ft_engine_cancel(struct ft_engine *e, uint64_t id);
/* Flow control for on_event: a paused request gets no further tokens (a few may be on their way);
 * others go on. Streams do this by themselves when they are full. */
void ft_engine_pause(struct ft_engine *e, uint64_t id, bool paused);

/* A stream: a bounded queue of one request's events. One consumer thread. */

/* Waits up to timeout_ms (0: does not wait; negative: without end). 0 with *ret_ev; FT_EBUSY: none
 * came in time; FT_ECANCELED: END was taken already. */
int ft_stream_take(struct ft_stream *s, struct ft_event *ret_ev, int64_t timeout_ms);
/* Cancels the request if it still runs. NULL is accepted. */
void ft_stream_close(struct ft_stream *s);

/* ---- state ---- */

struct ft_engine_stats {
    int running, waiting, preempted, paused; /* sequences */
    int models, models_ready, adapters;
    uint64_t memory_bytes, weight_bytes, adapter_bytes, kv_bytes; /* the budget and its use */
    uint64_t kv_cached_bytes; /* part of kv_bytes: held only by the prefix cache */
    uint64_t spill_bytes;
    /* since open */
    uint64_t requests, prompt_tokens, cached_tokens, generated_tokens;
    uint64_t drafted_tokens, accepted_tokens;
    uint64_t preemptions, spilled_blocks, evicted_blocks, loads, unloads, steps;
};

struct ft_model_stats {
    char id[FT_ENGINE_ID_MAX];
    enum ft_model_state state;
    uint64_t weight_bytes;        /* resident; 0 when cold */
    uint64_t load_done, load_all; /* bytes, while loading */
    int adapters;
    int running, waiting;
    int blocks_used, blocks_cached, blocks_max;
    size_t block_bytes;
    uint64_t prompt_tokens, cached_tokens, generated_tokens, loads;
};

struct ft_adapter_stats {
    char model[FT_ENGINE_ID_MAX], id[FT_ENGINE_ID_MAX];
    uint64_t bytes;
    int pairs, rank_max; /* matrices it adds to, the largest rank among them */
    int requests;        /* running and waiting */
    uint64_t generated_tokens;
};

/* A snapshot taken after the latest step. */
void ft_engine_stats(struct ft_engine *e, struct ft_engine_stats *ret);
/* Fills at most n; returns how many models there are. */
int ft_engine_model_stats(struct ft_engine *e, struct ft_model_stats *ret, int n);
/* The same for adapters, as of now: by model, then by id. */
int ft_engine_adapter_stats(struct ft_engine *e, struct ft_adapter_stats *ret, int n);

#endif
