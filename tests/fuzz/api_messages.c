/* Any bytes as the body of Anthropic's messages: what is accepted is a chat request. */
#include <stdlib.h>
#include <string.h>

#include "api/anthropic/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    for (int count = 0; count < 2; count++) {
        struct ft_anthropic_request r;
        struct ft_oai_error e;
        ft_oai_error_init(&e);
        int rc = ft_anthropic_parse(count == 1, (const char *)data, n, &r, &e);
        if (rc != 0) {
            if (e.err.code != rc || e.err.msg[0] == '\0')
                abort();
            continue;
        }
        char *text = json_dumps(r.chat.root, JSON_COMPACT);
        struct ft_oai_request w;
        if (text == NULL ||
            ft_oai_parse(FT_TASK_CHAT, FT_OAI_WORKER, text, strlen(text), &w, &e) != 0)
            abort();
        ft_oai_request_fini(&w);
        free(text);
        ft_anthropic_request_fini(&r);
    }
    return 0;
}
