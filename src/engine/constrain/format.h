/* The formats of JSON Schema, as regular expressions of the whole string. */
#ifndef FT_CONSTRAIN_FORMAT_H
#define FT_CONSTRAIN_FORMAT_H

/* NULL for a format that is not known: an annotation then, as the standard has it. */
const char *ft_format_regex(const char *name);

#endif
