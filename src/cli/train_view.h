/* What people see of a training run: what is going to happen, one live line in a terminal or a line
 * now and then elsewhere, and how it ended. All of it goes to standard error but the paths of the
 * results, which go to standard output. */
#ifndef FT_CLI_TRAIN_VIEW_H
#define FT_CLI_TRAIN_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "train/core/train.h"

#define FT_TRAIN_VIEW_STEPS 20 /* the loss that is shown is the mean of so many */

struct ft_train_view {
    const struct ft_train_options *o;
    bool live;        /* standard error is a terminal */
    bool line_shown;  /* the live line stands there */
    int64_t shown_ns; /* when it was drawn, or a plain line printed */
    int64_t shown_step;
    bool time_told; /* how long it will take */
    int64_t began_ns;
    struct ft_train_plan plan;
    struct ft_train_step last;        /* step 0: none yet */
    double loss[FT_TRAIN_VIEW_STEPS]; /* of the last steps, in a ring */
    int64_t n_losses;                 /* put into it so far */
    bool has_valid;
    int64_t valid_ns; /* when a line of it was printed */
    struct ft_train_valid valid, best;
    int64_t checkpoint; /* step of the last one; 0: none */
};

/* ev gets the view's callbacks. */
void ft_train_view_init(struct ft_train_view *v, const struct ft_train_options *o,
                        struct ft_train_events *ev);
/* Clears the live line, says how the run ended. rc: of ft_train_run. */
void ft_train_view_end(struct ft_train_view *v, int rc);

#endif
