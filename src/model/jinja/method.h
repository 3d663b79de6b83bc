/* String operations shared by the methods (method.c, split.c) and the filters. */
#ifndef FT_MODEL_JINJA_METHOD_H
#define FT_MODEL_JINJA_METHOD_H

#include "model/jinja/unicode.h"
#include "model/jinja/value.h"

struct jv jm_map(struct jr *r, struct jv s, enum ju_case how);
struct jv jm_capitalize(struct jr *r, struct jv s, enum ju_case first);
struct jv jm_strip(struct jr *r, struct jv s, struct jv chars, bool left, bool right);
struct jv jm_pad(struct jr *r, struct jv s, int64_t left, int64_t right, struct jv fill);
struct jv jm_center(struct jr *r, struct jv s, int64_t width, struct jv fill);
struct jv jm_replace(struct jr *r, struct jv s, const struct jv_str *from, const struct jv_str *to,
                     int64_t count);
bool jm_is_cased(const struct jv_str *s, bool upper); /* isupper(), islower() */
struct jv jm_splitlines(struct jr *r, struct jv s, bool keep_ends);

/* Methods that live in split.c. */
jv_call_fn jm_split, jm_rsplit, jm_partition, jm_rpartition, jm_splitlines_method;

#endif
