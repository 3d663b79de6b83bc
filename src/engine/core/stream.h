/* Streams: the bounded queue between the owner thread and one consumer of a request's events.
 *
 * A ring of bytes with variable-length records, allocated when the request is submitted. The owner
 * asks for room before it computes more tokens, so that a push never fails; a consumer that makes
 * room again wakes the owner. Two hold a stream: the engine until END, the consumer until close. */
#ifndef FT_ENGINE_CORE_STREAM_H
#define FT_ENGINE_CORE_STREAM_H

#include "base/err.h"
#include "engine/core/request.h"

#define FT_STREAM_BYTES_MIN (32u << 10)

struct ft_stream;

struct ft_stream_hooks {
    void (*ready)(void *ctx); /* events came into an empty stream; may be NULL */
    void *ctx;
    /* Called with the stream's lock held; must not block. */
    void (*wake)(void *engine);                /* there is room again */
    bool (*cancel)(void *engine, uint64_t id); /* closed before END; false: could not, try again */
    void *engine;
    uint64_t id;
};

/* event_bytes: the largest event; burst_bytes: what the owner may push between two questions for
 * room; end_bytes: what must fit beside it (the DONE and END events, a result). */
int ft_stream_open(const struct ft_stream_hooks *hooks, size_t event_bytes, size_t burst_bytes,
                   size_t end_bytes, struct ft_stream **ret_s, struct ft_err *err);
/* Bytes that an event takes with so much text. */
size_t ft_stream_event_bytes(size_t text_n, int n_top, int n_value);

/* Owner: is there room for another burst? If not, the consumer will call wake. */
bool ft_stream_has_room(struct ft_stream *s);
void ft_stream_push(struct ft_stream *s, const struct ft_event *ev);
void ft_stream_drop(struct ft_stream *s); /* submit failed: frees it for both sides */

#endif
