/* What a removed project leaves behind, and the thread that clears it away: what it keeps in the
 * store of objects (buckets, files, repositories: asked of the gateway, piece by piece), the
 * adapters that its fine-tuning made, the models made local from its repositories, its stored
 * answers.
 *
 * Removing the project notes it in the store, in the same transaction, so clearing goes on after
 * whatever restart; each step may be done twice. It is gone over once more later, for what was
 * under way when the project went. What a retention in compliance mode or a legal hold protects
 * stays until that ends (governance does not keep it): it is looked at again and again. Files that
 * a row of another model names stay for good, they are that model's. */
#ifndef FT_CONTROL_LEFTOVER_H
#define FT_CONTROL_LEFTOVER_H

#include "control/inner.h"

#define FT_LEFTOVER_AGAIN_S 3600 /* between two looks at what had to stay, and before the last */

/* The project goes with this transaction. adapters: their folders, beneath HOME. */
int ft_leftover_note(struct ft_state_tx *tx, const char *project, const json_t *adapters,
                     struct ft_err *err);
struct ft_leftover {
    char project[CTL_ID_MAX + 1];
    int looks;        /* how often all was gone over without finding more */
    json_t *adapters; /* as noted */
};
/* One that is due at now_s: 1, or 0 if there is none. ret->adapters is a new reference; it is NULL
 * or one of the caller's before, which goes. */
int ft_leftover_next(struct ft_state_tx *tx, int64_t now_s, struct ft_leftover *ret,
                     struct ft_err *err);
/* What came of a look. */
int ft_leftover_later(struct ft_state_tx *tx, const char *project, int64_t next_s, int looks,
                      struct ft_err *err);
int ft_leftover_drop(struct ft_state_tx *tx, const char *project, struct ft_err *err);

/* Removes its files beneath HOME, but those that a model's row names. */
int ft_leftover_files(struct ft_state_tx *tx, const char *home, const struct ft_leftover *one,
                      struct ft_err *err);

int ft_leftovers_open(struct ft_ctl *ctl, struct ft_leftovers **ret, struct ft_err *err);
void ft_leftovers_wake(struct ft_leftovers *l);  /* there is one more; NULL is accepted */
void ft_leftovers_close(struct ft_leftovers *l); /* NULL is accepted */

#endif
