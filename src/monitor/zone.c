/* Zone files: transitions in their second, 64-bit part; after the last one the rule in the footer
 * (POSIX.1, "TZ": std offset dst offset,start/time,end/time). */
#include "monitor/zone.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

#define FOLDER     "/usr/share/zoneinfo"
#define BYTES_MAX  ((size_t)256 << 10)
#define HEAD_BYTES 44
#define RULE_MAX   128
#define HOUR       3600
#define DAY        86400

struct counts { /* of a header, in its order */
    uint32_t utc, std, leap, time, type, chars;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

/* False: no header. */
static bool read_head(const uint8_t *p, size_t n, struct counts *c)
{
    if (n < HEAD_BYTES || memcmp(p, "TZif", 4) != 0)
        return false;
    *c = (struct counts){be32(p + 20), be32(p + 24), be32(p + 28),
                         be32(p + 32), be32(p + 36), be32(p + 40)};
    return c->utc <= 256 && c->std <= 256 && c->leap <= 4096 && c->time <= 16384 &&
           c->type <= 256 && c->chars <= 4096 && c->type > 0;
}

static size_t data_bytes(const struct counts *c, size_t time_bytes)
{
    return c->time * (time_bytes + 1) + c->type * (size_t)6 + c->chars +
           c->leap * (time_bytes + 4) + c->std + c->utc;
}

/* ---- the footer's rule ---- */

struct text {
    const char *at;
    bool bad;
};

static int number(struct text *t, int most)
{
    int v = 0, n = 0;
    while (isdigit((unsigned char)*t->at) && n++ < 3)
        v = 10 * v + (*t->at++ - '0');
    t->bad |= n == 0 || v > most;
    return v;
}

/* "CET" or "<+03>". */
static void skip_name(struct text *t)
{
    const char *from = t->at;
    if (*t->at == '<') {
        while (*t->at != '\0' && *t->at != '>')
            t->at++;
        t->at += *t->at == '>';
    } else {
        while (isalpha((unsigned char)*t->at))
            t->at++;
    }
    t->bad |= t->at - from < 3;
}

/* [+-]hh[:mm[:ss]], as seconds. */
static int32_t clock_time(struct text *t)
{
    int sign = *t->at == '-' ? -1 : 1;
    t->at += *t->at == '-' || *t->at == '+';
    int32_t s = number(t, 167) * HOUR; /* RFC 8536 lets rules go beyond a day */
    for (int unit = 60; unit >= 1 && *t->at == ':'; unit /= 60) {
        t->at++;
        s += number(t, 59) * unit;
    }
    return sign * s;
}

/* Days from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t days_of(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Mm.w.d: the w-th weekday d of month m, the last one if w is 5. */
static int64_t day_by_month(struct text *t, int64_t year)
{
    t->at++;
    int m = number(t, 12);
    t->bad |= *t->at != '.' || m < 1;
    t->at += *t->at == '.';
    int w = number(t, 5);
    t->bad |= *t->at != '.' || w < 1;
    t->at += *t->at == '.';
    int d = number(t, 6);
    if (t->bad)
        return 0;
    int64_t first = days_of(year, m, 1), next = days_of(year + (m == 12), m % 12 + 1, 1);
    int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = first + (d - weekday + 7) % 7 + 7 * (w - 1);
    return day >= next ? day - 7 : day;
}

/* A date of the year with its time, in seconds of that zone's clocks. */
static int64_t date_of(struct text *t, int64_t year)
{
    int64_t day;
    t->bad |= *t->at != ',';
    t->at += *t->at == ',';
    if (*t->at == 'M') {
        day = day_by_month(t, year);
    } else if (*t->at == 'J') { /* 1 .. 365, never the 29th of February */
        t->at++;
        int n = number(t, 365);
        day = days_of(year, 1, 1) + n - 1 + (is_leap(year) && n >= 60);
    } else {
        day = days_of(year, 1, 1) + number(t, 365);
    }
    int32_t at = 2 * HOUR;
    if (*t->at == '/') {
        t->at++;
        at = clock_time(t);
    }
    return day * DAY + at;
}

static int rule_offset(const char *rule, int64_t at_s, int32_t *ret, struct ft_err *err)
{
    struct text t = {.at = rule};
    skip_name(&t);
    int32_t std = -clock_time(&t), dst = std + HOUR; /* POSIX counts westwards */
    bool summer = false;
    if (*t.at != '\0' && !t.bad) {
        skip_name(&t);
        if (*t.at != ',' && *t.at != '\0')
            dst = -clock_time(&t);
        struct tm date;
        time_t local = (time_t)(at_s + std);
        if (gmtime_r(&local, &date) == NULL)
            return ft_err_set(err, FT_EINVAL, "zone: no such time");
        int64_t begin = date_of(&t, date.tm_year + 1900) - std;
        int64_t end = date_of(&t, date.tm_year + 1900) - dst;
        summer = begin < end ? at_s >= begin && at_s < end : at_s >= begin || at_s < end;
    }
    if (t.bad || *t.at != '\0')
        return ft_err_set(err, FT_ECORRUPT, "zone: rule '%.40s'", rule);
    *ret = summer ? dst : std;
    return 0;
}

/* ---- the file ---- */

static int from_types(const uint8_t *types, const struct counts *c, uint32_t i, int32_t *ret,
                      struct ft_err *err)
{
    if (i >= c->type)
        return ft_err_set(err, FT_ECORRUPT, "zone: a type that is not there");
    *ret = (int32_t)be32(types + i * (size_t)6);
    if (*ret < -2 * DAY || *ret > 2 * DAY)
        return ft_err_set(err, FT_ECORRUPT, "zone: an offset of %d s", *ret);
    return 0;
}

int ft_zone_parse(const uint8_t *data, size_t n, int64_t at_s, int32_t *ret, struct ft_err *err)
{
    struct counts c;
    if (!read_head(data, n, &c) || data[4] < '2' || data_bytes(&c, 4) > n - HEAD_BYTES)
        return ft_err_set(err, FT_ECORRUPT, "zone: no zone file of version 2 or later");
    size_t skip = HEAD_BYTES + data_bytes(&c, 4);
    data += skip;
    n -= skip;
    if (!read_head(data, n, &c) || data_bytes(&c, 8) > n - HEAD_BYTES)
        return ft_err_set(err, FT_ECORRUPT, "zone: its second part is cut off");
    const uint8_t *times = data + HEAD_BYTES, *which = times + c.time * (size_t)8;
    const uint8_t *types = which + c.time;
    const uint8_t *foot = data + HEAD_BYTES + data_bytes(&c, 8);
    size_t n_foot = n - HEAD_BYTES - data_bytes(&c, 8);
    uint32_t i = 0;
    while (i < c.time && be64(times + i * (size_t)8) <= at_s)
        i++;
    if (i == c.time && n_foot > 2 && foot[0] == '\n') {
        char rule[RULE_MAX];
        const uint8_t *end = memchr(foot + 1, '\n', n_foot - 1);
        size_t len = end != NULL ? (size_t)(end - foot - 1) : 0;
        if (len > 0 && len < sizeof rule) {
            memcpy(rule, foot + 1, len);
            rule[len] = '\0';
            return rule_offset(rule, at_s, ret, err);
        }
    }
    return from_types(types, &c, i > 0 ? which[i - 1] : 0, ret, err);
}

int ft_zone_offset(const char *zone, int64_t at_s, int32_t *ret, struct ft_err *err)
{
    char path[sizeof FOLDER + FT_ZONE_NAME_MAX + 2], *data;
    size_t n, len = strlen(zone);
    bool bad = len == 0 || len > FT_ZONE_NAME_MAX || strstr(zone, "..") != NULL || zone[0] == '/';
    for (const char *p = zone; *p != '\0'; p++)
        bad |= !isalnum((unsigned char)*p) && strchr("_+-/", *p) == NULL;
    if (bad)
        return ft_err_set(err, FT_EINVAL, "'%.64s' is no time zone's name", zone);
    if (strcmp(zone, "UTC") == 0) { /* also where no zones are installed */
        *ret = 0;
        return 0;
    }
    snprintf(path, sizeof path, "%s/%s", FOLDER, zone);
    int rc = ft_file_read(path, BYTES_MAX, &data, &n, err);
    if (rc != 0)
        return ft_err_set(err, FT_ENOTFOUND, "this machine knows no time zone '%s'", zone);
    rc = ft_zone_parse((const uint8_t *)data, n, at_s, ret, err);
    free(data);
    return rc;
}

int ft_zone_within(const char *zone, int64_t at_s, int from_min, int to_min, bool *ret,
                   struct ft_err *err)
{
    int32_t offset;
    int rc = ft_zone_offset(zone, at_s, &offset, err);
    if (rc != 0)
        return rc;
    int minute = (int)((((at_s + offset) % DAY) + DAY) % DAY / 60);
    *ret = from_min == to_min  ? true
           : from_min < to_min ? minute >= from_min && minute < to_min
                               : minute >= from_min || minute < to_min;
    return 0;
}
