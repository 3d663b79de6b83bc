/* What every store promises of objects (blob/blob.h): written as streams, read in ranges, visible
 * whole or not at all, conditions, copies, buckets and their documents. */
/* labels: threads */
#include <fcntl.h>
#include <nettle/md5.h>
#include <pthread.h>
#include <sys/stat.h>

#include "stores.h"

static void md5_hex(const void *data, size_t n, char ret[33])
{
    struct md5_ctx ctx;
    uint8_t digest[16];
    md5_init(&ctx);
    md5_update(&ctx, n, data);
    md5_digest(&ctx, sizeof digest, digest);
    for (int i = 0; i < 16; i++)
        sprintf(ret + 2 * i, "%02x", digest[i]);
}

static void what_was_put_is_read(void **state)
{
    static const size_t sizes[] = {0,     1,     1000,   16384,   65535,         65536,
                                   65537, 70000, 200000, 1 << 20, (9 << 20) + 17};
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    (void)state;
    for (size_t i = 0; i < FT_COUNT(sizes); i++) {
        size_t n = sizes[i];
        const unsigned char *data = made_bytes(i, n);
        char key[64], md5[33];
        md5_hex(data, n, md5);
        for (int known = 0; known < 2; known++) {
            struct ft_blob_done done;
            struct ft_blob_put put = {
                .bucket = bucket, .key = key, .size = known ? (int64_t)n : -1};
            snprintf(key, sizeof key, "size/%zu/%d", n, known);
            OK(try_put(&put, data, n, &done));
            assert_int_equal(done.size, n);
            assert_string_equal(done.version, "null");
            if (n <= store->md5_max)
                assert_string_equal(done.etag, md5);
            assert_bytes(bucket, key, NULL, data, n);
            assert_bytes(bucket, key, "null", data, n);
        }
    }
}

static void keys_are_bytes(void **state)
{
    static const char *const keys[] = {
        "a",        "/",   "//",     "/a",           "a/",   "a//b",  "a/./b",
        "a/../b",   ".",   "..",     "a b",          "a+b",  "a%20b", "a?b=c&d",
        "a#b",      "a&b", "<a>\"'", "\xe4\xb8\xad", "a\\b", "a:b",   "a=b;c",
        "~!@$*(),", "_-.", " a ",    "e\xcc\x81",
    };
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    char longest[FT_BLOB_KEY_MAX + 2];
    (void)state;
    for (size_t i = 0; i < FT_COUNT(keys); i++)
        put_text(bucket, keys[i], keys[i]);
    for (size_t i = 0; i < FT_COUNT(keys); i++)
        assert_text(bucket, keys[i], NULL, keys[i]);
    memset(longest, 'k', sizeof longest);
    longest[FT_BLOB_KEY_MAX + 1] = '\0';
    struct ft_blob_put put = {.bucket = bucket, .key = longest, .size = -1};
    FAILS(try_put(&put, "x", 1, NULL), FT_EINVAL, FT_BLOB_WHY_NONE);
    longest[FT_BLOB_KEY_MAX] = '\0';
    OK(try_put(&put, "x", 1, NULL));
    assert_text(bucket, longest, NULL, "x");
}

