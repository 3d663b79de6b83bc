/* A hash table of pointers with removal: open addressing, linear probing, entries moved back when
 * one goes, so there are no tombstones. The caller locks, and compares. */
#ifndef FT_TENANT_TABLE_H
#define FT_TENANT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ft_table_slot {
    uint64_t hash;
    void *p; /* NULL: free */
};

struct ft_table { /* zeroed: empty */
    struct ft_table_slot *slots;
    size_t n_slots, count; /* n_slots: a power of two, or 0 */
};

typedef bool ft_table_eq(const void *p, const void *key);

void ft_table_fini(struct ft_table *t);
/* Room for one more. False: no memory; the table is as it was. */
bool ft_table_reserve(struct ft_table *t);
/* After a reserve; p is not in it. */
void ft_table_put(struct ft_table *t, uint64_t hash, void *p);
void *ft_table_get(const struct ft_table *t, uint64_t hash, ft_table_eq *eq, const void *key);
void ft_table_remove(struct ft_table *t, uint64_t hash, const void *p); /* nothing if not there */

#endif
