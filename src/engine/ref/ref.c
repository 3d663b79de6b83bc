/* The reference device: frame, memory, weights and matrix products.
 *
 * Weights stay where the file maps them; every product dequantises a row and sums in f64. */
#include "engine/ref/ref_dev.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ref_open(const struct ft_dev_config *cfg, struct ft_dev **ret_dev, struct ft_err *err)
{
    if (cfg->isa != NULL && strcmp(cfg->isa, "c") != 0)
        return ft_err_set(err, FT_EINVAL, "device ref: isa '%s': only 'c'", cfg->isa);
    struct ft_dev *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ft_err_set(err, FT_ENOMEM, "device ref: no memory");
    d->ops = &ft_dev_ref_ops;
    *ret_dev = d;
    return 0;
}

static void ref_close(struct ft_dev *d)
{
    free(d);
}

static const char *ref_describe(struct ft_dev *d)
{
    (void)d;
    return "ref: plain C, f64 sums, 1 thread";
}

static void *ref_mem_alloc(struct ft_dev *d, size_t bytes)
{
    (void)d;
    return bytes > SIZE_MAX - 64 ? NULL : aligned_alloc(64, (bytes + 63) & ~(size_t)63);
}

static void ref_mem_free(struct ft_dev *d, void *p, size_t bytes)
{
    (void)d;
    (void)bytes;
    free(p);
}

static void ref_upload(struct ft_dev *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    memcpy(dst, src, bytes);
}

static const void *ref_host_view(struct ft_dev *d, const void *p, size_t bytes)
{
    (void)d;
    (void)bytes;
    return p;
}

static int ref_weight_open(struct ft_dev *d, const struct ft_tensor *t, struct ft_weight **ret_w,
                           struct ft_err *err)
{
    (void)d;
    const struct ft_type_info *info = ft_type_info(t->type);
    if (info == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "type %d is unknown", (int)t->type);
    if (t->n_dims > 3)
        return ft_err_set(err, FT_EUNSUPPORTED, "%d dimensions", t->n_dims);
    struct ft_ref_weight *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    w->base = (struct ft_weight){
        .n_in = t->dim[0],
        .n_out = t->dim[1],
        .n_stack = (int)t->dim[2],
        .type = t->type,
        .file_bytes = t->part_bytes * (size_t)t->n_parts,
    };
    w->t = t;
    w->info = info;
    *ret_w = &w->base;
    return 0;
}

static int ref_weight_load(struct ft_dev *d, struct ft_weight *w, struct ft_err *err)
{
    (void)d;
    (void)w;
    (void)err;
    return 0; /* used in place */
}

static void ref_weight_drop(struct ft_dev *d, struct ft_weight *w)
{
    (void)d;
    (void)w; /* the pages are the file's */
}

static size_t ref_weight_bytes(struct ft_dev *d, const struct ft_weight *w)
{
    (void)d;
    return w->file_bytes;
}

static void ref_weight_close(struct ft_dev *d, struct ft_weight *w)
{
    (void)d;
    free(w);
}

void ft_ref_row(const struct ft_ref_weight *w, int s, int64_t r, float *out)
{
    size_t row_bytes = ft_type_row_bytes(w->info, w->base.n_in);
    const unsigned char *p;
    if (w->t->n_parts > 1)
        p = (const unsigned char *)w->t->part[s] + (size_t)r * row_bytes;
    else
        p = (const unsigned char *)w->t->part[0] +
            ((size_t)s * (size_t)w->base.n_out + (size_t)r) * row_bytes;
    w->info->dequantise(p, out, w->base.n_in);
}

