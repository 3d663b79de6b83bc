/* What becomes of a call whose replica ended it with an error: told to the client, tried again, or
 * tried alone because replicas die of it. Pure. */
#ifndef FT_SERVE_FAILOVER_H
#define FT_SERVE_FAILOVER_H

#include "serve/piece.h"

#define FT_FAILOVER_FRUITLESS_MAX 3   /* deaths without a token in between: suspect */
#define FT_FAILOVER_DEATHS_MAX    5   /* deaths in all: suspect */
#define FT_FAILOVER_SUDDEN_MS     50  /* died so soon after the call was sent: it was dying */
#define FT_FAILOVER_SUDDEN_MAX    5   /* but not so often */
#define FT_FAILOVER_ALONE_MAX     2   /* deaths alone in quarantine: guilty */
#define FT_FAILOVER_BROKEN_MAX    2   /* internal errors of replicas that live on */
#define FT_FAILOVER_REMOTE_MAX    2   /* further tries elsewhere, of servers that are not ours */
#define FT_FAILOVER_UNHEARD_MS    50  /* before the next try: it was not there */
#define FT_FAILOVER_FULL_MS       100 /* it was full, and did not say for how long */

/* What happened to one call so far. Zeroed at first. */
struct ft_failover {
    int deaths, fruitless, sudden, alone, broken, remote;
};

struct ft_failover_end {
    const struct ft_err *err;
    enum ft_piece_fault fault;
    int retry_after_ms;
    int ran_ms;     /* this try */
    bool ours;      /* a worker of ours: it is restarted, and goes on behind given tokens */
    bool alone;     /* ran in quarantine */
    bool begun;     /* pieces have been passed on */
    bool resumable; /* all of them with their tokens */
    bool progress;  /* some in this try */
    bool choice;    /* remote: another target could take it */
};

enum ft_failover_verdict {
    FT_FAILOVER_TELL,    /* the client */
    FT_FAILOVER_AGAIN,   /* queue it, after *ret_delay_ms */
    FT_FAILOVER_SUSPECT, /* queue it for the quarantine */
    FT_FAILOVER_GUILTY,  /* replicas die of it: tell, in words of our own */
};
enum ft_failover_verdict ft_failover_judge(struct ft_failover *f, const struct ft_failover_end *end,
                                           int *ret_delay_ms);

#endif
