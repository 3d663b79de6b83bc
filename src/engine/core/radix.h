/* The prefix cache of one model: a tree over full KV blocks, keyed by salt and tokens.
 *
 * Every node is one block of FT_KV_BLOCK tokens and the block id is the node's name, so the tree
 * needs no memory of its own. Children are found by a hash of (parent, tokens) and compared in
 * full. Each salt has a root of its own: two salts never meet. The tree holds one reference on each
 * of its blocks; what only the tree holds is evicted leaf by leaf, least recently used first.
 *
 * A block that a sequence holds has all its ancestors held by the same sequence; so an idle node
 * has only idle descendants, and eviction from the leaves reaches every idle block. Owner thread
 * only. */
#ifndef FT_ENGINE_CORE_RADIX_H
#define FT_ENGINE_CORE_RADIX_H

#include "engine/core/blocks.h"

/* Salts at once. Beyond, those that no request has give way, oldest first; if all have one, further
 * requests run without prefix cache. */
#define FT_RADIX_ROOTS_MAX  4096
#define FT_RADIX_SALT_BYTES 72

struct ft_radix_node {
    int32_t token[FT_KV_BLOCK];
    int32_t parent; /* block id; -1 - root at the first level */
    int32_t next;   /* chain of the hash bucket, -1 ends */
    int32_t n_child;
    int32_t heap_at; /* place in the heap of idle leaves, -1 if not there */
    uint64_t used;   /* when a sequence last let go of it or took it */
    bool live;
};

struct ft_radix_root {
    unsigned char salt[FT_RADIX_SALT_BYTES];
    uint32_t salt_n;
    uint64_t hash;
    int32_t ref;     /* requests */
    int32_t n_child; /* nodes of the first level */
    bool live;
};

struct ft_radix {
    struct ft_blocks *pool;
    struct ft_radix_node *node; /* [pool->n_max] */
    int32_t *bucket;            /* [n_bucket] first node, -1 none */
    int n_bucket;               /* a power of two */
    int32_t *heap;              /* idle leaves, oldest first */
    int n_heap;
    int n_nodes, n_idle; /* in the tree; of these, held by the tree alone */
    uint64_t *clock;     /* shared by all trees of an engine, so that ages compare */
    uint64_t n_evicted;
    struct ft_radix_root *root; /* [FT_RADIX_ROOTS_MAX] */
    int n_root;
};

int ft_radix_init(struct ft_radix *r, struct ft_blocks *pool, uint64_t *clock, struct ft_err *err);
/* The tree's references are not given back one by one: the pool goes with it. */
void ft_radix_fini(struct ft_radix *r);

/* The root of a salt (n <= FT_RADIX_SALT_BYTES), held until root_put; -1 if there are too many. */
int32_t ft_radix_root_get(struct ft_radix *r, const void *salt, size_t n);
void ft_radix_root_put(struct ft_radix *r, int32_t root);

/* The longest cached prefix of token[0 .. n), in whole blocks: fills block[], takes a reference on
 * each for the caller and returns how many. */
int ft_radix_match(struct ft_radix *r, int32_t root, const int32_t *token, int n, int32_t *block);
/* The same, counting only. *ret_idle (may be NULL): how many of them only the tree holds. */
int ft_radix_peek(const struct ft_radix *r, int32_t root, const int32_t *token, int n,
                  int *ret_idle);

/* Offers block b, held by the caller and filled with token[0 .. FT_KV_BLOCK), as the child of
 * `parent` (-1: of the root). Returns the block that the caller holds from now on: b, or the equal
 * one that the tree has already; then the caller's reference on b was exchanged for one on it. */
int32_t ft_radix_insert(struct ft_radix *r, int32_t root, int32_t parent, const int32_t *token,
                        int32_t b);

/* Gives back a caller's reference on any block of the pool, in the tree or not. */
void ft_radix_release(struct ft_radix *r, int32_t b);

/* Frees the least recently used idle leaf; false if there is none. */
bool ft_radix_evict(struct ft_radix *r);
/* When that leaf was last used; UINT64_MAX if there is none. */
uint64_t ft_radix_oldest(const struct ft_radix *r);
void ft_radix_clear(struct ft_radix *r); /* evicts all that is idle */

#endif
