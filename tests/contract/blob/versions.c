/* What every store promises of versions, delete markers, suspended versioning, marks and holds
 * (blob/blob.h). */
#include "stores.h"

struct seen {
    char text[4096]; /* "key version* ..." in the order of the listing */
};

static int note(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct seen *s = ctx;
    size_t n = strlen(s->text);
    assert_null(prefix);
    snprintf(s->text + n, sizeof s->text - n, "%s:%s%s%s ", info->key, info->version,
             info->is_latest ? "*" : "", info->is_marker ? "!" : "");
    return 0;
}

/* All versions in the bucket, newest first, page by page. */
static const char *versions_of(const char *bucket, int page)
{
    static struct seen seen;
    char after[FT_BLOB_KEY_MAX + 1] = "", version[FT_BLOB_VERSION_MAX + 1] = "";
    bool more = true;
    seen.text[0] = '\0';
    for (int pages = 0; more; pages++) {
        struct ft_blob_list l = {.bucket = bucket,
                                 .after = after,
                                 .after_version = *version != '\0' ? version : NULL,
                                 .max = page};
        OK(ft_blob_list(blob, &l, true, note, &seen, &more, &err));
        assert_true(pages < 100);
        char *last = strdup(seen.text), *word = last;
        if (*last == '\0') {
            free(last);
            break;
        }
        last[strlen(last) - 1] = '\0';
        if (strrchr(last, ' ') != NULL)
            word = strrchr(last, ' ') + 1;
        *strchr(word, ':') = '\0';
        strcpy(after, word);
        word += strlen(word) + 1;
        word[strcspn(word, "*!")] = '\0';
        strcpy(version, word);
        free(last);
    }
    return seen.text;
}

static void assert_versions(const char *bucket, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void assert_versions(const char *bucket, const char *fmt, ...)
{
    char wanted[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(wanted, sizeof wanted, fmt, ap);
    va_end(ap);
    assert_string_equal(versions_of(bucket, 1000), wanted);
    assert_string_equal(versions_of(bucket, 1), wanted);
    assert_string_equal(versions_of(bucket, 2), wanted);
}

static void versions_stay(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_deleted gone;
    struct ft_blob_object o = {.memory = NULL};
    (void)state;
    put_text(bucket, "k", "zero");
    OK(ft_blob_bucket_set_versioning(blob, bucket, FT_BLOB_VERSIONED, &err));
    struct ft_blob_done one = put_text(bucket, "k", "one"), two = put_text(bucket, "k", "two!");
    assert_string_not_equal(one.version, two.version);
    assert_string_not_equal(one.version, "null");
    assert_text(bucket, "k", NULL, "two!");
    assert_text(bucket, "k", one.version, "one");
    assert_text(bucket, "k", "null", "zero");
    assert_versions(bucket, "k:%s* k:%s k:null ", two.version, one.version);

    OK(remove_key(bucket, "k", NULL, &gone)); /* a marker */
    assert_true(gone.is_marker && gone.version[0] != '\0');
    char marker[FT_BLOB_VERSION_MAX + 1];
    strcpy(marker, gone.version);
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);
    FAILS(ft_blob_head(blob, bucket, "k", marker, &o, &err), FT_EINVAL, FT_BLOB_IS_MARKER);
    assert_true(o.info.is_marker && o.info.is_latest);
    assert_string_equal(o.info.version, marker);
    ft_blob_object_fini(&o);
    assert_text(bucket, "k", two.version, "two!");
    assert_versions(bucket, "k:%s*! k:%s k:%s k:null ", marker, two.version, one.version);
    FAILS(ft_blob_bucket_delete(blob, bucket, &err), FT_EBUSY, FT_BLOB_BUCKET_FULL);

    OK(remove_key(bucket, "k", marker, &gone)); /* the marker away: it is there again */
    assert_true(gone.is_marker);
    assert_string_equal(gone.version, marker);
    assert_text(bucket, "k", NULL, "two!");
    OK(remove_key(bucket, "k", two.version, &gone));
    assert_false(gone.is_marker);
    assert_text(bucket, "k", NULL, "one");
    OK(ft_blob_head(blob, bucket, "k", one.version, &o, &err));
    assert_true(o.info.is_latest);
    ft_blob_object_fini(&o);
    OK(remove_key(bucket, "k", two.version, &gone)); /* not there any more: well */
    OK(remove_key(bucket, "k", one.version, NULL));
    OK(remove_key(bucket, "k", "null", NULL));
    assert_versions(bucket, "%s", "");
    OK(ft_blob_bucket_delete(blob, bucket, &err));
}

static void a_marker_on_nothing(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_VERSIONED);
    struct ft_blob_deleted gone;
    bool more;
    struct seen seen = {""};
    (void)state;
    OK(remove_key(bucket, "k", NULL, &gone));
    assert_true(gone.is_marker);
    assert_versions(bucket, "k:%s*! ", gone.version);
    struct ft_blob_list l = {.bucket = bucket, .max = 10};
    OK(ft_blob_list(blob, &l, false, note, &seen, &more, &err));
    assert_string_equal(seen.text, "");
    struct ft_blob_put put = {.bucket = bucket, .key = "k", .size = 1};
    put.condition.if_match = "*";
    FAILS(try_put(&put, "x", 1, NULL), FT_ENOTFOUND, FT_BLOB_NO_KEY);
    put.condition = (struct ft_blob_condition){.if_none_match = "*"};
    OK(try_put(&put, "x", 1, NULL));
    FAILS(try_put(&put, "y", 1, NULL), FT_EBUSY, FT_BLOB_CONDITION);
    assert_text(bucket, "k", NULL, "x");
}

