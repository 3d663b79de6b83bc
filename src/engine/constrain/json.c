/* The JSON machine: values, arrays, whitespace. See machine.h.
 *
 * A state is a stack of frames, one per open value, each holding the alternatives of the schema
 * that still fit (as a generalised LR parser shares its stacks: the shape of a JSON text is the
 * same for all of them). An alternative names those of the frame below that it belongs to, so when
 * a value ends, exactly these go on.
 *
 * Whitespace: one space after ':'; one space, or a newline and an indentation, after an opening
 * bracket, after ',' and before a closing bracket. An indentation is at most FT_INDENT_MAX spaces
 * or one tab for each bracket that is open on its line. Nothing before or after the text. */
#include <string.h>

#include "engine/constrain/machine.h"
#include "engine/constrain/number.h"

#define NUMBER_SLACK 64 /* characters of a number beyond the shortest that fits */

struct ft_jframe *ft_jframe_new(struct ft_scratch *s, const struct ft_jframe *like,
                                const struct ft_jframe *up, enum ft_jkind kind, uint32_t n_alts)
{
    struct ft_jframe *f = ft_scratch_alloc(s, sizeof *f + n_alts * sizeof f->alt[0]);
    if (f == NULL)
        return NULL;
    if (like != NULL)
        *f = *like;
    else
        memset(f, 0, sizeof *f);
    f->up = up;
    f->kind = (uint8_t)kind;
    f->n_alts = 0;
    return f;
}

static bool same_names(const struct ft_jtables *t, const struct ft_jframe *f,
                       const struct ft_jalt *a, const struct ft_jalt *b)
{
    if (f->kind != FT_J_OBJ || a->names == b->names)
        return true;
    return memcmp(a->names, b->names, t->objs[a->id].n_words * sizeof *a->names) == 0;
}

void ft_jframe_add(struct ft_jframe *f, const struct ft_jalt *a)
{
    for (uint32_t i = 0; i < f->n_alts; i++) {
        struct ft_jalt *b = &f->alt[i];
        if (b->id == a->id && b->q == a->q && b->val == a->val && b->names == a->names) {
            for (int k = 0; k < FT_JMASK; k++)
                b->up[k] |= a->up[k];
            return;
        }
    }
    if (f->n_alts < FT_JALTS_MAX)
        f->alt[f->n_alts++] = *a;
}

const struct ft_jframe *ft_json_value_done(struct ft_scratch *s, const struct ft_jtables *t,
                                           const struct ft_jframe *f, const uint64_t *mask)
{
    const struct ft_jframe *p = f->up;
    struct ft_jframe *r = ft_jframe_new(s, p, p->up, (enum ft_jkind)p->kind, p->n_alts);
    if (r == NULL)
        return NULL;
    for (uint32_t i = 0; i < p->n_alts; i++) {
        if (!(mask[i / 64] >> i % 64 & 1))
            continue;
        struct ft_jalt a = p->alt[i];
        a.val = 0;
        uint32_t k = 0;
        while (k < r->n_alts &&
               (r->alt[k].id != a.id || r->alt[k].q != a.q || !same_names(t, p, &r->alt[k], &a)))
            k++;
        if (k == r->n_alts)
            r->alt[r->n_alts++] = a;
        else
            for (int j = 0; j < FT_JMASK; j++)
                r->alt[k].up[j] |= a.up[j];
    }
    r->phase = FT_P_AFTER;
    r->ws = FT_WS_NONE;
    if (p->roped && f->kind >= FT_J_STR && !ft_json_unique_add(s, f, r))
        return NULL;
    return r->n_alts != 0 ? r : NULL;
}

/* ---- the first byte of a value ---- */

static void set_bit(struct ft_jalt *a, uint32_t i)
{
    memset(a, 0, sizeof *a);
    a->up[i / 64] = 1ull << i % 64;
}

