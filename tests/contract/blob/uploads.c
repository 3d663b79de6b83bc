/* What every store promises of uploads in parts (blob/blob.h). */
/* labels: threads */
#include <nettle/md5.h>
#include <pthread.h>

#include "stores.h"

static int begin(const char *bucket, const char *key, char id[FT_BLOB_UPLOAD_MAX + 1])
{
    static const struct ft_blob_field field = {"content-type", "a/b"}, tag = {"t", "v"};
    struct ft_blob_put put = {
        .bucket = bucket, .key = key, .fields = &field, .n_fields = 1, .tags = &tag, .n_tags = 1};
    return ft_blob_upload_begin(blob, &put, id, &err);
}

static int try_part(const char *bucket, const char *key, const char *id, int number,
                    const void *data, size_t n, struct ft_blob_part *ret)
{
    static const struct ft_blob_field field = {"crc32", "AAAA=="};
    struct ft_blob_put put = {.bucket = bucket,
                              .key = key,
                              .upload = id,
                              .part = number,
                              .fields = &field,
                              .n_fields = 1,
                              .size = (int64_t)n};
    struct ft_blob_done done;
    int rc = try_put(&put, data, n, &done);
    if (rc == 0) {
        *ret = (struct ft_blob_part){.number = number, .size = done.size};
        strcpy(ret->etag, done.etag);
    }
    return rc;
}

static int complete(const char *bucket, const char *key, const char *id,
                    const struct ft_blob_part *parts, int n, struct ft_blob_done *ret)
{
    static const struct ft_blob_field field = {"checksum", "BBBB=="};
    return ft_blob_upload_complete(blob, bucket, key, id, parts, n, NULL, &field, 1, ret, &err);
}

/* MD5 of MD5s, as S3 makes it. */
static void etag_of(const struct ft_blob_part *parts, int n, char ret[FT_BLOB_ETAG_MAX + 1])
{
    struct md5_ctx ctx;
    uint8_t digest[16];
    md5_init(&ctx);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 16; j++) {
            unsigned byte;
            sscanf(parts[i].etag + 2 * j, "%2x", &byte);
            md5_update(&ctx, 1, &(uint8_t){(uint8_t)byte});
        }
    md5_digest(&ctx, sizeof digest, digest);
    for (int i = 0; i < 16; i++)
        sprintf(ret + 2 * i, "%02x", digest[i]);
    sprintf(ret + 32, "-%d", n);
}

