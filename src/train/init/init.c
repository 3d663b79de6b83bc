/* The folder of a new model: checks the shape, takes the tokenizer along, writes config.json as
 * transformers writes it for the architecture. weights.c does the rest. */
#include "train/init/init.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"
#include "model/file/hparams.h"
#include "model/token/tokenizer.h"
#include "train/init/impl.h"

#define FILE_BYTES_MAX ((size_t)256 << 20) /* of each file of a tokenizer */

/* The settings that only some architectures have, with transformers' defaults. */
enum { HAS_BIAS_FLAG = 1, HAS_MLP_BIAS_FLAG = 2, HAS_WINDOW = 4 };

static const struct architecture {
    const char *name, *class;
    unsigned has;
} architectures[] = {
    {"llama", "LlamaForCausalLM", HAS_BIAS_FLAG | HAS_MLP_BIAS_FLAG},
    {"qwen2", "Qwen2ForCausalLM", HAS_WINDOW},
    {"qwen3", "Qwen3ForCausalLM", HAS_BIAS_FLAG | HAS_WINDOW},
};

static const char *const tokenizer_files[] = {
    "tokenizer.json", /* first: the one that must be there */
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"};
enum { TOKENIZER_JSON, TOKENIZER_CONFIG };

struct source {
    char *data[FT_COUNT(tokenizer_files)]; /* NULL: no such file */
    size_t n[FT_COUNT(tokenizer_files)];
    int n_vocab;
    int32_t bos, eos; /* -1: none */
};

static const struct architecture *architecture_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < FT_COUNT(architectures); i++)
        if (strcmp(architectures[i].name, name) == 0)
            return &architectures[i];
    return NULL;
}

static int shape_check(const struct ft_init_shape *s, struct ft_err *err)
{
    const struct {
        const char *field;
        int value, max;
    } counts[] = {{"n_layer", s->n_layer, FT_LAYERS_MAX},
                  {"d_model", s->d_model, FT_INIT_DIM_MAX},
                  {"d_ff", s->d_ff, FT_INIT_DIM_MAX},
                  {"n_head", s->n_head, FT_INIT_HEADS_MAX},
                  {"n_head_kv", s->n_head_kv, FT_INIT_HEADS_MAX},
                  {"d_head", s->d_head, FT_INIT_DIM_MAX},
                  {"n_ctx", s->n_ctx, FT_INIT_CTX_MAX}};
    const struct {
        const char *field;
        double value, min, max;
    } reals[] = {{"rope_theta", s->rope_theta, 1, 1e12}, {"norm_eps", s->norm_eps, 1e-12, 0.1}};
    if (architecture_find(s->arch) == NULL)
        return ft_err_set(err, FT_EINVAL, "arch: '%.64s' is none of llama, qwen2, qwen3",
                          s->arch != NULL ? s->arch : "");
    for (size_t i = 0; i < FT_COUNT(counts); i++)
        if (counts[i].value < 1 || counts[i].value > counts[i].max)
            return ft_err_set(err, FT_EINVAL, "%s: %d is outside 1 to %d", counts[i].field,
                              counts[i].value, counts[i].max);
    for (size_t i = 0; i < FT_COUNT(reals); i++)
        if (!(reals[i].value >= reals[i].min && reals[i].value <= reals[i].max)) /* NaN fails too */
            return ft_err_set(err, FT_EINVAL, "%s: %g is outside %g to %g", reals[i].field,
                              reals[i].value, reals[i].min, reals[i].max);
    if (s->n_head % s->n_head_kv != 0)
        return ft_err_set(err, FT_EINVAL, "n_head_kv: %d does not divide n_head, %d", s->n_head_kv,
                          s->n_head);
    if (s->d_head % 2 != 0)
        return ft_err_set(err, FT_EINVAL, "d_head: %d is odd; rotary positions turn pairs",
                          s->d_head);
    if ((int64_t)s->n_head * s->d_head > FT_INIT_DIM_MAX)
        return ft_err_set(err, FT_EINVAL, "d_head: %d heads of %d are more than %d", s->n_head,
                          s->d_head, FT_INIT_DIM_MAX);
    return 0;
}

/* ---- the tokenizer ---- */

static void source_fini(struct source *s)
{
    for (size_t i = 0; i < FT_COUNT(tokenizer_files); i++)
        free(s->data[i]);
}

static int file_take(struct source *s, const char *path, size_t which, struct ft_err *err)
{
    return ft_file_read(path, FILE_BYTES_MAX, &s->data[which], &s->n[which], err);
}

static int folder_take(struct source *s, const char *folder, struct ft_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(tokenizer_files); i++) {
        char *path;
        if (asprintf(&path, "%s/%s", folder, tokenizer_files[i]) < 0)
            return ft_err_set(err, FT_ENOMEM, "no memory");
        struct ft_err e = {0};
        rc = file_take(s, path, i, &e);
        free(path);
        if (rc == FT_ENOTFOUND && i != TOKENIZER_JSON)
            rc = 0;
        else if (rc != 0 && err != NULL)
            *err = e;
    }
    return rc;
}

