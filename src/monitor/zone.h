/* What a clock on the wall shows in a named time zone, from the system's zone files (TZif, RFC
 * 8536): libc knows one zone for the whole process, alerts' quiet times have one each. */
#ifndef FT_MONITOR_ZONE_H
#define FT_MONITOR_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FT_ZONE_NAME_MAX 64

/* Seconds that zone's clocks are ahead of UTC at that time: "Europe/Berlin", "UTC". FT_EINVAL: no
 * zone's name; FT_ENOTFOUND: this machine has no such zone. */
int ft_zone_offset(const char *zone, int64_t at_s, int32_t *ret, struct ft_err *err);

/* The same from a zone file's bytes. FT_ECORRUPT. */
int ft_zone_parse(const uint8_t *data, size_t n, int64_t at_s, int32_t *ret, struct ft_err *err);

/* Is at_s within [from, to) of the zone's day? Minutes of the day; from > to: over midnight; equal:
 * always. */
int ft_zone_within(const char *zone, int64_t at_s, int from_min, int to_min, bool *ret,
                   struct ft_err *err);

#endif
