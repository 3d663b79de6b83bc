/* The machine of a plain regular expression: the whole text, raw UTF-8. See machine.h. */
#include "engine/constrain/machine.h"
#include "engine/constrain/utf8.h"

struct state {
    uint32_t q, cp;
    uint8_t left, bytes; /* of a character that is being read */
};

static const struct state *make(struct ft_scratch *s, uint32_t q, uint32_t cp, uint8_t left,
                                uint8_t bytes)
{
    struct state *r = ft_scratch_alloc(s, sizeof *r);
    if (r != NULL)
        *r = (struct state){q, cp, left, bytes};
    return r;
}

static const void *start(struct ft_scratch *s, const void *g)
{
    return make(s, ((const struct ft_dfa *)g)->start, 0, 0, 0);
}

static const struct state *character(struct ft_scratch *s, const struct ft_dfa *d, uint32_t q,
                                     uint32_t cp, uint8_t left, uint8_t bytes)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (left == 0 && bytes <= 1) {
        q = ft_dfa_step(d, q, cp);
        return q != 0 ? make(s, q, 0, 0, 0) : NULL;
    }
    uint32_t lo = cp << (6 * left), hi = lo + (1u << (6 * left)) - 1;
    lo = lo > least[bytes] ? lo : least[bytes];
    hi = hi < FT_CP_MAX ? hi : FT_CP_MAX;
    if (lo < 0xd800 && hi >= 0xd800 && hi <= 0xdfff)
        hi = 0xd7ff;
    if (lo > hi || (lo >= 0xd800 && hi <= 0xdfff))
        return NULL;
    if (left == 0) {
        q = ft_dfa_step(d, q, cp);
        return q != 0 ? make(s, q, 0, 0, 0) : NULL;
    }
    return ft_dfa_range_live(d, q, lo, hi) ? make(s, q, cp, left, bytes) : NULL;
}

static const void *step(struct ft_scratch *s, const void *g, const void *state, uint8_t b)
{
    const struct ft_dfa *d = g;
    const struct state *x = state;
    if (x->left != 0)
        return (b & 0xc0) == 0x80 ? character(s, d, x->q, x->cp << 6 | (b & 0x3fu),
                                              (uint8_t)(x->left - 1), x->bytes)
                                  : NULL;
    if (b < 0x80)
        return character(s, d, x->q, b, 0, 1);
    if (b < 0xc2 || b > 0xf4)
        return NULL;
    uint8_t bytes = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    return character(s, d, x->q, b & (0x7fu >> bytes), (uint8_t)(bytes - 1), bytes);
}

static bool may_end(const void *g, const void *state)
{
    const struct ft_dfa *d = g;
    const struct state *x = state;
    return x->left == 0 && d->label[x->q] != 0;
}

static const void *copy(struct ft_scratch *to, const void *g, const void *state)
{
    (void)g;
    const struct state *x = state;
    return make(to, x->q, x->cp, x->left, x->bytes);
}

const struct ft_machine_ops ft_machine_regex = {start, step, may_end, copy};
