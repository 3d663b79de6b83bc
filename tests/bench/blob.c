/* The store of objects in a folder beside what the disk does by itself, in one run, medians:
 *
 *   put, get of a large object   : write and fsync, read of the same bytes
 *   put of 4 KiB by 16 threads   : a file each, written and synced
 *   a listing                    : keys a second; bytes on the disk for an object of 1 KB
 *   many uploads at once         : resident memory
 *
 * usage: bench_blob [FOLDER [OBJECTS [UPLOAD_MIB]]]  /tmp, 20000 of 1 KB, 64 uploads of 16 MiB;
 * needs their room */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"
#include "blob/dir/dir.h"

#define LARGE   (64u << 20)
#define PIECE   (256u << 10) /* what a lane hands on */
#define ROUNDS  5
#define THREADS 16
#define FILLERS 64
#define SMALL_S 2
#define UPLOADS 64
#define SMALL   4096
#define KB      1024
#define BUCKET  "bench"

static struct ft_blob *blob;
static struct ft_err err;
static char folder[512];
static uint8_t *data;

static void must(int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_blob: %s\n", err.msg);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static double plain_write(const char *name, size_t n, size_t piece)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int64_t begun = ft_clock_now_ns();
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    for (size_t at = 0; at < n; at += piece)
        must(ft_file_write(fd, data + at, piece, name, NULL, &err));
    must(fsync(fd));
    close(fd);
    double s = (double)(ft_clock_now_ns() - begun) / 1e9;
    unlink(path);
    return s;
}

static void put(const char *key, size_t n, size_t piece)
{
    struct ft_blob_put p = {.bucket = BUCKET, .key = key, .size = (int64_t)n};
    struct ft_blob_writer *w;
    struct ft_err e;
    int rc = ft_blob_put(blob, &p, &w, &e);
    for (size_t at = 0; rc == 0 && at < n; at += piece)
        rc = ft_blob_put_write(w, data + at, piece, &e);
    if (rc == 0)
        rc = ft_blob_put_commit(w, NULL, 0, NULL, &e);
    if (rc != 0) {
        fprintf(stderr, "bench_blob: %s\n", e.msg);
        exit(1);
    }
}

static void large(void)
{
    double ours[ROUNDS], plain[ROUNDS], ours_get[ROUNDS], plain_get[ROUNDS];
    uint8_t *buf = malloc(PIECE);
    for (int i = 0; i < ROUNDS; i++) {
        plain[i] = plain_write("plain", LARGE, PIECE);
        int64_t begun = ft_clock_now_ns();
        put("large", LARGE, PIECE);
        ours[i] = (double)(ft_clock_now_ns() - begun) / 1e9;

        struct ft_blob_reader *r;
        begun = ft_clock_now_ns();
        must(ft_blob_open(blob, BUCKET, "large", NULL, &r, &err));
        for (size_t at = 0; at < LARGE; at += PIECE)
            must(ft_blob_read(r, (int64_t)at, buf, PIECE, &err));
        ft_blob_close_reader(r);
        ours_get[i] = (double)(ft_clock_now_ns() - begun) / 1e9;

        char path[600];
        snprintf(path, sizeof path, "%s/linked", folder);
        must(ft_blob_link(blob, BUCKET, "large", NULL, path, &err));
        begun = ft_clock_now_ns();
        int fd = open(path, O_RDONLY);
        for (size_t at = 0; at < LARGE; at += PIECE)
            if (read(fd, buf, PIECE) != PIECE)
                exit(1);
        close(fd);
        plain_get[i] = (double)(ft_clock_now_ns() - begun) / 1e9;
        unlink(path);
    }
    free(buf);
    double p = median(plain, ROUNDS), o = median(ours, ROUNDS);
    printf("put 64 MiB        %6.0f MB/s; write and fsync %6.0f MB/s; ratio %.2f\n",
           LARGE / 1e6 / o, LARGE / 1e6 / p, p / o);
    p = median(plain_get, ROUNDS);
    o = median(ours_get, ROUNDS);
    printf("get 64 MiB        %6.0f MB/s; read            %6.0f MB/s; ratio %.2f\n",
           LARGE / 1e6 / o, LARGE / 1e6 / p, p / o);
}

/* ---- many at once ---- */

static _Atomic int64_t count, until_ns;
static int64_t wanted;

static void *put_small(void *arg)
{
    char key[64];
    for (int64_t i = 0; ft_clock_now_ns() < until_ns; i++) {
        snprintf(key, sizeof key, "small/%lld/%lld", (long long)(intptr_t)arg, (long long)i);
        put(key, SMALL, SMALL);
        count++;
    }
    return NULL;
}

static void *plain_small(void *arg)
{
    char name[64];
    for (int64_t i = 0; ft_clock_now_ns() < until_ns; i++) {
        snprintf(name, sizeof name, "f-%lld-%lld", (long long)(intptr_t)arg, (long long)i);
        plain_write(name, SMALL, SMALL);
        count++;
    }
    return NULL;
}

static void *get_small(void *arg)
{
    char key[64], buf[SMALL];
    struct ft_err e;
    for (int64_t i = 0; ft_clock_now_ns() < until_ns; i++) {
        struct ft_blob_reader *r;
        snprintf(key, sizeof key, "small/%lld/%lld", (long long)(intptr_t)arg,
                 (long long)(i % 100));
        if (ft_blob_open(blob, BUCKET, key, NULL, &r, &e) != 0)
            continue;
        if (ft_blob_read(r, 0, buf, SMALL, &e) != 0)
            exit(1);
        ft_blob_close_reader(r);
        count++;
    }
    return NULL;
}

