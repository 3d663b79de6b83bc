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
#include "base/slice.h"

/* A compiled grammar: immutable, reference-counted, any thread. */
struct ft_grammar;
int ft_grammar_from_schema(const char *json, size_t n, struct ft_grammar **ret, struct ft_err *err);
int ft_grammar_from_regex(const char *re, size_t n, struct ft_grammar **ret, struct ft_err *err);
int ft_grammar_from_gbnf(const char *text, size_t n, struct ft_grammar **ret, struct ft_err *err);
#define FT_ANY_OBJECT "{\"type\":\"object\"}"
int ft_grammar_json_object(struct ft_grammar **ret, struct ft_err *err); /* JSON mode: any object */

/* A layout: a grammar put together from texts and other grammars, as an automaton of these. Several
 * ways through it may be open at once; a text keeps it if one of them reaches END. It is compiled
 * as a whole, so the bounds of compiling hold for all of it. */
enum ft_layout_op {
    FT_LAYOUT_TEXT,   /* this text */
    FT_LAYOUT_ANY,    /* one byte, whatever it is */
    FT_LAYOUT_SCHEMA, /* JSON by this schema */
    FT_LAYOUT_STRING, /* a string that this schema allows, bare: no quotes, nothing escaped */
    FT_LAYOUT_REGEX,
    FT_LAYOUT_GBNF,
    FT_LAYOUT_FORK, /* nothing; `next` or `other` */
    FT_LAYOUT_CUT,  /* nothing; whatever other ways were open are given up */
    FT_LAYOUT_END,
};
#define FT_LAYOUT_NODES_MAX      16384
#define FT_LAYOUT_TEXT_BYTES_MAX ((size_t)32 << 20) /* of all nodes */
#define FT_LAYOUT_WITHOUT_MAX    64
struct ft_layout_node {
    enum ft_layout_op op;
    int next, other;         /* nodes */
    struct ft_slice text;    /* TEXT (not empty), SCHEMA, STRING, REGEX, GBNF */
    struct ft_slice without; /* SCHEMA, STRING: this text is nowhere in it */
    bool maybe; /* SCHEMA, STRING: where no value satisfies it, this way is closed; else an error */
};
struct ft_layout {
    const struct ft_layout_node *node;
    int n_nodes, start;
    /* Control tokens count as their text: in what ANY takes, and where TEXT has theirs whole.
     * Otherwise they say nothing: they may come where anything may, and nowhere else. */
    bool control;
};
/* ret_at: on failure the node that is to blame, or -1. */
int ft_grammar_from_layout(const struct ft_layout *layout, int *ret_at, struct ft_grammar **ret,
                           struct ft_err *err);
struct ft_grammar *ft_grammar_ref(struct ft_grammar *g);
void ft_grammar_unref(struct ft_grammar *g);

/* A vocabulary arranged for masking: built once per tokenizer, shared, immutable, any thread. */
struct ft_vocab;
struct ft_vocab_token {
    const char *bytes;
    uint32_t n;
    bool eog;   /* allowed exactly where the text may end */
    bool never; /* control tokens and the like: never allowed, but where a layout says so */
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
/* Nothing is refused here, but for tokens that go on past the place where a layout begins to bind
 * (its CUT) in another way than it wants: no mask is needed before accept() has refused one. */
bool ft_matcher_is_free(const struct ft_matcher *m);
/* Bytes that must come next, whatever the model says (at most n); 0 if there is a choice. */
size_t ft_matcher_forced(struct ft_matcher *m, char *out, size_t n);

#endif
