/* Architectures: how a model's named weights become a forward pass over a device.
 *
 * A new architecture is one file arch_<name>.c and one row in the table of arch.c. What it may use
 * of a sequence's past it declares per layer in its kv shape: keys and values, a fixed-size state,
 * or nothing; nobody else assumes any of them. */
#ifndef FT_ENGINE_ARCH_H
#define FT_ENGINE_ARCH_H

#include "engine/dev.h"

struct ft_model;

struct ft_arch {
    const char *name; /* general.architecture */
    /* Opens the weights it needs by name (ft_model_weight, ft_model_vector), checks their
     * shapes, fills m->kv_layer. Private state goes to m->arch_state, from m->arena. */
    int (*open)(struct ft_model *m, struct ft_err *err);
    /* Runs the layers over the batch: leaves the final hidden rows wanted (after the last norm),
     * [b->n_out, d_model], in `out`. */
    void (*forward)(struct ft_model *m, struct ft_kv *kv, const struct ft_batch *b,
                    struct ft_mat out);
    /* f32 scratch per row of a batch beyond the final hidden row. */
    size_t (*scratch_floats)(const struct ft_model *m);
};

const struct ft_arch *ft_arch_find(const char *name); /* NULL if unknown */
/* The i-th supported architecture's name, NULL past the end. */
const char *ft_arch_name(int i);

#endif
