/* GET /api/v1/requests and /api/v1/requests/ID: what runs and ended lately is here (requests.c),
 * the rest in control's store; shown as one list, each with its course and an explanation in words.
 *
 * A project sees its own; operators see all, also those of unknown keys. What was said in a request
 * is shown to admins of its project and operators, where the project keeps it (prompts.h). */
#include <stdlib.h>
#include <string.h>

#include "gateway/aside.h"
#include "gateway/ask.h"
#include "gateway/inner.h"
#include "gateway/watch/prompts.h"
#include "gateway/watch/requests_kept.h"
#include "monitor/explain.h"
#include "monitor/timeline.h"
#include "net/url.h"

#define LIMIT_DEFAULT  50
#define LIMIT_MAX      1000
#define TIME_MAX       INT64_C(253402300799) /* the end of the year 9999 */
#define STORED_BYTES   ((size_t)(LIMIT_MAX + 2) * FT_RECORD_LINE_MAX)
#define STATUS_RUNNING "running"

struct filter {
    /* NULL: any; after: from the newest */
    const char *project, *model, *key, *route, *status, *batch, *after;
    int64_t min_us, from_us, to_us, limit;
    bool pages; /* also what pages of the console asked for */
};

/* ---- control, which is not waited for ---- */

/* A question on its way: it is asked on a server's thread, control answers on its client's, and
 * the rest is done aside. The key's identity may be gone by then: what matters of it is here. */
struct asked {
    struct gw_request *r;
    enum ft_tenant_role role;
    struct filter f; /* of a list */
    bool known;      /* it, or a list's `after`, is one of ours */
    struct ft_record record;
    bool running;
    int status; /* 0: control did not answer */
    struct ft_buf stored;
    void (*then)(void *ctx);
};

static struct asked *asked_new(struct gw_request *r, void (*then)(void *ctx))
{
    struct asked *a = calloc(1, sizeof *a);
    if (a == NULL) {
        gw_respond_json(r, NULL);
        return NULL;
    }
    a->r = r;
    a->role = ft_tenant_ident_role(r->ident);
    a->then = then;
    ft_buf_init(&a->stored, STORED_BYTES);
    ft_http_ref(r->x);
    return a;
}

static void asked_free(struct asked *a)
{
    struct ft_http_exchange *x = a->r->x;
    ft_buf_fini(&a->stored);
    free(a);
    ft_http_unref(x);
}

static void go_on(struct asked *a)
{
    if (gw_aside_do(a->r, a->then, a) != 0)
        asked_free(a);
}

static void on_answer(void *ctx, int status, const char *body, size_t n)
{
    struct asked *a = ctx;
    ft_buf_add(&a->stored, body, n);
    a->status = a->stored.failed == 0 ? status : 0;
    go_on(a);
}

/* Records of the store for a question (control/usage/requests.c), as lines; takes the question. */
static void ask_store(struct asked *a, json_t *question)
{
    struct gw *g = a->r->gw;
    char *text = json_dumps(question, JSON_COMPACT);
    json_decref(question);
    if (text == NULL || !gw_feed_connected(g->feed))
        go_on(a);
    else
        gw_control_ask(g, "POST", "/internal/requests", "", text, strlen(text), STORED_BYTES,
                       on_answer, a);
    free(text);
}

static const char *next_line(const struct ft_buf *lines, size_t *at, size_t *ret_n)
{
    if (*at >= lines->len)
        return NULL;
    const char *p = lines->data + *at, *nl = memchr(p, '\n', lines->len - *at);
    *ret_n = nl != NULL ? (size_t)(nl - p) + 1 : lines->len - *at;
    *at += *ret_n;
    return p;
}

/* The next line's record; false: there is none. */
static bool next_record(const struct ft_buf *lines, size_t *at, struct ft_record *ret)
{
    struct ft_err err;
    size_t n;
    for (const char *p; (p = next_line(lines, at, &n)) != NULL;)
        if (ft_record_parse(p, n, ret, &err) == 0)
            return true;
    return false;
}

