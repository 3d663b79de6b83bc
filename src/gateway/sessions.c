/* Signing in, out, and by a cookie.
 *
 * Control makes and ends sessions (control/admin/sessions.c); the feed tells of them, so that one
 * works when its making is answered and is dead when its end is. Here is who may ask for one: wrong
 * tries are counted by address and by login before control has any work with them.
 *
 * Browsers send a cookie whoever made the page. So a request with one is taken only if it does not
 * come from another site (Sec-Fetch-Site, or Origin where a browser does not send that), and one
 * that changes something only with a header that a page cannot send elsewhere without asking. */
#include "gateway/sessions.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/ask.h"
#include "gateway/throttle.h"
#include "net/cookie.h"

#define BODY_MAX         4096
#define COOKIE_AGE_S     (30 * 86400) /* no session lasts longer: control says when one ends */
#define RENEW_LEFT_S     (11 * 3600)  /* of its twelve hours: written once an hour at most */
#define RENEW_AGAIN_NS   ((int64_t)60 * 1000000000)
#define RENEWALS         1024
#define ADDRESS_BURST    30
#define ADDRESS_EVERY_MS 4000
#define LOGIN_BURST      6
#define LOGIN_EVERY_MS   15000
#define ADDRESS_BYTES    64

struct gw_sessions {
    struct ft_throttle addresses, logins;
    pthread_mutex_t lock;
    int64_t asked_ns[RENEWALS]; /* (lock) when a renewal was last asked for, by the id's hash */
};

int gw_sessions_open(struct gw_sessions **ret, struct ft_err *err)
{
    struct gw_sessions *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "sessions: no memory");
    ft_throttle_init(&s->addresses, ADDRESS_BURST, ADDRESS_EVERY_MS);
    ft_throttle_init(&s->logins, LOGIN_BURST, LOGIN_EVERY_MS);
    pthread_mutex_init(&s->lock, NULL);
    *ret = s;
    return 0;
}

