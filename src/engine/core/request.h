/* What is asked of the engine and what comes back: requests and events. Data only; engine.h has the
 * calls. */
#ifndef FT_ENGINE_CORE_REQUEST_H
#define FT_ENGINE_CORE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/constrain/constrain.h"
#include "model/file/weights.h"

#define FT_REQUEST_SAMPLES_MAX  128 /* n */
#define FT_REQUEST_BIASES_MAX   1024
#define FT_REQUEST_STOPS_MAX    16  /* stop strings */
#define FT_REQUEST_STOP_BYTES   256 /* of one stop string */
#define FT_REQUEST_STOP_IDS_MAX 64
#define FT_REQUEST_TOP_MAX      20 /* alternatives per token */
#define FT_REQUEST_SALT_BYTES   64
#define FT_REQUEST_CALLER_BYTES 64
#define FT_REQUEST_SCORES_MAX   64 /* tokens of a score request */
#define FT_REQUEST_AFTER_BYTES  32 /* of grammar_after */
#define FT_SPEC_TOKENS_MAX      16 /* drafted tokens per step */

enum ft_pooling { FT_POOL_NONE, FT_POOL_MEAN, FT_POOL_CLS, FT_POOL_LAST, FT_POOL_RANK };

struct ft_logit_bias {
    int32_t token;
    float bias; /* -100 .. 100; -100 or less never appears, as OpenAI has it */
};

/* Applied in this order: bias, penalties, grammar and minimum length, temperature, top_k,
 * typical_p, top_p, min_p, each on what the one before left, renormalised; then one draw. */
struct ft_sampling {
    float temperature;        /* 0 .. 100; 0: the most likely token: 1 */
    int top_k;                /* >= 0; 0: off: 0 */
    float top_p;              /* 0 < p <= 1; 1: off: 1 */
    float min_p;              /* 0 .. 1; 0: off: 0 */
    float typical_p;          /* 0 < p <= 1; 1: off: 1 */
    float repetition_penalty; /* 0 < r <= 10, over prompt and answer (CTRL); 1: off: 1 */
    float presence_penalty;   /* -2 .. 2, over the answer (OpenAI); 0 */
    float frequency_penalty;  /* -2 .. 2, over the answer (OpenAI); 0 */
    int penalty_window;       /* how many last tokens the penalties see; 0: all: 0 */
    uint64_t seed;            /* 0 is a seed like any other */
    const struct ft_logit_bias *bias;
    int n_bias;
};

/* Drafted tokens are verified by the model itself: the answer is the same with and without. */
struct ft_speculation {
    int lookup_max;    /* tokens drafted from repetitions of the text itself; 0: off */
    const char *draft; /* id of a smaller model with the same vocabulary; NULL: none */
    int draft_max;     /* tokens drafted by it per step: 1 .. FT_SPEC_TOKENS_MAX */
};

enum ft_request_kind {
    FT_REQUEST_GENERATE,
    /* RESULT: [d_model] */
    FT_REQUEST_EMBED,
    /* RESULT: [n_score] log-probabilities of score_token[] after the prompt */
    FT_REQUEST_SCORE,
    /* RESULT: [1] relevance 0 .. 1: by the model's classification head, or without one
     * p(a) / (p(a) + p(b)) of score_token[0 .. 1] (say "yes", "no") after the prompt */
    FT_REQUEST_RANK,
    /* RESULT: [n_prompt] log-probability of each prompt token after those before it; 0 for the
     * first (perplexity, echo). With n_top, a TOKEN event comes before for each but the first, with
     * its alternatives. */
    FT_REQUEST_PROMPT,
};

/* What one sample has generated already, elsewhere or before: the ids that its events told, an end
 * token included. */
struct ft_resume {
    const int32_t *token;
    int n; /* 0: nothing yet */
};

struct ft_event;

struct ft_request {
    enum ft_request_kind kind;
    const char *model;
    const char *adapter; /* of that model (ft_engine_adapter_add); NULL: the model alone */
    const int32_t *prompt;
    size_t n_prompt; /* 1 .. the model's n_ctx */

