/* Calls that must be made: the schema of {"name":..,"arguments":..} over the tools that may be
 * called. Pure. */
#ifndef FT_WORKER_FORCED_H
#define FT_WORKER_FORCED_H

#include <jansson.h>

#include "base/err.h"

/* tools: OpenAI's array. name: the one that must be called; NULL: any. Arguments keep their
 * schemas, with references inside of them pointing to where they are now. *ret: a new object. */
int ft_forced_schema(const json_t *tools, const char *name, json_t **ret, struct ft_err *err);

#endif