static const struct ft_jframe *begin_string(struct ft_scratch *s, const struct ft_jtables *t,
                                            const struct ft_jframe *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_alts; i++)
        n += t->vals[p->alt[i].val].n_strs;
    struct ft_jframe *f = ft_jframe_new(s, NULL, p, FT_J_STR, FT_MIN(n, (uint32_t)FT_JALTS_MAX));
    if (f == NULL)
        return NULL;
    for (uint32_t i = 0; i < p->n_alts; i++) {
        const struct ft_jval *v = &t->vals[p->alt[i].val];
        for (uint32_t k = 0; k < v->n_strs; k++) {
            struct ft_jalt a;
            set_bit(&a, i);
            a.id = v->strs[k];
            a.q = t->strs[a.id].d->start;
            if (!p->roped ||
                ft_json_unique_live(f, t->strs[a.id].d->count[a.q], NULL, t->strs[a.id].max == 0))
                ft_jframe_add(f, &a);
        }
    }
    f->depth = p->depth;
    f->roped = p->roped;
    return f->n_alts != 0 ? f : NULL;
}

/* f, to which byte b of its number was just added, can be completed from state q. */
static bool number_fits(const struct ft_dfa *d, const struct ft_jframe *f, uint32_t q)
{
    return q != 0 && f->count + d->dist[q] <= (uint32_t)d->dist[d->start] + NUMBER_SLACK &&
           (!f->roped || ft_json_unique_live(f, d->count[q], f->rope, false));
}

/* Adds byte b to the number that `from` (or nothing yet) holds; false when out of memory. */
static bool number_rope(struct ft_scratch *s, const struct ft_jframe *from, struct ft_jframe *f,
                        uint8_t b)
{
    bool first = from->kind != FT_J_NUM;
    f->count = first ? 1 : from->count + 1;
    f->hash = ft_jhash(first ? 0 : from->hash, b);
    f->roped = from->roped;
    if (!f->roped)
        return true;
    struct ft_jrope *rope = ft_scratch_alloc(s, sizeof *rope);
    if (rope == NULL)
        return false;
    *rope = (struct ft_jrope){first ? NULL : from->rope, b, f->count};
    f->rope = rope;
    return true;
}

static const struct ft_jframe *begin_number(struct ft_scratch *s, const struct ft_jtables *t,
                                            const struct ft_jframe *p, uint8_t b)
{
    struct ft_jframe *f = ft_jframe_new(s, NULL, p, FT_J_NUM, p->n_alts);
    if (f == NULL || !number_rope(s, p, f, b))
        return NULL;
    for (uint32_t i = 0; i < p->n_alts; i++) {
        const struct ft_jval *v = &t->vals[p->alt[i].val];
        if (v->n_nums == 0)
            continue;
        struct ft_jalt a;
        set_bit(&a, i);
        a.id = v->nums[0];
        a.q = ft_dfa_step(t->nums[a.id], t->nums[a.id]->start, b);
        if (number_fits(t->nums[a.id], f, a.q))
            ft_jframe_add(f, &a);
    }
    f->depth = p->depth;
    return f->n_alts != 0 ? f : NULL;
}

static const char *const literals[] = {"null", "true", "false"};

static const struct ft_jframe *begin_literal(struct ft_scratch *s, const struct ft_jtables *t,
                                             const struct ft_jframe *p, uint8_t which)
{
    struct ft_jframe *f = ft_jframe_new(s, NULL, p, FT_J_LIT, 1);
    if (f == NULL)
        return NULL;
    memset(&f->alt[0], 0, sizeof f->alt[0]);
    for (uint32_t i = 0; i < p->n_alts; i++)
        if (t->vals[p->alt[i].val].simple & (1u << which)) {
            f->alt[0].up[i / 64] |= 1ull << i % 64;
            f->n_alts = 1;
        }
    f->depth = p->depth;
    f->count = 1;
    f->word = which;
    if (p->roped && !ft_json_unique_literal_free(p, which))
        return NULL;
    return f->n_alts != 0 ? f : NULL;
}