static void suspended(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_VERSIONED);
    struct ft_blob_deleted gone;
    (void)state;
    struct ft_blob_done one = put_text(bucket, "k", "one");
    OK(ft_blob_bucket_set_versioning(blob, bucket, FT_BLOB_SUSPENDED, &err));
    struct ft_blob_done done = put_text(bucket, "k", "null one");
    assert_string_equal(done.version, "null");
    assert_versions(bucket, "k:null* k:%s ", one.version);
    done = put_text(bucket, "k", "null two"); /* in the place of the other */
    assert_text(bucket, "k", "null", "null two");
    assert_text(bucket, "k", one.version, "one");
    assert_versions(bucket, "k:null* k:%s ", one.version);
    OK(remove_key(bucket, "k", NULL, &gone)); /* a marker named null, in its place */
    assert_true(gone.is_marker);
    assert_string_equal(gone.version, "null");
    assert_versions(bucket, "k:null*! k:%s ", one.version);
    OK(ft_blob_bucket_set_versioning(blob, bucket, FT_BLOB_VERSIONED, &err));
    struct ft_blob_done two = put_text(bucket, "k", "two");
    assert_versions(bucket, "k:%s* k:null! k:%s ", two.version, one.version);
    OK(ft_blob_bucket_set_versioning(blob, bucket, FT_BLOB_SUSPENDED, &err));
    put_text(bucket, "k", "null three"); /* the marker, in the middle, gives way */
    assert_versions(bucket, "k:null* k:%s k:%s ", two.version, one.version);
    OK(remove_key(bucket, "k", "null", &gone));
    assert_false(gone.is_marker);
    assert_versions(bucket, "k:%s* k:%s ", two.version, one.version);
}

