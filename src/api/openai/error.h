/* What went wrong, as HTTP clients of OpenAI's API are told: {"error":{message,type,param,code}}.
 *
 * The one place where an enum ft_code becomes an HTTP status. A plain struct ft_err is enough; who
 * knows more (which field, which of OpenAI's codes, that it is a matter of keys or budgets) says
 * so in the other members. api/anthropic writes the same struct in Anthropic's form. */
#ifndef FT_API_OPENAI_ERROR_H
#define FT_API_OPENAI_ERROR_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define FT_OAI_PARAM_MAX       128
#define FT_OAI_ERROR_BYTES_MAX 4096 /* of one error written, escapes included */

struct ft_oai_error {
    struct ft_err err;
    char param[FT_OAI_PARAM_MAX]; /* "messages[2].content"; empty: null in the answer */
    const char *code;             /* static; NULL: by err.code and status */
    const char *type;             /* static; NULL: by status */
    int status;                   /* HTTP; 0: by err.code. 401, 403, 413, 429 need saying */
    bool final;                   /* another try is of no use, whatever the status */
    int retry_after_ms;           /* when another try may go better; 0: nothing is said */
};

void ft_oai_error_init(struct ft_oai_error *e); /* empty: no error */
/* Fills *e (NULL is accepted) and returns `code`. param and err_code may be NULL; err_code must be
 * static. */
int ft_oai_error_set(struct ft_oai_error *e, enum ft_code code, const char *err_code,
                     const char *param, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A struct ft_err of another module. A message that begins with a member's name ("messages: ") says
 * param. */
void ft_oai_error_from(struct ft_oai_error *e, const struct ft_err *err);

/* The same of net/url.h's on a query, whose messages begin with the parameter's name, whichever. */
void ft_oai_error_from_query(struct ft_oai_error *e, const struct ft_err *err);

int ft_oai_error_status(const struct ft_oai_error *e);
const char *ft_oai_error_type(const struct ft_oai_error *e); /* "invalid_request_error", ... */
const char *ft_oai_error_code(const struct ft_oai_error *e); /* NULL: null in the answer */

/* Defects of ours (status 500) are told without their message, which is for the log. */
const char *ft_oai_error_message(const struct ft_oai_error *e);

/* Appends {"error":{...}}, all four members always there. */
void ft_oai_error_write(const struct ft_oai_error *e, struct ft_buf *out);

/* Response headers that clients go by: retry-after (whole seconds, rounded up), retry-after-ms,
 * x-should-retry. value: at most 24 bytes. */
struct ft_oai_header {
    const char *name;
    char value[24];
};
#define FT_OAI_ERROR_HEADERS_MAX 3
int ft_oai_error_headers(const struct ft_oai_error *e, struct ft_oai_header *ret);

#endif
