/* POST /internal/blob/hold, on HOME/run/gateway.sock: as long as the caller stays connected, bytes
 * of what is removed stay where they are. A backup holds the store so while it copies data files.
 *
 * The answer is a line at once, when it is held, and then one now and then: by them it is noticed
 * that the caller is gone. */
#include <time.h>

#include "gateway/inner.h"

#define EVERY_MS 500

static void hold(struct gw_request *r)
{
    static const struct ft_http_field type[] = {{"content-type", "text/plain"}};
    static const char held[] = "held\n";
    const struct timespec pause = {.tv_nsec = EVERY_MS * 1000000L};
    struct ft_blob *b = gw_blob(r->gw);
    struct ft_blob_held *h = NULL;
    struct ft_oai_error e;
    struct ft_err err = {0};
    if (ft_blob_hold(b, &h, &err) != 0) {
        ft_oai_error_from(&e, &err);
        gw_fail(r, &e);
        return;
    }
    atomic_store(&r->status, 200);
    int rc = ft_lane_begin(r->lane, 200, -1, type, 1, &err);
    while (rc == 0 && *r->gw->opt->end == 0) {
        rc = ft_lane_write(r->lane, held, sizeof held - 1, &err);
        nanosleep(&pause, NULL);
    }
    ft_blob_release(b, h);
    if (rc == 0)
        ft_lane_end(r->lane, NULL);
}

static const struct gw_route rows[] = {
    {"POST", "/internal/blob/hold", NULL, NULL, GW_OPENAI, hold, 0, GW_LANE | GW_STORE | GW_INNER,
     0},
};
const struct gw_table gw_hold_routes = {rows, FT_COUNT(rows)};
