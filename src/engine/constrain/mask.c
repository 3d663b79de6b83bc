/* Masks: walking the vocabulary's trie with the machine. See matcher.h. */
#include <string.h>

#include "engine/constrain/matcher.h"

void ft_mask_walk(struct ft_matcher *m, uint32_t node, const void *state, uint32_t *mask)
{
    const struct ft_vocab *v = m->v;
    const struct ft_machine_ops *ops = m->g->ops;
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark outer = ft_scratch_mark(s);
    struct ft_level *l = m->level;
    uint32_t i = node + 1, end = v->skip[node];
    l->state = state;
    l->mark = outer;
    l->end = end;
    while (i < end) {
        while (i >= l->end)
            l--;
        ft_scratch_reset(s, l->mark);
        const void *next = ops->step(s, m->g->g, l->state, v->byte[i]);
        if (next == NULL) {
            i = v->skip[i];
            continue;
        }
        for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++) {
            uint32_t id = (uint32_t)v->order[k];
            mask[id / 32] |= 1u << id % 32;
        }
        if (v->skip[i] > i + 1) {
            l++;
            l->state = next;
            l->mark = ft_scratch_mark(s);
            l->end = v->skip[i];
        }
        i++;
    }
    ft_scratch_reset(s, outer);
}
