/* Dates as HTTP and S3 write them: in UTC, to the second. */
#ifndef FT_NET_DATE_H
#define FT_NET_DATE_H

#include <stdbool.h>
#include <stdint.h>

#define FT_DATE_MAX 32 /* bytes of any of them, with the NUL */

void ft_date_http(int64_t unix_s, char ret[FT_DATE_MAX]);  /* "Fri, 24 May 2013 00:00:00 GMT" */
void ft_date_iso(int64_t unix_ns, char ret[FT_DATE_MAX]);  /* "2013-05-24T00:00:00.000Z" */
void ft_date_basic(int64_t unix_s, char ret[FT_DATE_MAX]); /* "20130524T000000Z" */

/* What the first writes; any two-digit zone "+0000" in GMT's place. */
bool ft_date_parse_http(const char *s, int64_t *ret_unix_s);
/* ISO 8601: "2013-05-24T00:00:00Z", with a fraction (dropped), an offset "+01:00", or the day
 * alone; also the basic form. */
bool ft_date_parse_iso(const char *s, int64_t *ret_unix_s);

#endif
