/* The way out: a POST to a webhook, a mail through the relay of the settings.
 *
 * A webhook may be on any address, also within this network: operators alone set them, and they
 * reach all of it anyway. Redirects are not followed. With a secret the body is signed:
 * X-Feitian-Signature: sha256=HEX, HMAC-SHA256 of "TIMESTAMP.BODY" with X-Feitian-Timestamp. */
#include <nettle/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "base/utf8.h"
#include "control/inside.h"
#include "control/watch/alarm.h"
#include "net/mail.h"

#define WEBHOOK_MS   10000
#define ANSWER_BYTES 4096
#define FIELD_BYTES  160
#define BODY_BYTES   ((size_t)128 << 10)

json_t *ft_alarm_notice(const struct ft_ctl *ctl, const char *kind, const char *text)
{
    const char *url = ctl->opt->url;
    return json_pack("{s:i,s:s,s:s,s:s?,s:I,s:s,s:[]}", "version", 1, "kind", kind, "source",
                     "feitian", "cloud", url, "at", (json_int_t)time(NULL), "text", text, "alerts");
}

static void sign(const char *secret, const char *body, char *ret_time, char *ret_signature)
{
    struct hmac_sha256_ctx h;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char at[24], hex[2 * SHA256_DIGEST_SIZE + 1];
    snprintf(at, sizeof at, "%lld", (long long)time(NULL));
    hmac_sha256_set_key(&h, strlen(secret), (const uint8_t *)secret);
    hmac_sha256_update(&h, strlen(at), (const uint8_t *)at);
    hmac_sha256_update(&h, 1, (const uint8_t *)".");
    hmac_sha256_update(&h, strlen(body), (const uint8_t *)body);
    hmac_sha256_digest(&h, sizeof digest, digest);
    ft_hex(digest, sizeof digest, hex);
    snprintf(ret_time, FIELD_BYTES, "X-Feitian-Timestamp: %s", at);
    snprintf(ret_signature, FIELD_BYTES, "X-Feitian-Signature: sha256=%s", hex);
}

/* What a webhook answers is of no interest. */
static bool drop(void *ctx, const char *data, size_t n)
{
    (void)ctx;
    (void)data;
    (void)n;
    return true;
}

struct stopping {
    bool (*stop)(void *ctx);
    void *ctx;
};

static bool asked(void *ctx)
{
    const struct stopping *s = ctx;
    return s->stop != NULL && s->stop(s->ctx);
}

static int to_webhook(struct ft_ctl *ctl, const json_t *channel, const char *body,
                      struct stopping *s, struct ft_err *err)
{
    char stamp[FIELD_BYTES], signature[FIELD_BYTES];
    const char *secret = ft_ctl_text(channel, "secret");
    const char *fields[] = {"Content-Type: application/json", "User-Agent: feitian", stamp,
                            signature};
    struct ft_http_answer answer = {0};
    if (secret != NULL)
        sign(secret, body, stamp, signature);
    struct ft_http_call_config c = {.method = "POST",
                                    .url = ft_ctl_text(channel, "url"),
                                    .headers = fields,
                                    .n_headers = secret != NULL ? 4 : 2,
                                    .body = body,
                                    .n_body = strlen(body),
                                    .total_timeout_ms = WEBHOOK_MS,
                                    .fresh = true};
    int rc = ft_http_fetch_stream(ft_inside_client(ctl->inside), &c, drop, asked, s, &answer, err);
    if (rc == 0 && answer.status / 100 != 2)
        rc = ft_err_set(err, FT_EUNAVAIL, "the webhook answered %d", answer.status);
    ft_http_answer_fini(&answer);
    return rc;
}

/* For people: one line an alert. */
static void write_text(const json_t *notice, struct ft_buf *out)
{
    size_t i;
    json_t *a;
    ft_buf_addf(out, "%s\n\n", ft_ctl_text(notice, "text"));
    json_array_foreach(json_object_get(notice, "alerts"), i, a)
    {
        char at[40] = "?";
        time_t since = (time_t)ft_ctl_int(a, "since", 0);
        struct tm t;
        if (gmtime_r(&since, &t) != NULL)
            strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S UTC", &t);
        ft_buf_addf(out, "%s\n  since %s\n\n", ft_ctl_text(a, "text"), at);
    }
    const char *cloud = ft_ctl_text(notice, "cloud");
    ft_buf_addf(out, "feitian%s%s\n", cloud != NULL ? " at " : "", cloud != NULL ? cloud : "");
}

static int to_mail(const json_t *channel, const json_t *smtp, const json_t *notice,
                   struct stopping *s, struct ft_err *err)
{
    const char *tls = ft_ctl_text(smtp, "tls");
    char subject[200];
    struct ft_buf text;
    if (!json_is_object(smtp) || ft_ctl_text(smtp, "host") == NULL)
        return ft_err_set(err, FT_EUNAVAIL, "no mail relay is set: the setting smtp");
    struct ft_mail_relay relay = {.host = ft_ctl_text(smtp, "host"),
                                  .port = (int)ft_ctl_int(smtp, "port", 587),
                                  .tls = tls == NULL || strcmp(tls, "starttls") == 0
                                             ? FT_MAIL_STARTTLS
                                         : strcmp(tls, "tls") == 0 ? FT_MAIL_TLS
                                                                   : FT_MAIL_CLEAR,
                                  .ca = ft_ctl_text(smtp, "ca"),
                                  .user = ft_ctl_text(smtp, "user"),
                                  .password = ft_ctl_text(smtp, "password")};
    snprintf(subject, sizeof subject, "feitian: %s", ft_ctl_text(notice, "text"));
    subject[ft_utf8_valid_len(subject, strlen(subject))] = '\0';
    ft_buf_init(&text, BODY_BYTES);
    write_text(notice, &text);
    struct ft_mail m = {.from = ft_ctl_text(smtp, "from"),
                        .to = ft_ctl_text(channel, "to"),
                        .subject = subject,
                        .text = text.data};
    int rc = text.failed != 0 ? ft_err_set(err, FT_ELIMIT, "the notice is too long")
                              : ft_mail_send(&relay, &m, asked, s, err);
    ft_buf_fini(&text);
    return rc;
}

int ft_alarm_send(struct ft_ctl *ctl, const json_t *channel, const json_t *smtp,
                  const json_t *notice, bool (*stop)(void *ctx), void *ctx, struct ft_err *err)
{
    struct stopping s = {stop, ctx};
    const char *kind = ft_ctl_text(channel, "kind");
    if (kind != NULL && strcmp(kind, "email") == 0)
        return to_mail(channel, smtp, notice, &s, err);
    char *body = json_dumps(notice, JSON_COMPACT);
    if (body == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    int rc = to_webhook(ctl, channel, body, &s, err);
    free(body);
    return rc;
}
