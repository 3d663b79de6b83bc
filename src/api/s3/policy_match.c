/* Patterns, and the operators of conditions: each compares one wanted value with one of the
 * request's. */
#include "api/s3/policy_match.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/date.h"

bool ft_s3_like(const char *p, const char *t, bool ignore_case)
{
    const char *star = NULL, *resume = NULL; /* the last '*', and where its run would end next */
    while (*t != '\0') {
        bool same =
            *p == *t || (ignore_case && tolower((unsigned char)*p) == tolower((unsigned char)*t));
        if (*p == '*') {
            star = p++;
            resume = t;
        } else if (*p != '\0' && (*p == '?' || same)) {
            p++, t++;
        } else if (star != NULL) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (*p == '*')
        p++;
    return *p == '\0';
}

static bool is_number(const char *s)
{
    char *end;
    (void)strtod(s, &end);
    return end != s && *end == '\0';
}

static bool is_bool(const char *s)
{
    return strcasecmp(s, "true") == 0 || strcasecmp(s, "false") == 0;
}

/* A date, or seconds since 1970. */
static bool date_of(const char *s, double *ret)
{
    int64_t at = 0;
    bool is = ft_date_parse_iso(s, &at);
    *ret = is ? (double)at : atof(s);
    return is || is_number(s);
}

static bool is_date(const char *s)
{
    double at;
    return date_of(s, &at);
}

/* An address and how many of its bits count. */
struct net {
    int family;
    unsigned char bytes[16];
    int bits;
};
static bool net_of(const char *s, struct net *ret)
{
    char host[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(s, '/');
    size_t n = slash != NULL ? (size_t)(slash - s) : strlen(s);
    if (n >= sizeof(host))
        return false;
    memcpy(host, s, n);
    host[n] = '\0';
    ret->family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(ret->family, host, ret->bytes) != 1)
        return false;
    int most = ret->family == AF_INET ? 32 : 128;
    ret->bits = most;
    if (slash != NULL) {
        char *end;
        long bits = strtol(slash + 1, &end, 10);
        if (end == slash + 1 || *end != '\0' || bits < 0 || bits > most)
            return false;
        ret->bits = (int)bits;
    }
    return true;
}

static bool is_net(const char *s)
{
    struct net net;
    return net_of(s, &net);
}

static bool in_net(const char *wanted, const char *got)
{
    struct net w, g;
    if (!net_of(wanted, &w) || !net_of(got, &g) || w.family != g.family)
        return false;
    int whole = w.bits / 8, rest = w.bits % 8;
    if (memcmp(w.bytes, g.bytes, (size_t)whole) != 0)
        return false;
    return rest == 0 || ((w.bytes[whole] ^ g.bytes[whole]) & (0xff00 >> rest & 0xff)) == 0;
}

static bool same(const char *w, const char *g)
{
    return strcmp(w, g) == 0;
}
static bool same_case(const char *w, const char *g)
{
    return strcasecmp(w, g) == 0;
}
static bool like(const char *w, const char *g)
{
    return ft_s3_like(w, g, false);
}
static bool number_same(const char *w, const char *g)
{
    return is_number(g) && atof(g) == atof(w);
}
static bool number_less(const char *w, const char *g)
{
    return is_number(g) && atof(g) < atof(w);
}
static bool number_less_same(const char *w, const char *g)
{
    return is_number(g) && atof(g) <= atof(w);
}
static bool number_more(const char *w, const char *g)
{
    return is_number(g) && atof(g) > atof(w);
}
static bool number_more_same(const char *w, const char *g)
{
    return is_number(g) && atof(g) >= atof(w);
}
static bool date_same(const char *w, const char *g)
{
    double a, b;
    return date_of(w, &a) && date_of(g, &b) && b == a;
}
static bool date_less(const char *w, const char *g)
{
    double a, b;
    return date_of(w, &a) && date_of(g, &b) && b < a;
}
static bool date_less_same(const char *w, const char *g)
{
    return date_less(w, g) || date_same(w, g);
}
static bool date_more(const char *w, const char *g)
{
    double a, b;
    return date_of(w, &a) && date_of(g, &b) && b > a;
}
static bool date_more_same(const char *w, const char *g)
{
    return date_more(w, g) || date_same(w, g);
}

static const struct ft_s3_operator OPERATORS[] = {
    {"StringEquals", false, NULL, same},
    {"StringNotEquals", true, NULL, same},
    {"StringEqualsIgnoreCase", false, NULL, same_case},
    {"StringNotEqualsIgnoreCase", true, NULL, same_case},
    {"StringLike", false, NULL, like},
    {"StringNotLike", true, NULL, like},
    {"ArnEquals", false, NULL, like},
    {"ArnLike", false, NULL, like},
    {"ArnNotEquals", true, NULL, like},
    {"ArnNotLike", true, NULL, like},
    {"NumericEquals", false, is_number, number_same},
    {"NumericNotEquals", true, is_number, number_same},
    {"NumericLessThan", false, is_number, number_less},
    {"NumericLessThanEquals", false, is_number, number_less_same},
    {"NumericGreaterThan", false, is_number, number_more},
    {"NumericGreaterThanEquals", false, is_number, number_more_same},
    {"DateEquals", false, is_date, date_same},
    {"DateNotEquals", true, is_date, date_same},
    {"DateLessThan", false, is_date, date_less},
    {"DateLessThanEquals", false, is_date, date_less_same},
    {"DateGreaterThan", false, is_date, date_more},
    {"DateGreaterThanEquals", false, is_date, date_more_same},
    {"Bool", false, is_bool, same_case},
    {"IpAddress", false, is_net, in_net},
    {"NotIpAddress", true, is_net, in_net},
};

const struct ft_s3_operator *ft_s3_operator_find(const char *name, int n)
{
    for (size_t i = 0; i < sizeof(OPERATORS) / sizeof(OPERATORS[0]); i++)
        if (strlen(OPERATORS[i].name) == (size_t)n &&
            memcmp(OPERATORS[i].name, name, (size_t)n) == 0)
            return &OPERATORS[i];
    return NULL;
}
