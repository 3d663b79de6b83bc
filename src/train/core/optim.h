/* AdamW (Loshchilov and Hutter, arXiv:1711.05101) over parameters, spread over a pool. Sums and
 * updates have one order, so threads change no bit. */
#ifndef FT_TRAIN_OPTIM_H
#define FT_TRAIN_OPTIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"

/* One parameter: n numbers, their gradient and the two moments. */
struct ft_optim_param {
    float *value, *grad; /* [n] the caller's */
    int64_t n;
    bool decay;
    float *m, *v; /* [n] the optimiser's; to be saved and loaded */
};

struct ft_optim_config {
    double beta1, beta2, eps, weight_decay;
    double clip; /* largest length of the whole gradient; 0: any */
};

struct ft_optim;

/* param: [n]; value, grad, n and decay are read; m and v are made, with zeros. The array stays the
 * caller's and must stay. FT_ENOMEM. */
int ft_optim_open(struct ft_pool *pool, const struct ft_optim_config *cfg,
                  struct ft_optim_param *param, int n, struct ft_optim **ret_o, struct ft_err *err);
void ft_optim_close(struct ft_optim *o);   /* NULL is accepted */
uint64_t ft_optim_bytes(int64_t n_values); /* of m and v */

/* The length of the gradient; not a number or infinite if any element is. */
double ft_optim_norm(struct ft_optim *o);
/* Step `step` (from 1) with learning rate lr; norm is ft_optim_norm's. Changes values, m and v. */
void ft_optim_step(struct ft_optim *o, int64_t step, double lr, double norm);

#endif
