/* Adapters: kept in f32 as they come, summed in f64. */
#include <stdlib.h>
#include <string.h>

#include "engine/ref/ref_dev.h"

struct ref_lora {
    struct ft_lora base;
    struct ft_lora_pair *pair; /* [n_pairs], their matrices in `data` */
    float *data;
};

int ft_ref_lora_open(struct ft_dev *d, const struct ft_lora_pair *pair, int n,
                     struct ft_lora **ret_l, struct ft_err *err)
{
    (void)d;
    size_t floats = 0;
    for (int i = 0; i < n; i++)
        floats += (size_t)pair[i].rank * (size_t)(pair[i].n_in + pair[i].n_out);
    struct ref_lora *l = calloc(1, sizeof *l);
    struct ft_lora_pair *own = calloc((size_t)n + 1, sizeof *own);
    float *data = malloc((floats + 1) * sizeof *data), *at = data;
    if (l == NULL || own == NULL || data == NULL) {
        free(l);
        free(own);
        free(data);
        return ft_err_set(err, FT_ENOMEM, "adapter: no memory");
    }
    for (int i = 0; i < n; i++) {
        size_t na = (size_t)pair[i].rank * (size_t)pair[i].n_in;
        size_t nb = (size_t)pair[i].rank * (size_t)pair[i].n_out;
        own[i] = pair[i];
        own[i].a = memcpy(at, pair[i].a, na * sizeof *at);
        own[i].b = memcpy(at + na, pair[i].b, nb * sizeof *at);
        at += na + nb;
    }
    *l = (struct ref_lora){{n, floats * sizeof *data}, own, data};
    *ret_l = &l->base;
    return 0;
}

void ft_ref_lora_close(struct ft_dev *d, struct ft_lora *base)
{
    (void)d;
    struct ref_lora *l = (struct ref_lora *)base;
    free(l->pair);
    free(l->data);
    free(l);
}

static double dot(const float *a, const double *t, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * t[i];
    return sum;
}

void ft_ref_lora(struct ft_dev *d, struct ft_mat x, const struct ft_lora_use *use, int n_use)
{
    (void)d;
    double t[FT_LORA_RANK_MAX];
    for (int u = 0; u < n_use; u++) {
        const struct ft_lora_pair *p = &((const struct ref_lora *)use[u].lora)->pair[use[u].pair];
        for (int i = use[u].row; i < use[u].row + use[u].n; i++) {
            for (int r = 0; r < p->rank; r++) {
                t[r] = 0;
                for (int64_t k = 0; k < p->n_in; k++)
                    t[r] += (double)p->a[r * p->n_in + k] * x.p[i * x.ld + k];
            }
            float *y = use[u].y.p + i * use[u].y.ld;
            for (int64_t o = 0; o < p->n_out; o++)
                y[o] = (float)(y[o] + (double)p->scale * dot(p->b + o * p->rank, t, p->rank));
        }
    }
}
