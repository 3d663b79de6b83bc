/* Between tok_json.c (vocabulary, merges, added tokens) and tok_json_steps.c (what surrounds them).
 */
#ifndef FT_MODEL_TOKEN_TOK_JSON_H
#define FT_MODEL_TOKEN_TOK_JSON_H

#include <jansson.h>

#include "model/token/steps.h"

/* How deep Sequences may contain Sequences. */
#define FT_JSON_NEST_MAX 8

/* Each takes the value of that field of tokenizer.json; NULL and null are "none". The first two
 * decide the scheme and the treatment of spaces, so they come before the vocabulary. */
int ft_json_pre_tokenizer(struct ft_tokenizer *t, json_t *v, int depth, struct ft_err *err);
int ft_json_normalizer(struct ft_tokenizer *t, json_t *v, int depth, struct ft_err *err);
int ft_json_post_processor(struct ft_tokenizer *t, json_t *v, int depth, struct ft_err *err);

/* Members of an object, with a default where they are absent or null. */
const char *ft_json_text(json_t *o, const char *key, size_t *ret_n); /* NULL: none */
bool ft_json_flag(json_t *o, const char *key, bool absent);

#endif
