/* Constrained output: which tokens may come next so that the text matches a grammar.
 *
 * Compile once (a schema, a regular expression, a GBNF grammar, "any JSON"), then one matcher per
 * sequence. Works on bytes, over the vocabulary's byte strings; knows nothing of tokenizers or
 * engines. Anything that cannot be enforced is refused at compile time (FT_EUNSUPPORTED, the
 * keyword and its place in the message); never accepted and ignored. */
#ifndef FT_ENGINE_CONSTRAIN_H
#define FT_ENGINE_CONSTRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A compiled grammar: immutable, reference-counted, any thread. */
struct ft_grammar;
int ft_grammar_from_schema(const char *json, size_t n, struct ft_grammar **ret, struct ft_err *err);
int ft_grammar_from_regex(const char *re, size_t n, struct ft_grammar **ret, struct ft_err *err);
int ft_grammar_from_gbnf(const char *text, size_t n, struct ft_grammar **ret, struct ft_err *err);
int ft_grammar_json_object(struct ft_grammar **ret, struct ft_err *err); /* JSON mode: any object */
struct ft_grammar *ft_grammar_ref(struct ft_grammar *g);
void ft_grammar_unref(struct ft_grammar *g);

/* A vocabulary arranged for masking: built once per tokenizer, shared, immutable, any thread. */
struct ft_vocab;
struct ft_vocab_token {
    const char *bytes;
    uint32_t n;
    bool eog;   /* allowed exactly where the text may end */
    bool never; /* control tokens and the like: never allowed */
};
int ft_vocab_open(const struct ft_vocab_token *tokens, int n_tokens, struct ft_vocab **ret,
                  struct ft_err *err); /* copies what it needs */
void ft_vocab_close(struct ft_vocab *v);

/* One sequence's position in a grammar. One thread at a time. */
struct ft_matcher;
int ft_matcher_open(struct ft_grammar *g, const struct ft_vocab *v, struct ft_matcher **ret,
                    struct ft_err *err); /* v may be NULL when only bytes are fed */
int ft_matcher_clone(const struct ft_matcher *m, struct ft_matcher **ret, struct ft_err *err);
void ft_matcher_close(struct ft_matcher *m);

/* mask: [ceil(n_vocab / 32)] words, bit i set = token i allowed. */
int ft_matcher_mask(struct ft_matcher *m, uint32_t *mask, struct ft_err *err);
/* Advances; false (state unchanged) if not allowed there. An eog token ends the match. */
bool ft_matcher_accept(struct ft_matcher *m, int32_t token);
bool ft_matcher_accept_bytes(struct ft_matcher *m, const char *bytes, size_t n);
bool ft_matcher_may_end(const struct ft_matcher *m); /* the text so far is complete */
/* Bytes that must come next, whatever the model says (at most n); 0 if there is a choice. */
size_t ft_matcher_forced(struct ft_matcher *m, char *out, size_t n);

#endif
