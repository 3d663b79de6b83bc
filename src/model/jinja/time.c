/* strftime() as Python's datetime has it on Linux: the C library's, in the C locale, but for what
 * Python replaces itself. Neither the process's locale nor its time zone matters. */
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "model/jinja/value.h"

#define FIELD_BYTES_MAX 1024 /* one directive's result, padding included */

static locale_t c_locale; /* made once, for the life of the process */

static void locale_make(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The bytes of the directive at p[0] == '%': flags, width, modifier, letter. */
static size_t directive_len(const char *p, const char *end)
{
    const char *q = p + 1;
    while (q < end && *q != '\0' && strchr("_-0^#+", *q) != NULL)
        q++;
    while (q < end && *q >= '0' && *q <= '9')
        q++;
    if (q < end && (*q == 'E' || *q == 'O'))
        q++;
    return (size_t)(q - p) + (q < end && (unsigned char)*q < 0x80);
}

static void directive(struct jb *b, const struct tm *t, const char *p, size_t n, int64_t now)
{
    char spec[FIELD_BYTES_MAX], out[FIELD_BYTES_MAX];
    if (n == 2 && p[1] == 'f') {
        jb_adds(b, "000000");
        return;
    }
    if (n == 2 && p[1] == 's') {
        jb_addf(b, "%lld", (long long)now);
        return;
    }
    size_t got = 0;
    if (n + 2 <= sizeof spec) {
        spec[0] = ' '; /* tells an empty result from one that did not fit */
        memcpy(spec + 1, p, n);
        spec[n + 1] = '\0';
        got = strftime_l(out, sizeof out, spec, t, c_locale);
    }
    if (got == 0)
        jr_fail(b->r, FT_ELIMIT, "strftime_now: a field of more than %d bytes", FIELD_BYTES_MAX);
    jb_add(b, out + 1, got - 1);
}

struct jv jv_strftime(struct jr *r, struct jv fmt, int64_t now)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tm t = {0};
    time_t at = (time_t)now;
    if (now < -62135596800 || now > 253402300799 || gmtime_r(&at, &t) == NULL)
        jr_fail(r, FT_EINVAL, "strftime_now: the time is outside of the years 1 to 9999");
    t.tm_isdst = -1; /* a time without a zone: no offset, no name */
    t.tm_zone = "";
    pthread_once(&once, locale_make);
    if (c_locale == (locale_t)0)
        jr_fail(r, FT_ENOMEM, "strftime_now: no memory");
    struct jb b;
    jb_init(&b, r);
    size_t len = strnlen(fmt.s->p, fmt.s->n); /* Python's ends at a NUL, too */
    for (const char *p = fmt.s->p, *end = p + len; p < end;) {
        size_t n = *p == '%' ? directive_len(p, end) : 1;
        if (n == 1)
            jb_addc(&b, *p);
        else
            directive(&b, &t, p, n, now);
        p += n;
    }
    return jb_str(&b);
}
