/* Dates by hand where the C library's ways would depend on the locale. */
#include "net/date.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* What gmtime says, within the years 0 to 9999 that all forms can write. */
static struct tm broken_down(int64_t unix_s)
{
    int64_t s = unix_s < 0 ? 0 : unix_s > 253402300799 ? 253402300799 : unix_s;
    time_t t = (time_t)s;
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    return tm;
}

void ft_date_http(int64_t unix_s, char ret[FT_DATE_MAX])
{
    struct tm t = broken_down(unix_s);
    snprintf(ret, FT_DATE_MAX, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[t.tm_wday % 7],
             t.tm_mday % 100u, months[t.tm_mon % 12], (t.tm_year + 1900) % 10000u, t.tm_hour % 100u,
             t.tm_min % 100u, t.tm_sec % 100u);
}

void ft_date_iso(int64_t unix_ns, char ret[FT_DATE_MAX])
{
    struct tm t = broken_down(unix_ns / 1000000000);
    snprintf(ret, FT_DATE_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (t.tm_year + 1900) % 10000u,
             (t.tm_mon + 1) % 100u, t.tm_mday % 100u, t.tm_hour % 100u, t.tm_min % 100u,
             t.tm_sec % 100u, (unsigned)(unix_ns / 1000000 % 1000) % 1000u);
}

void ft_date_basic(int64_t unix_s, char ret[FT_DATE_MAX])
{
    struct tm t = broken_down(unix_s);
    snprintf(ret, FT_DATE_MAX, "%04u%02u%02uT%02u%02u%02uZ", (t.tm_year + 1900) % 10000u,
             (t.tm_mon + 1) % 100u, t.tm_mday % 100u, t.tm_hour % 100u, t.tm_min % 100u,
             t.tm_sec % 100u);
}

/* Exactly n digits. */
static bool number(const char **s, int n, int *ret)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (!isdigit((unsigned char)(*s)[i]))
            return false;
        v = v * 10 + ((*s)[i] - '0');
    }
    *s += n;
    *ret = v;
    return true;
}

static bool skip(const char **s, char c)
{
    if (**s != c)
        return false;
    ++*s;
    return true;
}

/* Checked against the calendar: timegm turns 31 June into 1 July. */
static bool to_unix(struct tm *t, int64_t *ret)
{
    struct tm want = *t;
    if (t->tm_hour > 23 || t->tm_min > 59 || t->tm_sec > 60)
        return false;
    int64_t s = (int64_t)timegm(t);
    if (t->tm_mday != want.tm_mday || t->tm_mon != want.tm_mon)
        return false;
    *ret = s;
    return true;
}

bool ft_date_parse_http(const char *s, int64_t *ret_unix_s)
{
    struct tm t = {0};
    const char *comma = strchr(s, ',');
    if (comma == NULL || comma - s > 9)
        return false;
    for (s = comma + 1; *s == ' '; s++)
        ;
    if (!number(&s, 2, &t.tm_mday) || (*s != ' ' && *s != '-'))
        return false;
    s++;
    int month = 0;
    while (month < 12 && strncasecmp(s, months[month], 3) != 0)
        month++;
    if (month == 12 || (s[3] != ' ' && s[3] != '-'))
        return false;
    t.tm_mon = month;
    s += 4;
    if (!number(&s, 4, &t.tm_year) || !skip(&s, ' ') || !number(&s, 2, &t.tm_hour) ||
        !skip(&s, ':') || !number(&s, 2, &t.tm_min) || !skip(&s, ':') ||
        !number(&s, 2, &t.tm_sec) || !skip(&s, ' '))
        return false;
    if (strcmp(s, "GMT") != 0 && strcmp(s, "UTC") != 0 && strcmp(s, "+0000") != 0 &&
        strcmp(s, "-0000") != 0)
        return false;
    t.tm_year -= 1900;
    return to_unix(&t, ret_unix_s);
}

/* "Z", "+hh:mm", "-hhmm" or nothing: seconds east. */
static bool zone(const char **s, int *ret_east_s)
{
    *ret_east_s = 0;
    if (**s == '\0' || skip(s, 'Z'))
        return true;
    int sign = **s == '-' ? -1 : 1, h, m;
    if (**s != '+' && **s != '-')
        return false;
    ++*s;
    if (!number(s, 2, &h))
        return false;
    skip(s, ':');
    if (!number(s, 2, &m) || h > 14 || m > 59)
        return false;
    *ret_east_s = sign * (h * 3600 + m * 60);
    return true;
}

bool ft_date_parse_iso(const char *s, int64_t *ret_unix_s)
{
    struct tm t = {0};
    if (!number(&s, 4, &t.tm_year))
        return false;
    bool extended = skip(&s, '-');
    if (!number(&s, 2, &t.tm_mon) || (extended && !skip(&s, '-')) || !number(&s, 2, &t.tm_mday))
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    int east_s = 0;
    if (*s == 'T' || *s == ' ') {
        s++;
        if (!number(&s, 2, &t.tm_hour) || (extended && !skip(&s, ':')) ||
            !number(&s, 2, &t.tm_min) || (extended && !skip(&s, ':')) || !number(&s, 2, &t.tm_sec))
            return false;
        if (skip(&s, '.'))
            s += strspn(s, "0123456789");
        if (!zone(&s, &east_s))
            return false;
    }
    int64_t v;
    if (*s != '\0' || t.tm_mon < 0 || t.tm_mon > 11 || !to_unix(&t, &v))
        return false;
    *ret_unix_s = v - east_s;
    return true;
}
