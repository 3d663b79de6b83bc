/* A usage record: what one request used and cost, and its form as a line of JSON, in which it lies
 * in the journal and goes to the store. */
#ifndef FT_LEDGER_RECORD_H
#define FT_LEDGER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/phases.h"

#define FT_RECORD_ID_MAX     64 /* bytes of an id, without NUL */
#define FT_RECORD_MODEL_MAX  96
#define FT_RECORD_ROUTE_MAX  31
#define FT_RECORD_CODE_MAX   47
#define FT_RECORD_TEXT_MAX   191 /* of what an error says; longer ones are cut, also in reading */
#define FT_RECORD_TARGET_MAX 95  /* of a version's name; the same */
#define FT_RECORD_TRACE_MAX  32
#define FT_RECORD_LINE_MAX   4096 /* bytes of a line, with its newline */

enum ft_record_status {
    FT_RECORD_OK,
    FT_RECORD_CANCELLED, /* the client left */
    FT_RECORD_ERROR,     /* ours, or a worker's; also in the middle of a stream */
    FT_RECORD_REFUSED,   /* never began: 4xx */
    FT_RECORD_LOST       /* its gateway died; what it had delivered is counted */
};
const char *ft_record_status_name(enum ft_record_status s); /* "ok", "cancelled", ... */

/* What its client was told, short: no text of prompts. Empty: nothing went wrong. */
struct ft_record_error {
    char code[FT_RECORD_CODE_MAX + 1], text[FT_RECORD_TEXT_MAX + 1];
};

struct ft_record {
    char id[FT_RECORD_ID_MAX + 1]; /* unique for ever: the store takes each once */
    char project[FT_RECORD_ID_MAX + 1], key[FT_RECORD_ID_MAX + 1]; /* "": unknown key */
    char model[FT_RECORD_MODEL_MAX + 1];                           /* as the client named it */
    char route[FT_RECORD_ROUTE_MAX + 1];                           /* "chat.completions", ... */
    enum ft_record_status status;
    int http; /* status of the answer; 0: none was sent */
    bool stream;
    int64_t requests;                     /* 1; more where refused ones were added up */
    int64_t start_us, end_us;             /* unix time */
    int64_t first_us;                     /* from start to the first token; 0: none came */
    int64_t prompt_tokens, cached_tokens; /* cached: of the prompt's */
    int64_t completion_tokens, reasoning_tokens;
    int64_t cost_nanos; /* 1e-9 of the currency */
    int64_t cpu_us;     /* processor time, all threads; 0: not measured */
    int64_t energy_uj;  /* microjoules */
    int64_t bytes_in,
        bytes_out; /* bodies of request and answer, where bytes are what it is about */
    bool energy_estimated;
    bool page; /* a page of the console asked for it, perhaps again and again, and got it */
    char
        target[FT_RECORD_TARGET_MAX + 1]; /* which of its endpoint's versions it was given to; "" */
    char client_id[FT_RECORD_ID_MAX + 1]; /* the client's own X-Request-Id; "" */
    char trace_id[FT_RECORD_TRACE_MAX + 1]; /* of the trace that it is in, hex; "" */
    struct ft_record_error error;
    struct ft_phases phases; /* the sums; moments are not in the record's form */
};

/* The id of a line of a batch is the batch's, a dot and the line's number; no other request's is
 * like that. The bytes of the batch's id within it; 0: it is none of a batch. */
size_t ft_record_batch(const char *id);

/* Appends the record as one line with its newline. */
int ft_record_write(const struct ft_record *r, struct ft_buf *out);
/* One line, with or without its newline. Unknown members are ignored; FT_EINVAL names the member:
 * missing, of the wrong type, negative, too long. What was added later may be missing: bytes,
 * phases, the error, other ids. */
int ft_record_parse(const char *line, size_t n, struct ft_record *ret, struct ft_err *err);

/* What was added later (ids, error, phases) alone: an object as text, or nothing where there is
 * none of it. Parsing no text leaves *r as it is. */
int ft_record_more_write(const struct ft_record *r, struct ft_buf *out);
int ft_record_more_parse(const char *text, size_t n, struct ft_record *r, struct ft_err *err);

#endif
