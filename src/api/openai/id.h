/* Ids that are in the order of their time: a prefix, 8 digits of base 62 of the milliseconds since
 * the epoch, 16 drawn at random (95 bits). Lists by time need no index then. */
#ifndef FT_API_OPENAI_ID_H
#define FT_API_OPENAI_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_OAI_ID_TIME_DIGITS 8
#define FT_OAI_ID_DIGITS      24
#define FT_OAI_ID_PREFIX_MAX  8
#define FT_OAI_ID_BYTES       (FT_OAI_ID_PREFIX_MAX + FT_OAI_ID_DIGITS + 1)

/* now_ms: unix time. */
int ft_oai_id_new(const char *prefix, int64_t now_ms, char ret[FT_OAI_ID_BYTES],
                  struct ft_err *err);
/* Is it one with this prefix? */
bool ft_oai_id_is(const char *id, const char *prefix);
/* When it was drawn, in ms. For ids that are some. */
int64_t ft_oai_id_time(const char *id);
/* The same id with the digits of its time turned round: later ones come first. For ids that are
 * some. */
void ft_oai_id_turn(const char *id, char ret[FT_OAI_ID_BYTES]);

#endif
