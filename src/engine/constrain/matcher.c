/* Matchers: see constrain.h and matcher.h.
 *
 * States pile up in one scratch; when that has grown past COMPACT_BYTES the live state is copied to
 * the other one and the first is emptied, so memory stays proportional to the state. */
#include "engine/constrain/matcher.h"

#include <stdlib.h>
#include <string.h>

#define COMPACT_CHUNKS 4

int ft_matcher_open(struct ft_grammar *g, const struct ft_vocab *v, struct ft_matcher **ret,
                    struct ft_err *err)
{
    struct ft_matcher *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a matcher");
    m->g = ft_grammar_ref(g);
    m->v = v;
    if (v != NULL)
        m->level = calloc((size_t)v->max_depth + 2, sizeof *m->level);
    m->state = g->ops->start(ft_matcher_scratch(m), g->g);
    if (m->state == NULL || (v != NULL && m->level == NULL)) {
        ft_matcher_close(m);
        return ft_err_set(err, FT_ENOMEM, "no memory for a matcher");
    }
    *ret = m;
    return 0;
}

int ft_matcher_clone(const struct ft_matcher *m, struct ft_matcher **ret, struct ft_err *err)
{
    struct ft_matcher *r;
    int rc = ft_matcher_open(m->g, m->v, &r, err);
    if (rc != 0)
        return rc;
    r->ended = m->ended;
    r->state = m->g->ops->copy(ft_matcher_scratch(r), m->g->g, m->state);
    if (r->state == NULL) {
        ft_matcher_close(r);
        return ft_err_set(err, FT_ENOMEM, "no memory for a matcher");
    }
    *ret = r;
    return 0;
}

void ft_matcher_close(struct ft_matcher *m)
{
    if (m == NULL)
        return;
    ft_grammar_unref(m->g);
    ft_scratch_fini(&m->scratch[0]);
    ft_scratch_fini(&m->scratch[1]);
    free(m->level);
    free(m);
}

/* Moves the live state to the other scratch. Failing to is harmless: it is tried again later. */
static void compact(struct ft_matcher *m)
{
    struct ft_scratch *from = &m->scratch[m->which], *to = &m->scratch[!m->which];
    if (from->at_chunk < COMPACT_CHUNKS)
        return;
    ft_scratch_reset(to, (struct ft_scratch_mark){0, 0});
    const void *s = m->g->ops->copy(to, m->g->g, m->state);
    if (s == NULL)
        return;
    m->state = s;
    m->which = !m->which;
    ft_scratch_reset(from, (struct ft_scratch_mark){0, 0});
}

/* The state that a step led to; NULL: it was refused, and what it took of the scratch goes back. */
static bool move_to(struct ft_matcher *m, const void *state, struct ft_scratch_mark mark)
{
    if (state == NULL) {
        ft_scratch_reset(ft_matcher_scratch(m), mark);
        return false;
    }
    m->state = state;
    compact(m);
    return true;
}

static bool advance(struct ft_matcher *m, const char *bytes, size_t n)
{
    struct ft_scratch *s = ft_matcher_scratch(m);
    const void *state = m->state;
    if (m->ended)
        return false;
    struct ft_scratch_mark mark = ft_scratch_mark(s);
    for (size_t i = 0; i < n && state != NULL; i++) {
        state = m->g->ops->step(s, m->g->g, state, (uint8_t)bytes[i]);
        if (state == NULL)
            break;
        if (s->at_chunk > mark.at_chunk + COMPACT_CHUNKS && i + 1 < n) {
            /* A long text at once: keep only what is needed, in the other scratch and back. */
            struct ft_scratch *o = &m->scratch[!m->which];
            ft_scratch_reset(o, (struct ft_scratch_mark){0, 0});
            state = m->g->ops->copy(o, m->g->g, state);
            ft_scratch_reset(s, mark);
            if (state != NULL)
                state = m->g->ops->copy(s, m->g->g, state);
        }
    }
    return move_to(m, state, mark);
}

static bool advance_control(struct ft_matcher *m, const char *bytes, size_t n)
{
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark mark = ft_scratch_mark(s);
    if (m->g->ops->control == NULL)
        return false;
    const void *state = m->g->ops->control(s, m->g->g, m->state, bytes, n);
    return move_to(m, state, mark);
}

bool ft_matcher_accept_bytes(struct ft_matcher *m, const char *bytes, size_t n)
{
    return advance(m, bytes, n);
}

bool ft_matcher_accept(struct ft_matcher *m, int32_t token)
{
    const struct ft_vocab *v = m->v;
    if (v == NULL || token < 0 || (uint32_t)token >= v->n_tokens || m->ended)
        return false;
    if (v->kind[token] == 1) {
        m->ended = ft_matcher_may_end(m);
        return m->ended;
    }
    uint32_t n = v->at[token + 1] - v->at[token];
    if (v->kind[token] == 2)
        return advance_control(m, v->bytes + v->at[token], n);
    return n > 0 && advance(m, v->bytes + v->at[token], n);
}

bool ft_matcher_is_free(const struct ft_matcher *m)
{
    return !m->ended && m->g->ops->free != NULL && m->g->ops->free(m->g->g, m->state);
}

bool ft_matcher_may_end(const struct ft_matcher *m)
{
    return m->ended || m->g->ops->may_end(m->g->g, m->state);
}

int ft_matcher_mask(struct ft_matcher *m, uint32_t *mask, struct ft_err *err)
{
    const struct ft_vocab *v = m->v;
    if (v == NULL)
        return ft_err_set(err, FT_EINVAL, "a matcher without a vocabulary has no mask");
    memset(mask, 0, ((size_t)v->n_tokens + 31) / 32 * sizeof *mask);
    if (m->ended)
        return 0;
    struct ft_scratch *s = ft_matcher_scratch(m);
    s->failed = false;
    s->work = 0;
    ft_mask(m, mask);
    if (s->work > FT_MASK_WORK_MAX)
        return ft_err_set(err, FT_ELIMIT, "too many ways are open at once to find the next tokens");
    if (s->failed) {
        s->failed = false;
        return ft_err_set(err, FT_ENOMEM, "no memory for a mask");
    }
    if (ft_matcher_may_end(m))
        for (uint32_t i = 0; i < v->n_eog; i++)
            mask[v->eog[i] / 32] |= 1u << v->eog[i] % 32;
    return 0;
}

size_t ft_matcher_forced(struct ft_matcher *m, char *out, size_t n)
{
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark outer = ft_scratch_mark(s);
    const void *state = m->state;
    size_t len = 0;
    while (len < n && !m->ended && !m->g->ops->may_end(m->g->g, state)) {
        int only = -1;
        for (int b = 0; b < 256; b++) {
            struct ft_scratch_mark mark = ft_scratch_mark(s);
            bool ok = m->g->ops->step(s, m->g->g, state, (uint8_t)b) != NULL;
            ft_scratch_reset(s, mark);
            if (!ok)
                continue;
            if (only >= 0) {
                only = -1;
                break;
            }
            only = b;
        }
        if (only < 0)
            break;
        state = m->g->ops->step(s, m->g->g, state, (uint8_t)only);
        out[len++] = (char)only;
    }
    ft_scratch_reset(s, outer);
    return len;
}
