/* The gated feed-forward and the mixture of experts. */
#include "engine/arch/decoder.h"

#include <stdio.h>

static int open_dense(struct ft_model *m, int layer, const char *suffix, int d_ff, struct ft_ffn *f,
                      struct ft_err *err)
{
    int64_t d = m->hp.d_model;
    f->d_ff = d_ff;
    int rc = ft_model_matrix(m, d, d_ff, &f->gate, err, "blk.%d.ffn_gate%s.weight", layer, suffix);
    if (rc == 0)
        rc = ft_model_matrix(m, d, d_ff, &f->up, err, "blk.%d.ffn_up%s.weight", layer, suffix);
    if (rc == 0)
        rc = ft_model_matrix(m, d_ff, d, &f->down, err, "blk.%d.ffn_down%s.weight", layer, suffix);
    return rc;
}

static int open_experts(struct ft_model *m, int layer, bool norm_topk, struct ft_ffn *f,
                        struct ft_err *err)
{
    const struct ft_hparams *hp = &m->hp;
    int64_t d = hp->d_model, d_ff = hp->d_ff_expert;
    int n = hp->n_expert;
    char key[64];
    snprintf(key, sizeof key, "%s.expert_weights_norm", hp->arch);
    f->route = (struct ft_route){
        .n_expert = n,
        .n_used = hp->n_expert_used,
        .gating = hp->gating,
        .norm = norm_topk,
        .scale = (float)hp->expert_scale,
        .n_group = hp->n_expert_group,
        .n_group_used = hp->n_expert_group_used,
        .n_group_best = hp->gating == FT_GATE_SIGMOID ? 2 : 1,
    };
    ft_meta_bool(m->file, key, &f->route.norm);
    int rc = ft_model_matrix(m, d, n, &f->router, err, "blk.%d.ffn_gate_inp.weight", layer);
    if (rc == 0 && ft_model_has(m, "blk.%d.exp_probs_b.bias", layer)) {
        float *bias = NULL;
        rc = ft_model_vector(m, n, &bias, err, "blk.%d.exp_probs_b.bias", layer);
        f->route.bias = bias;
    }
    if (rc == 0)
        rc = ft_model_weight(m, d, d_ff, n, &f->experts.gate, err, "blk.%d.ffn_gate_exps.weight",
                             layer);
    if (rc == 0)
        rc =
            ft_model_weight(m, d, d_ff, n, &f->experts.up, err, "blk.%d.ffn_up_exps.weight", layer);
    if (rc == 0)
        rc = ft_model_weight(m, d_ff, d, n, &f->experts.down, err, "blk.%d.ffn_down_exps.weight",
                             layer);
    if (rc == 0 && ft_model_has(m, "blk.%d.ffn_gate_shexp.weight", layer))
        rc = open_dense(m, layer, "_shexp", hp->d_ff_shared, f, err);
    return rc;
}

int ft_ffn_open(struct ft_model *m, int layer, bool norm_topk, struct ft_ffn *f, struct ft_err *err)
{
    if (m->hp.n_expert > 0 && ft_model_has(m, "blk.%d.ffn_gate_inp.weight", layer))
        return open_experts(m, layer, norm_topk, f, err);
    return open_dense(m, layer, "", m->hp.d_ff, f, err);
}

size_t ft_ffn_floats(const struct ft_model *m)
{
    const struct ft_hparams *hp = &m->hp;
    size_t dense = 2 * (size_t)FT_MAX(hp->d_ff, hp->d_ff_shared);
    return dense + (size_t)hp->n_expert + 2 * (size_t)hp->n_expert_used;
}

static void experts_forward(struct ft_fwd *f, const struct ft_ffn *ffn, int n, size_t *at)
{
    struct ft_dev *d = f->m->dev;
    struct ft_mat logit = ft_fwd_carve(f, at, ffn->route.n_expert);
    struct ft_mat weight = ft_fwd_carve(f, at, ffn->route.n_used);
    int32_t *id = (int32_t *)ft_fwd_carve(f, at, ffn->route.n_used).p;
    struct ft_linear lin = {ffn->router, NULL, logit, false};
    ft_fwd_linear(f, f->h, n, &lin, 1);
    ft_dev_route(d, &ffn->route, logit, n, id, weight.p);
    ft_dev_experts(d, &ffn->experts, f->h, n, id, weight.p, ffn->route.n_used, f->x);
}

void ft_ffn_forward(struct ft_fwd *f, const struct ft_ffn *ffn, int n)
{
    struct ft_dev *d = f->m->dev;
    size_t at = 0;
    if (ffn->router != NULL)
        experts_forward(f, ffn, n, &at);
    if (ffn->gate == NULL)
        return;
    struct ft_mat gate = ft_fwd_carve(f, &at, ffn->d_ff), up = ft_fwd_carve(f, &at, ffn->d_ff);
    struct ft_linear in[2] = {{ffn->gate, NULL, gate, false}, {ffn->up, NULL, up, false}};
    ft_fwd_linear(f, f->h, n, in, 2);
    ft_dev_swiglu(d, gate, up, n, ffn->d_ff, gate);
    struct ft_linear out = {ffn->down, NULL, f->x, true};
    ft_fwd_linear(f, gate, n, &out, 1);
}
