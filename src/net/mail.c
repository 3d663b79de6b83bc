/* Mail by libcurl's SMTP. */
#include "net/mail.h"

#include <curl/curl.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/hex.h"

#define LINE_BYTES 57 /* of text, that become 76 digits */

bool ft_mail_address_ok(const char *address)
{
    const char *at = strchr(address, '@');
    size_t n = strlen(address);
    if (at == NULL || at == address || at[1] == '\0' || strchr(at + 1, '@') != NULL || n > 254)
        return false;
    for (const unsigned char *p = (const unsigned char *)address; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f || strchr("<>()[],;:\\\"", *p) != NULL)
            return false;
    return true;
}

static void add_base64(struct ft_buf *out, const char *text, size_t n)
{
    char digits[BASE64_ENCODE_RAW_LENGTH(LINE_BYTES)];
    base64_encode_raw(digits, n, (const uint8_t *)text);
    ft_buf_add(out, digits, BASE64_ENCODE_RAW_LENGTH(n));
}

/* RFC 2047: in words of at most 75 bytes, each of whole characters. */
static void add_subject(struct ft_buf *out, const char *s)
{
    ft_buf_add_str(out, "Subject:");
    for (size_t n; *s != '\0'; s += n) {
        n = strnlen(s, 42);
        while (n > 1 && ((unsigned char)s[n] & 0xc0) == 0x80)
            n--;
        ft_buf_add_str(out, " =?utf-8?B?");
        add_base64(out, s, n);
        ft_buf_add_str(out, s[n] != '\0' ? "?=\r\n" : "?=");
    }
    ft_buf_add_str(out, "\r\n");
}

int ft_mail_write(const struct ft_mail *m, int64_t at_s, const char *id, struct ft_buf *out,
                  struct ft_err *err)
{
    char date[64];
    struct tm t;
    time_t at = (time_t)at_s;
    if (!ft_mail_address_ok(m->from))
        return ft_err_set(err, FT_EINVAL, "from: '%.100s' is no address", m->from);
    if (!ft_mail_address_ok(m->to))
        return ft_err_set(err, FT_EINVAL, "to: '%.100s' is no address", m->to);
    gmtime_r(&at, &t);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &t);
    ft_buf_addf(out, "Date: %s\r\nFrom: <%s>\r\nTo: <%s>\r\nMessage-ID: <%s@feitian>\r\n", date,
                m->from, m->to, id);
    add_subject(out, m->subject);
    ft_buf_add_str(out, "MIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: base64\r\n\r\n");
    for (size_t at_text = 0, n = strlen(m->text); at_text < n; at_text += LINE_BYTES) {
        add_base64(out, m->text + at_text, FT_MIN(n - at_text, LINE_BYTES));
        ft_buf_add_str(out, "\r\n");
    }
    return out->failed != 0 ? ft_err_set(err, FT_ELIMIT, "the mail is too long") : 0;
}

/* ---- sending ---- */

struct sending {
    const char *at;
    size_t left;
    bool (*stop)(void *ctx);
    void *ctx;
};

static size_t give(char *to, size_t size, size_t n, void *ctx)
{
    struct sending *s = ctx;
    size_t part = FT_MIN(size * n, s->left);
    memcpy(to, s->at, part);
    s->at += part;
    s->left -= part;
    return part;
}

static int progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct sending *s = ctx;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return s->stop != NULL && s->stop(s->ctx);
}

static void set_up(CURL *h, const struct ft_mail_relay *r, const struct ft_mail *m,
                   struct curl_slist *to, struct sending *s)
{
    char url[400];
    snprintf(url, sizeof url, "%s://%.256s:%d", r->tls == FT_MAIL_TLS ? "smtps" : "smtp", r->host,
             r->port);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)FT_MAIL_MS);
    curl_easy_setopt(h, CURLOPT_MAIL_FROM, m->from);
    curl_easy_setopt(h, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(h, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(h, CURLOPT_READDATA, s);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, s);
    if (r->tls == FT_MAIL_STARTTLS)
        curl_easy_setopt(h, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    if (r->ca != NULL && r->ca[0] != '\0')
        curl_easy_setopt(h, CURLOPT_CAINFO, r->ca);
    if (r->user != NULL && r->user[0] != '\0') {
        curl_easy_setopt(h, CURLOPT_USERNAME, r->user);
        curl_easy_setopt(h, CURLOPT_PASSWORD, r->password != NULL ? r->password : "");
    }
}

/* What a relay refuses for good is not tried again. */
static int told(CURL *h, CURLcode rc, const char *words, const struct ft_mail_relay *r,
                struct ft_err *err)
{
    long status = 0;
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    const char *why = words[0] != '\0' ? words : curl_easy_strerror(rc);
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return ft_err_set(err, FT_ECANCELED, "stopped");
    bool never = status >= 500 && status < 600 && rc != CURLE_LOGIN_DENIED;
    return ft_err_set(err, never ? FT_EINVAL : FT_EUNAVAIL, "%s:%d: %s", r->host, r->port, why);
}

int ft_mail_send(const struct ft_mail_relay *r, const struct ft_mail *m, bool (*stop)(void *ctx),
                 void *ctx, struct ft_err *err)
{
    struct ft_buf text;
    uint8_t random[12];
    char id[2 * sizeof random + 1], words[CURL_ERROR_SIZE] = "";
    ft_buf_init(&text, FT_MAIL_BYTES_MAX);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return ft_err_sys(err, "random bytes");
    ft_hex(random, sizeof random, id);
    int rc = ft_mail_write(m, (int64_t)time(NULL), id, &text, err);
    CURL *h = rc == 0 ? curl_easy_init() : NULL;
    struct curl_slist *to = h != NULL ? curl_slist_append(NULL, m->to) : NULL;
    if (rc == 0 && to == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "mail: out of memory");
    if (rc == 0) {
        struct sending s = {text.data, text.len, stop, ctx};
        set_up(h, r, m, to, &s);
        curl_easy_setopt(h, CURLOPT_ERRORBUFFER, words);
        CURLcode code = curl_easy_perform(h);
        rc = code == CURLE_OK ? 0 : told(h, code, words, r, err);
    }
    curl_slist_free_all(to);
    curl_easy_cleanup(h);
    ft_buf_fini(&text);
    return rc;
}
