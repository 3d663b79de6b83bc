/* A program that answers a question: run to its end, what it writes is the answer. For what reads
 * hostile files, which should die elsewhere when it dies. Blocks; any thread. */
#ifndef FT_SCHED_ASK_H
#define FT_SCHED_ASK_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define FT_ASK_SAYS_MAX 400 /* bytes of its complaints that are kept */

struct ft_ask {
    char *const *argv; /* argv[0] is its path; NULL at the end */
    int timeout_ms;    /* then it is killed */
};
struct ft_ask_answer {
    bool whole;                     /* it ended in time, and wrote no more than out holds */
    int status;                     /* as of waitpid */
    char says[FT_ASK_SAYS_MAX + 1]; /* what it wrote to its standard error, on one line */
};
/* out: its standard output, as far as the buffer's bound. FT_EBUSY: it could not be started. */
int ft_ask(const struct ft_ask *a, struct ft_buf *out, struct ft_ask_answer *ret,
           struct ft_err *err);

#endif