static const struct ft_jframe *begin_object(struct ft_scratch *s, const struct ft_jtables *t,
                                            const struct ft_jframe *p)
{
    static const uint64_t zeros[256]; /* 16,384 names */
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_alts; i++)
        n += t->vals[p->alt[i].val].n_objs;
    struct ft_jframe *f = ft_jframe_new(s, NULL, p, FT_J_OBJ, FT_MIN(n, (uint32_t)FT_JALTS_MAX));
    if (f == NULL)
        return NULL;
    for (uint32_t i = 0; i < p->n_alts; i++) {
        const struct ft_jval *v = &t->vals[p->alt[i].val];
        for (uint32_t k = 0; k < v->n_objs; k++) {
            const struct ft_jobj *o = &t->objs[v->objs[k]];
            if (p->depth + o->height > FT_JSON_DEPTH_MAX)
                continue;
            struct ft_jalt a;
            set_bit(&a, i);
            a.id = v->objs[k];
            a.q = (1u << o->n_exists) - 1;
            a.names = zeros;
            ft_jframe_add(f, &a);
        }
    }
    f->depth = (uint8_t)(p->depth + 1);
    return f->n_alts != 0 ? f : NULL;
}

static const struct ft_jframe *begin_array(struct ft_scratch *s, const struct ft_jtables *t,
                                           const struct ft_jframe *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_alts; i++)
        n += t->vals[p->alt[i].val].n_arrs;
    struct ft_jframe *f = ft_jframe_new(s, NULL, p, FT_J_ARR, FT_MIN(n, (uint32_t)FT_JALTS_MAX));
    if (f == NULL)
        return NULL;
    for (uint32_t i = 0; i < p->n_alts; i++) {
        const struct ft_jval *v = &t->vals[p->alt[i].val];
        for (uint32_t k = 0; k < v->n_arrs; k++) {
            const struct ft_jarr *r = &t->arrs[v->arrs[k]];
            if (p->depth + r->height > FT_JSON_DEPTH_MAX)
                continue;
            struct ft_jalt a;
            set_bit(&a, i);
            a.id = v->arrs[k];
            a.q = r->counted ? 0 : (1u << r->n_exists) - 1;
            f->roped = f->roped || r->unique;
            ft_jframe_add(f, &a);
        }
    }
    f->depth = (uint8_t)(p->depth + 1);
    return f->n_alts != 0 ? f : NULL;
}

/* p waits for a value: its alternatives say of what kind. */
static const struct ft_jframe *begin_value(struct ft_scratch *s, const struct ft_jtables *t,
                                           const struct ft_jframe *p, uint8_t b)
{
    switch (b) {
    case '"':
        return begin_string(s, t, p);
    case '{':
        return begin_object(s, t, p);
    case '[':
        return begin_array(s, t, p);
    case 'n':
        return begin_literal(s, t, p, 0);
    case 't':
        return begin_literal(s, t, p, 1);
    case 'f':
        return begin_literal(s, t, p, 2);
    case '-':
    case '0' ... '9':
        return begin_number(s, t, p, b);
    default:
        return NULL;
    }
}

/* ---- arrays ---- */

/* The state of alternative a after one more element that establishes g; false if that leads
 * nowhere. */
static bool after_element(const struct ft_jarr *r, const struct ft_jframe *f,
                          const struct ft_jalt *a, uint32_t g, uint32_t *ret_q)
{
    int64_t n = (int64_t)f->count + 1;
    if (r->max >= 0 && n > r->max)
        return false;
    uint32_t i = n < r->n_prefix ? (uint32_t)n : r->n_prefix;
    if (!r->counted) {
        *ret_q = a->q & ~g;
        uint32_t need = r->need[((size_t)i << r->n_exists) + *ret_q];
        return (g & ~a->q) == 0 && need != UINT16_MAX && (r->max < 0 || n + need <= r->max);
    }
    uint32_t q = a->q + g;
    if (r->ex_max >= 0 && q > r->ex_max)
        return false;
    if (r->ex_max < 0 && q > r->ex_min)
        q = (uint32_t)r->ex_min;
    *ret_q = q;
    return q >= r->ex_min || r->max < 0 ||
           FT_MAX(n, (int64_t)r->n_prefix) + r->ex_min - q <= r->max;
}

