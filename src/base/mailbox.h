/* Mailbox: a bounded queue of fixed-size messages, many producers, one consumer.
 *
 * How other threads talk to the thread that owns an object: messages are copied in and out, in the
 * order in which posts succeeded; one producer's messages keep their order. The ring is allocated
 * at open and never grows. After ft_mailbox_shut() posts are refused and the consumer still gets
 * what was accepted before; nothing accepted is lost. */
#ifndef FT_BASE_MAILBOX_H
#define FT_BASE_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FT_MAILBOX_SLOTS_MAX     (1u << 20)
#define FT_MAILBOX_MSG_BYTES_MAX 4096u

struct ft_mailbox;

/* n_slots: 1 .. FT_MAILBOX_SLOTS_MAX messages of msg_bytes: 1 .. FT_MAILBOX_MSG_BYTES_MAX each. */
int ft_mailbox_open(size_t n_slots, size_t msg_bytes, struct ft_mailbox **ret_m,
                    struct ft_err *err);
/* Frees it (NULL is accepted). No other thread may be in a call: shut, join, then close. */
void ft_mailbox_close(struct ft_mailbox *m);

/* Any thread. 0; FT_ECANCELED once shut; FT_EBUSY if full. Never blocks on a full ring. */
int ft_mailbox_try_post(struct ft_mailbox *m, const void *msg);
/* Any thread but the consumer. Waits while full; 0, or FT_ECANCELED once shut. */
int ft_mailbox_post(struct ft_mailbox *m, const void *msg);
/* Any thread, any number of times: refuses posts from now on and wakes everyone who waits. */
void ft_mailbox_shut(struct ft_mailbox *m);

/* Consumer only. Waits up to timeout_ms for a message (0: does not wait; negative: without end).
 * 0 with *ret_msg filled; FT_EBUSY if none came in time; FT_ECANCELED once shut and empty. With
 * timeout 0 and nothing there it costs one atomic load, so an event loop may poll it at every
 * step. */
int ft_mailbox_take(struct ft_mailbox *m, void *ret_msg, int64_t timeout_ms);

/* Messages waiting now; exact only while nobody posts. Any thread. */
size_t ft_mailbox_size(const struct ft_mailbox *m);

#endif
