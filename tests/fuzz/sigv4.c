/* Signatures: lines of a request ("METHOD PATH QUERY", then "Name: value"). Whatever it says of its
 * signature is taken or refused, nothing forged is right; and what is signed here is accepted. */
#include <stdint.h>
#include <string.h>

#include "net/sigv4.h"

#define NOW INT64_C(1369353600)
static const struct ft_sigv4_key key = {"AKIAIOSFODNN7EXAMPLE", "secret", "us-east-1", "s3"};

static void sign_and_check(const struct ft_sigv4_request *given)
{
    struct ft_http_field f[70];
    int n = 0;
    for (int i = 0; i < given->n_fields && n < 32; i++)
        if (strcasecmp(given->fields[i].name, "authorization") != 0 &&
            strcasecmp(given->fields[i].name, "host") != 0 &&
            strcasecmp(given->fields[i].name, "x-amz-date") != 0 &&
            strcasecmp(given->fields[i].name, "x-amz-content-sha256") != 0)
            f[n++] = given->fields[i];
    f[n++] = (struct ft_http_field){"Host", "h"};
    struct ft_sigv4_request r = *given;
    r.fields = f;
    r.n_fields = n;
    struct ft_sigv4_signed s;
    struct ft_sigv4_auth a;
    struct ft_err err;
    if (ft_sigv4_sign(&r, &key, FT_SIGV4_UNSIGNED, NOW, &s, &err) != 0)
        return; /* broken escapes, too much */
    f[n++] = (struct ft_http_field){"X-Amz-Date", s.date};
    f[n++] = (struct ft_http_field){"X-Amz-Content-Sha256", FT_SIGV4_UNSIGNED};
    f[n++] = (struct ft_http_field){"Authorization", s.authorization};
    r.n_fields = n;
    if (ft_sigv4_read(&r, &a, &err) != 0)
        return; /* the query says something of a signature, too; names no header may have */
    FT_ASSERT(a.how != FT_SIGV4_HEADER ||
              ft_sigv4_verify(&r, &a, key.secret, NULL, "s3", NOW, NULL, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[8192];
    if (size >= sizeof text || memchr(data, '\0', size) != NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    struct ft_http_field f[64];
    char *save = NULL, *line = strtok_r(text, "\n", &save), *words = NULL;
    if (line == NULL)
        return 0;
    const char *method = strtok_r(line, " ", &words), *path = strtok_r(NULL, " ", &words),
               *query = strtok_r(NULL, " ", &words);
    int n = 0;
    while (n < 64 && (line = strtok_r(NULL, "\n", &save)) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL || colon == line || colon - line > FT_HTTP_FIELD_NAME_MAX)
            continue;
        *colon = '\0';
        f[n++] = (struct ft_http_field){line, colon + 1 + strspn(colon + 1, " ")};
    }
    struct ft_sigv4_request r = {method != NULL ? method : "GET", path != NULL ? path : "/",
                                 query != NULL ? query : "", f, n};
    struct ft_sigv4_auth a;
    struct ft_err err = {0};
    if (ft_sigv4_read(&r, &a, &err) == 0) {
        if (a.how != FT_SIGV4_ANONYMOUS)
            FT_ASSERT(ft_sigv4_verify(&r, &a, "not known", NULL, "s3", a.signed_s, NULL, &err) !=
                      0);
    } else {
        FT_ASSERT(ft_sigv4_why(&err) != FT_SIGV4_WHY_NONE);
    }
    sign_and_check(&r);
    return 0;
}
