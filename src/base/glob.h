/* Patterns of names: "*" stands for any run of bytes, everything else for itself. */
#ifndef FT_BASE_GLOB_H
#define FT_BASE_GLOB_H

#include <stdbool.h>

/* Does the pattern match the whole text? Time is at most the product of the lengths; bound them. */
static inline bool ft_glob_match(const char *pattern, const char *text)
{
    const char *star = 0, *resume = 0; /* the last '*', and where its run would end next */
    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == *text) {
            pattern++, text++;
        } else if (star != 0) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

#endif
