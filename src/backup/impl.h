/* What writing and reading share: names, lines of the manifest, hashes. */
#ifndef FT_BACKUP_IMPL_H
#define FT_BACKUP_IMPL_H

#include <nettle/sha2.h>
#include <stdio.h>

#include "backup/backup.h"

#define BACKUP_INFO     "BACKUP"
#define BACKUP_MANIFEST "MANIFEST"
#define BACKUP_HEX      (2 * SHA256_DIGEST_SIZE)
#define BACKUP_LINE_MAX (2 * FT_BACKUP_NAME_MAX + BACKUP_HEX + 16)
#define BACKUP_CHUNK    ((size_t)1 << 20)

/* A name within a folder: no empty, "." or ".." part, no slash at either end. */
bool ft_bk_name_ok(const char *name);

/* A line of the manifest, with its newline:
 *   HEX  NAME           a file; behind "# link TARGET" another name of it
 *   # symlink TARGET    and "# NAME" behind it
 * As sha256sum does, one whose name holds a newline, a return or a backslash begins with '\' and
 * has them as \n, \r and \\; so are names in comments, without the '\' before. */
void ft_bk_line_file(const char hex[BACKUP_HEX + 1], const char *name, char ret[BACKUP_LINE_MAX]);
void ft_bk_line_note(const char *word, const char *name, char ret[BACKUP_LINE_MAX]);

struct ft_bk_line {
    enum { LINE_FILE, LINE_LINK, LINE_SYMLINK, LINE_NOTE } kind;
    char hex[BACKUP_HEX + 1];      /* of a file */
    char name[FT_BACKUP_NAME_MAX]; /* of a file; a target; what a note says */
};
/* text without its newline. False: it is none. */
bool ft_bk_line_parse(const char *text, struct ft_bk_line *ret);

/* One line of f without its newline into ret; 1, 0 at the end, or FT_ECORRUPT (too long, a NUL). */
int ft_bk_line_read(FILE *f, char ret[BACKUP_LINE_MAX], struct ft_err *err);

void ft_bk_hex(struct sha256_ctx *sha, char ret[BACKUP_HEX + 1]);

#define BACKUP_SEAL "# sha256 of all lines above: " /* the last line, before its hex */

#endif
