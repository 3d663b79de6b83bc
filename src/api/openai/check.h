/* Checks of JSON values that come from outside, for the parsers of this module and api/anthropic:
 * each says what it wanted, where, and what it got. */
#ifndef FT_API_OPENAI_CHECK_H
#define FT_API_OPENAI_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/openai/error.h"
#include "base/slice.h"

/* Where a value stands; links of a chain on the stack, written out only when something is wrong:
 * "messages[2].tool_calls[0].function.name". */
struct ft_oai_at {
    const struct ft_oai_at *up; /* NULL: of the body itself */
    const char *name;           /* NULL: an element of an array */
    size_t index;
};
#define FT_OAI_AT(up, name)    (&(const struct ft_oai_at){(up), (name), 0})
#define FT_OAI_ELEM(up, index) (&(const struct ft_oai_at){(up), NULL, (index)})

void ft_oai_at_write(const struct ft_oai_at *at, char *ret, size_t bytes);

/* "PLACE: what". The error's param is the place; err_code as in struct ft_oai_error. */
int ft_oai_bad(struct ft_oai_error *e, const struct ft_oai_at *at, const char *err_code,
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same as FT_EUNSUPPORTED with code "unsupported_parameter": known, but not done here. */
int ft_oai_unsupported(struct ft_oai_error *e, const struct ft_oai_at *at, const char *why);
int ft_oai_unknown(struct ft_oai_error *e, const struct ft_oai_at *at);
int ft_oai_missing(struct ft_oai_error *e, const struct ft_oai_at *at);
int ft_oai_wrong_type(struct ft_oai_error *e, const struct ft_oai_at *at, const char *wanted,
                      const json_t *v);

/* v of the wanted type (and within bounds), or the error. */
int ft_oai_int(const json_t *v, const struct ft_oai_at *at, int64_t lo, int64_t hi, int64_t *ret,
               struct ft_oai_error *e);
int ft_oai_num(const json_t *v, const struct ft_oai_at *at, double lo, double hi, double *ret,
               struct ft_oai_error *e);
int ft_oai_bool(const json_t *v, const struct ft_oai_at *at, bool *ret, struct ft_oai_error *e);
/* max: bytes. */
int ft_oai_str(const json_t *v, const struct ft_oai_at *at, size_t min, size_t max,
               const char **ret, struct ft_oai_error *e);
int ft_oai_array(const json_t *v, const struct ft_oai_at *at, size_t min, size_t max,
                 struct ft_oai_error *e);
int ft_oai_object(const json_t *v, const struct ft_oai_at *at, struct ft_oai_error *e);
/* One of names (ended by NULL); its index. */
int ft_oai_enum(const json_t *v, const struct ft_oai_at *at, const char *const *names, int *ret,
                struct ft_oai_error *e);
/* 1 to 64 of A-Z a-z 0-9 _ - */
int ft_oai_name(const json_t *v, const struct ft_oai_at *at, const char **ret,
                struct ft_oai_error *e);
/* Every member of the object is among names (ended by NULL). */
int ft_oai_only(const json_t *v, const struct ft_oai_at *at, const char *const *names,
                struct ft_oai_error *e);
/* Metadata: at most 16 strings of at most 512 bytes under names of at most 64. */
int ft_oai_metadata(const json_t *v, const struct ft_oai_at *at, struct ft_oai_error *e);

/* An object that is a JSON Schema as far as the types of its keywords go (schema_shape.c). */
int ft_oai_schema_shape(const json_t *schema, const struct ft_oai_at *at, struct ft_oai_error *e);

/* For a request of another form that was translated: takes `part` out of a place that begins with
 * `head` ("tools[0].function.name" is "tools[0].name" there), in param and message. */
void ft_oai_error_cut(struct ft_oai_error *e, const char *head, const char *part);
/* The same for names: the first that the place begins with becomes its other. */
struct ft_oai_renamed {
    const char *chat, *here;
};
void ft_oai_error_rename(struct ft_oai_error *e, const struct ft_oai_renamed *names, size_t n);

/* The member, NULL also where it is null. */
json_t *ft_oai_get(const json_t *object, const char *name);

#endif
