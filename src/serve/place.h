/* Places for calls: on which target and replica one runs, what it waits for until then, and whose
 * prompt others wait for. All of it under the lock. */
#ifndef FT_SERVE_PLACE_H
#define FT_SERVE_PLACE_H

#include "serve/core.h"

struct ft_target *ft_call_target(struct ft_serve_call *c); /* it would run on; NULL: none is left */
void ft_call_aim(struct ft_serve_call *c, struct ft_target *t); /* NULL: at none any more */
/* QUEUED, behind so many: from now on its time is waiting. */
void ft_call_wait(struct ft_serve_call *c, int ahead, int64_t now);
void ft_call_look(struct ft_serve_call *c, int64_t now); /* what does it wait for by now? */
/* What it has waited since it was looked at last goes to what it waited for. */
void ft_call_waited(struct ft_serve_call *c, int64_t now);
bool ft_call_is_background(const struct ft_serve_call *c);
/* Chooses a replica with room and reserves it. False: there is none now. */
bool ft_call_find_room(struct ft_serve_call *c);
/* At place k; -1: a target that is no worker's. */
void ft_call_reserve(struct ft_serve_call *c, struct ft_target *t, int k);
void ft_call_release(struct ft_serve_call *c);
/* Its target's try ended so for the client (NULL: well), or for good though another target goes on:
 * into the target's tally. */
void ft_call_tally(const struct ft_serve_call *c, const struct ft_err *err, int64_t now);
/* Its prompt has been read, or will not be: who waited for that need not any more. */
void ft_call_lead_end(struct ft_serve_call *c, bool read);

#endif
