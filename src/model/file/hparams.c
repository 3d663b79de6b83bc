/* Reading hyperparameters: GGUF keys with llama.cpp's names and defaults, every value bounded.
 *
 * A key that is present must be of the right kind and within its bounds; an absent one takes the
 * default that the format gives it or, where there is none, is an error naming the key. The rope
 * factors of Llama 3.1 and later come, in GGUF files, as a tensor `rope_freqs.weight`: the engine
 * reads that; here only its metadata (folders of Hugging Face) is read. */
#include "model/file/hparams.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIM_MAX   (1 << 24) /* widths of matrices */
#define CTX_MAX   (1 << 30)
#define HEADS_MAX 4096

struct reader {
    const struct ft_weights *w;
    const char *arch;
    struct ft_err *err;
    int rc; /* the first failure; later calls do nothing */
    char key[128];
};

static const char *key_of(struct reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->arch, name);
    return r->key;
}

static void fail(struct reader *r, const char *what)
{
    if (r->rc == 0)
        r->rc = ft_err_set(r->err, FT_ECORRUPT, "key %s: %s", r->key, what);
}

/* present: the key exists, whatever its kind */
static bool present(const struct reader *r, const char *key)
{
    return ft_meta_has(r->w, key);
}

#define REQUIRED (-1)

/* An integer in [min, max]; `absent` when the key is not there (REQUIRED: an error). An array gives
 * its largest element where `per_layer`, as per-layer sizes may be stored so. */
static int read_int(struct reader *r, const char *name, int64_t min, int64_t max, int64_t absent)
{
    const char *key = key_of(r, name);
    if (r->rc != 0)
        return 0;
    if (!present(r, key)) {
        if (absent == REQUIRED)
            fail(r, "missing");
        return (int)absent;
    }
    uint64_t v;
    char text[96];
    if (!ft_meta_u64(r->w, key, &v)) {
        fail(r, "not a whole number");
        return 0;
    }
    if (v > (uint64_t)max || (int64_t)v < min) {
        snprintf(text, sizeof text, "%" PRIu64 " is outside %" PRId64 " to %" PRId64, v, min, max);
        fail(r, text);
        return 0;
    }
    return (int)v;
}

/* As read_int; an array with one value per layer is taken when all of them are equal. */
static int read_per_layer(struct reader *r, const char *name, int n_layer, int64_t min, int64_t max,
                          int64_t absent)
{
    const char *key = key_of(r, name);
    int64_t n = r->rc != 0 ? -1 : ft_meta_array_len(r->w, key);
    if (n < 0)
        return read_int(r, name, min, max, absent);
    uint64_t first = 0, v;
    if (n < n_layer || !ft_meta_array_u64(r->w, key, 0, &first)) {
        fail(r, "not one whole number per layer");
        return 0;
    }
    for (int64_t i = 1; i < n_layer; i++) {
        if (!ft_meta_array_u64(r->w, key, i, &v) || v != first) {
            if (r->rc == 0)
                r->rc = ft_err_set(r->err, FT_EUNSUPPORTED, "key %s: differs between layers", key);
            return 0;
        }
    }
    if (first > (uint64_t)max || (int64_t)first < min)
        fail(r, "outside its bounds");
    return r->rc == 0 ? (int)first : 0;
}

static double read_real(struct reader *r, const char *name, double min, double max, double absent)
{
    const char *key = key_of(r, name);
    if (r->rc != 0 || !present(r, key))
        return absent;
    double v;
    if (!ft_meta_f64(r->w, key, &v)) {
        fail(r, "not a number");
        return absent;
    }
    if (!(v >= min && v <= max)) { /* NaN fails too */
        char text[96];
        snprintf(text, sizeof text, "%g is outside %g to %g", v, min, max);
        fail(r, text);
        return absent;
    }
    return v;
}

