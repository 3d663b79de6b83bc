/* A model's chat template: found in its metadata, given the model's own special tokens. */
#ifndef FT_CLI_MODEL_TEMPLATE_H
#define FT_CLI_MODEL_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>

#include "model/file/weights.h"
#include "model/token/tokenizer.h"

/* The template's text, which belongs to w; with tools, the one named "tool_use" where the model
 * has it. FT_ENOTFOUND if the model has none. */
int ft_model_template_text(const struct ft_weights *w, bool tools, struct ft_slice *ret,
                           struct ft_err *err);

/* Adds bos_token and eos_token to the variables unless they are there. */
int ft_model_template_vars(const struct ft_tokenizer *t, json_t *vars, struct ft_err *err);

#endif
