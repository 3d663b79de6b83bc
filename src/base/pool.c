/* Thread pool: chunks claimed by fetch-add, bounded spinning, futex sleep, and fewer workers
 * while a foreign process holds a core.
 *
 * A region is published as one 64-bit word, `claim` = n_chunks << 32 | next chunk. Claiming is
 * one fetch-add on it, and the value that comes back says both which chunk and of how many: a
 * late worker, descheduled between looking and claiming, gets a chunk of whatever region is
 * current, or none, never one of a region that is past. It reads fn and ctx only after it holds
 * a chunk, and the region cannot end (so fn and ctx cannot change) before that chunk is counted
 * in `done`.
 *
 * Waiting is always a short spin, then a futex, on both sides:
 *
 *   worker:  SPIN --no work for FT_POOL_SPIN_NS--> ASLEEP (wake_seq) --region--> SPIN
 *            either --index >= active--> BENCHED (bench_seq) --active restored--> SPIN
 *   owner:   runs chunks until none is left, spins for the last ones, sleeps on `done`
 *
 * A foreign process on one of the cores: the worker there is descheduled in the middle of a chunk
 * for a scheduler's slice, 3 ms and more, and every thread waits for it: regions of 200 us take
 * 3 ms. Two things are done about it; docs/performance.md has the figures.
 *
 * First, a worker offers its core (sched_yield) between chunks every TURN_NS, before its slice is
 * over. Its neighbour's turn then falls where the worker holds nothing, and the others go on. Where
 * there is no neighbour that costs a microsecond in a thousand.
 *
 * Second, where that is not enough, the pool shrinks. The owner sees waits far longer than a chunk
 * takes; when they add up (LOSS_SHARE of LOSS_WINDOW_NS), it benches as many workers as it had
 * to wait for, for PAUSE_MIN_NS, then tries them again; each trial that fails at once doubles the
 * pause up to PAUSE_MAX_NS. Trials so cost a percent or two. */
#include "base/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

#define LATE_NS        300000   /* a wait this much longer than two chunks is a lost core */
#define LOSS_WINDOW_NS 30000000 /* late waits are added up over at least this long */
#define LOSS_SHARE     5        /* more than 1/5 of the window lost: shrink */
#define TURN_NS        1000000  /* shorter than the scheduler's slice */
#define PAUSE_MIN_NS   60000000
#define PAUSE_MAX_NS   1000000000
#define SETTLED_NS     300000000 /* a trial that holds this long resets the pause */
#define LINE           64

struct worker {
    _Alignas(LINE) struct ft_pool *pool;
    pthread_t thread;
    int index;
    int64_t yield_at_ns; /* the end of this turn; the owner has none */
    atomic_int busy;     /* holds a chunk now; read by the owner to count who is late */
};

struct ft_pool {
    /* The region. fn and ctx are written by the owner while no chunk is out. */
    _Alignas(LINE) _Atomic uint64_t claim;
    ft_pool_fn *fn;
    void *ctx;
    /* Its end. */
    _Alignas(LINE) _Atomic uint32_t done; /* chunks finished; the owner sleeps on it */
    _Atomic uint32_t owner_waits;
    /* Sleep and wake. */
    _Alignas(LINE) _Atomic uint32_t sleepers;
    _Atomic uint32_t wake_seq, bench_seq;
    atomic_int active; /* workers with a lower index take part; written by the owner */
    atomic_bool stop;
    /* The owner's own. */
    _Alignas(LINE) int n_threads;
    int64_t spin_ns;
    int64_t window_began_ns, window_lost_ns, restored_ns, restore_at_ns, pause_ns;
    int n_late;
    struct worker *workers; /* [n_threads]; 0 is the owner and has no thread */
};

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Sleeps while *word == seen; may return early. */
static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static inline bool has_chunk(uint64_t claim)
{
    return (uint32_t)claim < (uint32_t)(claim >> 32);
}

/* Runs chunks until none is left to claim or the worker's turn is over; true if the region is
 * thereby finished. */
