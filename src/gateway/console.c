/* The console's files (console/console.h) over HTTP: what is small, what the browser has already,
 * and what its pages may do, which is to talk to this cloud and to nobody else. */
#include <string.h>

#include "console/console.h"
#include "gateway/inner.h"

#define HOME "/console/"

/* Scripts and styles are files of our own, never words in a page; nothing is fetched from
 * elsewhere; no page of others may show ours in a frame. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "        \
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; "                   \
    "frame-ancestors 'none'"

static const struct ft_http_field safety[] = {
    {"content-security-policy", POLICY},
    {"x-content-type-options", "nosniff"},
    {"x-frame-options", "DENY"},
    {"referrer-policy", "same-origin"},
    {"cross-origin-opener-policy", "same-origin"},
    {"cross-origin-resource-policy", "same-origin"},
    {"permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
    {"vary", "accept-encoding"},
};

static void answer(struct gw_request *r, int status, const struct ft_http_field *more, int n_more,
                   const void *body, size_t n)
{
    struct ft_http_field f[GW_FIELDS_MAX + FT_COUNT(safety)];
    int n_f = gw_fields(r, f, GW_FIELDS_MAX - n_more);
    for (size_t i = 0; i < FT_COUNT(safety); i++)
        f[n_f++] = safety[i];
    for (int i = 0; i < n_more; i++)
        f[n_f++] = more[i];
    atomic_store(&r->status, status);
    ft_http_respond(r->x, status, f, n_f, body, n);
}

static void send_file(struct gw_request *r, const struct ft_console_file *file)
{
    char etag[64];
    size_t n = 0;
    enum ft_console_coding coding =
        ft_console_choose(file, ft_http_header(r->x, "accept-encoding"));
    const char *name = ft_console_coding_name(coding);
    snprintf(etag, sizeof etag, "\"%s%s%s\"", file->hash, name != NULL ? "-" : "",
             name != NULL ? name : "");
    struct ft_http_field f[5] = {
        {"etag", etag},
        /* index.html names the others, so it is asked for each time: mostly to hear that it is the
         * same
         */
        {"cache-control", file->immutable ? "public, max-age=31536000, immutable" : "no-cache"},
        {"content-type", file->type},
    };
    int n_f = 3;
    if (ft_console_matches(ft_http_header(r->x, "if-none-match"), etag)) {
        answer(r, 304, f, 2, NULL, 0);
        return;
    }
    const void *bytes = ft_console_bytes(file, coding, &n);
    if (name != NULL)
        f[n_f++] = (struct ft_http_field){"content-encoding", name};
    answer(r, 200, f, n_f, bytes, n);
}

void gw_console(struct gw_request *r)
{
    const struct ft_console_file *file = ft_console_at(r->rest);
    if (file != NULL) {
        send_file(r, file);
        return;
    }
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    gw_unknown(r, &e);
    gw_fail(r, &e);
}

void gw_console_enter(struct gw_request *r)
{
    static const struct ft_http_field to[] = {{"location", HOME}, {"cache-control", "no-cache"}};
    answer(r, 302, to, FT_COUNT(to), NULL, 0);
}

bool gw_is_browser(const struct gw_request *r)
{
    const char *accept = ft_http_header(r->x, "accept");
    return accept != NULL && strstr(accept, "text/html") != NULL;
}