static void ref_embed(struct ft_dev *d, const struct ft_weight *w, const int32_t *id, int n,
                      struct ft_mat y)
{
    (void)d;
    for (int i = 0; i < n; i++)
        ft_ref_row((const struct ft_ref_weight *)w, 0, id[i], y.p + i * y.ld);
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static float *row_buffer(const struct ft_weight *w)
{
    float *row = malloc((size_t)w->n_in * sizeof *row);
    FT_ASSERT(row != NULL);
    return row;
}

static void ref_linear(struct ft_dev *d, struct ft_mat x, int n, const struct ft_linear *lin,
                       int n_lin)
{
    (void)d;
    float *row = row_buffer(lin[0].w);
    for (int l = 0; l < n_lin; l++) {
        const struct ft_linear *p = &lin[l];
        for (int64_t r = 0; r < p->w->n_out; r++) {
            ft_ref_row(ft_ref_weight(p->w), 0, r, row);
            double bias = p->bias != NULL ? p->bias[r] : 0;
            for (int i = 0; i < n; i++) {
                float *y = p->y.p + i * p->y.ld + r;
                double v = dot(row, x.p + i * x.ld, p->w->n_in) + bias;
                *y = (float)(p->add ? *y + v : v);
            }
        }
    }
    free(row);
}

static void ref_linear_heads(struct ft_dev *d, struct ft_mat x, int x_step, int n,
                             struct ft_weight *w, struct ft_mat y, int y_step)
{
    (void)d;
    float *row = row_buffer(w);
    for (int h = 0; h < w->n_stack; h++)
        for (int64_t r = 0; r < w->n_out; r++) {
            ft_ref_row(ft_ref_weight(w), h, r, row);
            for (int i = 0; i < n; i++)
                y.p[i * y.ld + (int64_t)h * y_step + r] =
                    (float)dot(row, x.p + i * x.ld + (int64_t)h * x_step, w->n_in);
        }
    free(row);
}

/* y[i] = W_e x[i] for one expert and one row. */
static void expert_product(struct ft_weight *w, int e, const float *x, float *row, float *y)
{
    for (int64_t r = 0; r < w->n_out; r++) {
        ft_ref_row(ft_ref_weight(w), e, r, row);
        y[r] = (float)dot(row, x, w->n_in);
    }
}

static void ref_experts(struct ft_dev *d, const struct ft_experts *e, struct ft_mat x, int n,
                        const int32_t *id, const float *weight, int n_used, struct ft_mat y)
{
    int64_t d_ff = e->gate->n_out, d_model = e->down->n_out;
    int64_t widest = FT_MAX(e->gate->n_in, d_ff);
    float *row = malloc((size_t)(widest + 2 * d_ff + d_model) * sizeof *row);
    FT_ASSERT(row != NULL);
    float *gate = row + widest, *up = gate + d_ff, *down = up + d_ff;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n_used; j++) {
            int ex = id[i * n_used + j];
            expert_product(e->gate, ex, x.p + i * x.ld, row, gate);
            expert_product(e->up, ex, x.p + i * x.ld, row, up);
            struct ft_mat g = {gate, d_ff}, u = {up, d_ff};
            ft_ref_swiglu(d, g, u, 1, (int)d_ff, g);
            expert_product(e->down, ex, gate, row, down);
            for (int64_t c = 0; c < d_model; c++)
                y.p[i * y.ld + c] += weight[i * n_used + j] * down[c];
        }
    free(row);
}

const struct ft_dev_ops ft_dev_ref_ops = {
    .name = "ref",
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .mem_alloc = ref_mem_alloc,
    .mem_free = ref_mem_free,
    .upload = ref_upload,
    .host_view = ref_host_view,
    .weight_open = ref_weight_open,
    .weight_load = ref_weight_load,
    .weight_drop = ref_weight_drop,
    .weight_bytes = ref_weight_bytes,
    .weight_close = ref_weight_close,
    .lora_open = ft_ref_lora_open,
    .lora_close = ft_ref_lora_close,
    .kv_open = ft_ref_kv_open,
    .kv_close = ft_ref_kv_close,
    .kv_block_bytes = ft_ref_kv_block_bytes,
    .kv_read = ft_ref_kv_read,
    .kv_write = ft_ref_kv_write,
    .kv_copy = ft_ref_kv_copy,
    .kv_release = ft_ref_kv_release,
    .embed = ref_embed,
    .gather = ft_ref_gather,
    .rmsnorm = ft_ref_rmsnorm,
    .linear = ref_linear,
    .lora = ft_ref_lora,
    .linear_heads = ref_linear_heads,
    .rope_table = ft_ref_rope_table,
    .heads = ft_ref_heads,
    .kv_store = ft_ref_kv_store,
    .attend = ft_ref_attend,
    .swiglu = ft_ref_swiglu,
    .route = ft_ref_route,
    .experts = ref_experts,
};
