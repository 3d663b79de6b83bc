/* Objects over S3's protocol: what is put comes back, conditions and ranges hold, listings page,
 * uploads in parts become one object; errors are AWS's. */
/* labels: threads */
#include "s3_client.h"

static void test_what_is_put_comes_back(void **state)
{
    (void)state;
    assert_int_equal(s3("PUT", "/bucket/a%20b//../%C3%A4+%3f",
                        "Content-Type: text/plain\nx-amz-meta-Colour: blue\nx-amz-meta-empty: \n"
                        "Content-Encoding: aws-chunked, gzip\nCache-Control: no-cache",
                        "hello"),
                     200);
    assert_string_equal(s3_header("ETag"), "\"5d41402abc4b2a76b9719d911017c592\"");
    assert_string_equal(server.last_operation, "PutObject");
    assert_int_equal(server.last.bytes_in, 5);
    assert_int_equal(s3("GET", "/bucket/a%20b//../%C3%A4+%3f", NULL, NULL), 200);
    assert_string_equal(got.body, "hello");
    assert_string_equal(s3_header("Content-Type"), "text/plain");
    assert_string_equal(s3_header("x-amz-meta-colour"), "blue");
    assert_string_equal(s3_header("x-amz-meta-empty"), "");
    assert_string_equal(s3_header("Content-Encoding"), "gzip");
    assert_string_equal(s3_header("Cache-Control"), "no-cache");
    assert_int_equal(s3("HEAD", "/bucket/a%20b//../%C3%A4+%3f", NULL, NULL), 200);
    assert_string_equal(s3_header("Content-Length"), "5");
    assert_int_equal(got.n, 0);
    assert_int_equal(
        s3("GET", "/bucket/a%20b//../%C3%A4+%3f?response-content-type=image%2Fpng", NULL, NULL),
        200);
    assert_string_equal(s3_header("Content-Type"), "image/png");
    assert_int_equal(s3("DELETE", "/bucket/a%20b//../%C3%A4+%3f", NULL, NULL), 204);
    s3("GET", "/bucket/a%20b//../%C3%A4+%3f", NULL, NULL);
    assert_s3_error(404, "NoSuchKey");
    s3("GET", "/none/k", NULL, NULL);
    assert_s3_error(404, "NoSuchBucket");
    s3("GET", "/.hub/k", NULL, NULL);
    assert_s3_error(404, "NoSuchBucket");
    /* the bucket in the host's name */
    const struct s3_ask host = {.host = "bucket.s3.test:99"};
    assert_int_equal(s3_send(&host, "PUT", "/k", NULL, "x", 1), 200);
    assert_int_equal(s3("GET", "/bucket/k", NULL, NULL), 200);
    assert_string_equal(got.body, "x");
}

static void test_who_may(void **state)
{
    (void)state;
    const struct s3_ask anonymous = {.key = ""}, other = {.key = "key_other"},
                        reader = {.key = "key_reader"}, nobody = {.key = "key_none"},
                        wrong = {.secret = "wrong"}, late = {.skew_s = -901},
                        early = {.skew_s = 901};
    s3("PUT", "/bucket/k", NULL, "x");
    s3_send(&anonymous, "GET", "/bucket/k", NULL, NULL, 0);
    assert_s3_error(403, "AccessDenied");
    s3_send(&other, "GET", "/bucket/k", NULL, NULL, 0);
    assert_s3_error(403, "AccessDenied");
    assert_int_equal(s3_send(&reader, "GET", "/bucket/k", NULL, NULL, 0), 200);
    s3_send(&reader, "PUT", "/bucket/k", NULL, "y", 1);
    assert_s3_error(403, "AccessDenied");
    s3_send(&nobody, "GET", "/bucket/k", NULL, NULL, 0);
    assert_s3_error(403, "InvalidAccessKeyId");
    s3_send(&wrong, "GET", "/bucket/k", NULL, NULL, 0);
    assert_s3_error(403, "SignatureDoesNotMatch");
    s3_send(&late, "GET", "/bucket/k", NULL, NULL, 0);
    assert_s3_error(403, "RequestTimeTooSkewed");
    s3_send(&early, "GET", "/bucket/k", NULL, NULL, 0);
    assert_s3_error(403, "RequestTimeTooSkewed");
    server.room = 4;
    s3("PUT", "/bucket/k", NULL, "hello");
    assert_s3_error(403, "QuotaExceeded");
    server.room = -1;
}

