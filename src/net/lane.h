/* Lanes: threads on which a request is handled by code that may block.
 *
 * The server's threads never block; a handler that reads a body piece by piece, works on a disk and
 * writes an answer of any length is written straight down in a lane instead. A client that sends or
 * takes slowly makes its own lane wait, with at most FT_LANE_BYTES each way in memory. */
#ifndef FT_NET_LANE_H
#define FT_NET_LANE_H

#include "net/server.h"

#define FT_LANE_BYTES      (256u << 10) /* of a body, come in and not yet read by the lane */
#define FT_LANES_MAX       512          /* threads; they come and go with the work */
#define FT_LANE_SMALL      (64u << 10)  /* longer bodies come while fn runs */
#define FT_LANES_QUEUE_MAX 4096         /* requests that wait for one */

struct ft_lanes;
struct ft_lane {
    struct ft_http_exchange *x; /* answered with ft_http_respond, or the calls below */
};
typedef void ft_lane_fn(void *ctx, struct ft_lane *l);

/* max_threads 0: FT_LANES_MAX. */
int ft_lanes_open(int max_threads, struct ft_lanes **ret, struct ft_err *err);
/* Waits for all that were started. After the server is stopped, or has drained: then no handler
 * starts more, and whoever still waits for a client is told that it is gone. NULL is accepted. */
void ft_lanes_close(struct ft_lanes *p);

/* In the exchange's handler: fn will run on a lane, exactly once; l->x is valid until it returns.
 * Bodies up to FT_LANE_SMALL are read whole before a lane is taken; of longer ones, and of those
 * whose client waits for "100 Continue", nothing is read before fn calls ft_lane_read, so that an
 * early refusal spares the upload. body_max: 0 for no bound; above it ft_lane_read fails.
 *
 * When fn returns without an answer the client gets a 500, or the 413; without ft_lane_end the
 * connection is cut. What is left of the body is dropped, or the connection closed with the answer.
 *
 * Nothing was taken, and the handler must answer: FT_EBUSY, the queue is full; FT_ELIMIT, the body
 * is announced to be longer than body_max. */
int ft_lane_start(struct ft_lanes *p, struct ft_http_exchange *x, int64_t body_max, ft_lane_fn *fn,
                  void *ctx, struct ft_err *err);

/* Waits for more of the body: > 0 bytes, 0 at its end. FT_ECANCELED: the client is gone, or the
 * answer was given already; FT_ELIMIT: more than body_max, and fn should answer 413. */
int64_t ft_lane_read(struct ft_lane *l, void *data, size_t n, struct ft_err *err);

/* The head of an answer whose body comes by ft_lane_write. length -1: not known (chunked). To HEAD,
 * and with status 204 and 304, no body is sent, written or not; length is still announced.
 * FT_EINVAL as ft_http_respond. */
int ft_lane_begin(struct ft_lane *l, int status, int64_t length, const struct ft_http_field *fields,
                  int n_fields, struct ft_err *err);
/* Waits while the client takes what is there. FT_ECANCELED: it is gone; FT_EINVAL: more than was
 * announced (nothing of it is sent). */
int ft_lane_write(struct ft_lane *l, const void *data, size_t n, struct ft_err *err);
/* The same without a copy: where the next bytes may be put, at least one and *ret_n at most; NULL:
 * an error. Then filled says how many were, before anything else is written. Of an answer of known
 * length some hundred kilobytes are sent at a time, and at its end. */
char *ft_lane_room(struct ft_lane *l, size_t *ret_n, struct ft_err *err);
int ft_lane_filled(struct ft_lane *l, size_t n, struct ft_err *err);
/* Ends the answer; FT_EINVAL (and the connection is cut) if fewer bytes came than begin said. */
int ft_lane_end(struct ft_lane *l, struct ft_err *err);
/* Cuts the connection: the client can tell that the answer is not whole. */
void ft_lane_cut(struct ft_lane *l);

#endif
