/* Bodies in every form: plain, in signed chunks, with trailers; whatever lies is refused, and
 * nothing of it is kept. Forms of browsers. */
/* labels: threads */
#include <nettle/base64.h>
#include <nettle/hmac.h>

#include "base/crc.h"
#include "s3_client.h"

#define FIRST "first chunk, "
#define LAST  "last chunk"

static char body[8192];
static size_t n_body;

static void crc_text(char ret[16])
{
    uint32_t crc = ft_crc32(0, FIRST LAST, sizeof FIRST LAST - 1);
    uint8_t big[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
                      (uint8_t)crc};
    base64_encode_raw(ret, 4, big);
    ret[BASE64_ENCODE_RAW_LENGTH(4)] = '\0';
}

static void add_chunk(struct ft_sigv4_chain *c, const char *data)
{
    char hash[65], signature[65];
    sha256_text(data, strlen(data), hash);
    ft_sigv4_chunk(c, hash, signature);
    n_body += (size_t)sprintf(body + n_body, "%zx;chunk-signature=%s\r\n%s%s", strlen(data),
                              signature, data, data[0] != '\0' ? "\r\n" : "");
}

enum lie { NONE, BYTE, SIGNATURE, LENGTH, TRAILER_SIGNATURE, TRAILER_VALUE, CUT, NO_SIGNATURE };

/* A put in signed chunks, with or without a trailer. */
static int put_chunks(bool trailer, enum lie lie)
{
    struct ft_sigv4_chain chain;
    char crc[16];
    crc_text(crc);
    const char *payload = trailer ? FT_SIGV4_CHUNKS_TRAILER : FT_SIGV4_CHUNKS;
    struct ft_http_field f[8] = {{"Host", "localhost"}, {"Content-Encoding", "aws-chunked"}};
    int n = 2;
    char length[32];
    snprintf(length, sizeof length, "%zu", sizeof FIRST LAST - 1 + (lie == LENGTH));
    f[n++] = (struct ft_http_field){"x-amz-decoded-content-length", length};
    if (trailer)
        f[n++] = (struct ft_http_field){"x-amz-trailer", "x-amz-checksum-crc32"};
    const struct ft_sigv4_request r = {"PUT", "/bucket/chunks", "", f, n};
    const struct ft_sigv4_key k = {S3_KEY, S3_SECRET, "us-east-1", "s3"};
    struct ft_sigv4_signed s;
    assert_int_equal(ft_sigv4_sign(&r, &k, payload, (int64_t)time(NULL), &s, NULL), 0);
    chain = s.chain;
    n_body = 0;
    add_chunk(&chain, FIRST);
    add_chunk(&chain, LAST);
    add_chunk(&chain, "");
    if (trailer) {
        char line[128], hash[65], signature[65];
        snprintf(line, sizeof line, "x-amz-checksum-crc32:%s\n",
                 lie == TRAILER_VALUE ? "AAAAAA==" : crc);
        sha256_text(line, strlen(line), hash);
        ft_sigv4_trailer(&chain, hash, signature);
        signature[0] ^= lie == TRAILER_SIGNATURE;
        line[strlen(line) - 1] = '\0';
        n_body +=
            (size_t)sprintf(body + n_body, "%s\r\nx-amz-trailer-signature:%s\r\n", line, signature);
    }
    n_body += (size_t)sprintf(body + n_body, "\r\n");
    if (lie == BYTE)
        *strstr(body, "last") = 'L';
    if (lie == SIGNATURE)
        body[20] ^= 1;
    if (lie == NO_SIGNATURE)
        body[1] = '\r';
    if (lie == CUT)
        n_body -= 20;
    char head[4096];
    size_t len =
        (size_t)snprintf(head, sizeof head,
                         "PUT /bucket/chunks HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n"
                         "Content-Encoding: aws-chunked\r\nx-amz-decoded-content-length: %s\r\n%s"
                         "Content-Length: %zu\r\nx-amz-date: %s\r\nx-amz-content-sha256: %s\r\n"
                         "Authorization: %s\r\n\r\n",
                         length, trailer ? "x-amz-trailer: x-amz-checksum-crc32\r\n" : "", n_body,
                         s.date, payload, s.authorization);
    s3_raw(head, len, body, n_body);
    return got.status;
}

