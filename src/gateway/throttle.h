/* How often somebody may try: so many at once, then one in so long. Of a bounded memory: whoever
 * has the least to wait is forgotten first. Any thread. */
#ifndef FT_GATEWAY_THROTTLE_H
#define FT_GATEWAY_THROTTLE_H

#include <pthread.h>
#include <stdint.h>

#define FT_THROTTLE_SLOTS 4096
#define FT_THROTTLE_WAYS  4 /* slots that one name may be in */

struct ft_throttle_slot {
    uint64_t who;    /* keyed hash; 0: free */
    int64_t full_ns; /* when all tries are there again */
};

struct ft_throttle {
    pthread_mutex_t lock;
    uint64_t seed; /* drawn: nobody knows whose names fall together */
    int64_t every_ns;
    int burst;
    struct ft_throttle_slot slot[FT_THROTTLE_SLOTS];
};

void ft_throttle_init(struct ft_throttle *t, int burst, int64_t every_ms);
void ft_throttle_fini(struct ft_throttle *t);
/* Takes one try. 0; or how many milliseconds until there is one. now_ns: monotonic. */
int64_t ft_throttle_take(struct ft_throttle *t, const char *who, int64_t now_ns);
/* It was none: gives it back. */
void ft_throttle_give(struct ft_throttle *t, const char *who, int64_t now_ns);

#endif