static bool run_chunks(struct ft_pool *p, struct worker *w, uint32_t *ret_ran)
{
    uint32_t ran = 0, n_chunks = 0;
    while (has_chunk(atomic_load_explicit(&p->claim, memory_order_relaxed))) {
        uint64_t c = atomic_fetch_add_explicit(&p->claim, 1, memory_order_acquire);
        if (!has_chunk(c))
            break;
        if (ran++ == 0)
            atomic_store_explicit(&w->busy, 1, memory_order_relaxed);
        n_chunks = (uint32_t)(c >> 32); /* the same each time: this region waits for us */
        p->fn(p->ctx, (int)(uint32_t)c, w->index);
        if (w->index != 0 && ft_clock_now_ns() >= w->yield_at_ns)
            break;
    }
    if (ret_ran != NULL)
        *ret_ran = ran;
    if (ran == 0)
        return false;
    atomic_store_explicit(&w->busy, 0, memory_order_relaxed);
    return atomic_fetch_add(&p->done, ran) + ran == n_chunks;
}

/* Sleeps until something may have changed. The order (count ourselves, read the sequence, look
 * again) and the owner's (publish, look at the count, advance the sequence) leave no gap. */
static void worker_sleep(struct ft_pool *p, struct worker *w)
{
    if (w->index >= atomic_load(&p->active)) {
        uint32_t seq = atomic_load(&p->bench_seq);
        if (w->index >= atomic_load(&p->active) && !atomic_load(&p->stop))
            futex_wait(&p->bench_seq, seq);
        return;
    }
    atomic_fetch_add(&p->sleepers, 1);
    uint32_t seq = atomic_load(&p->wake_seq);
    if (!has_chunk(atomic_load(&p->claim)) && w->index < atomic_load(&p->active) &&
        !atomic_load(&p->stop))
        futex_wait(&p->wake_seq, seq);
    atomic_fetch_sub(&p->sleepers, 1);
}

/* True if there is a chunk to be had, false if it is time to sleep. */
static bool worker_spin(struct ft_pool *p, struct worker *w)
{
    int64_t began = 0;
    for (unsigned i = 0;; i++) {
        if (w->index >= atomic_load_explicit(&p->active, memory_order_relaxed))
            return false;
        if (has_chunk(atomic_load_explicit(&p->claim, memory_order_relaxed)))
            return true;
        if (atomic_load_explicit(&p->stop, memory_order_relaxed))
            return false;
        cpu_relax();
        if (i % 32 != 31)
            continue;
        int64_t now = ft_clock_now_ns();
        if (began == 0)
            began = now;
        else if (now - began >= p->spin_ns)
            return false;
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct ft_pool *p = w->pool;
    while (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
        if (!worker_spin(p, w)) {
            worker_sleep(p, w);
            w->yield_at_ns = ft_clock_now_ns() + TURN_NS;
            continue;
        }
        if (run_chunks(p, w, NULL) && atomic_load(&p->owner_waits))
            futex_wake(&p->done, 1);
        if (ft_clock_now_ns() >= w->yield_at_ns) {
            sched_yield();
            w->yield_at_ns = ft_clock_now_ns() + TURN_NS;
        }
    }
    return NULL;
}

static int cpus_allowed(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    return (int)sysconf(_SC_NPROCESSORS_ONLN); /* more than CPU_SETSIZE of them */
}

int ft_pool_open(int n_threads, struct ft_pool **ret_pool, struct ft_err *err)
{
    if (n_threads < 1 || n_threads > FT_POOL_THREADS_MAX)
        return ft_err_set(err, FT_EINVAL, "threads: %d is not in 1 .. %d", n_threads,
                          FT_POOL_THREADS_MAX);
    struct ft_pool *p = aligned_alloc(LINE, sizeof *p);
    struct worker *workers = aligned_alloc(LINE, (size_t)n_threads * sizeof *workers);
    if (p == NULL || workers == NULL) {
        free(workers);
        free(p);
        return ft_err_set(err, FT_ENOMEM, "threads: no memory");
    }
    /* With more threads than cores a spinning thread keeps the one it waits for from running. */
    *p = (struct ft_pool){.spin_ns = n_threads <= cpus_allowed() ? FT_POOL_SPIN_NS : 0,
                          .active = n_threads,
                          .n_threads = 1,
                          .pause_ns = PAUSE_MIN_NS,
                          .workers = workers};
    for (int i = 0; i < n_threads; i++)
        workers[i] = (struct worker){.pool = p, .index = i};
    while (p->n_threads < n_threads && pthread_create(&workers[p->n_threads].thread, NULL,
                                                      worker_main, &workers[p->n_threads]) == 0)
        p->n_threads++;
    if (p->n_threads != n_threads) {
        ft_pool_close(p);
        return ft_err_set(err, FT_ENOMEM, "threads: the system does not start %d", n_threads);
    }
    *ret_pool = p;
    return 0;
}

void ft_pool_close(struct ft_pool *p)
{
    if (p == NULL)
        return;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->wake_seq, 1);
    futex_wake(&p->wake_seq, INT_MAX);
    atomic_fetch_add(&p->bench_seq, 1);
    futex_wake(&p->bench_seq, INT_MAX);
    for (int i = 1; i < p->n_threads; i++)
        pthread_join(p->workers[i].thread, NULL);
    free(p->workers);
    free(p);
}