static void state_of_an_object(void **state)
{
    static const struct ft_blob_field fields[] = {
        {"content-type", "text/plain; charset=utf-8"},
        {"x-amz-meta-one", "1"},
        {"x-amz-meta-name", "a \xc3\xa9 = \"quoted\", 100%"},
        {"checksum-later", ""},
    };
    static const struct ft_blob_field more[] = {{"cache-control", "no-cache"}, {"crc", "AAAA=="}};
    static const struct ft_blob_field tags[] = {{"kind", "test"}, {"\xe4\xb8\xad", "a b/c"}};
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_writer *w;
    struct ft_blob_done done;
    struct ft_blob_object o;
    struct ft_blob_put put = {.bucket = bucket,
                              .key = "k",
                              .fields = fields,
                              .n_fields = 4,
                              .tags = tags,
                              .n_tags = 2,
                              .acl = "owner=full",
                              .size = 5};
    (void)state;
    int64_t before = time(NULL);
    OK(ft_blob_put(blob, &put, &w, &err));
    OK(ft_blob_put_write(w, "hello", 5, &err));
    OK(ft_blob_put_commit(w, more, 2, &done, &err));
    OK(ft_blob_head(blob, bucket, "k", NULL, &o, &err));
    const struct ft_blob_info *i = &o.info;
    assert_int_equal(i->n_fields, 6);
    for (int n = 0; n < 6; n++) {
        const struct ft_blob_field *f = n < 4 ? &fields[n] : &more[n - 4];
        assert_string_equal(i->fields[n].name, f->name);
        assert_string_equal(i->fields[n].value, f->value);
    }
    assert_int_equal(i->n_tags, 2);
    assert_string_equal(i->tags[1].name, tags[1].name);
    assert_string_equal(i->tags[1].value, tags[1].value);
    assert_string_equal(i->acl, "owner=full");
    assert_true(i->is_latest && !i->is_marker && i->n_parts == 0);
    assert_true(i->modified_ns / 1000000000 >= before - 2);
    assert_true(i->modified_ns / 1000000000 <= time(NULL) + 2);
    assert_int_equal(i->modified_ns / 1000000000, done.modified_ns / 1000000000);
    assert_string_equal(ft_blob_field(i, "cache-control"), "no-cache");
    assert_null(ft_blob_field(i, "etag"));
    ft_blob_object_fini(&o);
}

/* More than fits into the headers of any upstream. */
static void many_fields_are_kept(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_field fields[FT_BLOB_FIELDS_MAX];
    static char text[FT_BLOB_FIELDS_MAX][128];
    struct ft_blob_object o;
    (void)state;
    for (int i = 0; i < FT_BLOB_FIELDS_MAX; i++) {
        snprintf(text[i], sizeof text[i], "x-amz-meta-%d", i);
        snprintf(text[i] + 64, 60, "%055d", i);
        fields[i] = (struct ft_blob_field){text[i], text[i] + 64};
    }
    struct ft_blob_put put = {
        .bucket = bucket, .key = "k", .fields = fields, .n_fields = FT_BLOB_FIELDS_MAX, .size = -1};
    OK(try_put(&put, "x", 1, NULL));
    OK(ft_blob_head(blob, bucket, "k", NULL, &o, &err));
    assert_int_equal(o.info.n_fields, FT_BLOB_FIELDS_MAX);
    assert_string_equal(o.info.fields[127].value, fields[127].value);
    ft_blob_object_fini(&o);
    put.n_fields++;
    FAILS(try_put(&put, "x", 1, NULL), FT_ELIMIT, FT_BLOB_WHY_NONE);
}

static void nothing_before_the_commit(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_put put = {.bucket = bucket, .key = "k", .size = -1};
    struct ft_blob_writer *w;
    (void)state;
    OK(ft_blob_put(blob, &put, &w, &err));
    OK(ft_blob_put_write(w, "abc", 3, &err));
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);
    ft_blob_put_abort(w);
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);

    put_text(bucket, "k", "old");
    const unsigned char *large = made_bytes(1, 9 << 20);
    OK(ft_blob_put(blob, &put, &w, &err));
    OK(ft_blob_put_write(w, large, 9 << 20, &err));
    assert_text(bucket, "k", NULL, "old");
    ft_blob_put_abort(w);
    assert_text(bucket, "k", NULL, "old");
    ft_blob_put_abort(NULL);
}

static void lies_about_the_size(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_put put = {.bucket = bucket, .key = "k", .size = 4};
    struct ft_blob_writer *w;
    (void)state;
    FAILS(try_put(&put, "abc", 3, NULL), FT_EINVAL, FT_BLOB_WHY_NONE);
    OK(ft_blob_put(blob, &put, &w, &err));
    int rc = ft_blob_put_write(w, "abcde", 5, &err);
    assert_int_equal(rc, FT_EINVAL);
    FAILS(ft_blob_put_commit(w, NULL, 0, NULL, &err), FT_EINVAL, FT_BLOB_WHY_NONE);
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);
}