static bool read_bool(struct reader *r, const char *name, bool absent)
{
    const char *key = key_of(r, name);
    bool v = absent;
    if (r->rc == 0 && present(r, key) && !ft_meta_bool(r->w, key, &v))
        fail(r, "not a boolean");
    return v;
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static enum ft_rope_pairs pairs_of(const struct reader *r)
{
    if (is(r->arch, "deepseek2"))
        return FT_ROPE_NEIGHBOURS;
    /* llama.cpp's converter permutes the rows of q and k; a folder has them as trained */
    if (is(r->arch, "llama"))
        return ft_weights_source(r->w) == FT_SOURCE_GGUF ? FT_ROPE_NEIGHBOURS : FT_ROPE_HALVES;
    return FT_ROPE_HALVES;
}

static void scaling_read(struct reader *r, struct ft_rope_params *p)
{
    const char *key = key_of(r, "rope.scaling.type");
    struct ft_slice s = {"none", 4};
    if (r->rc != 0 || (present(r, key) && !ft_meta_str(r->w, key, &s))) {
        fail(r, "not a string");
        return;
    }
    static const struct {
        const char *name;
        enum ft_rope_scaling scaling;
    } kinds[] = {{"none", FT_ROPE_PLAIN},
                 {"linear", FT_ROPE_LINEAR},
                 {"yarn", FT_ROPE_YARN},
                 {"llama3", FT_ROPE_LLAMA3}};
    size_t i = 0;
    while (i < FT_COUNT(kinds) &&
           !(strlen(kinds[i].name) == s.n && memcmp(kinds[i].name, s.p, s.n) == 0))
        i++;
    if (i == FT_COUNT(kinds)) {
        r->rc = ft_err_set(r->err, FT_EUNSUPPORTED, "key %s: the scaling '%.*s'", key,
                           (int)FT_MIN(s.n, 32), s.p);
        return;
    }
    p->scaling = kinds[i].scaling;
    p->factor = read_real(r, "rope.scaling.factor", 0, 1e6, 1);
    if (p->factor == 0) /* how some files say "none" */
        p->factor = 1;
    /* old llama files: rope.scale_linear, the factor of linear scaling */
    double linear = read_real(r, "rope.scale_linear", 0, 1e6, 1);
    if (p->scaling == FT_ROPE_PLAIN && linear != 1 && linear != 0) {
        p->scaling = FT_ROPE_LINEAR;
        p->factor = linear;
    }
    if (p->scaling == FT_ROPE_PLAIN)
        p->factor = 1;
}

static void rope_read(struct reader *r, struct ft_hparams *h)
{
    struct ft_rope_params *p = &h->rope;
    p->pairs = pairs_of(r);
    p->theta = read_real(r, "rope.freq_base", 1, 1e12, 10000);
    int n_rot = h->kv_lora_rank > 0 ? REQUIRED : h->d_k;
    p->n_rot = read_int(r, "rope.dimension_count", 0, h->d_k > 0 ? h->d_k : DIM_MAX, n_rot);
    if (p->n_rot % 2 != 0)
        fail(r, "odd");
    scaling_read(r, p);
    p->orig_ctx = read_int(r, "rope.scaling.original_context_length", 0, CTX_MAX, h->n_ctx_train);
    if (p->orig_ctx == 0)
        p->orig_ctx = h->n_ctx_train;
    p->attn_factor = read_real(r, "rope.scaling.attn_factor", 0, 1e4, 1) *
                     read_real(r, "rope.scaling.yarn_attn_factor", 0, 1e4, 1);
    p->beta_fast = read_real(r, "rope.scaling.yarn_beta_fast", 0, 1e6,
                             read_real(r, "rope.scaling.beta_fast", 0, 1e6, 32));
    p->beta_slow = read_real(r, "rope.scaling.yarn_beta_slow", 0, 1e6,
                             read_real(r, "rope.scaling.beta_slow", 0, 1e6, 1));
    p->low_freq_factor = read_real(r, "rope.scaling.low_freq_factor", 0, 1e6, 1);
    p->high_freq_factor = read_real(r, "rope.scaling.high_freq_factor", 0, 1e6, 4);
    if (p->scaling == FT_ROPE_LLAMA3 && !(p->high_freq_factor > p->low_freq_factor))
        fail(r, "not above low_freq_factor");
    p->yarn_log_mul = read_real(r, "rope.scaling.yarn_log_multiplier", 0, 100, 0);
}

static void experts_read(struct reader *r, struct ft_hparams *h)
{
    h->expert_scale = 1;
    h->n_expert = read_int(r, "expert_count", 0, FT_EXPERTS_MAX, 0);
    if (h->n_expert == 0)
        return;
    h->n_expert_used = read_int(r, "expert_used_count", 1, h->n_expert, REQUIRED);
    h->n_expert_shared = read_int(r, "expert_shared_count", 0, FT_EXPERTS_MAX, 0);
    h->d_ff_expert = read_int(r, "expert_feed_forward_length", 0, DIM_MAX, h->d_ff);
    if (h->d_ff_expert == 0)
        h->d_ff_expert = h->d_ff;
    int64_t shared = (int64_t)h->n_expert_shared * h->d_ff_expert;
    h->d_ff_shared =
        read_int(r, "expert_shared_feed_forward_length", 0, DIM_MAX, FT_MIN(shared, DIM_MAX));
    h->n_layer_dense = read_int(r, "leading_dense_block_count", 0, h->n_layer, 0);
    /* qwen3moe normalises without saying so in its metadata; Mixtral-like llama too */
    bool deepseek = is(r->arch, "deepseek2");
    h->expert_norm = read_bool(r, "expert_weights_norm", !deepseek);
    h->expert_scale = read_real(r, "expert_weights_scale", 0, 1e4, 1);
    if (h->expert_scale == 0)
        h->expert_scale = 1;
    int gating = read_int(r, "expert_gating_func", 0, 2, FT_GATE_SOFTMAX);
    h->gating = gating == 0 ? FT_GATE_SOFTMAX : (enum ft_gating)gating;
    h->n_expert_group = read_int(r, "expert_group_count", 0, h->n_expert, 0);
    h->n_expert_group_used =
        read_int(r, "expert_group_used_count", 0, FT_MAX(h->n_expert_group, 1), 0);
    if (r->rc == 0 && h->n_expert_group > 1 &&
        (h->n_expert % h->n_expert_group != 0 || h->n_expert_group_used < 1 ||
         h->n_expert_used > h->n_expert / h->n_expert_group * h->n_expert_group_used))
        fail(r, "the groups do not fit the number of experts");
}

static void latent_read(struct reader *r, struct ft_hparams *h)
{
    h->kv_lora_rank = read_int(r, "attention.kv_lora_rank", 0, DIM_MAX, 0);
    if (h->kv_lora_rank == 0)
        return;
    h->q_lora_rank = read_int(r, "attention.q_lora_rank", 0, DIM_MAX, 0);
    /* files from before the split of kv_b say the per-head sizes in key_length, value_length */
    h->d_k_mla = read_int(r, "attention.key_length_mla", 1, DIM_MAX, h->d_k);
    h->d_v_mla = read_int(r, "attention.value_length_mla", 1, DIM_MAX, h->d_v);
}

static int vocab_size(struct reader *r)
{
    int64_t n = ft_meta_array_len(r->w, "tokenizer.ggml.tokens");
    const struct ft_tensor *t = ft_weights_find(r->w, "token_embd.weight");
    if (t != NULL) /* the matrix decides: it may be padded past the tokens */
        n = t->n_dims == 2 ? t->dim[1] : -1;
    else if (n <= 0)
        n = read_int(r, "vocab_size", 1, FT_VOCAB_MAX, REQUIRED);
    if (r->rc == 0 && (n < 1 || n > FT_VOCAB_MAX))
        r->rc = ft_err_set(r->err, FT_ECORRUPT,
                           "tensor token_embd.weight: %" PRId64 " tokens (1 to %d are allowed)", n,
                           FT_VOCAB_MAX);
    return (int)n;
}

static void attention_read(struct reader *r, struct ft_hparams *h)
{
    h->n_head = read_per_layer(r, "attention.head_count", h->n_layer, 1, HEADS_MAX, REQUIRED);
    h->n_head_kv =
        read_per_layer(r, "attention.head_count_kv", h->n_layer, 1, HEADS_MAX, h->n_head);
    if (r->rc == 0 && h->n_head % h->n_head_kv != 0)
        fail(r, "does not divide attention.head_count");
    int d_head = r->rc == 0 ? h->d_model / h->n_head : 0;
    h->d_k = read_int(r, "attention.key_length", 1, DIM_MAX, d_head);
    h->d_v = read_int(r, "attention.value_length", 1, DIM_MAX, d_head);
    if (r->rc == 0 && (h->d_k == 0 || h->d_v == 0))
        fail(r, "more heads than dimensions");
    h->norm_eps = read_real(r, "attention.layer_norm_rms_epsilon", 0, 1,
                            read_real(r, "attention.layer_norm_epsilon", 0, 1, 1e-5));
}

int ft_rope_ordered_heads(const struct ft_hparams *h, const char *tensor)
{
    if (!is(h->arch, "llama"))
        return 0;
    if (ft_str_ends(tensor, ".attn_q.weight") || ft_str_ends(tensor, ".attn_q.bias"))
        return h->n_head;
    if (ft_str_ends(tensor, ".attn_k.weight") || ft_str_ends(tensor, ".attn_k.bias"))
        return h->n_head_kv;
    return 0;
}

double ft_rope_llama3_factor(const struct ft_rope_params *p, int i)
{
    double wave = 6.283185307179586 * pow(p->theta, 2.0 * i / p->n_rot);
    if (wave < p->orig_ctx / p->high_freq_factor)
        return 1;
    if (wave > p->orig_ctx / p->low_freq_factor)
        return p->factor;
    double smooth =
        (p->orig_ctx / wave - p->low_freq_factor) / (p->high_freq_factor - p->low_freq_factor);
    return 1 / ((1 - smooth) / p->factor + smooth);
}

int ft_hparams_read(const struct ft_weights *w, struct ft_hparams *ret, struct ft_err *err)
{
    struct ft_hparams h = {0};
    struct ft_slice arch;
    if (!ft_meta_str(w, "general.architecture", &arch))
        return ft_err_set(err, FT_ECORRUPT, "key general.architecture: missing");
    if (arch.n == 0 || arch.n >= sizeof h.arch || memchr(arch.p, 0, arch.n) != NULL)
        return ft_err_set(err, FT_ECORRUPT, "key general.architecture: 1 to %zu bytes are allowed",
                          sizeof h.arch - 1);
    memcpy(h.arch, arch.p, arch.n);

    struct reader r = {.w = w, .arch = h.arch, .err = err};
    h.n_layer = read_int(&r, "block_count", 1, FT_LAYERS_MAX, REQUIRED);
    h.n_ctx_train = read_int(&r, "context_length", 1, CTX_MAX, REQUIRED);
    h.d_model = read_int(&r, "embedding_length", 1, DIM_MAX, REQUIRED);
    h.d_ff = read_per_layer(&r, "feed_forward_length", h.n_layer, 0, DIM_MAX, 0);
    attention_read(&r, &h);
    latent_read(&r, &h);
    rope_read(&r, &h);
    if (r.rc == 0 && h.kv_lora_rank > 0 && h.rope.n_rot >= h.d_k_mla)
        fail(&r, "rope.dimension_count is not below the key's size");
    experts_read(&r, &h);
    h.n_vocab = r.rc == 0 ? vocab_size(&r) : 0;
    if (r.rc == 0)
        *ret = h;
    return r.rc;
}