static void add_elements(const struct ft_jtables *t, const struct ft_jframe *f,
                         const struct ft_jalt *a, struct ft_jframe *out, bool *any)
{
    const struct ft_jarr *r = &t->arrs[a->id];
    uint32_t i = f->count < r->n_prefix ? f->count : r->n_prefix;
    for (uint32_t g = 0; g < 1u << r->n_exists; g++) {
        struct ft_jalt n = *a;
        n.val = r->val[((size_t)i << r->n_exists) + g];
        if (n.val == 0 || f->depth + t->vals[n.val].height > FT_JSON_DEPTH_MAX ||
            !after_element(r, f, a, g, &n.q) || (f->roped && !ft_json_unique_left(t, f, n.val)))
            continue;
        *any = true;
        if (out == NULL)
            return;
        ft_jframe_add(out, &n);
    }
}

static const struct ft_jframe *begin_element(struct ft_scratch *s, const struct ft_jtables *t,
                                             const struct ft_jframe *f, uint8_t b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n_alts; i++)
        n += 1u << t->arrs[f->alt[i].id].n_exists;
    struct ft_jframe *p = ft_jframe_new(s, f, f->up, FT_J_ARR, FT_MIN(n, (uint32_t)FT_JALTS_MAX));
    if (p == NULL)
        return NULL;
    bool any = false;
    for (uint32_t i = 0; i < f->n_alts; i++)
        add_elements(t, f, &f->alt[i], p, &any);
    p->phase = FT_P_IN;
    p->ws = FT_WS_NONE;
    p->count = f->count + 1;
    return p->n_alts != 0 ? begin_value(s, t, p, b) : NULL;
}

static bool may_close_array(const struct ft_jtables *t, const struct ft_jframe *f,
                            const struct ft_jalt *a)
{
    const struct ft_jarr *r = &t->arrs[a->id];
    return (int64_t)f->count >= r->min && (r->counted ? a->q >= r->ex_min : a->q == 0);
}

static bool may_continue(const struct ft_jtables *t, const struct ft_jframe *f,
                         const struct ft_jalt *a)
{
    if (f->kind == FT_J_OBJ)
        return ft_json_more_keys(t, f, a);
    bool any = false;
    add_elements(t, f, a, NULL, &any);
    return any;
}

static const struct ft_jframe *close_bracket(struct ft_scratch *s, const struct ft_jtables *t,
                                             const struct ft_jframe *f)
{
    uint64_t mask[FT_JMASK] = {0};
    bool any = false;
    for (uint32_t i = 0; i < f->n_alts; i++) {
        const struct ft_jalt *a = &f->alt[i];
        if (!(f->kind == FT_J_OBJ ? ft_json_may_close(t, f, a) : may_close_array(t, f, a)))
            continue;
        any = true;
        for (int k = 0; k < FT_JMASK; k++)
            mask[k] |= a->up[k];
    }
    return any ? ft_json_value_done(s, t, f, mask) : NULL;
}

/* ---- steps ---- */

static const struct ft_jframe *with_phase(struct ft_scratch *s, const struct ft_jframe *f,
                                          enum ft_jphase phase, uint16_t ws)
{
    struct ft_jframe *r = ft_jframe_new(s, f, f->up, (enum ft_jkind)f->kind, f->n_alts);
    if (r == NULL)
        return NULL;
    memcpy(r->alt, f->alt, f->n_alts * sizeof r->alt[0]);
    r->n_alts = f->n_alts;
    r->phase = (uint8_t)phase;
    r->ws = ws;
    return r;
}

