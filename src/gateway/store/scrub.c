/* Reading all that is stored against its checksums: in the background, slowly, once a week; and at
 * once for `feitian blob check`, through HOME/run/gateway.sock. What is found wrong is logged, kept
 * for the status, and never served (the store refuses it).
 *
 * The background's thread sleeps until it is due, which HOME/scrub.json tells also after a restart.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "gateway/inner.h"
#include "net/url.h"

#define EVERY_S     (7 * 86400)
#define FIRST_S     600 /* after the start at the earliest: others want the disk then */
#define RATE        ((int64_t)8 << 20) /* bytes a second */
#define FAULTS_KEPT 20                 /* for the status; all are in the log */
#define SAVED_MAX   65536
#define LINE_MAX    ((size_t)16 << 10)

struct gw_scrub {
    struct gw *gw;
    struct ft_blob *blob;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, running;           /* (lock) */
    int64_t finished_s;           /* (lock) of the last one that came to its end; 0: none did */
    struct ft_blob_scrubbed last; /* (lock) what it found */
    json_t *faults;               /* (lock) of the last one, and since */
    char path[4096];
};

/* ---- what is found ---- */

static json_t *fault_json(const struct ft_blob_fault *f)
{
    /* keys need not be UTF-8 where the disk has turned them */
    json_t *j = json_pack("{s:s,s:s,s:s,s:s}", "bucket", f->bucket, "key", f->key, "version",
                          f->version, "what", f->what);
    return j != NULL ? j : json_pack("{s:s}", "what", "something whose name cannot be read");
}

static void note_fault(struct gw_scrub *s, const struct ft_blob_fault *f)
{
    ft_log(FT_LOG_ERROR, "storage", "%s/%s %s: %s", f->bucket, f->key, f->version, f->what);
    pthread_mutex_lock(&s->lock);
    if (json_array_size(s->faults) < FAULTS_KEPT)
        json_array_append_new(s->faults, fault_json(f));
    pthread_mutex_unlock(&s->lock);
}

static void finished(struct gw_scrub *s, const struct ft_blob_scrubbed *done)
{
    struct ft_err err = {0};
    pthread_mutex_lock(&s->lock);
    s->finished_s = (int64_t)time(NULL);
    s->last = *done;
    json_t *j = json_pack("{s:I,s:I,s:I,s:I}", "finished", (json_int_t)s->finished_s, "objects",
                          (json_int_t)done->objects, "bytes", (json_int_t)done->bytes, "faults",
                          (json_int_t)done->faults);
    pthread_mutex_unlock(&s->lock);
    char *text = json_dumps(j, JSON_COMPACT);
    if (text != NULL && ft_file_put(s->path, text, strlen(text), &err) != 0)
        ft_log(FT_LOG_WARN, "storage", "scrub: %s", err.msg);
    free(text);
    json_decref(j);
    ft_log(done->faults > 0 ? FT_LOG_ERROR : FT_LOG_INFO, "storage",
           "read %lld objects of %lld bytes against their checksums: %lld faults",
           (long long)done->objects, (long long)done->bytes, (long long)done->faults);
}

static void clear(struct gw_scrub *s)
{
    pthread_mutex_lock(&s->lock);
    json_array_clear(s->faults);
    pthread_mutex_unlock(&s->lock);
}

/* ---- in the background ---- */

static void on_fault(void *ctx, const struct ft_blob_fault *f)
{
    note_fault(ctx, f);
}

