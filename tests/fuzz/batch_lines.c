/* A batch's input: no line that is taken cannot be read, and what is read of it is JSON. */
#include <stdint.h>
#include <string.h>

#include "control/batch/lines.h"

static bool stop(void *ctx)
{
    (void)ctx;
    return false;
}

static void read_all(const struct ft_map *map, const struct ft_batch_lines *l)
{
    for (int i = 0; i < l->n; i++) {
        struct ft_slice id, body;
        struct ft_err err;
        int rc = ft_batch_line_read((const char *)map->data + l->line[i].at, l->line[i].n, &id,
                                    &body, &err);
        FT_ASSERT(rc == 0);
        json_t *v = json_loadb(id.p, id.n, JSON_DECODE_ANY, NULL);
        FT_ASSERT(json_is_string(v) && memchr(id.p, '\n', id.n) == NULL);
        json_decref(v);
        v = json_loadb(body.p, body.n, 0, NULL);
        FT_ASSERT(json_is_object(v));
        json_decref(v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_map map = {.data = data, .bytes = n};
    struct ft_batch_lines lines;
    struct ft_err err;
    char model[128];
    if (ft_batch_lines_index(&map, &lines, &err) != 0)
        return 0;
    json_t *errors = json_array();
    int rc = ft_batch_lines_check(&map, &lines, "/v1/embeddings", errors, model, stop, NULL, &err);
    FT_ASSERT(rc == 0 && json_array_size(errors) <= BATCH_ERRORS_MAX);
    if (json_array_size(errors) == 0)
        read_all(&map, &lines);
    json_decref(errors);
    ft_batch_lines_fini(&lines);
    return 0;
}
