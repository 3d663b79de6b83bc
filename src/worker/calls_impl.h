/* Between calls.c (answers, calls written as JSON) and calls_tags.c (calls written in tags). A
 * layout is made from its end to its beginning: each function takes the node that comes next and
 * returns the one to begin with. Nodes that a loop comes back to are made first (fc_fork(c, -1,
 * -1)) and filled in later. */
#ifndef FT_WORKER_CALLS_IMPL_H
#define FT_WORKER_CALLS_IMPL_H

#include "base/arena.h"
#include "worker/calls.h"

#define FC_MARKS_MAX 2

struct fc_mark {
    const char *text; /* where it stands in content, a call has begun; then comes */
    int entry;
};

struct fc {
    const struct ft_calls_config *cfg;
    struct ft_arena arena;
    struct ft_layout_node *node; /* [FT_LAYOUT_NODES_MAX] */
    int *tool;                   /* [FT_LAYOUT_NODES_MAX] which one the node is of, or -1 */
    int n_nodes;
    int tool_now, any; /* any: what a tool that is not strict gets, once it was made */
    struct fc_mark mark[FC_MARKS_MAX];
    int n_marks;
    int bare;           /* Llama: a call without a mark; -1: there are none */
    int failed, blamed; /* the first error, told in *err; the tool it is of */
    struct ft_err *err;
};

void fc_fail(struct fc *c, enum ft_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int fc_node(struct fc *c, const struct ft_layout_node *n);
int fc_fork(struct fc *c, int a, int b);
int fc_cut(struct fc *c, int next);
int fc_text(struct fc *c, int next, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int fc_regex(struct fc *c, int next, const char *re); /* static text */
/* v: taken. maybe, without: as in a layout's node. op: SCHEMA or STRING. */
int fc_schema(struct fc *c, int next, enum ft_layout_op op, json_t *v, const char *without,
              bool maybe);
/* One of the tools: `fmt` with its name as the only argument, then what `rest` makes of it. */
int fc_tools(struct fc *c, int (*rest)(struct fc *c, const json_t *tool, int next), int next,
             const char *before, const char *after);
void fc_mark(struct fc *c, const char *text, int entry);

bool fc_is_strict(const json_t *tool);

/* calls_tags.c: makes the marks. */
void fc_tags(struct fc *c, int done);

#endif
