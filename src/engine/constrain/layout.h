/* A compiled layout (constrain.h), and the machine that runs it: an automaton whose steps are texts
 * and other machines.
 *
 * A state is a list of threads, each inside of one node: so far through its text, or at a state of
 * its machine. FORK, CUT and END are passed through at once, as nodes that may be empty are. Nodes
 * from which no END can be reached are never entered, so every state can be completed. */
#ifndef FT_CONSTRAIN_LAYOUT_H
#define FT_CONSTRAIN_LAYOUT_H

#include "engine/constrain/cx.h"
#include "engine/constrain/machine.h"

#define FT_LAYOUT_THREADS_MAX 1024 /* more are dropped: fewer texts, never a wrong one */

struct ft_lnode {
    uint8_t op; /* enum ft_layout_op */
    bool live;  /* END can be reached from here */
    uint16_t next, other;
    uint32_t n;
    const char *text;                 /* [n] TEXT */
    const struct ft_machine_ops *ops; /* of the others that read: their machine */
    const void *g;
    const char *without; /* [n_without] */
    uint8_t n_without;
    const uint8_t *back; /* [n_without] the longest beginning of `without` that ends so, shorter */
};

struct ft_layout_graph {
    struct ft_lnode *node;
    uint32_t n_nodes, start;
    bool control;
};

struct ft_layout;
/* Fails through cx. *ret_at: the node at work, -1 between them. */
const struct ft_layout_graph *ft_layout_compile(struct ft_cx *cx, const struct ft_layout *layout,
                                                int *ret_at);

#endif
