/* How a model is asked whether a document answers a query. */
#ifndef FT_WORKER_RANK_H
#define FT_WORKER_RANK_H

#include "api/openai/error.h"
#include "worker/lodger.h"

/* The tokens of "yes" and "no", for models without a classification head. */
int ft_rank_answers(const struct ft_lodger *l, int32_t ret[2], struct ft_oai_error *e);
/* The model's own form of a pair where its file has one ("tokenizer.chat_template.rerank", with
 * {query} and {document}); else its chat template around the question that Qwen3-Reranker was
 * trained on (its model card); else that question as plain text. *ids is malloc'ed. */
int ft_rank_prompt(const struct ft_lodger *l, struct ft_slice query, struct ft_slice document,
                   int32_t **ids, size_t *n_ids, struct ft_oai_error *e);

#endif
