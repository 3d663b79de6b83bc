/* The table of the console's files, which build.mjs writes, and what of them a client gets.
 *
 * assets.bin is all of them behind each other, each as it is and compressed; the assembler takes it
 * in as it stands, because a C array of it would take longer to compile than all else. */
#include "console/console.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        "ft_console_all:\n"
        ".incbin \"" FT_CONSOLE_FOLDER "/assets.bin\"\n"
        ".popsection\n");
extern const unsigned char ft_console_all[];

static const struct ft_console_file files[] = {
#include FT_CONSOLE_TABLE
};

static int by_name(const void *name, const void *file)
{
    return strcmp(name, ((const struct ft_console_file *)file)->name);
}

const struct ft_console_file *ft_console_find(const char *name)
{
    return bsearch(name, files, FT_COUNT(files), sizeof files[0], by_name);
}

const struct ft_console_file *ft_console_at(const char *path)
{
    const struct ft_console_file *f = ft_console_find(path);
    if (f != NULL || strncmp(path, "assets/", 7) == 0)
        return f;
    return ft_console_find("index.html");
}

const struct ft_console_file *ft_console_each(size_t i)
{
    return i < FT_COUNT(files) ? &files[i] : NULL;
}

const void *ft_console_bytes(const struct ft_console_file *f, enum ft_console_coding coding,
                             size_t *ret_n)
{
    *ret_n = f->bytes[coding].n;
    return ft_console_all + f->bytes[coding].at;
}

const char *ft_console_coding_name(enum ft_console_coding coding)
{
    static const char *const names[] = {NULL, "br", "gzip"};
    return names[coding];
}

/* ---- lists of headers ---- */

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t");
}

/* The weight of one coding behind its name, ";q=0.5", at p: is it more than 0? */
static bool wanted(const char *p, const char *end)
{
    while (p < end && (p = memchr(p, ';', (size_t)(end - p))) != NULL) {
        p = skip_space(p + 1);
        if (p + 2 < end && (p[0] == 'q' || p[0] == 'Q') && p[1] == '=') {
            p += 2;
            size_t n = strspn(p, "0.");
            return p + n < end && p[n] >= '1' && p[n] <= '9';
        }
    }
    return true;
}

/* Does the list take it? -1: the list does not name it. */
static int takes(const char *list, const char *name)
{
    size_t n_name = strlen(name);
    while (*list != '\0') {
        list += strspn(list, " \t,");
        size_t n = strcspn(list, ",");
        size_t n_own = strcspn(list, " \t;,");
        if (n_own == n_name && strncasecmp(list, name, n_name) == 0)
            return wanted(list, list + n);
        list += n;
    }
    return -1;
}

enum ft_console_coding ft_console_choose(const struct ft_console_file *f, const char *accept)
{
    enum ft_console_coding best = FT_CONSOLE_PLAIN;
    if (accept == NULL)
        return best;
    bool others = takes(accept, "*") == 1;
    for (int c = FT_CONSOLE_BR; c < FT_CONSOLE_CODINGS; c++) {
        int said = takes(accept, ft_console_coding_name(c));
        bool may = said == 1 || (said < 0 && others);
        if (may && f->bytes[c].n > 0 && f->bytes[c].n < f->bytes[best].n)
            best = c;
    }
    return best;
}

bool ft_console_matches(const char *list, const char *etag)
{
    size_t n_etag = strlen(etag);
    while (list != NULL && *list != '\0') {
        list += strspn(list, " \t,");
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        if (*list != '"') /* not an ETag: to the next */
            list += strcspn(list, ",");
        else if (strncmp(list, etag, n_etag) == 0)
            return true;
        else
            list += 1 + strcspn(list + 1, "\"") + (strchr(list + 1, '"') != NULL);
    }
    return false;
}