static void versions_of_many_keys(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_VERSIONED);
    struct ft_blob_done a1, a2, b1, ab1;
    bool more;
    (void)state;
    b1 = put_text(bucket, "b", "1");
    a1 = put_text(bucket, "a", "1");
    ab1 = put_text(bucket, "a/b", "1");
    a2 = put_text(bucket, "a", "22");
    assert_versions(bucket, "a:%s* a:%s a/b:%s* b:%s* ", a2.version, a1.version, ab1.version,
                    b1.version);
    struct seen seen = {""};
    struct ft_blob_list l = {.bucket = bucket, .after = "a", .max = 10}; /* behind all of a */
    OK(ft_blob_list(blob, &l, true, note, &seen, &more, &err));
    char wanted[300];
    snprintf(wanted, sizeof wanted, "a/b:%s* b:%s* ", ab1.version, b1.version);
    assert_string_equal(seen.text, wanted);
    /* conditions are about the version that is named, or the latest */
    struct ft_blob_delete d = {.bucket = bucket, .key = "a", .version = a1.version};
    d.condition.if_match = a2.etag;
    FAILS(ft_blob_remove(blob, &d, NULL, &err), FT_EBUSY, FT_BLOB_CONDITION);
    d.condition.if_match = a1.etag;
    OK(ft_blob_remove(blob, &d, NULL, &err));
    d.version = NULL;
    FAILS(ft_blob_remove(blob, &d, NULL, &err), FT_EBUSY, FT_BLOB_CONDITION);
    struct ft_blob_copy copy = {.from_bucket = bucket,
                                .from_key = "b",
                                .from_version = b1.version,
                                .size = -1,
                                .to = {.bucket = bucket, .key = "b"}};
    struct ft_blob_done b2;
    OK(ft_blob_copy(blob, &copy, &b2, &err));
    assert_string_not_equal(b1.version, b2.version);
    OK(remove_key(bucket, "b", NULL, NULL));
    OK(ft_blob_copy(blob, &copy, &b2, &err)); /* what a marker hides is there by its version */
    assert_text(bucket, "b", NULL, "1");
}

/* Deleting page by page must not skip what is behind a version that is gone. */
static void listing_behind_what_is_gone(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_VERSIONED);
    struct ft_blob_done v[4];
    bool more;
    struct seen seen = {""};
    char wanted[128];
    (void)state;
    for (int i = 0; i < 4; i++)
        v[i] = put_text(bucket, "k", "x");
    OK(remove_key(bucket, "k", v[3].version, NULL));
    OK(remove_key(bucket, "k", v[2].version, NULL));
    struct ft_blob_list l = {
        .bucket = bucket, .after = "k", .after_version = v[2].version, .max = 10};
    OK(ft_blob_list(blob, &l, true, note, &seen, &more, &err));
    snprintf(wanted, sizeof wanted, "k:%s", v[1].version);
    assert_non_null(strstr(seen.text, wanted));
    snprintf(wanted, sizeof wanted, "k:%s", v[0].version);
    assert_non_null(strstr(seen.text, wanted));
}

/* ---- marks ---- */