static int source_read(struct source *s, const char *path, struct ft_err *err)
{
    struct ft_tokenizer *t;
    struct stat st;
    if (stat(path, &st) != 0)
        return ft_err_sys(err, "open");
    int rc =
        S_ISDIR(st.st_mode) ? folder_take(s, path, err) : file_take(s, path, TOKENIZER_JSON, err);
    if (rc == 0)
        rc = ft_tokenizer_open_json(s->data[TOKENIZER_JSON], s->n[TOKENIZER_JSON],
                                    s->data[TOKENIZER_CONFIG], s->n[TOKENIZER_CONFIG], &t, err);
    if (rc != 0)
        return rc;
    s->n_vocab = ft_tokenizer_size(t);
    s->bos = ft_tokenizer_bos(t);
    s->eos = ft_tokenizer_eos(t);
    ft_tokenizer_close(t);
    if (s->n_vocab < 1 || s->n_vocab > FT_VOCAB_MAX)
        return ft_err_set(err, FT_EINVAL, "%d tokens (1 to %d are allowed)", s->n_vocab,
                          FT_VOCAB_MAX);
    return 0;
}

static int source_put(const struct source *s, struct ft_folder *f, struct ft_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(tokenizer_files); i++)
        if (s->data[i] != NULL)
            rc = ft_folder_put(f, tokenizer_files[i], s->data[i], s->n[i], err);
    return rc;
}

/* ---- config.json ---- */

static json_t *token_id(int32_t id)
{
    return id >= 0 ? json_integer(id) : json_null();
}

static json_t *config_make(const struct ft_init_shape *s, const struct source *t)
{
    const struct architecture *a = architecture_find(s->arch);
    json_t *c = json_pack("{s:[s],s:s,s:s,s:s}", "architectures", a->class, "model_type", a->name,
                          "hidden_act", "silu", "torch_dtype", "float32");
    const struct {
        const char *key;
        int value;
    } counts[] = {{"hidden_size", s->d_model},           {"intermediate_size", s->d_ff},
                  {"num_hidden_layers", s->n_layer},     {"num_attention_heads", s->n_head},
                  {"num_key_value_heads", s->n_head_kv}, {"head_dim", s->d_head},
                  {"max_position_embeddings", s->n_ctx}, {"vocab_size", t->n_vocab}};
    for (size_t i = 0; i < FT_COUNT(counts); i++)
        json_object_set_new(c, counts[i].key, json_integer(counts[i].value));
    json_object_set_new(c, "bos_token_id", token_id(t->bos));
    json_object_set_new(c, "eos_token_id", token_id(t->eos));
    json_object_set_new(c, "rms_norm_eps", json_real(s->norm_eps));
    json_object_set_new(c, "rope_theta", json_real(s->rope_theta));
    json_object_set_new(c, "rope_scaling", json_null());
    json_object_set_new(c, "initializer_range", json_real(FT_INIT_DEVIATION));
    json_object_set_new(c, "attention_dropout", json_real(0));
    json_object_set_new(c, "tie_word_embeddings", json_boolean(s->tied));
    json_object_set_new(c, "use_cache", json_true());
    if (a->has & HAS_BIAS_FLAG)
        json_object_set_new(c, "attention_bias", json_false());
    if (a->has & HAS_MLP_BIAS_FLAG)
        json_object_set_new(c, "mlp_bias", json_false());
    if (a->has & HAS_WINDOW) {
        json_object_set_new(c, "use_sliding_window", json_false());
        json_object_set_new(c, "sliding_window", json_null());
        json_object_set_new(c, "max_window_layers", json_integer(s->n_layer));
    }
    return c;
}

static int config_put(const struct ft_init_shape *s, const struct source *t, struct ft_folder *f,
                      struct ft_err *err)
{
    json_t *c = config_make(s, t);
    char *text = json_dumps(c, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
    json_decref(c);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "config.json: no memory");
    int rc = ft_folder_put(f, "config.json", text, strlen(text), err);
    free(text);
    return rc;
}

int ft_init_write(const struct ft_init_shape *s, const char *tokenizer, uint64_t seed,
                  const char *folder, bool replace, struct ft_err *err)
{
    struct source source = {0};
    struct ft_folder *f = NULL;
    int rc = shape_check(s, err);
    if (rc != 0)
        return rc;
    rc = source_read(&source, tokenizer, err);
    if (rc != 0)
        rc = ft_err_wrap(err, "tokenizer %s", tokenizer);
    if (rc == 0 && ft_init_params(s, source.n_vocab) > FT_INIT_PARAMS_MAX)
        rc =
            ft_err_set(err, FT_EINVAL, "n_layer: the shape has %lld parameters; %lld are allowed",
                       (long long)ft_init_params(s, source.n_vocab), (long long)FT_INIT_PARAMS_MAX);
    if (rc == 0)
        rc = ft_folder_open(folder, replace, &f, err);
    if (rc == 0)
        rc = config_put(s, &source, f, err);
    if (rc == 0)
        rc = source_put(&source, f, err);
    if (rc == 0)
        rc = ft_init_weights_write(s, source.n_vocab, seed, ft_folder_temp(f), err);
    if (rc == 0)
        rc = ft_folder_commit(f, err);
    ft_folder_close(f);
    source_fini(&source);
    return rc;
}
