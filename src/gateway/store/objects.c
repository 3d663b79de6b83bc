/* S3: which requests are its own, who their callers are, what they may keep, and what the ledger
 * hears of them. The protocol is api/s3's.
 *
 * Unsigned requests for objects come last: where no route has the path, a bucket of its first
 * part's name may be public, or answer a browser's preflight. */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/s3/s3.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/sessions.h"

#define NAME_BYTES   (FT_RECORD_ROUTE_MAX + 1)
#define DAY_S        86400
#define SWEEPS_A_DAY 24

static const char *const default_domains[] = {"s3.localhost"};

/* What a lane's thread works on: api/s3 asks with what it knows. */
static __thread struct gw_request *current;

/* ---- what api/s3 asks ---- */

static void caller_of(const struct ft_tenant_ident *i, struct ft_s3_caller *ret)
{
    memset(ret, 0, sizeof *ret);
    snprintf(ret->id, sizeof ret->id, "%s", i->key);
    snprintf(ret->project, sizeof ret->project, "%s", i->project);
    snprintf(ret->display, sizeof ret->display, "%s", i->project);
    ret->read = ft_tenant_ident_may(i, "objects.read");
    ret->write = ft_tenant_ident_may(i, "objects.write");
}

static int credentials(void *ctx, const char *access_key, struct ft_s3_caller *ret,
                       struct ft_err *err)
{
    struct gw *g = ctx;
    struct ft_tenant_ident *i = NULL;
    enum ft_tenant_why why;
    int rc = ft_tenant_find(g->tenant, access_key, (int64_t)time(NULL), &i, &why, err);
    if (rc != 0)
        return rc;
    caller_of(i, ret);
    ft_tenant_s3_secret(i, g->s3_master, ret->secret);
    ft_tenant_ident_unref(i);
    return 0;
}

/* A key or a session, shown with X-Feitian-S3; routes.c has seen to it. */
static bool known(void *ctx, const struct ft_http_exchange *x, struct ft_s3_caller *ret)
{
    (void)ctx;
    (void)x;
    if (current->ident == NULL)
        return false;
    caller_of(current->ident, ret);
    return true;
}

static int display(void *ctx, const char *project, char ret[FT_S3_DISPLAY_MAX + 1],
                   struct ft_err *err)
{
    struct gw *g = ctx;
    if (!ft_tenant_has_project(g->tenant, project))
        return ft_err_set(err, FT_ENOTFOUND, "there is no project '%.64s'", project);
    snprintf(ret, FT_S3_DISPLAY_MAX + 1, "%s", project);
    return 0;
}

static int quota(void *ctx, const char *project, int64_t bytes, struct ft_err *err)
{
    (void)ctx;
    return gw_keep(current, project, bytes, err);
}

static int64_t quota_max(void *ctx, const char *project)
{
    struct gw *g = ctx;
    return ft_tenant_storage_max(g->tenant, project);
}

static int admit(void *ctx, const struct ft_s3_caller *caller, bool writes, struct ft_err *err)
{
    struct gw *g = ctx;
    (void)writes;
    ft_quota_give(g->quota, &current->lane_hold, false); /* it was taken for nobody's, if it was */
    return ft_quota_lane(g->quota, caller->project, &current->lane_hold, err);
}

static const char *kept(struct ft_http_exchange *x, const char *text)
{
    const char *s = ft_arena_strndup(&x->arena, text, strlen(text));
    return s != NULL ? s : "";
}

static void done(void *ctx, struct ft_http_exchange *x, const struct ft_s3_record *s)
{
    struct gw_request *r = current;
    char name[NAME_BYTES];
    (void)ctx;
    snprintf(name, sizeof name, "s3.%.28s", s->operation[0] != '\0' ? s->operation : "request");
    r->name = kept(x, name);
    r->content = strcmp(s->operation, "GetObject") == 0;
    r->project = kept(x, s->caller != NULL ? s->caller->project : s->owner);
    r->key = kept(x, s->caller != NULL ? s->caller->id : "");
    atomic_store(&r->status, s->status);
}

/* ---- the way in ---- */

static bool has_host(const struct ft_http_exchange *x, const char *domain)
{
    const char *host = ft_http_header(x, "host");
    size_t n = host != NULL ? strcspn(host, ":") : 0, m = strlen(domain);
    return n > m && strncasecmp(host + n - m, domain, m) == 0 && host[n - m - 1] == '.';
}

