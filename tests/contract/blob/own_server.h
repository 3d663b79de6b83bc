/* feitian's own S3 server over a store in memory, on a free port of loopback: an upstream that
 * every machine has. */
#ifndef FT_CONTRACT_BLOB_OWN_SERVER_H
#define FT_CONTRACT_BLOB_OWN_SERVER_H

#include "api/s3/s3.h"
#include "blob/mem/mem.h"
#include "net/lane.h"
#include "net/server.h"

#include "testing.h"

#define OWN_BYTES  ((int64_t)1 << 30)
#define OWN_KEY    "OWNACCESSKEY"
#define OWN_SECRET "own-secret"

static struct {
    struct ft_blob *blob;
    struct ft_s3 *s3;
    struct ft_lanes *lanes;
    struct ft_http_server *server;
} own;

static int own_credentials(void *ctx, const char *access_key, struct ft_s3_caller *ret,
                           struct ft_err *e)
{
    (void)ctx;
    if (strcmp(access_key, OWN_KEY) != 0)
        return ft_err_set(e, FT_ENOTFOUND, "no such key");
    *ret = (struct ft_s3_caller){.id = "key_own",
                                 .secret = OWN_SECRET,
                                 .project = "prj_own",
                                 .display = "own",
                                 .read = true,
                                 .write = true};
    return 0;
}

static void own_handler(void *ctx, struct ft_http_exchange *x)
{
    struct ft_err e;
    (void)ctx;
    if (ft_lane_start(own.lanes, x, 0, ft_s3_serve, own.s3, &e) != 0)
        ft_http_respond(x, 503, NULL, 0, NULL, 0);
}

/* Appends its address, "http://127.0.0.1:PORT", to url. */
static inline void own_open(char url[64])
{
    struct ft_err e;
    assert_int_equal(ft_blob_mem_open(OWN_BYTES, &own.blob, &e), 0);
    struct ft_s3_config s3 = {.blob = own.blob, .credentials = own_credentials};
    assert_int_equal(ft_s3_open(&s3, &own.s3, &e), 0);
    assert_int_equal(ft_lanes_open(16, &own.lanes, &e), 0);
    struct ft_http_server_config config = {
        .listen = "127.0.0.1:0", .raw_targets = true, .handler = own_handler};
    if (ft_http_server_open(&config, &own.server, &e) != 0)
        fail_msg("%s", e.msg);
    snprintf(url, 64, "http://%s", ft_http_server_address(own.server));
}

static inline void own_close(void)
{
    ft_http_server_close(own.server);
    ft_lanes_close(own.lanes);
    ft_s3_close(own.s3);
    ft_blob_close(own.blob);
}

#endif
