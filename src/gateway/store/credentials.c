/* A key as clients of S3 use it, for whoever shows the key itself. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/inner.h"

int gw_s3_master(struct gw *g, struct ft_err *err)
{
    char path[4096];
    if (atomic_load(&g->s3_has_master))
        return 0;
    snprintf(path, sizeof path, "%s/s3.secret", g->opt->home);
    int rc = ft_s3_master_open(path, g->s3_master, err);
    atomic_store(&g->s3_has_master, rc == 0);
    return rc;
}

void gw_endpoint_of(const struct gw_request *r, char *ret, size_t n)
{
    const char *host = ft_http_header(r->x, "host"),
               *proto = ft_http_header(r->x, "x-forwarded-proto");
    bool tls = r->x->secure || (proto != NULL && strcasecmp(proto, "https") == 0);
    if (r->inner || host == NULL || host[0] == '\0')
        host = ft_http_server_address(r->gw->server);
    snprintf(ret, n, "%s://%s", tls ? "https" : "http", host);
}

void gw_s3_credentials(struct gw_request *r)
{
    char secret[FT_S3_SECRET_BYTES], endpoint[512];
    if (!atomic_load(&r->gw->s3_has_master)) {
        gw_no_storage(r);
        return;
    }
    gw_endpoint_of(r, endpoint, sizeof endpoint);
    ft_tenant_s3_secret(r->ident, r->gw->s3_master, secret);
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s}", "object", "s3_credentials", "access_key_id",
                          r->ident->key, "secret_access_key", secret, "endpoint", endpoint,
                          "region", GW_REGION);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL; /* a host that is not UTF-8 */
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_EINVAL, NULL, NULL, "Host: cannot be told back");
    if (text != NULL)
        gw_respond(r, 200, "application/json", text, strlen(text));
    else
        gw_fail(r, &e);
    json_decref(j);
    free(text);
    explicit_bzero(secret, sizeof secret);
}
