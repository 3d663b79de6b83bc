/* adapter_config.json: what PEFT's LoRA configuration says of each module. */
#ifndef FT_MODEL_PEFT_CONFIG_H
#define FT_MODEL_PEFT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define FT_PEFT_CONFIG_MAX   ((size_t)4 << 20) /* bytes of adapter_config.json */
#define FT_PEFT_PATTERNS_MAX 16384             /* entries of rank_pattern, of alpha_pattern */
#define FT_PEFT_REGEX_MAX    64                /* of them, those that are more than a name */

/* rank_pattern or alpha_pattern: a number for the modules whose name a key matches. */
struct ft_peft_pattern {
    char *key;
    void *regex; /* NULL: the key is a name, whose dots match any character */
    double value;
};
struct ft_peft_patterns {
    struct ft_peft_pattern *at; /* in the file's order: the first match counts */
    size_t n;
};

struct ft_peft_config {
    int rank;     /* r */
    double alpha; /* lora_alpha */
    bool is_rslora;
    struct ft_peft_patterns ranks, alphas;
};

/* text: [n] the file. FT_ECORRUPT or FT_EUNSUPPORTED names the field; a field nobody knows here is
 * refused unless it says nothing (null, false, 0, empty). */
int ft_peft_config_read(const char *text, size_t n, struct ft_peft_config *ret, struct ft_err *err);
void ft_peft_config_fini(struct ft_peft_config *c); /* a zeroed one is accepted */

/* Of one module ("model.layers.0.self_attn.q_proj"). */
int ft_peft_config_module(const struct ft_peft_config *c, const char *module, int *ret_rank,
                          double *ret_alpha, struct ft_err *err);

#endif
