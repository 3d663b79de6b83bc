/* A vocabulary as a trie, flat in depth-first order. Immutable. */
#ifndef FT_CONSTRAIN_VOCAB_H
#define FT_CONSTRAIN_VOCAB_H

#include "engine/constrain/constrain.h"
#include "engine/constrain/walk.h"

#define FT_VOCAB_TOKENS_MAX      (1 << 22)
#define FT_VOCAB_TOKEN_BYTES_MAX 65535

/* Node i: its byte, the index behind its subtree, its depth is that of the walk. Its tokens are
 * order[first[i]] .. order[first[i + 1] - 1]. Node 0 is the root and has no byte. */
struct ft_vocab {
    uint32_t n_tokens, n_nodes, max_depth;
    uint8_t *byte;
    uint32_t *skip, *first;
    int32_t *order;
    int32_t *eog, *control; /* control: never, but with a text */
    int32_t *longer;        /* texts of more than FT_RELAX_BYTES */
    uint32_t n_eog, n_control, n_longer;
    uint64_t id;                 /* unique in this process, for caches */
    struct ft_string_walk plain; /* any string, from between two characters */
    /* tokens by id, for accept */
    uint32_t *at; /* [n_tokens + 1] into bytes */
    char *bytes;
    uint8_t *kind; /* [n_tokens]: 0 text, 1 eog, 2 never */
};

#endif