static void *put_kb(void *arg)
{
    char key[64];
    (void)arg;
    for (int64_t i; (i = count++) < wanted;) {
        snprintf(key, sizeof key, "kb/%06llx/%lld",
                 (unsigned long long)(ft_rand_u64(1, 2, (uint64_t)i) & 0xffffff), (long long)i);
        put(key, KB, KB);
    }
    return NULL;
}

static double together(int n, void *(*fn)(void *))
{
    pthread_t t[FILLERS];
    int64_t begun = ft_clock_now_ns();
    count = 0;
    until_ns = begun + (int64_t)SMALL_S * 1000000000;
    for (int i = 0; i < n; i++)
        must(pthread_create(&t[i], NULL, fn, (void *)(intptr_t)i));
    for (int i = 0; i < n; i++)
        pthread_join(t[i], NULL);
    return (double)(ft_clock_now_ns() - begun) / 1e9;
}

static void small(void)
{
    double s = together(THREADS, plain_small), plain = (double)count / s;
    s = together(THREADS, put_small);
    double puts = (double)count / s;
    s = together(THREADS, get_small);
    printf("put 4 KiB, %d by  %6.0f /s; files synced    %6.0f /s; ratio %.2f\n", THREADS, puts,
           plain, puts / plain);
    printf("get 4 KiB, %d by  %6.0f /s\n", THREADS, (double)count / s);
}

static int64_t disk_bytes(void)
{
    char cmd[600];
    long long kib = 0;
    snprintf(cmd, sizeof cmd, "du -sk %s | cut -f1", folder);
    FILE *f = popen(cmd, "r");
    if (f == NULL || fscanf(f, "%lld", &kib) != 1)
        kib = 0;
    if (f != NULL)
        pclose(f);
    return (int64_t)kib << 10;
}

struct listed {
    int64_t n;
    char last[FT_BLOB_KEY_MAX + 1];
};

static int see(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct listed *l = ctx;
    (void)prefix;
    l->n += info->etag[0] != '\0';
    snprintf(l->last, sizeof l->last, "%s", info->key);
    return 0;
}

static void listing(void)
{
    int64_t before = disk_bytes();
    double s = together(FILLERS, put_kb);
    printf("put 1 KB, %d by   %6.0f /s; on the disk    %6.0f bytes each (with the log)\n", FILLERS,
           (double)wanted / s, (double)(disk_bytes() - before) / (double)wanted);
    double v[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        struct listed l = {.last = ""};
        bool more = true;
        int64_t begun = ft_clock_now_ns();
        while (more) {
            struct ft_blob_list page = {
                .bucket = BUCKET, .prefix = "kb/", .after = l.last, .max = FT_BLOB_LIST_MAX};
            must(ft_blob_list(blob, &page, false, see, &l, &more, &err));
        }
        v[i] = (double)(ft_clock_now_ns() - begun) / 1e9 / (double)l.n;
    }
    printf("list              %6.0f keys/s\n", 1 / median(v, ROUNDS));
}

/* ---- memory ---- */

static long resident_kib(void)
{
    long pages = 0, unused;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL && fscanf(f, "%ld %ld", &unused, &pages) != 2)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void memory(size_t mib)
{
    static struct ft_blob_writer *w[UPLOADS];
    long before = resident_kib(), most = 0;
    for (int i = 0; i < UPLOADS; i++) {
        char key[32];
        snprintf(key, sizeof key, "upload-%d", i);
        struct ft_blob_put p = {.bucket = BUCKET, .key = key, .size = -1};
        must(ft_blob_put(blob, &p, &w[i], &err));
    }
    for (size_t at = 0; at < mib << 20; at += PIECE) {
        for (int i = 0; i < UPLOADS; i++)
            must(ft_blob_put_write(w[i], data, PIECE, &err));
        most = FT_MAX(most, resident_kib());
    }
    for (int i = 0; i < UPLOADS; i++)
        ft_blob_put_abort(w[i]);
    printf("%d uploads of %zu MiB at once: %ld KiB more of memory\n", UPLOADS, mib, most - before);
}

int main(int argc, char **argv)
{
    char cmd[600];
    snprintf(folder, sizeof folder, "%s/bench_blob_XXXXXX", argc > 1 ? argv[1] : "/tmp");
    wanted = argc > 2 ? atoll(argv[2]) : 20000;
    data = malloc(LARGE);
    if (data == NULL || mkdtemp(folder) == NULL)
        return 1;
    for (size_t i = 0; i < LARGE; i += 8)
        *(uint64_t *)(data + i) = ft_rand_u64(1, 1, i);
    must(ft_blob_dir_open(&(struct ft_blob_dir_config){.path = folder}, &blob, &err));
    must(ft_blob_bucket_create(blob, BUCKET, "prj", &err));
    memory(argc > 3 ? (size_t)atoll(argv[3]) : 16);
    large();
    small();
    listing();
    ft_blob_close(blob);
    snprintf(cmd, sizeof cmd, "rm -r %s", folder);
    return system(cmd);
}