/* Where control stopped looking: the last line; its end is 0 where it did not. */
static void read_place(const struct ft_buf *lines, struct ft_record *ret)
{
    *ret = (struct ft_record){.id = ""};
    const char *end = lines->len > 1 ? memrchr(lines->data, '\n', lines->len - 1) : NULL;
    const char *p = end != NULL ? end + 1 : lines->data;
    json_t *o =
        lines->len > 0 ? json_loadb(p, lines->len - (size_t)(p - lines->data), 0, NULL) : NULL;
    const json_t *on = json_object_get(o, "on");
    const char *id = json_string_value(json_object_get(on, "id"));
    if (id != NULL) {
        snprintf(ret->id, sizeof ret->id, "%s", id);
        ret->end_us = json_integer_value(json_object_get(on, "end_us"));
    }
    json_decref(o);
}

/* ---- the question ---- */

static int take_int(struct gw_request *r, const char *name, int64_t min, int64_t max, int64_t *ret,
                    struct ft_oai_error *e)
{
    const char *text;
    struct ft_err err = {0};
    char *end;
    if (ft_url_param(r->x->query, name, &r->x->arena, &text, &err) != 0)
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", name, "%s", err.msg);
    if (text == NULL)
        return 0;
    long long v = strtoll(text, &end, 10);
    if (text[0] == '\0' || *end != '\0' || v < min || v > max)
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", name,
                                "%s: must be a whole number from %lld to %lld", name,
                                (long long)min, (long long)max);
    *ret = v;
    return 0;
}

static int take_bool(struct gw_request *r, const char *name, bool *ret, struct ft_oai_error *e)
{
    const char *text;
    struct ft_err err = {0};
    if (ft_url_param(r->x->query, name, &r->x->arena, &text, &err) != 0)
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", name, "%s", err.msg);
    if (text != NULL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", name, "%s: must be true or false",
                                name);
    *ret = text != NULL && strcmp(text, "true") == 0;
    return 0;
}

static int take_text(struct gw_request *r, const char *name, size_t max, const char **ret,
                     struct ft_oai_error *e)
{
    struct ft_err err = {0};
    if (ft_url_param(r->x->query, name, &r->x->arena, ret, &err) != 0)
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", name, "%s", err.msg);
    if (*ret != NULL && (**ret == '\0' || strlen(*ret) > max))
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", name,
                                "%s: must be a text of 1 to %zu bytes", name, max);
    return 0;
}

static int refuse_unknown(struct gw_request *r, struct ft_oai_error *e)
{
    static const char *const known[] = {"model", "project", "key",   "route", "status", "min_ms",
                                        "from",  "to",      "limit", "after", "pages",  "batch"};
    const char *name, *value;
    struct ft_err err = {0};
    size_t at = 0;
    int rc;
    while ((rc = ft_url_param_next(r->x->query, &at, &r->x->arena, &name, &value, &err)) == 1) {
        bool there = false;
        for (size_t i = 0; i < FT_COUNT(known); i++)
            there |= strcmp(known[i], name) == 0;
        if (!there)
            return ft_oai_error_set(e, FT_EINVAL, "unknown_parameter", name,
                                    "%s: is no parameter of this request", name);
    }
    return rc == 0 ? 0 : ft_oai_error_set(e, FT_EINVAL, "invalid_value", NULL, "%s", err.msg);
}

/* A word of the record's, "running", or a status of HTTP. */
static int check_status(const char *status, struct ft_oai_error *e)
{
    static const char *const known[] = {"running", "ok", "cancelled", "error", "refused", "lost"};
    if (status == NULL || (status[0] != '\0' && strspn(status, "0123456789") == strlen(status)))
        return 0;
    for (size_t i = 0; i < FT_COUNT(known); i++)
        if (strcmp(known[i], status) == 0)
            return 0;
    return ft_oai_error_set(e, FT_EINVAL, "invalid_value", "status",
                            "status: must be running, ok, cancelled, error, refused, lost, or a "
                            "status of HTTP in digits");
}

static bool is_operator(const struct gw_request *r)
{
    return ft_tenant_ident_role(r->ident) >= FT_ROLE_OPERATOR;
}

