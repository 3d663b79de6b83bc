/* See support.h. Values are taken from every member of a JSON file whose name speaks of a secret,
 * and from files that are one; forms are those of keys ("sk-ft-..."), bearer tokens, what
 * stands before the '@' of a URL, and PEM blocks. */
#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "cli/cloud/support.h"

#define FILE_MAX (1 << 20)
#define MARK     "[secret]"
#define DEEP     8 /* of JSON that is looked through */

static void learn(struct ft_scrub *s, const char *text, size_t n)
{
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    if (n < FT_SCRUB_LEAST || s->n == FT_SCRUB_SECRETS_MAX || memchr(text, '\0', n) != NULL)
        return;
    char *copy = strndup(text, n);
    if (copy != NULL)
        s->secret[s->n++] = copy;
}

static bool speaks_of_secrets(const char *name)
{
    static const char *const words[] = {"key",    "secret", "password", "token",
                                        "passwd", "auth",   "headers",  "credential"};
    for (size_t i = 0; i < FT_COUNT(words); i++)
        if (strcasestr(name, words[i]) != NULL)
            return true;
    return false;
}

static void learn_json(struct ft_scrub *s, const json_t *v, const char *name, int deep)
{
    const char *member;
    json_t *one;
    size_t i;
    if (deep > DEEP)
        return;
    if (json_is_string(v) && speaks_of_secrets(name) &&
        strchr(json_string_value(v), '/') != json_string_value(v)) /* no path of a file */
        learn(s, json_string_value(v), json_string_length(v));
    json_object_foreach((json_t *)v, member, one) learn_json(s, one, member, deep + 1);
    json_array_foreach(v, i, one) learn_json(s, one, name, deep + 1);
}

static void learn_file(struct ft_scrub *s, const char *home, const char *name, bool json)
{
    char path[4096], *text = NULL;
    size_t n = 0;
    struct ft_err ignored;
    snprintf(path, sizeof path, "%s/%s", home, name);
    if (ft_file_read(path, FILE_MAX, &text, &n, &ignored) != 0)
        return;
    if (json) {
        json_t *j = json_loadb(text, n, 0, NULL);
        learn_json(s, j, "", 0);
        json_decref(j);
    } else {
        char digits[513];
        learn(s, text, n);
        ft_hex((const uint8_t *)text, FT_MIN(n, (size_t)256), digits);
        learn(s, digits, strlen(digits));
    }
    free(text);
}

void ft_scrub_open(struct ft_scrub *s, const char *home)
{
    static const char *const variables[] = {
        "FEITIAN_API_KEY",       "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",          "HF_TOKEN"};
    static const char *const jsons[] = {"credentials.json", "storage.json", "config.json"};
    *s = (struct ft_scrub){.n = 0};
    for (size_t i = 0; i < FT_COUNT(jsons); i++)
        learn_file(s, home, jsons[i], true);
    learn_file(s, home, "s3.secret", false);
    learn_file(s, home, "tls/key.pem", false);
    for (size_t i = 0; i < FT_COUNT(variables); i++) {
        const char *v = getenv(variables[i]);
        if (v != NULL)
            learn(s, v, strlen(v));
    }
}

void ft_scrub_close(struct ft_scrub *s)
{
    for (int i = 0; i < s->n; i++) {
        explicit_bzero(s->secret[i], strlen(s->secret[i]));
        free(s->secret[i]);
    }
    s->n = 0;
}

/* How many bytes at p are a secret by their value; 0: none. */
static size_t known(const struct ft_scrub *s, const char *p, size_t left)
{
    for (int i = 0; i < s->n; i++) {
        size_t n = strlen(s->secret[i]);
        if (n <= left && memcmp(p, s->secret[i], n) == 0)
            return n;
    }
    return 0;
}

static size_t word(const char *p, size_t left)
{
    size_t n = 0;
    while (n < left && (isalnum((unsigned char)p[n]) || strchr("-_.+/=~", p[n]) != NULL) &&
           p[n] != '\0')
        n++;
    return n;
}

/* "://user:password@": so many bytes up to the '@'; 0: no such. */
static size_t user_info(const char *p, size_t left)
{
    size_t at = 0;
    if (left < 3 || memcmp(p, "://", 3) != 0)
        return 0;
    for (size_t i = 3; i < left && p[i] != '\0' && strchr("/?#\"'<>\\ \t\r\n", p[i]) == NULL; i++)
        if (p[i] == '@')
            at = i;
    return at;
}

/* By their form; *ret_keep: so many of its bytes may stay. */
static size_t formed(const char *p, size_t left, size_t *ret_keep)
{
    static const struct {
        const char *head;
        size_t least; /* of what follows */
    } forms[] = {{"sk-ft-", 8}, {"hf_sk-ft-", 8}, {"Bearer ", 8}, {"Basic ", 8}, {"hf_", 20}};
    for (size_t i = 0; i < FT_COUNT(forms); i++) {
        size_t n = strlen(forms[i].head);
        if (n > left || strncasecmp(p, forms[i].head, n) != 0)
            continue;
        size_t more = word(p + n, left - n);
        if (more < forms[i].least)
            continue;
        *ret_keep = n;
        return n + more;
    }
    size_t user = user_info(p, left);
    if (user > 0) {
        *ret_keep = 3;
        return user;
    }
    static const char begin[] = "-----BEGIN ", end[] = "-----END ";
    if (left > sizeof begin && memcmp(p, begin, sizeof begin - 1) == 0 &&
        memmem(p, FT_MIN(left, (size_t)64), "PRIVATE", 7) != NULL) {
        const char *to = memmem(p, left, end, sizeof end - 1);
        *ret_keep = 0;
        return to != NULL ? (size_t)(to - p) : left;
    }
    return 0;
}

void ft_scrub_text(const struct ft_scrub *s, const char *text, size_t n, struct ft_buf *out)
{
    size_t plain = 0;
    for (size_t i = 0; i < n;) {
        size_t keep = 0, len = known(s, text + i, n - i);
        if (len == 0)
            len = formed(text + i, n - i, &keep);
        if (len == 0) {
            i++;
            continue;
        }
        ft_buf_add(out, text + plain, i + keep - plain);
        ft_buf_add_str(out, MARK);
        i += len;
        plain = i;
    }
    ft_buf_add(out, text + plain, n - plain);
}
