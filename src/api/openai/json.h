/* JSON from outside into a tree, within bounds: depth, and memory that the tree would take (a body
 * of a megabyte of "[[],[]," is a hundred as a tree). Duplicate names, invalid UTF-8, NUL
 * characters, numbers that do not fit are refused with their place: the last two with the member's
 * name, since the text is JSON all the same. */
#ifndef FT_API_OPENAI_JSON_H
#define FT_API_OPENAI_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "api/openai/error.h"

#define FT_OAI_JSON_DEPTH_MAX 128
#define FT_OAI_JSON_TREE_MAX  ((size_t)96 << 20) /* estimated bytes of the tree */

/* The object in text. FT_EINVAL (code "invalid_json"), FT_ELIMIT, FT_ENOMEM. */
int ft_oai_json_object(const char *text, size_t n, json_t **ret, struct ft_oai_error *e);

/* Appends v's compact text, which may be any value. Depth as above, else the buffer is failed. */
void ft_oai_json_dump(const json_t *v, struct ft_buf *out);
/* The same for figures that were f32: decimals to nine digits, which is all they have. */
void ft_oai_json_dump_f32(const json_t *v, struct ft_buf *out);

#endif
