/* Adapters beside a model: see adapter.h. */
#include "engine/arch/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "engine/arch/model.h"

/* ---- opening ---- */

static int find_weight(const struct ft_model *m, const char *name)
{
    for (int i = 0; i < m->n_weights; i++)
        if (strcmp(m->slot[i].name, name) == 0)
            return i;
    return -1;
}

static int check_pair(const struct ft_model *m, const struct ft_adapter_pair *p, int at,
                      struct ft_err *err)
{
    if (at < 0 || !m->slot[at].adapts)
        return ft_err_set(err, FT_EUNSUPPORTED, "tensor %s: %s models take no adapter on it",
                          p->tensor, m->hp.arch);
    const struct ft_weight *w = m->weight[at];
    if (p->n_in != w->n_in || p->n_out != w->n_out)
        return ft_err_set(err, FT_EINVAL,
                          "tensor %s: the adapter is for [%lld, %lld], the model has [%lld, %lld]",
                          p->tensor, (long long)p->n_in, (long long)p->n_out, (long long)w->n_in,
                          (long long)w->n_out);
    if (p->rank < 1 || p->rank > FT_LORA_RANK_MAX)
        return ft_err_set(err, FT_EUNSUPPORTED, "tensor %s: rank %d, must be 1 to %d", p->tensor,
                          p->rank, FT_LORA_RANK_MAX);
    return 0;
}

int ft_model_adapter_open(const struct ft_model *m, const struct ft_adapter *a,
                          struct ft_model_adapter **ret_a, struct ft_err *err)
{
    struct ft_model_adapter *d = calloc(1, sizeof *d);
    struct ft_lora_pair *pair = calloc((size_t)a->n + 1, sizeof *pair);
    int *of = malloc((size_t)m->n_weights * sizeof *of);
    int rc = 0;
    if (d == NULL || pair == NULL || of == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "adapter: no memory");
    for (int i = 0; rc == 0 && i < m->n_weights; i++)
        of[i] = -1;
    for (int i = 0; rc == 0 && i < a->n; i++) {
        const struct ft_adapter_pair *p = &a->pair[i];
        int at = find_weight(m, p->tensor);
        rc = check_pair(m, p, at, err);
        if (rc == 0)
            of[at] = i;
        pair[i] = (struct ft_lora_pair){p->n_in, p->n_out, p->rank, p->scale, p->a, p->b};
    }
    if (rc == 0)
        rc = ft_dev_lora_open(m->dev, pair, a->n, &d->lora, err);
    free(pair);
    if (rc != 0) {
        free(of);
        free(d);
        return rc;
    }
    d->pair = of;
    *ret_a = d;
    return 0;
}

void ft_model_adapter_close(const struct ft_model *m, struct ft_model_adapter *a)
{
    if (a == NULL)
        return;
    ft_dev_lora_close(m->dev, a->lora);
    free(a->pair);
    free(a);
}

/* ---- a batch ---- */

static int grow(struct ft_adapter_runs *r, int n, struct ft_err *err)
{
    if (n <= r->cap)
        return 0;
    ft_adapter_runs_fini(r);
    r->all = calloc((size_t)n, sizeof *r->all);
    r->out = calloc((size_t)n, sizeof *r->out);
    r->use = calloc((size_t)n * FT_ADAPTED_LINEARS_MAX, sizeof *r->use);
    if (r->all == NULL || r->out == NULL || r->use == NULL) {
        ft_adapter_runs_fini(r);
        return ft_err_set(err, FT_ENOMEM, "batch of %d segments with adapters: no memory", n);
    }
    r->cap = n;
    return 0;
}

void ft_adapter_runs_fini(struct ft_adapter_runs *r)
{
    free(r->all);
    free(r->out);
    free(r->use);
    *r = (struct ft_adapter_runs){0};
}

/* n more rows from `row` on; n may be 0. */
static void add_rows(struct ft_adapter_run *run, int *n_run, const struct ft_model_adapter *a,
                     int row, int n)
{
    struct ft_adapter_run *last = *n_run > 0 ? &run[*n_run - 1] : NULL;
    if (a == NULL || n == 0)
        return;
    if (last != NULL && last->adapter == a && last->row + last->n == row)
        last->n += n;
    else
        run[(*n_run)++] = (struct ft_adapter_run){a, row, n};
}

int ft_adapter_runs_make(struct ft_adapter_runs *r, const struct ft_batch *b, struct ft_err *err)
{
    int adapted = 0;
    for (int i = 0; i < b->n_segs; i++)
        adapted += b->seg[i].adapter != NULL;
    r->n_all = r->n_out = 0;
    int rc = grow(r, adapted, err);
    if (rc != 0 || adapted == 0)
        return rc;
    for (int i = 0, at = 0; i < b->n_segs; i++) {
        const struct ft_seg *s = &b->seg[i];
        int first = at;
        while (at < b->n_out && b->out_row[at] < s->row + s->n)
            at++;
        add_rows(r->all, &r->n_all, s->adapter, s->row, s->n);
        add_rows(r->out, &r->n_out, s->adapter, first, at - first);
    }
    return 0;
}

void ft_adapted_linear(struct ft_model *m, bool out, struct ft_mat x, int n,
                       const struct ft_linear *lin, int n_lin)
{
    const struct ft_adapter_runs *r = &m->runs;
    const struct ft_adapter_run *run = out ? r->out : r->all;
    int n_run = out ? r->n_out : r->n_all, n_use = 0;
    FT_ASSERT(n_lin <= FT_ADAPTED_LINEARS_MAX);
    ft_dev_linear(m->dev, x, n, lin, n_lin);
    for (int i = 0; i < n_run; i++)
        for (int l = 0; l < n_lin; l++) {
            int pair = run[i].adapter->pair[lin[l].w->index];
            if (pair >= 0)
                r->use[n_use++] = (struct ft_lora_use){run[i].adapter->lora, pair, run[i].row,
                                                       run[i].n, lin[l].y};
        }
    if (n_use > 0)
        ft_dev_lora(m->dev, x, r->use, n_use);
}
