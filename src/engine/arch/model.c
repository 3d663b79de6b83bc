/* A model on a device: opening weights by name with their shapes checked, residency, the frame of
 * the forward pass. What the layers do is the architecture's. */
#include "engine/arch/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/arch/rope.h"

#define ARENA_MAX    (64u << 20)
#define NAME_MAX_LEN 128
#define ROWS_DEFAULT 256
#define ROWS_MAX     (1 << 20)

static const struct ft_tensor *find(const struct ft_model *m, const char *name)
{
    return ft_weights_find(m->file, name);
}

bool ft_model_has(const struct ft_model *m, const char *fmt, ...)
{
    char name[NAME_MAX_LEN];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return find(m, name) != NULL;
}

static int check_shape(const struct ft_tensor *t, int64_t n_in, int64_t n_out, int64_t n_stack,
                       struct ft_err *err)
{
    if (t->dim[0] == n_in && t->dim[1] == n_out && t->dim[2] == n_stack && t->dim[3] == 1)
        return 0;
    return ft_err_set(err, FT_ECORRUPT,
                      "tensor %s: shape is [%lld, %lld, %lld], the configuration wants "
                      "[%lld, %lld, %lld]",
                      t->name, (long long)t->dim[0], (long long)t->dim[1], (long long)t->dim[2],
                      (long long)n_in, (long long)n_out, (long long)n_stack);
}

int ft_model_add_weight(struct ft_model *m, const struct ft_tensor *t, struct ft_weight **ret_w,
                        struct ft_err *err)
{
    struct ft_weight **grown =
        realloc(m->weight, ((size_t)m->n_weights + 1) * sizeof(struct ft_weight *));
    if (grown == NULL)
        return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", t->name);
    m->weight = grown;
    struct ft_slot *slots = realloc(m->slot, ((size_t)m->n_weights + 1) * sizeof *slots);
    if (slots == NULL)
        return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", t->name);
    m->slot = slots;
    int rc = ft_dev_weight_open(m->dev, t, &m->weight[m->n_weights], err);
    if (rc != 0)
        return rc;
    m->slot[m->n_weights] = (struct ft_slot){.name = t->name};
    *ret_w = m->weight[m->n_weights];
    (*ret_w)->index = m->n_weights++;
    return 0;
}

float *ft_model_host_array(struct ft_model *m, size_t n)
{
    float **grown = realloc(m->derived, ((size_t)m->n_derived + 1) * sizeof(float *));
    if (grown == NULL)
        return NULL;
    m->derived = grown;
    float *p = calloc(n, sizeof *p);
    if (p != NULL)
        m->derived[m->n_derived++] = p;
    return p;
}

static int open_weight(struct ft_model *m, const char *name, int64_t n_in, int64_t n_out,
                       int n_stack, struct ft_weight **ret_w, struct ft_err *err)
{
    const struct ft_tensor *t = find(m, name);
    if (t == NULL)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s is missing", name);
    int rc = check_shape(t, n_in, n_out, n_stack, err);
    return rc != 0 ? rc : ft_model_add_weight(m, t, ret_w, err);
}

int ft_model_weight(struct ft_model *m, int64_t n_in, int64_t n_out, int n_stack,
                    struct ft_weight **ret_w, struct ft_err *err, const char *fmt, ...)
{
    char name[NAME_MAX_LEN];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return open_weight(m, name, n_in, n_out, n_stack, ret_w, err);
}

int ft_model_matrix(struct ft_model *m, int64_t n_in, int64_t n_out, struct ft_weight **ret_w,
                    struct ft_err *err, const char *fmt, ...)
{
    char name[NAME_MAX_LEN];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    int rc = open_weight(m, name, n_in, n_out, 1, ret_w, err);
    if (rc == 0)
        m->slot[(*ret_w)->index].adapts = true;
    return rc;
}

