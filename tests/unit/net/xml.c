/* XML: what is read and written comes out the same; what is hostile is refused. */
#include "net/xml.h"

#include "testing.h"

static struct ft_arena arena;
static struct ft_err err;

static struct ft_xml_node *read_text(const char *text)
{
    struct ft_xml_node *root = NULL;
    memset(&err, 0, sizeof err);
    return ft_xml_read(text, strlen(text), &arena, &root, &err) == 0 ? root : NULL;
}

static void test_a_document_is_read(void **state)
{
    (void)state;
    const struct ft_xml_node *n =
        read_text("<?xml version=\"1.0\"?>\n<a:Delete xmlns:a='x' xmlns='y'><Quiet>true</Quiet>\n"
                  "<Object><Key> a&amp;b&#xa;</Key></Object><Object xsi:type=\"T\"><Key/></Object>"
                  "</a:Delete>");
    assert_non_null(n);
    assert_string_equal(n->name, "Delete");
    assert_string_equal(ft_xml_child_text(n, "Quiet"), "true");
    const struct ft_xml_node *o = ft_xml_child(n, "Object");
    assert_string_equal(ft_xml_child_text(o, "Key"), " a&b\n");
    assert_int_equal(o->line, 3);
    assert_string_equal(ft_xml_attr(o->next, "type"), "T");
    assert_string_equal(ft_xml_child_text(o->next, "Key"), "");
    assert_null(o->next->next);
    assert_null(ft_xml_child(n, "Other"));
    assert_null(ft_xml_attr(o, "type"));
}

static void test_what_is_hostile_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<a><b><c><d><e><f><g><h><i><j><k><l><m><n><o><p><q></q></p></o></n></m></l></k></j></i></"
        "h>"
        "</g></f></e></d></c></b></a>",
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        if (read_text(bad[i]) != NULL || err.code == 0)
            fail_msg("%s was read", bad[i]);
    struct ft_buf many;
    ft_buf_init(&many, 1 << 20);
    ft_buf_add_str(&many, "<a>");
    for (int i = 0; i < FT_XML_NODES_MAX; i++)
        ft_buf_add_str(&many, "<b/>");
    ft_buf_add_str(&many, "</a>");
    assert_null(read_text(many.data));
    assert_int_equal(err.code, FT_ELIMIT);
    ft_buf_fini(&many);
}

static void test_what_is_written_is_read_again(void **state)
{
    (void)state;
    struct ft_xml x;
    ft_xml_init(&x, 4096);
    ft_xml_root(&x, "List", "http://x/");
    ft_xml_text(&x, "Key", "<a> & \"b\"\n\xc3\xa4");
    ft_xml_text(&x, "None", NULL);
    ft_xml_begin(&x, "In");
    ft_xml_int(&x, "N", -5);
    ft_xml_bool(&x, "B", true);
    ft_xml_time(&x, "T", INT64_C(1369353600045000000));
    ft_xml_end(&x);
    ft_xml_end(&x);
    assert_int_equal(x.buf.failed, 0);
    const struct ft_xml_node *n = read_text(x.buf.data);
    assert_non_null(n);
    assert_string_equal(ft_xml_child_text(n, "Key"), "<a> & \"b\"\n\xc3\xa4");
    assert_null(ft_xml_child(n, "None"));
    assert_string_equal(ft_xml_child_text(ft_xml_child(n, "In"), "N"), "-5");
    assert_string_equal(ft_xml_child_text(ft_xml_child(n, "In"), "T"), "2013-05-24T00:00:00.045Z");
    ft_xml_fini(&x);
    ft_xml_init(&x, 4096);
    ft_xml_text(&x, "K", "\x01\xff");
    assert_non_null(strstr(x.buf.data, "<K>&#x1;\xef\xbf\xbd</K>"));
    ft_xml_fini(&x);
}

static int setup(void **state)
{
    (void)state;
    ft_arena_init(&arena, 64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ft_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_document_is_read),
        cmocka_unit_test(test_what_is_hostile_is_refused),
        cmocka_unit_test(test_what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