/* As many headers as can be signed: none is lost. */
static void test_metadata_comes_back(void **state)
{
    (void)state;
    char headers[4096] = "", name[64];
    for (int i = 0; i < 58; i++)
        sprintf(headers + strlen(headers), "x-amz-meta-%d: v%d\n", i, i);
    strcat(headers, "Cache-Control: a\nContent-Language: b\nExpires: c\n");
    assert_int_equal(s3("PUT", "/bucket/m", headers, "x"), 200);
    assert_int_equal(s3("HEAD", "/bucket/m", "x-amz-checksum-mode: ENABLED", NULL), 200);
    for (int i = 0; i < 58; i++) {
        sprintf(name, "x-amz-meta-%d", i);
        sprintf(headers, "v%d", i);
        if (s3_header(name) == NULL)
            fail_msg("%s is lost", name);
        assert_string_equal(s3_header(name), headers);
    }
    assert_string_equal(s3_header("cache-control"), "a");
    assert_string_equal(s3_header("content-language"), "b");
    assert_string_equal(s3_header("expires"), "c");
    assert_non_null(s3_header("accept-ranges"));
}

/* What is no size is no size of nothing. */
static void test_sizes_that_are_none(void **state)
{
    (void)state;
    assert_int_equal(s3("PUT", "/bucket/empty", NULL, ""), 200);
    assert_int_equal(s3("POST", "/bucket?delete", NULL,
                        "<Delete><Object><Key>empty</Key><Size>none</Size></Object></Delete>"),
                     200);
    assert_s3_error(200, "MalformedXML");
    s3("DELETE", "/bucket/empty", "x-amz-if-match-size: 0x0", NULL);
    assert_s3_error(400, "InvalidArgument");
    assert_int_equal(s3("HEAD", "/bucket/empty", NULL, NULL), 200);
    s3("POST", "/bucket?delete", NULL,
       "<Delete><Object><Key>empty</Key><Size>0</Size></Object></Delete>");
    assert_int_equal(s3("HEAD", "/bucket/empty", NULL, NULL), 404);
}

static void test_ranges_and_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        int status;
        const char *body;
    } cases[] = {
        {"Range: bytes=2-4", 206, "234"},
        {"Range: bytes=7-", 206, "789"},
        {"Range: bytes=-3", 206, "789"},
        {"Range: bytes=-99", 206, "0123456789"},
        {"Range: bytes=5-99", 206, "56789"},
        {"Range: bytes=5-9223372036854775807", 206, "56789"},
        {"Range: bytes=5-99999999999999999999", 206, "56789"},
        {"Range: bytes=99999999999999999999-", 416, NULL},
        {"Range: bytes=4-2", 200, "0123456789"},
        {"Range: bytes=0-1,3-4", 200, "0123456789"},
        {"Range: lines=1-2", 200, "0123456789"},
        {"Range: bytes=10-", 416, NULL},
        {"Range: bytes=-0", 416, NULL},
        {"Range: bytes=2-4\nIf-Range: \"781e5e245d69b566979b86e28d23f2c7\"", 206, "234"},
        {"Range: bytes=2-4\nIf-Range: \"781e5e245d69b566979b86e28d23f2c8\"", 200, "0123456789"},
        {"Range: bytes=10-\nIf-Range: \"other\"", 200, "0123456789"},
        {"Range: bytes=2-4\nIf-Range: W/\"781e5e245d69b566979b86e28d23f2c7\"", 200, "0123456789"},
        {"Range: bytes=2-4\nIf-Range: Fri, 24 May 2013 00:00:00 GMT", 200, "0123456789"},
        {"Range: bytes=2-4\nIf-Range: yesterday", 200, "0123456789"},
        {"If-Match: \"781e5e245d69b566979b86e28d23f2c7\"", 200, "0123456789"},
        {"If-Match: \"other\"", 412, NULL},
        {"If-Match: *", 200, "0123456789"},
        {"If-None-Match: 781e5e245d69b566979b86e28d23f2c7", 304, ""},
        {"If-None-Match: \"other\"", 200, "0123456789"},
        {"If-Modified-Since: Fri, 24 May 2013 00:00:00 GMT", 200, "0123456789"},
        {"If-Modified-Since: Sat, 24 May 2113 00:00:00 GMT", 304, ""},
        {"If-Unmodified-Since: Fri, 24 May 2013 00:00:00 GMT", 412, NULL},
        {"If-Unmodified-Since: Fri, 24 May 2013 00:00:00 GMT\n"
         "If-Match: \"781e5e245d69b566979b86e28d23f2c7\"",
         200, "0123456789"},
    };
    s3("PUT", "/bucket/r", NULL, "0123456789");
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        int status = s3("GET", "/bucket/r", cases[i].headers, NULL);
        if (status != cases[i].status ||
            (cases[i].body != NULL && strcmp(got.body, cases[i].body) != 0))
            fail_msg("%s: %d %s", cases[i].headers, status, got.body);
    }
    assert_int_equal(s3("GET", "/bucket/r", "Range: bytes=2-4", NULL), 206);
    assert_string_equal(s3_header("Content-Range"), "bytes 2-4/10");
    s3("PUT", "/bucket/r", "If-None-Match: *", "x");
    assert_s3_error(412, "PreconditionFailed");
    assert_int_equal(s3("PUT", "/bucket/r2", "If-None-Match: *", "x"), 200);
    s3("PUT", "/bucket/r2", "If-Match: \"nothing\"", "y");
    assert_s3_error(412, "PreconditionFailed");
}

