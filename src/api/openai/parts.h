/* Between request.c (members of a body) and the files that check one kind of member each. Each
 * function checks, brings the tree into the one form that is sent on, and fills its part of *q. */
#ifndef FT_API_OPENAI_PARTS_H
#define FT_API_OPENAI_PARTS_H

#include "api/openai/check.h"
#include "api/openai/request.h"

/* messages.c */
int ft_oai_parse_messages(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e);

/* tools.c: all of these together, as they depend on each other */
int ft_oai_parse_tools(struct ft_oai_request *q, struct ft_oai_error *e);
int ft_oai_parse_format(struct ft_oai_request *q, json_t *v, enum ft_oai_mode mode,
                        struct ft_oai_error *e);

/* input.c */
int ft_oai_parse_prompt(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e);
int ft_oai_parse_input(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e);
int ft_oai_parse_documents(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e);
int ft_oai_parse_inner(struct ft_oai_request *q, json_t *v, struct ft_oai_error *e);

#endif
