/* Files and uploads over HTTP: api/files on a lane; and batches, which control has. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/files/files.h"
#include "base/log.h"
#include "gateway/inner.h"

#define SWEEP_TICKS 60   /* seconds between two sweeps */
#define DEEP_SWEEPS 1440 /* of which one is deep: at the start, then once a day */

/* Of a file whose length nobody told, the project holds what has come, so that many such at once do
 * not pass its limit together. */
static int64_t on_read(void *ctx, void *data, size_t n, struct ft_err *err)
{
    struct gw_request *r = ctx;
    const char *type = ft_http_header(r->x, "content-type");
    bool counts = !r->inner && r->x->content_length < 0 && type != NULL &&
                  strncasecmp(type, "multipart/", 10) == 0;
    int64_t got = ft_lane_read(r->lane, data, n, err);
    int rc = got > 0 && counts ? gw_keep(r, r->project, got, err) : 0;
    return rc == 0 ? got : rc;
}

static void on_respond(void *ctx, int status, const void *json, size_t n)
{
    gw_respond(ctx, status, "application/json", json, n);
}

static void on_fail(void *ctx, const struct ft_oai_error *e)
{
    gw_fail(ctx, e);
}

static int on_begin(void *ctx, int64_t length, const char *disposition, struct ft_err *err)
{
    struct gw_request *r = ctx;
    struct ft_http_field f[GW_FIELDS_MAX];
    int n = gw_fields(r, f, GW_FIELDS_MAX - 4);
    f[n++] = (struct ft_http_field){"content-type", "application/octet-stream"};
    f[n++] = (struct ft_http_field){"content-disposition", disposition};
    f[n++] = (struct ft_http_field){"x-content-type-options", "nosniff"};
    f[n++] = (struct ft_http_field){"content-security-policy", FT_HTTP_STORED_POLICY};
    r->content = true;
    atomic_store(&r->status, 200);
    return ft_lane_begin(r->lane, 200, length, f, n, err);
}

static int on_write(void *ctx, const void *data, size_t n, struct ft_err *err)
{
    return ft_lane_write(((struct gw_request *)ctx)->lane, data, n, err);
}

static void on_end(void *ctx, bool whole)
{
    struct gw_request *r = ctx;
    if (whole)
        ft_lane_end(r->lane, NULL);
    else
        ft_lane_cut(r->lane);
}

/* What the project may still store; -1: no bound. What is announced is held, so that others do not
 * count on it. Results of jobs are kept whatever the bound: they were paid for. */
static int64_t room_of(struct gw_request *r)
{
    struct ft_err err = {0};
    int64_t most = ft_tenant_storage_max(r->gw->tenant, r->project), left = 0;
    if (most < 0 || r->inner || strcmp(r->x->method, "POST") != 0)
        return -1;
    if (ft_quota_left(r->gw->quota, r->project, most, &left, &err) != 0)
        ft_log(FT_LOG_WARN, "gateway", "files: %s", err.msg);
    else if (r->x->content_length > 0 && r->x->content_length <= left &&
             gw_keep(r, r->project, r->x->content_length, &err) != 0)
        left = 0; /* another was faster */
    return left;
}

static void gw_files(struct gw_request *r)
{
    static const struct ft_files_io io = {on_read, on_respond, on_fail, on_begin, on_write, on_end};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct ft_files_request q = {.blob = gw_blob(r->gw),
                                 .method = r->x->method,
                                 .path = r->x->path + strlen("/v1/"),
                                 .query = r->x->query,
                                 .content_type = ft_http_header(r->x, "content-type"),
                                 .project = r->project,
                                 .room = room_of(r),
                                 .inside = r->inner,
                                 .id = r->inner ? ft_http_header(r->x, "x-feitian-file") : NULL,
                                 .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
                                 .io = &io,
                                 .ctx = r};
    ft_files_handle(&q);
}

#define FILES(method, path, action)                                                                \
    {                                                                                              \
        method, path, action, "files", GW_OPENAI, gw_files, 0, GW_LANE | GW_STORE | GW_PROJECT, 0  \
    }
#define BATCHES(method, path, action)                                                              \
    {                                                                                              \
        method, path, action, "batches", GW_OPENAI, gw_proxy, 0, 0, 0                              \
    }

static const struct gw_route rows[] = {
    FILES("GET", "/v1/files", "files.read"),         FILES("POST", "/v1/files", "files"),
    FILES("GET", "/v1/files/*", "files.read"),       FILES("DELETE", "/v1/files/*", "files"),
    FILES("POST", "/v1/uploads", "files"),           FILES("POST", "/v1/uploads/*", "files"),
    BATCHES("GET", "/v1/batches", "batches.read"),   BATCHES("POST", "/v1/batches", "batches"),
    BATCHES("GET", "/v1/batches/*", "batches.read"), BATCHES("POST", "/v1/batches/*", "batches"),
};
const struct gw_table gw_file_routes = {rows, FT_COUNT(rows)};

/* ---- keeping house ---- */

static bool ends(void *ctx)
{
    return *((struct gw *)ctx)->opt->end != 0;
}

static int part_open(struct gw *g, struct ft_blob *b, struct ft_err *err)
{
    (void)err;
    g->files_blob = b; /* gw_blob() has it a little later */
    g->files_ticks = 0;
    return 0;
}

static void part_tick(struct gw *g)
{
    struct ft_err err = {0};
    int64_t tick = g->files_ticks++;
    if (tick % SWEEP_TICKS != 0)
        return;
    bool deep = tick / SWEEP_TICKS % DEEP_SWEEPS == 0;
    int rc = ft_files_sweep(g->files_blob, (int64_t)time(NULL), deep, ends, g, &err);
    if (rc != 0 && rc != FT_ECANCELED)
        ft_log(FT_LOG_WARN, "gateway", "files whose time is over could not be removed: %s",
               err.msg);
}

static void part_close(struct gw *g)
{
    (void)g;
}

const struct gw_part gw_file_part = {part_open, part_tick, part_close};
