/* The file of series: where points lie, how they are checked, folded and given up.
 *
 * Numbers in the file have the machine's own byte order: it never leaves the machine, and one that
 * comes from another is set aside. */
#include "monitor/history.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"

#define PATH_BYTES  4200
#define FILE_MAGIC  UINT64_C(0x31545349484e5446) /* "FTNHIST1" */
#define PLACE_MAGIC UINT32_C(0x53525446)
#define ERASE_RUN   1024 /* points that are erased at once */
#define PER_LONG    (FT_HISTORY_LONG_STEP_S / FT_HISTORY_STEP_S)

struct point {
    float value;
    uint32_t check;
};

struct file_head {
    uint64_t magic;
    uint32_t points, places, place_bytes, crc;
};

struct place_head {
    uint32_t magic, crc; /* crc: of what follows */
    uint64_t serial;     /* tells its points from those of whoever had the place before */
    struct ft_history_name name;
};

struct place {
    bool used;
    uint64_t serial;
    struct ft_history_name name;
    bool named;     /* the file has the name */
    int64_t last_s; /* of its newest value; 0: none */
    double last;    /* that value, also where the disk would not take it */
    int64_t folded; /* the last 5 minutes that are made, as a number of them */
};

struct ft_history {
    int fd;
    char path[PATH_BYTES];
    pthread_mutex_t lock;
    uint64_t serials;
    struct place place[FT_HISTORY_SERIES_MAX];
    struct point buf[FT_HISTORY_POINTS];
};

/* One of the two rings of a place. */
struct tier {
    int64_t step_s;
    off_t at; /* within the place */
};
static const struct tier shorter = {FT_HISTORY_STEP_S, FT_HISTORY_NAME_BYTES};
static const struct tier longer = {
    FT_HISTORY_LONG_STEP_S, FT_HISTORY_NAME_BYTES + FT_HISTORY_POINTS *(off_t)sizeof(struct point)};

_Static_assert(sizeof(struct place_head) <= FT_HISTORY_NAME_BYTES, "a name has its room");
_Static_assert(sizeof(struct file_head) <= FT_HISTORY_HEAD_BYTES, "the head has its room");

/* ---- points ---- */

/* stamp: the point's time in steps of its tier. A finalizer of MurmurHash3 (fmix64). */
static uint32_t check_of(const struct place *p, const struct tier *t, int64_t stamp, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t x = p->serial ^ ((uint64_t)stamp * (uint64_t)t->step_s << 32) ^ (uint64_t)stamp;
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= bits;
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    x ^= x >> 33;
    return (uint32_t)x;
}

static bool is_point(const struct place *p, const struct tier *t, int64_t stamp,
                     const struct point *x)
{
    return (x->check != 0 || x->value != 0) && isfinite(x->value) &&
           check_of(p, t, stamp, x->value) == x->check;
}

static off_t place_at(const struct ft_history *h, const struct place *p)
{
    return FT_HISTORY_HEAD_BYTES + (off_t)(p - h->place) * FT_HISTORY_PLACE_BYTES;
}

static off_t point_at(const struct ft_history *h, const struct place *p, const struct tier *t,
                      int64_t stamp)
{
    return place_at(h, p) + t->at +
           (off_t)(stamp % FT_HISTORY_POINTS) * (off_t)sizeof(struct point);
}

static int write_at(struct ft_history *h, const void *data, size_t n, off_t at, struct ft_err *err)
{
    ssize_t put = pwrite(h->fd, data, n, at);
    if (put == (ssize_t)n)
        return 0;
    if (put >= 0)
        errno = ENOSPC;
    return ft_err_sys(err, "write %s", h->path);
}

static int point_write(struct ft_history *h, const struct place *p, const struct tier *t,
                       int64_t stamp, double value, struct ft_err *err)
{
    struct point x = {.value = (float)value};
    x.check = check_of(p, t, stamp, x.value);
    return write_at(h, &x, sizeof x, point_at(h, p, t, stamp), err);
}

