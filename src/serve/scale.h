/* How many replicas an endpoint should have. Pure; one owner.
 *
 * Up at once: as many as the load asks for. Down one at a time, after the load has for a while been
 * clearly below what fewer would do; to zero after the idle time without any. */
#ifndef FT_SERVE_SCALE_H
#define FT_SERVE_SCALE_H

#include <stdint.h>

#define FT_SCALE_DOWN_MS   30000 /* low for so long before one goes */
#define FT_SCALE_DOWN_PART 0.8   /* low: the load fits on one fewer with this much of its target */

struct ft_scale {
    int min, max;
    double target_load; /* calls running and waiting per replica */
    int64_t idle_ms;    /* without a call, before the last one goes (min 0) */
};
struct ft_scale_state {
    int wanted;
    int64_t low_ns;  /* since when the load is low; 0: it is not */
    int64_t used_ns; /* when there last was a call */
};

/* The new number wanted, also in st. load: calls running and waiting now. */
int ft_scale_step(const struct ft_scale *c, struct ft_scale_state *st, int load, int64_t now_ns);

#endif
