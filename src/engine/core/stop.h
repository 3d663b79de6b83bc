/* Stop strings over a stream of text: finds them across token boundaries and holds back what may
 * still become one.
 *
 * The strings are compiled once per request and shared by its samples. What is held is at most the
 * longest stop string. Strings are valid UTF-8, so text is never cut inside a character. */
#ifndef FT_ENGINE_CORE_STOP_H
#define FT_ENGINE_CORE_STOP_H

#include "base/buf.h"
#include "engine/core/request.h"

struct ft_stops {
    int n;
    struct ft_stop_string {
        int n;
        char text[FT_REQUEST_STOP_BYTES];
        /* fail[i]: length of the longest proper suffix of text[0 .. i] that begins the string
         * (Knuth, Morris, Pratt, 1977) */
        uint16_t fail[FT_REQUEST_STOP_BYTES];
    } s[FT_REQUEST_STOPS_MAX];
};

/* Per sample. */
struct ft_stop_scan {
    uint16_t at[FT_REQUEST_STOPS_MAX]; /* how much of each string the text ends with */
    char held[FT_REQUEST_STOP_BYTES];
    int n_held;
};

/* FT_EINVAL: empty, too long, too many, not UTF-8. */
int ft_stops_compile(const struct ft_slice *stop, int n, struct ft_stops *ret, struct ft_err *err);

/* Takes in text and appends to out what is free to be shown. Returns the index of the stop string
 * that is complete (the rest of the text is dropped, the longest wins where several end at once),
 * or -1. */
int ft_stop_push(const struct ft_stops *s, struct ft_stop_scan *scan, const char *text, size_t n,
                 struct ft_buf *out);
/* The text has ended: what was held is free. */
void ft_stop_finish(struct ft_stop_scan *scan, struct ft_buf *out);

#endif
