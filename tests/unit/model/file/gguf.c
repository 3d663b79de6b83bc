/* GGUF files: hand-made ones, every way to lie in them, split ones, and the writer. */
#include "testing.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "model/file/gguf_write.h"
#include "model/file/weights.h"
#include "model/file/weights_impl.h"

static char folder[64];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/feitian-gguf-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int folder_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void u32(struct ft_buf *b, uint32_t v)
{
    ft_buf_add(b, &v, 4);
}

static void u64(struct ft_buf *b, uint64_t v)
{
    ft_buf_add(b, &v, 8);
}

static void str(struct ft_buf *b, const char *s)
{
    u64(b, strlen(s));
    ft_buf_add_str(b, s);
}

static void head(struct ft_buf *b, uint32_t version, uint64_t n_tensor, uint64_t n_meta)
{
    ft_buf_init(b, 1 << 20);
    ft_buf_add_str(b, "GGUF");
    u32(b, version);
    u64(b, n_tensor);
    u64(b, n_meta);
}

static void tensor(struct ft_buf *b, const char *name, uint32_t type, uint64_t k, uint64_t rows,
                   uint64_t offset)
{
    str(b, name);
    u32(b, 2);
    u64(b, k);
    u64(b, rows);
    u32(b, type);
    u64(b, offset);
}

static void data(struct ft_buf *b, size_t n)
{
    while (b->len % 32 != 0)
        ft_buf_add_byte(b, 0);
    for (size_t i = 0; i < n; i++)
        ft_buf_add_byte(b, (unsigned char)i);
}

static int open_bytes(struct ft_buf *b, struct ft_weights **w, struct ft_err *err)
{
    FILE *f = fopen(path_of("x.gguf"), "wb");
    assert_int_equal(b->len, fwrite(b->data, 1, b->len, f));
    fclose(f);
    ft_buf_fini(b);
    return ft_weights_open(path_of("x.gguf"), w, err);
}

static void both_versions_and_every_value_type_are_read(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct ft_buf b;
        head(&b, version, 2, 9);
        str(&b, "s"), u32(&b, FT_META_STRING), str(&b, "t\nx");
        str(&b, "u8"), u32(&b, FT_META_U8), ft_buf_add_byte(&b, 200);
        str(&b, "i16"), u32(&b, FT_META_I16), ft_buf_add(&b, "\xfe\xff", 2);
        str(&b, "f64"), u32(&b, FT_META_F64), ft_buf_add(&b, &(double){2.5}, 8);
        str(&b, "f32"), u32(&b, FT_META_F32), ft_buf_add(&b, &(float){4}, 4);
        str(&b, "b"), u32(&b, FT_META_BOOL), ft_buf_add_byte(&b, 1);
        str(&b, "a"), u32(&b, FT_META_ARRAY), u32(&b, FT_META_STRING), u64(&b, 2), str(&b, "x"),
            str(&b, "");
        str(&b, "n"), u32(&b, FT_META_ARRAY), u32(&b, FT_META_I64), u64(&b, 1),
            u64(&b, (uint64_t)-7);
        str(&b, "general.alignment"), u32(&b, FT_META_U32), u32(&b, 64);
        tensor(&b, "one", FT_F32, 3, 2, 0);
        tensor(&b, "two", FT_Q8_0, 32, 1, 64);
        while (b.len % 64 != 0)
            ft_buf_add_byte(&b, 0);
        data(&b, 64 + 34);
        struct ft_weights *w;
        struct ft_err err;
        if (open_bytes(&b, &w, &err) != 0)
            fail_msg("%s", err.msg);
        uint64_t u = 99;
        double f;
        bool flag;
        struct ft_slice s, strs[2];
        assert_true(ft_meta_u64(w, "u8", &u) && u == 200);
        assert_false(ft_meta_u64(w, "i16", &u));
        assert_true(ft_meta_f64(w, "i16", &f) && f == -2);
        assert_false(ft_meta_u64(w, "f64", &u));
        assert_true(ft_meta_u64(w, "f32", &u) && u == 4);
        assert_true(ft_meta_bool(w, "b", &flag) && flag);
        assert_false(ft_meta_u64(w, "b", &u));
        assert_true(ft_meta_str(w, "s", &s) && s.n == 3);
        assert_int_equal(2, ft_meta_array_len(w, "a"));
        assert_true(ft_meta_array_strs(w, "a", strs, 2) && strs[0].n == 1 && strs[1].n == 0);
        assert_false(ft_meta_array_strs(w, "a", strs, 1));
        assert_true(ft_meta_array_f64(w, "n", 0, &f) && f == -7);
        assert_false(ft_meta_array_f64(w, "n", 1, &f));
        assert_int_equal(-1, ft_meta_array_len(w, "s"));
        assert_false(ft_meta_has(w, "absent"));
        char text[16];
        ft_meta_print(w, 0, text, sizeof text);
        assert_string_equal("\"t\\nx\"", text);
        ft_meta_print(w, 6, text, sizeof text);
        assert_string_equal("[2 strings]", text);
        const struct ft_tensor *t = ft_weights_find(w, "two");
        assert_int_equal(34, t->part_bytes);
        assert_int_equal(64, *(const uint8_t *)t->part[0]);
        assert_null(ft_weights_find(w, "three"));
        assert_int_equal(58, ft_weights_bytes(w));
        ft_weights_close(w);
    }
}

