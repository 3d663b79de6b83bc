/* Clocks: monotonic for durations, wall for dates. */
#ifndef FT_BASE_CLOCK_H
#define FT_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t ft_clock_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Unix time. */
static inline int64_t ft_clock_unix_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* What a clock on the wall shows here, as the seconds since the epoch at which a clock in UTC shows
 * the same. */
static inline int64_t ft_clock_wall_s(void)
{
    time_t now = time(NULL);
    struct tm t;
    return localtime_r(&now, &t) != NULL ? (int64_t)now + t.tm_gmtoff : (int64_t)now;
}

#endif
