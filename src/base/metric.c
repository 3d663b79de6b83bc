/* See metric.h. A family has a table of pointers to its series, open addressing, which only grows
 * fuller: who looks for one reads it without a lock, who adds one holds the lock, and a pointer is
 * stored when all that it points to is there. The table is twice as large as it may get full. */
#include "base/metric.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/utf8.h"

#define TABLE_SLOTS (2 * FT_METRIC_SERIES_MAX) /* a power of two */
#define KEY_BYTES   (FT_METRIC_LABELS_MAX * (FT_METRIC_VALUE_BYTES + 1))

struct ft_series {
    const struct ft_metric *of;
    _Atomic(struct ft_series *) next;        /* the one that came after it */
    const char *value[FT_METRIC_LABELS_MAX]; /* into key */
    size_t n_key;
    char *key;              /* the values, each with its NUL */
    atomic_int_least64_t n; /* counters, gauges; sum of a histogram */
    atomic_uint_least64_t bucket[];
};

struct ft_metric {
    struct ft_metric_def def;
    int n_label;
    double scale;
    int64_t bound[FT_METRIC_BOUNDS_MAX]; /* in the caller's unit */
    _Atomic(struct ft_series *) *table;  /* [TABLE_SLOTS]; NULL: no labels, or read */
    _Atomic(struct ft_series *) first;   /* of all but other, as they came */
    struct ft_series *last;              /* (lock) */
    atomic_int n_series;
    struct ft_series *other; /* without labels: the only one */
    pthread_mutex_t lock;    /* of adding */
    struct {
        atomic_int n;
        const char *value[FT_METRIC_VALUES_MAX]; /* of series */
    } known[FT_METRIC_LABELS_MAX];
};

struct ft_metric_set {
    struct ft_metric *family[FT_METRIC_FAMILIES_MAX];
    int n;
};

/* ---- families ---- */

int ft_metric_set_open(struct ft_metric_set **ret, struct ft_err *err)
{
    struct ft_metric_set *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ft_err_set(err, FT_ENOMEM, "metrics: no memory");
    *ret = m;
    return 0;
}

