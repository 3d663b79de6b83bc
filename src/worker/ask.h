/* What a checked request asks, in the engine's terms: prompt, grammar, sampling. */
#ifndef FT_WORKER_ASK_H
#define FT_WORKER_ASK_H

#include "api/openai/request.h"
#include "engine/core/request.h"
#include "worker/lodger.h"

/* A chat request's prompt, and how the answer is to be read. */
struct ft_ask {
    struct ft_buf text; /* the rendered prompt */
    int32_t *ids;
    size_t n_ids;
    struct ft_grammar *grammar; /* NULL: none */
    bool reasons; /* the prompt opens reasoning; a grammar holds after it, unless it is of calls */
    /* The grammar is of calls (calls.h): alone, or with the format of what else is said. */
    enum ft_chat_bound bound;
    bool keep_control;                  /* some dialects' marks are control tokens */
    struct ft_buf call_begin, call_end; /* a call that must be made (forced.h); empty: none */
    enum ft_dialect dialect;
};
void ft_ask_fini(struct ft_ask *a); /* a zeroed one is accepted */

/* Renders and encodes; with a format or a forced call the model does not think, unless it was
 * asked to or always does. grammar false: the prompt alone is wanted (token counts). */
int ft_ask_chat(const struct ft_lodger *l, const struct ft_oai_request *q, bool grammar,
                struct ft_ask *ret, struct ft_oai_error *e);
/* The grammar of response_format; *ret stays NULL for plain text. */
int ft_ask_format(const struct ft_oai_request *q, struct ft_grammar **ret, struct ft_oai_error *e);
/* Ids of a text or of ids. *ids is malloc'ed. eos: an end token too, where the model wants one. */
int ft_ask_input(const struct ft_lodger *l, const struct ft_oai_input *in, const char *field,
                 bool eos, int32_t **ids, size_t *n_ids, struct ft_oai_error *e);
/* FT_ELIMIT, "context_length_exceeded", if n tokens and `more` do not fit. */
int ft_ask_check_length(const struct ft_lodger *l, const char *field, size_t n, size_t more,
                        struct ft_oai_error *e);

/* Sampling, ends, scheduling; bias: [FT_OAI_BIAS_MAX] for the caller to keep. What it points to
 * belongs to q, l and bias. */
void ft_ask_request(const struct ft_lodger *l, const struct ft_oai_request *q,
                    struct ft_logit_bias *bias, struct ft_request *ret);

#endif