static bool is_over(void *ctx)
{
    struct gw_scrub *s = ctx;
    pthread_mutex_lock(&s->lock);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void scrub(struct gw_scrub *s)
{
    const struct ft_blob_scrub how = {
        .bytes_per_s = RATE, .stop = is_over, .fault = on_fault, .ctx = s};
    struct ft_blob_scrubbed done = {0};
    struct ft_err err = {0};
    clear(s);
    int rc = ft_blob_scrub(s->blob, &how, &done, &err);
    if (rc == 0 && !is_over(s))
        finished(s, &done);
    else if (rc != 0 && rc != FT_ECANCELED)
        ft_log(FT_LOG_WARN, "storage", "scrub: %s", err.msg);
}

static void *in_background(void *ctx)
{
    struct gw_scrub *s = ctx;
    struct timespec t;
    int64_t begun = ft_clock_wall_s();
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        int64_t due = FT_MAX(begun + FIRST_S, s->finished_s + EVERY_S);
        clock_gettime(CLOCK_REALTIME, &t);
        if (t.tv_sec < due) {
            t.tv_sec = (time_t)due;
            pthread_cond_timedwait(&s->wake, &s->lock, &t);
            continue;
        }
        s->running = true;
        pthread_mutex_unlock(&s->lock);
        scrub(s);
        pthread_mutex_lock(&s->lock);
        s->running = false;
        begun = ft_clock_wall_s(); /* what failed is tried again, not at once */
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void load(struct gw_scrub *s)
{
    char *text = NULL;
    size_t n;
    struct ft_err err;
    if (ft_file_read(s->path, SAVED_MAX, &text, &n, &err) != 0)
        return;
    json_t *j = json_loadb(text, n, 0, NULL);
    s->finished_s = json_integer_value(json_object_get(j, "finished"));
    s->last.objects = json_integer_value(json_object_get(j, "objects"));
    s->last.bytes = json_integer_value(json_object_get(j, "bytes"));
    s->last.faults = json_integer_value(json_object_get(j, "faults"));
    json_decref(j);
    free(text);
}

static void scrub_free(struct gw_scrub *s)
{
    json_decref(s->faults);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int scrub_open(struct gw *g, struct ft_blob *b, struct ft_err *err)
{
    struct gw_scrub *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "scrub: no memory");
    s->gw = g;
    s->blob = b;
    s->faults = json_array();
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    snprintf(s->path, sizeof s->path, "%s/scrub.json", g->opt->home);
    load(s);
    if (s->faults == NULL || pthread_create(&s->thread, NULL, in_background, s) != 0) {
        scrub_free(s);
        return ft_err_set(err, FT_ENOMEM, "scrub: no thread");
    }
    atomic_store(&g->scrub, s);
    return 0;
}

static void scrub_close(struct gw *g)
{
    struct gw_scrub *s = atomic_exchange(&g->scrub, NULL);
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    scrub_free(s);
}

const struct gw_part gw_scrub_part = {scrub_open, NULL, scrub_close};

/* Of a store that could not be opened after all it goes again: nobody looks at that. */
json_t *gw_scrub_status(struct gw *g)
{
    struct gw_scrub *s = gw_blob(g) != NULL ? atomic_load(&g->scrub) : NULL;
    if (s == NULL)
        return json_null();
    pthread_mutex_lock(&s->lock);
    json_t *j = json_pack("{s:b,s:I,s:I,s:I,s:I,s:o}", "running", s->running, "finished",
                          (json_int_t)s->finished_s, "objects", (json_int_t)s->last.objects,
                          "bytes", (json_int_t)s->last.bytes, "faults", (json_int_t)s->last.faults,
                          "found", json_deep_copy(s->faults));
    pthread_mutex_unlock(&s->lock);
    return j;
}

/* ---- at once, for who waits for it: NDJSON, a line for each fault, then the sum ---- */

struct asked {
    struct gw_request *r;
    struct gw_scrub *scrub;
    bool gone;
};

static void tell(struct asked *a, json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT);
    if (text == NULL || ft_lane_write(a->r->lane, text, strlen(text), NULL) != 0 ||
        ft_lane_write(a->r->lane, "\n", 1, NULL) != 0)
        a->gone = true;
    free(text);
    json_decref(j);
}

static void tell_fault(void *ctx, const struct ft_blob_fault *f)
{
    struct asked *a = ctx;
    note_fault(a->scrub, f);
    tell(a, fault_json(f));
}

static bool nobody_waits(void *ctx)
{
    struct asked *a = ctx;
    return a->gone || *a->r->gw->opt->end != 0;
}

static void check(struct gw_request *r)
{
    struct asked a = {.r = r, .scrub = atomic_load(&r->gw->scrub)};
    static const struct ft_http_field type[] = {{"content-type", "application/x-ndjson"}};
    const char *rate = NULL;
    struct ft_err err = {0};
    struct ft_blob_scrubbed done = {0};
    struct ft_blob_scrub how = {.stop = nobody_waits, .fault = tell_fault, .ctx = &a};
    if (ft_url_param(r->x->query, "rate", &r->x->arena, &rate, &err) == 0 && rate != NULL)
        how.bytes_per_s = FT_MAX(strtoll(rate, NULL, 10), 0);
    atomic_store(&r->status, 200);
    if (ft_lane_begin(r->lane, 200, -1, type, 1, &err) != 0)
        return;
    clear(a.scrub);
    int rc = ft_blob_scrub(a.scrub->blob, &how, &done, &err);
    if (rc == 0 && !nobody_waits(&a))
        finished(a.scrub, &done);
    if (rc != 0)
        tell(&a, json_pack("{s:s}", "error", err.msg));
    else
        tell(&a, json_pack("{s:I,s:I,s:I}", "objects", (json_int_t)done.objects, "bytes",
                           (json_int_t)done.bytes, "faults", (json_int_t)done.faults));
    ft_lane_end(r->lane, NULL);
}

/* ---- who keeps how much ---- */

static void add_owner(void *ctx, const char *owner, const struct ft_blob_usage *u)
{
    json_object_set_new(
        ctx, owner,
        json_pack("{s:I,s:I}", "bytes", (json_int_t)u->bytes, "objects", (json_int_t)u->objects));
}

static void usage(struct gw_request *r)
{
    json_t *owners = json_object();
    struct ft_err err = {0};
    struct ft_oai_error e;
    int rc = ft_blob_usage_each(gw_blob(r->gw), add_owner, owners, &err);
    char *text = json_dumps(owners, JSON_COMPACT);
    ft_oai_error_from(&e, &err);
    if (rc == 0 && text != NULL)
        gw_respond(r, 200, "application/json", text, strlen(text));
    else
        gw_fail(r, &e);
    free(text);
    json_decref(owners);
}

static const struct gw_route rows[] = {
    {"POST", "/internal/blob/check", NULL, NULL, GW_OPENAI, check, 0, GW_LANE | GW_STORE | GW_INNER,
     0},
    {"GET", "/internal/blob/usage", NULL, NULL, GW_OPENAI, usage, 0, GW_LANE | GW_STORE | GW_INNER,
     0},
};
const struct gw_table gw_scrub_routes = {rows, FT_COUNT(rows)};
