/* The rules of failover.
 *
 * A worker that dies takes all its calls along, and only one of them may be the reason. A call that
 * got further since its last death is probably not (an operator's kill, memory); one that died
 * three times at the same place may be, and one that died many times may be, too. (Twice is too
 * few: all workers of a machine may be killed within moments.) Those go to the quarantine, a worker
 * of their own where they run one at a time: there a death has one reason. Twice, because a machine
 * can kill it by chance once. */
#include "serve/failover.h"

static enum ft_failover_verdict judge_death(struct ft_failover *f,
                                            const struct ft_failover_end *end, int *ret_delay_ms)
{
    if (end->begun && !end->resumable)
        return FT_FAILOVER_TELL;
    if (end->alone)
        return ++f->alone >= FT_FAILOVER_ALONE_MAX ? FT_FAILOVER_GUILTY : FT_FAILOVER_SUSPECT;
    if (!end->progress && end->ran_ms < FT_FAILOVER_SUDDEN_MS &&
        ++f->sudden < FT_FAILOVER_SUDDEN_MAX) {
        *ret_delay_ms = FT_FAILOVER_UNHEARD_MS;
        return FT_FAILOVER_AGAIN;
    }
    f->deaths++;
    f->fruitless = end->progress ? 1 : f->fruitless + 1;
    if (f->fruitless >= FT_FAILOVER_FRUITLESS_MAX || f->deaths >= FT_FAILOVER_DEATHS_MAX)
        return FT_FAILOVER_SUSPECT;
    return FT_FAILOVER_AGAIN;
}

static enum ft_failover_verdict judge_remote(struct ft_failover *f,
                                             const struct ft_failover_end *end, int *ret_delay_ms)
{
    if (end->begun && !end->resumable)
        return FT_FAILOVER_TELL;
    if (end->fault == FT_FAULT_BUSY && !end->choice)
        return FT_FAILOVER_TELL; /* with its own words on when to return */
    if (f->remote >= FT_FAILOVER_REMOTE_MAX)
        return FT_FAILOVER_TELL;
    *ret_delay_ms = f->remote++ == 0 && end->choice ? 0 : FT_FAILOVER_UNHEARD_MS;
    return FT_FAILOVER_AGAIN;
}

enum ft_failover_verdict ft_failover_judge(struct ft_failover *f, const struct ft_failover_end *end,
                                           int *ret_delay_ms)
{
    *ret_delay_ms = 0;
    if (end->err == NULL || end->fault == FT_FAULT_CALL)
        return FT_FAILOVER_TELL;
    if (!end->ours)
        return judge_remote(f, end, ret_delay_ms);
    switch (end->fault) {
    case FT_FAULT_BUSY:
        *ret_delay_ms = end->retry_after_ms > 0 ? end->retry_after_ms : FT_FAILOVER_FULL_MS;
        return end->alone ? FT_FAILOVER_SUSPECT : FT_FAILOVER_AGAIN;
    case FT_FAULT_UNHEARD:
        *ret_delay_ms = FT_FAILOVER_UNHEARD_MS;
        return end->alone ? FT_FAILOVER_SUSPECT : FT_FAILOVER_AGAIN;
    default:
        break;
    }
    if (end->err->code == FT_EIO)
        return judge_death(f, end, ret_delay_ms);
    if (++f->broken > FT_FAILOVER_BROKEN_MAX || (end->begun && !end->resumable))
        return FT_FAILOVER_TELL;
    *ret_delay_ms = FT_FAILOVER_UNHEARD_MS;
    return end->alone ? FT_FAILOVER_SUSPECT : FT_FAILOVER_AGAIN;
}