static void gone(void)
{
    s3("GET", "/bucket/chunks", NULL, NULL);
    assert_s3_error(404, "NoSuchKey");
}

static void test_signed_chunks(void **state)
{
    (void)state;
    static const struct {
        bool trailer;
        enum lie lie;
        const char *code;
    } lies[] = {
        {false, BYTE, "SignatureDoesNotMatch"}, {false, SIGNATURE, "SignatureDoesNotMatch"},
        {false, LENGTH, "IncompleteBody"},      {false, CUT, "IncompleteBody"},
        {true, BYTE, "SignatureDoesNotMatch"},  {true, TRAILER_SIGNATURE, "SignatureDoesNotMatch"},
        {true, TRAILER_VALUE, "BadDigest"},     {true, CUT, "IncompleteBody"},
        {true, NO_SIGNATURE, "InvalidRequest"},
    };
    for (size_t i = 0; i < FT_COUNT(lies); i++) {
        put_chunks(lies[i].trailer, lies[i].lie);
        const char *code = s3_element("Code");
        if (code == NULL || strcmp(code, lies[i].code) != 0)
            fail_msg("%zu: %d %s", i, got.status, got.body);
        gone();
    }
    for (int trailer = 0; trailer < 2; trailer++) {
        char crc[16];
        crc_text(crc);
        if (put_chunks(trailer, NONE) != 200)
            fail_msg("%s", got.body);
        if (trailer)
            assert_string_equal(s3_header("x-amz-checksum-crc32"), crc);
        s3("GET", "/bucket/chunks", "x-amz-checksum-mode: ENABLED", NULL);
        assert_string_equal(got.body, FIRST LAST);
        assert_null(s3_header("Content-Encoding"));
        s3("DELETE", "/bucket/chunks", NULL, NULL);
    }
}

static int put_unsigned(const char *text, const char *decoded)
{
    char headers[256];
    snprintf(headers, sizeof headers,
             "Content-Encoding: aws-chunked\nx-amz-trailer: x-amz-checksum-crc32%s%s",
             decoded != NULL ? "\nx-amz-decoded-content-length: " : "",
             decoded != NULL ? decoded : "");
    const struct s3_ask ask = {.payload = FT_SIGV4_UNSIGNED_TRAILER};
    return s3_send(&ask, "PUT", "/bucket/chunks", headers, text, strlen(text));
}

static void test_unsigned_chunks(void **state)
{
    (void)state;
    char crc[16], text[256];
    crc_text(crc);
    snprintf(text, sizeof text,
             "d\r\n" FIRST "\r\nA\r\n" LAST "\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", crc);
    if (put_unsigned(text, "23") != 200)
        fail_msg("%s", got.body);
    s3("GET", "/bucket/chunks", NULL, NULL);
    assert_string_equal(got.body, FIRST LAST);
    s3("DELETE", "/bucket/chunks", NULL, NULL);
    put_unsigned(text, NULL);
    assert_s3_error(411, "MissingContentLength");
    put_unsigned(text, "22");
    assert_s3_error(400, "IncompleteBody");
    put_unsigned(text, "24");
    assert_s3_error(400, "IncompleteBody");
    static const char *const bad[] = {
        "",
        "\r\n",
        "zz\r\n",
        "-1\r\n",
        "ffffffffffffff\r\n",
        "d\r\n" FIRST "xx",
        "0\r\n\r\n",
        "d\r\n" FIRST "\r\nA\r\n" LAST "\r\n0\r\n\r\n",
        "d\r\n" FIRST "\r\nA\r\n" LAST "\r\n0\r\nno colon\r\n\r\n",
        "d\r\n" FIRST "\r\nA\r\n" LAST "\r\n0\r\nx-amz-checksum-sha1:AAAA\r\n\r\n",
        "d\r\n" FIRST "\r\nA\r\n" LAST "\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n",
        "d\r\n" FIRST "\r\nA\r\n" LAST "\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        if (put_unsigned(bad[i], "23") != 400)
            fail_msg("%zu: %d %s", i, got.status, got.body);
        gone();
    }
}

