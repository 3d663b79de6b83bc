/* Bump memory: see scratch.h. */
#include "engine/constrain/scratch.h"

#include <stdlib.h>

void *ft_scratch_grow(struct ft_scratch *s, size_t bytes)
{
    uint32_t next = s->n_chunks == 0 ? 0 : s->at_chunk + 1;
    if (bytes > FT_SCRATCH_CHUNK || next >= FT_SCRATCH_CHUNKS) {
        s->failed = true;
        return NULL;
    }
    if (next >= s->n_chunks) {
        char *p = malloc(FT_SCRATCH_CHUNK);
        if (p == NULL) {
            s->failed = true;
            return NULL;
        }
        s->chunk[s->n_chunks++] = p;
    }
    s->at_chunk = next;
    s->used = bytes;
    return s->chunk[next];
}

void ft_scratch_fini(struct ft_scratch *s)
{
    for (uint32_t i = 0; i < s->n_chunks; i++)
        free(s->chunk[i]);
    *s = (struct ft_scratch){.n_chunks = 0};
}
