/* The immutable side of a hosted model: files, tokenizer, what they say. See models.h. */
#include "engine/core/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define CLS_ROWS_MAX 16

static void destroy(struct ft_source_box *s)
{
    ft_vocab_close(s->vocab);
    ft_tokenizer_close(s->tokenizer);
    ft_weights_close(s->weights);
    pthread_mutex_destroy(&s->lock);
    free(s->cls);
    free(s);
}

struct ft_source_box *ft_source_ref(struct ft_source_box *s)
{
    atomic_fetch_add(&s->ref, 1);
    return s;
}

void ft_model_source_unref(const struct ft_model_source *pub)
{
    struct ft_source_box *s = (struct ft_source_box *)pub;
    if (s != NULL && atomic_fetch_sub(&s->ref, 1) == 1)
        destroy(s);
}

const char *ft_model_state_name(enum ft_model_state s)
{
    static const char *const name[] = {"cold", "loading", "ready", "failed"};
    return (size_t)s < FT_COUNT(name) ? name[s] : "unknown";
}

static enum ft_pooling read_pooling(const struct ft_weights *w, const char *arch)
{
    char key[64];
    uint64_t v = 0;
    snprintf(key, sizeof key, "%s.pooling_type", arch);
    if (!ft_meta_u64(w, key, &v) || v > FT_POOL_RANK)
        return FT_POOL_NONE;
    return (enum ft_pooling)v;
}

/* A classification head, as reranking models have it: cls.output.weight [d_model, n]. */
static int read_cls(struct ft_source_box *s, struct ft_err *err)
{
    const struct ft_tensor *t = ft_weights_find(s->weights, "cls.output.weight");
    if (t == NULL)
        return 0;
    if (t->dim[0] != s->pub.hp.d_model || t->dim[1] < 1 || t->dim[1] > CLS_ROWS_MAX ||
        t->n_parts != 1)
        return ft_err_set(err, FT_ECORRUPT, "tensor cls.output.weight: shape is [%lld, %lld]",
                          (long long)t->dim[0], (long long)t->dim[1]);
    const struct ft_type_info *info = ft_type_info(t->type);
    int64_t n = t->dim[0] * t->dim[1];
    s->cls = calloc((size_t)n, sizeof *s->cls);
    if (s->cls == NULL)
        return ft_err_set(err, FT_ENOMEM, "classification head: no memory");
    info->dequantise(t->part[0], s->cls, n);
    s->n_cls = (int)t->dim[1];
    s->pub.has_cls = true;
    return 0;
}

static void read_tokens(struct ft_source_box *s)
{
    int n = FT_MIN(ft_tokenizer_size(s->tokenizer), s->pub.hp.n_vocab);
    for (int32_t i = 0; i < n; i++) {
        size_t len;
        (void)ft_tokenizer_bytes(s->tokenizer, i, &len);
        s->token_bytes_max = FT_MAX(s->token_bytes_max, len);
        if (ft_tokenizer_is_eog(s->tokenizer, i) && s->n_eog < FT_SOURCE_EOG_MAX)
            s->eog[s->n_eog++] = i;
    }
}

int ft_source_open(const char *id, struct ft_weights *w, struct ft_tokenizer *t, int n_ctx,
                   struct ft_source_box **ret_s, struct ft_err *err)
{
    struct ft_source_box *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "model %s: no memory", id);
    atomic_init(&s->ref, 1);
    pthread_mutex_init(&s->lock, NULL);
    snprintf(s->id, sizeof s->id, "%s", id);
    s->pub.id = s->id;
    s->pub.weights = w;
    s->pub.tokenizer = t;
    s->weights = w;
    int rc = ft_hparams_read(w, &s->pub.hp, err);
    if (rc == 0 && (n_ctx < 0 || n_ctx > s->pub.hp.n_ctx_train))
        rc = ft_err_set(err, FT_EINVAL, "n_ctx: %d, the model was made for %d", n_ctx,
                        s->pub.hp.n_ctx_train);
    if (rc == 0) {
        s->pub.n_ctx = n_ctx > 0 ? n_ctx : s->pub.hp.n_ctx_train;
        s->pub.pooling = read_pooling(w, s->pub.hp.arch);
        rc = read_cls(s, err);
    }
    if (rc != 0) {
        s->weights = NULL; /* still the caller's */
        destroy(s);
        return rc;
    }
    s->tokenizer = t;
    if (t != NULL)
        read_tokens(s);
    *ret_s = s;
    return 0;
}

static int make_vocab(struct ft_source_box *s, struct ft_err *err)
{
    int n = s->pub.hp.n_vocab;
    struct ft_vocab_token *tok = calloc((size_t)n, sizeof *tok);
    if (tok == NULL)
        return ft_err_set(err, FT_ENOMEM, "grammar vocabulary: no memory");
    for (int32_t i = 0; i < n; i++) {
        tok[i] = (struct ft_vocab_token){.bytes = "", .never = true};
        if (i >= ft_tokenizer_size(s->tokenizer))
            continue;
        size_t len;
        tok[i].bytes = ft_tokenizer_bytes(s->tokenizer, i, &len);
        tok[i].n = (uint32_t)len;
        tok[i].eog = ft_tokenizer_is_eog(s->tokenizer, i);
        tok[i].never = !tok[i].eog && (ft_tokenizer_is_control(s->tokenizer, i) || len == 0);
    }
    int rc = ft_vocab_open(tok, n, &s->vocab, err);
    free(tok);
    return rc;
}

int ft_source_vocab(struct ft_source_box *s, const struct ft_vocab **ret_v, struct ft_err *err)
{
    pthread_mutex_lock(&s->lock);
    int rc = s->vocab != NULL ? 0 : make_vocab(s, err);
    if (rc == 0)
        *ret_v = s->vocab;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static uint64_t tokens_hash(struct ft_source_box *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->tokens_hash == 0) {
        uint64_t h = 1;
        int n = FT_MIN(ft_tokenizer_size(s->tokenizer), s->pub.hp.n_vocab);
        for (int32_t i = 0; i < n; i++) {
            size_t len;
            const char *p = ft_tokenizer_bytes(s->tokenizer, i, &len);
            h = (h ^ ft_hash_bytes(p, len)) * 0x9e3779b97f4a7c15u + (uint64_t)len;
        }
        s->tokens_hash = h != 0 ? h : 1;
    }
    uint64_t h = s->tokens_hash;
    pthread_mutex_unlock(&s->lock);
    return h;
}

bool ft_source_same_tokens(struct ft_source_box *a, struct ft_source_box *b)
{
    if (a->pub.hp.n_vocab != b->pub.hp.n_vocab)
        return false;
    return a == b || a->tokenizer == NULL || b->tokenizer == NULL ||
           tokens_hash(a) == tokens_hash(b);
}