static void what_is_not_there(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_reader *r;
    struct ft_blob_deleted gone;
    (void)state;
    assert_int_equal(head_why("no-such-bucket-here", "k", NULL), FT_BLOB_NO_BUCKET);
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);
    assert_int_equal(head_why(bucket, "k", "null"), FT_BLOB_NO_VERSION);
    put_text(bucket, "k", "x");
    assert_int_equal(head_why(bucket, "k", "0123456789abcdef0123456789abcdef"), FT_BLOB_NO_VERSION);
    FAILS(ft_blob_open(blob, bucket, "q", NULL, &r, &err), FT_ENOTFOUND, FT_BLOB_NO_KEY);
    FAILS(ft_blob_open(blob, "no-such-bucket-here", "q", NULL, &r, &err), FT_ENOTFOUND,
          FT_BLOB_NO_BUCKET);
    struct ft_blob_put put = {.bucket = "no-such-bucket-here", .key = "k", .size = -1};
    FAILS(try_put(&put, "x", 1, NULL), FT_ENOTFOUND, FT_BLOB_NO_BUCKET);
    FAILS(remove_key("no-such-bucket-here", "k", NULL, NULL), FT_ENOTFOUND, FT_BLOB_NO_BUCKET);
    OK(remove_key(bucket, "q", NULL, &gone));
    assert_true(!gone.is_marker && gone.version[0] == '\0');
    OK(remove_key(bucket, "k", NULL, &gone));
    assert_true(!gone.is_marker && gone.version[0] == '\0');
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);
    OK(remove_key(bucket, "k", "null", &gone));
}

static void readers_outlive_changes(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    size_t n = 100000;
    const unsigned char *data = made_bytes(7, n);
    unsigned char *got = malloc(n);
    struct ft_blob_put put = {.bucket = bucket, .key = "k", .size = (int64_t)n};
    struct ft_blob_reader *first, *second;
    (void)state;
    OK(try_put(&put, data, n, NULL));
    OK(ft_blob_open(blob, bucket, "k", NULL, &first, &err));
    OK(ft_blob_read(first, 0, got, 10, &err));
    put_text(bucket, "k", "new");
    OK(ft_blob_open(blob, bucket, "k", NULL, &second, &err));
    OK(remove_key(bucket, "k", NULL, NULL));
    OK(ft_blob_read(first, 0, got, n, &err));
    assert_memory_equal(got, data, n);
    OK(ft_blob_read(second, 0, got, 3, &err));
    assert_memory_equal(got, "new", 3);
    FAILS(ft_blob_read(second, 1, got, 3, &err), FT_EINVAL, FT_BLOB_WHY_NONE);
    ft_blob_close_reader(first);
    ft_blob_close_reader(second);
    ft_blob_close_reader(NULL);
    free(got);
}

static void links_are_files(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    char dir[] = "/tmp/ft_link_XXXXXX", path[64];
    size_t sizes[] = {0, 5, 300000};
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/f", dir);
    for (int i = 0; i < 3; i++) {
        size_t n = sizes[i];
        const unsigned char *data = made_bytes(n, n);
        struct ft_blob_put put = {.bucket = bucket, .key = "k", .size = -1};
        OK(try_put(&put, data, n, NULL));
        OK(ft_blob_link(blob, bucket, "k", NULL, path, &err));
        OK(remove_key(bucket, "k", NULL, NULL));
        unsigned char *got = malloc(n + 1);
        int fd = open(path, O_RDONLY);
        assert_int_equal(read(fd, got, n + 1), n);
        assert_memory_equal(got, data, n);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 0222, 0);
        close(fd);
        free(got);
        put_text(bucket, "k", "there");
        FAILS(ft_blob_link(blob, bucket, "k", NULL, path, &err), FT_EEXIST, FT_BLOB_WHY_NONE);
        assert_int_equal(unlink(path), 0);
    }
    FAILS(ft_blob_link(blob, bucket, "q", NULL, path, &err), FT_ENOTFOUND, FT_BLOB_NO_KEY);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- conditions ---- */