/* What S3 has elsewhere and is not here must not be taken for a put or a listing. */
static void test_what_is_not_there_is_refused(void **state)
{
    (void)state;
    static const char *const never[][3] = {
        {"PUT", "/bucket/kept?renameObject", "x-amz-rename-source: /bucket/other"},
        {"PUT", "/bucket/kept?encryption", NULL},
        {"PUT", "/bucket/kept", "x-amz-write-offset-bytes: 4"},
        {"POST", "/bucket/kept?append&position=4", NULL},
        {"POST", "/bucket/kept?select&select-type=2", NULL},
        {"GET", "/bucket?session", NULL},
        {"GET", "/bucket?abac", NULL},
        {"PUT", "/bucket?metadataTable", NULL},
        {"DELETE", "/bucket?inventory&id=a", NULL},
    };
    assert_int_equal(s3("PUT", "/bucket/kept", NULL, "kept"), 200);
    for (size_t i = 0; i < FT_COUNT(never); i++) {
        s3(never[i][0], never[i][1], never[i][2], NULL);
        assert_s3_error(501, "NotImplemented");
    }
    s3("GET", "/bucket/kept", NULL, NULL);
    assert_string_equal(got.body, "kept");
}

/* A site's links carry parameters of the site's own. */
static void test_objects_are_read_with_any_parameters(void **state)
{
    (void)state;
    static const char *const theirs[] = {
        "session=abc", "append",       "encryption=no", "renameObject",  "restore",   "select=2",
        "abac",        "analytics=on", "inventory",     "metadataTable", "metrics=1",
    };
    char target[64];
    assert_int_equal(s3("PUT", "/bucket/index.html", NULL, "page"), 200);
    for (size_t i = 0; i < FT_COUNT(theirs); i++) {
        snprintf(target, sizeof target, "/bucket/index.html?%s", theirs[i]);
        if (s3("GET", target, NULL, NULL) != 200 || strcmp(got.body, "page") != 0)
            fail_msg("%s: %d %s", target, got.status, got.body);
        assert_int_equal(s3("HEAD", target, NULL, NULL), 200);
    }
}

static void test_a_copy_is_of_whom_it_is_expected(void **state)
{
    (void)state;
    assert_int_equal(s3("PUT", "/bucket/from", NULL, "x"), 200);
    s3("PUT", "/bucket/to",
       "x-amz-copy-source: /bucket/from\nx-amz-source-expected-bucket-owner: somebody", NULL);
    assert_s3_error(403, "AccessDenied");
    assert_int_equal(s3("PUT", "/bucket/to",
                        "x-amz-copy-source: /bucket/from\nx-amz-source-expected-bucket-owner: main",
                        NULL),
                     200);
}