    /* generation */
    int n;          /* samples of the prompt, sharing its KV: 1 */
    int max_tokens; /* per sample; 0: up to the model's context, where every sample ends: 0 */
    int min_tokens; /* nothing stops a sample before: 0 */
    struct ft_sampling sampling;
    const int32_t *stop_token; /* beside the model's own end tokens */
    int n_stop_token;
    const struct ft_slice *stop; /* stop strings; the matched text is not given out */
    int n_stop;
    bool ignore_eos;   /* the model's end tokens do not stop */
    bool keep_control; /* the text of control tokens is given out too */
    /* log-probabilities of the model itself: before bias, penalties, grammar, temperature and
     * truncation, so they say what the model thought, not what it was left to choose from */
    bool logprobs;
    int n_top;                  /* alternatives with each, 0 .. FT_REQUEST_TOP_MAX */
    struct ft_grammar *grammar; /* NULL: none; the engine takes its own reference */
    /* The grammar holds from the end of this text on; until it has come, nothing ends the sample
     * but its length ("</think>": free reasoning, then JSON). Empty: from the start. */
    struct ft_slice grammar_after;
    struct ft_speculation spec;
    /* [n] An answer that goes on where it was cut, the other fields as they were: the same tokens
     * follow as without the cut. What is given counts as generated in every respect, and its
     * events come again first, marked `resumed`; samples that it ends are not run. NULL: none. */
    const struct ft_resume *resume;

    /* embedding and scoring */
    enum ft_pooling pooling; /* NONE: the model's own, else LAST */
    bool normalise;          /* to length 1: true */
    const int32_t *score_token;
    int n_score;

    /* scheduling */
    struct ft_slice caller; /* who shares fairly with whom; empty is a caller too */
    float caller_weight;    /* 0.001 .. 1000, its share: 1 */
    int priority;           /* -10 .. 10, higher first; waiting raises it slowly: 0 */
    bool prefix_cache;      /* may reuse and leave KV: true */
    struct ft_slice salt;   /* KV is reused only between requests of the same salt and adapter */

    /* Events: to on_event on the owner thread (it must not block), or if NULL to the stream that
     * submit returns; on_ready (may be NULL) is then called on the owner thread when events came
     * into an empty stream: it may wake the consumer, not use the stream itself. */
    void (*on_event)(void *ctx, const struct ft_event *ev);
    void (*on_ready)(void *ctx);
    void *ctx;
};

void ft_request_init(struct ft_request *r); /* the defaults given above, everything else empty */

/* ---- events ---- */

enum ft_event_kind {
    FT_EVENT_TOKEN,  /* one more token of a sample */
    FT_EVENT_DONE,   /* a sample has ended */
    FT_EVENT_RESULT, /* the values of an embedding or score */
    FT_EVENT_END,    /* the last event of the request */
};

enum ft_finish {
    FT_FINISH_EOS, /* the model's own end token, or the grammar's end */
    FT_FINISH_STOP_TOKEN,
    FT_FINISH_STOP_STRING,
    FT_FINISH_LENGTH, /* max_tokens, or the context or KV budget is full */
    FT_FINISH_CANCELLED,
    FT_FINISH_ERROR,
};
const char *ft_finish_name(enum ft_finish f); /* "eos", "stop_token", ... */

struct ft_top {
    int32_t token;
    float logprob;
};

struct ft_usage {
    int prompt_tokens;
    int cached_tokens;    /* of these, found in the prefix cache */
    int generated_tokens; /* over all samples, end tokens and resumed ones included */
    int drafted_tokens, accepted_tokens; /* by speculation */
    int preemptions;
    int64_t queue_ns;      /* submit to first admission */
    int64_t load_ns;       /* of it: the model's weights were being read */
    int64_t prefill_ns;    /* admission to the first token or result */
    int64_t decode_ns;     /* first token to the end */
    int64_t steps, shared; /* it took part in; sequences in them, itself among them */
    /* Processor time of the steps it took part in, all threads of the process, by its share of
     * their rows. */
    int64_t cpu_ns;
};

/* Pointers are valid during the callback, or until the next ft_stream_take. */
struct ft_event {
    enum ft_event_kind kind;
    int index;     /* TOKEN, DONE: which sample, 0 .. n-1 */
    int32_t token; /* TOKEN; DONE: the token that stopped it, or -1 */
    bool last;     /* TOKEN: the sample ends with it; its DONE comes next, unless it is cancelled */
    bool resumed;  /* TOKEN, DONE: of tokens that came with the request; no log-probabilities */
    /* TOKEN, DONE: text now free to be shown: whole characters, possibly none, possibly of
     * earlier tokens (held back while it might have become a stop string). */
    const char *text;
    size_t text_n;
    float logprob;            /* TOKEN, DONE with a token */
    const struct ft_top *top; /* most likely first; ties by id */
    int n_top;
    enum ft_finish finish; /* DONE; END: FT_FINISH_ERROR, _CANCELLED, or how sample 0 ended */
    int stop_index;        /* DONE by STOP_STRING: which one */
    const float *value;    /* RESULT */
    int n_value;
    /* END; TOKEN, unless resumed: prompt_tokens and cached_tokens alone, which are known by then */
    struct ft_usage usage;
    const struct ft_err *err; /* DONE, END: NULL unless finish is FT_FINISH_ERROR */
};

#endif