static void test_plain_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *code;
    } bad[] = {
        {"Content-MD5: AAAA", "InvalidDigest"},
        {"Content-MD5: rL0Y20xC+Fzt72VPzMSk2A==", "BadDigest"},
        {"x-amz-checksum-crc32: AAAAAA==", "BadDigest"},
        {"x-amz-checksum-crc32: nonsense", "BadDigest"},
        {"x-amz-checksum-crc64nvme: AAAAAAAAAAA=", "BadDigest"},
        {"x-amz-checksum-sha1: AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "BadDigest"},
        {"x-amz-checksum-crc32: AAAAAA==\nx-amz-checksum-crc32c: AAAAAA==", "InvalidRequest"},
        {"x-amz-sdk-checksum-algorithm: CRC32", "InvalidRequest"},
        {"x-amz-trailer: x-amz-checksum-crc32", "InvalidRequest"},
        {"x-amz-trailer: x-something", "InvalidRequest"},
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        s3("PUT", "/bucket/chunks", bad[i].headers, FIRST LAST);
        const char *code = s3_element("Code");
        if (code == NULL || strcmp(code, bad[i].code) != 0)
            fail_msg("%s: %s", bad[i].headers, got.body);
        gone();
    }
    const struct s3_ask lie = {.payload = FT_SIGV4_EMPTY_SHA256},
                        open = {.payload = FT_SIGV4_UNSIGNED};
    s3_send(&lie, "PUT", "/bucket/chunks", NULL, "x", 1);
    assert_s3_error(400, "XAmzContentSHA256Mismatch");
    gone();
    assert_int_equal(s3_send(&open, "PUT", "/bucket/chunks", NULL, "x", 1), 200);
    /* the published check values of "123456789" */
    static const char *const sums[] = {
        "x-amz-checksum-crc32: y/Q5Jg==",
        "x-amz-checksum-crc32c: 4waSgw==",
        "x-amz-checksum-crc64nvme: rosUhgp5mIg=",
        "x-amz-checksum-sha1: 98O8HYCOBHMq32eZZczDTKeuNEE=\nContent-MD5: JfnnlDI7RTiF9RgfG2JNCw==",
        "x-amz-checksum-sha256: FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
    };
    for (size_t i = 0; i < FT_COUNT(sums); i++)
        if (s3("PUT", "/bucket/chunks", sums[i], "123456789") != 200)
            fail_msg("%s: %s", sums[i], got.body);
    s3("DELETE", "/bucket/chunks", NULL, NULL);
}

/* ---- forms ---- */

static const char *form_headers = ""; /* "\nName: value" */

static int post_form(const char *policy, const char *key, const char *more, bool v4)
{
    char text[4096], b64[2048], head[512], signature[128] = "", credential[256], date[32];
    static const struct s3_ask none = {.key = ""};
    base64_encode_raw(b64, strlen(policy), (const uint8_t *)policy);
    b64[BASE64_ENCODE_RAW_LENGTH(strlen(policy))] = '\0';
    size_t n = 0;
#define FIELD(name, value)                                                                         \
    n += (size_t)sprintf(                                                                          \
        text + n, "--B\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", name, value)
    FIELD("key", key);
    FIELD("policy", b64);
    if (v4) {
        struct ft_sigv4_chain chain;
        const struct ft_sigv4_key k = {S3_KEY, S3_SECRET, "us-east-1", "s3"};
        ft_sigv4_derive(&k, (int64_t)time(NULL), &chain);
        ft_sigv4_policy(&chain, b64, signature);
        snprintf(credential, sizeof credential, "%s/%s", S3_KEY, chain.scope);
        snprintf(date, sizeof date, "%s", chain.date);
        FIELD("x-amz-algorithm", "AWS4-HMAC-SHA256");
        FIELD("x-amz-credential", credential);
        FIELD("x-amz-date", date);
        FIELD("x-amz-signature", signature);
    } else {
        struct hmac_sha1_ctx ctx;
        uint8_t digest[20];
        hmac_sha1_set_key(&ctx, strlen(S3_SECRET), (const uint8_t *)S3_SECRET);
        hmac_sha1_update(&ctx, strlen(b64), (const uint8_t *)b64);
        hmac_sha1_digest(&ctx, 20, digest);
        base64_encode_raw(signature, 20, digest);
        signature[28] = '\0';
        FIELD("AWSAccessKeyId", S3_KEY);
        FIELD("signature", signature);
    }
    if (more != NULL)
        FIELD(more, "extra");
    n += (size_t)sprintf(text + n, "--B\r\nContent-Disposition: form-data; name=\"file\"; "
                                   "filename=\"f.txt\"\r\n\r\ncontent\r\n--B--\r\n");
    snprintf(head, sizeof head, "Content-Type: multipart/form-data; boundary=B%s", form_headers);
    return s3_send(&none, "POST", "/bucket", head, text, n);
}