/* One lie each; every one must be an error that names what is wrong. */
/* long: a table of lies */
/* From 12 on: about tensors, and files that are none. */
static void lie_of_tensors(int which, struct ft_buf *b, const char **name)
{
    switch (which) {
    case 12:
        head(b, 3, 1, 0), tensor(b, "t", FT_F32, 3, 1, 0), data(b, 8), *name = "tensor t: offset";
        break;
    case 13:
        head(b, 3, 1, 0), tensor(b, "t", FT_F32, 1, 1, UINT64_MAX - 31), data(b, 64);
        *name = "tensor t: offset";
        break;
    case 14:
        head(b, 3, 1, 0), tensor(b, "t", FT_F32, 1, 1, 4), data(b, 64), *name = "multiple of 32";
        break;
    case 15:
        head(b, 3, 1, 0), tensor(b, "t", FT_F32, 1ull << 62, 4, 0), data(b, 64);
        *name = "tensor t: dimension 1";
        break;
    case 16:
        head(b, 3, 1, 0), tensor(b, "t", FT_F32, 1ull << 62, 1, 0), data(b, 64);
        *name = "tensor t: ";
        break;
    case 17:
        head(b, 3, 1, 0), tensor(b, "t", FT_F32, 0, 4, 0), data(b, 64), *name = "dimension 0";
        break;
    case 18:
        head(b, 3, 1, 0), tensor(b, "t", FT_Q4_K, 128, 4, 0), data(b, 64), *name = "blocks of Q4_K";
        break;
    case 19:
        head(b, 3, 1, 0), tensor(b, "t", 16, 256, 1, 0), data(b, 64), *name = "IQ2_XXS";
        break;
    case 20:
        head(b, 3, 1, 0), tensor(b, "t", 5, 256, 1, 0), data(b, 64), *name = "tensor t: the type";
        break;
    case 21:
        head(b, 3, 2, 0), tensor(b, "t", FT_F32, 1, 1, 0), tensor(b, "t", FT_F32, 1, 1, 32),
            data(b, 64);
        *name = "twice";
        break;
    case 22:
        head(b, 3, 2, 0), tensor(b, "t", FT_F32, 9, 1, 0), tensor(b, "u", FT_F32, 1, 1, 32),
            data(b, 64);
        *name = "overlaps";
        break;
    case 23:
        head(b, 3, 1, 0), str(b, "t"), u32(b, 5);
        for (int i = 0; i < 5; i++)
            u64(b, 1);
        u32(b, 0), u64(b, 0), data(b, 64), *name = "5 dimensions";
        break;
    case 24:
        head(b, 3, 1, 0), tensor(b, "", FT_F32, 1, 1, 0), data(b, 64), *name = "tensor 0";
        break;
    case 25:
        head(b, 3, 1, 0), tensor(b, "a\nb", FT_F32, 1, 1, 0), data(b, 64), *name = "control";
        break;
    case 26:
        ft_buf_init(b, 64), ft_buf_add_str(b, "GGML"), u64(b, 0), *name = "not a GGUF";
        break;
    case 27:
        ft_buf_init(b, 64), ft_buf_add_str(b, "GGUF"), u32(b, 3), u32(b, 0), *name = "cut off";
        break;
    case 28:
        ft_buf_init(b, 64), ft_buf_add_str(b, ""), *name = "not a GGUF";
        break;
    default:
        *name = NULL;
    }
}

