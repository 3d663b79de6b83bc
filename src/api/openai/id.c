/* Ids that are in the order of their time. */
#include "api/openai/id.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* in the order of their bytes */
static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
#define BASE 62

int ft_oai_id_new(const char *prefix, int64_t now_ms, char ret[FT_OAI_ID_BYTES], struct ft_err *err)
{
    unsigned char random[128];
    size_t n = strlen(prefix), at = 0;
    FT_ASSERT(n <= FT_OAI_ID_PREFIX_MAX);
    memcpy(ret, prefix, n);
    for (int i = FT_OAI_ID_TIME_DIGITS; i-- > 0; now_ms /= BASE)
        ret[n + (size_t)i] = digits[now_ms % BASE];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return ft_err_sys(err, "draw an id");
    for (int i = FT_OAI_ID_TIME_DIGITS; i < FT_OAI_ID_DIGITS; at++) {
        if (at == sizeof random)
            return ft_err_set(err, FT_EINTERNAL, "draw an id: no luck with 128 bytes");
        if (random[at] < 4 * BASE) /* every digit as likely */
            ret[n + (size_t)i++] = digits[random[at] % BASE];
    }
    ret[n + FT_OAI_ID_DIGITS] = '\0';
    return 0;
}

bool ft_oai_id_is(const char *id, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(id, prefix, n) == 0 && strlen(id) == n + FT_OAI_ID_DIGITS &&
           strspn(id + n, digits) == FT_OAI_ID_DIGITS;
}

/* Where the digits begin. */
static size_t head(const char *id)
{
    size_t n = strlen(id);
    return n >= FT_OAI_ID_DIGITS ? n - FT_OAI_ID_DIGITS : n;
}

int64_t ft_oai_id_time(const char *id)
{
    int64_t t = 0;
    for (size_t i = head(id), end = i + FT_OAI_ID_TIME_DIGITS; i < end && id[i] != '\0'; i++)
        t = t * BASE + (strchr(digits, id[i]) - digits);
    return t;
}

void ft_oai_id_turn(const char *id, char ret[FT_OAI_ID_BYTES])
{
    snprintf(ret, FT_OAI_ID_BYTES, "%s", id);
    for (size_t i = head(id), end = i + FT_OAI_ID_TIME_DIGITS; i < end && id[i] != '\0'; i++)
        ret[i] = digits[BASE - 1 - (strchr(digits, id[i]) - digits)];
}