static void family_free(struct ft_metric *f)
{
    if (f == NULL)
        return;
    for (struct ft_series *s = atomic_load(&f->first), *next; s != NULL; s = next) {
        next = atomic_load(&s->next);
        free(s);
    }
    free(f->other);
    free(f->table);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

void ft_metric_set_close(struct ft_metric_set *m)
{
    if (m == NULL)
        return;
    for (int i = 0; i < m->n; i++)
        family_free(m->family[i]);
    free(m);
}

static bool is_name(const char *s, bool colon)
{
    for (const char *p = s; *p != '\0'; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
        if (!letter && !(colon && *p == ':') && !(p > s && *p >= '0' && *p <= '9'))
            return false;
    }
    return s[0] != '\0';
}

static bool ends_in_word(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m + 1 && s[n - m - 1] == '_' && strcmp(s + n - m, end) == 0;
}

static int check(const struct ft_metric_def *d, struct ft_err *err)
{
    if (d->name == NULL || !is_name(d->name, true) || ends_in_word(d->name, "total"))
        return ft_err_set(err, FT_EINVAL, "name: '%s'", d->name != NULL ? d->name : "");
    if (d->help == NULL || d->help[0] == '\0')
        return ft_err_set(err, FT_EINVAL, "%s: help is missing", d->name);
    if (d->unit != NULL && !ends_in_word(d->name, d->unit))
        return ft_err_set(err, FT_EINVAL, "%s: does not end in its unit", d->name);
    for (int i = 0; i < FT_METRIC_LABELS_MAX && d->label[i] != NULL; i++)
        if (!is_name(d->label[i], false) || strcmp(d->label[i], "le") == 0)
            return ft_err_set(err, FT_EINVAL, "%s: label '%s'", d->name, d->label[i]);
    bool bounds = d->kind == FT_METRIC_HISTOGRAM && d->read == NULL;
    if (bounds != (d->n_bound > 0) || d->n_bound > FT_METRIC_BOUNDS_MAX)
        return ft_err_set(err, FT_EINVAL, "%s: %d bounds", d->name, d->n_bound);
    for (int i = 1; i < d->n_bound; i++)
        if (!(d->bound[i] > d->bound[i - 1]))
            return ft_err_set(err, FT_EINVAL, "%s: bounds must rise", d->name);
    return 0;
}

/* value: their bytes are copied. NULL: no memory. */
static struct ft_series *series_new(const struct ft_metric *f, const char *const *value)
{
    bool histogram = f->def.kind == FT_METRIC_HISTOGRAM;
    size_t n_bucket = histogram ? (size_t)f->def.n_bound + 1 : 0, n_key = 0;
    for (int i = 0; i < f->n_label; i++)
        n_key += strlen(value[i]) + 1;
    struct ft_series *s =
        calloc(1, sizeof *s + n_bucket * sizeof s->bucket[0] + FT_MAX(n_key, (size_t)1));
    if (s == NULL)
        return NULL;
    s->of = f;
    s->n_key = n_key;
    s->key = (char *)&s->bucket[n_bucket];
    char *at = s->key;
    for (int i = 0; i < f->n_label; i++) {
        s->value[i] = at;
        at = stpcpy(at, value[i]) + 1;
    }
    return s;
}

/* Where it is, or the free place where it belongs. There always is one. */
static _Atomic(struct ft_series *) *place(const struct ft_metric *f, const char *key, size_t n)
{
    size_t at = ft_hash_bytes(key, n) % TABLE_SLOTS;
    for (;; at = (at + 1) % TABLE_SLOTS) {
        struct ft_series *s = atomic_load_explicit(&f->table[at], memory_order_acquire);
        if (s == NULL || (s->n_key == n && memcmp(s->key, key, n) == 0))
            return &f->table[at];
    }
}

static int family_init(struct ft_metric *f, const struct ft_metric_def *d, struct ft_err *err)
{
    static const char *const other[] = {FT_METRIC_OTHER, FT_METRIC_OTHER, FT_METRIC_OTHER,
                                        FT_METRIC_OTHER};
    _Static_assert(FT_COUNT(other) == FT_METRIC_LABELS_MAX, "one for each label");
    pthread_mutex_init(&f->lock, NULL);
    f->def = *d;
    f->scale = d->scale > 0 ? d->scale : 1;
    while (f->n_label < FT_METRIC_LABELS_MAX && d->label[f->n_label] != NULL)
        f->n_label++;
    for (int i = 0; i < d->n_bound; i++) /* of whole numbers: what is just above stays above */
        f->bound[i] = (int64_t)(d->bound[i] / f->scale + 1e-6);
    if (d->read != NULL)
        return 0;
    f->other = series_new(f, other);
    if (f->n_label > 0)
        f->table = calloc(TABLE_SLOTS, sizeof *f->table);
    bool good = f->other != NULL && (f->n_label == 0 || f->table != NULL);
    if (good && f->n_label > 0)
        atomic_store(place(f, f->other->key, f->other->n_key), f->other);
    return good ? 0 : ft_err_set(err, FT_ENOMEM, "%s: no memory", d->name);
}

int ft_metric_set_add(struct ft_metric_set *m, const struct ft_metric_def *def,
                      struct ft_metric **ret, struct ft_err *err)
{
    int rc = check(def, err);
    for (int i = 0; rc == 0 && i < m->n; i++)
        if (strcmp(m->family[i]->def.name, def->name) == 0)
            rc = ft_err_set(err, FT_EEXIST, "%s: there is one of this name", def->name);
    if (rc == 0 && m->n == FT_METRIC_FAMILIES_MAX)
        rc = ft_err_set(err, FT_ELIMIT, "metrics: more than %d families", FT_METRIC_FAMILIES_MAX);
    if (rc != 0)
        return rc;
    struct ft_metric *f = calloc(1, sizeof *f);
    rc = f != NULL ? family_init(f, def, err) : ft_err_set(err, FT_ENOMEM, "metrics: no memory");
    if (rc != 0) {
        family_free(f);
        return rc;
    }
    m->family[m->n++] = f;
    if (ret != NULL)
        *ret = f;
    return 0;
}

/* ---- finding a series ---- */

/* The values as one key; 0: one of them is too long. */
static size_t key_of(const struct ft_metric *f, const char *const *value, char key[KEY_BYTES])
{
    size_t n = 0;
    for (int i = 0; i < f->n_label; i++) {
        const char *v = value[i] != NULL ? value[i] : "";
        size_t len = strnlen(v, FT_METRIC_VALUE_BYTES + 1);
        if (len > FT_METRIC_VALUE_BYTES)
            return 0;
        memcpy(key + n, v, len);
        key[n + len] = '\0';
        n += len + 1;
    }
    return n;
}

static bool is_known(const struct ft_metric *f, int label, const char *value)
{
    int n = atomic_load_explicit(&f->known[label].n, memory_order_acquire);
    for (int i = 0; i < n; i++)
        if (strcmp(f->known[label].value[i], value) == 0)
            return true;
    return false;
}

/* The values that these count under, by the bounds as they are now. */
static void reduce(const struct ft_metric *f, const char *const *value,
                   const char *ret[FT_METRIC_LABELS_MAX])
{
    for (int i = 0; i < f->n_label; i++) {
        const char *v = value[i] != NULL ? value[i] : "";
        size_t n = strnlen(v, FT_METRIC_VALUE_BYTES + 1);
        bool good = n <= FT_METRIC_VALUE_BYTES && ft_utf8_valid(v, n);
        if (good && atomic_load(&f->known[i].n) == FT_METRIC_VALUES_MAX)
            good = is_known(f, i, v);
        ret[i] = good ? v : FT_METRIC_OTHER;
    }
}

/* Lock held. */
static struct ft_series *add(struct ft_metric *f, const char *const *value)
{
    int n = atomic_load(&f->n_series);
    struct ft_series *s = n < FT_METRIC_SERIES_MAX ? series_new(f, value) : NULL;
    if (s == NULL)
        return f->other;
    for (int i = 0; i < f->n_label; i++) {
        int k = atomic_load(&f->known[i].n);
        if (k < FT_METRIC_VALUES_MAX && strcmp(s->value[i], FT_METRIC_OTHER) != 0 &&
            !is_known(f, i, s->value[i])) {
            f->known[i].value[k] = s->value[i];
            atomic_store_explicit(&f->known[i].n, k + 1, memory_order_release);
        }
    }
    atomic_store_explicit(f->last != NULL ? &f->last->next : &f->first, s, memory_order_release);
    f->last = s;
    atomic_store_explicit(place(f, s->key, s->n_key), s, memory_order_release);
    atomic_store(&f->n_series, n + 1);
    return s;
}

struct ft_series *ft_metric_at(struct ft_metric *f, const char *const *value)
{
    char key[KEY_BYTES];
    const char *some[FT_METRIC_LABELS_MAX];
    FT_ASSERT(f->def.read == NULL);
    if (f->n_label == 0)
        return f->other;
    size_t n = key_of(f, value, key);
    struct ft_series *s = n > 0 ? atomic_load(place(f, key, n)) : NULL;
    if (s != NULL)
        return s;
    reduce(f, value, some);
    n = key_of(f, some, key);
    s = atomic_load(place(f, key, n));
    if (s != NULL)
        return s;
    if (atomic_load(&f->n_series) == FT_METRIC_SERIES_MAX) /* for good: no lock for that */
        return f->other;
    pthread_mutex_lock(&f->lock);
    reduce(f, value, some); /* others came meanwhile */
    n = key_of(f, some, key);
    s = atomic_load(place(f, key, n));
    if (s == NULL)
        s = add(f, some);
    pthread_mutex_unlock(&f->lock);
    return s;
}

/* ---- counting ---- */

void ft_series_add(struct ft_series *s, int64_t n)
{
    FT_ASSERT(s->of->def.kind == FT_METRIC_GAUGE || n >= 0);
    atomic_fetch_add_explicit(&s->n, n, memory_order_relaxed);
}

void ft_series_set(struct ft_series *s, int64_t n)
{
    FT_ASSERT(s->of->def.kind == FT_METRIC_GAUGE);
    atomic_store_explicit(&s->n, n, memory_order_relaxed);
}

void ft_series_observe(struct ft_series *s, int64_t n)
{
    const struct ft_metric *f = s->of;
    int lo = 0, hi = f->def.n_bound; /* the first bound that is not below n */
    FT_ASSERT(f->def.kind == FT_METRIC_HISTOGRAM);
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (f->bound[mid] < n)
            lo = mid + 1;
        else
            hi = mid;
    }
    atomic_fetch_add_explicit(&s->n, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->bucket[lo], 1, memory_order_relaxed);
}

