/* The hash table of pointers (table.h). At most half of the slots are taken. */
#include "tenant/table.h"

#include <stdlib.h>

#include "base/err.h"

#define SLOTS_MIN 64

void ft_table_fini(struct ft_table *t)
{
    free(t->slots);
    *t = (struct ft_table){0};
}

bool ft_table_reserve(struct ft_table *t)
{
    if ((t->count + 1) * 2 <= t->n_slots)
        return true;
    struct ft_table wide = {.n_slots = t->n_slots == 0 ? SLOTS_MIN : t->n_slots * 2};
    wide.slots = calloc(wide.n_slots, sizeof *wide.slots);
    if (wide.slots == NULL)
        return false;
    for (size_t i = 0; i < t->n_slots; i++)
        if (t->slots[i].p != NULL)
            ft_table_put(&wide, t->slots[i].hash, t->slots[i].p);
    free(t->slots);
    *t = wide;
    return true;
}

void ft_table_put(struct ft_table *t, uint64_t hash, void *p)
{
    FT_ASSERT((t->count + 1) * 2 <= t->n_slots && p != NULL);
    size_t mask = t->n_slots - 1, i = hash & mask;
    while (t->slots[i].p != NULL)
        i = (i + 1) & mask;
    t->slots[i] = (struct ft_table_slot){hash, p};
    t->count++;
}

void *ft_table_get(const struct ft_table *t, uint64_t hash, ft_table_eq *eq, const void *key)
{
    if (t->n_slots == 0)
        return NULL;
    size_t mask = t->n_slots - 1;
    for (size_t i = hash & mask; t->slots[i].p != NULL; i = (i + 1) & mask)
        if (t->slots[i].hash == hash && eq(t->slots[i].p, key))
            return t->slots[i].p;
    return NULL;
}

void ft_table_remove(struct ft_table *t, uint64_t hash, const void *p)
{
    if (t->n_slots == 0)
        return;
    size_t mask = t->n_slots - 1, i = hash & mask;
    while (t->slots[i].p != NULL && t->slots[i].p != p)
        i = (i + 1) & mask;
    if (t->slots[i].p == NULL)
        return;
    t->count--;
    /* What follows in the run moves into the gap unless that would put it before its own place. */
    for (size_t gap = i, next = (i + 1) & mask;; next = (next + 1) & mask) {
        if (t->slots[next].p == NULL) {
            t->slots[gap].p = NULL;
            return;
        }
        size_t home = t->slots[next].hash & mask;
        if (((next - home) & mask) >= ((next - gap) & mask)) {
            t->slots[gap] = t->slots[next];
            gap = next;
        }
    }
}
