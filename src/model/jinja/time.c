/* strftime() in the C locale with Python's directives, without the process's locale or time zone.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "model/jinja/unicode.h"
#include "model/jinja/value.h"

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

/* ISO 8601 week and its year. */
static int iso_week(const struct tm *t, int *ret_year)
{
    int wday = (t->tm_wday + 6) % 7, year = t->tm_year + 1900; /* Monday = 0 */
    int week = (t->tm_yday - wday + 10) / 7;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (week < 1) {
        year--;
        leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        week = (t->tm_yday + 365 + leap - wday + 10) / 7;
    } else if (week == 53 && t->tm_yday - wday + 3 >= 365 + leap) {
        year++;
        week = 1;
    }
    *ret_year = year;
    return week;
}

/* long: one case for each letter of strftime */
static void directive(struct jb *b, const struct tm *t, char c, int64_t now)
{
    int h12 = t->tm_hour % 12 == 0 ? 12 : t->tm_hour % 12, year;
    switch (c) {
    case 'a':
        jb_add(b, days[t->tm_wday], 3);
        break;
    case 'A':
        jb_adds(b, days[t->tm_wday]);
        break;
    case 'b':
    case 'h':
        jb_add(b, months[t->tm_mon], 3);
        break;
    case 'B':
        jb_adds(b, months[t->tm_mon]);
        break;
    case 'c':
        jb_addf(b, "%.3s %.3s %2d %02d:%02d:%02d %d", days[t->tm_wday], months[t->tm_mon],
                t->tm_mday, t->tm_hour, t->tm_min, t->tm_sec, t->tm_year + 1900);
        break;
    case 'C':
        jb_addf(b, "%02d", (t->tm_year + 1900) / 100);
        break;
    case 'd':
        jb_addf(b, "%02d", t->tm_mday);
        break;
    case 'D':
    case 'x':
        jb_addf(b, "%02d/%02d/%02d", t->tm_mon + 1, t->tm_mday, t->tm_year % 100);
        break;
    case 'e':
        jb_addf(b, "%2d", t->tm_mday);
        break;
    case 'f':
        jb_adds(b, "000000");
        break;
    case 'F':
        jb_addf(b, "%d-%02d-%02d", t->tm_year + 1900, t->tm_mon + 1, t->tm_mday);
        break;
    case 'g':
    case 'G':
    case 'V': {
        int week = iso_week(t, &year);
        jb_addf(b, c == 'G' ? "%d" : "%02d", c == 'V' ? week : c == 'G' ? year : year % 100);
        break;
    }
    case 'H':
        jb_addf(b, "%02d", t->tm_hour);
        break;
    case 'I':
        jb_addf(b, "%02d", h12);
        break;
    case 'j':
        jb_addf(b, "%03d", t->tm_yday + 1);
        break;
    case 'k':
        jb_addf(b, "%2d", t->tm_hour);
        break;
    case 'l':
        jb_addf(b, "%2d", h12);
        break;
    case 'm':
        jb_addf(b, "%02d", t->tm_mon + 1);
        break;
    case 'M':
        jb_addf(b, "%02d", t->tm_min);
        break;
    case 'n':
        jb_addc(b, '\n');
        break;
    case 'p':
        jb_adds(b, t->tm_hour < 12 ? "AM" : "PM");
        break;
    case 'P':
        jb_adds(b, t->tm_hour < 12 ? "am" : "pm");
        break;
    case 'r':
        jb_addf(b, "%02d:%02d:%02d %s", h12, t->tm_min, t->tm_sec, t->tm_hour < 12 ? "AM" : "PM");
        break;
    case 'R':
        jb_addf(b, "%02d:%02d", t->tm_hour, t->tm_min);
        break;
    case 's':
        jb_addf(b, "%lld", (long long)now);
        break;
    case 'S':
        jb_addf(b, "%02d", t->tm_sec);
        break;
    case 't':
        jb_addc(b, '\t');
        break;
    case 'T':
    case 'X':
        jb_addf(b, "%02d:%02d:%02d", t->tm_hour, t->tm_min, t->tm_sec);
        break;
    case 'u':
        jb_addf(b, "%d", t->tm_wday == 0 ? 7 : t->tm_wday);
        break;
    case 'U':
        jb_addf(b, "%02d", (t->tm_yday + 7 - t->tm_wday) / 7);
        break;
    case 'w':
        jb_addf(b, "%d", t->tm_wday);
        break;
    case 'W':
        jb_addf(b, "%02d", (t->tm_yday + 7 - (t->tm_wday + 6) % 7) / 7);
        break;
    case 'y':
        jb_addf(b, "%02d", t->tm_year % 100);
        break;
    case 'Y':
        jb_addf(b, "%d", t->tm_year + 1900);
        break;
    case 'z': /* a time without a zone has no offset and no name */
    case 'Z':
        break;
    case '%':
        jb_addc(b, '%');
        break;
    default:
        jb_addf(b, "%%%c", c);
    }
}

struct jv jv_strftime(struct jr *r, struct jv fmt, int64_t now)
{
    struct tm t = {0};
    time_t at = (time_t)now;
    if (now < -62135596800 || now > 253402300799 || gmtime_r(&at, &t) == NULL)
        jr_fail(r, FT_EINVAL, "strftime_now: the time is outside of the years 1 to 9999");
    struct jb b;
    jb_init(&b, r);
    for (const char *p = fmt.s->p, *end = p + fmt.s->n; p < end; p++) {
        if (*p != '%' || p + 1 == end) {
            jb_addc(&b, *p);
            continue;
        }
        p++;
        if (*p == '-' && p + 1 < end) { /* glibc: no padding */
            struct jb one;
            jb_init(&one, r);
            directive(&one, &t, *++p, now);
            size_t skip = 0;
            while (skip + 1 < one.n && (one.p[skip] == '0' || one.p[skip] == ' '))
                skip++;
            jb_add(&b, one.p + skip, one.n - skip);
            continue;
        }
        if ((unsigned char)*p >= 0x80) {
            jb_addc(&b, '%');
            jb_addc(&b, *p);
            continue;
        }
        directive(&b, &t, *p, now);
    }
    return jb_str(&b);
}
