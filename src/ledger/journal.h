/* The journal: usage records in files that are only appended to, until they are acknowledged.
 *
 * A line is eight hex digits of CRC-32C, a space, the record's JSON, a newline. A newline is in no
 * record, so behind damaged bytes reading goes on with the next line. Files are called
 * SEGMENT.log (ten digits, rising); the last one is written to. One thread appends, another reads;
 * what is appended is read when ft_journal_append has returned. */
#ifndef FT_LEDGER_JOURNAL_H
#define FT_LEDGER_JOURNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "ledger/record.h"

#define FT_JOURNAL_PREFIX     9 /* bytes before a line's JSON */
#define FT_JOURNAL_LINE_MAX   (FT_JOURNAL_PREFIX + FT_RECORD_LINE_MAX)
#define FT_JOURNAL_APPEND_MAX (64 << 20) /* bytes of one append; also the space above a segment */

struct ft_journal_pos {
    uint32_t segment, offset;
};

struct ft_journal {
    char dir[3072];
    int fd; /* of the last segment */
    int64_t segment_bytes;
    pthread_mutex_t lock;
    struct ft_journal_pos end; /* (lock) behind the last whole line */
    uint32_t first;            /* (lock) the oldest segment there is */
    int64_t bytes;             /* (lock) of all segments */
};

/* Appends a record as a line to be appended. */
int ft_journal_line(const struct ft_record *r, struct ft_buf *out);
/* One line at p: its length with the newline, 0 if there is no newline in n. *ret_json: its record
 * without the newline; p NULL: damaged. */
size_t ft_journal_next(const char *p, size_t n, struct ft_slice *ret_json);
/* The id in a record's JSON without reading all of it. False: not as we write it. */
bool ft_journal_id(struct ft_slice json, struct ft_slice *ret_id);

/* Opens the last segment (or makes the first), with a torn line at its end cut off. */
int ft_journal_open(const char *dir, int64_t segment_bytes, struct ft_journal *ret,
                    struct ft_err *err);
void ft_journal_close(struct ft_journal *j); /* a zeroed one is accepted */

/* All of it or nothing; in one segment, a new one if the last is full. */
int ft_journal_append(struct ft_journal *j, const void *lines, size_t n, struct ft_err *err);

struct ft_journal_pos ft_journal_end(struct ft_journal *j);
int64_t ft_journal_bytes_from(struct ft_journal *j, struct ft_journal_pos from);
/* Reads whole lines from *pos (moved on, over the ends of segments and missing ones) into out,
 * whose maximum bounds them; nothing is read once pos is the end. */
int ft_journal_read(struct ft_journal *j, struct ft_journal_pos *pos, struct ft_buf *out,
                    struct ft_err *err);
/* Removes the segments before this one; failing is no error. */
void ft_journal_drop(struct ft_journal *j, uint32_t before);

/* Calls fn for every line of the last two segments that have any: where a record whose slot was not
 * freed can be. */
typedef void ft_journal_fn(void *ctx, struct ft_slice json);
int ft_journal_each_last(struct ft_journal *j, ft_journal_fn *fn, void *ctx, struct ft_err *err);

#endif