static int read_filter(struct gw_request *r, struct filter *f, struct ft_oai_error *e)
{
    int64_t min_ms = 0, from = 0, to = 0;
    *f = (struct filter){.limit = LIMIT_DEFAULT};
    const struct {
        const char *name;
        const char **ret;
        size_t max;
    } texts[] = {{"project", &f->project, FT_RECORD_ID_MAX},
                 {"key", &f->key, FT_RECORD_ID_MAX},
                 {"model", &f->model, FT_RECORD_MODEL_MAX},
                 {"route", &f->route, FT_RECORD_ROUTE_MAX + 1},
                 {"status", &f->status, 16},
                 {"batch", &f->batch, FT_RECORD_ID_MAX},
                 {"after", &f->after, FT_RECORD_ID_MAX}};
    int rc = refuse_unknown(r, e);
    for (size_t i = 0; rc == 0 && i < FT_COUNT(texts); i++)
        rc = take_text(r, texts[i].name, texts[i].max, texts[i].ret, e);
    if (rc == 0)
        rc = check_status(f->status, e);
    if (rc == 0)
        rc = take_int(r, "min_ms", 0, INT32_MAX, &min_ms, e);
    if (rc == 0)
        rc = take_int(r, "from", 0, TIME_MAX, &from, e);
    if (rc == 0)
        rc = take_int(r, "to", 0, TIME_MAX, &to, e);
    if (rc == 0)
        rc = take_int(r, "limit", 1, LIMIT_MAX, &f->limit, e);
    if (rc == 0)
        rc = take_bool(r, "pages", &f->pages, e);
    if (rc == 0 && !is_operator(r)) {
        if (f->project != NULL && strcmp(f->project, r->ident->project) != 0) {
            rc = ft_oai_error_set(e, FT_ENOTFOUND, "not_found", "project",
                                  "there is no project '%.64s'", f->project);
        }
        f->project = r->ident->project;
    }
    f->min_us = min_ms * 1000;
    f->from_us = from * 1000000;
    f->to_us = to * 1000000;
    return rc;
}

static json_t *question_of(const struct filter *f)
{
    return json_pack("{s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:s?,s:I,s:I,s:I,s:I,s:b}", "project",
                     f->project, "key", f->key, "batch", f->batch, "model", f->model, "route",
                     f->route, "status", f->status, "after", f->after, "min_us",
                     (json_int_t)f->min_us, "from_s", (json_int_t)(f->from_us / 1000000), "to_s",
                     (json_int_t)(f->to_us / 1000000), "limit", (json_int_t)f->limit + 1, "pages",
                     (int)f->pages);
}

/* ---- the list ---- */

struct list {
    const struct filter *f;
    struct ft_record *record;
    bool *running;
    int n, cap;        /* the store's first */
    bool full;         /* there was no memory for more */
    int64_t before_us; /* (before_us, f->after): where the page begins; 0: the newest */
    /* What the store told of goes down to this one, it included; end 0: it told all. */
    struct ft_record down_to;
    const char *next; /* the id behind which the next page begins; NULL: there is none */
};

static bool is_any_or(const char *want, const char *have)
{
    return want == NULL || strcmp(want, have) == 0;
}

/* "!NAME": any but this one. */
static bool is_route(const char *want, const char *have)
{
    return want != NULL && want[0] == '!' ? strcmp(want + 1, have) != 0 : is_any_or(want, have);
}

static bool is_of_batch(const char *want, const struct ft_record *r)
{
    size_t n = want != NULL ? ft_record_batch(r->id) : 0;
    return want == NULL || (n > 0 && strlen(want) == n && strncmp(want, r->id, n) == 0);
}

static bool has_status(const char *want, const struct ft_record *r, bool running)
{
    char http[16];
    snprintf(http, sizeof http, "%d", r->http);
    return want == NULL || (running ? strcmp(want, STATUS_RUNNING) == 0
                                    : strcmp(want, ft_record_status_name(r->status)) == 0 ||
                                          strcmp(want, http) == 0);
}

static bool passes(const struct list *l, const struct ft_record *r, bool running)
{
    const struct filter *f = l->f;
    const struct ft_record *d = &l->down_to;
    if (!running && (r->end_us < d->end_us || (r->end_us == d->end_us && strcmp(r->id, d->id) < 0)))
        return false;
    bool before = l->before_us == 0 || r->end_us < l->before_us ||
                  (r->end_us == l->before_us && strcmp(r->id, f->after) < 0);
    return before && is_any_or(f->project, r->project) && is_any_or(f->key, r->key) &&
           is_any_or(f->model, r->model) && is_of_batch(f->batch, r) &&
           is_route(f->route, r->route) && has_status(f->status, r, running) &&
           r->end_us - r->start_us >= f->min_us && r->end_us >= f->from_us &&
           (f->to_us == 0 || r->end_us < f->to_us) && !(running && f->after != NULL) &&
           (f->pages || !r->page);
}

