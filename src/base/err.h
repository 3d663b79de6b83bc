/* Errors: every fallible function returns 0 or a negative `enum ft_code` and fills `err`.
 *
 * `struct ft_err` is owned by the caller, holds its message inline (no allocation) and is left
 * untouched on success. Context is added while unwinding with ft_err_wrap(), outermost first:
 * "load model x.gguf: tensor blk.0.attn_q.weight: offset past the end of the file". */
#ifndef FT_BASE_ERR_H
#define FT_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum ft_code {
    FT_OK = 0,
    FT_EINVAL = -1,       /* the caller's input is wrong; the message names the field */
    FT_ENOTFOUND = -2,    /* the named thing does not exist */
    FT_EEXIST = -3,       /* the named thing exists already */
    FT_ECORRUPT = -4,     /* stored or received bytes contradict their format */
    FT_EUNSUPPORTED = -5, /* well-formed, but not something this build can do */
    FT_ENOMEM = -6,       /* memory or a stated byte budget ran out */
    FT_ELIMIT = -7,       /* a named bound (queue, size, depth, time) was reached */
    FT_EBUSY = -8,        /* try again later */
    FT_ECANCELED = -9,    /* the caller asked to stop */
    FT_EIO = -10,         /* the operating system failed; `sys_errno` says how */
    FT_EINTERNAL = -11,   /* a defect of ours */
    FT_EUNAVAIL = -12     /* what is needed for it is not there, or broke; perhaps it is later */
};

#define FT_ERR_MSG_MAX 512

struct ft_err {
    enum ft_code code;
    int sys_errno; /* errno of the failed call, or 0 */
    char msg[FT_ERR_MSG_MAX];
};

/* Fills *err (which may be NULL) and returns `code`, so that `return ft_err_set(...)` reads
 * well. */
int ft_err_set(struct ft_err *err, enum ft_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As ft_err_set with FT_EIO, errno and its text appended: "open x: No such file or directory".
 * ENOENT becomes FT_ENOTFOUND, ENOMEM FT_ENOMEM. */
int ft_err_sys(struct ft_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same of writing to a disk: where it, or a quota, is full FT_ELIMIT. */
int ft_err_disk(struct ft_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prepends "context: " to the message of a filled *err; returns its code. */
int ft_err_wrap(struct ft_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A short stable name: "invalid", "not_found", ... */
const char *ft_code_name(enum ft_code code);

/* Always on, for programmer errors only; outside input is never asserted. */
#define FT_ASSERT(cond) ((cond) ? (void)0 : ft_assert_fail(#cond, __FILE__, __LINE__, __func__))
void ft_assert_fail(const char *cond, const char *file, int line, const char *func)
    __attribute__((noreturn, cold));

#define FT_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FT_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define FT_MAX(a, b)    ((a) > (b) ? (a) : (b))

#endif
