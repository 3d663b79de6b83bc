/* Sign-in: logins with their passwords (passwords.c), sessions (sessions.c).
 *
 * A session is an entity of its own kind, so the feed tells gateways of it: a secret's hash, the
 * key that it stands for, its end. It has no rights of its own (tenant/sessions.c). Passwords are
 * in a table that no feed reads. Who signs in by password has a key too, made with the first
 * password, "kind": "sign_in", whose secret nobody has: limits, budgets and usage hang on it. */
#ifndef FT_CONTROL_SIGN_IN_H
#define FT_CONTROL_SIGN_IN_H

#include "control/inner.h"

#define CTL_SESSION_S          (12 * 3600)      /* without use */
#define CTL_SESSION_MOST_S     (30 * 24 * 3600) /* in all */
#define CTL_SESSIONS_OF_KEY    32               /* more: the oldest ends */
#define CTL_SESSIONS_SWEPT     64               /* rows that one sign-in takes away for good */
#define CTL_PASSWORD_BYTES_MIN 10
#define CTL_PASSWORD_BYTES_MAX 256
#define CTL_HASH_BYTES         256       /* of a password, with the NUL */
#define CTL_SIGN_IN            "sign_in" /* "kind" of a key that a member signs in with */

int ft_ctl_sign_in_migrate(struct ft_state *s, struct ft_err *err);

/* ---- handlers ---- */

ft_ctl_handler ft_ctl_session_create, ft_ctl_session_renew, ft_ctl_session_end,
    ft_ctl_sessions_list, ft_ctl_sessions_delete; /* sessions.c */
ft_ctl_handler ft_ctl_member_password, ft_ctl_my_password;

/* Before them, on the threads for hashing: passwords are compared and hashed. */
void ft_ctl_session_look(struct ft_ctl_call *c);
void ft_ctl_password_look(struct ft_ctl_call *c);
/* Does the route's `before` hash? */
bool ft_ctl_hashes(const struct ft_ctl_route *route);

/* ---- for the handlers of members and keys ---- */

/* Ends the sessions that a key was shown for, or a member's, but for one (NULL: all). */
int ft_ctl_sessions_end_of_key(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *key,
                               struct ft_err *err);
int ft_ctl_sessions_end_of_member(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *member,
                                  const char *except, struct ft_err *err);
/* A member is put (before NULL: new): its login is noted, 409 if another has it; the key that it
 * signs in with gets its role. */
int ft_ctl_login_put(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *member,
                     const json_t *before, const json_t *body, struct ft_err *err);
/* A member goes, or the key that it signs in with: the password with it. */
int ft_ctl_login_drop(struct ft_state_tx *tx, const char *member, struct ft_err *err);
int ft_ctl_password_drop(struct ft_ctl_call *c, struct ft_state_tx *tx, const json_t *key,
                         struct ft_err *err);

/* ---- keys.c's ---- */

/* The member of the caller's key, or "". */
int ft_ctl_own_member(struct ft_ctl_call *c, struct ft_state_tx *tx, char ret[CTL_ID_MAX + 1],
                      struct ft_err *err);
/* 403 unless a key's body gives no more than the caller's; inherit: what it leaves open is filled
 * in from it. */
int ft_ctl_within_own(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *body, bool inherit,
                      struct ft_err *err);

/* ---- between the two files ---- */

/* 401, in the same words whatever was wrong. */
int ft_ctl_refuse_sign_in(struct ft_ctl_call *c);

struct ft_ctl_login {
    char member[CTL_ID_MAX + 1], key[CTL_ID_MAX + 1];
    char hash[CTL_HASH_BYTES]; /* "": no password */
};
/* By login, or by member (the other NULL). 1: found; 0: not there. */
int ft_ctl_login_get(struct ft_state_tx *tx, const char *login, const char *member,
                     struct ft_ctl_login *ret, struct ft_err *err);

#endif
