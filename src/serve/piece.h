/* Pieces: what comes back from a completion, in no API's words. A replica gives them, serving
 * passes them on, an API writes them in its protocol.
 *
 * Exactly one FT_PIECE_END comes for an accepted request, whatever happens, and nothing after it.
 * Pieces that share a `step` came of the same tokens and are atomic: either all or none of them
 * were passed on when a replica died, so that another can go on behind them. */
#ifndef FT_SERVE_PIECE_H
#define FT_SERVE_PIECE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/phases.h"
#include "base/slice.h"

#define FT_PIECE_CHOICES_MAX 128 /* n */

/* References to JSON that several threads hold. jansson's own count atomically too, but look at the
 * count before without; the thread sanitizer minds. Not for true, false and null. */
static inline json_t *ft_json_ref(json_t *v)
{
    __atomic_add_fetch(&v->refcount, 1, __ATOMIC_RELAXED);
    return v;
}
static inline void ft_json_unref(json_t *v)
{
    if (v != NULL && __atomic_sub_fetch(&v->refcount, 1, __ATOMIC_ACQ_REL) == 0)
        json_delete(v);
}

enum ft_piece_kind {
    FT_PIECE_CONTENT,    /* text of the answer */
    FT_PIECE_REASONING,  /* text of the thinking before it */
    FT_PIECE_CALL_BEGIN, /* a tool call: call, call_id, text is the function's name */
    FT_PIECE_CALL_ARGS,  /* more of its arguments: call, text */
    FT_PIECE_FINISH,     /* a choice has ended: finish */
    FT_PIECE_RESULT,     /* json: an embedding list, ranks, token counts; kind decides the form */
    FT_PIECE_STEP,       /* the end of a step: tokens and logprobs, even when no text came of it */
    FT_PIECE_END,        /* the last: usage, and err unless all went well */
};

enum ft_answer_finish {
    FT_ANSWER_STOP, /* the model's end, or a stop string */
    FT_ANSWER_LENGTH,
    FT_ANSWER_CALLS, /* ended with tool calls */
    FT_ANSWER_FILTERED,
};
/* "stop", "length", "tool_calls", "content_filter": OpenAI's words. */
#define FT_ANSWER_FINISHES 4
const char *ft_answer_finish_name(enum ft_answer_finish f);
bool ft_answer_finish_parse(const char *name, enum ft_answer_finish *ret);

struct ft_answer_usage {
    int prompt_tokens, cached_tokens; /* cached: of the prompt's, found in the prefix cache */
    int completion_tokens;            /* over all choices */
    int reasoning_tokens;             /* of these */
    int64_t cpu_us;                   /* of processor time, all threads; 0: not measured */
    int64_t energy_uj;                /* microjoules */
    bool energy_estimated;            /* from cpu_us, where the machine does not tell */
    bool counted; /* tokens were counted here, roughly: the server did not tell */
    /* Of END: where the time went, as far as it was told; NULL: it was not. */
    const struct ft_phases *phases;
    /* Of serving's END: which of the endpoint's versions it was given to last; NULL or "": none. */
    const char *target;
};

/* Whose fault it is that a call ended with an error: decides whether it is tried elsewhere. APIs
 * need not look at it. */
enum ft_piece_fault {
    FT_FAULT_CALL,    /* the request's own, or it was cancelled: never tried again */
    FT_FAULT_BUSY,    /* the replica is full */
    FT_FAULT_UNHEARD, /* it never got the request: not there, connection refused */
    FT_FAULT_REPLICA, /* it broke, perhaps of this request: connection lost, internal error */
};

/* Pointers are valid during the callback. */
struct ft_piece {
    enum ft_piece_kind kind;
    int choice;
    struct ft_slice text;
    int call; /* CALL_*: which of the choice's calls, from 0 */
    struct ft_slice call_id;
    enum ft_answer_finish finish;
    struct ft_slice stop; /* FINISH by a stop string: which; else p is NULL */
    const int32_t *token; /* STEP: ids generated; none from servers that do not tell */
    int n_token;
    json_t *logprobs; /* STEP: OpenAI's "logprobs" object of these tokens, or NULL */
    json_t
        *json; /* RESULT: the answer's object, as OpenAI's: "data" or "results"; "prompt_tokens" */
    /* END; before: prompt_tokens and cached_tokens, as far as they are known by then */
    struct ft_answer_usage usage;
    const struct ft_err *err;  /* END: NULL: all went well; FT_ECANCELED: as asked */
    enum ft_piece_fault fault; /* END with err */
    int retry_after_ms;        /* END with FT_EBUSY: when it may be worth trying again */
};

typedef void ft_piece_fn(void *ctx, const struct ft_piece *piece);

#endif