static int put_if(const char *bucket, const char *key, struct ft_blob_condition c)
{
    struct ft_blob_put put = {.bucket = bucket, .key = key, .condition = c, .size = 1};
    return try_put(&put, "c", 1, NULL);
}

static int remove_if(const char *bucket, const char *key, struct ft_blob_condition c)
{
    struct ft_blob_delete d = {.bucket = bucket, .key = key, .condition = c};
    return ft_blob_remove(blob, &d, NULL, &err);
}

/* A bucket that was made anew is another: what was begun in the first does not come into it. */
static void writers_end_with_their_bucket(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_put put = {.bucket = bucket, .key = "k", .size = -1};
    struct ft_blob_writer *w;
    (void)state;
    OK(ft_blob_put(blob, &put, &w, &err));
    OK(ft_blob_put_write(w, "text", 4, &err));
    OK(ft_blob_bucket_delete(blob, bucket, &err));
    OK(ft_blob_bucket_create(blob, bucket, "prj_other", &err));
    assert_int_equal(ft_blob_put_commit(w, NULL, 0, NULL, &err), FT_ENOTFOUND);
    assert_int_equal(ft_blob_why(&err), FT_BLOB_NO_BUCKET);
    OK(ft_blob_bucket_delete(blob, bucket, &err)); /* is empty */
}

static void conditions_hold(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    const char *other = "900150983cd24fb0d6963f7d28e17f72";
    struct ft_blob_condition absent = {.if_none_match = "*"}, any = {.if_match = "*"};
    struct ft_blob_condition wrong = {.if_match = other}, not_other = {.if_none_match = other};
    (void)state;
    FAILS(put_if(bucket, "k", any), FT_ENOTFOUND, FT_BLOB_NO_KEY);
    FAILS(put_if(bucket, "k", wrong), FT_ENOTFOUND, FT_BLOB_NO_KEY);
    FAILS(remove_if(bucket, "k", any), FT_ENOTFOUND, FT_BLOB_NO_KEY);
    OK(put_if(bucket, "k", not_other));
    OK(remove_if(bucket, "k", any));
    OK(put_if(bucket, "k", absent));
    FAILS(put_if(bucket, "k", absent), FT_EBUSY, FT_BLOB_CONDITION);
    FAILS(put_if(bucket, "k", wrong), FT_EBUSY, FT_BLOB_CONDITION);
    FAILS(remove_if(bucket, "k", wrong), FT_EBUSY, FT_BLOB_CONDITION);
    struct ft_blob_done done = put_text(bucket, "k", "abc");
    FAILS(put_if(bucket, "k", not_other), FT_EBUSY, FT_BLOB_CONDITION); /* other is abc's MD5 */
    struct ft_blob_condition size = {.if_size = 4, .if_size_set = true};
    FAILS(put_if(bucket, "k", size), FT_EBUSY, FT_BLOB_CONDITION);
    struct ft_blob_condition time_s = {.if_modified_s = done.modified_ns / 1000000000 - 5,
                                       .if_modified_set = true};
    FAILS(remove_if(bucket, "k", time_s), FT_EBUSY, FT_BLOB_CONDITION);
    time_s.if_modified_s += 5;
    size.if_size = 3;
    OK(put_if(bucket, "k", size));
    struct ft_blob_condition match = {.if_match = done.etag};
    FAILS(remove_if(bucket, "k", match), FT_EBUSY, FT_BLOB_CONDITION);
    done = put_text(bucket, "k", "xyz");
    OK(put_if(bucket, "k", match = (struct ft_blob_condition){.if_match = done.etag}));
    done = put_text(bucket, "k", "xyz");
    match.if_modified_s = done.modified_ns / 1000000000;
    match.if_modified_set = true;
    OK(remove_if(bucket, "k", match));
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);
}

