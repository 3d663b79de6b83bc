/* Paths and queries of URLs, decoded and encoded (RFC 3986). */
#ifndef FT_NET_URL_H
#define FT_NET_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Decodes the path of a request's target ("/a%20b?x" gives "/a b", up to '?'). FT_EINVAL for one
 * that does not begin with '/', a broken or NUL escape, control bytes, bytes that are no UTF-8, a
 * backslash, or a "." or ".." part, encoded or not: nothing is normalised, so that no two parts of
 * a program can see two different paths. An encoded '/' becomes one ("org%2Fname"). */
int ft_url_path(const char *target, size_t n, struct ft_arena *arena, const char **ret_path,
                struct ft_err *err);

/* The value of a parameter in "a=1&b=two+words", decoded; the first of several. 0 with
 * *ret_value NULL if it is not there; "" for one without a value; FT_EINVAL (names it) for broken
 * escapes, control bytes, no UTF-8. */
int ft_url_param(const char *query, const char *name, struct ft_arena *arena,
                 const char **ret_value, struct ft_err *err);
/* Every parameter in turn: *at is 0 at first. 1 with name and value decoded, 0 at the end,
 * FT_EINVAL. For lists ("group_by[]=a&group_by[]=b") and to refuse unknown names. */
int ft_url_param_next(const char *query, size_t *at, struct ft_arena *arena, const char **ret_name,
                      const char **ret_value, struct ft_err *err);

/* Appends bytes with everything but unreserved characters escaped: one path part or value. */
void ft_url_encode(struct ft_buf *b, const char *bytes, size_t n);

#endif
