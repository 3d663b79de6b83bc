/* The console's files: a web application, built from web/ and part of the program.
 *
 * Names are as below /console/: "index.html", "assets/main-HASH.js". What has its hash in its name
 * never changes. All functions are pure, on any thread; what they return lives as long as the
 * program. */
#ifndef FT_CONSOLE_CONSOLE_H
#define FT_CONSOLE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

enum ft_console_coding { FT_CONSOLE_PLAIN, FT_CONSOLE_BR, FT_CONSOLE_GZIP, FT_CONSOLE_CODINGS };

struct ft_console_file {
    const char *name;
    const char *type; /* Content-Type */
    const char *hash; /* of its content: what an ETag is made of */
    bool immutable;   /* its name has its hash */
    struct {
        size_t at, n; /* n: 0 where the coding makes it no smaller */
    } bytes[FT_CONSOLE_CODINGS];
};

/* The file of that name; NULL: there is none. */
const struct ft_console_file *ft_console_find(const char *name);

/* What a browser gets at a path below /console/: the file; for addresses of pages ("", "models/x"),
 * which the application itself understands, index.html; NULL for assets that are not there. */
const struct ft_console_file *ft_console_at(const char *path);

const void *ft_console_bytes(const struct ft_console_file *f, enum ft_console_coding coding,
                             size_t *ret_n);

/* The smallest that the client takes. accept: its Accept-Encoding (RFC 9110, 12.5.3); NULL: it sent
 * none. */
enum ft_console_coding ft_console_choose(const struct ft_console_file *f, const char *accept);

/* For Content-Encoding: "br", "gzip", NULL. */
const char *ft_console_coding_name(enum ft_console_coding coding);

/* Does If-None-Match (RFC 9110, 13.1.2: weak comparison, "*", a list) name this ETag, quotes and
 * all? list may be NULL. */
bool ft_console_matches(const char *list, const char *etag);

/* The i-th file, in the order of their names; NULL: there are no more. */
const struct ft_console_file *ft_console_each(size_t i);

#endif
