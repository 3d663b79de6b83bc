/* The stores that the contract is run over, and what its programs share: put, get, whys.
 *
 * FT_TEST_S3="URL ACCESS_KEY SECRET_KEY" in the environment: over that S3 server alone (make
 * test-engines); else over those that need nothing. */
#ifndef FT_CONTRACT_BLOB_STORES_H
#define FT_CONTRACT_BLOB_STORES_H

#include <time.h>

#include "base/rand.h"
#include "blob/blob.h"
#include "blob/dir/dir.h"
#include "blob/mem/mem.h"
#include "blob/s3/s3.h"

#include "own_server.h"
#include "testing.h"

struct store {
    const char *name;
    struct ft_blob *(*open)(void);
    void (*close)(struct ft_blob *b);
    size_t part_min;    /* bytes of a part that is not the last */
    size_t md5_max;     /* objects up to this size have their MD5 for an ETag */
    int random_changes; /* of a random test: upstreams are slow */
    bool all_parts;     /* all that were uploaded must be named when they are put together */
};

static struct ft_err err;
static struct ft_blob *blob;
static const struct store *store;

static struct ft_blob *open_memory(void)
{
    struct ft_blob *b = NULL;
    assert_int_equal(ft_blob_mem_open(0, &b, &err), 0);
    return b;
}

static char dir_path[64];

static struct ft_blob *open_dir(void)
{
    struct ft_blob *b = NULL;
    snprintf(dir_path, sizeof dir_path, "/tmp/ft_blob_XXXXXX");
    assert_non_null(mkdtemp(dir_path));
    int rc = ft_blob_dir_open(&(struct ft_blob_dir_config){.path = dir_path}, &b, &err);
    if (rc != 0)
        fail_msg("%s", err.msg);
    return b;
}

static void close_dir(struct ft_blob *b)
{
    char cmd[96];
    ft_blob_close(b);
    snprintf(cmd, sizeof cmd, "rm -r %s", dir_path);
    assert_int_equal(system(cmd), 0);
}

static struct ft_blob *open_s3_at(const char *url, const char *access, const char *secret)
{
    struct ft_blob *b = NULL;
    struct ft_blob_s3_config config = {
        .endpoint = url, .access_key = access, .secret_key = secret, .prefix = "ft-"};
    if (ft_blob_s3_open(&config, &b, &err) != 0)
        fail_msg("%s", err.msg);
    return b;
}

static struct ft_blob *open_s3(void)
{
    char url[256], access[128], secret[128];
    assert_int_equal(sscanf(getenv("FT_TEST_S3"), "%255s %127s %127s", url, access, secret), 3);
    return open_s3_at(url, access, secret);
}

static struct ft_blob *open_own(void)
{
    char url[64];
    own_open(url);
    return open_s3_at(url, OWN_KEY, OWN_SECRET);
}

static void close_own(struct ft_blob *b)
{
    ft_blob_close(b);
    own_close();
}

static const struct store stores[] = {
    {"memory", open_memory, ft_blob_close, 1, SIZE_MAX, 3000, false},
    {"dir", open_dir, close_dir, 1, SIZE_MAX, 1000, false},
    {"s3, feitian's own", open_own, close_own, 5 << 20, 8 << 20, 300, false},
};
static const struct store s3_store = {"s3", open_s3, ft_blob_close, 5 << 20, 8 << 20, 150, true};

static int open_store(void **state)
{
    (void)state;
    blob = store->open();
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    store->close(blob);
    return 0;
}

/* main of a program: all its tests over every store. */
#define CONTRACT(tests)                                                                            \
    int main(void)                                                                                 \
    {                                                                                              \
        int failed = 0;                                                                            \
        if (getenv("FT_TEST_S3") != NULL) {                                                        \
            store = &s3_store;                                                                     \
            return cmocka_run_group_tests(tests, open_store, close_store);                         \
        }                                                                                          \
        for (store = stores; store < stores + FT_COUNT(stores); store++) {                         \
            printf("over the store: %s\n", store->name);                                           \
            failed += cmocka_run_group_tests(tests, open_store, close_store);                      \
        }                                                                                          \
        return failed;                                                                             \
    }

/* ---- expectations ---- */