static void test_what_is_too_much_is_refused(void **state)
{
    (void)state;
    char headers[4096] = "x-amz-meta-a: ", target[2048] = "/bucket/";
    memset(headers + strlen(headers), 'v', 2048);
    s3("PUT", "/bucket/k", headers, "x");
    assert_s3_error(400, "MetadataTooLarge");
    memset(target + 8, 'k', 1025);
    s3("PUT", target, NULL, "x");
    assert_s3_error(400, "KeyTooLongError");
    s3("GET", "/bucket/%ff", NULL, NULL);
    assert_s3_error(400, "InvalidURI");
    s3("GET", "/bucket/a%00b", NULL, NULL);
    assert_s3_error(400, "InvalidURI");
    s3("PUT", "/bucket/k", "x-amz-server-side-encryption: AES256", "x");
    assert_s3_error(501, "NotImplemented");
    s3("PUT", "/bucket/k", "x-amz-storage-class: FAST", "x");
    assert_s3_error(400, "InvalidStorageClass");
    s3("PUT", "/bucket/k", "x-amz-storage-class: GLACIER", "x");
    assert_s3_error(400, "InvalidStorageClass");
    s3("POST", "/bucket?delete", NULL, "<Delete>");
    assert_s3_error(400, "MalformedXML");
    static char many[64 << 10];
    size_t n = (size_t)sprintf(many, "<Delete>");
    for (int i = 0; i < 1001; i++)
        n += (size_t)sprintf(many + n, "<Object><Key>k%d</Key></Object>", i);
    sprintf(many + n, "</Delete>");
    s3("POST", "/bucket?delete", NULL, many);
    assert_s3_error(400, "MalformedXML");
    s3("PATCH", "/bucket/k", NULL, "x");
    assert_int_equal(got.status, 405);
}

static void test_listings(void **state)
{
    (void)state;
    struct ft_err err;
    ft_blob_bucket_create(server.blob, "listed", "main", &err);
    static const char *const keys[] = {"a/1", "a/2", "b", "c/x%0Ay", "d%3C"};
    for (size_t i = 0; i < FT_COUNT(keys); i++) {
        char target[64];
        snprintf(target, sizeof target, "/listed/%s", keys[i]);
        assert_int_equal(s3("PUT", target, NULL, "x"), 200);
    }
    assert_int_equal(s3("GET", "/listed?list-type=2&delimiter=/&max-keys=2", NULL, NULL), 200);
    assert_string_equal(s3_element("KeyCount"), "2");
    assert_string_equal(s3_element("IsTruncated"), "true");
    assert_string_equal(s3_element("CommonPrefixes"), "<Prefix>a/</Prefix>");
    assert_string_equal(s3_element("Key"), "b");
    char target[256];
    snprintf(target, sizeof target, "/listed?list-type=2&delimiter=/&continuation-token=%s",
             s3_element("NextContinuationToken"));
    char *eq = strstr(target, "==");
    if (eq != NULL)
        strcpy(eq, "%3D%3D");
    assert_int_equal(s3("GET", target, NULL, NULL), 200);
    assert_string_equal(s3_element("KeyCount"), "2");
    assert_string_equal(s3_element("Key"), "d&lt;");
    assert_int_equal(s3("GET", "/listed?prefix=c/&encoding-type=url", NULL, NULL), 200);
    assert_string_equal(s3_element("Key"), "c/x%0Ay");
    assert_string_equal(s3_element("DisplayName"), "main");
    assert_int_equal(s3("GET", "/listed?max-keys=0", NULL, NULL), 200);
    assert_null(s3_element("Key"));
    s3("GET", "/listed?max-keys=-1", NULL, NULL);
    assert_s3_error(400, "InvalidArgument");
    s3("GET", "/listed?list-type=2&continuation-token=%21", NULL, NULL);
    assert_s3_error(400, "InvalidArgument");
    s3("POST", "/listed?delete", NULL,
       "<Delete><Object><Key>b</Key></Object><Object><Key>none</Key></Object></Delete>");
    assert_string_equal(s3_element("Key"), "b");
    assert_int_equal(s3("GET", "/listed?prefix=b", NULL, NULL), 200);
    assert_null(s3_element("Key"));
}

