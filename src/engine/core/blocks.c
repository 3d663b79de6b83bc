/* See blocks.h. freed[] is a stack whose top holds the warm blocks, so the most recently used pages
 * go out first; a block that becomes one too many turns the coldest warm one cold. */
#include "engine/core/blocks.h"

#include <stdlib.h>

int ft_blocks_init(struct ft_blocks *p, struct ft_budget *budget, struct ft_dev *dev,
                   struct ft_kv *kv, size_t block_bytes, int n_max, struct ft_err *err)
{
    FT_ASSERT(n_max > 0 && n_max <= FT_BLOCKS_MAX);
    *p = (struct ft_blocks){.budget = budget,
                            .dev = dev,
                            .kv = kv,
                            .block_bytes = block_bytes,
                            .n_max = n_max,
                            .ref = calloc((size_t)n_max, sizeof(int32_t)),
                            .freed = calloc((size_t)n_max, sizeof(int32_t))};
    if (p->ref != NULL && p->freed != NULL)
        return 0;
    ft_blocks_fini(p);
    return ft_err_set(err, FT_ENOMEM, "KV block pool: no memory for %d blocks", n_max);
}

void ft_blocks_fini(struct ft_blocks *p)
{
    if (p->budget != NULL)
        p->budget->kv_bytes -= (uint64_t)(p->n_used + p->n_warm) * p->block_bytes;
    free(p->ref);
    free(p->freed);
    *p = (struct ft_blocks){0};
}

static bool budget_has(const struct ft_blocks *p)
{
    const struct ft_budget *b = p->budget;
    uint64_t held = ft_budget_held(b);
    return held <= b->max_bytes && b->max_bytes - held >= p->block_bytes;
}

int32_t ft_blocks_take(struct ft_blocks *p)
{
    int32_t b;
    if (p->n_warm > 0) {
        p->n_warm--;
        b = p->freed[--p->n_free];
    } else {
        if (!budget_has(p) || (p->n_free == 0 && p->n_fresh == p->n_max))
            return -1;
        b = p->n_free > 0 ? p->freed[--p->n_free] : p->n_fresh++;
        p->budget->kv_bytes += p->block_bytes;
    }
    FT_ASSERT(p->ref[b] == 0);
    p->ref[b] = 1;
    p->n_used++;
    return b;
}

void ft_blocks_ref(struct ft_blocks *p, int32_t b)
{
    FT_ASSERT(b >= 0 && b < p->n_max && p->ref[b] > 0);
    p->ref[b]++;
}

static void cool(struct ft_blocks *p, int32_t b)
{
    if (p->dev != NULL)
        ft_dev_kv_release(p->dev, p->kv, b);
    p->budget->kv_bytes -= p->block_bytes;
}

int ft_blocks_unref(struct ft_blocks *p, int32_t b)
{
    FT_ASSERT(b >= 0 && b < p->n_max && p->ref[b] > 0);
    if (--p->ref[b] > 0)
        return p->ref[b];
    p->n_used--;
    p->freed[p->n_free++] = b;
    if (p->n_warm < FT_BLOCKS_WARM_MAX)
        p->n_warm++;
    else
        cool(p, p->freed[p->n_free - p->n_warm - 1]);
    return 0;
}

bool ft_blocks_trim(struct ft_blocks *p)
{
    bool any = p->n_warm > 0;
    for (; p->n_warm > 0; p->n_warm--)
        cool(p, p->freed[p->n_free - p->n_warm]);
    return any;
}

int ft_blocks_available(const struct ft_blocks *p)
{
    const struct ft_budget *b = p->budget;
    uint64_t held = ft_budget_held(b);
    uint64_t room = held < b->max_bytes ? (b->max_bytes - held) / p->block_bytes : 0;
    int cold = p->n_free - p->n_warm + (p->n_max - p->n_fresh);
    return p->n_warm + (room < (uint64_t)cold ? (int)room : cold);
}
