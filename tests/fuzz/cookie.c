/* Cookies: what is found lies within the header, behind its own name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *header = malloc(n + 1);
    if (header == NULL)
        return 0;
    memcpy(header, data, n);
    header[n] = '\0';
    struct ft_slice v;
    if (ft_cookie_find(header, "sid", &v)) {
        size_t len = strlen(header);
        FT_ASSERT(v.p >= header + 4 && v.p + v.n <= header + len);
        FT_ASSERT(memcmp(v.p - (v.p[-1] == '"') - 4, "sid=", 4) == 0);
        FT_ASSERT(memchr(v.p, ';', v.n) == NULL);
    }
    free(header);
    return 0;
}
