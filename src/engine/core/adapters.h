/* Adapters that are loaded beside the models of an engine.
 *
 * Files are read and brought into the device's layout on the caller's thread; the owner thread only
 * takes the result into its table and its budget, so what decodes is not held up. An adapter stays
 * until it is removed: nothing evicts it. Its serial number, never given out twice, keeps its KV
 * apart in the prefix cache from that of the base and of every other adapter, also of a later one
 * under the same id. */
#ifndef FT_ENGINE_CORE_ADAPTERS_H
#define FT_ENGINE_CORE_ADAPTERS_H

#include <stdatomic.h>

#include "engine/arch/adapter.h"
#include "engine/core/engine.h"

struct ft_hosted;
struct ft_req;

struct ft_hosted_adapter {
    char id[FT_ENGINE_ID_MAX];
    struct ft_hosted *m; /* holds a reference */
    struct ft_model_adapter *on_dev;
    uint64_t serial; /* from 1 */
    uint64_t bytes;
    int n_pairs, rank_max;
    int n_ref;    /* under the engine's lock: the table's, and one per request */
    bool removed; /* owner */
    atomic_int n_requests;
    atomic_ullong generated_tokens;
    struct ft_hosted_adapter *next_gone;
};

/* Any thread. The adapter of h with one more reference, or NULL. */
struct ft_hosted_adapter *ft_hosted_adapter_hold(struct ft_engine *e, const struct ft_hosted *h,
                                                 const char *id);
void ft_hosted_adapter_unhold(struct ft_engine *e, struct ft_hosted_adapter *a); /* NULL: nothing */

/* Owner thread from here on. */
int ft_hosted_adapter_enter(struct ft_engine *e, struct ft_hosted_adapter *a, struct ft_err *err);
/* Cancels its requests and forgets it. */
int ft_hosted_adapter_remove(struct ft_engine *e, const char *model, const char *id,
                             struct ft_err *err);
/* The same for all of h, whose requests are cancelled already. */
void ft_hosted_adapters_clear(struct ft_engine *e, struct ft_hosted *h);
/* Frees those that are removed and that no request has any more. */
void ft_hosted_adapters_reap(struct ft_engine *e);

/* What keeps a request's KV apart from others' in the prefix cache: FT_RADIX_SALT_BYTES of key;
 * returns how many. */
size_t ft_hosted_adapter_salt(const struct ft_req *q, unsigned char *key);

#endif