#define RACERS 4
#define ROUNDS 12

struct racer {
    const char *bucket;
    int id, won;
};

/* Every round has one key that only one may make, and a counter that nobody may lose. */
static void *race(void *arg)
{
    struct racer *me = arg;
    struct ft_err e;
    for (int round = 0; round < ROUNDS; round++) {
        char key[32], text[32] = "";
        struct ft_blob_writer *w;
        struct ft_blob_put put = {
            .bucket = me->bucket, .key = key, .condition = {.if_none_match = "*"}, .size = -1};
        snprintf(key, sizeof key, "round-%d", round);
        if (ft_blob_put(blob, &put, &w, &e) == 0 && ft_blob_put_write(w, "x", 1, &e) == 0 &&
            ft_blob_put_commit(w, NULL, 0, NULL, &e) == 0)
            me->won++;
        for (bool counted = false; !counted;) {
            struct ft_blob_reader *r;
            if (ft_blob_open(blob, me->bucket, "counter", NULL, &r, &e) != 0)
                return NULL;
            struct ft_blob_info info = *ft_blob_reader_info(r);
            if (info.size >= (int64_t)sizeof text ||
                ft_blob_read(r, 0, text, (size_t)info.size, &e) != 0)
                info.size = 0;
            ft_blob_close_reader(r);
            text[info.size] = '\0';
            int n = snprintf(text, sizeof text, "%d", atoi(text) + 1);
            struct ft_blob_put add = {.bucket = me->bucket,
                                      .key = "counter",
                                      .condition = {.if_match = info.etag},
                                      .size = n};
            counted = ft_blob_put(blob, &add, &w, &e) == 0 &&
                      ft_blob_put_write(w, text, (size_t)n, &e) == 0 &&
                      ft_blob_put_commit(w, NULL, 0, NULL, &e) == 0;
        }
    }
    return NULL;
}

static void conditions_under_races(void **state)
{
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    char total[16];
    int won = 0;
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    (void)state;
    put_text(bucket, "counter", "0");
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.bucket = bucket, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        won += racers[i].won;
    }
    assert_int_equal(won, ROUNDS);
    snprintf(total, sizeof total, "%d", RACERS * ROUNDS);
    assert_text(bucket, "counter", NULL, total);
}

/* ---- copies ---- */

static void copies(void **state)
{
    static const struct ft_blob_field fields[] = {{"content-type", "a/b"}},
                                      to_fields[] = {{"x-amz-meta-q", "1"}};
    const char *from = new_bucket(FT_BLOB_UNVERSIONED), *to = new_bucket(FT_BLOB_UNVERSIONED);
    size_t n = 300000;
    const unsigned char *data = made_bytes(3, n);
    struct ft_blob_put put = {
        .bucket = from, .key = "k", .fields = fields, .n_fields = 1, .size = (int64_t)n};
    struct ft_blob_done source, done;
    struct ft_blob_object o;
    (void)state;
    OK(try_put(&put, data, n, &source));
    struct ft_blob_copy copy = {
        .from_bucket = from,
        .from_key = "k",
        .size = -1,
        .from_etag = source.etag,
        .to = {.bucket = to, .key = "a b/\xe4\xb8\xad+", .fields = to_fields, .n_fields = 1}};
    OK(ft_blob_copy(blob, &copy, &done, &err));
    assert_string_equal(done.etag, source.etag);
    assert_int_equal(done.size, n);
    assert_bytes(to, copy.to.key, NULL, data, n);
    OK(ft_blob_head(blob, to, copy.to.key, NULL, &o, &err));
    assert_int_equal(o.info.n_fields, 1);
    assert_string_equal(o.info.fields[0].name, "x-amz-meta-q");
    ft_blob_object_fini(&o);

    copy.from_etag = "900150983cd24fb0d6963f7d28e17f72";
    FAILS(ft_blob_copy(blob, &copy, &done, &err), FT_EBUSY, FT_BLOB_CONDITION);
    copy.from_etag = NULL;
    copy.to.condition.if_none_match = "*";
    FAILS(ft_blob_copy(blob, &copy, &done, &err), FT_EBUSY, FT_BLOB_CONDITION);
    copy.to.condition.if_none_match = NULL;
    copy.offset = 1000;
    copy.size = 70000;
    OK(ft_blob_copy(blob, &copy, &done, &err));
    assert_int_equal(done.size, 70000);
    assert_bytes(to, copy.to.key, NULL, data + 1000, 70000);
    copy.size = (int64_t)n;
    FAILS(ft_blob_copy(blob, &copy, &done, &err), FT_EINVAL, FT_BLOB_WHY_NONE);
    copy.from_key = "q";
    FAILS(ft_blob_copy(blob, &copy, &done, &err), FT_ENOTFOUND, FT_BLOB_NO_KEY);

    struct ft_blob_copy itself = {
        .from_bucket = from,
        .from_key = "k",
        .size = -1,
        .to = {.bucket = from, .key = "k", .fields = to_fields, .n_fields = 1}};
    OK(ft_blob_copy(blob, &itself, &done, &err));
    assert_bytes(from, "k", NULL, data, n);
    OK(ft_blob_head(blob, from, "k", NULL, &o, &err));
    assert_string_equal(o.info.fields[0].name, "x-amz-meta-q");
    ft_blob_object_fini(&o);
    OK(remove_key(from, "k", NULL, NULL));
    assert_bytes(to, copy.to.key, NULL, data + 1000, 70000);
}

