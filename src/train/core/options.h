/* What a training run is told: one table of options, which a configuration file (JSON) and the
 * command line both set, and which the run writes down beside its results. */
#ifndef FT_TRAIN_OPTIONS_H
#define FT_TRAIN_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define FT_TRAIN_LIST_MAX 1024 /* elements of a list */
#define FT_TRAIN_TEXT_MAX 4096 /* bytes of one text */

enum ft_train_method { FT_TRAIN_LORA, FT_TRAIN_FULL };
enum ft_train_objective { FT_TRAIN_SFT, FT_TRAIN_DPO };
enum ft_train_schedule { FT_TRAIN_COSINE, FT_TRAIN_LINEAR, FT_TRAIN_CONSTANT };
enum ft_train_precision { FT_TRAIN_BF16, FT_TRAIN_F32 };
enum ft_train_recompute { FT_TRAIN_AUTO, FT_TRAIN_ON, FT_TRAIN_OFF };

struct ft_train_list {
    const char *const *item;
    int n;
};

/* Defaults and bounds stand in the table (options.c). Texts are NULL where not given. */
struct ft_train_options {
    struct ft_arena arena; /* texts and lists */
    uint64_t given;        /* bit i: option i of the table was set */

    /* the model: one to start from, or a shape and a tokenizer */
    const char *model;
    const char *arch, *tokenizer;
    int64_t layers, d_model, d_ff, heads, kv_heads, head_dim, context;
    double rope_theta, norm_eps;
    bool tied;
    const char *chat_template; /* file, instead of the model's */

    /* data */
    struct ft_train_list data, valid_data;
    int form, too_long; /* enum ft_data_form, ft_too_long */
    int64_t valid_samples;
    double valid_fraction;
    int64_t seq_len;
    bool packing, special_text;

    /* what is trained */
    int method, objective;
    int64_t rank;
    double alpha, dropout;
    struct ft_train_list targets;
    double dpo_beta;

    /* how */
    int64_t batch, accumulate, epochs, max_steps;
    double lr, min_lr, warmup, weight_decay, beta1, beta2, eps, clip;
    int schedule, precision, recompute;
    int64_t seed;

    /* watching, keeping */
    int64_t eval_every, patience, save_every, keep, keep_adapters;
    bool resume;

    /* results */
    const char *output;
    struct ft_train_list save; /* adapter, gguf, hf */
    bool curve;
    const char *gguf_type;

    /* the machine */
    bool confined; /* by the caller, before the run */
    int64_t threads, memory_mb;
    const char *isa;
};

void ft_train_options_init(struct ft_train_options *o);
void ft_train_options_fini(struct ft_train_options *o);

/* Sets one option from text, as the command line gives it: key without dashes ("seq-len"), lists
 * separated by commas. FT_EINVAL names the key and what it takes; an unknown key comes with the
 * nearest known one. */
int ft_train_options_set(struct ft_train_options *o, const char *key, const char *text,
                         struct ft_err *err);
/* Sets those of a JSON object ({"seq_len": 512, "data": ["a.jsonl"]}). *ret_key is always set:
 * after a failure the object's own text for the member that is to blame, or NULL if it is none's.
 */
int ft_train_options_set_json(struct ft_train_options *o, json_t *object, const char **ret_key,
                              struct ft_err *err);
/* Those that were given must make sense together; the rest gets its defaults. FT_EINVAL. */
int ft_train_options_check(struct ft_train_options *o, struct ft_err *err);
/* Whether it was set; key is one of the table's. */
bool ft_train_options_given(const struct ft_train_options *o, const char *key);
/* GGUF's name of a matrix that LoRA may be put on ("q", "q_proj", "attn_q": "attn_q"), or NULL. */
const char *ft_train_target(const char *name);
/* All of them with their values, as set_json takes it. NULL: no memory. */
json_t *ft_train_options_json(const struct ft_train_options *o);

/* For help texts: option i of the table, false past the end. Options of a group stand together. */
struct ft_train_option_help {
    const char *group, *key;
    const char *value;    /* "N", "FILE", "cosine|linear|constant"; NULL: a flag */
    const char *fallback; /* its default as text; NULL: none */
    const char *help;
};
bool ft_train_option_help(int i, struct ft_train_option_help *ret);

#endif
