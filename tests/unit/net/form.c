/* multipart/form-data: the same parts however the bytes are cut, and what is refused. */
#include "net/form.h"

#include "base/buf.h"
#include "testing.h"

#define TYPE "multipart/form-data; boundary=XX"

static int begin(void *ctx, const struct ft_form_part *p, struct ft_err *err)
{
    (void)err;
    return ft_buf_addf(ctx, "<%s|%s|%s>", p->name, p->filename != NULL ? p->filename : "-",
                       p->type);
}

static int data(void *ctx, const void *bytes, size_t n, struct ft_err *err)
{
    (void)err;
    assert_true(n > 0);
    return ft_buf_add(ctx, bytes, n);
}

static int end(void *ctx, struct ft_err *err)
{
    (void)err;
    return ft_buf_add_str(ctx, "</>");
}

static const struct ft_form_ops ops = {begin, data, end};

/* cut: bytes of the first piece; 0: byte by byte. */
static int parse(const char *type, const char *bytes, size_t n, size_t cut, struct ft_buf *out,
                 struct ft_err *err)
{
    struct ft_form *f;
    int rc = ft_form_open(type, &ops, out, &f, err);
    if (rc != 0)
        return rc;
    if (cut > 0) {
        rc = ft_form_feed(f, bytes, cut, err);
        if (rc == 0)
            rc = ft_form_feed(f, bytes + cut, n - cut, err);
    }
    for (size_t i = 0; cut == 0 && rc == 0 && i < n; i++)
        rc = ft_form_feed(f, bytes + i, 1, err);
    if (rc == 0)
        rc = ft_form_end(f, err);
    ft_form_close(f);
    return rc;
}

static void check(const char *type, const char *bytes, size_t n, const char *want)
{
    for (size_t cut = 0; cut <= n; cut++) {
        struct ft_buf out;
        struct ft_err err = {0};
        ft_buf_init(&out, 1 << 20);
        ft_buf_add_str(&out, "");
        int rc = parse(type, bytes, n, cut, &out, &err);
        if (rc != 0)
            print_message("cut %zu: %s\n", cut, err.msg);
        assert_int_equal(rc, 0);
        assert_string_equal(out.data, want);
        ft_buf_fini(&out);
    }
}

#define CHECK(type, bytes, want) check(type, bytes, sizeof bytes - 1, want)

static void fields_and_files(void **state)
{
    (void)state;
    CHECK(TYPE,
          "--XX\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
          "--XX\r\ncontent-type: text/plain\r\ncontent-disposition: form-data; name=\"file\"; "
          "filename=\"a b.jsonl\"\r\n\r\n{}\r\n{}\n\r\n--XX--\r\n",
          "<purpose|-|>batch</><file|a b.jsonl|text/plain>{}\r\n{}\n</>");
}

static void content_that_looks_like_a_boundary(void **state)
{
    (void)state;
    CHECK(TYPE,
          "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\r\n-\r\n--X\r\r\n--\r\n--XY\r\n"
          "--XX\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--XX--",
          "<a|-|>\r\r\n-\r\n--X\r\r\n--\r\n--XY</><b|-|></>");
}

static void around_the_parts(void **state)
{
    (void)state;
    CHECK("Multipart/Form-Data; charset=utf-8; boundary=\"XX\"",
          "a preamble\r\n--XX \t\r\nX-Other: 1\r\nContent-Disposition: form-data; "
          "name=\"say \\\"hi\\\"\"; filename=\"C:\\dir\\a.txt\"\r\n\r\n1\r\n--XX--and behind it "
          "\r\n--XX\r\n",
          "<say \"hi\"|C:\\dir\\a.txt|>1</>");
}

static void refuse(const char *type, const char *bytes, int code)
{
    for (size_t cut = 0; cut <= strlen(bytes); cut++) {
        struct ft_buf out;
        struct ft_err err = {0};
        ft_buf_init(&out, 1 << 20);
        assert_int_equal(parse(type, bytes, strlen(bytes), cut, &out, &err), code);
        assert_int_equal(err.code, code);
        ft_buf_fini(&out);
    }
}

static void what_is_no_form(void **state)
{
    (void)state;
    static const char whole[] = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX--";
    refuse(NULL, whole, FT_EINVAL);
    refuse("application/json", whole, FT_EINVAL);
    refuse("multipart/form-data", whole, FT_EINVAL);
    refuse("multipart/form-data; boundary=", whole, FT_EINVAL);
    refuse(TYPE, "", FT_EINVAL);
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX", FT_EINVAL);
    refuse(TYPE, "--XXX\r\n\r\n", FT_EINVAL);
    refuse(TYPE, "--XX\r\n\r\n1\r\n--XX--", FT_EINVAL);
    refuse(TYPE, "--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--XX--", FT_EINVAL);
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XX--", FT_EINVAL);
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--XX--", FT_EINVAL);
    refuse(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n1\r\n--XX--",
           FT_EINVAL);
    refuse(TYPE, "--XX\r\nno colon\r\n\r\n1\r\n--XX--", FT_EINVAL);
}

static void bounds(void **state)
{
    (void)state;
    struct ft_buf body, out;
    struct ft_err err = {0};
    ft_buf_init(&body, 1 << 20);
    ft_buf_init(&out, 1 << 20);
    for (int i = 0; i < FT_FORM_PARTS_MAX; i++)
        ft_buf_add_str(&body, "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n");
    size_t n = body.len;
    ft_buf_add_str(&body, "--XX--");
    assert_int_equal(parse(TYPE, body.data, body.len, 1, &out, &err), 0);
    body.len = n;
    ft_buf_add_str(&body, "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX--");
    assert_int_equal(parse(TYPE, body.data, body.len, 1, &out, &err), FT_ELIMIT);
    ft_buf_reset(&body);
    ft_buf_add_str(&body, "--XX\r\nX: ");
    while (body.len < FT_FORM_HEAD_MAX + 100)
        ft_buf_add_byte(&body, 'x');
    assert_int_equal(parse(TYPE, body.data, body.len, 1, &out, &err), FT_ELIMIT);
    ft_buf_fini(&body);
    ft_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_files), cmocka_unit_test(content_that_looks_like_a_boundary),
        cmocka_unit_test(around_the_parts), cmocka_unit_test(what_is_no_form),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
