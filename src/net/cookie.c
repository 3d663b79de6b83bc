/* The header is walked pair by pair; see cookie.h. */
#include "net/cookie.h"

#include <string.h>

static struct ft_slice trimmed(const char *p, size_t n)
{
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    while (n > 0 && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    return (struct ft_slice){p, n};
}

bool ft_cookie_find(const char *header, const char *name, struct ft_slice *ret)
{
    size_t n_name = strlen(name);
    for (int i = 0; header != NULL && i < FT_COOKIES_MAX; i++) {
        size_t n = strcspn(header, ";");
        struct ft_slice pair = trimmed(header, n);
        const char *eq = memchr(pair.p, '=', pair.n);
        size_t n_has = eq != NULL ? (size_t)(eq - pair.p) : 0;
        if (eq != NULL && n_has == n_name && memcmp(pair.p, name, n_name) == 0) {
            struct ft_slice v = {eq + 1, pair.n - n_has - 1};
            if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
                v = (struct ft_slice){v.p + 1, v.n - 2};
            *ret = v;
            return true;
        }
        header = header[n] == ';' ? header + n + 1 : NULL;
    }
    return false;
}
