/* From a conversation to what a model is given: its chat template, found in its metadata, rendered
 * with its own special tokens; and the ids of the result.
 *
 * Immutable after opening; any thread. */
#ifndef FT_MODEL_PROMPT_H
#define FT_MODEL_PROMPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/file/weights.h"
#include "model/token/tokenizer.h"

/* The template's text, which belongs to w; with tools, the one named "tool_use" where the model
 * has it. FT_ENOTFOUND if the model has none. */
int ft_prompt_template_text(const struct ft_weights *w, bool tools, struct ft_slice *ret,
                            struct ft_err *err);

/* Adds bos_token and eos_token to the variables unless they are there. */
int ft_prompt_vars(const struct ft_tokenizer *t, json_t *vars, struct ft_err *err);

/* Ids of a rendered conversation: control tokens count, and the beginning-of-sequence token comes
 * once, whether or not the template wrote it. As ft_tokenizer_encode(). */
int ft_prompt_encode(const struct ft_tokenizer *t, const char *text, size_t n, int32_t **ids,
                     size_t *n_ids, struct ft_err *err);

/* ---- template and tokenizer in one ---- */

struct ft_prompter;

/* The model's own template. t is borrowed. FT_ENOTFOUND if the model has none. */
int ft_prompter_open(const struct ft_weights *w, const struct ft_tokenizer *t,
                     struct ft_prompter **ret_p, struct ft_err *err);
/* A template given as text instead. */
int ft_prompter_open_text(const char *text, size_t n, const struct ft_tokenizer *t,
                          struct ft_prompter **ret_p, struct ft_err *err);
void ft_prompter_close(struct ft_prompter *p); /* NULL is accepted */

/* vars: messages, add_generation_prompt, tools, ...; bos_token and eos_token are added to it. now:
 * as ft_template_render(). Appends to out. */
int ft_prompter_render(const struct ft_prompter *p, json_t *vars, int64_t now, struct ft_buf *out,
                       struct ft_err *err);

/* Clients give a call's arguments as a string of JSON, and no content beside calls, or null; most
 * templates want the arguments as an object, some as the string, and some fail on null. Brings a
 * message with tool_calls into the shape that this template (the one for tools, or not) takes.
 * FT_EINVAL: "tool_calls[1].function.arguments is not a JSON object". */
int ft_prompter_fix_calls(const struct ft_prompter *p, bool tools, json_t *message,
                          struct ft_err *err);

#endif
