/* Signatures: the examples that AWS publishes for S3, and what must be refused. */
#include "net/sigv4.h"

#include "net/date.h"
#include "net/url.h"
#include "testing.h"

/* docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and the pages beside it */
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define NOW    INT64_C(1369353600) /* 20130524T000000Z */
static const struct ft_sigv4_key key = {"AKIAIOSFODNN7EXAMPLE", SECRET, "us-east-1", "s3"};
#define empty FT_SIGV4_EMPTY_SHA256
static struct ft_err err;

#define HOST                                                                                       \
    {                                                                                              \
        "Host", "examplebucket.s3.amazonaws.com"                                                   \
    }

static const char *signature_of(const struct ft_sigv4_signed *s)
{
    return s->chain.previous;
}

static void test_published_examples(void **state)
{
    (void)state;
    const struct {
        struct ft_sigv4_request r;
        const char *payload, *signature;
    } cases[] = {
        {{"GET", "/test.txt", "", (struct ft_http_field[]){HOST, {"Range", "bytes=0-9"}}, 2},
         empty,
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {{"GET", "/", "lifecycle", (struct ft_http_field[]){HOST}, 1},
         empty,
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {{"GET", "/", "prefix=J&max-keys=2", (struct ft_http_field[]){HOST}, 1},
         empty,
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        struct ft_sigv4_signed s;
        assert_int_equal(ft_sigv4_sign(&cases[i].r, &key, cases[i].payload, NOW, &s, &err), 0);
        assert_string_equal(signature_of(&s), cases[i].signature);
        assert_string_equal(s.date, "20130524T000000Z");
    }
}

/* The PUT of the same page signs its Date header too, which a signer of ours does not. */
static const struct ft_http_field put_fields[] = {
    HOST,
    {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
    {"x-amz-date", "20130524T000000Z"},
    {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
    {"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
    {"Authorization",
     "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
     "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
     "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
};
static const struct ft_sigv4_request put = {"PUT", "/test$file.text", "", put_fields,
                                            FT_COUNT(put_fields)};

static int check(const struct ft_sigv4_request *r, const char *secret, const char *region,
                 int64_t now)
{
    struct ft_sigv4_auth a;
    memset(&err, 0, sizeof err);
    int rc = ft_sigv4_read(r, &a, &err);
    return rc != 0 ? rc : ft_sigv4_verify(r, &a, secret, region, "s3", now, NULL, &err);
}

static void test_a_published_put_is_accepted(void **state)
{
    (void)state;
    struct ft_sigv4_auth a;
    assert_int_equal(ft_sigv4_read(&put, &a, &err), 0);
    assert_int_equal(a.how, FT_SIGV4_HEADER);
    assert_int_equal(a.payload, FT_SIGV4_P_HASH);
    assert_string_equal(a.id, "AKIAIOSFODNN7EXAMPLE");
    assert_string_equal(a.region, "us-east-1");
    assert_string_equal(a.names, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class");
    assert_int_equal(check(&put, SECRET, "us-east-1", NOW), 0);
    assert_int_equal(check(&put, SECRET, NULL, NOW + 900), 0);
    assert_int_equal(check(&put, SECRET, NULL, NOW - 900), 0);
    /* the same path, escaped otherwise */
    struct ft_sigv4_request r = put;
    r.path = "/%74est%24file.text?";
    assert_int_equal(check(&r, SECRET, NULL, NOW), 0);
}

static void test_what_is_not_right_is_refused(void **state)
{
    (void)state;
    assert_int_not_equal(check(&put, SECRET "x", NULL, NOW), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_MISMATCH);
    assert_int_not_equal(check(&put, SECRET, "eu-west-1", NOW), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_MALFORMED);
    assert_int_not_equal(check(&put, SECRET, NULL, NOW + 901), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_SKEWED);
    assert_int_not_equal(check(&put, SECRET, NULL, NOW - 901), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_SKEWED);
    struct ft_sigv4_request r = put;
    r.method = "GET";
    assert_int_not_equal(check(&r, SECRET, NULL, NOW), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_MISMATCH);
    r = put;
    r.path = "/test%2ffile.text";
    assert_int_not_equal(check(&r, SECRET, NULL, NOW), 0);
    r = put;
    r.query = "acl";
    assert_int_not_equal(check(&r, SECRET, NULL, NOW), 0);
}

/* One header of the put in another's place. */
static int check_with(const char *name, const char *value)
{
    struct ft_http_field f[FT_COUNT(put_fields) + 1];
    int n = FT_COUNT(put_fields);
    memcpy(f, put_fields, sizeof put_fields);
    int i = 0;
    while (i < n && strcasecmp(f[i].name, name) != 0)
        i++;
    f[i] = (struct ft_http_field){name, value};
    struct ft_sigv4_request r = put;
    r.fields = f;
    r.n_fields = i < n ? n : n + 1;
    return check(&r, SECRET, NULL, NOW);
}

static void test_headers_that_lie(void **state)
{
    (void)state;
#define CREDENTIAL "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
#define SIG        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    static const struct {
        const char *name, *value;
        enum ft_sigv4_why why;
    } cases[] = {
        {"Authorization", "Basic abc", FT_SIGV4_OTHER_SCHEME},
        {"Authorization", "AWS AKIA:sig", FT_SIGV4_OTHER_SCHEME},
        {"Authorization", "AWS4-HMAC-SHA256", FT_SIGV4_OTHER_SCHEME},
        {"Authorization", "AWS4-HMAC-SHA256 ", FT_SIGV4_MALFORMED},
        {"Authorization", "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIG, FT_SIGV4_MALFORMED},
        {"Authorization", "AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=x-amz-date," SIG,
         FT_SIGV4_MALFORMED},
        {"Authorization", "AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=Host," SIG,
         FT_SIGV4_MALFORMED},
        {"Authorization", "AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=host;," SIG,
         FT_SIGV4_MALFORMED},
        {"Authorization", "AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=host,Signature=00",
         FT_SIGV4_MALFORMED},
        {"Authorization",
         "AWS4-HMAC-SHA256 Credential=a/2013/us-east-1/s3/aws4_request,SignedHeaders=host," SIG,
         FT_SIGV4_MALFORMED},
        {"Authorization", "AWS4-HMAC-SHA256 Credential=////,SignedHeaders=host," SIG,
         FT_SIGV4_MALFORMED},
        {"Authorization", "AWS4-HMAC-SHA256 " CREDENTIAL ",SignedHeaders=host," SIG,
         FT_SIGV4_NOT_SIGNED},
        {"x-amz-acl", "public-read", FT_SIGV4_NOT_SIGNED},
        {"x-amz-date", "yesterday", FT_SIGV4_NO_DATE},
        {"x-amz-date", "20130525T000000Z", FT_SIGV4_MALFORMED}, /* the scope is of another day */
        {"x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", FT_SIGV4_BAD_HASH},
        {"x-amz-content-sha256", "", FT_SIGV4_BAD_HASH},
        {"x-amz-content-sha256", "UNSIGNED-PAYLOAD", FT_SIGV4_MISMATCH},
    };
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        int rc = check_with(cases[i].name, cases[i].value);
        if (rc == 0 || ft_sigv4_why(&err) != cases[i].why)
            fail_msg("%zu: %s: %s: %d: %s", i, cases[i].name, cases[i].value, ft_sigv4_why(&err),
                     err.msg);
    }
}

static void test_presigned(void **state)
{
    (void)state;
    static const struct ft_http_field host[] = {HOST};
    struct ft_sigv4_request r = {"GET", "/test.txt", "", host, 1};
    struct ft_buf q;
    ft_buf_init(&q, 4096);
    assert_int_equal(ft_sigv4_presign(&r, &key, NOW, 86400, &q, &err), 0);
    assert_non_null(strstr(q.data, "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265"
                                   "957d157751f604d404"));
    r.query = q.data;
    assert_int_equal(check(&r, SECRET, "us-east-1", NOW + 86400), 0);
    assert_int_not_equal(check(&r, SECRET, "us-east-1", NOW + 86401), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_EXPIRED);
    assert_int_not_equal(check(&r, SECRET, "us-east-1", NOW - 901), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_NOT_YET);
    char *at = strstr(q.data, "X-Amz-Expires=86400");
    memcpy(at, "X-Amz-Expires=96400", 19);
    assert_int_not_equal(check(&r, SECRET, NULL, NOW), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_MISMATCH);
    memcpy(at, "X-Amz-Expires=-6400", 19);
    assert_int_not_equal(check(&r, SECRET, NULL, NOW), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_BAD_EXPIRES);
    memcpy(at, "X-Amz-Expires=00000", 19);
    assert_int_not_equal(check(&r, SECRET, NULL, NOW), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_BAD_EXPIRES);
    ft_buf_fini(&q);
    /* of whatever an object is called */
    ft_buf_init(&q, 4096);
    r = (struct ft_sigv4_request){"PUT", "/b//../%C3%A4+b%20c", "b=2&a=%20&a-b=1&a=+x", host, 1};
    assert_int_equal(ft_sigv4_presign(&r, &key, NOW, 60, &q, &err), 0);
    r.query = q.data;
    assert_int_equal(check(&r, SECRET, NULL, NOW), 0);
    r.method = "GET";
    assert_int_not_equal(check(&r, SECRET, NULL, NOW), 0);
    ft_buf_fini(&q);
    r.query = "AWSAccessKeyId=a&Signature=b&Expires=1";
    assert_int_equal(check(&r, SECRET, NULL, NOW), FT_EUNSUPPORTED);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_OTHER_SCHEME);
    r.query = "X-Amz-Algorithm=AWS4-HMAC-SHA256";
    assert_int_not_equal(check(&r, SECRET, NULL, NOW), 0);
    assert_int_equal(ft_sigv4_why(&err), FT_SIGV4_QUERY_MALFORMED);
}

static void test_anonymous(void **state)
{
    (void)state;
    static const struct ft_http_field host[] = {HOST};
    struct ft_sigv4_request r = {"GET", "/test.txt", "versions", host, 1};
    struct ft_sigv4_auth a;
    assert_int_equal(ft_sigv4_read(&r, &a, &err), 0);
    assert_int_equal(a.how, FT_SIGV4_ANONYMOUS);
}

/* SHA-256 of 64 KiB and of 1 KiB of 'a': as the example's chunks are. */
#define A64K "bf718b6f653bebc184e1479f1935b8da974d701b893afcf49e701f3e2f9f9c5a"
#define A1K  "2edc986847e209b4016e141a6dc8716d3207350f416969382d431539bf292e4a"

static const struct ft_http_field chunked_fields[] = {
    HOST,
    {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
    {"Content-Encoding", "aws-chunked"},
    {"x-amz-decoded-content-length", "66560"},
    {"Content-Length", "66824"},
    {"x-amz-date", "20130524T000000Z"},
    {"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
    {"Authorization",
     "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
     "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
     "x-amz-decoded-content-length;x-amz-storage-class,"
     "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"},
};

static void test_published_chunks(void **state)
{
    (void)state;
    struct ft_sigv4_request r = {"PUT", "/examplebucket/chunkObject.txt", "",
                                 (struct ft_http_field[8]){{0}}, FT_COUNT(chunked_fields)};
    struct ft_http_field f[FT_COUNT(chunked_fields)];
    memcpy(f, chunked_fields, sizeof f);
    f[0].value = "s3.amazonaws.com";
    r.fields = f;
    struct ft_sigv4_auth a;
    struct ft_sigv4_chain c;
    char hex[65];
    assert_int_equal(ft_sigv4_read(&r, &a, &err), 0);
    assert_int_equal(a.payload, FT_SIGV4_P_CHUNKS);
    assert_int_equal(ft_sigv4_verify(&r, &a, SECRET, NULL, "s3", NOW, &c, &err), 0);
    ft_sigv4_chunk(&c, A64K, hex);
    assert_string_equal(hex, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
    ft_sigv4_chunk(&c, A1K, hex);
    assert_string_equal(hex, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
    ft_sigv4_chunk(&c, FT_SIGV4_EMPTY_SHA256, hex);
    assert_string_equal(hex, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
}

static void test_published_trailer(void **state)
{
    (void)state;
    struct ft_sigv4_chain c;
    char hex[65];
    ft_sigv4_derive(&key, NOW, &c);
    strcpy(c.previous, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
    ft_sigv4_chunk(&c, A64K, hex);
    assert_string_equal(hex, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2");
    ft_sigv4_chunk(&c, A1K, hex);
    assert_string_equal(hex, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7");
    ft_sigv4_chunk(&c, FT_SIGV4_EMPTY_SHA256, hex);
    assert_string_equal(hex, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992");
    /* SHA-256 of "x-amz-checksum-crc32c:sOO8/Q==\n" */
    ft_sigv4_trailer(&c, "1e376db7e1a34a8ef1c4bcee131a2d60a1cb62503747488624e10995f448d774", hex);
    assert_string_equal(hex, "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
}

static void test_dates(void **state)
{
    (void)state;
    char text[FT_DATE_MAX];
    int64_t t;
    ft_date_http(NOW, text);
    assert_string_equal(text, "Fri, 24 May 2013 00:00:00 GMT");
    ft_date_iso(NOW * 1000000000 + 45000000, text);
    assert_string_equal(text, "2013-05-24T00:00:00.045Z");
    static const char *const same[] = {"2013-05-24T00:00:00Z", "2013-05-24T00:00:00.123Z",
                                       "2013-05-24", "20130524T000000Z",
                                       "2013-05-24T01:30:00+01:30"};
    for (size_t i = 0; i < FT_COUNT(same); i++) {
        assert_true(ft_date_parse_iso(same[i], &t));
        assert_int_equal(t, NOW);
    }
    assert_true(ft_date_parse_http("Fri, 24 May 2013 00:00:00 GMT", &t));
    assert_int_equal(t, NOW);
    assert_true(ft_date_parse_http("Fri, 24 May 2013 00:00:00 +0000", &t));
    static const char *const bad[] = {"",    "2013-02-30T00:00:00Z", "2013-13-01",
                                      "now", "2013-05-24T25:00:00Z", "2013-05-24T00:00:00Zx"};
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        assert_false(ft_date_parse_iso(bad[i], &t));
        assert_false(ft_date_parse_http(bad[i], &t));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_examples),
        cmocka_unit_test(test_a_published_put_is_accepted),
        cmocka_unit_test(test_what_is_not_right_is_refused),
        cmocka_unit_test(test_headers_that_lie),
        cmocka_unit_test(test_presigned),
        cmocka_unit_test(test_anonymous),
        cmocka_unit_test(test_published_chunks),
        cmocka_unit_test(test_published_trailer),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
