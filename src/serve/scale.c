/* Scaling by load, with hysteresis downwards only: a call that waits is worse than a replica that
 * idles. */
#include "serve/scale.h"

#include "base/err.h"

#define MS 1000000

int ft_scale_step(const struct ft_scale *c, struct ft_scale_state *st, int load, int64_t now_ns)
{
    if (load > 0)
        st->used_ns = now_ns;
    double per = c->target_load > 0 ? c->target_load : 1;
    int asked = load / per < c->max ? (int)(load / per) : c->max;
    if (asked < c->max && asked * per < load)
        asked++;
    int floor = c->min;
    if (floor == 0 && st->wanted > 0 && (load > 0 || now_ns - st->used_ns < c->idle_ms * MS))
        floor = FT_MIN(1, c->max);
    asked = FT_MAX(asked, floor);

    if (asked >= st->wanted || st->wanted > c->max) {
        st->wanted = FT_MIN(FT_MAX(asked, floor), c->max);
        st->low_ns = 0;
        return st->wanted;
    }
    if (asked == 0) { /* idle for long enough, as the floor says */
        st->wanted = 0;
        st->low_ns = 0;
        return 0;
    }
    if (load > (st->wanted - 1) * per * FT_SCALE_DOWN_PART) {
        st->low_ns = 0;
        return st->wanted;
    }
    if (st->low_ns == 0)
        st->low_ns = now_ns;
    if (now_ns - st->low_ns >= (int64_t)FT_SCALE_DOWN_MS * MS) {
        st->wanted--;
        st->low_ns = now_ns;
    }
    return st->wanted;
}