static void marks_change(void **state)
{
    static const struct ft_blob_field field = {"x-amz-meta-a", "1"}, tag = {"t", "1"};
    static const struct ft_blob_field tags[] = {{"one", "1"}, {"two", "zwei \xc3\xa4"}};
    const char *bucket = new_bucket(FT_BLOB_VERSIONED);
    struct ft_blob_put put = {.bucket = bucket,
                              .key = "k",
                              .fields = &field,
                              .n_fields = 1,
                              .tags = &tag,
                              .n_tags = 1,
                              .size = 1};
    struct ft_blob_done done, later;
    struct ft_blob_object o;
    struct ft_blob_deleted gone;
    char version[FT_BLOB_VERSION_MAX + 1];
    (void)state;
    OK(try_put(&put, "x", 1, &done));
    struct ft_blob_marks marks = {.tags = tags, .n_tags = 2};
    OK(ft_blob_annotate(blob, bucket, "k", NULL, &marks, version, &err));
    assert_string_equal(version, done.version);
    marks = (struct ft_blob_marks){.acl = "public"};
    OK(ft_blob_annotate(blob, bucket, "k", done.version, &marks, version, &err));
    OK(ft_blob_head(blob, bucket, "k", NULL, &o, &err));
    assert_int_equal(o.info.n_tags, 2);
    assert_string_equal(o.info.tags[1].value, tags[1].value);
    assert_string_equal(o.info.acl, "public");
    assert_int_equal(o.info.n_fields, 1);
    assert_string_equal(o.info.version, done.version);
    assert_string_equal(o.info.etag, done.etag);
    ft_blob_object_fini(&o);
    later = put_text(bucket, "k", "later");
    marks = (struct ft_blob_marks){.tags = tags, .n_tags = 0};
    OK(ft_blob_annotate(blob, bucket, "k", done.version, &marks, version, &err));
    OK(ft_blob_head(blob, bucket, "k", done.version, &o, &err));
    assert_int_equal(o.info.n_tags, 0);
    assert_false(o.info.is_latest);
    assert_string_equal(o.info.acl, "public");
    ft_blob_object_fini(&o);
    assert_text(bucket, "k", done.version, "x");
    assert_text(bucket, "k", NULL, "later");
    FAILS(ft_blob_annotate(blob, bucket, "q", NULL, &marks, version, &err), FT_ENOTFOUND,
          FT_BLOB_NO_KEY);
    FAILS(ft_blob_annotate(blob, bucket, "k", "0123456789abcdef0123456789abcdef", &marks, version,
                           &err),
          FT_ENOTFOUND, FT_BLOB_NO_VERSION);
    OK(remove_key(bucket, "k", NULL, &gone));
    FAILS(ft_blob_annotate(blob, bucket, "k", NULL, &marks, version, &err), FT_ENOTFOUND,
          FT_BLOB_NO_KEY);
    FAILS(ft_blob_annotate(blob, bucket, "k", gone.version, &marks, version, &err), FT_EINVAL,
          FT_BLOB_IS_MARKER);
    assert_text(bucket, "k", later.version, "later");
}

/* ---- holds ---- */

static struct ft_blob_done put_held(const char *bucket, const char *key, struct ft_blob_hold hold)
{
    struct ft_blob_put put = {.bucket = bucket, .key = key, .hold = hold, .size = 4};
    struct ft_blob_done done;
    OK(try_put(&put, "held", 4, &done));
    return done;
}

static int hold(const char *bucket, const char *version, struct ft_blob_hold to, bool bypass)
{
    char changed[FT_BLOB_VERSION_MAX + 1];
    struct ft_blob_marks marks = {.hold = &to, .bypass = bypass};
    return ft_blob_annotate(blob, bucket, "k", version, &marks, changed, &err);
}

static int remove_bypassing(const char *bucket, const char *version)
{
    struct ft_blob_delete d = {.bucket = bucket, .key = "k", .version = version, .bypass = true};
    return ft_blob_remove(blob, &d, NULL, &err);
}