static void add(struct list *l, const struct ft_record *r, bool running)
{
    if (l->n == l->cap) {
        int cap = FT_MAX(2 * l->cap, 64);
        struct ft_record *more = realloc(l->record, (size_t)cap * sizeof *more);
        if (more != NULL)
            l->record = more;
        bool *flags = more != NULL ? realloc(l->running, (size_t)cap * sizeof *flags) : NULL;
        if (flags != NULL)
            l->running = flags;
        if (flags == NULL) {
            l->full = true;
            return;
        }
        l->cap = cap;
    }
    l->record[l->n] = *r;
    l->running[l->n++] = running;
}

static void on_kept(void *ctx, const struct ft_record *r, bool running)
{
    struct list *l = ctx;
    if (passes(l, r, running))
        add(l, r, running);
}

static int by_id(const void *a, const void *b, void *ctx)
{
    const struct list *l = ctx;
    int i = *(const int *)a, k = *(const int *)b;
    int order = strcmp(l->record[i].id, l->record[k].id);
    return order != 0 ? order : i - k;
}

/* The list's indices, in *ret, without those whose id an earlier one has: the store's are first. */
static int each_once(struct list *l, int *ret)
{
    int n = 0;
    for (int i = 0; i < l->n; i++)
        ret[i] = i;
    qsort_r(ret, (size_t)l->n, sizeof *ret, by_id, l);
    for (int i = 0; i < l->n; i++)
        if (n == 0 || strcmp(l->record[ret[n - 1]].id, l->record[ret[i]].id) != 0)
            ret[n++] = ret[i];
    return n;
}

/* Running ones first, then by their ends, the newest first. */
static int newest_first(const void *a, const void *b, void *ctx)
{
    const struct list *l = ctx;
    int i = *(const int *)a, k = *(const int *)b;
    const struct ft_record *x = &l->record[i], *y = &l->record[k];
    if (l->running[i] != l->running[k])
        return l->running[i] ? -1 : 1;
    int64_t at = l->running[i] ? x->start_us : x->end_us;
    int64_t bt = l->running[i] ? y->start_us : y->end_us;
    return at != bt ? (at < bt ? 1 : -1) : -strcmp(x->id, y->id);
}

static json_t *page_of(struct list *l)
{
    json_t *data = json_array();
    int *order = calloc((size_t)FT_MAX(l->n, 1), sizeof *order);
    l->full |= order == NULL;
    int n = order != NULL ? each_once(l, order) : 0;
    if (n > 0)
        qsort_r(order, (size_t)n, sizeof *order, newest_first, l);
    for (int i = 0; i < n && i < l->f->limit; i++) {
        const struct ft_record *r = &l->record[order[i]];
        json_array_append_new(data, l->running[order[i]] ? ft_request_json_running(r)
                                                         : ft_request_json(r));
    }
    l->next = n > l->f->limit          ? l->record[order[l->f->limit - 1]].id
              : l->down_to.end_us != 0 ? l->down_to.id
                                       : NULL;
    free(order);
    return data;
}

/* Where the page begins: behind `after`, which is one of ours, or the store's first line. False:
 * nobody knows it. */
static bool find_begin(struct list *l, const struct asked *a, size_t *at)
{
    struct ft_record from;
    if (l->f->after == NULL)
        return true;
    if (!a->known && (a->status != 200 || !next_record(&a->stored, at, &from)))
        return false;
    l->before_us = FT_MAX(a->known ? a->record.end_us : from.end_us, 1);
    return true;
}

static void answer_list(struct asked *a, struct list *l, size_t at)
{
    struct ft_record record;
    while (a->status == 200 && next_record(&a->stored, &at, &record))
        add(l, &record, false);
    if (l->n > l->f->limit)
        l->down_to = l->record[l->n - 1];
    else if (a->status == 200)
        read_place(&a->stored, &l->down_to);
    l->full |= gw_kept_each(a->r->gw->requests, on_kept, l) != 0;
    json_t *data = page_of(l);
    gw_respond_json(a->r, json_pack("{s:s,s:o,s:b,s:s?,s:b}", "object", "list", "data", data,
                                    "has_more", l->next != NULL, "next", l->next, "partial",
                                    a->status != 200 || l->full));
    free(l->record);
    free(l->running);
}