#define POLICY(more)                                                                               \
    "{\"expiration\": \"2100-01-01T00:00:00Z\", \"conditions\": [{\"bucket\": \"bucket\"}, "       \
    "[\"starts-with\", \"$key\", \"up/\"], [\"starts-with\", \"$x-amz-algorithm\", \"\"], "        \
    "[\"starts-with\", \"$x-amz-credential\", \"\"], [\"starts-with\", \"$x-amz-date\", "          \
    "\"\"]" more "]}"
#define POLICY_V2(more)                                                                            \
    "{\"expiration\": \"2100-01-01T00:00:00Z\", \"conditions\": [{\"bucket\": \"bucket\"}, "       \
    "[\"starts-with\", \"$key\", \"up/\"]" more "]}"

static void test_forms(void **state)
{
    (void)state;
    if (post_form(POLICY(""), "up/${filename}", NULL, true) != 204)
        fail_msg("%s", got.body);
    s3("GET", "/bucket/up/f.txt", NULL, NULL);
    assert_string_equal(got.body, "content");
    assert_int_equal(post_form(POLICY_V2(""), "up/2", NULL, false), 204);
    post_form(POLICY_V2(""), "down/2", NULL, false);
    assert_s3_error(403, "AccessDenied");
    post_form(POLICY_V2(""), "up/2", "x-amz-meta-more", false);
    assert_s3_error(403, "AccessDenied");
    assert_int_equal(post_form(POLICY_V2(""), "up/2", "x-ignore-it", false), 204);
    post_form(POLICY_V2(", [\"content-length-range\", 0, 6]"), "up/2", NULL, false);
    assert_s3_error(400, "EntityTooLarge");
    post_form(POLICY_V2(", [\"content-length-range\", 8, 9]"), "up/2", NULL, false);
    assert_s3_error(400, "EntityTooSmall");
    post_form("{\"expiration\": \"2000-01-01T00:00:00Z\", \"conditions\": [{\"bucket\": "
              "\"bucket\"}]}",
              "up/2", NULL, false);
    assert_s3_error(403, "AccessDenied");
    post_form("{\"conditions\": []}", "up/2", NULL, false);
    assert_s3_error(400, "InvalidPolicyDocument");
    post_form("no json", "up/2", NULL, false);
    assert_s3_error(400, "InvalidPolicyDocument");
    post_form(POLICY_V2(""), "up/2", "key", false); /* the first is held to the policy */
    assert_s3_error(403, "AccessDenied");
}