static const struct ft_jframe *comma(struct ft_scratch *s, const struct ft_jtables *t,
                                     const struct ft_jframe *f)
{
    struct ft_jframe *r = ft_jframe_new(s, f, f->up, (enum ft_jkind)f->kind, f->n_alts);
    if (r == NULL)
        return NULL;
    for (uint32_t i = 0; i < f->n_alts; i++)
        if (may_continue(t, f, &f->alt[i]))
            r->alt[r->n_alts++] = f->alt[i];
    r->phase = FT_P_NEXT;
    r->ws = FT_WS_NONE;
    return r->n_alts != 0 ? r : NULL;
}

/* Whether some alternative may end here: what whitespace after a value stands for. */
static bool closable(const struct ft_jtables *t, const struct ft_jframe *f)
{
    for (uint32_t i = 0; i < f->n_alts; i++)
        if (f->kind == FT_J_OBJ ? ft_json_may_close(t, f, &f->alt[i])
                                : may_close_array(t, f, &f->alt[i]))
            return true;
    return false;
}

static bool is_space(uint8_t b)
{
    return b == ' ' || b == '\n' || b == '\t';
}

static const struct ft_jframe *whitespace(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f, uint8_t b)
{
    enum ft_jphase p = (enum ft_jphase)f->phase;
    if (f->ws == FT_WS_NONE) {
        bool here = p == FT_P_FIRST || p == FT_P_NEXT || (p == FT_P_VALUE && b == ' ') ||
                    (p == FT_P_AFTER && closable(t, f));
        if (!here || b == '\t')
            return NULL;
        return with_phase(s, f, p, b == '\n' ? FT_WS_LINE : FT_WS_SPACE);
    }
    uint32_t n = (f->ws & ~(uint32_t)FT_WS_TAB) - FT_WS_LINE, level = f->depth;
    bool tab = b == '\t', tabs = (f->ws & FT_WS_TAB) != 0;
    level -= p == FT_P_AFTER; /* a closing bracket */
    if (f->ws < FT_WS_LINE || b == '\n' || (n > 0 && tab != tabs) ||
        n >= (tab ? level : FT_INDENT_MAX * level))
        return NULL;
    return with_phase(s, f, p, (uint16_t)((f->ws + 1) | (tab ? FT_WS_TAB : 0)));
}

static const struct ft_jframe *step_object(struct ft_scratch *s, const struct ft_jtables *t,
                                           const struct ft_jframe *f, uint8_t b)
{
    if (is_space(b))
        return whitespace(s, t, f, b);
    switch (f->phase) {
    case FT_P_FIRST:
        return b == '"' ? ft_json_key_begin(s, t, f) : b == '}' ? close_bracket(s, t, f) : NULL;
    case FT_P_COLON:
        return b == ':' ? with_phase(s, f, FT_P_VALUE, 0) : NULL;
    case FT_P_VALUE:
        return begin_value(s, t, f, b);
    case FT_P_NEXT:
        return b == '"' ? ft_json_key_begin(s, t, f) : NULL;
    case FT_P_AFTER:
        if (b == '}')
            return close_bracket(s, t, f);
        return b == ',' && f->ws == FT_WS_NONE ? comma(s, t, f) : NULL;
    default:
        return NULL;
    }
}

static const struct ft_jframe *step_array(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f, uint8_t b)
{
    if (is_space(b))
        return whitespace(s, t, f, b);
    if (f->phase == FT_P_AFTER) {
        if (b == ']')
            return close_bracket(s, t, f);
        return b == ',' && f->ws == FT_WS_NONE ? comma(s, t, f) : NULL;
    }
    if (f->phase == FT_P_FIRST && b == ']')
        return close_bracket(s, t, f);
    return begin_element(s, t, f, b);
}

