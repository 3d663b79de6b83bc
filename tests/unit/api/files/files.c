/* Files and uploads on the store in memory: OpenAI's objects, bounds, lists, expiry, a store that
 * fails. */
#include "api/files/files.h"

#include <jansson.h>

#include "api/openai/id.h"
#include "base/buf.h"
#include "blob/mem/mem.h"
#include "testing.h"

#define NOW_MS   INT64_C(1800000000000)
#define BOUNDARY "multipart/form-data; boundary=XX"

struct world {
    struct ft_blob *blob;
    int64_t now_ms, room;
    bool inside, full;
    const char *id, *project;
    /* of the request that runs */
    const char *in;
    size_t n_in, piece;
    int64_t length;
    bool cut, answered;
    int status;
    struct ft_buf out;
    json_t *json;
};

static int64_t on_read(void *ctx, void *data, size_t n, struct ft_err *err)
{
    struct world *w = ctx;
    if (w->full) /* as the gateway says it of a body without a length */
        return ft_err_set(err, FT_ELIMIT, "the project keeps all that it may");
    n = FT_MIN(n, FT_MIN(w->n_in, w->piece));
    memcpy(data, w->in, n);
    w->in += n;
    w->n_in -= n;
    return (int64_t)n;
}

static void on_respond(void *ctx, int status, const void *json, size_t n)
{
    struct world *w = ctx;
    assert_false(w->answered);
    w->answered = true;
    w->status = status;
    w->json = json_loadb(json, n, 0, NULL);
    assert_non_null(w->json);
}

static void on_fail(void *ctx, const struct ft_oai_error *e)
{
    struct ft_buf b;
    ft_buf_init(&b, 1 << 16);
    ft_oai_error_write(e, &b);
    on_respond(ctx, ft_oai_error_status(e), b.data, b.len);
    ft_buf_fini(&b);
}

static int on_begin(void *ctx, int64_t length, const char *disposition, struct ft_err *err)
{
    struct world *w = ctx;
    (void)err;
    assert_non_null(strstr(disposition, "attachment"));
    w->length = length;
    w->status = 200;
    return 0;
}

static int on_write(void *ctx, const void *data, size_t n, struct ft_err *err)
{
    (void)err;
    return ft_buf_add(&((struct world *)ctx)->out, data, n);
}

static void on_end(void *ctx, bool whole)
{
    struct world *w = ctx;
    assert_false(w->answered);
    w->answered = true;
    w->cut = !whole;
}

static const struct ft_files_io io = {on_read, on_respond, on_fail, on_begin, on_write, on_end};

static int ask_n(struct world *w, const char *method, const char *path, const char *query,
                 const char *type, const char *body, size_t n)
{
    struct ft_files_request q = {.blob = w->blob,
                                 .method = method,
                                 .path = path,
                                 .query = query,
                                 .content_type = type,
                                 .project = w->project,
                                 .room = w->room,
                                 .inside = w->inside,
                                 .id = w->id,
                                 .now_ms = w->now_ms,
                                 .io = &io,
                                 .ctx = w};
    json_decref(w->json);
    w->json = NULL;
    w->answered = w->cut = false;
    w->in = body;
    w->n_in = n;
    ft_buf_reset(&w->out);
    ft_files_handle(&q);
    assert_true(w->answered);
    return w->status;
}

static int ask(struct world *w, const char *method, const char *path, const char *body)
{
    return ask_n(w, method, path, "", "application/json", body, strlen(body));
}

static int list(struct world *w, const char *query)
{
    return ask_n(w, "GET", "files", query, NULL, "", 0);
}

/* The file before its purpose, as OpenAI's own client sends them. */
static int put(struct world *w, const char *path, const char *field, const char *name,
               const char *content, const char *more)
{
    struct ft_buf b;
    ft_buf_init(&b, 1 << 24);
    ft_buf_addf(&b,
                "--XX\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
                "Content-Type: text/plain\r\n\r\n",
                field, name);
    ft_buf_add_str(&b, content);
    ft_buf_add_str(&b, "\r\n");
    ft_buf_add_str(&b, more);
    ft_buf_add_str(&b, "--XX--\r\n");
    int status = ask_n(w, "POST", path, "", BOUNDARY, b.data, b.len);
    ft_buf_fini(&b);
    return status;
}

#define FIELD(name, value)                                                                         \
    "--XX\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define PURPOSE(p) FIELD("purpose", p)

