/* Each slot has one number, the time at which its bucket is full again (the "generic cell rate
 * algorithm" of ATM): a try puts it off by one interval, and is refused where it would be more than
 * `burst` intervals away. */
#include "gateway/throttle.h"

#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/rand.h"

void ft_throttle_init(struct ft_throttle *t, int burst, int64_t every_ms)
{
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->burst = burst;
    t->every_ns = every_ms * 1000000;
    while (getrandom(&t->seed, sizeof t->seed, 0) != sizeof t->seed)
        ;
}

void ft_throttle_fini(struct ft_throttle *t)
{
    pthread_mutex_destroy(&t->lock);
}

static uint64_t hash_of(const struct ft_throttle *t, const char *who)
{
    uint64_t h = t->seed;
    for (; *who != '\0'; who++)
        h = ft_rand_mix(h ^ (unsigned char)*who);
    return h | 1; /* 0 is a free slot */
}

/* Its slot, or the one of its set that is forgotten for it. Under the lock. */
static struct ft_throttle_slot *slot_of(struct ft_throttle *t, uint64_t who)
{
    struct ft_throttle_slot *set =
        &t->slot[(who >> 8) % (FT_THROTTLE_SLOTS / FT_THROTTLE_WAYS) * FT_THROTTLE_WAYS];
    struct ft_throttle_slot *least = set;
    for (int i = 0; i < FT_THROTTLE_WAYS; i++) {
        if (set[i].who == who)
            return &set[i];
        if (set[i].full_ns < least->full_ns)
            least = &set[i];
    }
    *least = (struct ft_throttle_slot){who, 0};
    return least;
}

int64_t ft_throttle_take(struct ft_throttle *t, const char *who, int64_t now_ns)
{
    pthread_mutex_lock(&t->lock);
    struct ft_throttle_slot *s = slot_of(t, hash_of(t, who));
    int64_t full = FT_MAX(s->full_ns, now_ns) + t->every_ns;
    int64_t early = full - now_ns - t->burst * t->every_ns;
    if (early <= 0)
        s->full_ns = full;
    pthread_mutex_unlock(&t->lock);
    return early <= 0 ? 0 : (early + 999999) / 1000000;
}

void ft_throttle_give(struct ft_throttle *t, const char *who, int64_t now_ns)
{
    pthread_mutex_lock(&t->lock);
    struct ft_throttle_slot *s = slot_of(t, hash_of(t, who));
    s->full_ns = FT_MAX(s->full_ns - t->every_ns, now_ns - t->every_ns);
    pthread_mutex_unlock(&t->lock);
}