static const struct ft_jframe *end_string(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f)
{
    uint64_t mask[FT_JMASK] = {0};
    bool any = false;
    if (f->roped && ft_json_unique_dup(f))
        return NULL;
    for (uint32_t i = 0; i < f->n_alts; i++) {
        const struct ft_jalt *a = &f->alt[i];
        const struct ft_jstr *k = &t->strs[a->id];
        if ((int64_t)f->count < k->min || k->d->label[a->q] == 0)
            continue;
        any = true;
        for (int j = 0; j < FT_JMASK; j++)
            mask[j] |= a->up[j];
    }
    return any ? ft_json_value_done(s, t, f, mask) : NULL;
}

static const struct ft_jframe *step_number(struct ft_scratch *s, const struct ft_jtables *t,
                                           const struct ft_jframe *f, uint8_t b)
{
    bool more = (b >= '0' && b <= '9') || b == '.' || b == 'e' || b == 'E' || b == '+' || b == '-';
    if (more) {
        struct ft_jframe *r = ft_jframe_new(s, f, f->up, FT_J_NUM, f->n_alts);
        if (r == NULL || !number_rope(s, f, r, b))
            return NULL;
        for (uint32_t i = 0; i < f->n_alts; i++) {
            struct ft_jalt a = f->alt[i];
            a.q = ft_dfa_step(t->nums[a.id], a.q, b);
            if (number_fits(t->nums[a.id], r, a.q))
                r->alt[r->n_alts++] = a;
        }
        return r->n_alts != 0 ? r : NULL;
    }
    uint64_t mask[FT_JMASK] = {0};
    bool any = false;
    for (uint32_t i = 0; i < f->n_alts; i++) {
        if (t->nums[f->alt[i].id]->label[f->alt[i].q] == 0)
            continue;
        any = true;
        for (int j = 0; j < FT_JMASK; j++)
            mask[j] |= f->alt[i].up[j];
    }
    if (!any || f->up->kind == FT_J_ROOT || (f->roped && ft_json_unique_dup(f)))
        return NULL;
    const struct ft_jframe *p = ft_json_value_done(s, t, f, mask);
    return p != NULL ? ft_json_step(s, t, p, b) : NULL;
}

static const struct ft_jframe *step_literal(struct ft_scratch *s, const struct ft_jtables *t,
                                            const struct ft_jframe *f, uint8_t b)
{
    const char *word = literals[f->word];
    if ((uint8_t)word[f->count] != b)
        return NULL;
    if (word[f->count + 1] == '\0')
        return ft_json_value_done(s, t, f, f->alt[0].up);
    struct ft_jframe *r = ft_jframe_new(s, f, f->up, FT_J_LIT, 1);
    if (r == NULL)
        return NULL;
    r->alt[0] = f->alt[0];
    r->n_alts = 1;
    r->count = f->count + 1;
    return r;
}

const struct ft_jframe *ft_json_step(struct ft_scratch *s, const struct ft_jtables *t,
                                     const struct ft_jframe *f, uint8_t b)
{
    s->work += f->n_alts;
    switch (f->kind) {
    case FT_J_ROOT:
        return f->phase == FT_P_FIRST ? begin_value(s, t, f, b) : NULL;
    case FT_J_OBJ:
        return step_object(s, t, f, b);
    case FT_J_ARR:
        return step_array(s, t, f, b);
    case FT_J_STR:
        if (b == '"' && f->chr.kind == FT_S_PLAIN)
            return end_string(s, t, f);
        return ft_json_char_byte(s, t, f, b);
    case FT_J_KEY:
        if (b == '"' && f->chr.kind == FT_S_PLAIN)
            return ft_json_key_end(s, t, f);
        return ft_json_char_byte(s, t, f, b);
    case FT_J_NUM:
        return step_number(s, t, f, b);
    default:
        return step_literal(s, t, f, b);
    }
}

/* ---- the table ---- */

