/* Headers of Trace Context and of the collector, as they may come. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    struct ft_trace_context c = {0};
    if (ft_trace_parent_parse(text, &c)) {
        char again[FT_TRACE_PARENT_BYTES];
        memcpy(c.span_id, c.parent_id, sizeof c.span_id);
        ft_trace_parent_write(&c, c.span_id, again);
        FT_ASSERT(memcmp(again + 2, text + 2, 51) == 0);
    }
    ft_trace_state_ok(text);
    char *header[FT_TRACE_HEADERS_MAX];
    int k = 0;
    struct ft_err err;
    if (ft_trace_headers_parse(text, header, &k, &err) == 0)
        while (k > 0)
            free(header[--k]);
    free(text);
    return 0;
}
