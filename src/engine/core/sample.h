/* Sampling: from a row of logits to one token, its log-probability and the alternatives.
 *
 * Pure: the same logits, parameters and (seed, stream, position) give the same token. Order of what
 * is applied: request.h. The draw runs over the tokens in order of id, so that it needs no sorting,
 * and a small model and a large one that nearly agree draw the same token from the same random
 * number (spec.h). A vocabulary of 151k costs about 30 us greedy and 150 us with temperature and
 * top_p. */
#ifndef FT_ENGINE_CORE_SAMPLE_H
#define FT_ENGINE_CORE_SAMPLE_H

#include "base/err.h"
#include "engine/core/request.h"

/* Tokens seen, for the penalties: one per sample. Distinct tokens are bounded by the sequence's
 * length. */
struct ft_penalties {
    struct ft_penalty_count {
        int32_t token;
        int32_t n_all; /* in prompt and answer, inside the window */
        int32_t n_out; /* in the answer, inside the window */
    } * count;
    int32_t *slot; /* hash of token -> index into count + 1 */
    uint32_t n_slot, n_count;
    int window;    /* 0: all */
    size_t n_seen; /* tokens taken in so far */
};

bool ft_penalties_wanted(const struct ft_sampling *sp);
int ft_penalties_init(struct ft_penalties *p, int window, size_t n_tokens_max, struct ft_err *err);
void ft_penalties_fini(struct ft_penalties *p);
/* Takes in token[n_seen .. n); the first n_prompt are the prompt. */
void ft_penalties_advance(struct ft_penalties *p, const int32_t *token, size_t n, size_t n_prompt);

/* Scratch for one thread, grown to the largest vocabulary seen. */
struct ft_sampler {
    int n_max;
    float *x;    /* edited logits */
    float *p;    /* weights of the candidates */
    float *edge; /* largest logit of each block of FT_SAMPLE_BLOCK */
    float *work; /* selection */
    int32_t *id; /* candidates, when not the whole vocabulary; ascending */
    double *sum; /* weights per block */
    double *hist;
};

#define FT_SAMPLE_BLOCK 64

void ft_sampler_fini(struct ft_sampler *s);
int ft_sampler_reserve(struct ft_sampler *s, int n_vocab, struct ft_err *err);

struct ft_sample_in {
    const float *logits; /* [n_vocab] */
    int n_vocab;
    const struct ft_sampling *sp;
    const struct ft_penalties *penalties; /* NULL: none */
    const uint32_t *mask;                 /* bit set: allowed; NULL: all are */
    const int32_t *ban;                   /* never these */
    int n_ban;
    uint64_t stream, position; /* of the random number */
    bool logprob;
    int n_top;
};

struct ft_sample_out {
    int32_t token;
    float logprob;
    int n_top;
    struct ft_top top[FT_REQUEST_TOP_MAX];
};

/* FT_ELIMIT if nothing is allowed, FT_EINTERNAL if no logit is a number. */
int ft_sample(struct ft_sampler *s, const struct ft_sample_in *in, struct ft_sample_out *ret,
              struct ft_err *err);

/* log-softmax of the raw logits at token[0 .. n). */
void ft_sample_logprobs(const float *logits, int n_vocab, const int32_t *token, int n, float *ret);

#endif