/* n points from stamp on, as values; a hole or the file's end: none. */
static int points_read(struct ft_history *h, const struct place *p, const struct tier *t,
                       int64_t stamp, int n, double *ret, struct ft_err *err)
{
    for (int done = 0; done < n;) {
        int part = (int)FT_MIN(n - done, FT_HISTORY_POINTS - (stamp + done) % FT_HISTORY_POINTS);
        size_t bytes = (size_t)part * sizeof(struct point);
        memset(h->buf, 0, bytes);
        if (pread(h->fd, h->buf, bytes, point_at(h, p, t, stamp + done)) < 0)
            return ft_err_sys(err, "read %s", h->path);
        for (int i = 0; i < part; i++)
            ret[done + i] =
                is_point(p, t, stamp + done + i, &h->buf[i]) ? (double)h->buf[i].value : NAN;
        done += part;
    }
    return 0;
}

static double fold(enum ft_history_fold how, const double *x, int n)
{
    double all = NAN;
    int seen = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(x[i]))
            continue;
        all = seen == 0            ? x[i]
              : how == FT_FOLD_MAX ? FT_MAX(all, x[i])
              : how == FT_FOLD_MIN ? FT_MIN(all, x[i])
                                   : all + x[i];
        seen++;
    }
    return how == FT_FOLD_MEAN && seen > 0 ? all / seen : all;
}

/* Makes the points of 5 minutes up to, and without, the one that begins at `end` (in their
 * number). */
static int fold_until(struct ft_history *h, struct place *p, int64_t end, struct ft_err *err)
{
    const int64_t kept = FT_HISTORY_POINTS / PER_LONG; /* as far back as there are short ones */
    int rc = 0;
    for (int64_t k = FT_MAX(p->folded + 1, end - kept + 1); rc == 0 && k < end; k++) {
        double x[PER_LONG];
        rc = points_read(h, p, &shorter, k * PER_LONG, PER_LONG, x, err);
        double all = rc == 0 ? fold(p->name.fold, x, PER_LONG) : NAN;
        if (!isnan(all))
            rc = point_write(h, p, &longer, k, all, err);
    }
    if (rc == 0)
        p->folded = FT_MAX(p->folded, end - 1);
    return rc;
}

/* ---- clocks ---- */

/* Takes away the points after `stamp`, as far as the ring can hold any. */
static int erase_after(struct ft_history *h, const struct place *p, const struct tier *t,
                       int64_t stamp, int64_t until, struct ft_err *err)
{
    static const struct point none[ERASE_RUN];
    int rc = 0;
    until = FT_MIN(until, stamp + FT_HISTORY_POINTS);
    for (int64_t s = stamp + 1; rc == 0 && s <= until;) {
        int64_t n = FT_MIN(until - s + 1, FT_HISTORY_POINTS - s % FT_HISTORY_POINTS);
        n = FT_MIN(n, ERASE_RUN);
        rc = write_at(h, none, (size_t)n * sizeof none[0], point_at(h, p, t, s), err);
        s += n;
    }
    return rc;
}

static int set_back(struct ft_history *h, struct place *p, int64_t at_s, struct ft_err *err)
{
    int rc = erase_after(h, p, &shorter, at_s / shorter.step_s, p->last_s / shorter.step_s, err);
    if (rc == 0)
        rc = erase_after(h, p, &longer, at_s / longer.step_s, p->last_s / longer.step_s, err);
    p->folded = FT_MIN(p->folded, at_s / longer.step_s - 1);
    p->last_s = at_s;
    return rc;
}

/* What a place knows of itself when it is opened: its newest point, and that none is of a time
 * that is still to come (a clock that was ahead). Returns the newest stamp; 0: none. */
static int64_t look_through(struct ft_history *h, const struct place *p, const struct tier *t,
                            int64_t now_s)
{
    int64_t now = now_s / t->step_s, newest = 0;
    size_t bytes = sizeof h->buf;
    struct ft_err err = {0};
    memset(h->buf, 0, bytes);
    if (pread(h->fd, h->buf, bytes, place_at(h, p) + t->at) < 0)
        return 0;
    for (int64_t s = FT_MAX(now - FT_HISTORY_POINTS + 1, 0); s <= now + FT_HISTORY_POINTS; s++) {
        if (!is_point(p, t, s, &h->buf[s % FT_HISTORY_POINTS]))
            continue;
        if (s <= now)
            newest = s;
        else if (erase_after(h, p, t, s - 1, s, &err) != 0)
            ft_log(FT_LOG_WARN, "monitor", "%s", err.msg);
    }
    return newest;
}

