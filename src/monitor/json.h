/* JSON as the forms of this module write it. */
#ifndef FT_MONITOR_JSON_H
#define FT_MONITOR_JSON_H

#include <jansson.h>

/* A new text; null where there is none, it is empty or no UTF-8. */
static inline json_t *ft_json_text(const char *text)
{
    json_t *v = text != NULL && text[0] != '\0' ? json_string(text) : NULL;
    return v != NULL ? v : json_null();
}

#endif