static int create(struct world *w, const char *name, const char *content, const char *fields)
{
    return put(w, "files", "file", name, content, fields);
}

static const char *str(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s != NULL ? s : "";
}

static int64_t num(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static const char *error(const struct world *w, const char *name)
{
    return str(json_object_get(w->json, "error"), name);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct ft_err err;
    assert_int_equal(ft_blob_mem_open(0, &w->blob, &err), 0);
    w->project = "acme";
    w->now_ms = NOW_MS;
    w->room = -1;
    w->piece = 7;
    ft_buf_init(&w->out, 1 << 24);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    json_decref(w->json);
    ft_buf_fini(&w->out);
    ft_blob_close(w->blob);
    free(w);
    return 0;
}

static void a_file_and_its_life(void **state)
{
    struct world *w = *state;
    char id[64], path[128];
    assert_int_equal(create(w, "dir/a.txt", "hello", PURPOSE("user_data")), 200);
    snprintf(id, sizeof id, "%s", str(w->json, "id"));
    assert_true(ft_oai_id_is(id, "file-"));
    assert_string_equal(str(w->json, "object"), "file");
    assert_string_equal(str(w->json, "filename"), "a.txt");
    assert_string_equal(str(w->json, "purpose"), "user_data");
    assert_string_equal(str(w->json, "status"), "processed");
    assert_int_equal(num(w->json, "bytes"), 5);
    assert_int_equal(num(w->json, "created_at"), NOW_MS / 1000);
    assert_true(json_is_null(json_object_get(w->json, "expires_at")));
    snprintf(path, sizeof path, "files/%s", id);
    assert_int_equal(ask(w, "GET", path, ""), 200);
    assert_string_equal(str(w->json, "id"), id);
    snprintf(path, sizeof path, "files/%s/content", id);
    assert_int_equal(ask(w, "GET", path, ""), 200);
    assert_int_equal(w->length, 5);
    assert_int_equal(w->out.len, 5);
    assert_memory_equal(w->out.data, "hello", 5);
    w->project = "other"; /* another project's is not there */
    assert_int_equal(ask(w, "GET", path, ""), 404);
    w->project = "acme";
    snprintf(path, sizeof path, "files/%s", id);
    assert_int_equal(ask(w, "DELETE", path, ""), 200);
    assert_true(json_is_true(json_object_get(w->json, "deleted")));
    assert_int_equal(ask(w, "DELETE", path, ""), 404);
    assert_string_equal(error(w, "param"), "id");
    assert_int_equal(ask(w, "PUT", path, ""), 405);
    assert_int_equal(ask(w, "GET", "files/../x", ""), 404);
}

static void what_is_refused(void **state)
{
    struct world *w = *state;
    struct ft_blob_usage u;
    assert_int_equal(create(w, "a", "x", ""), 400);
    assert_string_equal(error(w, "param"), "purpose");
    assert_int_equal(create(w, "a", "x", PURPOSE("nonsense")), 400);
    assert_int_equal(create(w, "a", "x", PURPOSE("batch_output")), 400);
    assert_int_equal(create(w, "", "x", PURPOSE("vision")), 400);
    assert_int_equal(create(w, "a", "x", PURPOSE("vision") FIELD("color", "red")), 400);
    assert_string_equal(error(w, "code"), "unknown_parameter");
    assert_string_equal(error(w, "param"), "color");
    assert_int_equal(create(w, "a", "x", PURPOSE("vision") FIELD("expires_after[seconds]", "60")),
                     400);
    assert_int_equal(create(w, "a", "x", PURPOSE("vision") FIELD("expires_after[seconds]", "3600")),
                     400);
    assert_int_equal(ask_n(w, "POST", "files", "", BOUNDARY, PURPOSE("vision") "--XX--",
                           strlen(PURPOSE("vision") "--XX--")),
                     400);
    assert_string_equal(error(w, "param"), "file");
    assert_int_equal(ask(w, "POST", "files", "{}"), 400);
    assert_int_equal(create(w, "a", "{}\n{\"a\":}\n", PURPOSE("batch")), 400);
    assert_non_null(strstr(error(w, "message"), "line 2"));
    assert_int_equal(create(w, "a", "no\n", PURPOSE("fine-tune")), 400);
    assert_non_null(strstr(error(w, "message"), "line 1"));
    w->room = 3;
    assert_int_equal(create(w, "a", "four", PURPOSE("vision")), 413);
    assert_string_equal(error(w, "code"), "storage_limit_exceeded");
    w->room = -1;
    w->full = true;
    assert_int_equal(create(w, "a", "four", PURPOSE("vision")), 413);
    assert_string_equal(error(w, "code"), "storage_limit_exceeded");
    w->full = false;
    assert_int_equal(list(w, ""), 200);
    assert_int_equal(json_array_size(json_object_get(w->json, "data")), 0);
    assert_int_equal(ft_blob_usage(w->blob, "acme", &u, NULL), 0);
    assert_int_equal(u.objects, 0); /* nothing of what was refused is kept */
}

static void from_inside(void **state)
{
    struct world *w = *state;
    char id[FT_OAI_ID_BYTES];
    assert_int_equal(ft_oai_id_new("file-", NOW_MS, id, NULL), 0);
    w->inside = true;
    w->id = id;
    for (int i = 0; i < 2; i++) { /* doing it again makes no second one */
        assert_int_equal(create(w, "out.jsonl", "{}\n", PURPOSE("batch_output")), 200);
        assert_string_equal(str(w->json, "id"), id);
    }
    assert_int_equal(list(w, ""), 200);
    assert_int_equal(json_array_size(json_object_get(w->json, "data")), 1);
    w->id = "file-short";
    assert_int_equal(create(w, "out.jsonl", "{}\n", PURPOSE("batch_output")), 400);
}

static void check_list(struct world *w, const char *query, const char *want, bool more)
{
    struct ft_buf b;
    json_t *f;
    size_t i;
    assert_int_equal(list(w, query), 200);
    ft_buf_init(&b, 1 << 20);
    ft_buf_add_str(&b, "");
    const json_t *data = json_object_get(w->json, "data");
    json_array_foreach(data, i, f) ft_buf_add_str(&b, str(f, "filename"));
    assert_string_equal(b.data, want);
    assert_int_equal(json_is_true(json_object_get(w->json, "has_more")), more);
    if (i > 0)
        assert_string_equal(str(w->json, "last_id"), str(json_array_get(data, i - 1), "id"));
    ft_buf_fini(&b);
}

static void lists(void **state)
{
    struct world *w = *state;
    char name[2] = "a", query[128], third[64] = "";
    check_list(w, "", "", false);
    for (int i = 0; i < 7; i++, name[0]++, w->now_ms += 1000) {
        assert_int_equal(create(w, name, "{}", i % 2 ? PURPOSE("batch") : PURPOSE("evals")), 200);
        if (i == 2)
            snprintf(third, sizeof third, "%s", str(w->json, "id"));
    }
    check_list(w, "", "gfedcba", false);
    check_list(w, "limit=7", "gfedcba", false);
    check_list(w, "limit=3", "gfe", true);
    check_list(w, "order=asc", "abcdefg", false);
    check_list(w, "order=asc&limit=2", "ab", true);
    check_list(w, "purpose=batch&order=desc", "fdb", false);
    snprintf(query, sizeof query, "after=%s", third);
    check_list(w, query, "ba", false);
    snprintf(query, sizeof query, "after=%s&order=asc&limit=3", third);
    check_list(w, query, "def", true);
    assert_int_equal(list(w, "limit=0"), 400);
    assert_int_equal(list(w, "limit=x"), 400);
    assert_int_equal(list(w, "order=up"), 400);
    assert_int_equal(list(w, "after=nobody"), 400);
    assert_int_equal(list(w, "page=2"), 400);
    assert_string_equal(error(w, "param"), "page");
}

static void expiry(void **state)
{
    struct world *w = *state;
    struct ft_blob_usage u;
    char path[128];
    assert_int_equal(create(w, "a", "x",
                            FIELD("expires_after[anchor]", "created_at")
                                FIELD("expires_after[seconds]", "3600") PURPOSE("vision")),
                     200);
    assert_int_equal(num(w->json, "expires_at"), NOW_MS / 1000 + 3600);
    snprintf(path, sizeof path, "files/%s", str(w->json, "id"));
    w->now_ms++; /* of one millisecond there is no order */
    assert_int_equal(create(w, "b", "{}", PURPOSE("batch")), 200);
    assert_int_equal(num(w->json, "expires_at"), NOW_MS / 1000 + FT_FILES_BATCH_S);
    w->now_ms = NOW_MS + 3599 * 1000;
    check_list(w, "", "ba", false);
    assert_int_equal(ft_files_sweep(w->blob, w->now_ms / 1000, true, NULL, NULL, NULL), 0);
    assert_int_equal(ask(w, "GET", path, ""), 200);
    w->now_ms += 1000;
    check_list(w, "", "b", false);
    assert_int_equal(ask(w, "GET", path, ""), 404);
    assert_int_equal(ft_files_sweep(w->blob, w->now_ms / 1000, true, NULL, NULL, NULL), 0);
    assert_int_equal(ft_blob_usage(w->blob, "acme", &u, NULL), 0);
    assert_int_equal(u.objects, 2); /* its content and its entry */
}

/* ---- uploads ---- */

static void begin_upload(struct world *w, const char *purpose, int bytes, char path[128])
{
    char body[256];
    snprintf(body, sizeof body,
             "{\"filename\":\"u.jsonl\",\"purpose\":\"%s\",\"bytes\":%d,"
             "\"mime_type\":\"application/jsonl\"}",
             purpose, bytes);
    assert_int_equal(ask(w, "POST", "uploads", body), 200);
    assert_string_equal(str(w->json, "status"), "pending");
    assert_int_equal(num(w->json, "expires_at"), w->now_ms / 1000 + FT_FILES_UPLOAD_S);
    snprintf(path, 128, "uploads/%s", str(w->json, "id"));
}

static void add_part(struct world *w, const char *upload, const char *content, char ret[64])
{
    char path[160];
    snprintf(path, sizeof path, "%s/parts", upload);
    assert_int_equal(put(w, path, "data", "blob", content, ""), 200);
    assert_string_equal(str(w->json, "object"), "upload.part");
    assert_string_equal(str(w->json, "upload_id"), upload + strlen("uploads/"));
    snprintf(ret, 64, "%s", str(w->json, "id"));
}

static int complete(struct world *w, const char *upload, const char *body)
{
    char path[160];
    snprintf(path, sizeof path, "%s/complete", upload);
    return ask(w, "POST", path, body);
}

static void an_upload(void **state)
{
    struct world *w = *state;
    char upload[128], a[64], b[64], body[512], path[160];
    struct ft_blob_usage u;
    begin_upload(w, "batch", 9, upload);
    add_part(w, upload, "1}\n", b); /* in any order */
    add_part(w, upload, "{}\n{\"a\"", a);
    begin_upload(w, "batch", 11, upload); /* another: parts are its own */
    add_part(w, upload, ":1}\n", b);
    snprintf(body, sizeof body, "{\"part_ids\":[\"%s\",\"%s\"]}", a, b);
    assert_int_equal(complete(w, upload, body), 400);
    add_part(w, upload, "{}\n{\"a\"", a);
    snprintf(body, sizeof body, "{\"part_ids\":[\"%s\"]}", a);
    assert_int_equal(complete(w, upload, body), 400); /* of another size */
    assert_string_equal(error(w, "param"), "part_ids");
    snprintf(body, sizeof body, "{\"part_ids\":[\"%s\"],\"parts\":1}", a);
    assert_int_equal(complete(w, upload, body), 400);
    assert_string_equal(error(w, "param"), "parts");
    snprintf(body, sizeof body, "{\"part_ids\":[\"%s\",\"%s\"]}", b, a);
    assert_int_equal(complete(w, upload, body), 400); /* no JSON Lines in this order */
    assert_non_null(strstr(error(w, "message"), "line 1"));
    snprintf(body, sizeof body,
             "{\"part_ids\":[\"%s\",\"%s\"],\"md5\":\"00000000000000000000000000000000\"}", a, b);
    assert_int_equal(complete(w, upload, body), 400);
    assert_string_equal(error(w, "param"), "md5");
    snprintf(body, sizeof body,
             "{\"part_ids\":[\"%s\",\"%s\"],\"md5\":\"dd24b2ea7f2d9c4cbc30f44d39f4b2d5\"}", a, b);
    int status = complete(w, upload, body);
    if (status != 200) { /* the digest that it has, once */
        const char *has = strstr(error(w, "message"), "have ");
        assert_non_null(has);
        snprintf(body, sizeof body, "{\"part_ids\":[\"%s\",\"%s\"],\"md5\":\"%.32s\"}", a, b,
                 has + 5);
        status = complete(w, upload, body);
    }
    assert_int_equal(status, 200);
    assert_string_equal(str(w->json, "status"), "completed");
    const json_t *file = json_object_get(w->json, "file");
    assert_string_equal(str(file, "filename"), "u.jsonl");
    assert_int_equal(num(file, "bytes"), 11);
    snprintf(path, sizeof path, "files/%s/content", str(file, "id"));
    assert_int_equal(ask(w, "GET", path, ""), 200);
    assert_memory_equal(w->out.data, "{}\n{\"a\":1}\n", 11);
    assert_int_equal(complete(w, upload, body), 400);
    assert_string_equal(error(w, "code"), "upload_not_pending");
    snprintf(path, sizeof path, "%s/cancel", upload);
    assert_int_equal(ask(w, "POST", path, ""), 400);
    snprintf(path, sizeof path, "%s/parts", upload);
    assert_int_equal(put(w, path, "data", "blob", "x", ""), 400);
    w->now_ms += 2 * FT_FILES_UPLOAD_S * 1000; /* what was left of the first one goes */
    assert_int_equal(ft_files_sweep(w->blob, w->now_ms / 1000, true, NULL, NULL, NULL), 0);
    assert_int_equal(ft_blob_usage(w->blob, "acme", &u, NULL), 0);
    assert_int_equal(u.objects, 2);
}

static void uploads_that_end(void **state)
{
    struct world *w = *state;
    char upload[128], part[64], path[160], body[128];
    struct ft_blob_usage u;
    begin_upload(w, "vision", 1, upload);
    add_part(w, upload, "x", part);
    snprintf(path, sizeof path, "%s/cancel", upload);
    assert_int_equal(ask(w, "POST", path, ""), 200);
    assert_string_equal(str(w->json, "status"), "cancelled");
    assert_int_equal(ft_blob_usage(w->blob, "acme", &u, NULL), 0);
    assert_int_equal(u.objects, 1); /* the record alone */
    snprintf(body, sizeof body, "{\"part_ids\":[\"%s\"]}", part);
    assert_int_equal(complete(w, upload, body), 400);
    begin_upload(w, "vision", 1, upload);
    add_part(w, upload, "x", part);
    w->now_ms += FT_FILES_UPLOAD_S * 1000;
    snprintf(body, sizeof body, "{\"part_ids\":[\"%s\"]}", part);
    assert_int_equal(complete(w, upload, body), 404); /* its hour is over */
    static const char *const bad[] = {
        "{}",
        "{\"filename\":\"a\",\"purpose\":\"x\",\"bytes\":1,\"mime_type\":\"a\"}",
        "{\"filename\":\"a\",\"purpose\":\"batch\",\"bytes\":0,\"mime_type\":\"a\"}",
        "{\"filename\":\"a\",\"purpose\":\"batch\",\"bytes\":300000000,\"mime_type\":\"a\"}",
        "{\"filename\":\"a\",\"purpose\":\"batch\",\"bytes\":1}",
        "{\"filename\":\"a\",\"purpose\":\"batch\",\"bytes\":1,\"mime_type\":\"a\",\"x\":1}",
        "[]",
        "{\"filename\":\"a\",\"purpose\":\"batch\",\"bytes\":1,\"mime_type\":\"a\","
        "\"expires_after\":{\"anchor\":\"created_at\",\"seconds\":1}}"};
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_int_equal(ask(w, "POST", "uploads", bad[i]), 400);
    assert_int_equal(ask(w, "GET", "uploads", ""), 405);
    assert_int_equal(ask(w, "POST", "uploads/nobody/parts", ""), 404);
}

static void a_store_that_fails(void **state)
{
    struct world *w = *state;
    char path[128], id[64];
    assert_int_equal(create(w, "a", "hello", PURPOSE("vision")), 200);
    snprintf(id, sizeof id, "%s", str(w->json, "id"));
    ft_blob_mem_break(w->blob, true);
    assert_int_equal(create(w, "b", "hello", PURPOSE("vision")), 503);
    assert_string_equal(error(w, "code"), "storage_unavailable");
    snprintf(path, sizeof path, "files/%s/content", id);
    assert_int_equal(ask(w, "GET", path, ""), 200); /* reads go on */
    ft_blob_mem_break(w->blob, false);
    char key[80];
    snprintf(key, sizeof key, "c/%s", id);
    ft_blob_mem_damage(w->blob, ".files.acme", key);
    assert_int_equal(ask(w, "GET", path, ""), 502);
    assert_string_equal(error(w, "code"), "file_damaged");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_and_its_life),
        TEST(what_is_refused),
        TEST(from_inside),
        TEST(lists),
        TEST(expiry),
        TEST(an_upload),
        TEST(uploads_that_end),
        TEST(a_store_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