/* Without a store nobody can say more than that it looks like S3. */
static bool looks_like_s3(const struct gw_request *r)
{
    const struct ft_http_exchange *x = r->x;
    const char *a = ft_http_header(x, "authorization");
    const struct ft_gateway_options *o = r->gw->opt;
    const char *domain = o->s3_domain != NULL ? o->s3_domain : default_domains[0];
    return (a != NULL && (strncmp(a, "AWS4-", 5) == 0 || strncmp(a, "AWS ", 4) == 0)) ||
           strstr(x->query, "X-Amz-Algorithm=") != NULL ||
           strstr(x->query, "AWSAccessKeyId=") != NULL || has_host(x, domain);
}

bool gw_s3_shows_key(const struct gw_request *r)
{
    const char *a = ft_http_header(r->x, "authorization");
    return ft_http_header(r->x, "x-feitian-s3") != NULL &&
           (gw_has_cookie(r) || (a != NULL && strncasecmp(a, "bearer ", 7) == 0) ||
            (a == NULL && ft_http_header(r->x, "x-api-key") != NULL));
}

bool gw_is_s3(struct gw_request *r)
{
    const char *a = ft_http_header(r->x, "authorization");
    if (ft_http_header(r->x, "x-feitian-s3") != NULL)
        return true;
    if (a != NULL && strncasecmp(a, "bearer ", 7) == 0) /* what nearly all send */
        return false;
    if (a == NULL && ft_http_header(r->x, "x-api-key") != NULL) /* Anthropic's clients */
        return false;
    return gw_blob(r->gw) != NULL ? ft_s3_wants(r->gw->s3, r->x) : looks_like_s3(r);
}

static void serve(struct gw_request *r)
{
    current = r;
    ft_s3_serve(r->gw->s3, r->lane);
    current = NULL;
}

static void serve_bucket(struct gw_request *r)
{
    struct ft_oai_error e;
    struct ft_err err = {0};
    ft_oai_error_init(&e);
    if (ft_quota_lane(r->gw->quota, "", &r->lane_hold, &err) != 0) {
        ft_oai_error_from(&e, &err);
        e.status = 503;
        e.retry_after_ms = 1000;
    } else if (ft_s3_has_bucket(r->gw->s3, r->x)) {
        r->style = GW_S3;
        serve(r);
        return;
    } else {
        gw_unknown(r, &e);
    }
    gw_fail(r, &e);
}

const struct gw_route gw_s3_route = {
    "*", "", NULL, "s3.request", GW_S3, serve, 0, GW_LANE | GW_STORE, 0};
const struct gw_route gw_bucket_route = {"*",          "", NULL,    NULL, GW_OPENAI,
                                         serve_bucket, 0,  GW_LANE, 0};

/* ---- keeping house ---- */

static bool ends(void *ctx)
{
    return *((struct gw *)ctx)->opt->end != 0;
}

static void sweep(struct gw *g)
{
    int day_s = g->opt->s3_day_s > 0 ? g->opt->s3_day_s : DAY_S;
    int64_t every_ns = (int64_t)FT_MAX(day_s / SWEEPS_A_DAY, 1) * 1000000000;
    struct ft_s3_swept done = {0};
    struct ft_err err = {0};
    if (ft_clock_now_ns() - g->s3_swept_ns < every_ns)
        return;
    int rc = ft_s3_sweep(g->s3, ends, g, &done, &err);
    g->s3_swept_ns = ft_clock_now_ns();
    if (rc != 0 && rc != FT_ECANCELED)
        ft_log(FT_LOG_WARN, "gateway", "lifecycle rules could not be carried out: %s", err.msg);
    else if (done.versions + done.markers + done.uploads > 0)
        ft_log(FT_LOG_INFO, "gateway",
               "lifecycle rules: %lld versions, %lld markers, %lld uploads removed",
               (long long)done.versions, (long long)done.markers, (long long)done.uploads);
}

/* ---- with the store ---- */

static int open_s3(struct gw *g, struct ft_blob *b, struct ft_err *err)
{
    const char *const own[] = {g->opt->s3_domain};
    bool named = g->opt->s3_domain != NULL;
    struct ft_s3_config c = {.blob = b,
                             .region = GW_REGION,
                             .domains = named ? own : default_domains,
                             .n_domains = 1,
                             .day_s = g->opt->s3_day_s,
                             .ctx = g,
                             .credentials = credentials,
                             .known = known,
                             .display = display,
                             .quota = quota,
                             .quota_max = quota_max,
                             .admit = admit,
                             .done = done};
    return ft_s3_open(&c, &g->s3, err);
}

static void close_s3(struct gw *g)
{
    ft_s3_close(g->s3);
    g->s3 = NULL;
}

const struct gw_part gw_s3_part = {open_s3, sweep, close_s3};
