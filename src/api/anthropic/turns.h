/* Between request.c (members) and turns.c (the conversation). */
#ifndef FT_API_ANTHROPIC_TURNS_H
#define FT_API_ANTHROPIC_TURNS_H

#include "api/anthropic/messages.h"
#include "api/openai/check.h"

/* "system" and "messages" of the body as a new array of chat messages. */
int ft_anthropic_turns(const json_t *root, json_t **ret, struct ft_oai_error *e);
/* Places in the chat request that a body becomes, told as places in it. */
void ft_anthropic_rename(struct ft_oai_error *e);
/* {"type":"ephemeral","ttl"?} */
int ft_anthropic_cache_control(const json_t *v, const struct ft_oai_at *at, struct ft_oai_error *e);
int ft_anthropic_no_memory(struct ft_oai_error *e);

#endif