/* ---- places ---- */

static bool same_series(const struct ft_history_name *a, const struct ft_history_name *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->value, b->value) == 0 &&
           strcmp(a->label, b->label) == 0 && strcmp(a->owner, b->owner) == 0;
}

static bool ends(const char *s, size_t n)
{
    return memchr(s, '\0', n) != NULL;
}

static void place_read(struct ft_history *h, struct place *p, int64_t now_s)
{
    struct place_head d;
    if (pread(h->fd, &d, sizeof d, place_at(h, p)) != (ssize_t)sizeof d || d.magic != PLACE_MAGIC)
        return;
    const struct ft_history_name *n = &d.name;
    if (d.crc != ft_crc32c(0, &d.serial, sizeof d - offsetof(struct place_head, serial)) ||
        !ends(n->name, sizeof n->name) || !ends(n->unit, sizeof n->unit) ||
        !ends(n->label, sizeof n->label) || !ends(n->value, sizeof n->value) ||
        !ends(n->owner, sizeof n->owner) || n->fold > FT_FOLD_MIN) {
        ft_log(FT_LOG_WARN, "monitor", "%s: place %d is damaged: that curve begins anew", h->path,
               (int)(p - h->place));
        return;
    }
    *p = (struct place){.used = true, .named = true, .serial = d.serial, .name = d.name};
    p->last_s = look_through(h, p, &shorter, now_s) * shorter.step_s;
    p->folded = look_through(h, p, &longer, now_s);
    struct ft_err ignored;
    p->last = NAN;
    if (p->last_s > 0)
        points_read(h, p, &shorter, p->last_s / shorter.step_s, 1, &p->last, &ignored);
    h->serials = FT_MAX(h->serials, d.serial);
}

static struct place *free_place(struct ft_history *h, int64_t at_s)
{
    struct place *oldest = NULL;
    for (int i = 0; i < FT_HISTORY_SERIES_MAX; i++) {
        struct place *p = &h->place[i];
        if (!p->used)
            return p;
        if (oldest == NULL || p->last_s < oldest->last_s)
            oldest = p;
    }
    return oldest->last_s + FT_HISTORY_STALE_S <= at_s ? oldest : NULL;
}

static int place_take(struct ft_history *h, const struct ft_history_name *n, int64_t at_s,
                      struct place **ret, struct ft_err *err)
{
    struct place *p = free_place(h, at_s);
    if (p == NULL)
        return ft_err_set(err, FT_ELIMIT, "history: %d series are kept, all of them in use",
                          FT_HISTORY_SERIES_MAX);
    *p = (struct place){.used = true,
                        .serial = ++h->serials,
                        .name = *n,
                        .folded = at_s / FT_HISTORY_LONG_STEP_S - 1};
    *ret = p;
    return 0;
}

static int name_write(struct ft_history *h, struct place *p, struct ft_err *err)
{
    struct place_head d;
    if (p->named)
        return 0;
    memset(&d, 0, sizeof d);
    d.magic = PLACE_MAGIC;
    d.serial = p->serial;
    d.name = p->name;
    d.crc = ft_crc32c(0, &d.serial, sizeof d - offsetof(struct place_head, serial));
    int rc = write_at(h, &d, sizeof d, place_at(h, p), err);
    p->named = rc == 0;
    return rc;
}

static struct place *find(struct ft_history *h, const struct ft_history_name *n)
{
    for (int i = 0; i < FT_HISTORY_SERIES_MAX; i++)
        if (h->place[i].used && same_series(&h->place[i].name, n))
            return &h->place[i];
    return NULL;
}

/* What the value is now is known whether or not the disk takes it: a full disk is what alerts tell
 * of. */
