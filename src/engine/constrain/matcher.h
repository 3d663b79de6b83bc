/* A sequence's position: the machine's state and the memory it lives in. */
#ifndef FT_CONSTRAIN_MATCHER_H
#define FT_CONSTRAIN_MATCHER_H

#include "engine/constrain/grammar.h"
#include "engine/constrain/vocab.h"

struct ft_level { /* of a walk down the trie */
    const void *state;
    struct ft_scratch_mark mark;
    uint32_t end;
};

/* Steps of one mask, half a second to two: a grammar with so many ways open at once that a mask
 * takes more ends its request, rather than holding up every other. */
#define FT_MASK_WORK_MAX ((uint64_t)16 << 20)

struct ft_matcher {
    struct ft_grammar *g;
    const struct ft_vocab *v;
    const void *state;
    bool ended;
    int which; /* of the two scratches: where `state` lives */
    struct ft_scratch scratch[2];
    struct ft_level *level; /* [v->max_depth + 2] */
};

static inline struct ft_scratch *ft_matcher_scratch(struct ft_matcher *m)
{
    return &m->scratch[m->which];
}

/* Sets the bits of all tokens below `node` (not of its own bytes) that `state` allows. */
void ft_mask_walk(struct ft_matcher *m, uint32_t node, const void *state, uint32_t *mask);
/* Sets the bits of all tokens (not eog ones) that m's state allows. */
void ft_mask(struct ft_matcher *m, uint32_t *mask);

#endif