int ft_pool_size(const struct ft_pool *p)
{
    return p->n_threads;
}

int ft_pool_active(const struct ft_pool *p)
{
    return p->active;
}

static void restore_active(struct ft_pool *p, int64_t now)
{
    p->restored_ns = now;
    p->window_lost_ns = 0;
    p->n_late = 0;
    atomic_store(&p->active, p->n_threads);
    atomic_fetch_add(&p->bench_seq, 1);
    futex_wake(&p->bench_seq, INT_MAX);
}

/* The owner waited lost_ns longer than two chunks could explain, for n_missing workers. One late
 * wait is chance (an interrupt, a page fault); several in a short time are a neighbour. */
static void note_late(struct ft_pool *p, int64_t now, int64_t lost_ns, int n_missing)
{
    if (now - p->window_began_ns > LOSS_WINDOW_NS) {
        p->window_began_ns = now - lost_ns;
        p->window_lost_ns = 0;
        p->n_late = 0;
    }
    p->window_lost_ns += lost_ns;
    if (++p->n_late < 2 || p->window_lost_ns < LOSS_WINDOW_NS / LOSS_SHARE || n_missing == 0)
        return;
    if (now - p->restored_ns > SETTLED_NS)
        p->pause_ns = PAUSE_MIN_NS;
    else
        p->pause_ns = FT_MIN(p->pause_ns * 2, PAUSE_MAX_NS);
    p->restore_at_ns = now + p->pause_ns;
    p->window_lost_ns = 0;
    p->n_late = 0;
    int active = p->active;
    atomic_store(&p->active, FT_MAX(1, active - n_missing));
}

static int count_busy(const struct ft_pool *p)
{
    int n = 0;
    for (int i = 1; i < p->n_threads; i++)
        n += atomic_load_explicit(&p->workers[i].busy, memory_order_relaxed);
    return n;
}

/* Waits for the chunks that others still hold. mean_ns: what a chunk took the owner. */
static void wait_done(struct ft_pool *p, uint32_t n_chunks, int64_t began, int64_t mean_ns)
{
    int64_t spin_until = began + p->spin_ns, late_at = began + 2 * mean_ns + LATE_NS;
    int n_missing = 0;
    for (unsigned i = 1; atomic_load_explicit(&p->done, memory_order_acquire) != n_chunks; i++) {
        cpu_relax();
        if (i % 32 != 0 || ft_clock_now_ns() < spin_until)
            continue;
        atomic_store(&p->owner_waits, 1);
        uint32_t seen = atomic_load(&p->done);
        n_missing = count_busy(p);
        if (seen != n_chunks)
            futex_wait(&p->done, seen);
        atomic_store(&p->owner_waits, 0);
        spin_until = 0;
        i = 31;
    }
    if (n_missing == 0)
        return;
    int64_t now = ft_clock_now_ns();
    if (now > late_at)
        note_late(p, now, now - began - 2 * mean_ns, n_missing);
}

void ft_pool_run(struct ft_pool *p, int n_chunks, ft_pool_fn *fn, void *ctx)
{
    if (p->n_threads == 1 || n_chunks <= 1) {
        for (int i = 0; i < n_chunks; i++)
            fn(ctx, i, 0);
        return;
    }
    int64_t began = ft_clock_now_ns();
    if (p->active < p->n_threads && began >= p->restore_at_ns)
        restore_active(p, began);
    p->fn = fn;
    p->ctx = ctx;
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    atomic_store(&p->claim, (uint64_t)n_chunks << 32);
    uint32_t asleep = atomic_load(&p->sleepers);
    if (asleep != 0) {
        atomic_fetch_add(&p->wake_seq, 1);
        futex_wake(&p->wake_seq, FT_MIN((int)asleep, n_chunks - 1));
    }
    uint32_t ran;
    if (run_chunks(p, &p->workers[0], &ran))
        return;
    /* ran == 0: the others had it all. run_chunks could not tell whether that was the end. */
    int64_t now = ft_clock_now_ns();
    wait_done(p, (uint32_t)n_chunks, now, ran == 0 ? 0 : (now - began) / ran);
}
