/* XML as S3's protocol uses it: small documents read whole into a tree, and written from top to
 * bottom. No DTD, no entities of a document's own, no mixed content. */
#ifndef FT_NET_XML_H
#define FT_NET_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define FT_XML_DEPTH_MAX 16
#define FT_XML_NODES_MAX 65536 /* elements of a document that is read */

/* ---- reading ---- */

/* Names are without their namespace's prefix. */
struct ft_xml_attr {
    const char *name, *value;
    struct ft_xml_attr *next;
};
struct ft_xml_node {
    const char *name;
    const char *text; /* "" where elements are inside; not trimmed else */
    struct ft_xml_attr *attrs;
    struct ft_xml_node *first, *next; /* elements inside, in order; the sibling */
    int line;
};
/* FT_EINVAL: not XML, or what is not read here (names the line); FT_ELIMIT: deeper or more than the
 * bounds above; FT_ENOMEM: the arena is full. The tree is the arena's. */
int ft_xml_read(const char *data, size_t n, struct ft_arena *arena, struct ft_xml_node **ret_root,
                struct ft_err *err);
/* The first of that name inside n (may be NULL), or NULL. */
const struct ft_xml_node *ft_xml_child(const struct ft_xml_node *n, const char *name);
/* Its text, or NULL. */
const char *ft_xml_child_text(const struct ft_xml_node *n, const char *name);
const char *ft_xml_attr(const struct ft_xml_node *n, const char *name); /* or NULL */

/* ---- writing ---- */

/* Failures stay with `buf`: look at buf.failed at the end. */
struct ft_xml {
    struct ft_buf buf;
    const char *open[FT_XML_DEPTH_MAX]; /* borrowed */
    int depth;
};
void ft_xml_init(struct ft_xml *x, size_t max_bytes); /* with <?xml ...?> */
void ft_xml_fini(struct ft_xml *x);
void ft_xml_root(struct ft_xml *x, const char *name, const char *xmlns); /* NULL: none */
void ft_xml_begin(struct ft_xml *x, const char *name); /* name outlives the element */
void ft_xml_end(struct ft_xml *x);                     /* the innermost */
/* <name>value</name>; NULL: nothing. Control characters become references, bytes that are no UTF-8
 * U+FFFD. */
void ft_xml_text(struct ft_xml *x, const char *name, const char *value);
void ft_xml_int(struct ft_xml *x, const char *name, int64_t value);
void ft_xml_bool(struct ft_xml *x, const char *name, bool value);
void ft_xml_time(struct ft_xml *x, const char *name, int64_t unix_ns); /* ISO 8601 */
void ft_xml_escape(struct ft_buf *b, const char *s, size_t n);

#endif