#define OK(call)                                                                                   \
    do {                                                                                           \
        err.msg[0] = '\0';                                                                         \
        int ok_rc = (call);                                                                        \
        if (ok_rc != 0)                                                                            \
            fail_msg("%s: %d %s", #call, ok_rc, err.msg);                                          \
    } while (0)

#define FAILS(call, wanted_code, wanted_why)                                                       \
    do {                                                                                           \
        err.msg[0] = '\0';                                                                         \
        err.sys_errno = 0;                                                                         \
        int fails_rc = (call);                                                                     \
        if (fails_rc != (wanted_code) || ft_blob_why(&err) != (wanted_why))                        \
            fail_msg("%s: %d why %d (%s)", #call, fails_rc, (int)ft_blob_why(&err), err.msg);      \
    } while (0)

/* A bucket of this test's own; names never come again, whatever was left by an earlier run. */
static inline const char *new_bucket(enum ft_blob_versioning versioning)
{
    static char names[64][FT_BLOB_BUCKET_MAX + 1];
    static int n;
    char *name = names[n % 64];
    snprintf(name, sizeof names[0], "t%llx-%d-%d", (unsigned long long)time(NULL), (int)getpid(),
             n++);
    OK(ft_blob_bucket_create(blob, name, "prj_test", &err));
    if (versioning != FT_BLOB_UNVERSIONED)
        OK(ft_blob_bucket_set_versioning(blob, name, versioning, &err));
    return name;
}

/* ---- bytes ---- */

/* n bytes that depend on the seed alone; lives until the next call but three. */
static inline const unsigned char *made_bytes(uint64_t seed, size_t n)
{
    static unsigned char *kept[4];
    static unsigned at;
    unsigned char **p = &kept[at++ % 4];
    *p = realloc(*p, n + 8);
    assert_non_null(*p);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t x = ft_rand_u64(seed, 1, i);
        memcpy(*p + i, &x, 8);
    }
    return *p;
}

static inline int try_put(const struct ft_blob_put *put, const void *data, size_t n,
                          struct ft_blob_done *ret)
{
    struct ft_blob_writer *w;
    int rc = ft_blob_put(blob, put, &w, &err);
    if (rc != 0)
        return rc;
    for (size_t at = 0, step = 1; at < n && rc == 0; at += step, step = 2 * step + 1) {
        step = FT_MIN(step, n - at);
        rc = ft_blob_put_write(w, (const char *)data + at, step, &err);
    }
    if (rc != 0) {
        ft_blob_put_abort(w);
        return rc;
    }
    return ft_blob_put_commit(w, NULL, 0, ret, &err);
}

static inline struct ft_blob_done put_text(const char *bucket, const char *key, const char *text)
{
    struct ft_blob_put put = {.bucket = bucket, .key = key, .size = (int64_t)strlen(text)};
    struct ft_blob_done done;
    OK(try_put(&put, text, strlen(text), &done));
    return done;
}

static inline int remove_key(const char *bucket, const char *key, const char *version,
                             struct ft_blob_deleted *ret)
{
    struct ft_blob_delete d = {.bucket = bucket, .key = key, .version = version};
    return ft_blob_remove(blob, &d, ret, &err);
}

/* The object has these bytes: in head, whole, and in ranges. */
static inline void assert_bytes(const char *bucket, const char *key, const char *version,
                                const void *data, size_t n)
{
    struct ft_blob_reader *r;
    struct ft_blob_object o = {.memory = NULL};
    unsigned char *got = malloc(n + 1);
    assert_non_null(got);
    OK(ft_blob_head(blob, bucket, key, version, &o, &err));
    assert_int_equal(o.info.size, n);
    assert_string_equal(o.info.key, key);
    OK(ft_blob_open(blob, bucket, key, version, &r, &err));
    assert_int_equal(ft_blob_reader_info(r)->size, n);
    assert_string_equal(ft_blob_reader_info(r)->etag, o.info.etag);
    assert_string_equal(ft_blob_reader_info(r)->version, o.info.version);
    OK(ft_blob_read(r, 0, got, n, &err));
    assert_memory_equal(got, data, n);
    for (uint64_t i = 0; i < 8 && n > 0; i++) {
        size_t from = ft_rand_u64(n, 2, i) % n, len = ft_rand_u64(n, 3, i) % (n - from) + 1;
        OK(ft_blob_read(r, (int64_t)from, got, len, &err));
        assert_memory_equal(got, (const char *)data + from, len);
    }
    ft_blob_close_reader(r);
    ft_blob_object_fini(&o);
    free(got);
}

static inline void assert_text(const char *bucket, const char *key, const char *version,
                               const char *text)
{
    assert_bytes(bucket, key, version, text, strlen(text));
}

static inline int head_why(const char *bucket, const char *key, const char *version)
{
    struct ft_blob_object o = {.memory = NULL};
    err.sys_errno = 0;
    int rc = ft_blob_head(blob, bucket, key, version, &o, &err);
    ft_blob_object_fini(&o);
    return rc == 0 ? 0 : (int)ft_blob_why(&err);
}

#endif
