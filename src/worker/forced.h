/* Calls that must be made: how the call begins, and the schema of the rest. One tool: its name is
 * given, the rest are its arguments; several: {"name":..,"arguments":..} over all of them. Pure. */
#ifndef FT_WORKER_FORCED_H
#define FT_WORKER_FORCED_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

/* tools: OpenAI's array. name: the one that must be called; NULL: any. Arguments keep their
 * schemas, with references inside of them pointing to where they are now. begin, end: appended to;
 * around what the schema allows they make a call in Hermes' form. *ret: a new object. */
int ft_forced_call(const json_t *tools, const char *name, struct ft_buf *begin, struct ft_buf *end,
                   json_t **ret, struct ft_err *err);

/* A tool's schema of its arguments, which are an object even if it does not say so. A copy; NULL:
 * no memory. */
json_t *ft_forced_parameters(const json_t *tool);
/* A schema moves to the place `to` ("/$defs/x") of another document: its own references follow. */
int ft_forced_move_refs(json_t *schema, const char *to, struct ft_err *err);

#endif
