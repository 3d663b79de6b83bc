/* Fine-tuning: jobs are control's; whether a key may begin one now, by its rates and budgets, is
 * known here. What a training cost is told by control once it is on the record (POST
 * /internal/spent), so that budgets hold at once; a gateway that starts reads it from control's
 * sums. */
#include <string.h>
#include <time.h>

#include "api/openai/json.h"
#include "base/clock.h"
#include "gateway/inner.h"

#define BODY_MAX 4096

static void create(struct gw_request *r)
{
    struct ft_err err = {0};
    struct ft_oai_error e;
    struct ft_tenant_lease lease = {0};
    const struct ft_tenant_ask ask = {.now_ns = ft_clock_now_ns(), .now_s = (int64_t)time(NULL)};
    int rc = ft_tenant_admit(r->gw->tenant, r->ident, &ask, &lease, &r->limits, &err);
    r->measured = true;
    if (rc == 0) {
        ft_tenant_settle(&lease, ask.now_s, 0, 0);
        gw_proxy(r);
        return;
    }
    ft_oai_error_init(&e);
    gw_admission_error(r, rc, &err, &e);
    gw_refuse(r, "", &e);
}

static void take_spent(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct gw_request *r = ctx;
    struct ft_err err = {0};
    struct ft_oai_error e;
    json_t *o = NULL;
    int64_t now_s = (int64_t)time(NULL);
    (void)x;
    ft_oai_error_init(&e);
    int rc = ft_oai_json_object(data, n, &o, &e);
    const char *project = json_string_value(json_object_get(o, "project"));
    const char *key = json_string_value(json_object_get(o, "key"));
    const json_t *nanos = json_object_get(o, "nanos");
    if (rc == 0 && (project == NULL || key == NULL || !json_is_integer(nanos)))
        rc = ft_oai_error_set(&e, FT_EINVAL, NULL, NULL, "project, key and nanos are needed");
    if (rc == 0) {
        rc = ft_tenant_spend_add(r->gw->tenant, project, key, now_s, now_s,
                                 json_integer_value(nanos), &err);
        if (rc != 0)
            ft_oai_error_from(&e, &err);
    }
    json_decref(o);
    if (rc != 0)
        gw_fail(r, &e);
    else
        gw_respond(r, 200, "application/json", "{}", 2);
}

static void spent(struct gw_request *r)
{
    ft_http_body_collect(r->x, BODY_MAX, take_spent, r);
}

#define JOBS(method, path, action, handler)                                                        \
    {                                                                                              \
        method, path, action, "fine_tuning", GW_OPENAI, handler, 0, 0, 0                           \
    }

static const struct gw_route rows[] = {
    JOBS("GET", "/v1/fine_tuning/jobs", "fine_tuning.read", gw_proxy),
    JOBS("POST", "/v1/fine_tuning/jobs", "fine_tuning", create),
    JOBS("GET", "/v1/fine_tuning/jobs/*", "fine_tuning.read", gw_proxy),
    JOBS("POST", "/v1/fine_tuning/jobs/*", "fine_tuning", gw_proxy),
    JOBS("DELETE", "/v1/models/*", "fine_tuning", gw_proxy),
    {"POST", "/internal/spent", NULL, NULL, GW_OPENAI, spent, 0, GW_INNER, 0},
};
const struct gw_table gw_tune_routes = {rows, FT_COUNT(rows)};
