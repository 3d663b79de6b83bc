/* Arithmetic and slicing with Python's rules; integers are 64-bit and overflow is an error. */
#include <math.h>
#include <string.h>

#include "model/jinja/ast.h"
#include "model/jinja/unicode.h"
#include "model/jinja/value.h"

static void overflow(struct jr *r) __attribute__((noreturn));
static void overflow(struct jr *r)
{
    jr_fail(r, FT_EINVAL, "an integer exceeds 64 bits");
}

static void no_division(struct jr *r) __attribute__((noreturn));
static void no_division(struct jr *r)
{
    jr_fail(r, FT_EINVAL, "division by zero");
}

static int64_t int_pow(struct jr *r, int64_t base, int64_t exp)
{
    int64_t result = 1;
    for (; exp > 0; exp >>= 1) {
        if ((exp & 1) != 0 && __builtin_mul_overflow(result, base, &result))
            overflow(r);
        if (exp > 1 && __builtin_mul_overflow(base, base, &base)) {
            if (result == 0)
                return 0;
            overflow(r);
        }
    }
    return result;
}

static struct jv int_op(struct jr *r, int op, int64_t a, int64_t b)
{
    int64_t v;
    switch (op) {
    case T_ADD:
        if (__builtin_add_overflow(a, b, &v))
            overflow(r);
        return jv_int(v);
    case T_SUB:
        if (__builtin_sub_overflow(a, b, &v))
            overflow(r);
        return jv_int(v);
    case T_MUL:
        if (__builtin_mul_overflow(a, b, &v))
            overflow(r);
        return jv_int(v);
    case T_DIV:
        if (b == 0)
            no_division(r);
        return jv_float((double)((long double)a / (long double)b));
    case T_FLOORDIV:
    case T_MOD:
        if (b == 0)
            no_division(r);
        if (b == -1)
            return op == T_MOD ? jv_int(0) : int_op(r, T_SUB, 0, a);
        v = a % b;
        if (op == T_MOD)
            return jv_int(v != 0 && (v < 0) != (b < 0) ? v + b : v);
        return jv_int(a / b - (v != 0 && (v < 0) != (b < 0)));
    default:
        if (b < 0) {
            if (a == 0)
                jr_fail(r, FT_EINVAL, "0.0 cannot be raised to a negative power");
            return jv_float(pow((double)a, (double)b));
        }
        return jv_int(int_pow(r, a, b));
    }
}

static struct jv float_op(struct jr *r, int op, double a, double b)
{
    double v;
    switch (op) {
    case T_ADD:
        return jv_float(a + b);
    case T_SUB:
        return jv_float(a - b);
    case T_MUL:
        return jv_float(a * b);
    case T_DIV:
        if (b == 0)
            no_division(r);
        return jv_float(a / b);
    case T_FLOORDIV:
    case T_MOD:
        if (b == 0)
            no_division(r);
        v = fmod(a, b);
        if (op == T_MOD) {
            if (v == 0)
                return jv_float(copysign(0, b));
            return jv_float((v < 0) != (b < 0) ? v + b : v);
        }
        v = (a - v) / b - (v != 0 && (v < 0) != (b < 0));
        if (v == 0)
            return jv_float(copysign(0, a / b));
        return jv_float(floor(v) + (v - floor(v) > 0.5));
    default:
        if (a == 0 && b < 0)
            jr_fail(r, FT_EINVAL, "0.0 cannot be raised to a negative power");
        if (a < 0 && b != floor(b) && !isinf(b) && !isinf(a))
            jr_fail(r, FT_EUNSUPPORTED, "complex numbers are not supported");
        v = pow(a, b);
        if (isinf(v) && !isinf(a) && !isinf(b))
            jr_fail(r, FT_EINVAL, "Numerical result out of range");
        return jv_float(v);
    }
}

