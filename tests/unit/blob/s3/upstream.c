/* What the contract cannot ask of the store over S3: answers that are lost, an upstream that is
 * busy or wrong, what lies in it, what is left when a store is opened again. */
/* labels: threads */
#include <time.h>

#include "base/rand.h"
#include "blob/s3/s3.h"

#include "contract/blob/own_server.h"
#include "proxy.h"

static struct ft_err err;
static struct ft_blob *blob;

#define OK(call)                                                                                   \
    do {                                                                                           \
        err.msg[0] = '\0';                                                                         \
        int ok_rc = (call);                                                                        \
        if (ok_rc != 0)                                                                            \
            fail_msg("%s: %d %s", #call, ok_rc, err.msg);                                          \
    } while (0)

static void reopen(int document_seconds)
{
    char url[64];
    struct ft_blob_s3_config config = {.endpoint = url,
                                       .access_key = OWN_KEY,
                                       .secret_key = OWN_SECRET,
                                       .prefix = "up-",
                                       .document_seconds = document_seconds};
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", proxy.port);
    ft_blob_close(blob);
    blob = NULL;
    OK(ft_blob_s3_open(&config, &blob, &err));
}

static int setup(void **state)
{
    char url[64];
    (void)state;
    own_open(url);
    proxy_open(ft_http_server_port(own.server));
    reopen(0);
    OK(ft_blob_bucket_create(blob, "b", "prj", &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ft_blob_close(blob);
    blob = NULL;
    proxy_close();
    own_close();
    return 0;
}

static int put(const char *key, const void *data, size_t n, struct ft_blob_done *ret)
{
    struct ft_blob_put p = {.bucket = "b", .key = key, .size = (int64_t)n};
    struct ft_blob_writer *w;
    int rc = ft_blob_put(blob, &p, &w, &err);
    if (rc != 0)
        return rc;
    if ((rc = ft_blob_put_write(w, data, n, &err)) != 0) {
        ft_blob_put_abort(w);
        return rc;
    }
    return ft_blob_put_commit(w, NULL, 0, ret, &err);
}

static void assert_object(const char *key, const char *text)
{
    struct ft_blob_reader *r;
    char got[64];
    OK(ft_blob_open(blob, "b", key, NULL, &r, &err));
    assert_int_equal(ft_blob_reader_info(r)->size, strlen(text));
    OK(ft_blob_read(r, 0, got, strlen(text), &err));
    assert_memory_equal(got, text, strlen(text));
    ft_blob_close_reader(r);
}

static int count_one(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    (void)info;
    (void)prefix;
    ++*(int *)ctx;
    return 0;
}

/* Of a store: the one over S3, or the upstream's own. */
static int count(struct ft_blob *b, const char *bucket, const char *prefix)
{
    struct ft_blob_list l = {.bucket = bucket, .prefix = prefix, .max = 1000};
    int n = 0;
    bool more;
    OK(ft_blob_list(b, &l, true, count_one, &n, &more, &err));
    assert_false(more);
    return n;
}

/* ---- a network that loses answers ---- */

static void a_lost_answer_makes_no_second_version(void **state)
{
    struct ft_blob_done done;
    struct ft_blob_object o;
    (void)state;
    OK(ft_blob_bucket_set_versioning(blob, "b", FT_BLOB_VERSIONED, &err));
    atomic_store(&proxy.lose, 1);
    OK(put("k", "once", 4, &done));
    assert_int_equal(atomic_load(&proxy.lost), 1);
    assert_int_equal(count(blob, "b", ""), 1);
    OK(ft_blob_head(blob, "b", "k", NULL, &o, &err));
    assert_string_equal(o.info.version, done.version);
    assert_string_equal(o.info.etag, done.etag);
    ft_blob_object_fini(&o);
    assert_object("k", "once");

    struct ft_blob_copy copy = {
        .from_bucket = "b", .from_key = "k", .size = -1, .to = {.bucket = "b", .key = "copy"}};
    atomic_store(&proxy.lose, 1);
    OK(ft_blob_copy(blob, &copy, &done, &err));
    assert_int_equal(count(blob, "b", "copy"), 1);
    assert_int_equal(atomic_load(&proxy.lost), 2);

    struct ft_blob_delete d = {.bucket = "b", .key = "k"};
    struct ft_blob_deleted gone;
    atomic_store(&proxy.lose, 1);
    OK(ft_blob_remove(blob, &d, &gone, &err));
    assert_true(gone.is_marker);
    assert_int_equal(count(blob, "b", "k"), 2); /* what was put, and one marker */
}

static void a_lost_completion_is_one(void **state)
{
    struct ft_blob_put begin = {.bucket = "b", .key = "k"};
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_part part = {.number = 1};
    struct ft_blob_done done, again;
    struct ft_blob_writer *w;
    (void)state;
    OK(ft_blob_upload_begin(blob, &begin, id, &err));
    struct ft_blob_put p = {.bucket = "b", .key = "k", .upload = id, .part = 1, .size = 4};
    OK(ft_blob_put(blob, &p, &w, &err));
    OK(ft_blob_put_write(w, "part", 4, &err));
    atomic_store(&proxy.lose, 2); /* parts are put again without harm */
    OK(ft_blob_put_commit(w, NULL, 0, &done, &err));
    strcpy(part.etag, done.etag);
    for (int lose = 1; lose <= 3; lose++) { /* of its documents', and of its own */
        atomic_store(&proxy.lose, lose);
        OK(ft_blob_upload_complete(blob, "b", "k", id, &part, 1, NULL, NULL, 0, &again, &err));
        assert_int_equal(atomic_load(&proxy.lose), lose == 1 ? 0 : lose); /* done: only asked for */
        atomic_store(&proxy.lose, 0);
        assert_int_equal(again.size, 4);
    }
    assert_object("k", "part");
}

/* ---- an upstream that is not as it should be ---- */

static void large_objects_are_not_mixed(void **state)
{
    size_t n = 3 << 20;
    unsigned char *data = malloc(n), *got = malloc(n);
    struct ft_blob_reader *r;
    (void)state;
    memset(data, 'a', n);
    OK(put("k", data, n, NULL));
    OK(ft_blob_open(blob, "b", "k", NULL, &r, &err));
    OK(ft_blob_read(r, 0, got, 1000, &err));
    memset(data, 'b', n);
    OK(put("k", data, n, NULL));
    assert_int_equal(ft_blob_read(r, 2 << 20, got, 1000, &err), FT_EUNAVAIL);
    ft_blob_close_reader(r);
    free(data);
    free(got);
}

static void damage_upstream_is_an_error(void **state)
{
    struct ft_blob_reader *r;
    (void)state;
    OK(put("k", "precious", 8, NULL));
    ft_blob_mem_damage(own.blob, "up-b", "k");
    assert_true(ft_blob_open(blob, "b", "k", NULL, &r, &err) < 0);
}

static void strangers_objects_are_read(void **state)
{
    static const struct ft_blob_field fields[] = {{"content-type", "text/plain"},
                                                  {"x-amz-meta-of", "others"}};
    struct ft_blob_put p = {
        .bucket = "up-b", .key = "theirs", .fields = fields, .n_fields = 2, .size = 3};
    struct ft_blob_marks marks = {.acl = "x"};
    struct ft_blob_writer *w;
    struct ft_blob_object o;
    char version[FT_BLOB_VERSION_MAX + 1];
    (void)state;
    OK(ft_blob_put(own.blob, &p, &w, &err));
    OK(ft_blob_put_write(w, "abc", 3, &err));
    OK(ft_blob_put_commit(w, NULL, 0, NULL, &err));
    assert_object("theirs", "abc");
    OK(ft_blob_head(blob, "b", "theirs", NULL, &o, &err));
    assert_string_equal(ft_blob_field(&o.info, "content-type"), "text/plain");
    assert_string_equal(ft_blob_field(&o.info, "x-amz-meta-of"), "others");
    ft_blob_object_fini(&o);
    assert_int_equal(ft_blob_annotate(blob, "b", "theirs", NULL, &marks, version, &err),
                     FT_EUNSUPPORTED);
}

static void wrong_configurations(void **state)
{
    struct ft_blob *b;
    char url[64];
    struct ft_blob_s3_config c = {.endpoint = url, .access_key = OWN_KEY, .secret_key = "wrong"};
    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", proxy.port);
    assert_int_equal(ft_blob_s3_open(&c, &b, &err), FT_EIO);
    c.secret_key = NULL;
    assert_int_equal(ft_blob_s3_open(&c, &b, &err), FT_EINVAL);
    c.secret_key = OWN_SECRET;
    c.prefix = "Capital";
    assert_int_equal(ft_blob_s3_open(&c, &b, &err), FT_EINVAL);
    c.prefix = "much-longer-than-it-may-be";
    assert_int_equal(ft_blob_s3_open(&c, &b, &err), FT_EINVAL);
    c.prefix = NULL;
    c.endpoint = "ftp://127.0.0.1";
    assert_int_equal(ft_blob_s3_open(&c, &b, &err), FT_EINVAL);
    c.endpoint = "http://127.0.0.1/with/a/path";
    assert_int_equal(ft_blob_s3_open(&c, &b, &err), FT_EINVAL);
}

/* ---- one that lies ---- */

static const char *listing;

static void lie(void *ctx, struct ft_http_exchange *x)
{
    static const char facts[] =
        "{\"owner\":\"p\",\"created_ns\":1,\"versioning\":0,\"held\":false}";
    (void)ctx;
    bool lists = x->query != NULL && strstr(x->query, "list-type") != NULL;
    const char *body = lists ? listing : facts;
    ft_http_respond(x, 200, NULL, 0, body, strlen(body));
}

static void lies_of_an_upstream_are_errors(void **state)
{
    static const char *const lies[] = {
        /* the same for ever */
        "<a><IsTruncated>true</IsTruncated><Contents><Key>bucket/b</Key></Contents></a>",
        "<a><IsTruncated>true</IsTrunca",
        "no XML at all",
        "",
        "<a><Contents><Key>bucket/b/././with-a-name-that-is-longer-than-any-bucket-of-ours-may-"
        "be-------------</Key></Contents></a>",
    };
    struct ft_http_server *liar;
    struct ft_http_server_config config = {
        .listen = "127.0.0.1:0", .raw_targets = true, .handler = lie};
    struct ft_blob *b;
    char url[64];
    struct ft_blob_s3_config c = {.endpoint = url, .access_key = OWN_KEY, .secret_key = OWN_SECRET};
    (void)state;
    OK(ft_http_server_open(&config, &liar, &err));
    snprintf(url, sizeof url, "http://%s", ft_http_server_address(liar));
    for (size_t i = 0; i < FT_COUNT(lies); i++) {
        listing = lies[i];
        int rc = ft_blob_s3_open(&c, &b, &err);
        if (rc != FT_EIO && rc != FT_ECORRUPT)
            fail_msg("%zu: %d", i, rc);
    }
    ft_http_server_close(liar);
}

/* ---- what stays ---- */

static void everything_is_there_again(void **state)
{
    struct ft_blob_put begin = {.bucket = "b", .key = "k"};
    struct ft_blob_bucket k;
    struct ft_buf text;
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_done done, again;
    struct ft_blob_part part = {.number = 1};
    struct ft_blob_writer *w;
    (void)state;
    OK(ft_blob_bucket_set_versioning(blob, "b", FT_BLOB_SUSPENDED, &err));
    OK(ft_blob_bucket_set(blob, "b", "policy", "{}", &err));
    OK(ft_blob_bucket_create(blob, ".Hidden", "", &err));
    OK(ft_blob_bucket_create(own.blob, "up-half", "prj_own", &err)); /* as a crash leaves it */
    OK(ft_blob_bucket_create(blob, "half", "prj", &err));
    OK(ft_blob_upload_begin(blob, &begin, id, &err));
    struct ft_blob_put p = {.bucket = "b", .key = "k", .upload = id, .part = 1, .size = -1};
    OK(ft_blob_put(blob, &p, &w, &err));
    OK(ft_blob_put_write(w, "part", 4, &err));
    OK(ft_blob_put_commit(w, NULL, 0, &done, &err));
    strcpy(part.etag, done.etag);
    reopen(0);
    OK(ft_blob_bucket_get(blob, "b", &k, &err));
    assert_int_equal(k.versioning, FT_BLOB_SUSPENDED);
    assert_string_equal(k.owner, "prj");
    OK(ft_blob_bucket_get(blob, ".Hidden", &k, &err));
    ft_buf_init(&text, 100);
    assert_int_equal(ft_blob_bucket_config(blob, "b", "policy", &text, &err), 1);
    assert_string_equal(text.data, "{}");
    ft_buf_fini(&text);
    OK(ft_blob_upload_complete(blob, "b", "k", id, &part, 1, NULL, NULL, 0, &done, &err));
    reopen(0);
    OK(ft_blob_upload_complete(blob, "b", "k", id, &part, 1, NULL, NULL, 0, &again, &err));
    assert_string_equal(done.etag, again.etag);
    assert_object("k", "part");
}

/* Documents of what was replaced go when they are old; those of what is there stay. */
static void a_scrub_removes_what_belongs_to_nothing(void **state)
{
    static char value[4000];
    struct ft_blob_field field = {"x-amz-meta-long", value};
    struct ft_blob_put p = {.bucket = "b", .key = "k", .fields = &field, .n_fields = 1, .size = 0};
    struct ft_blob_marks marks = {.acl = "x"};
    struct ft_blob_scrub scrub = {.bytes_per_s = 0};
    struct ft_blob_scrubbed scrubbed;
    struct ft_blob_object o;
    struct ft_blob_writer *w;
    char version[FT_BLOB_VERSION_MAX + 1];
    (void)state;
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < 3; i++) {
        OK(ft_blob_put(blob, &p, &w, &err));
        OK(ft_blob_put_commit(w, NULL, 0, NULL, &err));
    }
    OK(put("small", "x", 1, NULL));
    OK(ft_blob_annotate(blob, "b", "small", NULL, &marks, version, &err));
    assert_int_equal(count(own.blob, "up-feitian-cloud", "state/"), 4);
    OK(ft_blob_scrub(blob, &scrub, &scrubbed, &err)); /* too young */
    assert_int_equal(count(own.blob, "up-feitian-cloud", "state/"), 4);
    assert_true(scrubbed.objects == 2 && scrubbed.bytes == 1 && scrubbed.faults == 0);
    reopen(1);
    struct timespec t = {2, 500000000}; /* until they are older than that */
    nanosleep(&t, NULL);
    OK(ft_blob_scrub(blob, &scrub, &scrubbed, &err));
    assert_int_equal(count(own.blob, "up-feitian-cloud", "state/"), 2);
    OK(ft_blob_head(blob, "b", "k", NULL, &o, &err));
    assert_string_equal(ft_blob_field(&o.info, "x-amz-meta-long"), value);
    ft_blob_object_fini(&o);
    OK(ft_blob_head(blob, "b", "small", NULL, &o, &err));
    assert_string_equal(o.info.acl, "x");
    ft_blob_object_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lost_answer_makes_no_second_version, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_completion_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(large_objects_are_not_mixed, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_upstream_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(strangers_objects_are_read, setup, teardown),
        cmocka_unit_test(lies_of_an_upstream_are_errors),
        cmocka_unit_test_setup_teardown(wrong_configurations, setup, teardown),
        cmocka_unit_test_setup_teardown(everything_is_there_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scrub_removes_what_belongs_to_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
