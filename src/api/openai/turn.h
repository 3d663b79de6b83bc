/* Between responses.c (a request's members) and turn.c (its items). */
#ifndef FT_API_OPENAI_TURN_H
#define FT_API_OPENAI_TURN_H

#include "api/openai/check.h"
#include "api/openai/responses.h"

/* Checks "input" and makes r->input: items, each with type and id. */
int ft_oai_turn_parse(struct ft_oai_responses *r, const char *id, struct ft_oai_error *e);
/* A new array of chat messages: instructions, context, input. */
int ft_oai_turn_messages(const struct ft_oai_responses *r, json_t **ret, struct ft_oai_error *e);

#endif
