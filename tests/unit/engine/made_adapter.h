/* Adapters made up for tests: random pairs on matrices of a model, by the ends of their names. */
#ifndef FT_TEST_MADE_ADAPTER_H
#define FT_TEST_MADE_ADAPTER_H

#include "testing.h"

#include "base/rand.h"
#include "model/adapter/adapter.h"

/* Every matrix that the architectures take adapters on. */
static const char *const adapted_all[] = {
    "attn_q.weight",        "attn_k.weight",         "attn_v.weight",   "attn_output.weight",
    "ffn_gate.weight",      "ffn_up.weight",         "ffn_down.weight", "ffn_gate_shexp.weight",
    "ffn_up_shexp.weight",  "ffn_down_shexp.weight", "attn_q_a.weight", "attn_q_b.weight",
    "attn_kv_a_mqa.weight", "ffn_gate_inp.weight",   ".output.weight",  NULL};
static const char *const adapted_few[] = {"attn_q.weight", "ffn_down.weight",
                                          "ffn_down_shexp.weight", NULL};

static inline float *made_numbers(int64_t n, double size, uint64_t stream)
{
    float *p = malloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        p[i] = (float)(size * (2 * ft_rand_unit(77, stream, (uint64_t)i) - 1));
    return p;
}

static inline bool made_takes(const char *name, const char *const *targets)
{
    char dotted[FT_TENSOR_NAME_MAX + 2];
    snprintf(dotted, sizeof dotted, ".%s", name);
    size_t n = strlen(dotted);
    for (int i = 0; targets[i] != NULL; i++) {
        size_t t = strlen(targets[i]);
        if (n > t && strcmp(dotted + n - t, targets[i]) == 0)
            return true;
    }
    return false;
}

/* rank <= 0: another one for every matrix, 1 .. 9. size: of the change beside a weight of 1. */
static inline struct ft_adapter *made_adapter(const struct ft_weights *w,
                                              const char *const *targets, int rank, double size,
                                              uint64_t seed)
{
    struct ft_adapter *a = calloc(1, sizeof *a);
    a->pair = calloc((size_t)ft_weights_count(w), sizeof *a->pair);
    for (int i = 0; i < ft_weights_count(w); i++) {
        const struct ft_tensor *t = ft_weights_at(w, i);
        if (!made_takes(t->name, targets))
            continue;
        struct ft_adapter_pair *p = &a->pair[a->n];
        snprintf(p->tensor, sizeof p->tensor, "%s", t->name);
        p->n_in = t->dim[0];
        p->n_out = t->dim[1];
        p->rank = rank > 0 ? rank : 1 + i % 9;
        p->alpha = 2 * (float)p->rank;
        p->scale = ft_adapter_scale(p->alpha, p->rank, false);
        p->a = made_numbers(p->rank * p->n_in, 1, seed * 100000 + 2 * (uint64_t)i);
        p->b = made_numbers(p->rank * p->n_out, size, seed * 100000 + 2 * (uint64_t)i + 1);
        a->n++;
    }
    return a;
}

#endif
