/* uniqueItems: elements of an array are compared with those before them. See machine.h.
 *
 * Elements are strings, numbers in their one plain spelling and literals (compile.c leaves nothing
 * else in such an array), so equal values are equal texts. A text under way stays completable as
 * long as more texts begin like it than are taken: if that holds, it also holds for one of its
 * continuations, or the text itself is free. */
#include "engine/constrain/machine.h"

bool ft_jrope_is_prefix(const struct ft_jrope *p, const struct ft_jrope *of)
{
    uint32_t n = p != NULL ? p->n : 0;
    while (of != NULL && of->n > n)
        of = of->prev;
    while (p != of && p != NULL && of != NULL && p->cp == of->cp) {
        p = p->prev;
        of = of->prev;
    }
    return p == of;
}

static bool taken_by_prefix(const struct ft_jframe *arr, uint8_t kind, uint32_t words,
                            const struct ft_jrope *rope)
{
    uint32_t taken = 0;
    for (const struct ft_jseen *k = arr->seen; k != NULL && taken < words; k = k->prev)
        taken += k->kind == kind && ft_jrope_is_prefix(rope, k->text);
    return taken >= words;
}

bool ft_json_unique_live(const struct ft_jframe *f, uint32_t words, const struct ft_jrope *rope,
                         bool only_this)
{
    if (only_this)
        words = words > 0;
    return words == FT_DFA_COUNT_MAX || !taken_by_prefix(f->up, f->kind, words, rope);
}

bool ft_json_unique_has(const struct ft_jframe *f, uint64_t hash, uint32_t n)
{
    for (const struct ft_jseen *k = f->up->seen; k != NULL; k = k->prev)
        if (k->kind == f->kind && k->hash == hash && k->n == n)
            return true;
    return false;
}

bool ft_json_unique_dup(const struct ft_jframe *f)
{
    return ft_json_unique_has(f, f->hash, f->count);
}

bool ft_json_unique_literal_free(const struct ft_jframe *arr, uint8_t which)
{
    for (const struct ft_jseen *k = arr->seen; k != NULL; k = k->prev)
        if (k->kind == FT_J_LIT && k->hash == which)
            return false;
    return true;
}

bool ft_json_unique_left(const struct ft_jtables *t, const struct ft_jframe *arr, uint32_t val)
{
    const struct ft_jval *v = &t->vals[val];
    for (uint8_t i = 0; i < 3; i++)
        if ((v->simple >> i & 1) != 0 && ft_json_unique_literal_free(arr, i))
            return true;
    for (uint32_t i = 0; i < v->n_strs; i++) {
        const struct ft_jstr *s = &t->strs[v->strs[i]];
        uint32_t words = s->max == 0 ? 1 : s->d->count[s->d->start];
        if (words == FT_DFA_COUNT_MAX || !taken_by_prefix(arr, FT_J_STR, words, NULL))
            return true;
    }
    for (uint32_t i = 0; i < v->n_nums; i++) {
        const struct ft_dfa *d = t->nums[v->nums[i]];
        uint32_t words = d->count[d->start];
        if (words == FT_DFA_COUNT_MAX || !taken_by_prefix(arr, FT_J_NUM, words, NULL))
            return true;
    }
    return false;
}

bool ft_json_unique_add(struct ft_scratch *s, const struct ft_jframe *f, struct ft_jframe *arr)
{
    struct ft_jseen *seen = ft_scratch_alloc(s, sizeof *seen);
    if (seen == NULL)
        return false;
    bool lit = f->kind == FT_J_LIT;
    *seen =
        (struct ft_jseen){arr->seen, f->rope, lit ? f->word : f->hash, lit ? 0 : f->count, f->kind};
    arr->seen = seen;
    return true;
}
