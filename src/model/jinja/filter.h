/* The table of filters is in filter.c; their bodies are spread over filter_*.c. */
#ifndef FT_MODEL_JINJA_FILTER_H
#define FT_MODEL_JINJA_FILTER_H

#include "model/jinja/value.h"

/* v: the filtered value; p: the bound parameters (JV_MISSING where left out). Filters that take any
 * arguments get them in `a` and have no parameters. */
struct jf_call {
    struct jv v;
    struct jv p[JV_PARAMS_MAX];
    const struct jv_args *a;
};
typedef struct jv jf_fn(struct jr *r, struct jf_call *c);

/* Sequences (filter_seq.c). */
jf_fn jf_batch, jf_dictsort, jf_first, jf_groupby, jf_items, jf_last, jf_length, jf_list, jf_map,
    jf_max, jf_min, jf_reject, jf_rejectattr, jf_reverse, jf_select, jf_selectattr, jf_slice,
    jf_sort, jf_sum, jf_unique, jf_join;
/* Text (filter_str.c). */
jf_fn jf_capitalize, jf_center, jf_escape, jf_forceescape, jf_format, jf_indent, jf_lower,
    jf_replace, jf_safe, jf_string, jf_striptags, jf_title, jf_trim, jf_truncate, jf_upper,
    jf_urlencode, jf_wordcount, jf_xmlattr;
jf_fn jf_wordwrap, jf_urlize; /* filter_wrap.c */

/* An argument that must be a whole number; `absent` where it was left out (filter.c). */
int64_t jf_int(struct jr *r, struct jv v, int64_t absent);
/* The value at a path as filters take it: "a.b.0", a number, or nothing at all. */
struct jv jf_attribute(struct jr *r, struct jv item, struct jv path);
/* Strings in lower case, anything else as it is. */
struct jv jf_ignore_case(struct jr *r, struct jv v);

#endif
