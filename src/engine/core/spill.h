/* The spill file: KV blocks of preempted sequences, in an unlinked temporary file.
 *
 * One file per model (blocks of one model have one size); the byte bound is shared by all of an
 * engine. Losing a block is never fatal: its tokens are computed again. Owner thread only. */
#ifndef FT_ENGINE_CORE_SPILL_H
#define FT_ENGINE_CORE_SPILL_H

#include <stdint.h>

#include "base/err.h"

struct ft_spill_budget {
    uint64_t max_bytes, used_bytes;
};

struct ft_spill {
    const char *dir; /* NULL: off */
    struct ft_spill_budget *budget;
    int fd; /* opened at the first write; -1 */
    size_t slot_bytes;
    int32_t *freed; /* slots given back */
    int n_freed, cap_freed;
    int32_t n_slots; /* the file's length in slots */
};

void ft_spill_init(struct ft_spill *s, const char *dir, struct ft_spill_budget *budget,
                   size_t slot_bytes);
void ft_spill_fini(struct ft_spill *s);

/* A slot that now holds the block's bytes, or a negative ft_code: FT_ELIMIT when off or full,
 * FT_EIO. */
int32_t ft_spill_write(struct ft_spill *s, const void *block, struct ft_err *err);
int ft_spill_read(struct ft_spill *s, int32_t slot, void *ret_block, struct ft_err *err);
void ft_spill_free(struct ft_spill *s, int32_t slot);

#endif
