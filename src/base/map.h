/* Map from byte strings to int32: vocabularies, merge ranks, names of tensors and fields.
 *
 * Keys are borrowed: the bytes must outlive the map and stay unchanged. Any bytes, any length below
 * 4 GiB, the empty key too. Not thread-safe while written; any number of readers after. Hashing is
 * keyed with random bytes drawn once a process, so chosen keys cannot make it slow, and nothing
 * depends on the order of entries (there is no iteration for that reason: keep your own array). */
#ifndef FT_BASE_MAP_H
#define FT_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FT_STRMAP_ENTRIES_MAX (1u << 28)

struct ft_strmap_slot;

struct ft_strmap {
    struct ft_strmap_slot *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t count;
};

/* Makes room for n_expected entries (0: none yet). FT_ENOMEM or FT_ELIMIT. */
int ft_strmap_init(struct ft_strmap *m, size_t n_expected);
void ft_strmap_fini(struct ft_strmap *m); /* a zeroed map is accepted, and is an empty map */

/* Adds a key. FT_EEXIST (and nothing changed) if it is there already; FT_ENOMEM, FT_ELIMIT. */
int ft_strmap_add(struct ft_strmap *m, const char *key, size_t n, int32_t value);
/* Adds a key or replaces its value. FT_ENOMEM, FT_ELIMIT. */
int ft_strmap_set(struct ft_strmap *m, const char *key, size_t n, int32_t value);
/* True, and the value in *ret_value (which may be NULL), if the key is there. */
bool ft_strmap_get(const struct ft_strmap *m, const char *key, size_t n, int32_t *ret_value);

/* The hash the map uses: SipHash-1-3 under the process's random key. For other tables of keys that
 * come from outside; never stored, differs from run to run. */
uint64_t ft_hash_bytes(const void *data, size_t n);

#endif