static void lie(int which, struct ft_buf *b, const char **name)
{
    switch (which) {
    case 0:
        head(b, 1, 0, 0), *name = "version 1";
        break;
    case 1:
        head(b, 0x03000000, 0, 0), *name = "big-endian";
        break;
    case 2:
        head(b, 3, 0, UINT64_MAX), *name = "metadata keys";
        break;
    case 3:
        head(b, 3, UINT64_MAX / 8, 0), *name = "tensors do not fit";
        break;
    case 4:
        head(b, 3, 0, 1), str(b, "k"), u32(b, FT_META_STRING), u64(b, UINT64_MAX - 4);
        *name = "key k";
        break;
    case 5:
        head(b, 3, 0, 1), str(b, "k"), u32(b, FT_META_ARRAY), u32(b, FT_META_F64),
            u64(b, UINT64_MAX / 8 + 2);
        *name = "key k";
        break;
    case 6:
        head(b, 3, 0, 1), str(b, "k"), u32(b, FT_META_ARRAY), u32(b, FT_META_STRING), u64(b, 1),
            u64(b, 100);
        *name = "key k: string 0";
        break;
    case 7:
        head(b, 3, 0, 1), str(b, "k"), u32(b, FT_META_ARRAY), u32(b, FT_META_ARRAY), u64(b, 1);
        *name = "array of arrays";
        break;
    case 8:
        head(b, 3, 0, 1), str(b, "k"), u32(b, 77), u32(b, 0), *name = "type 77";
        break;
    case 9:
        head(b, 3, 0, 1), str(b, "k"), u32(b, FT_META_BOOL), ft_buf_add_byte(b, 2);
        *name = "key k: 2 is no boolean";
        break;
    case 10:
        head(b, 3, 0, 2), str(b, "twin"), u32(b, FT_META_U32), u32(b, 1), str(b, "twin"),
            u32(b, FT_META_U32), u32(b, 1);
        *name = "twin";
        break;
    case 11:
        head(b, 3, 0, 1), str(b, "general.alignment"), u32(b, FT_META_U32), u32(b, 24);
        ((char *)b->data)[8] = 1; /* with a tensor, so that it matters */
        tensor(b, "t", FT_F32, 1, 1, 0), data(b, 4), *name = "general.alignment";
        break;
    default:
        lie_of_tensors(which, b, name);
    }
}

static void every_lie_is_named(void **state)
{
    (void)state;
    const char *name = "";
    for (int i = 0;; i++) {
        struct ft_buf b;
        struct ft_weights *w;
        struct ft_err err = {0};
        lie(i, &b, &name);
        if (name == NULL)
            break;
        int rc = open_bytes(&b, &w, &err);
        if ((rc != FT_ECORRUPT && rc != FT_EUNSUPPORTED) || strstr(err.msg, name) == NULL)
            fail_msg("lie %d: '%s' is not named: %s", i, name, err.msg);
    }
}

static void a_file_cut_anywhere_is_an_error(void **state)
{
    (void)state;
    const char *file = ft_test_ref("models/llama-s-Q4_0.gguf");
    if (file == NULL)
        skip();
    char *bytes;
    size_t n;
    struct ft_err err;
    struct ft_weights *w;
    assert_int_equal(0, ft_file_read(file, 1 << 20, &bytes, &n, &err));
    /* all of the header, then steps through the data; the last 31 bytes may be padding */
    for (size_t at = 0; at + 32 < n; at += at < 12000 ? 7 : 997) {
        struct ft_buf b;
        ft_buf_init(&b, 1 << 20);
        ft_buf_add(&b, bytes, at);
        assert_int_equal(FT_ECORRUPT, open_bytes(&b, &w, &err));
    }
    free(bytes);
}

/* A part of a split model with one tensor. */
static void part_write(const char *name, uint16_t no, uint16_t count, const char *tensor_name)
{
    struct ft_buf b;
    head(&b, 3, 1, no == 0 ? 4 : 2);
    str(&b, "split.no"), u32(&b, FT_META_U16), ft_buf_add(&b, &no, 2);
    str(&b, "split.count"), u32(&b, FT_META_U16), ft_buf_add(&b, &count, 2);
    if (no == 0) {
        str(&b, "split.tensors.count"), u32(&b, FT_META_I32), u32(&b, 3);
        str(&b, "general.name"), u32(&b, FT_META_STRING), str(&b, "parts");
    }
    tensor(&b, tensor_name, FT_F32, 4, 1, 0);
    data(&b, 16);
    FILE *f = fopen(path_of(name), "wb");
    assert_int_equal(b.len, fwrite(b.data, 1, b.len, f));
    fclose(f);
    ft_buf_fini(&b);
}

