/* Writing a PEFT folder: adapter_config.json with the fields and defaults of PEFT's LoraConfig,
 * adapter_model.safetensors, and a README.md, the model card that PEFT puts beside them. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/folder.h"
#include "model/adapter/adapter.h"
#include "model/file/hf_names.h"
#include "model/file/hparams.h"
#include "model/file/safetensors_write.h"

#define CARD_BYTES_MAX ((size_t)64 << 10)
#define PIECE_WEIGHTS  4096

struct saver {
    const struct ft_adapter *a;
    const struct ft_weights *base;
    const struct ft_adapter_save_opts *o;
    struct ft_hparams h;
    char (*module)[FT_TENSOR_NAME_MAX + 1]; /* of each pair: "model.layers.0.self_attn.q_proj" */
    struct ft_err *err;
};

static int modules_find(struct saver *s)
{
    s->module = calloc((size_t)s->a->n + 1, sizeof *s->module);
    if (s->module == NULL)
        return ft_err_set(s->err, FT_ENOMEM, "no memory for %d names", s->a->n);
    for (int i = 0; i < s->a->n; i++) {
        const char *tensor = s->a->pair[i].tensor;
        if (!ft_hf_name_of(tensor, -1, s->module[i]) || !ft_str_ends(s->module[i], ".weight"))
            return ft_err_set(s->err, FT_EUNSUPPORTED,
                              "tensor %s: a PEFT folder has no name for its module", tensor);
        s->module[i][strlen(s->module[i]) - strlen(".weight")] = '\0';
    }
    return 0;
}

static const char *last_word(const char *module)
{
    const char *dot = strrchr(module, '.');
    return dot != NULL ? dot + 1 : module;
}

/* How many of the base's tensors have modules called `word`. */
static int word_count(const struct saver *s, const char *word)
{
    int count = 0;
    char name[FT_TENSOR_NAME_MAX + 1], tail[FT_TENSOR_NAME_MAX + 16];
    snprintf(tail, sizeof tail, ".%s.weight", word);
    for (int i = 0; i < ft_weights_count(s->base); i++) {
        const struct ft_tensor *t = ft_weights_at(s->base, i);
        if (ft_hf_name_of(t->name, t->n_dims == 3 ? 0 : -1, name) &&
            (ft_str_ends(name, tail) || strcmp(name, tail + 1) == 0))
            count++;
    }
    return count;
}

/* target_modules: words where every module so called is adapted, else whole names: PEFT would make
 * adapters of the others too. */
static json_t *targets_make(const struct saver *s)
{
    json_t *list = json_array();
    for (int i = 0; list != NULL && i < s->a->n; i++) {
        const char *word = last_word(s->module[i]);
        int have = 0, first = -1;
        for (int k = 0; k < s->a->n; k++) {
            if (strcmp(last_word(s->module[k]), word) != 0)
                continue;
            first = first < 0 ? k : first;
            have++;
        }
        bool all = have == word_count(s, word);
        if (!all)
            json_array_append_new(list, json_string(s->module[i]));
        else if (first == i)
            json_array_append_new(list, json_string(word));
    }
    return list;
}

/* As PEFT's users write it: whole where it is. */
static json_t *number(double x)
{
    return x == floor(x) && fabs(x) < 1e9 ? json_integer((json_int_t)x) : json_real(x);
}

static double rank_of(const struct ft_adapter_pair *p)
{
    return p->rank;
}

static double alpha_of(const struct ft_adapter_pair *p)
{
    return (double)p->alpha;
}

/* The value that most pairs have, and for the others a pattern. */
static json_t *patterns_make(const struct saver *s, double (*of)(const struct ft_adapter_pair *),
                             double *ret_common)
{
    int most = 0;
    for (int i = 0; i < s->a->n; i++) {
        int count = 0;
        for (int k = 0; k < s->a->n; k++)
            count += of(&s->a->pair[k]) == of(&s->a->pair[i]);
        if (count > most) {
            most = count;
            *ret_common = of(&s->a->pair[i]);
        }
    }
    json_t *map = json_object();
    for (int i = 0; map != NULL && i < s->a->n; i++)
        if (of(&s->a->pair[i]) != *ret_common)
            json_object_set_new(map, s->module[i], number(of(&s->a->pair[i])));
    return map;
}

static json_t *config_make(const struct saver *s)
{
    double rank = 0, alpha = 0;
    json_t *ranks = patterns_make(s, rank_of, &rank);
    json_t *alphas = patterns_make(s, alpha_of, &alpha);
    json_t *c = json_pack("{s:s,s:s,s:s,s:s?}", "peft_type", "LORA", "task_type", "CAUSAL_LM",
                          "bias", "none", "base_model_name_or_path", s->o->base_model);
    static const char *const no[] = {"fan_in_fan_out", "use_dora", "lora_bias"};
    static const char *const nothing[] = {
        "auto_mapping",    "revision",          "layers_to_transform", "layers_pattern",
        "exclude_modules", "layer_replication", "modules_to_save"};
    for (size_t i = 0; i < FT_COUNT(no); i++)
        json_object_set_new(c, no[i], json_false());
    for (size_t i = 0; i < FT_COUNT(nothing); i++)
        json_object_set_new(c, nothing[i], json_null());
    json_object_set_new(c, "inference_mode", json_true());
    json_object_set_new(c, "init_lora_weights", json_true());
    json_object_set_new(c, "use_rslora", json_boolean(s->a->is_rslora));
    json_object_set_new(c, "r", number(rank));
    json_object_set_new(c, "lora_alpha", number(alpha));
    json_object_set_new(c, "lora_dropout", json_real(s->o->dropout));
    json_object_set_new(c, "rank_pattern", ranks);
    json_object_set_new(c, "alpha_pattern", alphas);
    json_object_set_new(c, "target_modules", targets_make(s));
    json_object_set_new(c, "loftq_config", json_object());
    return c;
}