int ft_model_vector(struct ft_model *m, int64_t n, float **ret_v, struct ft_err *err,
                    const char *fmt, ...)
{
    char name[NAME_MAX_LEN];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    const struct ft_tensor *t = find(m, name);
    if (t == NULL)
        return ft_err_set(err, FT_ECORRUPT, "tensor %s is missing", name);
    int rc = check_shape(t, n, 1, 1, err);
    if (rc != 0)
        return rc;
    const struct ft_type_info *info = ft_type_info(t->type);
    struct ft_vector *grown =
        realloc(m->vector, ((size_t)m->n_vectors + 1) * sizeof(struct ft_vector));
    if (grown != NULL)
        m->vector = grown;
    size_t bytes = (size_t)n * sizeof(float);
    float *host = malloc(bytes);
    float *p = grown == NULL || host == NULL ? NULL : ft_dev_mem_alloc(m->dev, bytes);
    if (p == NULL) {
        free(host);
        return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", name);
    }
    info->dequantise(t->part[0], host, n);
    ft_dev_upload(m->dev, p, host, bytes);
    free(host);
    m->vector[m->n_vectors++] = (struct ft_vector){t->name, p, bytes};
    *ret_v = p;
    return 0;
}

static int open_rope(struct ft_model *m, struct ft_err *err)
{
    int half = m->hp.rope.n_rot / 2;
    m->rope_freq = ft_arena_array(&m->arena, (size_t)half + 1, sizeof(double));
    float *factors = NULL;
    const struct ft_tensor *t = find(m, "rope_freqs.weight");
    if (t != NULL) {
        int rc = check_shape(t, half, 1, 1, err);
        if (rc != 0)
            return rc;
        factors = ft_arena_array(&m->arena, (size_t)half + 1, sizeof(float));
    }
    if (m->rope_freq == NULL || (t != NULL && factors == NULL))
        return ft_err_set(err, FT_ENOMEM, "rotary frequencies: no memory");
    if (t != NULL) {
        ft_type_info(t->type)->dequantise(t->part[0], factors, half);
        for (int j = 0; j < half; j++)
            if (!(factors[j] > 0))
                return ft_err_set(err, FT_ECORRUPT,
                                  "tensor rope_freqs.weight: element %d is not "
                                  "positive",
                                  j);
    }
    ft_rope_freqs(&m->hp.rope, factors, m->rope_freq);
    m->rope_mul = ft_rope_mul(&m->hp.rope);
    return 0;
}

static int open_common(struct ft_model *m, struct ft_err *err)
{
    const struct ft_hparams *hp = &m->hp;
    int rc = ft_model_weight(m, hp->d_model, hp->n_vocab, 1, &m->embed, err, "token_embd.weight");
    if (rc != 0)
        return rc;
    m->output = m->embed;
    if (ft_model_has(m, "output.weight"))
        rc = ft_model_matrix(m, hp->d_model, hp->n_vocab, &m->output, err, "output.weight");
    if (rc != 0)
        return rc;
    return ft_model_vector(m, hp->d_model, &m->output_norm, err, "output_norm.weight");
}

/* Before the hyperparameters are read: their keys begin with the architecture's name. */
static int find_arch(struct ft_model *m, struct ft_err *err)
{
    struct ft_slice s;
    char name[sizeof m->hp.arch];
    if (!ft_meta_str(m->file, "general.architecture", &s))
        return ft_err_set(err, FT_ECORRUPT, "key general.architecture: missing");
    snprintf(name, sizeof name, "%.*s", (int)FT_MIN(s.n, sizeof name), s.p);
    m->arch = ft_arch_find(name);
    if (m->arch != NULL)
        return 0;
    char known[256] = "";
    for (int i = 0; ft_arch_name(i) != NULL; i++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", i > 0 ? ", " : "", ft_arch_name(i));
    }
    return ft_err_set(err, FT_EUNSUPPORTED,
                      "general.architecture: '%s' is not supported; these are: %s", name, known);
}

