/* What projects keep, and how many of a project's requests block at once.
 *
 * A project's limit of bytes (storage_bytes) is held against what the store says it keeps, asked
 * now and then, and what was promised since: requests that are under way hold what they may still
 * write. So many at once do not pass a limit that each of them would keep. */
#ifndef FT_GATEWAY_QUOTA_H
#define FT_GATEWAY_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "blob/blob.h"

#define FT_QUOTA_PROJECTS_MAX 100000
#define FT_QUOTA_LANES_OPEN   128 /* of FT_LANES_MAX for requests of nobody's */
#define FT_QUOTA_LANES_MAX    384 /* of FT_LANES_MAX: the rest is left for the others */

struct ft_quota;
struct ft_quota_entry;

/* What a request holds, its lane or what it writes; zeroed: nothing. One thread at a time. */
struct ft_quota_hold {
    struct ft_quota_entry *entry;
    int64_t bytes;
    bool lane;
};

/* How many bytes a project keeps; may block. */
typedef int ft_quota_usage_fn(void *ctx, const char *project, int64_t *ret_bytes,
                              struct ft_err *err);
int ft_quota_open(ft_quota_usage_fn *usage, void *ctx, struct ft_quota **ret, struct ft_err *err);
void ft_quota_close(struct ft_quota *q); /* NULL is accepted */

/* One more request of the project ("": of nobody's) that blocks. FT_EBUSY: too many do. */
int ft_quota_lane(struct ft_quota *q, const char *project, struct ft_quota_hold *h,
                  struct ft_err *err);
/* `bytes` more are to be kept; max: what the project may keep, -1: anything. FT_ELIMIT says so in
 * words for the client. May ask the store. */
int ft_quota_take(struct ft_quota *q, const char *project, int64_t max, int64_t bytes,
                  struct ft_quota_hold *h, struct ft_err *err);
/* How much more the project may keep beside what it keeps and what is held, 0 at least. */
int ft_quota_left(struct ft_quota *q, const char *project, int64_t max, int64_t *ret,
                  struct ft_err *err);
/* The request is over; kept: what it held was written. Zeroes the hold. */
void ft_quota_give(struct ft_quota *q, struct ft_quota_hold *h, bool kept);

#endif