static int config_put(const struct saver *s, struct ft_folder *f)
{
    json_t *c = config_make(s);
    char *text = json_dumps(c, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    json_decref(c);
    if (text == NULL)
        return ft_err_set(s->err, FT_EINVAL, "adapter_config.json: the base's name is not UTF-8");
    int rc = ft_folder_put(f, "adapter_config.json", text, strlen(text), s->err);
    free(text);
    return rc;
}

static int card_put(const struct saver *s, struct ft_folder *f)
{
    json_t *name = json_string(s->o->base_model);
    char *quoted = name != NULL ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    json_decref(name);
    struct ft_buf b;
    ft_buf_init(&b, CARD_BYTES_MAX);
    ft_buf_add_str(&b, "---\n");
    if (quoted != NULL)
        ft_buf_addf(&b, "base_model: %s\n", quoted);
    ft_buf_add_str(&b, "library_name: peft\npipeline_tag: text-generation\ntags:\n- lora\n---\n\n"
                       "# A LoRA adapter\n\nTrained with feitian");
    if (s->o->base_model != NULL)
        ft_buf_addf(&b, " on %s", s->o->base_model);
    ft_buf_add_str(&b, ".\n");
    free(quoted);
    int rc = b.failed != 0 ? ft_err_set(s->err, b.failed, "README.md: the base's name")
                           : ft_folder_put(f, "README.md", b.data, b.len, s->err);
    ft_buf_fini(&b);
    return rc;
}

/* One matrix, rows in the folder's order: n_head > 0 where the base's differs. */
static int matrix_write(const struct saver *s, struct ft_st_writer *w, const float *x, int64_t rows,
                        int64_t k, int n_head)
{
    const struct ft_type_info *info = ft_type_info(s->o->type);
    const size_t each = (size_t)info->block_bytes;
    uint8_t out[PIECE_WEIGHTS * sizeof(float)];
    int64_t used = 0;
    int rc = 0;
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + (n_head > 0 ? ft_rope_neighbours_row(r, rows / n_head) : r) * k;
        for (int64_t at = 0, n; rc == 0 && at < k; at += n) {
            n = FT_MIN(PIECE_WEIGHTS - used, k - at);
            info->quantise(row + at, out + (size_t)used * each, n);
            used += n;
            if (used == PIECE_WEIGHTS || (r == rows - 1 && at + n == k)) {
                rc = ft_st_write(w, out, (size_t)used * each, s->err);
                used = 0;
            }
        }
    }
    return rc;
}

static int tensors_put(const struct saver *s, struct ft_folder *f)
{
    struct ft_st_writer *w = NULL;
    int rc = ft_st_writer_open(ft_folder_temp(f), "adapter_model", 0, NULL, &w, s->err);
    for (int i = 0; rc == 0 && i < s->a->n; i++) {
        const struct ft_adapter_pair *p = &s->a->pair[i];
        char name[FT_TENSOR_NAME_MAX + 64];
        snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", s->module[i]);
        ft_st_put(w, name, s->o->type, 2, (int64_t[]){p->rank, p->n_in});
        snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", s->module[i]);
        ft_st_put(w, name, s->o->type, 2, (int64_t[]){p->n_out, p->rank});
    }
    for (int i = 0; rc == 0 && i < s->a->n; i++) {
        const struct ft_adapter_pair *p = &s->a->pair[i];
        bool gguf = ft_weights_source(s->base) == FT_SOURCE_GGUF;
        int n_head = gguf ? ft_rope_ordered_heads(&s->h, p->tensor) : 0;
        rc = matrix_write(s, w, p->a, p->rank, p->n_in, 0);
        if (rc == 0)
            rc = matrix_write(s, w, p->b, p->n_out, p->rank, n_head);
    }
    if (rc == 0)
        rc = ft_st_finish(w, s->err);
    ft_st_writer_close(w);
    return rc;
}

int ft_adapter_save(const struct ft_adapter *a, const struct ft_weights *base,
                    const struct ft_adapter_save_opts *o, const char *folder, struct ft_err *err)
{
    struct saver s = {.a = a, .base = base, .o = o, .err = err};
    struct ft_folder *f = NULL;
    FT_ASSERT(ft_type_is_float(o->type) && a->n > 0);
    int rc = ft_hparams_read(base, &s.h, err);
    if (rc == 0)
        rc = modules_find(&s);
    if (rc == 0)
        rc = ft_folder_open(folder, o->replace, &f, err);
    if (rc == 0)
        rc = config_put(&s, f);
    if (rc == 0)
        rc = card_put(&s, f);
    if (rc == 0)
        rc = tensors_put(&s, f);
    if (rc == 0)
        rc = ft_folder_commit(f, err);
    ft_folder_close(f);
    free(s.module);
    return rc == 0 ? 0 : ft_err_wrap(err, "adapter %s", folder);
}