/* ---- to be shown ---- */

int ft_metric_set_count(const struct ft_metric_set *m)
{
    return m->n;
}

struct ft_metric *ft_metric_set_family(const struct ft_metric_set *m, int i)
{
    return m->family[i];
}

const struct ft_metric_def *ft_metric_def(const struct ft_metric *f)
{
    return &f->def;
}

int ft_metric_labels(const struct ft_metric *f)
{
    return f->n_label;
}

/* Divided where that is exact: 1e-9 is none that a double can hold. */
static double in_base_unit(const struct ft_metric *f, int64_t n)
{
    return f->scale < 1 ? (double)n / (double)(int64_t)(1 / f->scale + 0.5) : (double)n * f->scale;
}

/* False: nothing was ever counted. */
static bool give(const struct ft_metric *f, const struct ft_series *s, struct ft_metric_out *out,
                 bool always)
{
    double n = in_base_unit(f, atomic_load(&s->n));
    if (f->def.kind != FT_METRIC_HISTOGRAM) {
        if (always || n != 0)
            out->give(out, s->value, n, NULL);
        return n != 0;
    }
    struct ft_histogram h = {.n_bound = f->def.n_bound, .sum = n};
    uint64_t count = 0;
    memcpy(h.bound, f->def.bound, (size_t)h.n_bound * sizeof h.bound[0]);
    for (int i = 0; i <= h.n_bound; i++)
        count += h.bucket[i] = atomic_load(&s->bucket[i]);
    if (always || count > 0)
        out->give(out, s->value, 0, &h);
    return count > 0;
}

void ft_metric_read(const struct ft_metric *f, void *ctx, struct ft_metric_out *out)
{
    if (f->def.read != NULL) {
        f->def.read(ctx, out);
        return;
    }
    for (const struct ft_series *s = atomic_load(&f->first); s != NULL; s = atomic_load(&s->next))
        give(f, s, out, true);
    give(f, f->other, out, f->n_label == 0);
}
