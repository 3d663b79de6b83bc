/* Curves of the last 24 hours at 10 seconds and of 30 days at 5 minutes, in one file of a size that
 * is known beforehand: FT_HISTORY_BYTES at most (136 MiB), as sparse as what is in it.
 *
 *   header | place 0 | place 1 | ... | place 1023        a place: one series
 *   place:   name, labels ... (CRC) | 8640 points of 10 s | 8640 points of 5 min
 *   point:   value (f32) | check of (series, time, value)
 *
 * A point stands where its time says. Its check holds only for this series at this time, so what is
 * torn, stale, damaged or never written is no point but a gap. Points are written in place (pwrite,
 * no sync): a process that is killed loses none that it wrote. A place whose name is damaged is
 * free again; a file that is none of ours is set aside (".broken") and begun anew.
 *
 * A point of 5 minutes is made of those of 10 s when its time is over, by the series' own rule
 * (enum ft_history_fold), and made again after a restart if it had not been written.
 *
 * When all places are taken, the series that was written least recently gives way, unless that was
 * within FT_HISTORY_STALE_S: then the new one has to wait (FT_ELIMIT). A clock that is set back:
 * what lies after the new time goes away.
 *
 * Any thread may call; one process at a time has the file. */
#ifndef FT_MONITOR_HISTORY_H
#define FT_MONITOR_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_HISTORY_SERIES_MAX  1024
#define FT_HISTORY_POINTS      8640 /* of each kind: 24 h of 10 s, 30 days of 5 min */
#define FT_HISTORY_STEP_S      10
#define FT_HISTORY_LONG_STEP_S 300
#define FT_HISTORY_HEAD_BYTES  4096
#define FT_HISTORY_NAME_BYTES  1024
#define FT_HISTORY_PLACE_BYTES (FT_HISTORY_NAME_BYTES + 2 * FT_HISTORY_POINTS * 8)
#define FT_HISTORY_BYTES                                                                           \
    (FT_HISTORY_HEAD_BYTES + (int64_t)FT_HISTORY_SERIES_MAX * FT_HISTORY_PLACE_BYTES)
#define FT_HISTORY_STALE_S 3600

/* How points become one of a longer step: rates and levels by their mean, quantiles and what must
 * not be missed by the largest, what is left of something by the smallest. */
enum ft_history_fold { FT_FOLD_MEAN, FT_FOLD_MAX, FT_FOLD_MIN };

/* What a series is; name, label, value and owner together tell one from another. */
struct ft_history_name {
    char name[48];   /* "requests" */
    char unit[16];   /* "1/s" */
    char label[16];  /* what it is of: "model", "endpoint", "project", "bucket"; "": the cloud */
    char value[264]; /* and which */
    char owner[72];  /* the project that may see it beside operators; "": none in particular */
    enum ft_history_fold fold;
};

struct ft_history;

int ft_history_open(const char *path, int64_t now_s, struct ft_history **ret, struct ft_err *err);
void ft_history_close(struct ft_history *h); /* NULL is accepted */

/* One point. NaN or infinite: nothing is written. at_s: seconds since 1970, rounded down to 10. */
int ft_history_put(struct ft_history *h, const struct ft_history_name *n, int64_t at_s,
                   double value, struct ft_err *err);

/* Which series there are: fn for each, in no order; fn must not call history. */
void ft_history_each(struct ft_history *h,
                     void (*fn)(void *ctx, int place, const struct ft_history_name *n,
                                int64_t last_s),
                     void *ctx);

/* The step that a question gets: a multiple of 10 s, of 5 min where that is asked for or where
 * `from` is before the last 24 hours, and so long that there are at most FT_HISTORY_POINTS. asked
 * 0: about 300 points. */
int64_t ft_history_step(int64_t from_s, int64_t to_s, int64_t asked_s, int64_t now_s);

/* ret[i]: of [from + i * step, from + (i + 1) * step), NaN for none. from and step as
 * ft_history_step wants them (from is a multiple of 10, with long steps of 300). n: at most
 * FT_HISTORY_POINTS. whose: the series as it was found there; another one that has taken its place
 * since is not read. NULL: any. */
int ft_history_read(struct ft_history *h, int place, const struct ft_history_name *whose,
                    int64_t from_s, int64_t step_s, int n, double *ret, struct ft_err *err);

/* The newest value that was put, if it is not older than age_s: true. Also where the file could not
 * take it (a disk that is full). */
bool ft_history_last(struct ft_history *h, int place, int64_t now_s, int64_t age_s, double *ret);

#endif
