/* What the files hf*.c share. */
#ifndef FT_MODEL_HF_IMPL_H
#define FT_MODEL_HF_IMPL_H

#include <jansson.h>

#include "model/file/hf_names.h"
#include "model/file/weights_impl.h"

#define FT_HF_JSON_MAX     ((size_t)4 << 20)   /* config.json and its small neighbours */
#define FT_HF_TOKENS_MAX   ((size_t)256 << 20) /* tokenizer.json */
#define FT_HF_TEMPLATE_MAX ((size_t)1 << 20)

/* Reads FOLDER/name of at most max bytes; FT_ENOTFOUND if there is none. */
int ft_hf_file_read(const struct ft_weights *w, const char *name, size_t max, char **ret,
                    size_t *ret_n, struct ft_err *err);
/* The same as a JSON object. */
int ft_hf_json_read(const struct ft_weights *w, const char *name, size_t max, json_t **ret,
                    struct ft_err *err);

/* hf_config.c: config.json, generation_config.json, tokenizer_config.json and chat_template.jinja
 * as metadata under GGUF keys; and what has no such key. */
struct ft_hf_config {
    int tied;             /* the output matrix is the embedding; 0 no, 1 yes, -1 not said */
    int64_t fp8_block[2]; /* rows and columns that share a scale; 0: not said */
};
int ft_hf_config_read(struct ft_weights *w, struct ft_hf_config *ret, struct ft_err *err);

#endif
