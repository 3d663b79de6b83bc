/* Paths and queries: what is let through holds nothing that it must not, and decodes from its own
 * encoding. */
#include <string.h>

#include "base/utf8.h"
#include "net/url.h"

static void check_text(const char *s, size_t n)
{
    FT_ASSERT(strlen(s) == n && ft_utf8_valid(s, n));
    for (size_t i = 0; i < n; i++)
        FT_ASSERT((unsigned char)s[i] >= 0x20 && s[i] != 0x7f);
}

static void check_path(const char *p)
{
    check_text(p, strlen(p));
    FT_ASSERT(p[0] == '/' && strchr(p, '\\') == NULL && strstr(p, "/../") == NULL &&
              strstr(p, "/./") == NULL);
    size_t n = strlen(p);
    FT_ASSERT(n < 2 || strcmp(p + n - 2, "/.") != 0);
    FT_ASSERT(n < 3 || strcmp(p + n - 3, "/..") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_arena arena;
    struct ft_err err;
    const char *path, *name, *value, *text = (const char *)data;
    ft_arena_init(&arena, 16u << 20);
    if (ft_url_path(text, n, &arena, &path, &err) == 0)
        check_path(path);
    char *query = ft_arena_strndup(&arena, text, n);
    size_t at = 0, before = 0;
    while (query != NULL && ft_url_param_next(query, &at, &arena, &name, &value, &err) == 1) {
        FT_ASSERT(at > before && at <= strlen(query));
        before = at;
        check_text(name, strlen(name));
        check_text(value, strlen(value));
        struct ft_buf b;
        const char *again = NULL;
        ft_buf_init(&b, 1u << 20);
        ft_buf_add_str(&b, "k=");
        ft_url_encode(&b, value, strlen(value));
        FT_ASSERT(ft_url_param(b.data, "k", &arena, &again, &err) == 0);
        FT_ASSERT(strcmp(again, value) == 0);
        ft_buf_fini(&b);
    }
    ft_arena_fini(&arena);
    return 0;
}