static int open_scratch(struct ft_model *m, struct ft_err *err)
{
    size_t rows = (size_t)m->max_rows;
    m->scratch_bytes = rows * m->arch->scratch_floats(m) * sizeof(float);
    m->scratch = ft_dev_mem_alloc(m->dev, m->scratch_bytes);
    m->hidden = ft_dev_mem_alloc(m->dev, rows * (size_t)m->hp.d_model * sizeof(float));
    if (m->scratch == NULL || m->hidden == NULL)
        return ft_err_set(err, FT_ENOMEM, "scratch for %d rows: no memory", m->max_rows);
    return 0;
}

/* Most of its weights are rounded more coarsely than to bfloat16. */
static bool is_quantised(const struct ft_model *m)
{
    size_t all = 0, whole = 0;
    for (int i = 0; i < m->n_weights; i++) {
        size_t n = (size_t)(m->weight[i]->n_in * m->weight[i]->n_out * m->weight[i]->n_stack);
        all += n;
        whole += ft_type_is_float(m->weight[i]->type) ? n : 0;
    }
    return 2 * whole < all;
}

int ft_model_open(struct ft_dev *dev, const struct ft_weights *file,
                  const struct ft_model_config *cfg, struct ft_model **ret_m, struct ft_err *err)
{
    struct ft_model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ft_err_set(err, FT_ENOMEM, "model: no memory");
    m->dev = dev;
    m->file = file;
    m->max_rows = cfg->max_rows == 0 ? ROWS_DEFAULT : cfg->max_rows;
    ft_arena_init(&m->arena, ARENA_MAX);
    int rc = 0;
    if (m->max_rows < 1 || m->max_rows > ROWS_MAX)
        rc = ft_err_set(err, FT_EINVAL, "max_rows must be 1 to %d", ROWS_MAX);
    if (rc == 0)
        rc = find_arch(m, err);
    if (rc == 0)
        rc = ft_hparams_read(file, &m->hp, err);
    if (rc == 0) {
        m->kv_layer = ft_arena_array(&m->arena, (size_t)m->hp.n_layer, sizeof *m->kv_layer);
        m->kv_shape = (struct ft_kv_shape){
            .n_layer = m->hp.n_layer, .type = cfg->kv_type, .layer = m->kv_layer};
        if (m->kv_layer == NULL)
            rc = ft_err_set(err, FT_ENOMEM, "model: no memory");
    }
    if (rc == 0)
        rc = open_rope(m, err);
    if (rc == 0)
        rc = open_common(m, err);
    if (rc == 0)
        rc = m->arch->open(m, err);
    m->kv_shape.bf16 = is_quantised(m);
    if (rc == 0)
        rc = open_scratch(m, err);
    if (rc != 0) {
        ft_model_close(m);
        return rc;
    }
    *ret_m = m;
    return 0;
}

void ft_model_close(struct ft_model *m)
{
    if (m == NULL)
        return;
    for (int i = 0; i < m->n_weights; i++)
        ft_dev_weight_close(m->dev, m->weight[i]);
    for (int i = 0; i < m->n_vectors; i++)
        ft_dev_mem_free(m->dev, m->vector[i].p, m->vector[i].bytes);
    ft_dev_mem_free(m->dev, m->scratch, m->scratch_bytes);
    ft_dev_mem_free(m->dev, m->hidden, (size_t)m->max_rows * (size_t)m->hp.d_model * sizeof(float));
    ft_dev_mem_free(m->dev, m->logits, m->logits_bytes);
    for (int i = 0; i < m->n_derived; i++)
        free(m->derived[i]);
    free(m->derived);
    free(m->weight);
    free(m->slot);
    free(m->vector);
    ft_adapter_runs_fini(&m->runs);
    ft_arena_fini(&m->arena);
    free(m);
}

