/* Single requests, for the gateway, which shows them beside those that it still has itself:
 *
 *   POST /internal/requests {id} or {project, key, model, batch, route, status, min_us, from_s,
 *                                    to_s, pages, after, after_us, limit}
 *
 * A route "!NAME" is all but this one.
 *
 * The answer is records as lines of JSON (ledger/record.h), the newest first. `after` is an id, and
 * after_us its end; where after_us is missing, that record is looked up and comes first. Where not
 * all were looked at, a last line {"on": {"id", "end_us"}} says where the next call goes on. */
#include <stdio.h>
#include <stdlib.h>

#include "control/inner.h"
#include "ledger/store.h"

static void add_line(void *ctx, const struct ft_record *r)
{
    ft_record_write(r, ctx);
}

static void add_place(struct ft_buf *out, const struct ft_usage_place *on)
{
    json_t *o = json_pack("{s:{s:s,s:I}}", "on", "id", on->id, "end_us", (json_int_t)on->end_us);
    char *text = json_dumps(o, JSON_COMPACT);
    ft_buf_addf(out, "%s\n", text != NULL ? text : "");
    free(text);
    json_decref(o);
}

static int find_one(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id,
                    struct ft_record *ret, struct ft_err *err)
{
    int rc = ft_usage_find(tx, id, ret, err);
    return rc == FT_ENOTFOUND ? ft_ctl_missing(c, "request", id) : rc;
}

static int list(struct ft_ctl_call *c, struct ft_state_tx *tx, const json_t *q, struct ft_err *err)
{
    const char *project = ft_ctl_text(q, "project"), *key = ft_ctl_text(q, "key");
    const char *model = ft_ctl_text(q, "model"), *route = ft_ctl_text(q, "route");
    const char *after = ft_ctl_text(q, "after");
    struct ft_usage_place from = {.end_us = ft_ctl_int(q, "after_us", 0)}, on;
    bool others = route != NULL && route[0] == '!'; /* than this one */
    int rc = 0;
    snprintf(from.id, sizeof from.id, "%s", after != NULL ? after : "");
    if (after != NULL && from.end_us == 0) {
        struct ft_record r;
        rc = find_one(c, tx, after, &r, err);
        if (rc != 0)
            return rc;
        from.end_us = r.end_us;
        add_line(&c->raw, &r);
    }
    struct ft_usage_filter f = {.from_s = ft_ctl_int(q, "from_s", 0),
                                .to_s = ft_ctl_int(q, "to_s", 0),
                                .projects = &project,
                                .n_projects = project != NULL,
                                .keys = &key,
                                .n_keys = key != NULL,
                                .models = &model,
                                .n_models = model != NULL,
                                .routes = &route,
                                .n_routes = route != NULL && !others,
                                .not_route = others ? route + 1 : NULL,
                                .batch = ft_ctl_text(q, "batch"),
                                .status = ft_ctl_text(q, "status"),
                                .min_us = ft_ctl_int(q, "min_us", 0),
                                .single = true,
                                .no_pages = !json_is_true(json_object_get(q, "pages"))};
    rc = ft_usage_records(tx, &f, &from, ft_ctl_int(q, "limit", CTL_LIST_DEFAULT), add_line,
                          &c->raw, &on, err);
    if (rc == 0 && on.end_us != 0)
        add_place(&c->raw, &on);
    return rc == FT_EINVAL ? ft_ctl_refuse(c, 400, "invalid_value", NULL, "%s", err->msg) : rc;
}

int ft_ctl_requests(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    json_t *q = json_loadb(c->text, c->n_text, 0, NULL);
    if (!json_is_object(q)) {
        json_decref(q);
        return ft_ctl_refuse(c, 400, "invalid_value", NULL, "the question is no object");
    }
    const char *id = ft_ctl_text(q, "id");
    struct ft_record r;
    int rc = id != NULL ? find_one(c, tx, id, &r, err) : list(c, tx, q, err);
    if (rc == 0 && id != NULL)
        add_line(&c->raw, &r);
    c->raw_type = "application/x-ndjson";
    json_decref(q);
    return rc;
}