static struct jv repeat(struct jr *r, struct jv seq, int64_t times)
{
    times = times < 0 ? 0 : times;
    if (seq.t == JV_STR) {
        struct jb b;
        jb_init(&b, r);
        jb_pad(&b, seq.s->p, seq.s->n, times);
        struct jv v = jb_str(&b);
        v.s->markup = seq.s->markup;
        return v;
    }
    size_t n = seq.l->n;
    if (n != 0 && (uint64_t)times > JR_ARENA_BYTES_MAX / n)
        jr_fail(r, FT_ENOMEM, "the template needs more than %zu MiB", JR_ARENA_BYTES_MAX >> 20);
    struct jv v = jv_list_new(r, n * (size_t)times);
    for (int64_t i = 0; i < times && n != 0; i++)
        for (size_t k = 0; k < n; k++)
            jv_list_push(r, v, seq.l->v[k]);
    jr_charge(r, 16 * v.l->n);
    v.t = seq.t;
    return v;
}

static struct jv add_lists(struct jr *r, struct jv a, struct jv b)
{
    size_t n = a.l->n + b.l->n;
    struct jv v = jv_list_new(r, n);
    jr_charge(r, 16 * n);
    if (a.l->n != 0)
        memcpy(v.l->v, a.l->v, a.l->n * sizeof *v.l->v);
    if (b.l->n != 0)
        memcpy(v.l->v + a.l->n, b.l->v, b.l->n * sizeof *v.l->v);
    v.l->n = n;
    v.t = a.t;
    return v;
}

static bool is_seq(struct jv v)
{
    return v.t == JV_STR || v.t == JV_LIST || v.t == JV_TUPLE;
}

static struct jv add_strings(struct jr *r, struct jv a, struct jv b)
{
    if (!a.s->markup && !b.s->markup)
        return jv_str_cat(r, a, b);
    struct jv v = jv_str_cat(r, jv_escape(r, a), jv_escape(r, b));
    v.s->markup = true;
    return v;
}

static const char *op_text(int op)
{
    return op == T_ADD        ? "+"
           : op == T_SUB      ? "-"
           : op == T_MUL      ? "*"
           : op == T_DIV      ? "/"
           : op == T_FLOORDIV ? "//"
           : op == T_MOD      ? "%"
                              : "** or pow()";
}

struct jv jv_binary(struct jr *r, int op, struct jv a, struct jv b)
{
    if (jv_is_int(a) && jv_is_int(b))
        return int_op(r, op, jv_as_int(a), jv_as_int(b));
    if (jv_is_num(a) && jv_is_num(b))
        return float_op(r, op, jv_as_float(a), jv_as_float(b));
    if (op == T_ADD && a.t == JV_STR && b.t == JV_STR)
        return add_strings(r, a, b);
    if (op == T_ADD && a.t == b.t && (a.t == JV_LIST || a.t == JV_TUPLE))
        return add_lists(r, a, b);
    if (op == T_MUL && is_seq(a) && jv_is_int(b))
        return repeat(r, a, jv_as_int(b));
    if (op == T_MUL && is_seq(b) && jv_is_int(a))
        return repeat(r, b, jv_as_int(a));
    if (op == T_MOD && a.t == JV_STR)
        return jv_percent(r, a, b);
    jr_check_defined(r, a);
    jr_check_defined(r, b);
    if (op == T_ADD && a.t == JV_STR)
        jr_fail(r, FT_EINVAL, "can only concatenate str (not \"%s\") to str", jv_type_name(b));
    jr_fail(r, FT_EINVAL, "unsupported operand type(s) for %s: '%s' and '%s'", op_text(op),
            jv_type_name(a), jv_type_name(b));
}

struct jv jv_negate(struct jr *r, struct jv v, bool minus)
{
    jr_check_defined(r, v);
    if (!jv_is_num(v))
        jr_fail(r, FT_EINVAL, "bad operand type for unary %c: '%s'", minus ? '-' : '+',
                jv_type_name(v));
    if (v.t == JV_FLOAT)
        return jv_float(minus ? -v.f : v.f);
    return minus ? int_op(r, T_SUB, 0, jv_as_int(v)) : jv_int(jv_as_int(v));
}

