/* The bytes of JSON string content, one character at a time: UTF-8 and escapes. Shared by the
 * machine and by the walks that fill mask caches. */
#ifndef FT_CONSTRAIN_JCHAR_H
#define FT_CONSTRAIN_JCHAR_H

#include <stdbool.h>
#include <stdint.h>

enum ft_jchar_kind {
    FT_S_PLAIN, /* between characters */
    FT_S_UTF8,
    FT_S_ESC,    /* after a backslash */
    FT_S_HEX,    /* in \uXXXX */
    FT_S_LOW_BS, /* a high surrogate is read: \ must follow, */
    FT_S_LOW_U,  /* then u, */
    FT_S_LOW,    /* then the low one's digits */
};

/* A character that is being read. */
struct ft_jchar {
    uint32_t cp;  /* the part read so far */
    uint8_t kind; /* enum ft_jchar_kind */
    uint8_t left; /* digits to come; UTF-8: the character's length << 4 | bytes to come */
};

enum ft_jchar_result { FT_JCHAR_BAD, FT_JCHAR_PART, FT_JCHAR_WHOLE };

/* Takes one byte (not the closing quote). PART: *c is updated, and range[0..1] and range[2..3] are
 * the characters it can still become (an empty range has its end before its start). WHOLE: c->cp is
 * the character, c->kind is FT_S_PLAIN again. */
enum ft_jchar_result ft_jchar_step(struct ft_jchar *c, uint8_t b, uint32_t range[4]);

/* For raw text: UTF-8 only, no escapes. */
enum ft_jchar_result ft_jchar_step_raw(struct ft_jchar *c, uint8_t b, uint32_t range[4]);

#endif