static void test_copies(void **state)
{
    (void)state;
    s3("PUT", "/bucket/from", "x-amz-meta-m: 1\nContent-Type: text/x\nx-amz-tagging: t=1",
       "content");
    assert_int_equal(s3("PUT", "/bucket/to", "x-amz-copy-source: /bucket/from", ""), 200);
    assert_non_null(s3_element("ETag"));
    s3("GET", "/bucket/to", NULL, NULL);
    assert_string_equal(got.body, "content");
    assert_string_equal(s3_header("x-amz-meta-m"), "1");
    assert_string_equal(s3_header("Content-Type"), "text/x");
    assert_string_equal(s3_header("x-amz-tagging-count"), "1");
    s3("PUT", "/bucket/to",
       "x-amz-copy-source: bucket%2Ffrom\nx-amz-metadata-directive: REPLACE\nx-amz-meta-n: 2", "");
    s3("HEAD", "/bucket/to", NULL, NULL);
    assert_null(s3_header("x-amz-meta-m"));
    assert_string_equal(s3_header("x-amz-meta-n"), "2");
    s3("PUT", "/bucket/from", "x-amz-copy-source: /bucket/from", "");
    assert_s3_error(400, "InvalidRequest");
    s3("PUT", "/bucket/to", "x-amz-copy-source: /bucket/none", "");
    assert_s3_error(404, "NoSuchKey");
    s3("PUT", "/bucket/to", "x-amz-copy-source: /bucket/from\nx-amz-copy-source-if-none-match: *",
       "");
    assert_s3_error(412, "PreconditionFailed");
    s3("PUT", "/bucket/to", "x-amz-copy-source: nothing", "");
    assert_s3_error(400, "InvalidArgument");
    const struct s3_ask other = {.key = "key_other"};
    struct ft_err err;
    ft_blob_bucket_create(server.blob, "others", "other", &err);
    s3_send(&other, "PUT", "/others/k", "x-amz-copy-source: /bucket/from", NULL, 0);
    assert_s3_error(403, "AccessDenied");
}

static void test_uploads_in_parts(void **state)
{
    (void)state;
    static char part[5 << 20], target[512], xml[1024], etag[2][64];
    memset(part, 'p', sizeof part);
    assert_int_equal(s3("POST", "/bucket/mp?uploads",
                        "x-amz-checksum-algorithm: CRC32\nx-amz-checksum-type: FULL_OBJECT\n"
                        "x-amz-meta-m: 1",
                        ""),
                     200);
    char id[200];
    snprintf(id, sizeof id, "%s", s3_element("UploadId"));
    for (int i = 0; i < 2; i++) {
        snprintf(target, sizeof target, "/bucket/mp?partNumber=%d&uploadId=%s", i + 1, id);
        assert_int_equal(s3_send(NULL, "PUT", target, NULL, part, i == 0 ? sizeof part : 7), 200);
        snprintf(etag[i], sizeof etag[i], "%s", s3_header("ETag"));
        assert_non_null(s3_header("x-amz-checksum-crc32"));
    }
    snprintf(target, sizeof target, "/bucket/mp?partNumber=10001&uploadId=%s", id);
    s3("PUT", target, NULL, "x");
    assert_s3_error(400, "InvalidArgument");
    snprintf(target, sizeof target, "/bucket/mp?partNumber=3&uploadId=%s", id);
    s3("PUT", target, "x-amz-checksum-crc32c: yZRlqg==", "x");
    assert_s3_error(400, "InvalidRequest");
    snprintf(target, sizeof target, "/bucket/mp?uploadId=%s", id);
    assert_int_equal(s3("GET", target, NULL, NULL), 200);
    assert_string_equal(s3_element("NextPartNumberMarker"), "2");
    assert_int_equal(s3("GET", "/bucket?uploads", NULL, NULL), 200);
    assert_string_equal(s3_element("UploadId"), id);
#define COMPLETE(a, b)                                                                             \
    "<CompleteMultipartUpload><Part><PartNumber>" a "</PartNumber><ETag>%s</ETag></Part><Part>"    \
    "<PartNumber>" b "</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>"
    snprintf(xml, sizeof xml, COMPLETE("2", "1"), etag[1], etag[0]);
    s3("POST", target, NULL, xml);
    assert_s3_error(400, "InvalidPartOrder");
    snprintf(xml, sizeof xml, COMPLETE("1", "2"), etag[0], etag[0]);
    s3("POST", target, NULL, xml);
    assert_s3_error(400, "InvalidPart");
    snprintf(xml, sizeof xml, COMPLETE("1", "2"), etag[0], etag[1]);
    s3("POST", target, "x-amz-checksum-crc32: AAAAAA==", xml);
    assert_s3_error(400, "BadDigest");
    assert_int_equal(s3("POST", target, NULL, xml), 200);
    assert_string_equal(s3_element("ChecksumType"), "FULL_OBJECT");
    char whole[64];
    snprintf(whole, sizeof whole, "%s", s3_element("ChecksumCRC32"));
    /* the same bytes in one put have the same checksum */
    static char all[(5 << 20) + 7];
    memset(all, 'p', sizeof all);
    char header[128];
    snprintf(header, sizeof header, "x-amz-checksum-crc32: %s", whole);
    assert_int_equal(s3_send(NULL, "PUT", "/bucket/one", header, all, sizeof all), 200);
    assert_int_equal(s3("GET", "/bucket/mp?partNumber=2", "x-amz-checksum-mode: ENABLED", NULL),
                     206);
    assert_string_equal(got.body, "ppppppp");
    assert_string_equal(s3_header("x-amz-mp-parts-count"), "2");
    s3("GET", "/bucket/mp?partNumber=3", NULL, NULL);
    assert_s3_error(400, "InvalidPart");
    assert_int_equal(s3("GET", "/bucket/mp?attributes",
                        "x-amz-object-attributes: ETag,Checksum,ObjectParts,ObjectSize", NULL),
                     200);
    assert_string_equal(s3_element("PartsCount"), "2");
    assert_string_equal(s3_element("ObjectSize"), "5242887");
    assert_string_equal(s3_element("ChecksumCRC32"), whole);
    assert_int_equal(s3_send(NULL, "GET", "/bucket/mp", NULL, NULL, 0), 200);
    assert_int_equal(got.n, sizeof all);
    assert_memory_equal(got.body, all, sizeof all);
}

