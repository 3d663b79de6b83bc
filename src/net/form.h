/* multipart/form-data (RFC 7578), taken apart as it comes: fields and files, however the bytes are
 * cut. Nothing of a part's content is kept; memory is one struct. */
#ifndef FT_NET_FORM_H
#define FT_NET_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define FT_FORM_PARTS_MAX    64
#define FT_FORM_BOUNDARY_MAX 70   /* characters (RFC 2046) */
#define FT_FORM_HEAD_MAX     8192 /* bytes of the headers of a part */
#define FT_FORM_NAME_MAX     255
#define FT_FORM_FILENAME_MAX 1023
#define FT_FORM_TYPE_MAX     127

/* Texts are UTF-8 without control characters. */
struct ft_form_part {
    const char *name;
    const char *filename; /* as the client said it, a path perhaps; NULL: none, a plain field */
    const char *type;     /* its Content-Type; "" */
};

/* A negative code ends the parsing, and is what feed returns. */
struct ft_form_ops {
    int (*begin)(void *ctx, const struct ft_form_part *p, struct ft_err *err);
    int (*data)(void *ctx, const void *data, size_t n, struct ft_err *err);
    int (*end)(void *ctx, struct ft_err *err); /* of the part */
};

struct ft_form;

/* content_type: the request's header (NULL is accepted). FT_EINVAL: it is no form, or names no
 * boundary. */
int ft_form_open(const char *content_type, const struct ft_form_ops *ops, void *ctx,
                 struct ft_form **ret, struct ft_err *err);
/* FT_EINVAL: no form; FT_ELIMIT: a bound was passed. After a failure only close. */
int ft_form_feed(struct ft_form *f, const void *data, size_t n, struct ft_err *err);
/* The body is over: FT_EINVAL if the last boundary has not come. */
int ft_form_end(struct ft_form *f, struct ft_err *err);
void ft_form_close(struct ft_form *f); /* NULL is accepted */

#endif
