/* GET /api/v1/storage: how much the caller's project keeps, and may. */
#include "gateway/inner.h"

static void kept(struct gw_request *r)
{
    int64_t bytes = 0, max = ft_tenant_storage_max(r->gw->tenant, r->project);
    struct ft_err err = {0};
    struct ft_oai_error e;
    if (gw_kept(r->gw, r->project, &bytes, &err) != 0) {
        ft_oai_error_from(&e, &err);
        gw_fail(r, &e);
        return;
    }
    json_t *limit = max >= 0 ? json_integer(max) : json_null();
    gw_respond_json(r, json_pack("{s:s,s:s,s:I,s:o}", "object", "storage", "project", r->project,
                                 "bytes", (json_int_t)bytes, "limit_bytes", limit));
}

static const struct gw_route rows[] = {
    {"GET", "/api/v1/storage", "", "admin", GW_OPENAI, kept, 0, GW_LANE | GW_STORE | GW_BARE, 0},
};
const struct gw_table gw_kept_routes = {rows, FT_COUNT(rows)};
