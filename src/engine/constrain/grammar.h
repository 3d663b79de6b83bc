/* A compiled grammar, as the matcher sees it. */
#ifndef FT_CONSTRAIN_GRAMMAR_H
#define FT_CONSTRAIN_GRAMMAR_H

#include <stdatomic.h>

#include "base/arena.h"
#include "engine/constrain/cache.h"
#include "engine/constrain/constrain.h"
#include "engine/constrain/machine.h"

struct ft_grammar {
    atomic_int refs;
    struct ft_arena arena;
    const struct ft_machine_ops *ops;
    const void *g;
    struct ft_cache cache; /* has its own lock */
};

#endif
