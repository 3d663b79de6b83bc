/* The headers and paths that choose among the console's files: whatever they say, what comes is a
 * file of the table in a coding that it has. */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "console/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_arena arena;
    ft_arena_init(&arena, 4u << 20);
    const char *text = ft_arena_strndup(&arena, (const char *)data, n);
    if (text != NULL && strlen(text) == n) {
        const struct ft_console_file *page = ft_console_find("index.html"), *f;
        enum ft_console_coding coding = ft_console_choose(page, text);
        size_t n_bytes = 0;
        FT_ASSERT(coding < FT_CONSOLE_CODINGS);
        FT_ASSERT(ft_console_bytes(page, coding, &n_bytes) != NULL && n_bytes > 0);
        if (ft_console_matches(text, "\"never\""))
            FT_ASSERT(strstr(text, "\"never\"") != NULL || strchr(text, '*') != NULL);
        f = ft_console_at(text);
        FT_ASSERT(f == NULL || f == page || strcmp(f->name, text) == 0);
        FT_ASSERT(f != NULL || strncmp(text, "assets/", 7) == 0);
    }
    ft_arena_fini(&arena);
    return 0;
}
