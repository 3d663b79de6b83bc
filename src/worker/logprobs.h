/* Log-probabilities of tokens in OpenAI's two forms. */
#ifndef FT_WORKER_LOGPROBS_H
#define FT_WORKER_LOGPROBS_H

#include <jansson.h>

#include "engine/core/request.h"
#include "model/token/tokenizer.h"

/* {"content":[{"token","logprob","bytes","top_logprobs"}],"refusal":null}; NULL without memory. */
json_t *ft_logprobs_chat(const struct ft_tokenizer *t, const struct ft_event *ev);

/* {"tokens":[],"token_logprobs":[],"top_logprobs":[],"text_offset":[]}, to which tokens are added.
 * first: of a prompt, which nothing predicts: its log-probability is null. offset: characters of
 * the text before it. */
json_t *ft_logprobs_text(void);
/* Characters of UTF-8 text. */
size_t ft_text_chars(const char *s, size_t n);
void ft_logprobs_text_add(json_t *lp, const struct ft_tokenizer *t, const struct ft_event *ev,
                          bool first, size_t offset);

#endif
