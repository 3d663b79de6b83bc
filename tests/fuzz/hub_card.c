/* Cards of repositories: whatever a README.md begins with, there is an object, and it can be
 * written as JSON. */
#include <stdlib.h>

#include "hub/repo/repo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    json_t *card = ft_repo_card_parse((const char *)data, n);
    char *text = json_dumps(card, JSON_COMPACT);
    FT_ASSERT(json_is_object(card) && text != NULL);
    free(text);
    json_decref(card);
    return 0;
}
