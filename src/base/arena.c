/* Arena allocator: a list of chunks. The first is small, since most requests need little and
 * thousands may be open; each further one doubles, up to CHUNK_MAX. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define CHUNK_MIN (2u << 10) /* with its header and the allocator's */
#define CHUNK_MAX (64u << 10)
#define ALIGN     16u

struct ft_arena_chunk {
    struct ft_arena_chunk *next;
    size_t cap, used;
    _Alignas(ALIGN) unsigned char data[];
};

void ft_arena_init(struct ft_arena *a, size_t max_bytes)
{
    *a = (struct ft_arena){.max_bytes = max_bytes};
}

void ft_arena_fini(struct ft_arena *a)
{
    for (struct ft_arena_chunk *c = a->head, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    *a = (struct ft_arena){.max_bytes = a->max_bytes};
}

void *ft_arena_alloc(struct ft_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX - ALIGN)
        return NULL;
    bytes = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (bytes > a->max_bytes - a->used_bytes)
        return NULL;
    struct ft_arena_chunk *c = a->head;
    if (c == NULL || c->cap - c->used < bytes) {
        size_t whole = c == NULL ? CHUNK_MIN : FT_MIN(2 * (c->cap + sizeof *c), CHUNK_MAX);
        size_t cap = FT_MAX(bytes, whole - sizeof *c);
        c = malloc(sizeof *c + cap);
        if (c == NULL)
            return NULL;
        c->cap = cap;
        c->used = 0;
        c->next = a->head;
        a->head = c;
    }
    void *p = c->data + c->used;
    c->used += bytes;
    a->used_bytes += bytes;
    return memset(p, 0, bytes);
}

void *ft_arena_array(struct ft_arena *a, size_t n, size_t elem_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, elem_bytes, &bytes))
        return NULL;
    return ft_arena_alloc(a, bytes);
}

char *ft_arena_strndup(struct ft_arena *a, const char *s, size_t n)
{
    char *p = n == SIZE_MAX ? NULL : ft_arena_alloc(a, n + 1);
    if (p != NULL && n != 0)
        memcpy(p, s, n);
    return p;
}
