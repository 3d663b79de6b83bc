/* Curves for people: /api/v1/history, and which there are. Operators see all; others their
 * project's own and those of endpoints that they share. Needs no store. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control/watch/watch.h"

#define SERIES_SHOWN 64           /* of one answer */
#define VALUES_SHOWN 200000       /* all of an answer's points together */
#define SPAN_S       (30 * 86400) /* as far back as anything is kept */
#define SPAN_DEFAULT 3600

struct chosen {
    const struct ft_ctl_call *c;
    const json_t *names;       /* NULL: all */
    const char *label, *value; /* NULL: those of the cloud; value "*": any */
    bool every;                /* whatever label */
    int n;
    bool more;
    int place[SERIES_SHOWN];
    struct ft_history_name name[SERIES_SHOWN];
    json_t *list; /* of all, for /series */
};

static bool sees(const struct ft_ctl_call *c, const struct ft_history_name *n)
{
    if (c->role == CTL_OPERATOR)
        return true;
    if (n->owner[0] != '\0')
        return strcmp(n->owner, c->project) == 0;
    return strcmp(n->label, "endpoint") == 0; /* a common one */
}

static bool is_named(const json_t *names, const char *name)
{
    size_t i;
    json_t *one;
    if (names == NULL)
        return true;
    json_array_foreach(names, i, one)
    {
        if (strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

static bool is_of(const struct chosen *s, const struct ft_history_name *n)
{
    if (s->every)
        return true;
    if (s->label == NULL)
        return n->label[0] == '\0';
    return strcmp(n->label, s->label) == 0 &&
           (strcmp(s->value, "*") == 0 || strcmp(n->value, s->value) == 0);
}

static void choose(void *ctx, int place, const struct ft_history_name *n, int64_t last_s)
{
    struct chosen *s = ctx;
    (void)last_s;
    if (!sees(s->c, n) || !is_named(s->names, n->name) || !is_of(s, n))
        return;
    if (s->n == SERIES_SHOWN) {
        s->more = true;
        return;
    }
    s->place[s->n] = place;
    s->name[s->n++] = *n;
}

/* model= and endpoint= are one: a model is called by its endpoint's name. Without any, who is no
 * operator has the own project's. */
static int read_label(struct ft_ctl_call *c, struct chosen *s)
{
    static const char *const names[] = {"endpoint", "model", "project", "bucket", "worker"};
    s->c = c;
    s->names = json_object_get(c->params, "series");
    for (size_t i = 0; i < FT_COUNT(names); i++) {
        const char *value = ft_ctl_text(c->params, names[i]);
        if (value == NULL)
            continue;
        if (s->label != NULL)
            return ft_ctl_refuse(c, 400, "invalid_value", names[i],
                                 "%s: one of endpoint, project, bucket and worker at a time",
                                 names[i]);
        s->label = i == 1 ? "endpoint" : names[i];
        s->value = value;
    }
    if (s->label == NULL && c->role < CTL_OPERATOR) {
        s->label = "project";
        s->value = c->project;
    }
    return 0;
}

static json_t *labels_of(const struct ft_history_name *n)
{
    json_t *o = json_object();
    if (n->label[0] != '\0')
        json_object_set_new(o, n->label, json_string(n->value));
    if (n->owner[0] != '\0' && strcmp(n->label, "project") != 0)
        json_object_set_new(o, "project", json_string(n->owner));
    return o;
}

static void write_series(struct ft_buf *out, const struct ft_history_name *n, const double *x,
                         int count)
{
    json_t *labels = labels_of(n),
           *head = json_pack("{s:s,s:s,s:o}", "name", n->name, "unit", n->unit, "labels", labels);
    char *text = json_dumps(head, JSON_COMPACT);
    size_t len = text != NULL ? strlen(text) : 0;
    if (len > 0)
        ft_buf_add(out, text, len - 1); /* without its brace */
    ft_buf_add_str(out, ",\"values\":[");
    for (int i = 0; i < count; i++) {
        if (i > 0)
            ft_buf_add_byte(out, ',');
        if (isnan(x[i]))
            ft_buf_add_str(out, "null");
        else
            ft_buf_addf(out, "%.7g", x[i]); /* as many digits as a point has */
    }
    ft_buf_add_str(out, "]}");
    free(text);
    json_decref(head);
}

static int no_history(struct ft_ctl_call *c)
{
    c->error.retry_after_ms = 10000;
    return ft_ctl_refuse(c, 503, "history_unavailable", NULL,
                         "no history is kept now: the log says why");
}

static int by_name(const void *a, const void *b, void *ctx)
{
    const struct ft_history_name *all = ((const struct chosen *)ctx)->name;
    const struct ft_history_name *x = &all[*(const int *)a], *y = &all[*(const int *)b];
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->value, y->value);
}

struct range {
    int64_t from, to, step;
    int n;
};

static int read_range(struct ft_ctl_call *c, int n_series, struct range *ret)
{
    int64_t to = FT_MIN(ft_ctl_int(c->params, "to", c->now_s), c->now_s);
    int64_t from = ft_ctl_int(c->params, "from", to - SPAN_DEFAULT);
    from = FT_MAX(FT_MAX(from, c->now_s - SPAN_S), 0);
    if (from >= to)
        return ft_ctl_refuse(c, 400, "invalid_value", "from",
                             "from: must be before to, and not longer ago than 30 days");
    int64_t step = ft_history_step(from, to, ft_ctl_int(c->params, "step", 0), c->now_s);
    from -= from % step; /* so that asking again gives the same points */
    int n = (int)FT_MIN((to - from + step - 1) / step, FT_HISTORY_POINTS);
    if ((int64_t)n * n_series > VALUES_SHOWN)
        return ft_ctl_refuse(c, 400, "too_much", "series",
                             "series: %d of them with %d points each are more than %d; ask for "
                             "fewer, or for a longer step",
                             n_series, n, VALUES_SHOWN);
    *ret = (struct range){from, from + n * step, step, n};
    return 0;
}

int ft_ctl_history_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_history *h = ft_watch_history(c->ctl->watch);
    struct chosen s = {0};
    struct range r = {0};
    int order[SERIES_SHOWN];
    (void)tx;
    if (h == NULL)
        return no_history(c);
    int rc = read_label(c, &s);
    if (rc == 0) {
        ft_history_each(h, choose, &s);
        rc = read_range(c, s.n, &r);
    }
    if (rc != 0)
        return rc;
    for (int i = 0; i < s.n; i++)
        order[i] = i;
    qsort_r(order, (size_t)s.n, sizeof order[0], by_name, &s);
    double *x = malloc((size_t)r.n * sizeof *x);
    if (x == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    c->raw_type = "application/json";
    ft_buf_addf(&c->raw,
                "{\"object\":\"history\",\"from\":%lld,\"to\":%lld,\"step\":%lld,"
                "\"has_more\":%s,\"series\":[",
                (long long)r.from, (long long)r.to, (long long)r.step, s.more ? "true" : "false");
    for (int i = 0; rc == 0 && i < s.n; i++) {
        rc = ft_history_read(h, s.place[order[i]], &s.name[order[i]], r.from, r.step, r.n, x, err);
        if (i > 0)
            ft_buf_add_byte(&c->raw, ',');
        if (rc == 0)
            write_series(&c->raw, &s.name[order[i]], x, r.n);
    }
    ft_buf_add_str(&c->raw, "]}");
    free(x);
    return rc;
}

static void list_one(void *ctx, int place, const struct ft_history_name *n, int64_t last_s)
{
    static const char *const fold[] = {"mean", "max", "min"};
    struct chosen *s = ctx;
    (void)place;
    if (!sees(s->c, n) || !is_named(s->names, n->name) || !is_of(s, n))
        return;
    json_array_append_new(s->list, json_pack("{s:s,s:s,s:o,s:s,s:I}", "name", n->name, "unit",
                                             n->unit, "labels", labels_of(n), "fold", fold[n->fold],
                                             "last", (json_int_t)last_s));
}

int ft_ctl_history_series(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_history *h = ft_watch_history(c->ctl->watch);
    struct chosen s = {.c = c, .every = true};
    (void)tx;
    (void)err;
    if (h == NULL)
        return no_history(c);
    s.list = json_array();
    ft_history_each(h, list_one, &s);
    return ft_ctl_answer(
        c, 200,
        json_pack("{s:s,s:o,s:i}", "object", "list", "data", s.list, "max", FT_HISTORY_SERIES_MAX));
}