void gw_sessions_close(struct gw_sessions *s)
{
    if (s == NULL)
        return;
    ft_throttle_fini(&s->addresses);
    ft_throttle_fini(&s->logins);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- where a request comes from ---- */

/* "http://host:port" of a page and "host:port" of ours: the same? */
static bool is_own_origin(const char *origin, const char *host)
{
    const char *at = strstr(origin, "://");
    return at != NULL && host != NULL && strcasecmp(at + 3, host) == 0;
}

static bool is_own_site(const struct ft_http_exchange *x)
{
    const char *site = ft_http_header(x, "sec-fetch-site"), *origin = ft_http_header(x, "origin");
    if (site != NULL) /* "none": typed in, or a bookmark */
        return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    return origin == NULL || is_own_origin(origin, ft_http_header(x, "host"));
}

static bool is_safe(const struct ft_http_exchange *x)
{
    return strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
}

/* Pages cannot send these to another origin unless that allows it, and none is allowed. */
static bool has_own_header(const struct ft_http_exchange *x)
{
    return ft_http_header(x, "x-feitian-console") != NULL ||
           ft_http_header(x, "x-feitian-s3") != NULL;
}

static int refuse_site(struct ft_oai_error *e, const char *why)
{
    ft_oai_error_set(e, FT_EINVAL, "cross_site", NULL, "%s", why);
    e->status = 403;
    return -1;
}

static int check_site(const struct gw_request *r, struct ft_oai_error *e)
{
    if (!is_own_site(r->x))
        return refuse_site(e, "This request comes from a page of another site; a session counts "
                              "for the console's own pages alone.");
    if (!is_safe(r->x) && !has_own_header(r->x))
        return refuse_site(e, "A change that is asked for with a session needs the header "
                              "X-Feitian-Console: 1.");
    return 0;
}

/* Where it came from, as far as that is known: a proxy of this machine says it of others. */
static void address_of(const struct ft_http_exchange *x, char ret[ADDRESS_BYTES])
{
    bool near = strcmp(x->peer, "127.0.0.1") == 0 || strcmp(x->peer, "::1") == 0;
    const char *said = near ? ft_http_header(x, "x-forwarded-for") : NULL;
    const char *last = said != NULL ? strrchr(said, ',') : NULL;
    said = last != NULL ? last + 1 : said;
    snprintf(ret, ADDRESS_BYTES, "%.*s", ADDRESS_BYTES - 1,
             said != NULL ? said + strspn(said, " ") : x->peer);
}

/* Whoever has one address of IPv6 has its whole network of 64 bits. */
static void crowd_of(const char *address, char ret[ADDRESS_BYTES])
{
    struct in6_addr a;
    memcpy(ret, address, ADDRESS_BYTES);
    if (inet_pton(AF_INET6, address, &a) != 1 || IN6_IS_ADDR_V4MAPPED(&a))
        return;
    memset(&a.s6_addr[8], 0, 8);
    inet_ntop(AF_INET6, &a, ret, ADDRESS_BYTES);
}

/* ---- cookies ---- */

static const char *cookie(struct gw_request *r, const char *value, long age_s)
{
    char line[256];
    const char *proto = ft_http_header(r->x, "x-forwarded-proto");
    bool secure = r->x->secure || (proto != NULL && strcasecmp(proto, "https") == 0);
    int n = snprintf(line, sizeof line,
                     GW_COOKIE "=%.100s; Path=/; Max-Age=%ld; HttpOnly; SameSite=Strict%s", value,
                     age_s, secure ? "; Secure" : "");
    return ft_arena_strndup(&r->x->arena, line, (size_t)n);
}

bool gw_has_cookie(const struct gw_request *r)
{
    struct ft_slice v;
    return ft_http_header(r->x, "authorization") == NULL &&
           ft_http_header(r->x, "x-api-key") == NULL &&
           ft_cookie_find(ft_http_header(r->x, "cookie"), GW_COOKIE, &v);
}

static void renewed(void *ctx, int status, const char *body, size_t n)
{
    (void)ctx; /* the feed tells of it; without control it is tried again */
    (void)status;
    (void)body;
    (void)n;
}

/* Seldom, and without waiting: use must not cost a write. */
static void renew(struct gw_request *r)
{
    struct gw_sessions *s = r->gw->sessions;
    char path[128];
    uint64_t h = 0;
    for (const char *p = r->session; *p != '\0'; p++)
        h = 31 * h + (unsigned char)*p;
    int64_t now = ft_clock_now_ns(), *asked = &s->asked_ns[h % RENEWALS];
    pthread_mutex_lock(&s->lock);
    bool due = *asked == 0 || now - *asked > RENEW_AGAIN_NS;
    if (due)
        *asked = now;
    pthread_mutex_unlock(&s->lock);
    if (!due)
        return;
    snprintf(path, sizeof path, "/internal/sessions/%s", r->session);
    gw_control_ask(r->gw, "POST", path, "", NULL, 0, BODY_MAX, renewed, NULL);
}

int gw_identify_cookie(struct gw_request *r, struct ft_oai_error *e)
{
    struct ft_slice v = {"", 0};
    struct ft_tenant_session s;
    enum ft_tenant_why why;
    struct ft_err err = {0};
    int64_t now_s = (int64_t)time(NULL);
    if (check_site(r, e) != 0)
        return -1;
    ft_cookie_find(ft_http_header(r->x, "cookie"), GW_COOKIE, &v);
    int rc = ft_tenant_session(r->gw->tenant, v.p, v.n, now_s, &r->ident, &s, &why, &err);
    if (rc == 0)
        r->session = ft_arena_strndup(&r->x->arena, s.id, strlen(s.id));
    if (rc == 0 && r->session == NULL) {
        r->session = "";
        rc = ft_err_set(&err, FT_ENOMEM, "out of memory");
    }
    if (rc != 0) {
        ft_oai_error_set(e, rc, rc == FT_ENOMEM ? NULL : "session_ended", NULL, "%s", err.msg);
        e->status = rc == FT_ENOMEM ? 500 : 401;
        return -1;
    }
    if (s.expires_s - now_s < RENEW_LEFT_S)
        renew(r);
    return 0;
}

/* ---- signing in ---- */

/* One try to sign in; in the exchange's arena. */
struct trying {
    char address[ADDRESS_BYTES], crowd[ADDRESS_BYTES];
    char login[FT_TENANT_NAME_MAX]; /* "": by key, or a password's own change */
};

static void too_often(struct ft_oai_error *e, int64_t wait_ms)
{
    ft_oai_error_set(e, FT_EBUSY, "too_many_tries", NULL,
                     "Too many wrong tries. Please try again in %lld s.",
                     (long long)(wait_ms + 999) / 1000);
    e->status = 429;
    e->retry_after_ms = wait_ms;
}

/* A try is taken first and given back when it was right: many at once get no more of them. */
static int take_try(struct gw_request *r, const struct trying *t, struct ft_oai_error *e)
{
    struct gw_sessions *s = r->gw->sessions;
    int64_t now = ft_clock_now_ns();
    int64_t wait = r->inner ? 0 : ft_throttle_take(&s->addresses, t->crowd, now);
    if (wait == 0 && t->login[0] != '\0') {
        wait = ft_throttle_take(&s->logins, t->login, now);
        if (wait > 0 && !r->inner)
            ft_throttle_give(&s->addresses, t->crowd, now);
    }
    if (wait == 0)
        return 0;
    too_often(e, wait);
    return -1;
}

/* What control said of it; 0: nothing. */
static void tried(struct gw_request *r, int status)
{
    const struct trying *t = r->trying;
    struct gw_sessions *s = r->gw->sessions;
    int64_t now = ft_clock_now_ns();
    if (status == 401 || status == 403) {
        ft_log(FT_LOG_WARN, "gateway", "a wrong try to sign in from %s (%s)", t->address, r->id);
        return;
    }
    if (!r->inner)
        ft_throttle_give(&s->addresses, t->crowd, now);
    if (t->login[0] != '\0')
        ft_throttle_give(&s->logins, t->login, now);
}

static struct trying *try_new(struct gw_request *r, const char *login)
{
    struct trying *t = ft_arena_alloc(&r->x->arena, sizeof *t);
    if (t == NULL)
        return NULL;
    address_of(r->x, t->address);
    for (char *p = t->address; *p != '\0'; p++)
        *p = *p <= ' ' || *p > '~' ? '?' : *p;
    crowd_of(t->address, t->crowd);
    size_t n = 0;
    for (; login[n] != '\0' && n + 1 < sizeof t->login; n++) /* "A" is "a" to control, too */
        t->login[n] = login[n] >= 'A' && login[n] <= 'Z' ? (char)(login[n] | 0x20) : login[n];
    t->login[n] = '\0';
    r->trying = t;
    r->address = t->address;
    r->tried = tried;
    return t;
}

static int check_key(struct gw_request *r, const char *key, struct ft_oai_error *e)
{
    enum ft_tenant_why why;
    struct ft_err err = {0};
    if (ft_tenant_authenticate(r->gw->tenant, key, strlen(key), (int64_t)time(NULL), &r->ident,
                               &why, &err) == 0)
        return 0;
    tried(r, 401);
    ft_oai_error_set(e, FT_EINVAL, "invalid_sign_in", NULL,
                     "the key, or the login with the password, is not right");
    e->status = 401;
    return -1;
}

/* From a form of another site it cannot come: that would need another type. */
static int check_head(struct gw_request *r, struct ft_oai_error *e)
{
    const char *type = ft_http_header(r->x, "content-type");
    if (!is_own_site(r->x))
        return refuse_site(e, "This request comes from a page of another site.");
    if (type != NULL && strncasecmp(type, "application/json", 16) == 0)
        return 0;
    ft_oai_error_set(e, FT_EINVAL, "unsupported_media_type", NULL,
                     "Content-Type: must be application/json");
    e->status = 415;
    return -1;
}

static void sign_in(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct gw_request *r = ctx;
    struct ft_oai_error e;
    (void)x;
    ft_oai_error_init(&e);
    json_t *body = n <= BODY_MAX ? json_loadb(data, n, 0, NULL) : NULL;
    const char *key = json_string_value(json_object_get(body, "key")),
               *login = json_string_value(json_object_get(body, "login"));
    struct trying *t = try_new(r, key == NULL && login != NULL ? login : "");
    int rc = 0;
    if (t == NULL)
        rc = ft_oai_error_set(&e, FT_ENOMEM, NULL, NULL, "out of memory");
    if (rc == 0)
        rc = take_try(r, t, &e);
    if (rc == 0 && key != NULL)
        rc = check_key(r, key, &e);
    json_decref(body);
    if (rc != 0)
        gw_refuse(r, "", &e);
    else
        gw_proxy_send(r, data, n); /* which checks the body by the document */
}

static void begin(struct gw_request *r)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    if (check_head(r, &e) != 0)
        gw_refuse(r, "", &e);
    else
        ft_http_body_collect(r->x, BODY_MAX, sign_in, r);
}

