/* LFS batches: what is let through is within bounds. */
#include <stdlib.h>
#include <string.h>

#include "api/hub/lines.h"
#include "api/openai/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_oai_error e;
    struct ft_err err;
    json_t *body = NULL;
    struct ft_hub_lfs_ask *ask = calloc(1, sizeof *ask);
    ft_oai_error_init(&e);
    if (ask != NULL && ft_oai_json_object((const char *)data, n, &body, &e) == 0 &&
        ft_hub_lfs_parse(body, ask, &err) == 0) {
        FT_ASSERT(ask->n >= 0 && ask->n <= FT_HUB_LFS_MAX);
        for (int i = 0; i < ask->n; i++) {
            FT_ASSERT(strlen(ask->object[i].sha256) == 64);
            FT_ASSERT(strspn(ask->object[i].sha256, "0123456789abcdef") == 64);
            FT_ASSERT(ask->object[i].size >= 0 && ask->object[i].size <= FT_BLOB_SIZE_MAX);
        }
    }
    json_decref(body);
    free(ask);
    return 0;
}
