/* Lanes: threads on which a request is handled by code that may block.
 *
 * The server's threads never block; a handler that reads a body piece by piece, works on a disk and
 * writes an answer of any length is written straight down in a lane instead. A client that sends or
 * takes slowly makes its own lane wait, with at most FT_LANE_BYTES each way in memory. */
#ifndef FT_NET_LANE_H
#define FT_NET_LANE_H

#include "net/server.h"

#define FT_LANE_BYTES      (256u << 10) /* of a body, read from the socket and not yet by the lane */
#define FT_LANES_MAX       512          /* threads; they come and go with the work */
#define FT_LANES_QUEUE_MAX 4096         /* requests that wait for one */

struct ft_lanes;
struct ft_lane {
    struct ft_http_exchange *x; /* answered with ft_http_respond, or the calls below */
};
typedef void ft_lane_fn(void *ctx, struct ft_lane *l);

int ft_lanes_open(int max_threads, struct ft_lanes **ret, struct ft_err *err); /* 0: FT_LANES_MAX */
/* Waits for those that run; after the server has drained. NULL is accepted. */
void ft_lanes_close(struct ft_lanes *p);

/* In the exchange's handler: fn will run on a lane; small bodies are read whole before one is
 * taken. body_max: 0 for no bound; above it 413. When fn returns the exchange must have been
 * answered (else 500), and what is left of the body is dropped. FT_EBUSY: the queue is full,
 * nothing was taken. */
int ft_lane_start(struct ft_lanes *p, struct ft_http_exchange *x, int64_t body_max, ft_lane_fn *fn,
                  void *ctx, struct ft_err *err);

/* Waits for more of the body: > 0 bytes, 0 at its end; FT_ECANCELED: the client is gone. */
int64_t ft_lane_read(struct ft_lane *l, void *data, size_t n, struct ft_err *err);
/* The head of an answer whose body comes by ft_lane_write. length -1: not known (chunked). */
int ft_lane_begin(struct ft_lane *l, int status, int64_t length, const struct ft_http_field *fields,
                  int n_fields, struct ft_err *err);
/* Waits while the client takes what is there. FT_ECANCELED: it is gone. */
int ft_lane_write(struct ft_lane *l, const void *data, size_t n, struct ft_err *err);
/* Ends the answer; FT_EINVAL (and the connection is cut) if fewer bytes came than begin said. */
int ft_lane_end(struct ft_lane *l, struct ft_err *err);
/* Cuts the connection: the client can tell that the answer is not whole. */
void ft_lane_cut(struct ft_lane *l);

#endif