static int place_put(struct ft_history *h, struct place *p, int64_t at_s, double value,
                     struct ft_err *err)
{
    int rc = at_s < p->last_s ? set_back(h, p, at_s, err) : 0;
    p->last_s = at_s;
    p->last = value;
    if (rc == 0)
        rc = name_write(h, p, err);
    if (rc == 0)
        rc = point_write(h, p, &shorter, at_s / shorter.step_s, value, err);
    return rc == 0 ? fold_until(h, p, at_s / longer.step_s, err) : rc;
}

int ft_history_put(struct ft_history *h, const struct ft_history_name *n, int64_t at_s,
                   double value, struct ft_err *err)
{
    int rc = 0;
    if (!isfinite(value) || !isfinite((float)value) || at_s < 0)
        return 0;
    at_s -= at_s % shorter.step_s;
    pthread_mutex_lock(&h->lock);
    struct place *p = find(h, n);
    if (p == NULL)
        rc = place_take(h, n, at_s, &p, err);
    if (rc == 0)
        rc = place_put(h, p, at_s, value, err);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* ---- reading ---- */

void ft_history_each(struct ft_history *h,
                     void (*fn)(void *ctx, int place, const struct ft_history_name *n,
                                int64_t last_s),
                     void *ctx)
{
    pthread_mutex_lock(&h->lock);
    for (int i = 0; i < FT_HISTORY_SERIES_MAX; i++)
        if (h->place[i].used)
            fn(ctx, i, &h->place[i].name, h->place[i].last_s);
    pthread_mutex_unlock(&h->lock);
}

int64_t ft_history_step(int64_t from_s, int64_t to_s, int64_t asked_s, int64_t now_s)
{
    int64_t span = FT_MAX(to_s - from_s, 1), step = asked_s > 0 ? asked_s : span / 300;
    int64_t unit = FT_HISTORY_STEP_S;
    step = FT_MAX(step, (span + FT_HISTORY_POINTS - 1) / FT_HISTORY_POINTS);
    if (step >= FT_HISTORY_LONG_STEP_S ||
        from_s < now_s - FT_HISTORY_POINTS * (int64_t)FT_HISTORY_STEP_S)
        unit = FT_HISTORY_LONG_STEP_S;
    return FT_MAX((step + unit - 1) / unit, 1) * unit;
}

/* The n points of 5 minutes from k on: as they are written, the last ones from those of 10 s. */
static int long_read(struct ft_history *h, const struct place *p, int64_t k, int n, double *ret,
                     struct ft_err *err)
{
    int rc = points_read(h, p, &longer, k, n, ret, err);
    int64_t fresh = FT_MAX(p->folded + 1, k);
    for (int64_t i = fresh; rc == 0 && i < k + n && i * longer.step_s <= p->last_s; i++) {
        double x[PER_LONG];
        rc = points_read(h, p, &shorter, i * PER_LONG, PER_LONG, x, err);
        if (rc == 0)
            ret[i - k] = fold(p->name.fold, x, PER_LONG);
    }
    return rc;
}

int ft_history_read(struct ft_history *h, int place, const struct ft_history_name *whose,
                    int64_t from_s, int64_t step_s, int n, double *ret, struct ft_err *err)
{
    bool is_long = step_s >= longer.step_s;
    int64_t unit = is_long ? longer.step_s : shorter.step_s, per = step_s / unit;
    if (place < 0 || place >= FT_HISTORY_SERIES_MAX || from_s < 0 || n < 1 ||
        n > FT_HISTORY_POINTS || from_s % unit != 0 || step_s % unit != 0 ||
        per * n > 2 * FT_HISTORY_POINTS)
        return ft_err_set(err, FT_EINVAL, "history: a range of %d steps of %lld s", n,
                          (long long)step_s);
    double *x = malloc((size_t)(per * n) * sizeof *x);
    if (x == NULL)
        return ft_err_set(err, FT_ENOMEM, "history: out of memory");
    int rc = 0;
    pthread_mutex_lock(&h->lock);
    const struct place *p = &h->place[place];
    for (int64_t i = 0; i < per * n; i++)
        x[i] = NAN;
    bool is_its = p->used && (whose == NULL || same_series(&p->name, whose));
    if (is_its && is_long)
        rc = long_read(h, p, from_s / unit, (int)(per * n), x, err);
    else if (is_its)
        rc = points_read(h, p, &shorter, from_s / unit, (int)(per * n), x, err);
    for (int i = 0; rc == 0 && i < n; i++)
        ret[i] = fold(p->name.fold, x + i * per, (int)per);
    pthread_mutex_unlock(&h->lock);
    free(x);
    return rc;
}

bool ft_history_last(struct ft_history *h, int place, int64_t now_s, int64_t age_s, double *ret)
{
    pthread_mutex_lock(&h->lock);
    const struct place *p = &h->place[place];
    bool found = p->used && p->last_s > 0 && p->last_s <= now_s && now_s - p->last_s <= age_s &&
                 !isnan(p->last);
    if (found)
        *ret = p->last;
    pthread_mutex_unlock(&h->lock);
    return found;
}

/* ---- the file ---- */

static struct file_head head_of_ours(void)
{
    struct file_head d = {.magic = FILE_MAGIC,
                          .points = FT_HISTORY_POINTS,
                          .places = FT_HISTORY_SERIES_MAX,
                          .place_bytes = FT_HISTORY_PLACE_BYTES};
    d.crc = ft_crc32c(0, &d, offsetof(struct file_head, crc));
    return d;
}

static int file_open(struct ft_history *h, struct ft_err *err)
{
    h->fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (h->fd < 0)
        return ft_err_sys(err, "open %s", h->path);
    if (flock(h->fd, LOCK_EX | LOCK_NB) != 0)
        return ft_err_set(err, FT_EBUSY, "%s: another process has it", h->path);
    return 0;
}

/* Ours, or empty: 0. */
static int file_check(struct ft_history *h, struct ft_err *err)
{
    struct stat st;
    struct file_head d = {0}, ours = head_of_ours();
    if (fstat(h->fd, &st) != 0)
        return ft_err_sys(err, "%s", h->path);
    if (st.st_size == 0)
        return write_at(h, &ours, sizeof ours, 0, err);
    if (pread(h->fd, &d, sizeof d, 0) != (ssize_t)sizeof d || memcmp(&d, &ours, sizeof d) != 0)
        return ft_err_set(err, FT_ECORRUPT, "%s: is no history of this version", h->path);
    return 0;
}

static int begin_anew(struct ft_history *h, struct ft_err *err)
{
    char aside[PATH_BYTES + 8];
    snprintf(aside, sizeof aside, "%s.broken", h->path);
    ft_log(FT_LOG_WARN, "monitor", "%s; it is set aside as %s, and begun anew", err->msg, aside);
    close(h->fd);
    h->fd = -1;
    if (rename(h->path, aside) != 0)
        return ft_err_sys(err, "rename %s", h->path);
    int rc = file_open(h, err);
    return rc == 0 ? file_check(h, err) : rc;
}

int ft_history_open(const char *path, int64_t now_s, struct ft_history **ret, struct ft_err *err)
{
    struct ft_history *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ft_err_set(err, FT_ENOMEM, "history: out of memory");
    h->fd = -1;
    pthread_mutex_init(&h->lock, NULL);
    snprintf(h->path, sizeof h->path, "%s", path);
    /* no other run of the program has begun a series with the same one */
    h->serials = (uint64_t)now_s << 20;
    int rc = file_open(h, err);
    if (rc == 0)
        rc = file_check(h, err);
    if (rc == FT_ECORRUPT)
        rc = begin_anew(h, err);
    if (rc != 0) {
        ft_history_close(h);
        return rc;
    }
    for (int i = 0; i < FT_HISTORY_SERIES_MAX; i++)
        place_read(h, &h->place[i], now_s);
    *ret = h;
    return 0;
}

void ft_history_close(struct ft_history *h)
{
    if (h == NULL)
        return;
    if (h->fd >= 0)
        close(h->fd);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
