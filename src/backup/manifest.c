/* Lines of a manifest, and names. */
#include <string.h>

#include "backup/impl.h"
#include "base/hex.h"

bool ft_bk_name_ok(const char *name)
{
    if (name[0] == '\0' || strlen(name) >= FT_BACKUP_NAME_MAX)
        return false;
    for (const char *part = name;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n <= 2 && strncmp(part, "..", n) == 0))
            return false;
        part += n;
        if (*part == '\0')
            return true;
    }
}

/* Returns whether anything had to be written otherwise. */
static bool escape(const char *name, char *ret)
{
    bool any = false;
    for (; *name != '\0'; name++) {
        const char *as = *name == '\n' ? "\\n" : *name == '\r' ? "\\r" : "\\\\";
        if (*name == '\n' || *name == '\r' || *name == '\\') {
            *ret++ = as[0];
            *ret++ = as[1];
            any = true;
        } else {
            *ret++ = *name;
        }
    }
    *ret = '\0';
    return any;
}

static bool unescape(const char *text, char ret[FT_BACKUP_NAME_MAX])
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        char c = *text;
        if (c == '\\') {
            c = *++text;
            if (c != 'n' && c != 'r' && c != '\\')
                return false;
            c = c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        }
        if (n + 1 >= FT_BACKUP_NAME_MAX)
            return false;
        ret[n++] = c;
    }
    ret[n] = '\0';
    return n > 0;
}

void ft_bk_line_file(const char hex[BACKUP_HEX + 1], const char *name, char ret[BACKUP_LINE_MAX])
{
    char escaped[2 * FT_BACKUP_NAME_MAX];
    bool any = escape(name, escaped);
    snprintf(ret, BACKUP_LINE_MAX, "%s%s  %s\n", any ? "\\" : "", hex, escaped);
}

void ft_bk_line_note(const char *word, const char *name, char ret[BACKUP_LINE_MAX])
{
    char escaped[2 * FT_BACKUP_NAME_MAX];
    escape(name, escaped);
    snprintf(ret, BACKUP_LINE_MAX, "#%s%s %s\n", word[0] != '\0' ? " " : "", word, escaped);
}

static bool starts(const char **text, const char *with)
{
    size_t n = strlen(with);
    if (strncmp(*text, with, n) != 0)
        return false;
    *text += n;
    return true;
}

bool ft_bk_line_parse(const char *text, struct ft_bk_line *ret)
{
    if (text[0] == '#') {
        ret->kind = starts(&text, "# link ")      ? LINE_LINK
                    : starts(&text, "# symlink ") ? LINE_SYMLINK
                    : starts(&text, "# ")         ? LINE_NOTE
                                                  : LINE_FILE;
        return ret->kind != LINE_FILE && unescape(text, ret->name);
    }
    bool escaped = text[0] == '\\';
    text += escaped;
    if (strspn(text, "0123456789abcdef") != BACKUP_HEX || text[BACKUP_HEX] != ' ' ||
        text[BACKUP_HEX + 1] != ' ')
        return false;
    ret->kind = LINE_FILE;
    snprintf(ret->hex, sizeof ret->hex, "%.*s", BACKUP_HEX, text);
    text += BACKUP_HEX + 2;
    if (escaped)
        return unescape(text, ret->name);
    if (strlen(text) >= FT_BACKUP_NAME_MAX)
        return false;
    strcpy(ret->name, text);
    return text[0] != '\0';
}

int ft_bk_line_read(FILE *f, char ret[BACKUP_LINE_MAX], struct ft_err *err)
{
    int c;
    size_t n = 0;
    while ((c = getc(f)) != EOF && c != '\n') {
        if (n + 1 >= BACKUP_LINE_MAX || c == '\0')
            return ft_err_set(err, FT_ECORRUPT, "the manifest is damaged");
        ret[n++] = (char)c;
    }
    if (ferror(f))
        return ft_err_sys(err, "read the manifest");
    ret[n] = '\0';
    if (c == EOF && n > 0)
        return ft_err_set(err, FT_ECORRUPT, "the manifest ends within a line");
    return c == '\n';
}

void ft_bk_hex(struct sha256_ctx *sha, char ret[BACKUP_HEX + 1])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(sha, sizeof digest, digest);
    ft_hex(digest, sizeof digest, ret);
}