static void split_files_open_from_any_part(void **state)
{
    (void)state;
    struct ft_weights *w;
    struct ft_err err = {0};
    struct ft_slice s;
    part_write("m-00001-of-00003.gguf", 0, 3, "a");
    part_write("m-00002-of-00003.gguf", 1, 3, "b");
    part_write("m-00003-of-00003.gguf", 2, 3, "c");
    for (int i = 1; i <= 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "m-%05d-of-00003.gguf", i);
        if (ft_weights_open(path_of(name), &w, &err) != 0)
            fail_msg("%s", err.msg);
        assert_int_equal(3, ft_weights_count(w));
        assert_non_null(ft_weights_find(w, "c"));
        assert_true(ft_meta_str(w, "general.name", &s) && s.n == 5);
        ft_weights_close(w);
    }
    part_write("m-00003-of-00003.gguf", 1, 3, "c");
    assert_int_equal(FT_ECORRUPT, ft_weights_open(path_of("m-00001-of-00003.gguf"), &w, &err));
    assert_non_null(strstr(err.msg, "split.no"));
    part_write("m-00003-of-00003.gguf", 2, 3, "a");
    assert_int_equal(FT_ECORRUPT, ft_weights_open(path_of("m-00001-of-00003.gguf"), &w, &err));
    assert_non_null(strstr(err.msg, "twice"));
    unlink(path_of("m-00003-of-00003.gguf"));
    assert_int_equal(FT_ENOTFOUND, ft_weights_open(path_of("m-00001-of-00003.gguf"), &w, &err));
    assert_non_null(strstr(err.msg, "part 3"));
    part_write("alone.gguf", 0, 3, "a");
    assert_int_equal(FT_EINVAL, ft_weights_open(path_of("alone.gguf"), &w, &err));
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct ft_gguf_writer *g;
    struct ft_weights *w;
    struct ft_err err;
    struct stat st;
    assert_int_equal(0, ft_gguf_writer_open(path_of("w.gguf"), NULL, &g, &err));
    ft_gguf_put_str(g, "s", "text", 4);
    ft_gguf_put_bool(g, "b", true);
    ft_gguf_put_f32(g, "f", 1.5f);
    ft_gguf_put_strs(g, "strs", (struct ft_slice[]){{"x", 1}, {"yz", 2}}, 2);
    ft_gguf_put_i32s(g, "ints", (int32_t[]){-1, 5}, 2);
    ft_gguf_put_tensor(g, "a", FT_F32, 1, (int64_t[]){3});
    ft_gguf_put_tensor(g, "b", FT_F16, 2, (int64_t[]){2, 5});
    uint8_t bytes[32];
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(i + 1);
    assert_int_equal(0, ft_gguf_write(g, bytes, 5, &err)); /* in pieces, across tensors */
    assert_int_equal(0, ft_gguf_write(g, bytes + 5, 27, &err));
    assert_int_equal(-1, stat(path_of("w.gguf"), &st)); /* nothing before the commit */
    assert_int_equal(0, ft_gguf_commit(g, true, &err));
    ft_gguf_writer_close(g);
    if (ft_weights_open(path_of("w.gguf"), &w, &err) != 0)
        fail_msg("%s", err.msg);
    assert_memory_equal(bytes, ft_weights_find(w, "a")->part[0], 12);
    assert_memory_equal(bytes + 12, ft_weights_find(w, "b")->part[0], 20);
    double f;
    assert_true(ft_meta_array_f64(w, "ints", 0, &f) && f == -1);
    assert_int_equal(5, ft_meta_count(w));
    ft_weights_close(w);
}

static void an_abandoned_writer_leaves_nothing(void **state)
{
    (void)state;
    struct ft_gguf_writer *g;
    struct ft_err err;
    assert_int_equal(0, ft_gguf_writer_open(path_of("w.gguf"), NULL, &g, &err));
    ft_gguf_put_tensor(g, "a", FT_F32, 1, (int64_t[]){3});
    assert_int_equal(0, ft_gguf_write(g, &(float){1}, 4, &err));
    ft_gguf_writer_close(g);
    assert_int_equal(0, rmdir(folder)); /* so it is empty */
    assert_int_equal(0, mkdir(folder, 0700));
    assert_int_equal(FT_ENOTFOUND, ft_gguf_writer_open("/nonexistent/x.gguf", NULL, &g, &err));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)
    const struct CMUnitTest tests[] = {
        TEST(both_versions_and_every_value_type_are_read),
        TEST(every_lie_is_named),
        TEST(a_file_cut_anywhere_is_an_error),
        TEST(split_files_open_from_any_part),
        TEST(what_is_written_is_read_back),
        TEST(an_abandoned_writer_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
