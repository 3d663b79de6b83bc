/* Metrics' text from outside: samples are whole and within their bounds, whatever the bytes; and
 * the header that chooses a format. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/expose.h"

static void take(void *ctx, const struct ft_sample *s)
{
    int *n = ctx;
    FT_ASSERT(s->name[0] != '\0' && strlen(s->name) <= FT_EXPOSE_NAME_LENGTH);
    FT_ASSERT(s->n_label >= 0 && s->n_label <= FT_EXPOSE_LABELS_MAX);
    for (int i = 0; i < s->n_label; i++) {
        FT_ASSERT(s->label[i].name[0] != '\0');
        FT_ASSERT(strlen(s->label[i].value) < FT_EXPOSE_SAMPLE_MAX);
    }
    ++*n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int samples = 0, lines = 1;
    for (size_t i = 0; i < n; i++)
        lines += data[i] == '\n';
    int broken = ft_expose_read((const char *)data, n, take, &samples);
    FT_ASSERT(broken >= 0 && samples + broken <= lines);
    char *accept = strndup((const char *)data, n);
    if (accept != NULL)
        ft_expose_choose(accept);
    free(accept);
    return 0;
}