/* ---- buckets ---- */

struct names {
    char last[FT_BLOB_BUCKET_MAX + 1];
    int seen;
    bool rising;
    const char *wanted;
};

static int look(void *ctx, const struct ft_blob_bucket *b)
{
    struct names *n = ctx;
    n->rising = n->rising && strcmp(n->last, b->name) < 0;
    strcpy(n->last, b->name);
    n->seen += strcmp(b->name, n->wanted) == 0;
    return 0;
}

static int stop_at_once(void *ctx, const struct ft_blob_bucket *b)
{
    (void)ctx;
    (void)b;
    return 77;
}

static void buckets(void **state)
{
    struct ft_blob_bucket k;
    const char *name = new_bucket(FT_BLOB_UNVERSIONED), *second = new_bucket(FT_BLOB_VERSIONED);
    struct names names = {.rising = true, .wanted = name};
    (void)state;
    FAILS(ft_blob_bucket_create(blob, name, "prj_other", &err), FT_EEXIST, FT_BLOB_BUCKET_IS_THERE);
    OK(ft_blob_bucket_get(blob, name, &k, &err));
    assert_string_equal(k.name, name);
    assert_string_equal(k.owner, "prj_test");
    assert_int_equal(k.versioning, FT_BLOB_UNVERSIONED);
    assert_true(k.created_ns / 1000000000 >= time(NULL) - 60);
    OK(ft_blob_bucket_get(blob, second, &k, &err));
    assert_int_equal(k.versioning, FT_BLOB_VERSIONED);
    FAILS(ft_blob_bucket_set_versioning(blob, second, FT_BLOB_UNVERSIONED, &err), FT_EINVAL,
          FT_BLOB_WHY_NONE);
    OK(ft_blob_bucket_set_versioning(blob, second, FT_BLOB_SUSPENDED, &err));
    OK(ft_blob_bucket_get(blob, second, &k, &err));
    assert_int_equal(k.versioning, FT_BLOB_SUSPENDED);
    OK(ft_blob_bucket_list(blob, NULL, look, &names, &err));
    assert_true(names.rising && names.seen == 1);
    names = (struct names){.rising = true, .wanted = name};
    OK(ft_blob_bucket_list(blob, "prj_test", look, &names, &err));
    assert_true(names.rising && names.seen == 1);
    names = (struct names){.rising = true, .wanted = name};
    OK(ft_blob_bucket_list(blob, "prj_other", look, &names, &err));
    assert_int_equal(names.seen, 0);
    assert_int_equal(ft_blob_bucket_list(blob, NULL, stop_at_once, NULL, &err), 77);
    put_text(name, "k", "x");
    FAILS(ft_blob_bucket_delete(blob, name, &err), FT_EBUSY, FT_BLOB_BUCKET_FULL);
    OK(remove_key(name, "k", NULL, NULL));
    OK(ft_blob_bucket_delete(blob, name, &err));
    FAILS(ft_blob_bucket_get(blob, name, &k, &err), FT_ENOTFOUND, FT_BLOB_NO_BUCKET);
    FAILS(ft_blob_bucket_delete(blob, name, &err), FT_ENOTFOUND, FT_BLOB_NO_BUCKET);
    OK(ft_blob_bucket_create(blob, name, "prj_other", &err));
    OK(ft_blob_bucket_get(blob, name, &k, &err));
    assert_string_equal(k.owner, "prj_other");
}

