/* Bump memory of one matcher, with marks: speculation (walking the vocabulary) resets to a mark,
 * accepting a token keeps what it made until the matcher copies its live state over and starts
 * anew. Chunks are kept, so nothing is allocated after warm-up. */
#ifndef FT_CONSTRAIN_SCRATCH_H
#define FT_CONSTRAIN_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_SCRATCH_CHUNK  ((size_t)64 << 10)
#define FT_SCRATCH_CHUNKS 1024 /* 64 MiB; more is out of memory */

struct ft_scratch {
    char *chunk[FT_SCRATCH_CHUNKS];
    uint32_t n_chunks, at_chunk;
    size_t used;   /* of the current chunk */
    bool failed;   /* ran out; sticky until taken */
    uint64_t work; /* steps of the machines, counted where one byte may take many */
};

struct ft_scratch_mark {
    uint32_t at_chunk;
    size_t used;
};

void *ft_scratch_grow(struct ft_scratch *s, size_t bytes);
void ft_scratch_fini(struct ft_scratch *s);

/* 16-byte aligned, not zeroed; at most FT_SCRATCH_CHUNK bytes; NULL when out of memory. */
static inline void *ft_scratch_alloc(struct ft_scratch *s, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (s->n_chunks == 0 || s->used + bytes > FT_SCRATCH_CHUNK)
        return ft_scratch_grow(s, bytes);
    void *p = s->chunk[s->at_chunk] + s->used;
    s->used += bytes;
    return p;
}

static inline struct ft_scratch_mark ft_scratch_mark(const struct ft_scratch *s)
{
    return (struct ft_scratch_mark){s->at_chunk, s->used};
}

static inline void ft_scratch_reset(struct ft_scratch *s, struct ft_scratch_mark m)
{
    s->at_chunk = m.at_chunk;
    s->used = m.used;
}

#endif