static void retention_holds(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_VERSIONED);
    int64_t soon = time(NULL) + 1000;
    struct ft_blob_hold governed = {FT_BLOB_LOCK_GOVERNANCE, soon, false};
    struct ft_blob_hold strict = {FT_BLOB_LOCK_COMPLIANCE, soon, false}, none = {0};
    struct ft_blob_hold longer = {FT_BLOB_LOCK_COMPLIANCE, soon + 10, false};
    struct ft_blob_hold shorter = {FT_BLOB_LOCK_COMPLIANCE, soon - 10, false};
    struct ft_blob_object o;
    struct ft_blob_deleted gone;
    (void)state;
    struct ft_blob_done v = put_held(bucket, "k", strict);
    OK(ft_blob_head(blob, bucket, "k", NULL, &o, &err));
    assert_int_equal(o.info.hold.mode, FT_BLOB_LOCK_COMPLIANCE);
    assert_int_equal(o.info.hold.until_s, soon);
    ft_blob_object_fini(&o);
    FAILS(remove_bypassing(bucket, v.version), FT_EBUSY, FT_BLOB_LOCKED);
    FAILS(hold(bucket, v.version, shorter, true), FT_EBUSY, FT_BLOB_LOCKED);
    FAILS(hold(bucket, v.version, none, true), FT_EBUSY, FT_BLOB_LOCKED);
    FAILS(hold(bucket, v.version, governed, true), FT_EBUSY, FT_BLOB_LOCKED);
    OK(hold(bucket, v.version, longer, false));
    OK(remove_key(bucket, "k", NULL, &gone)); /* a marker hides it, that is allowed */
    OK(remove_key(bucket, "k", gone.version, NULL));

    v = put_held(bucket, "k", governed);
    FAILS(remove_key(bucket, "k", v.version, NULL), FT_EBUSY, FT_BLOB_LOCKED);
    governed.until_s -= 10;
    FAILS(hold(bucket, v.version, governed, false), FT_EBUSY, FT_BLOB_LOCKED);
    FAILS(hold(bucket, v.version, strict, false), FT_EBUSY, FT_BLOB_LOCKED);
    governed.until_s += 20;
    OK(hold(bucket, v.version, governed, false));
    OK(hold(bucket, v.version, none, true));
    OK(hold(bucket, v.version, governed, false));
    OK(remove_bypassing(bucket, v.version));
    assert_int_equal(head_why(bucket, "k", v.version), FT_BLOB_NO_VERSION);

    v = put_held(bucket, "k",
                 (struct ft_blob_hold){FT_BLOB_LOCK_COMPLIANCE, time(NULL) - 5, false});
    OK(remove_key(bucket, "k", v.version, NULL)); /* it is over */
}

static void legal_hold_holds(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_VERSIONED);
    struct ft_blob_hold legal = {.legal = true}, none = {.legal = false};
    (void)state;
    struct ft_blob_done v = put_held(bucket, "k", legal);
    FAILS(remove_bypassing(bucket, v.version), FT_EBUSY, FT_BLOB_LOCKED);
    OK(hold(bucket, v.version, none, false));
    OK(hold(bucket, v.version, legal, false));
    FAILS(remove_key(bucket, "k", v.version, NULL), FT_EBUSY, FT_BLOB_LOCKED);
    OK(hold(bucket, NULL, none, false));
    OK(remove_key(bucket, "k", v.version, NULL));
}

/* Where no version is kept, a held one is not replaced either. */
static void holds_where_nothing_is_kept(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_hold legal = {.legal = true}, none = {.legal = false};
    struct ft_blob_put put = {.bucket = bucket, .key = "k", .size = 1};
    (void)state;
    put_held(bucket, "k", legal);
    FAILS(try_put(&put, "x", 1, NULL), FT_EBUSY, FT_BLOB_LOCKED);
    FAILS(remove_key(bucket, "k", NULL, NULL), FT_EBUSY, FT_BLOB_LOCKED);
    OK(ft_blob_bucket_set_versioning(blob, bucket, FT_BLOB_SUSPENDED, &err));
    FAILS(try_put(&put, "x", 1, NULL), FT_EBUSY, FT_BLOB_LOCKED);
    FAILS(remove_key(bucket, "k", NULL, NULL), FT_EBUSY, FT_BLOB_LOCKED);
    assert_text(bucket, "k", NULL, "held");
    OK(hold(bucket, NULL, none, false));
    OK(try_put(&put, "x", 1, NULL));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(versions_stay),
    cmocka_unit_test(a_marker_on_nothing),
    cmocka_unit_test(suspended),
    cmocka_unit_test(versions_of_many_keys),
    cmocka_unit_test(listing_behind_what_is_gone),
    cmocka_unit_test(marks_change),
    cmocka_unit_test(retention_holds),
    cmocka_unit_test(legal_hold_holds),
    cmocka_unit_test(holds_where_nothing_is_kept),
};

CONTRACT(tests)