/* Who holds a signed form may do what is in it, and no more. */
static void test_headers_of_forms_are_not_the_forms(void **state)
{
    (void)state;
    static const struct s3_ask other = {.key = "key_other"};
    assert_int_equal(s3("PUT", "/bucket?ownershipControls", NULL,
                        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership>"
                        "</Rule></OwnershipControls>"),
                     200);
    form_headers = "\nx-amz-grant-full-control: id=other";
    assert_int_equal(post_form(POLICY_V2(""), "up/mine", NULL, false), 204);
    form_headers = "";
    s3_send(&other, "GET", "/bucket/up/mine", NULL, NULL, 0);
    assert_s3_error(403, "AccessDenied");
    /* nor do they meet what the bucket's policy asks of tags */
    assert_int_equal(
        s3("PUT", "/bucket?policy", NULL,
           "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Deny\", \"Principal\": "
           "\"*\", \"Action\": \"s3:PutObject\", \"Resource\": \"arn:aws:s3:::bucket/*\", "
           "\"Condition\": {\"StringNotEquals\": {\"s3:RequestObjectTag/a\": \"b\"}}}]}"),
        204);
    form_headers = "\nx-amz-tagging: a=b";
    post_form(POLICY_V2(""), "up/tagged", NULL, false);
    assert_s3_error(403, "AccessDenied");
    form_headers = "";
    assert_int_equal(s3("DELETE", "/bucket?policy", NULL, NULL), 204);
}

/* A body is what its headers say, whoever sends it. */
static void test_bodies_of_nobody(void **state)
{
    (void)state;
    static const struct s3_ask none = {.key = ""};
    static const char framed[] = "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
    assert_int_equal(s3("PUT", "/bucket?ownershipControls", NULL,
                        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership>"
                        "</Rule></OwnershipControls>"),
                     200);
    assert_int_equal(s3("PUT", "/bucket?acl", "x-amz-acl: public-read-write", ""), 200);
    assert_int_equal(s3_send(&none, "PUT", "/bucket/chunks",
                             "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\n"
                             "x-amz-decoded-content-length: 3\nx-amz-trailer: x-amz-checksum-crc32",
                             framed, sizeof framed - 1),
                     200);
    s3("GET", "/bucket/chunks", NULL, NULL);
    assert_string_equal(got.body, "abc");
    s3("DELETE", "/bucket/chunks", NULL, NULL);
    s3_send(&none, "PUT", "/bucket/chunks", "x-amz-content-sha256: " FT_SIGV4_EMPTY_SHA256, "x", 1);
    assert_s3_error(400, "XAmzContentSHA256Mismatch");
    s3_send(&none, "PUT", "/bucket/chunks", "x-amz-content-sha256: " FT_SIGV4_CHUNKS, "x", 1);
    assert_s3_error(400, "InvalidArgument");
    gone();
    /* how many of them there are is bounded before anything is read */
    server.nobody_is_busy = true;
    s3_send(&none, "PUT", "/bucket/chunks", NULL, "x", 1);
    assert_s3_error(503, "SlowDown");
    gone();
    post_form(POLICY_V2(""), "up/2", NULL, false);
    assert_s3_error(503, "SlowDown");
    server.nobody_is_busy = false;
    assert_int_equal(s3("PUT", "/bucket?acl", "x-amz-acl: private", ""), 200);
}

/* What comes without a length is counted as it comes. */
static void test_bytes_of_unknown_number_are_counted(void **state)
{
    (void)state;
    static const struct s3_ask open = {.payload = FT_SIGV4_UNSIGNED};
    static const char chunks[] = "a\r\n0123456789\r\n0\r\n\r\n";
    server.room = 9;
    s3_send(&open, "PUT", "/bucket/unknown", "Transfer-Encoding: chunked\n", chunks,
            sizeof chunks - 1);
    assert_s3_error(403, "QuotaExceeded");
    server.room = 10;
    assert_int_equal(s3_send(&open, "PUT", "/bucket/unknown", "Transfer-Encoding: chunked\n",
                             chunks, sizeof chunks - 1),
                     200);
    server.room = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_chunks),
        cmocka_unit_test(test_unsigned_chunks),
        cmocka_unit_test(test_plain_bodies),
        cmocka_unit_test(test_bodies_of_nobody),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_headers_of_forms_are_not_the_forms),
        cmocka_unit_test(test_bytes_of_unknown_number_are_counted),
    };
    return cmocka_run_group_tests(tests, s3_setup, s3_end);
}