/* The table of embeddings is looked up row by row in the file, unless products need it too. */
static bool is_loaded_weight(const struct ft_model *m, int i)
{
    return m->weight[i] != m->embed || m->embed == m->output;
}

int ft_model_load(struct ft_model *m, void (*progress)(void *ctx, uint64_t done, uint64_t all),
                  void *ctx, struct ft_err *err)
{
    uint64_t all = 0, done = 0;
    for (int i = 0; i < m->n_weights; i++)
        all += is_loaded_weight(m, i) ? m->weight[i]->file_bytes : 0;
    for (int i = 0; i < m->n_weights; i++) {
        if (!is_loaded_weight(m, i))
            continue;
        int rc = ft_dev_weight_load(m->dev, m->weight[i], err);
        if (rc != 0) {
            ft_model_drop(m);
            return ft_err_wrap(err, "load %s", ft_weights_path(m->file));
        }
        done += m->weight[i]->file_bytes;
        if (progress != NULL)
            progress(ctx, done, all);
    }
    m->loaded = true;
    return 0;
}

void ft_model_drop(struct ft_model *m)
{
    for (int i = 0; i < m->n_weights; i++)
        ft_dev_weight_drop(m->dev, m->weight[i]);
    m->loaded = false;
}

uint64_t ft_model_weight_bytes(const struct ft_model *m)
{
    uint64_t sum = 0;
    for (int i = 0; i < m->n_weights; i++)
        sum += ft_dev_weight_bytes(m->dev, m->weight[i]);
    return sum;
}

static int check_batch(const struct ft_model *m, const struct ft_batch *b, struct ft_err *err)
{
    FT_ASSERT(m->loaded && b->n_rows >= 1 && b->n_rows <= m->max_rows && b->n_out <= b->n_rows);
    for (int i = 0; i < b->n_rows; i++)
        if (b->token[i] < 0 || b->token[i] >= m->hp.n_vocab)
            return ft_err_set(err, FT_EINVAL, "token %d is outside the vocabulary of %d",
                              b->token[i], m->hp.n_vocab);
    return 0;
}

static int grow_logits(struct ft_model *m, int n_out, struct ft_err *err)
{
    size_t bytes = (size_t)n_out * (size_t)m->hp.n_vocab * sizeof(float);
    if (bytes <= m->logits_bytes)
        return 0;
    ft_dev_mem_free(m->dev, m->logits, m->logits_bytes);
    m->logits = ft_dev_mem_alloc(m->dev, bytes);
    m->logits_bytes = m->logits != NULL ? bytes : 0;
    if (m->logits == NULL)
        return ft_err_set(err, FT_ENOMEM, "logits of %d rows: no memory", n_out);
    return 0;
}

int ft_model_forward(struct ft_model *m, struct ft_kv *kv, const struct ft_batch *b,
                     const float **ret_logits, const float **ret_hidden, struct ft_err *err)
{
    int rc = check_batch(m, b, err);
    if (rc == 0 && ret_logits != NULL)
        rc = grow_logits(m, b->n_out, err);
    if (rc == 0)
        rc = ft_adapter_runs_make(&m->runs, b, err);
    if (rc != 0)
        return rc;
    struct ft_mat out = {m->hidden, m->hp.d_model};
    m->arch->forward(m, kv, b, out);
    size_t n_out = (size_t)b->n_out;
    if (ret_logits != NULL) {
        if (b->n_out > 0) {
            struct ft_linear lin = {m->output, NULL, {m->logits, m->hp.n_vocab}, false};
            ft_adapted_linear(m, true, out, b->n_out, &lin, 1);
        }
        *ret_logits =
            ft_dev_host_view(m->dev, m->logits, n_out * (size_t)m->hp.n_vocab * sizeof(float));
    }
    if (ret_hidden != NULL)
        *ret_hidden =
            ft_dev_host_view(m->dev, m->hidden, n_out * (size_t)m->hp.d_model * sizeof(float));
    return 0;
}
