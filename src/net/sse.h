/* Server-sent events: a parser for any cut of the bytes, and a writer.
 *
 * As in the WHATWG HTML standard, section 9.2: lines end in CR, LF or CRLF; "data" lines of one
 * event are joined with LF; comments and unknown fields are dropped; an event without data is none.
 * Not thread-safe. */
#ifndef FT_NET_SSE_H
#define FT_NET_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define FT_SSE_NAME_MAX 64 /* bytes of an event's name or id that are kept */

struct ft_sse_event {
    const char *name; /* "event:"; "" if none was given */
    const char *data; /* NUL-terminated; may hold any bytes but CR and, unless joined, LF */
    size_t n;
};

/* Pointers are valid during the call. Not 0: stop, ft_sse_feed returns it. */
typedef int ft_sse_fn(void *ctx, const struct ft_sse_event *event);

struct ft_sse_parser {
    struct ft_buf data; /* of the event so far */
    char name[FT_SSE_NAME_MAX + 1];
    ft_sse_fn *fn;
    void *ctx;
    struct ft_buf line;            /* a line cut off at the end of a piece */
    bool skip_lf, begun, has_data; /* after a CR; past a byte order mark; a data line was there */
};

/* event_bytes_max bounds one event's data and one line. */
void ft_sse_init(struct ft_sse_parser *p, size_t event_bytes_max, ft_sse_fn *fn, void *ctx);
void ft_sse_fini(struct ft_sse_parser *p); /* a zeroed one is accepted */
/* 0; what fn returned; FT_ELIMIT for an event or line too long; FT_ENOMEM. After anything but 0 the
 * parser is of no more use. What is left unfinished at the end of the bytes is no event. */
int ft_sse_feed(struct ft_sse_parser *p, const char *bytes, size_t n);

/* Appends "event: NAME\ndata: ...\n\n"; every line of data becomes a data line. name may be NULL;
 * one with line breaks in it is left out. Check b->failed once at the end. */
void ft_sse_write(struct ft_buf *b, const char *name, const char *data, size_t n);
/* A comment that keeps a connection alive. */
#define FT_SSE_KEEP_ALIVE ": \n\n"

#endif
