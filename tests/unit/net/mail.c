/* Mails as they go over the wire: addresses, subjects of any characters, texts of any length. */
#include "net/mail.h"

#include <string.h>

#include "base/err.h"
#include "testing.h"

static const char *written(struct ft_buf *b, const char *to, const char *subject, const char *text)
{
    struct ft_err err = {0};
    struct ft_mail m = {.from = "cloud@example.org", .to = to, .subject = subject, .text = text};
    ft_buf_reset(b);
    int rc = ft_mail_write(&m, 1700000000, "0123", b, &err);
    return rc == 0 ? b->data : NULL;
}

static void test_a_mail(void **state)
{
    (void)state;
    struct ft_buf b;
    ft_buf_init(&b, FT_MAIL_BYTES_MAX);
    const char *m = written(&b, "ops@example.org", "disk full", "hello\n");
    assert_non_null(m);
    assert_string_equal(m, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
                           "From: <cloud@example.org>\r\nTo: <ops@example.org>\r\n"
                           "Message-ID: <0123@feitian>\r\n"
                           "Subject: =?utf-8?B?ZGlzayBmdWxs?=\r\n"
                           "MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n"
                           "Content-Type: text/plain; charset=utf-8\r\n"
                           "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8K\r\n");
    ft_buf_fini(&b);
}

/* Nothing that stands in a name or a value begins a line of its own, or one that is too long. */
static void test_lines(void **state)
{
    (void)state;
    char subject[400], text[5000];
    struct ft_buf b;
    ft_buf_init(&b, FT_MAIL_BYTES_MAX);
    for (size_t i = 0; i + 4 < sizeof subject; i += 3)
        memcpy(subject + i, "\xe7\x81\xab", 4);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *m = written(&b, "ops@example.org", subject, text);
    assert_non_null(m);
    for (const char *line = m; *line != '\0';) {
        const char *end = strstr(line, "\r\n");
        assert_non_null(end);
        assert_true(end - line <= 78);
        line = end + 2;
    }
    m = written(&b, "ops@example.org", "a\r\nBcc: b@example.org", "");
    assert_null(strstr(m, "Bcc"));
    ft_buf_fini(&b);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "a",     "a@",      "@b",         "a@b@c",  "a b@c",
                                      "a@b\n", "<a@b>", "a@b,c@d", "\xc3\xa9@b", "a@b\x7f"};
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_false(ft_mail_address_ok(bad[i]));
    assert_true(ft_mail_address_ok("first.last+tag@mail.example.org"));
    struct ft_buf b;
    ft_buf_init(&b, FT_MAIL_BYTES_MAX);
    assert_null(written(&b, "a@b\r\nBcc: c@d", "s", "t"));
    ft_buf_fini(&b);
}

/* Nobody is there, and who asks it to stop is heard. */
static bool now(void *ctx)
{
    (void)ctx;
    return true;
}

static void test_a_relay_that_is_not_there(void **state)
{
    (void)state;
    struct ft_mail_relay r = {.host = "127.0.0.1", .port = 1};
    struct ft_mail m = {.from = "a@b", .to = "c@d", .subject = "s", .text = "t"};
    struct ft_err err = {0};
    assert_int_equal(ft_mail_send(&r, &m, NULL, NULL, &err), FT_EUNAVAIL);
    assert_true(err.msg[0] != '\0');
    m.to = "no address";
    assert_int_equal(ft_mail_send(&r, &m, now, NULL, &err), FT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mail),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_a_relay_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