/* Is anybody signed in? A page asks before it can know, so no is an answer, not a fault. */
static void look(struct gw_request *r)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    if (gw_has_cookie(r) && gw_authenticate(r, "", &e) == 0)
        gw_proxy(r);
    else if (e.err.code == 0 || e.status == 401)
        gw_respond_json(r, json_pack("{s:s,s:n}", "object", "sign_in", "me"));
    else /* another site asks, or there is no memory */
        gw_refuse(r, "", &e);
}

static void ended(struct gw_request *r, int status)
{
    if (status == 200)
        r->set_cookie = cookie(r, "", 0);
}

static void end(struct gw_request *r)
{
    r->tried = ended;
    gw_proxy(r);
}

/* The old password is a try as well: of the key that asks. */
static void change_password(struct gw_request *r)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    struct trying *t = try_new(r, r->ident->key);
    if (t == NULL || take_try(r, t, &e) != 0) {
        if (t == NULL)
            ft_oai_error_set(&e, FT_ENOMEM, NULL, NULL, "out of memory");
        gw_refuse(r, "", &e);
        return;
    }
    gw_proxy(r);
}

void gw_session_cookie(struct gw_request *r, const char *secret)
{
    r->set_cookie = cookie(r, secret, COOKIE_AGE_S);
}

static const struct gw_route routes[] = {
    {"POST", "/api/v1/session", NULL, "admin", GW_OPENAI, begin, 0, 0, 0},
    {"GET", "/api/v1/session", NULL, "admin", GW_OPENAI, look, 0, 0, 0},
    {"DELETE", "/api/v1/session", "", "admin", GW_OPENAI, end, 0, 0, 0},
    {"GET", "/api/v1/sessions", "", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"DELETE", "/api/v1/sessions/{}", "", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"GET", "/api/v1/me", "", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"PUT", "/api/v1/me/password", "", "admin", GW_OPENAI, change_password, 0, 0, 0},
};
const struct gw_table gw_session_routes = {routes, FT_COUNT(routes)};
