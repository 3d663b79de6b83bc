/* The grammar of an answer that may call functions by itself, in its model's own way of writing
 * calls. Pure; any thread.
 *
 * Without a format everything may be said, until a call begins: from there on its name is one of
 * the tools', and its arguments keep the schema of a tool that is `strict`, or are any object.
 * With one the answer is calls alone, or else content that keeps the format. Reasoning is left
 * alone: what looks like a call in it is none (model/chat agrees, ft_chat_parser_bind). */
#ifndef FT_WORKER_CALLS_H
#define FT_WORKER_CALLS_H

#include <jansson.h>

#include "engine/constrain/constrain.h"
#include "model/chat/parse.h"

struct ft_calls_config {
    enum ft_dialect dialect; /* not PLAIN: it has no calls */
    const json_t *tools;     /* OpenAI's array, at least one */
    bool control;            /* control tokens are part of the answer's text */
    /* The format; its text is empty where there is none. */
    enum ft_layout_op format; /* SCHEMA, REGEX, GBNF */
    struct ft_slice format_text;
    /* Without a format: the prompt has opened reasoning. (With one the grammar begins behind it.)
     */
    bool reasons;
};

#define FT_CALLS_FIELD_BYTES 64
/* field: on failure "response_format" or "tools[2].function.parameters", which is to blame. */
int ft_calls_grammar(const struct ft_calls_config *cfg, char field[FT_CALLS_FIELD_BYTES],
                     struct ft_grammar **ret, struct ft_err *err);

bool ft_calls_any_strict(const json_t *tools);

#endif