static int count_bucket(void *ctx, const struct ft_blob_bucket *b)
{
    (void)b;
    ++*(int *)ctx;
    return 0;
}

static void every_bucket_is_listed(void **state)
{
    int before = 0, after = 0;
    (void)state;
    OK(ft_blob_bucket_list(blob, "prj_test", count_bucket, &before, &err));
    for (int i = 0; i < 4; i++)
        new_bucket(FT_BLOB_UNVERSIONED);
    OK(ft_blob_bucket_list(blob, "prj_test", count_bucket, &after, &err));
    assert_int_equal(after, before + 4);
}

/* Names that an upstream may not take as they are. */
static void names_of_buckets(void **state)
{
    char odd[4][FT_BLOB_BUCKET_MAX + 1], longest[FT_BLOB_BUCKET_MAX + 2];
    (void)state;
    snprintf(odd[0], sizeof odd[0], ".hidden-%d-%llx", (int)getpid(), (long long)time(NULL));
    snprintf(odd[1], sizeof odd[1], "Upper_Case-%d-%llx", (int)getpid(), (long long)time(NULL));
    snprintf(odd[2], sizeof odd[2], "upper_case-%d-%llx", (int)getpid(), (long long)time(NULL));
    memset(longest, 'b', sizeof longest);
    snprintf(longest, sizeof longest, "%d.%llx", (int)getpid(), (long long)time(NULL));
    longest[strlen(longest)] = 'b';
    longest[FT_BLOB_BUCKET_MAX] = '\0';
    strcpy(odd[3], longest);
    for (int i = 0; i < 4; i++) {
        OK(ft_blob_bucket_create(blob, odd[i], "prj_test", &err));
        put_text(odd[i], "k", odd[i]);
    }
    for (int i = 0; i < 4; i++) {
        assert_text(odd[i], "k", NULL, odd[i]);
        OK(remove_key(odd[i], "k", NULL, NULL));
        OK(ft_blob_bucket_delete(blob, odd[i], &err));
    }
    FAILS(ft_blob_bucket_create(blob, "a/b", "p", &err), FT_EINVAL, FT_BLOB_WHY_NONE);
    FAILS(ft_blob_bucket_create(blob, "", "p", &err), FT_EINVAL, FT_BLOB_WHY_NONE);
}

