/* safetensors files: what is accepted lies inside the file. */
#include <stdlib.h>
#include <string.h>

#include "model/file/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_arena a;
    struct ft_st_tensor *t;
    struct ft_err err;
    int count;
    uint8_t *copy = malloc(n + 1); /* exactly the input's bytes, so that one too many is seen */
    if (copy == NULL)
        return 0;
    uint8_t *exact = n > 0 ? realloc(copy, n) : copy;
    memcpy(exact, data, n);
    struct ft_map map = {.data = exact, .bytes = n};
    ft_arena_init(&a, 64 << 20);
    if (ft_st_read(&map, &a, &t, &count, &err) == 0) {
        for (int i = 0; i < count; i++)
            if (t[i].p < exact || t[i].bytes > n || t[i].p + t[i].bytes > exact + n)
                abort();
    }
    ft_arena_fini(&a);
    free(exact);
    return 0;
}
