/* Between compile.c (values, strings, numbers, arrays) and compile_obj.c (objects). */
#ifndef FT_CONSTRAIN_COMPILE_H
#define FT_CONSTRAIN_COMPILE_H

#include "engine/constrain/normal.h"
#include "engine/constrain/tables.h"

#define FT_SUBSETS (1u << FT_EXISTS_MAX)

/* Objects and arrays before it is known which values exist. */
struct ft_raw_label {
    uint32_t name, exists;
    uint32_t val[FT_SUBSETS]; /* 0: FALSE */
    uint32_t count;           /* keys of an unnamed class, at most FT_DFA_COUNT_MAX */
};

struct ft_raw_obj {
    struct ft_dfa *keys;
    struct ft_raw_label *labels;
    uint32_t n_labels, n_names, n_exists;
    struct ft_str *names;
    bool *required;
    int64_t min, max;
    uint16_t height;
};

struct ft_raw_arr {
    struct ft_jarr a; /* val: indexes into raw values */
    uint16_t height;
};

struct ft_raw_val {
    uint32_t node;
    unsigned simple;
    struct ft_jstr *strs;
    const struct ft_dfa *num; /* or NULL */
    struct ft_raw_arr **arrs;
    struct ft_raw_obj **objs;
    size_t n_strs, n_arrs, n_objs, arrs_cap, objs_cap;
    uint16_t height; /* UINT16_MAX while not known to exist */
};

struct ft_compiler {
    struct ft_cx *cx;
    struct ft_nodes ns;
    struct ft_raw_val *vals; /* from 1 */
    size_t n_vals, vals_cap, done;
    struct ft_dfa **kept; /* finished automata */
    size_t n_kept, kept_cap;
    uint32_t plain; /* a FT_N_PLAIN node */
};

/* The index of the value that `node` describes; 0 for FALSE. */
uint32_t ft_compile_val(struct ft_compiler *c, uint32_t node);
static inline bool ft_val_exists(const struct ft_compiler *c, uint32_t val, unsigned height)
{
    return val != 0 && c->vals[val].height < height;
}
/* Objects of `node`, appended to v. */
void ft_compile_objects(struct ft_compiler *c, uint32_t node, struct ft_raw_val *v);
/* Whether an object can be built from values of fewer than `height` levels. */
bool ft_raw_obj_exists(const struct ft_compiler *c, const struct ft_raw_obj *o, unsigned height);
void ft_raw_obj_finish(struct ft_compiler *c, const struct ft_raw_obj *o, const uint32_t *val_index,
                       struct ft_jobj *out);
const struct ft_dfa *ft_compile_keep(struct ft_compiler *c, const struct ft_dfa *d);

#endif