static int64_t slice_index(struct jr *r, struct jv v, int64_t absent)
{
    if (v.t == JV_NONE)
        return absent;
    if (!jv_is_int(v)) {
        jr_check_defined(r, v);
        jr_fail(r, FT_EINVAL, "slice indices must be integers or None or have an __index__ method");
    }
    return jv_as_int(v);
}

static int64_t clamp(int64_t i, int64_t n, int64_t lo, int64_t hi)
{
    if (i < 0)
        i = i < -n - 1 ? -1 : i + n;
    return i < lo ? lo : i > hi ? hi : i;
}

static struct jv slice_str(struct jr *r, struct jv s, int64_t start, int64_t count, int64_t step)
{
    if (step == 1 || count <= 0) {
        size_t from = count <= 0 ? 0 : jv_byte_at(s.s, start);
        struct jv_str rest = {.p = s.s->p + from, .n = s.s->n - from, .cps = -1};
        bool ascii = (size_t)jv_cps(s.s) == s.s->n;
        size_t n = count <= 0 ? 0 : ascii ? (size_t)count : jv_byte_at(&rest, count);
        jr_charge(r, ascii ? 0 : s.s->n);
        return jv_substr(r, s, from, from + n);
    }
    struct jb b;
    jb_init(&b, r);
    const char *p = s.s->p + jv_byte_at(s.s, start);
    jr_charge(r, s.s->n);
    for (int64_t i = 0; i < count; i++) {
        const char *q = p;
        jb_addcp(&b, ju_next(&q));
        if (i + 1 == count)
            break;
        for (int64_t k = step; k > 0; k--)
            ju_next(&p);
        for (int64_t k = step; k < 0; k++)
            ju_prev(&p);
    }
    struct jv v = jb_str(&b);
    v.s->markup = s.s->markup;
    return v;
}

struct jv jv_slice(struct jr *r, struct jv obj, struct jv start, struct jv stop, struct jv step)
{
    jr_check_defined(r, obj);
    if (!is_seq(obj) && obj.t != JV_RANGE)
        jr_fail(r, FT_EINVAL,
                obj.t == JV_DICT ? "unhashable type: 'slice'" : "'%s' object is not subscriptable",
                jv_type_name(obj));
    int64_t n = jv_len(r, obj), by = slice_index(r, step, 1);
    if (by == 0)
        jr_fail(r, FT_EINVAL, "slice step cannot be zero");
    if (by > INT32_MAX || by < -INT32_MAX)
        by = by > 0 ? INT32_MAX : -INT32_MAX; /* longer than any sequence here */
    bool back = by < 0;
    int64_t lo = back ? -1 : 0, hi = back ? n - 1 : n;
    int64_t from =
        start.t == JV_NONE ? (back ? hi : lo) : clamp(slice_index(r, start, 0), n, lo, hi);
    int64_t to = stop.t == JV_NONE ? (back ? lo : hi) : clamp(slice_index(r, stop, 0), n, lo, hi);
    int64_t count = back        ? (from > to ? (from - to - 1) / -by + 1 : 0)
                    : to > from ? (to - from - 1) / by + 1
                                : 0;
    if (obj.t == JV_STR)
        return slice_str(r, obj, from, count, by);
    if (obj.t == JV_RANGE) {
        struct jv v = jv_of(JV_RANGE);
        v.r = jr_alloc(r, sizeof *v.r);
        struct jv_range *g = v.r;
        int64_t a, b;
        if (__builtin_mul_overflow(from, obj.r->step, &a) ||
            __builtin_mul_overflow(to, obj.r->step, &b) ||
            __builtin_add_overflow(obj.r->start, a, &g->start) ||
            __builtin_add_overflow(obj.r->start, b, &g->stop) ||
            __builtin_mul_overflow(obj.r->step, by, &g->step))
            overflow(r);
        g->n = count;
        return v;
    }
    struct jv v = jv_list_new(r, (size_t)count);
    jr_charge(r, 16 * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        jv_list_push(r, v, obj.l->v[from + i * by]);
    v.t = obj.t;
    return v;
}
