/* Arena: memory with one lifetime (a request, a parse, a loaded file), freed all at once.
 *
 * Not thread-safe; one owner. Allocation is zeroed and 16-byte aligned. The arena has a named
 * maximum: past it (or when the system has no memory) allocation returns NULL. */
#ifndef FT_BASE_ARENA_H
#define FT_BASE_ARENA_H

#include <stddef.h>

struct ft_arena {
    struct ft_arena_chunk *head;
    size_t used_bytes; /* handed out so far */
    size_t max_bytes;  /* bound on used_bytes */
};

void ft_arena_init(struct ft_arena *a, size_t max_bytes);
void ft_arena_fini(struct ft_arena *a); /* frees everything; a zeroed arena is accepted */

void *ft_arena_alloc(struct ft_arena *a, size_t bytes);
void *ft_arena_array(struct ft_arena *a, size_t n, size_t elem_bytes); /* overflow-checked */
char *ft_arena_strndup(struct ft_arena *a, const char *s, size_t n);   /* NUL-terminated copy */

#endif
