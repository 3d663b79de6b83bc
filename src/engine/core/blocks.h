/* The block pool of one model: which KV blocks are in use, by how many, within the engine's bytes.
 *
 * A block is held by reference: one for each sequence that has it in its table and one for the
 * prefix cache. At zero it is free again. Free blocks whose pages were touched are handed out
 * first; past a few their pages are given back to the system. Owner thread only. */
#ifndef FT_ENGINE_CORE_BLOCKS_H
#define FT_ENGINE_CORE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/dev.h"

#define FT_BLOCKS_MAX      (1 << 20) /* per model: 32 million tokens */
#define FT_BLOCKS_WARM_MAX 16        /* free ones that keep their pages */

/* The bytes all models of an engine share. */
struct ft_budget {
    uint64_t max_bytes;
    uint64_t weight_bytes;  /* resident weights */
    uint64_t adapter_bytes; /* loaded adapters */
    uint64_t kv_bytes;      /* blocks whose pages may be touched: used, cached and warm */
};

static inline uint64_t ft_budget_held(const struct ft_budget *b)
{
    return b->weight_bytes + b->adapter_bytes + b->kv_bytes;
}

struct ft_blocks {
    struct ft_budget *budget;
    struct ft_dev *dev; /* NULL in tests: pages are not given back */
    struct ft_kv *kv;
    size_t block_bytes;
    int n_max;
    int n_fresh;    /* blocks from here on were never handed out */
    int n_used;     /* references > 0 */
    int n_warm;     /* free, pages kept: the last n_warm of free[] */
    int n_free;     /* given back */
    int32_t *ref;   /* [n_max] */
    int32_t *freed; /* [n_max], the first n_free are valid; cold ones first, then warm ones */
};

int ft_blocks_init(struct ft_blocks *p, struct ft_budget *budget, struct ft_dev *dev,
                   struct ft_kv *kv, size_t block_bytes, int n_max, struct ft_err *err);
void ft_blocks_fini(struct ft_blocks *p); /* gives its bytes back to the budget */

/* A block with one reference, or -1: the pool or the budget is exhausted. */
int32_t ft_blocks_take(struct ft_blocks *p);
void ft_blocks_ref(struct ft_blocks *p, int32_t b);
/* Returns how many references are left. */
int ft_blocks_unref(struct ft_blocks *p, int32_t b);
/* Gives the pages of warm free blocks back; true if there were any. */
bool ft_blocks_trim(struct ft_blocks *p);

/* Blocks that take could hand out now, nothing evicted. */
int ft_blocks_available(const struct ft_blocks *p);

#endif
