/* Adapters of a model on its device: which pair goes with which weight, and a batch's rows through
 * them.
 *
 * An adapter is opened on any thread while the model lives (it reads only what is fixed when the
 * model was opened) and belongs to whoever opened it; batches name it in their segments. Rows
 * without one cost nothing. */
#ifndef FT_ENGINE_ARCH_ADAPTER_H
#define FT_ENGINE_ARCH_ADAPTER_H

#include "engine/dev.h"
#include "model/adapter/adapter.h"

#define FT_ADAPTED_LINEARS_MAX 3 /* products of one input at most */

struct ft_model;

struct ft_model_adapter {
    struct ft_lora *lora;
    int *pair; /* [n_weights] of lora, -1: the weight stays as it is */
};

/* Rows that lie together and share an adapter. */
struct ft_adapter_run {
    const struct ft_model_adapter *adapter;
    int row, n;
};

/* A batch's runs, over all rows and over those whose result is wanted; empty without adapters. */
struct ft_adapter_runs {
    struct ft_adapter_run *all, *out; /* [cap] */
    struct ft_lora_use *use;          /* [cap * FT_ADAPTED_LINEARS_MAX] of one step */
    int n_all, n_out, cap;
};

/* Copies a to the device; a may be closed afterwards. FT_EUNSUPPORTED and FT_EINVAL name the
 * tensor: not one that adapters may add to, or of another shape. FT_ENOMEM. */
int ft_model_adapter_open(const struct ft_model *m, const struct ft_adapter *a,
                          struct ft_model_adapter **ret_a, struct ft_err *err);
/* No batch may have it any more. NULL is accepted. */
void ft_model_adapter_close(const struct ft_model *m, struct ft_model_adapter *a);

/* Before the pass: finds the runs of b. FT_ENOMEM. */
int ft_adapter_runs_make(struct ft_adapter_runs *r, const struct ft_batch *b, struct ft_err *err);
void ft_adapter_runs_fini(struct ft_adapter_runs *r);

/* ft_dev_linear, and what the adapters add. out: rows are those whose result is wanted, else all of
 * the batch. */
void ft_adapted_linear(struct ft_model *m, bool out, struct ft_mat x, int n,
                       const struct ft_linear *lin, int n_lin);

#endif
