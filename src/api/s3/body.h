/* A request's body, piece by piece: as it comes, or taken out of aws-chunked; held to what was said
 * of it (length, SHA-256, signatures of chunks, checksums in headers or trailers, Content-MD5).
 * Only after the end was seen (n 0) is any of it proved: nothing may be committed before. */
#ifndef FT_API_S3_BODY_H
#define FT_API_S3_BODY_H

#include "api/s3/impl.h"
#include "api/s3/sums.h"

/* Refuses a request that does not say how long its body is: what is to be stored must not end up
 * empty because a length got lost on the way. */
int ft_s3_length_said(struct ft_s3_call *c);
/* Reads what the headers say of the body. max: bytes of it, else EntityTooLarge. sum: a checksum to
 * be computed when the client gives none; NONE: none. */
int ft_s3_body_open(struct ft_s3_call *c, int64_t max, enum ft_s3_sum sum);
int64_t ft_s3_body_size(const struct ft_s3_call *c); /* decoded; -1: not said */
/* More of it, valid until the next call; *ret_n 0: the end, all of it was as it should be. */
int ft_s3_body_next(struct ft_s3_call *c, const void **ret, size_t *ret_n);
/* The checksum that the client gives (before the end: announces) or that was asked for; NONE. */
enum ft_s3_sum ft_s3_body_sum(const struct ft_s3_call *c);
/* Behind the end: its bytes. */
const uint8_t *ft_s3_body_sum_bytes(const struct ft_s3_call *c);
void ft_s3_body_close(struct ft_s3_call *c); /* of one that is open; ft_s3_serve does */

/* The checksum in the headers or trailers, one at most; NONE, *ret_text NULL if none is there or it
 * is a trailer. InvalidRequest. */
int ft_s3_sum_header(struct ft_s3_call *c, enum ft_s3_sum *ret, const char **ret_text);

#endif