static void test_small_parts_and_aborts(void **state)
{
    (void)state;
    char target[512], xml[1024], etag[2][64], id[200];
    s3("POST", "/bucket/small?uploads", NULL, "");
    snprintf(id, sizeof id, "%s", s3_element("UploadId"));
    for (int i = 0; i < 2; i++) {
        snprintf(target, sizeof target, "/bucket/small?partNumber=%d&uploadId=%s", i + 1, id);
        s3("PUT", target, NULL, "part");
        snprintf(etag[i], sizeof etag[i], "%s", s3_header("ETag"));
    }
    snprintf(target, sizeof target, "/bucket/small?uploadId=%s", id);
    snprintf(xml, sizeof xml, COMPLETE("1", "2"), etag[0], etag[1]);
    s3("POST", target, NULL, xml);
    assert_s3_error(400, "EntityTooSmall");
    assert_int_equal(s3("DELETE", target, NULL, NULL), 204);
    s3("DELETE", target, NULL, NULL);
    assert_s3_error(404, "NoSuchUpload");
    s3("POST", target, NULL, xml);
    assert_s3_error(404, "NoSuchUpload");
    s3("GET", "/bucket/small", NULL, NULL);
    assert_s3_error(404, "NoSuchKey");
}

/* A flipped byte is an error, never data. */
static void test_damage_is_not_served(void **state)
{
    (void)state;
    s3("PUT", "/bucket/damaged", NULL, "some bytes");
    ft_blob_mem_damage(server.blob, "bucket", "damaged");
    s3("GET", "/bucket/damaged", NULL, NULL);
    assert_s3_error(500, "InternalError");
    ft_blob_mem_break(server.blob, true);
    s3("PUT", "/bucket/k", NULL, "x");
    assert_s3_error(500, "InternalError");
    ft_blob_mem_break(server.blob, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_comes_back),
        cmocka_unit_test(test_who_may),
        cmocka_unit_test(test_metadata_comes_back),
        cmocka_unit_test(test_sizes_that_are_none),
        cmocka_unit_test(test_ranges_and_conditions),
        cmocka_unit_test(test_what_is_too_much_is_refused),
        cmocka_unit_test(test_what_is_not_there_is_refused),
        cmocka_unit_test(test_objects_are_read_with_any_parameters),
        cmocka_unit_test(test_a_copy_is_of_whom_it_is_expected),
        cmocka_unit_test(test_listings),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_uploads_in_parts),
        cmocka_unit_test(test_small_parts_and_aborts),
        cmocka_unit_test(test_damage_is_not_served),
    };
    return cmocka_run_group_tests(tests, s3_setup, s3_end);
}