static void parts_become_an_object(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    size_t n = store->part_min + 70001, last = 12345;
    unsigned char *all = malloc(2 * n + last);
    char id[FT_BLOB_UPLOAD_MAX + 1], etag[FT_BLOB_ETAG_MAX + 1];
    struct ft_blob_part parts[3], one;
    struct ft_blob_done done, again;
    struct ft_blob_object o;
    struct ft_blob_reader *r;
    int64_t offset;
    (void)state;
    memcpy(all, made_bytes(1, 2 * n + last), 2 * n + last);
    OK(begin(bucket, "k", id));
    /* out of order, and with gaps between their numbers */
    OK(try_part(bucket, "k", id, 7, all + 2 * n, last, &parts[2]));
    OK(try_part(bucket, "k", id, 2, all, n, &parts[0]));
    OK(try_part(bucket, "k", id, 5, made_bytes(9, 99), 99, &parts[1]));
    OK(try_part(bucket, "k", id, 5, all + n, n, &parts[1])); /* put again: the later one counts */
    if (!store->all_parts)
        OK(try_part(bucket, "k", id, 9, "not named", 9, &one));
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);
    OK(ft_blob_upload_get(blob, bucket, "k", id, &o, &err));
    assert_string_equal(ft_blob_field(&o.info, "content-type"), "a/b");
    assert_int_equal(o.info.n_tags, 1);
    ft_blob_object_fini(&o);
    OK(complete(bucket, "k", id, parts, 3, &done));
    etag_of(parts, 3, etag);
    assert_string_equal(done.etag, etag);
    assert_int_equal(done.size, 2 * n + last);
    assert_bytes(bucket, "k", NULL, all, 2 * n + last);
    OK(ft_blob_head(blob, bucket, "k", NULL, &o, &err));
    assert_string_equal(o.info.etag, etag);
    assert_int_equal(o.info.n_parts, 3);
    assert_int_equal(o.info.n_fields, 2);
    assert_string_equal(ft_blob_field(&o.info, "checksum"), "BBBB==");
    assert_string_equal(o.info.tags[0].value, "v");
    ft_blob_object_fini(&o);
    OK(ft_blob_open(blob, bucket, "k", NULL, &r, &err));
    OK(ft_blob_part_of(r, 2, &one, &offset, &err));
    assert_true(one.number == 2 && one.size == (int64_t)n && offset == (int64_t)n);
    assert_int_equal(one.n_fields, 1);
    assert_string_equal(one.fields[0].value, "AAAA==");
    OK(ft_blob_part_of(r, 3, &one, &offset, &err));
    assert_true(one.size == (int64_t)last && offset == (int64_t)(2 * n));
    FAILS(ft_blob_part_of(r, 4, &one, &offset, &err), FT_EINVAL, FT_BLOB_NO_PART);
    FAILS(ft_blob_part_of(r, 0, &one, &offset, &err), FT_EINVAL, FT_BLOB_NO_PART);
    ft_blob_close_reader(r);

    OK(complete(bucket, "k", id, parts, 3, &again)); /* whose answer was lost */
    assert_string_equal(again.etag, done.etag);
    assert_string_equal(again.version, done.version);
    assert_int_equal(again.size, done.size);
    FAILS(complete(bucket, "k", id, parts, 2, &again), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    FAILS(try_part(bucket, "k", id, 1, "x", 1, &one), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    FAILS(ft_blob_upload_abort(blob, bucket, "k", id, &err), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    put_text(bucket, "k", "now one piece");
    OK(ft_blob_open(blob, bucket, "k", NULL, &r, &err));
    assert_int_equal(ft_blob_reader_info(r)->n_parts, 0);
    FAILS(ft_blob_part_of(r, 1, &one, &offset, &err), FT_EINVAL, FT_BLOB_NO_PART);
    ft_blob_close_reader(r);
    free(all);
}

static void wrong_completions(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    char id[FT_BLOB_UPLOAD_MAX + 1];
    size_t n = store->part_min;
    struct ft_blob_part parts[2], wrong[2];
    struct ft_blob_done done;
    (void)state;
    OK(begin(bucket, "k", id));
    OK(try_part(bucket, "k", id, 1, made_bytes(1, n), n, &parts[0]));
    OK(try_part(bucket, "k", id, 2, "end", 3, &parts[1]));
    wrong[0] = parts[1], wrong[1] = parts[0];
    FAILS(complete(bucket, "k", id, wrong, 2, &done), FT_EINVAL, FT_BLOB_PART_ORDER);
    wrong[0] = wrong[1] = parts[0];
    FAILS(complete(bucket, "k", id, wrong, 2, &done), FT_EINVAL, FT_BLOB_PART_ORDER);
    wrong[1] = parts[1];
    wrong[1].number = 3;
    FAILS(complete(bucket, "k", id, wrong, 2, &done), FT_EINVAL, FT_BLOB_NO_PART);
    wrong[1].number = 2;
    strcpy(wrong[1].etag, "900150983cd24fb0d6963f7d28e17f72");
    FAILS(complete(bucket, "k", id, wrong, 2, &done), FT_EINVAL, FT_BLOB_NO_PART);
    strcpy(wrong[1].etag, "short");
    FAILS(complete(bucket, "k", id, wrong, 2, &done), FT_EINVAL, FT_BLOB_NO_PART);
    FAILS(complete(bucket, "other", id, parts, 2, &done), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    FAILS(complete(bucket, "k", "nosuchupload", parts, 2, &done), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    FAILS(try_part(bucket, "k", "nosuchupload", 1, "x", 1, &wrong[0]), FT_ENOTFOUND,
          FT_BLOB_NO_UPLOAD);
    FAILS(try_part(bucket, "other", id, 1, "x", 1, &wrong[0]), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    FAILS(try_part(bucket, "k", id, FT_BLOB_PART_MAX + 1, "x", 1, &wrong[0]), FT_EINVAL,
          FT_BLOB_WHY_NONE);
    struct ft_blob_condition absent = {.if_none_match = "*"};
    put_text(bucket, "k", "there");
    FAILS(ft_blob_upload_complete(blob, bucket, "k", id, parts, 2, &absent, NULL, 0, &done, &err),
          FT_EBUSY, FT_BLOB_CONDITION);
    OK(remove_key(bucket, "k", NULL, NULL));
    OK(ft_blob_upload_complete(blob, bucket, "k", id, parts, 2, &absent, NULL, 0, &done, &err));
    OK(ft_blob_upload_complete(blob, bucket, "k", id, parts, 2, &absent, NULL, 0, &done, &err));
}

static void aborted_uploads_are_gone(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    char id[FT_BLOB_UPLOAD_MAX + 1], other[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_part part;
    struct ft_blob_object o;
    struct ft_blob_writer *w;
    struct ft_blob_done done;
    (void)state;
    OK(begin(bucket, "k", id));
    OK(try_part(bucket, "k", id, 1, "abc", 3, &part));
    struct ft_blob_put put = {
        .bucket = bucket, .key = "k", .upload = id, .part = 2, .size = 3}; /* still on its way */
    OK(ft_blob_put(blob, &put, &w, &err));
    OK(ft_blob_put_write(w, "abc", 3, &err));
    OK(ft_blob_upload_abort(blob, bucket, "k", id, &err));
    FAILS(ft_blob_put_commit(w, NULL, 0, &done, &err), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    FAILS(complete(bucket, "k", id, &part, 1, &done), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    FAILS(ft_blob_upload_abort(blob, bucket, "k", id, &err), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    FAILS(ft_blob_upload_get(blob, bucket, "k", id, &o, &err), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    assert_int_equal(head_why(bucket, "k", NULL), FT_BLOB_NO_KEY);
    OK(begin(bucket, "k", other));
    assert_string_not_equal(id, other);
    OK(try_part(bucket, "k", other, 1, "abc", 3, &part));
    OK(ft_blob_bucket_delete(blob, bucket, &err)); /* unfinished uploads go with it */
    FAILS(complete(bucket, "k", other, &part, 1, &done), FT_ENOTFOUND, FT_BLOB_NO_BUCKET);
}

/* ---- listings ---- */

struct parts {
    char text[512];
};

static int note_part(void *ctx, const struct ft_blob_part *p)
{
    struct parts *s = ctx;
    size_t n = strlen(s->text);
    assert_int_equal(strlen(p->etag), 32);
    assert_int_equal(p->n_fields, 1);
    assert_string_equal(p->fields[0].value, "AAAA==");
    assert_true(p->modified_ns / 1000000000 > time(NULL) - 600);
    snprintf(s->text + n, sizeof s->text - n, "%d:%lld ", p->number, (long long)p->size);
    return 0;
}

static void parts_are_listed(void **state)
{
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_part part;
    struct parts seen = {""};
    bool more;
    (void)state;
    OK(begin(bucket, "k", id));
    OK(ft_blob_upload_parts(blob, bucket, "k", id, 0, 10, note_part, &seen, &more, &err));
    assert_true(seen.text[0] == '\0' && !more);
    for (int i = 5; i >= 1; i--)
        OK(try_part(bucket, "k", id, 3 * i, "abcdefgh", (size_t)i, &part));
    OK(try_part(bucket, "k", id, 6, "zzzzzzzz", 7, &part));
    OK(ft_blob_upload_parts(blob, bucket, "k", id, 0, 1000, note_part, &seen, &more, &err));
    assert_string_equal(seen.text, "3:1 6:7 9:3 12:4 15:5 ");
    assert_false(more);
    seen.text[0] = '\0';
    OK(ft_blob_upload_parts(blob, bucket, "k", id, 3, 2, note_part, &seen, &more, &err));
    assert_string_equal(seen.text, "6:7 9:3 ");
    assert_true(more);
    OK(ft_blob_upload_parts(blob, bucket, "k", id, 9, 2, note_part, &seen, &more, &err));
    assert_string_equal(seen.text, "6:7 9:3 12:4 15:5 ");
    assert_false(more);
    FAILS(ft_blob_upload_parts(blob, bucket, "q", id, 0, 2, note_part, &seen, &more, &err),
          FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
}

struct uploads {
    char keys[512];
    char last_key[64], last_id[FT_BLOB_UPLOAD_MAX + 1];
    int n;
};

static int note_upload(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    struct uploads *s = ctx;
    size_t n = strlen(s->keys);
    snprintf(s->keys + n, sizeof s->keys - n, "%s ", u != NULL ? u->key : prefix);
    snprintf(s->last_key, sizeof s->last_key, "%s", u != NULL ? u->key : prefix);
    snprintf(s->last_id, sizeof s->last_id, "%s", u != NULL ? u->id : "");
    if (u != NULL)
        assert_true(u->begun_ns / 1000000000 > time(NULL) - 600);
    s->n++;
    return 0;
}

static void uploads_are_listed(void **state)
{
    static const char *const keys[] = {"a", "b/1", "b/2", "b/2", "b/2", "c"};
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    char id[6][FT_BLOB_UPLOAD_MAX + 1];
    struct uploads seen = {.n = 0};
    bool more = true;
    (void)state;
    for (int i = 5; i >= 0; i--)
        OK(begin(bucket, keys[i], id[i]));
    struct ft_blob_list l = {.bucket = bucket, .max = 100};
    OK(ft_blob_uploads(blob, &l, note_upload, &seen, &more, &err));
    assert_string_equal(seen.keys, "a b/1 b/2 b/2 b/2 c ");
    assert_false(more);
    seen = (struct uploads){.n = 0};
    more = true;
    for (int pages = 0; more; pages++) { /* one by one, behind an upload each */
        char after[64], behind[FT_BLOB_UPLOAD_MAX + 1];
        strcpy(after, seen.last_key);
        strcpy(behind, seen.last_id);
        l = (struct ft_blob_list){.bucket = bucket, .after = after, .max = 1};
        l.after_version = behind[0] != '\0' ? behind : NULL;
        OK(ft_blob_uploads(blob, &l, note_upload, &seen, &more, &err));
        assert_true(pages < 6);
    }
    assert_string_equal(seen.keys, "a b/1 b/2 b/2 b/2 c ");
    seen = (struct uploads){.n = 0};
    l = (struct ft_blob_list){.bucket = bucket, .after = "b/2", .max = 9}; /* behind all of b/2 */
    OK(ft_blob_uploads(blob, &l, note_upload, &seen, &more, &err));
    assert_string_equal(seen.keys, "c ");
    seen = (struct uploads){.n = 0};
    l = (struct ft_blob_list){.bucket = bucket, .delimiter = "/", .max = 2};
    OK(ft_blob_uploads(blob, &l, note_upload, &seen, &more, &err));
    assert_string_equal(seen.keys, "a b/ ");
    assert_true(more);
    l.after = "b/";
    OK(ft_blob_uploads(blob, &l, note_upload, &seen, &more, &err));
    assert_string_equal(seen.keys, "a b/ c ");
    assert_false(more);
    seen = (struct uploads){.n = 0};
    l = (struct ft_blob_list){.bucket = bucket, .prefix = "b/", .max = 9};
    OK(ft_blob_upload_abort(blob, bucket, "b/2", id[3], &err));
    OK(ft_blob_uploads(blob, &l, note_upload, &seen, &more, &err));
    assert_string_equal(seen.keys, "b/1 b/2 b/2 ");
}

/* ---- parts that are copied ---- */

static void parts_are_copied(void **state)
{
    const char *from = new_bucket(FT_BLOB_UNVERSIONED), *bucket = new_bucket(FT_BLOB_VERSIONED);
    size_t n = store->part_min + 5000;
    const unsigned char *data = made_bytes(4, 2 * n);
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_put put = {.bucket = from, .key = "s/ +\xe4\xb8\xad", .size = -1};
    struct ft_blob_done done;
    struct ft_blob_part parts[2] = {{.number = 1}, {.number = 2}};
    (void)state;
    OK(try_put(&put, data, 2 * n, NULL));
    OK(begin(bucket, "k", id));
    for (int i = 0; i < 2; i++) {
        struct ft_blob_copy copy = {
            .from_bucket = from,
            .from_key = put.key,
            .offset = i == 0 ? 1000 : 77,
            .size = (int64_t)n - 1000,
            .to = {.bucket = bucket, .key = "k", .upload = id, .part = i + 1}};
        OK(ft_blob_copy(blob, &copy, &done, &err));
        assert_int_equal(done.size, n - 1000);
        strcpy(parts[i].etag, done.etag);
        copy.from_key = "nothing";
        FAILS(ft_blob_copy(blob, &copy, &done, &err), FT_ENOTFOUND, FT_BLOB_NO_KEY);
        copy.from_key = put.key;
        copy.to.upload = "nosuchupload";
        FAILS(ft_blob_copy(blob, &copy, &done, &err), FT_ENOTFOUND, FT_BLOB_NO_UPLOAD);
    }
    OK(complete(bucket, "k", id, parts, 2, &done));
    assert_string_not_equal(done.version, "null");
    unsigned char *wanted = malloc(2 * n);
    memcpy(wanted, data + 1000, n - 1000);
    memcpy(wanted + n - 1000, data + 77, n - 1000);
    assert_bytes(bucket, "k", done.version, wanted, 2 * n - 2000);
    free(wanted);
}

/* ---- many at a time ---- */

struct one_upload {
    const char *bucket;
    int id;
    bool well;
};

static void *upload_one(void *arg)
{
    struct one_upload *me = arg;
    struct ft_err e;
    struct ft_blob_put put = {.bucket = me->bucket, .key = "same"};
    char id[FT_BLOB_UPLOAD_MAX + 1], text[16];
    struct ft_blob_writer *w;
    struct ft_blob_done done;
    struct ft_blob_part part = {.number = 1};
    if (ft_blob_upload_begin(blob, &put, id, &e) != 0)
        return NULL;
    snprintf(text, sizeof text, "upload %d", me->id);
    put.upload = id;
    put.part = 1;
    put.size = -1;
    if (ft_blob_put(blob, &put, &w, &e) != 0)
        return NULL;
    if (ft_blob_put_write(w, text, strlen(text), &e) != 0 ||
        ft_blob_put_commit(w, NULL, 0, &done, &e) != 0)
        return NULL;
    strcpy(part.etag, done.etag);
    me->well = ft_blob_upload_complete(blob, me->bucket, "same", id, &part, 1, NULL, NULL, 0, &done,
                                       &e) == 0;
    return NULL;
}

static void uploads_beside_each_other(void **state)
{
    pthread_t threads[6];
    struct one_upload mine[6];
    const char *bucket = new_bucket(FT_BLOB_UNVERSIONED);
    struct ft_blob_reader *r;
    char text[9];
    (void)state;
    for (int i = 0; i < 6; i++) {
        mine[i] = (struct one_upload){.bucket = bucket, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, upload_one, &mine[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        assert_true(mine[i].well);
    }
    OK(ft_blob_open(blob, bucket, "same", NULL, &r, &err)); /* one of them, whole */
    assert_int_equal(ft_blob_reader_info(r)->size, 8);
    OK(ft_blob_read(r, 0, text, 8, &err));
    assert_memory_equal(text, "upload ", 7);
    ft_blob_close_reader(r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(parts_become_an_object),    cmocka_unit_test(wrong_completions),
    cmocka_unit_test(aborted_uploads_are_gone),  cmocka_unit_test(parts_are_listed),
    cmocka_unit_test(uploads_are_listed),        cmocka_unit_test(parts_are_copied),
    cmocka_unit_test(uploads_beside_each_other),
};

CONTRACT(tests)
