/* A server of S3 over the store in memory. */
#ifndef FT_TEST_S3_TESTING_H
#define FT_TEST_S3_TESTING_H

#include "api/s3/s3.h"
#include "blob/mem/mem.h"
#include "testing.h"

#define S3_KEY    "key_main"
#define S3_SECRET "a secret of forty characters, or so/+="

struct s3_server {
    struct ft_blob *blob;
    struct ft_lanes *lanes;
    struct ft_s3 *s3;
    struct ft_http_server *http;
    int64_t room;        /* what quota allows; -1: no bound */
    bool nobody_is_busy; /* admit lets none in whom it does not know */
    int records;
    struct ft_s3_record last; /* strings are not kept */
    char last_operation[64], last_code[64];
};
static struct s3_server server;

static int s3_credentials(void *ctx, const char *id, struct ft_s3_caller *ret, struct ft_err *err)
{
    (void)ctx;
    bool main = strcmp(id, S3_KEY) == 0;
    if (!main && strcmp(id, "key_other") != 0 && strcmp(id, "key_reader") != 0)
        return ft_err_set(err, FT_ENOTFOUND, "no such key");
    snprintf(ret->id, sizeof ret->id, "%s", id);
    snprintf(ret->secret, sizeof ret->secret, "%s", S3_SECRET);
    snprintf(ret->project, sizeof ret->project, "%s",
             strcmp(id, "key_other") == 0 ? "other" : "main");
    snprintf(ret->display, sizeof ret->display, "Project %s", ret->project);
    ret->read = true;
    ret->write = strcmp(id, "key_reader") != 0;
    return 0;
}

static int s3_quota(void *ctx, const char *project, int64_t bytes, struct ft_err *err)
{
    struct s3_server *s = ctx;
    (void)project;
    return s->room >= 0 && bytes > s->room ? ft_err_set(err, FT_ELIMIT, "full") : 0;
}

static int s3_admit(void *ctx, const struct ft_s3_caller *caller, bool writes, struct ft_err *err)
{
    struct s3_server *s = ctx;
    (void)writes;
    return s->nobody_is_busy && caller->project[0] == '\0' ? ft_err_set(err, FT_EBUSY, "busy") : 0;
}

static void s3_done(void *ctx, struct ft_http_exchange *x, const struct ft_s3_record *r)
{
    struct s3_server *s = ctx;
    (void)x;
    s->last = *r;
    snprintf(s->last_operation, sizeof s->last_operation, "%s", r->operation);
    snprintf(s->last_code, sizeof s->last_code, "%s", r->code);
    __atomic_add_fetch(&s->records, 1, __ATOMIC_SEQ_CST);
}

static void s3_handle(void *ctx, struct ft_http_exchange *x)
{
    struct s3_server *s = ctx;
    if (ft_lane_start(s->lanes, x, 0, ft_s3_serve, s->s3, NULL) != 0)
        ft_http_respond(x, 503, NULL, 0, NULL, 0);
}

static int s3_setup(void **state)
{
    (void)state;
    static const char *const domains[] = {"s3.test"};
    struct ft_err err = {0};
    server.room = -1;
    assert_int_equal(ft_blob_mem_open(0, &server.blob, &err), 0);
    assert_int_equal(ft_lanes_open(8, &server.lanes, &err), 0);
    const struct ft_s3_config config = {.blob = server.blob,
                                        .domains = domains,
                                        .n_domains = 1,
                                        .ctx = &server,
                                        .credentials = s3_credentials,
                                        .quota = s3_quota,
                                        .admit = s3_admit,
                                        .done = s3_done};
    assert_int_equal(ft_s3_open(&config, &server.s3, &err), 0);
    const struct ft_http_server_config http = {
        .listen = "127.0.0.1:0", .handler = s3_handle, .ctx = &server, .raw_targets = true};
    assert_int_equal(ft_http_server_open(&http, &server.http, &err), 0);
    assert_int_equal(ft_blob_bucket_create(server.blob, "bucket", "main", &err), 0);
    return 0;
}

static int s3_teardown(void **state)
{
    (void)state;
    ft_http_server_close(server.http);
    ft_lanes_close(server.lanes);
    ft_s3_close(server.s3);
    ft_blob_close(server.blob);
    return 0;
}

#endif
