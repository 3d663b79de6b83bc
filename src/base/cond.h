/* Condition variables whose waits go by the monotonic clock (ft_clock_now_ns): one that is set does
 * not hold them up. */
#ifndef FT_BASE_COND_H
#define FT_BASE_COND_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

static inline void ft_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

/* For pthread_cond_timedwait: so long from now. */
static inline struct timespec ft_cond_until(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
    t.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

#endif
