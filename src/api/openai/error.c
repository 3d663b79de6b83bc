/* Errors as HTTP clients are told: the table from codes to statuses, and OpenAI's form. */
#include "api/openai/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/openai/write.h"

void ft_oai_error_init(struct ft_oai_error *e)
{
    e->err.code = FT_OK;
    e->err.sys_errno = 0;
    e->err.msg[0] = '\0';
    e->param[0] = '\0';
    e->code = e->type = NULL;
    e->status = 0;
    e->final = false;
    e->retry_after_ms = 0;
}

int ft_oai_error_set(struct ft_oai_error *e, enum ft_code code, const char *err_code,
                     const char *param, const char *fmt, ...)
{
    if (e == NULL)
        return code;
    ft_oai_error_init(e);
    e->err.code = code;
    e->code = err_code;
    if (param != NULL)
        snprintf(e->param, sizeof e->param, "%s", param);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->err.msg, sizeof e->err.msg, fmt, ap);
    va_end(ap);
    return code;
}

/* Messages of the layers below begin with the place that they speak of: "messages: ...". */
static size_t place_len(const char *msg)
{
    static const char *const heads[] = {"model",      "messages",
                                        "prompt",     "input",
                                        "documents",  "query",
                                        "tools",      "tool_choice",
                                        "logit_bias", "response_format",
                                        "stop",       "max_tokens",
                                        "dimensions", "chat_template_kwargs"};
    size_t n = strcspn(msg, ": ");
    if (n >= FT_OAI_PARAM_MAX || strncmp(msg + n, ": ", 2) != 0)
        return 0;
    size_t head = strcspn(msg, ".[:");
    for (size_t i = 0; i < FT_COUNT(heads); i++)
        if (strlen(heads[i]) == head && strncmp(msg, heads[i], head) == 0)
            return n;
    return 0;
}

void ft_oai_error_from(struct ft_oai_error *e, const struct ft_err *err)
{
    ft_oai_error_init(e);
    e->err = *err;
    size_t n = place_len(err->msg);
    memcpy(e->param, err->msg, n);
    e->param[n] = '\0';
    if (err->code == FT_ELIMIT && n > 0)
        e->code = "context_length_exceeded"; /* what is too long there is so for the model */
}

void ft_oai_error_from_query(struct ft_oai_error *e, const struct ft_err *err)
{
    const char *end = strstr(err->msg, ": ");
    size_t n = end != NULL ? FT_MIN((size_t)(end - err->msg), sizeof e->param - 1) : 0;
    ft_oai_error_init(e);
    e->err = *err;
    memcpy(e->param, err->msg, n);
    e->param[n] = '\0';
}

/* Limits are the request's own (context, sizes) unless who sets the error says otherwise: tenants'
 * limits come with status 429. */
int ft_oai_error_status(const struct ft_oai_error *e)
{
    if (e->status != 0)
        return e->status;
    switch (e->err.code) {
    case FT_OK:
        return 200;
    case FT_EINVAL:
    case FT_EUNSUPPORTED:
    case FT_ELIMIT:
        return 400;
    case FT_ENOTFOUND:
        return 404;
    case FT_EEXIST:
        return 409;
    case FT_ENOMEM:
    case FT_EBUSY:
    case FT_EUNAVAIL:
    case FT_ECANCELED: /* not by the client, who would not read this: we are closing */
        return 503;
    case FT_ECORRUPT:
    case FT_EIO:
    case FT_EINTERNAL:
        return 500;
    }
    return 500;
}

const char *ft_oai_error_type(const struct ft_oai_error *e)
{
    int status = ft_oai_error_status(e);
    if (e->type != NULL)
        return e->type;
    if (status == 401)
        return "authentication_error";
    if (status == 403)
        return "permission_error";
    if (status == 429)
        return e->code != NULL && strcmp(e->code, "insufficient_quota") == 0 ? "insufficient_quota"
                                                                             : "rate_limit_error";
    return status >= 500 ? "server_error" : "invalid_request_error";
}

const char *ft_oai_error_code(const struct ft_oai_error *e)
{
    if (e->code != NULL)
        return e->code;
    switch (e->err.code) {
    case FT_EINVAL:
        return "invalid_value";
    case FT_EUNSUPPORTED:
        return "unsupported_value";
    case FT_ELIMIT:
        return "limit_exceeded";
    case FT_ENOTFOUND:
        return "not_found";
    case FT_EEXIST:
        return "already_exists";
    case FT_ENOMEM:
    case FT_EBUSY:
    case FT_ECANCELED:
        return "overloaded";
    case FT_EUNAVAIL:
        return "upstream_unavailable";
    default:
        return NULL;
    }
}

const char *ft_oai_error_message(const struct ft_oai_error *e)
{
    return ft_oai_error_status(e) != 500
               ? e->err.msg
               : "The server had an error while processing the request; its log says more.";
}

static void write_or_null(const char *s, struct ft_buf *out)
{
    if (s == NULL || s[0] == '\0')
        ft_buf_add_str(out, "null");
    else
        ft_oai_write_string(out, s, strlen(s));
}

void ft_oai_error_write(const struct ft_oai_error *e, struct ft_buf *out)
{
    const char *msg = ft_oai_error_message(e);
    ft_buf_add_str(out, "{\"error\":{\"message\":");
    ft_oai_write_string(out, msg, strlen(msg));
    ft_buf_add_str(out, ",\"type\":");
    write_or_null(ft_oai_error_type(e), out);
    ft_buf_add_str(out, ",\"param\":");
    write_or_null(e->param, out);
    ft_buf_add_str(out, ",\"code\":");
    write_or_null(ft_oai_error_code(e), out);
    ft_buf_add_str(out, "}}");
}

/* Clients wait as long as retry-after-ms says, else retry-after; x-should-retry overrides what they
 * would do by the status: a spent budget is no matter of seconds, though it is a 429. */
int ft_oai_error_headers(const struct ft_oai_error *e, struct ft_oai_header *ret)
{
    int n = 0, status = ft_oai_error_status(e);
    if (e->retry_after_ms > 0) {
        int s = (int)(((int64_t)e->retry_after_ms + 999) / 1000);
        ret[n].name = "retry-after";
        snprintf(ret[n++].value, sizeof ret->value, "%d", s);
        ret[n].name = "retry-after-ms";
        snprintf(ret[n++].value, sizeof ret->value, "%d", e->retry_after_ms);
    }
    bool spent = e->code != NULL && strcmp(e->code, "insufficient_quota") == 0;
    bool again = !e->final && ((status == 429 && !spent) || status == 503);
    if (status >= 400) {
        ret[n].name = "x-should-retry";
        snprintf(ret[n++].value, sizeof ret->value, "%s", again ? "true" : "false");
    }
    return n;
}
