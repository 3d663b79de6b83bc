/* Bounding a log that another process writes. */
#ifndef FT_SCHED_LOG_ROTATE_H
#define FT_SCHED_LOG_ROTATE_H

#include <stdint.h>

/* Once PATH (a regular file whose writer appends) is longer than max_bytes: its last max_bytes
 * become PATH.1 and it is emptied. A line written in that moment may be lost. Nothing else happens
 * on failure. */
void ft_log_rotate(const char *path, int64_t max_bytes);

#endif