static void documents_of_a_bucket(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED), *other = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_buf text;
    (void)state;
    ft_buf_init(&text, FT_BLOB_CONFIG_MAX);
    assert_int_equal(ft_blob_bucket_config(blob, bucket, "cors", &text, &err), 0);
    OK(ft_blob_bucket_set(blob, bucket, "cors", "<CORS/>\n", &err));
    OK(ft_blob_bucket_set(blob, bucket, "policy", "{}", &err));
    assert_int_equal(ft_blob_bucket_config(blob, other, "cors", &text, &err), 0);
    assert_int_equal(ft_blob_bucket_config(blob, bucket, "cors", &text, &err), 1);
    assert_int_equal(ft_blob_bucket_config(blob, bucket, "policy", &text, &err), 1);
    assert_string_equal(text.data, "<CORS/>\n{}");
    OK(ft_blob_bucket_set(blob, bucket, "cors", "", &err));
    OK(ft_blob_bucket_set(blob, bucket, "policy", NULL, &err));
    OK(ft_blob_bucket_set(blob, bucket, "never", NULL, &err));
    ft_buf_reset(&text);
    assert_int_equal(ft_blob_bucket_config(blob, bucket, "policy", &text, &err), 0);
    assert_int_equal(ft_blob_bucket_config(blob, bucket, "cors", &text, &err), 1);
    assert_int_equal(text.len, 0);
    OK(ft_blob_bucket_delete(blob, bucket, &err));
    FAILS(ft_blob_bucket_config(blob, bucket, "cors", &text, &err), FT_ENOTFOUND,
          FT_BLOB_NO_BUCKET);
    OK(ft_blob_bucket_create(blob, bucket, "prj_test", &err));
    assert_int_equal(ft_blob_bucket_config(blob, bucket, "cors", &text, &err), 0);
    ft_buf_fini(&text);
}

/* ---- the whole ---- */

static void usage_and_scrub(void **state)
{
    char owner[48];
    struct ft_blob_usage sum;
    struct ft_blob_scrubbed scrubbed;
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    (void)state;
    snprintf(owner, sizeof owner, "prj_usage_%d_%llx", (int)getpid(), (long long)time(NULL));
    OK(ft_blob_usage(blob, owner, &sum, &err));
    assert_true(sum.bytes == 0 && sum.objects == 0);
    OK(ft_blob_bucket_delete(blob, bucket, &err));
    OK(ft_blob_bucket_create(blob, bucket, owner, &err));
    put_text(bucket, "a", "12345");
    put_text(bucket, "b", "123");
    put_text(bucket, "b", "1234");
    OK(ft_blob_usage(blob, owner, &sum, &err));
    assert_true(sum.bytes == 9 && sum.objects == 2);
    OK(ft_blob_bucket_set_versioning(blob, bucket, FT_BLOB_VERSIONED, &err));
    put_text(bucket, "b", "12");
    OK(ft_blob_usage(blob, owner, &sum, &err));
    assert_true(sum.bytes == 11 && sum.objects == 3);
    OK(remove_key(bucket, "b", NULL, NULL));
    OK(remove_key(bucket, "a", "null", NULL));
    OK(ft_blob_usage(blob, owner, &sum, &err));
    assert_true(sum.bytes == 6 && sum.objects == 3);
    OK(ft_blob_bucket_usage(blob, bucket, &sum, &err));
    assert_true(sum.bytes == 6 && sum.objects == 3);
    assert_int_equal(ft_blob_bucket_usage(blob, "no-such-bucket", &sum, &err), FT_ENOTFOUND);
    OK(ft_blob_usage(blob, NULL, &sum, &err));
    assert_true(sum.bytes >= 6 && sum.objects >= 3);
    struct ft_blob_scrub scrub = {.bytes_per_s = 0};
    OK(ft_blob_scrub(blob, &scrub, &scrubbed, &err));
    assert_true(scrubbed.objects >= 3 && scrubbed.faults == 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_put_is_read),
    cmocka_unit_test(keys_are_bytes),
    cmocka_unit_test(state_of_an_object),
    cmocka_unit_test(many_fields_are_kept),
    cmocka_unit_test(nothing_before_the_commit),
    cmocka_unit_test(lies_about_the_size),
    cmocka_unit_test(what_is_not_there),
    cmocka_unit_test(readers_outlive_changes),
    cmocka_unit_test(links_are_files),
    cmocka_unit_test(writers_end_with_their_bucket),
    cmocka_unit_test(conditions_hold),
    cmocka_unit_test(conditions_under_races),
    cmocka_unit_test(copies),
    cmocka_unit_test(buckets),
    cmocka_unit_test(every_bucket_is_listed),
    cmocka_unit_test(names_of_buckets),
    cmocka_unit_test(documents_of_a_bucket),
    cmocka_unit_test(usage_and_scrub),
};

CONTRACT(tests)