static void list_aside(void *ctx)
{
    struct asked *a = ctx;
    struct list l = {.f = &a->f};
    struct ft_oai_error e;
    size_t at = 0;
    if (find_begin(&l, a, &at)) {
        answer_list(a, &l, at);
    } else {
        ft_oai_error_init(&e);
        ft_oai_error_set(&e, FT_ENOTFOUND, "not_found", "after", "there is no request '%.64s'",
                         a->f.after);
        gw_fail(a->r, &e);
    }
    asked_free(a);
}

static void list_requests(struct gw_request *r)
{
    struct ft_oai_error e;
    struct filter f;
    ft_oai_error_init(&e);
    if (read_filter(r, &f, &e) != 0) {
        gw_fail(r, &e);
        return;
    }
    struct asked *a = asked_new(r, list_aside);
    if (a == NULL)
        return;
    a->f = f; /* its texts are in the exchange's arena */
    a->known = f.after != NULL && gw_kept_find(r->gw->requests, f.after, &a->record, &a->running);
    if (f.status != NULL && strcmp(f.status, STATUS_RUNNING) == 0 &&
        (f.after == NULL || a->known)) { /* none of the store's */
        a->status = 200;
        go_on(a);
        return;
    }
    json_t *question = question_of(&f);
    if (a->known)
        json_object_set_new(question, "after_us", json_integer(a->record.end_us));
    ask_store(a, question);
}

/* ---- one ---- */

static void show(struct asked *a)
{
    const struct ft_record *record = &a->record;
    json_t *o = a->running ? ft_request_json_running(record) : ft_request_json(record);
    json_object_set_new(o, "timeline", ft_timeline_json(record));
    json_object_set_new(o, "explanation", ft_explain(record, a->running));
    if (a->role >= FT_ROLE_ADMIN) {
        json_t *said = gw_prompts_read(a->r->gw->prompts, record->project, record->id);
        if (said != NULL) {
            json_object_update(o, said);
            json_decref(said);
        }
    }
    gw_respond_json(a->r, o);
}

static void one_aside(void *ctx)
{
    struct asked *a = ctx;
    struct gw_request *r = a->r;
    struct ft_oai_error e;
    const char *id = r->part[0];
    size_t at = 0;
    bool there = a->known || (a->status == 200 && next_record(&a->stored, &at, &a->record));
    ft_oai_error_init(&e);
    if (there && (a->role >= FT_ROLE_OPERATOR || strcmp(a->record.project, r->project) == 0)) {
        show(a);
    } else if (there || a->status == 200 || a->status == 404) {
        ft_oai_error_set(&e, FT_ENOTFOUND, "not_found", NULL,
                         "there is no request '%.64s', or it is not known any more", id);
        gw_fail(r, &e);
    } else {
        ft_oai_error_set(
            &e, FT_EBUSY, "control_unavailable", NULL,
            "it is none of the latest requests, and the admin side of the cloud, which "
            "has the others, does not answer now");
        e.status = 503;
        e.retry_after_ms = 1000;
        gw_fail(r, &e);
    }
    asked_free(a);
}

static void get_request(struct gw_request *r)
{
    const char *id = r->part[0];
    struct asked *a = asked_new(r, one_aside);
    if (a == NULL)
        return;
    a->known = gw_kept_find(r->gw->requests, id, &a->record, &a->running);
    if (a->known || strlen(id) > FT_RECORD_ID_MAX) {
        a->status = a->known ? 0 : 404;
        go_on(a);
    } else {
        ask_store(a, json_pack("{s:s}", "id", id));
    }
}

static const struct gw_route routes[] = {
    {"GET", "/api/v1/requests", "usage", "admin", GW_OPENAI, list_requests, 0, 0, 0},
    {"GET", "/api/v1/requests/{}", "usage", "admin", GW_OPENAI, get_request, 0, 0, 0},
};
const struct gw_table gw_request_routes = {routes, FT_COUNT(routes)};
