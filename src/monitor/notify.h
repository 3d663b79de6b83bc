/* Notices on their way: which is tried next and when, how often, what is given up, and when a
 * channel's heartbeat is due. Decisions alone: the caller sends, and has the clock.
 *
 * Notices of a channel go one after the other, in order. One that is not taken is tried again
 * after 5 s, 15 s, 45 s ... 15 minutes, FT_NOTIFY_TRIES times in all (about an hour and a half),
 * then given up. A channel that is dead holds up no other. */
#ifndef FT_MONITOR_NOTIFY_H
#define FT_MONITOR_NOTIFY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_NOTIFY_CHANNELS_MAX 32
#define FT_NOTIFY_WAITING_MAX  32 /* of a channel; beyond, the oldest gives way */
#define FT_NOTIFY_TRIES        12
#define FT_NOTIFY_RETRY_S      5
#define FT_NOTIFY_RETRY_S_MAX  900
#define FT_NOTIFY_ID_BYTES     72

struct ft_notify; /* one thread at a time */

int ft_notify_open(struct ft_notify **ret, struct ft_err *err);
void ft_notify_close(struct ft_notify *n); /* NULL is accepted */

/* The channels that there are now, of all calls that follow: id and seconds between heartbeats (0:
 * none). What waits for others goes. A new channel's first heartbeat is due at once. */
struct ft_notify_channel {
    char id[FT_NOTIFY_ID_BYTES];
    int64_t heartbeat_s;
};
void ft_notify_channels(struct ft_notify *n, const struct ft_notify_channel *c, int n_c);

/* body: what is sent, never NULL; a reference is taken. Nothing happens for a channel that is not
 * there. */
void ft_notify_add(struct ft_notify *n, const char *channel, json_t *body, int64_t now_s);

struct ft_notify_due {
    char channel[FT_NOTIFY_ID_BYTES];
    bool is_heartbeat;
    json_t *body; /* of a notice, the caller's reference; NULL of a heartbeat */
};
/* The next thing to send: false: nothing before *ret_wake_s. The notice stays in the queue until
 * ft_notify_done says how it went. A heartbeat is tried once. */
bool ft_notify_next(struct ft_notify *n, int64_t now_s, struct ft_notify_due *ret,
                    int64_t *ret_wake_s);
/* why: NULL: it was taken. never: it will not be taken (so it is not tried again). */
void ft_notify_done(struct ft_notify *n, const char *channel, int64_t now_s, const char *why,
                    bool never);

/* {waiting, sent, failed, given_up, last_ok, last_error, last_error_at, last_heartbeat}: new. */
json_t *ft_notify_status(const struct ft_notify *n, const char *channel);

/* All that waits, and when heartbeats were: for a file. load takes what it can use. */
json_t *ft_notify_save(const struct ft_notify *n);
void ft_notify_load(struct ft_notify *n, const json_t *o, int64_t now_s);

#endif
