/* Error values: formatting and context. No allocation, no global state. */
#include "base/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fill(struct ft_err *err, enum ft_code code, int sys, const char *fmt, va_list ap)
{
    if (err != NULL) {
        err->code = code;
        err->sys_errno = sys;
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    }
    return code;
}

int ft_err_set(struct ft_err *err, enum ft_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, 0, fmt, ap);
    va_end(ap);
    return code;
}

static int fill_sys(struct ft_err *err, enum ft_code code, int sys, const char *fmt, va_list ap)
{
    fill(err, code, sys, fmt, ap);
    if (err != NULL) {
        size_t n = strlen(err->msg);
        char text[128];
        snprintf(err->msg + n, sizeof err->msg - n, ": %s", strerror_r(sys, text, sizeof text));
    }
    return code;
}

static enum ft_code code_of_sys(int sys)
{
    return sys == ENOENT ? FT_ENOTFOUND : sys == ENOMEM ? FT_ENOMEM : FT_EIO;
}

int ft_err_sys(struct ft_err *err, const char *fmt, ...)
{
    int sys = errno;
    va_list ap;
    va_start(ap, fmt);
    int rc = fill_sys(err, code_of_sys(sys), sys, fmt, ap);
    va_end(ap);
    return rc;
}

int ft_err_disk(struct ft_err *err, const char *fmt, ...)
{
    int sys = errno;
    bool full = sys == ENOSPC || sys == EDQUOT;
    va_list ap;
    va_start(ap, fmt);
    int rc = fill_sys(err, full ? FT_ELIMIT : code_of_sys(sys), sys, fmt, ap);
    va_end(ap);
    return rc;
}

int ft_err_wrap(struct ft_err *err, const char *fmt, ...)
{
    if (err == NULL)
        return FT_EINTERNAL;
    char tail[FT_ERR_MSG_MAX];
    memcpy(tail, err->msg, sizeof tail);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->msg);
    snprintf(err->msg + n, sizeof err->msg - n, ": %s", tail);
    return err->code;
}

const char *ft_code_name(enum ft_code code)
{
    switch (code) {
    case FT_OK:
        return "ok";
    case FT_EINVAL:
        return "invalid";
    case FT_ENOTFOUND:
        return "not_found";
    case FT_EEXIST:
        return "exists";
    case FT_ECORRUPT:
        return "corrupt";
    case FT_EUNSUPPORTED:
        return "unsupported";
    case FT_ENOMEM:
        return "out_of_memory";
    case FT_ELIMIT:
        return "limit";
    case FT_EBUSY:
        return "busy";
    case FT_ECANCELED:
        return "canceled";
    case FT_EIO:
        return "io";
    case FT_EINTERNAL:
        return "internal";
    case FT_EUNAVAIL:
        return "unavailable";
    }
    return "unknown";
}

void ft_assert_fail(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "feitian: %s:%d: %s: assertion failed: %s\n", file, line, func, cond);
    abort();
}
