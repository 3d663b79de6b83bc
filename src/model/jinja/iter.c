/* Iteration: one `next` function per kind of iterator.
 *
 * Iterators are lazy where Python's are, because that is visible: an error in an element nobody
 * asks for is not raised, and a generator has no length and can be read once. */
#include <string.h>

#include "model/jinja/unicode.h"
#include "model/jinja/value.h"

struct jv_iter *jv_iter_new(struct jr *r, int (*next)(struct jr *, struct jv_iter *, struct jv *))
{
    struct jv_iter *it = jr_alloc(r, sizeof *it);
    it->next = next;
    return it;
}

struct jv jv_iter_value(struct jv_iter *it)
{
    struct jv v = jv_of(JV_ITER);
    v.it = it;
    return v;
}

int jv_next(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    jr_enter(r); /* iterators over iterators recurse */
    int more = it->next(r, it, ret);
    r->depth--;
    return more;
}

static int next_none(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    (void)r;
    (void)it;
    (void)ret;
    return 0;
}

static int next_list(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    (void)r;
    if ((size_t)it->i >= it->src.l->n) /* lists may shrink while they are read */
        return 0;
    *ret = it->src.l->v[it->i++];
    return 1;
}

static int next_list_back(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    (void)r;
    if (it->i <= 0 || (size_t)it->i > it->src.l->n)
        return 0;
    *ret = it->src.l->v[--it->i];
    return 1;
}

static int next_char(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    const struct jv_str *s = it->src.s;
    if ((size_t)it->i >= s->n)
        return 0;
    const char *p = s->p + it->i;
    ju_next(&p);
    size_t end = (size_t)(p - s->p);
    *ret = jv_str_view(r, s->p + it->i, end - (size_t)it->i); /* plain, even out of markup */
    it->i = (int64_t)end;
    return 1;
}

static int next_char_back(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    if (it->i <= 0)
        return 0;
    const char *p = it->src.s->p + it->i;
    ju_prev(&p);
    size_t from = (size_t)(p - it->src.s->p);
    *ret = jv_substr(r, it->src, from, (size_t)it->i);
    it->i = (int64_t)from;
    return 1;
}

/* it->n: number left, it->i: the next one, it->step: to the one after. */
static int next_range(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    (void)r;
    if (it->n <= 0)
        return 0;
    it->n--;
    *ret = jv_int(it->i);
    if (it->n > 0)
        it->i += it->step;
    return 1;
}

static struct jv entry_of(struct jr *r, const struct jv_entry *e, enum jv_view_kind kind)
{
    return kind == JV_KEYS ? e->key : kind == JV_VALUES ? e->value : jv_pair(r, e->key, e->value);
}

static int next_entry(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    if ((size_t)it->i >= it->src.d->n)
        return 0;
    *ret = entry_of(r, &it->src.d->e[it->i++], (enum jv_view_kind)it->n);
    return 1;
}

static int next_entry_back(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    if (it->i <= 0)
        return 0;
    *ret = entry_of(r, &it->src.d->e[--it->i], (enum jv_view_kind)it->n);
    return 1;
}

bool jv_iterable(struct jv v)
{
    switch (v.t) {
    case JV_UNDEF:
    case JV_STR:
    case JV_LIST:
    case JV_TUPLE:
    case JV_DICT:
    case JV_RANGE:
    case JV_VIEW:
    case JV_ITER:
        return true;
    default:
        return false;
    }
}

struct jv_iter *jv_iter_of(struct jr *r, struct jv v)
{
    struct jv_iter *it;
    switch (v.t) {
    case JV_ITER:
        return v.it;
    case JV_UNDEF:
        return jv_iter_new(r, next_none);
    case JV_STR:
        it = jv_iter_new(r, next_char);
        break;
    case JV_LIST:
    case JV_TUPLE:
        it = jv_iter_new(r, next_list);
        break;
    case JV_RANGE:
        it = jv_iter_new(r, next_range);
        it->i = v.r->start;
        it->step = v.r->step;
        it->n = v.r->n;
        break;
    case JV_DICT:
    case JV_VIEW:
        it = jv_iter_new(r, next_entry);
        it->n = v.t == JV_DICT ? JV_KEYS : (int64_t)v.view->kind;
        it->src.d = v.t == JV_DICT ? v.d : v.view->d;
        it->src.t = JV_DICT;
        return it;
    default:
        jr_fail(r, FT_EINVAL, "'%s' object is not iterable", jv_type_name(v));
    }
    it->src = v;
    return it;
}

bool jv_reversible(struct jv v)
{
    return v.t != JV_ITER && jv_iterable(v);
}

struct jv_iter *jv_reversed(struct jr *r, struct jv v)
{
    struct jv_iter *it;
    switch (v.t) {
    case JV_UNDEF:
        return jv_iter_new(r, next_none);
    case JV_STR:
        it = jv_iter_new(r, next_char_back);
        it->i = (int64_t)v.s->n;
        break;
    case JV_LIST:
    case JV_TUPLE:
        it = jv_iter_new(r, next_list_back);
        it->i = (int64_t)v.l->n;
        break;
    case JV_RANGE:
        it = jv_iter_new(r, next_range);
        it->n = v.r->n;
        it->i = v.r->n == 0 ? 0 : v.r->start + (v.r->n - 1) * v.r->step;
        it->step = -v.r->step;
        break;
    case JV_DICT:
    case JV_VIEW:
        it = jv_iter_new(r, next_entry_back);
        it->n = v.t == JV_DICT ? JV_KEYS : (int64_t)v.view->kind;
        it->src.d = v.t == JV_DICT ? v.d : v.view->d;
        it->src.t = JV_DICT;
        it->i = (int64_t)it->src.d->n;
        return it;
    default:
        jr_fail(r, FT_EINVAL, "'%s' object is not reversible", jv_type_name(v));
    }
    it->src = v;
    return it;
}

struct jv jv_to_list(struct jr *r, struct jv v)
{
    struct jv list = jv_list_new(r, jv_has_len(v) && v.t != JV_UNDEF ? (size_t)jv_len(r, v) : 0),
              item;
    struct jv_iter *it = jv_iter_of(r, v);
    while (jv_next(r, it, &item))
        jv_list_push(r, list, item);
    return list;
}
