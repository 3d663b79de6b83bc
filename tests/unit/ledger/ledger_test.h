/* What the ledger tests share: a folder of their own, records by hand, an intake that remembers. */
#ifndef FT_LEDGER_TEST_H
#define FT_LEDGER_TEST_H

#include "testing.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#include "ledger/ledger.h"

/* A new empty folder; the same buffer at every call. */
static inline const char *new_dir(void)
{
    static char dir[64];
    strcpy(dir, "/tmp/ft-ledger-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline void remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    assert_int_equal(rmdir(dir), 0);
}

static inline int count_files(const char *dir, const char *tail)
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name), t = strlen(tail);
        n += len >= t && strcmp(e->d_name + len - t, tail) == 0;
    }
    closedir(d);
    return n;
}

/* What was delivered: each id once, as the store would take it. */
struct intake {
    pthread_mutex_t lock;
    struct ft_record *records;
    int n, cap;
    int calls, again; /* records seen before */
    int fail;         /* the next so many calls fail */
    const char *bad;  /* records of this model are refused */
};

static inline int take(void *ctx, const char *ndjson, size_t n, int n_records, struct ft_err *err)
{
    struct intake *in = ctx;
    int rc = 0, seen = 0;
    pthread_mutex_lock(&in->lock);
    in->calls++;
    if (in->fail > 0) {
        in->fail--;
        rc = ft_err_set(err, FT_EIO, "nobody is there");
    }
    if (rc == 0 && in->bad != NULL && memmem(ndjson, n, in->bad, strlen(in->bad)) != NULL)
        rc = ft_err_set(err, FT_EINVAL, "a bad record");
    for (const char *p = ndjson, *end = ndjson + n; rc == 0 && p < end;) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        assert_non_null(line);
        struct ft_record r;
        assert_int_equal(ft_record_parse(p, (size_t)(line - p), &r, NULL), 0);
        bool known = false;
        for (int i = in->n > 5000 ? in->n - 5000 : 0; i < in->n; i++)
            known |= strcmp(in->records[i].id, r.id) == 0;
        if (known) {
            in->again++;
        } else {
            if (in->n == in->cap) {
                in->cap = in->cap == 0 ? 64 : in->cap * 2;
                in->records = realloc(in->records, (size_t)in->cap * sizeof r);
            }
            in->records[in->n++] = r;
        }
        p = line + 1;
        seen++;
    }
    assert_true(rc != 0 || seen == n_records);
    pthread_mutex_unlock(&in->lock);
    return rc;
}

static inline void intake_init(struct intake *in)
{
    memset(in, 0, sizeof *in);
    pthread_mutex_init(&in->lock, NULL);
}

static inline void intake_fini(struct intake *in)
{
    pthread_mutex_destroy(&in->lock);
    free(in->records);
}

static inline struct ft_ledger *open_ledger(const char *dir, struct intake *in)
{
    struct ft_ledger *l = NULL;
    struct ft_err err = {.msg = ""};
    struct ft_ledger_options o = {
        .dir = dir, .slots_max = 256, .deliver = in == NULL ? NULL : take, .ctx = in};
    if (ft_ledger_open(&o, &l, &err) != 0)
        fail_msg("%s", err.msg);
    return l;
}

static inline int begin(struct ft_ledger *l, const char *id)
{
    struct ft_err err = {.msg = ""};
    struct ft_ledger_begin b = {.id = id,
                                .project = "proj_1",
                                .key = "key_1",
                                .model = "nano",
                                .route = "chat.completions",
                                .stream = true,
                                .price = {100, 10, 400}};
    int slot = -1;
    if (ft_ledger_begin(l, &b, &slot, &err) != 0)
        fail_msg("%s", err.msg);
    return slot;
}

static inline void end_ok(struct ft_ledger *l, int slot)
{
    struct ft_ledger_end e = {.status = FT_RECORD_OK, .http = 200};
    ft_ledger_end(l, slot, &e, NULL);
}

#endif