static const void *json_start(struct ft_scratch *s, const void *g)
{
    const struct ft_jtables *t = g;
    struct ft_jframe *f = ft_jframe_new(s, NULL, NULL, FT_J_ROOT, 1);
    if (f == NULL)
        return NULL;
    set_bit(&f->alt[0], 0);
    f->alt[0].val = t->root;
    f->n_alts = 1;
    return f;
}

static const void *json_step(struct ft_scratch *s, const void *g, const void *state, uint8_t b)
{
    return ft_json_step(s, g, state, b);
}

static bool json_may_end(const void *g, const void *state)
{
    const struct ft_jtables *t = g;
    const struct ft_jframe *f = state;
    if (f->kind == FT_J_ROOT)
        return f->phase == FT_P_AFTER;
    for (uint32_t i = 0; f->kind == FT_J_NUM && f->up->kind == FT_J_ROOT && i < f->n_alts; i++)
        if (t->nums[f->alt[i].id]->label[f->alt[i].q] != 0)
            return true;
    return false;
}

static const struct ft_jrope *copy_rope(struct ft_scratch *s, const struct ft_jrope *r, bool *ok)
{
    struct ft_jrope *first = NULL, *last = NULL;
    for (; r != NULL && *ok; r = r->prev) {
        struct ft_jrope *n = ft_scratch_alloc(s, sizeof *n);
        if (n == NULL) {
            *ok = false;
            break;
        }
        *n = *r;
        n->prev = NULL;
        if (last != NULL)
            last->prev = n;
        else
            first = n;
        last = n;
    }
    return first;
}

static const struct ft_jseen *copy_seen(struct ft_scratch *s, const struct ft_jseen *k, bool *ok)
{
    struct ft_jseen *first = NULL, *last = NULL;
    for (; k != NULL && *ok; k = k->prev) {
        struct ft_jseen *n = ft_scratch_alloc(s, sizeof *n);
        if (n == NULL) {
            *ok = false;
            break;
        }
        *n = *k;
        n->prev = NULL;
        n->text = copy_rope(s, k->text, ok);
        if (last != NULL)
            last->prev = n;
        else
            first = n;
        last = n;
    }
    return first;
}

static const void *json_copy(struct ft_scratch *to, const void *g, const void *state)
{
    const struct ft_jtables *t = g;
    const struct ft_jframe *f = state;
    struct ft_jframe *first = NULL, *last = NULL;
    bool ok = true;
    for (; f != NULL; f = f->up) {
        struct ft_jframe *r = ft_jframe_new(to, f, NULL, (enum ft_jkind)f->kind, f->n_alts);
        if (r == NULL)
            return NULL;
        memcpy(r->alt, f->alt, f->n_alts * sizeof r->alt[0]);
        r->n_alts = f->n_alts;
        r->rope = copy_rope(to, f->rope, &ok);
        r->seen = copy_seen(to, f->seen, &ok);
        for (uint32_t i = 0; f->kind == FT_J_OBJ && i < r->n_alts && ok; i++) {
            size_t bytes = t->objs[r->alt[i].id].n_words * sizeof(uint64_t);
            uint64_t *names = ft_scratch_alloc(to, bytes);
            ok = names != NULL;
            if (ok)
                memcpy(names, r->alt[i].names, bytes);
            r->alt[i].names = names;
        }
        if (!ok)
            return NULL;
        if (last != NULL)
            last->up = r;
        else
            first = r;
        last = r;
    }
    return first;
}

static const struct ft_jframe *json_itself(const void *g, const void *state,
                                           const struct ft_jtables **ret_t)
{
    *ret_t = g;
    return state;
}

static const void *json_with(struct ft_scratch *s, const void *g, const void *state,
                             const struct ft_jframe *f)
{
    (void)s, (void)g, (void)state;
    return f;
}

const struct ft_machine_ops ft_machine_json = {.start = json_start,
                                               .step = json_step,
                                               .may_end = json_may_end,
                                               .copy = json_copy,
                                               .json = json_itself,
                                               .with_json = json_with};
