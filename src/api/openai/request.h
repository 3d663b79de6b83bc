/* Requests of OpenAI's API: from a body's bytes to checked, typed fields. One parser for the
 * gateway and the worker, so that what one lets through the other understands.
 *
 * Every member is checked: wrong types, values out of range, unknown and unsupported members are
 * refused by name; a member that is null counts as absent. The JSON itself is bounded (json.h).
 * README.md lists what is refused and what is accepted without effect. */
#ifndef FT_API_OPENAI_REQUEST_H
#define FT_API_OPENAI_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/openai/error.h"
#include "base/slice.h"
#include "serve/replica.h"

#define FT_OAI_BODY_BYTES_MAX   ((size_t)16 << 20)
#define FT_OAI_MESSAGES_MAX     4096
#define FT_OAI_TOOLS_MAX        128
#define FT_OAI_CALLS_MAX        128  /* tool calls of one message */
#define FT_OAI_PARTS_MAX        1024 /* text parts of one message */
#define FT_OAI_CALLED_BYTES_MAX 256  /* name of a called function */
#define FT_OAI_STOPS_MAX        4    /* as OpenAI has it */
#define FT_OAI_STOPS_INSIDE_MAX 16   /* from the worker, and of other APIs */
#define FT_OAI_STOP_BYTES_MAX   256
#define FT_OAI_STOP_IDS_MAX     64
#define FT_OAI_BIAS_MAX         1024
#define FT_OAI_TOP_MAX          20                /* top_logprobs */
#define FT_OAI_INPUTS_MAX       2048              /* texts of an embeddings request */
#define FT_OAI_DOCUMENTS_MAX    1024              /* of a rerank request */
#define FT_OAI_TOKENS_MAX       ((size_t)1 << 20) /* of one prompt or text given as ids */
#define FT_OAI_MODEL_BYTES_MAX  256
#define FT_OAI_ID_BYTES_MAX     64
#define FT_OAI_SCHEMA_BYTES_MAX ((size_t)1 << 20)

enum ft_oai_mode {
    FT_OAI_GATEWAY, /* "feitian" is refused */
    FT_OAI_INSIDE,  /* the same, but another API's request put in this form: more stop strings */
    FT_OAI_WORKER,  /* "feitian" is understood */
};

/* Where a sampling member is not set, its value is the one that changes nothing, and `set` says
 * that the model's own default may take its place. */
enum ft_oai_set {
    FT_OAI_SET_TEMPERATURE = 1 << 0,
    FT_OAI_SET_TOP_P = 1 << 1,
    FT_OAI_SET_TOP_K = 1 << 2,
    FT_OAI_SET_MIN_P = 1 << 3,
    FT_OAI_SET_TYPICAL_P = 1 << 4,
    FT_OAI_SET_REPETITION_PENALTY = 1 << 5,
    FT_OAI_SET_PRESENCE_PENALTY = 1 << 6,
    FT_OAI_SET_FREQUENCY_PENALTY = 1 << 7,
    FT_OAI_SET_SEED = 1 << 8,
    FT_OAI_SET_MAX_TOKENS = 1 << 9,
};

struct ft_oai_bias {
    int32_t token;
    float bias; /* -100 .. 100 */
};

enum ft_oai_format {
    FT_OAI_FORMAT_TEXT,
    FT_OAI_FORMAT_JSON,   /* any object */
    FT_OAI_FORMAT_SCHEMA, /* format_text: the schema as JSON */
    FT_OAI_FORMAT_REGEX,  /* format_text: the expression; an extension */
    FT_OAI_FORMAT_GBNF,   /* format_text: the grammar; an extension */
};

enum ft_oai_choose { /* tool_choice */
                     FT_OAI_CHOOSE_AUTO,
                     FT_OAI_CHOOSE_NONE, /* also where there are no tools */
                     FT_OAI_CHOOSE_REQUIRED,
                     FT_OAI_CHOOSE_NAMED, /* tool_name; at least one call, of this tool alone */
};

enum ft_oai_think { /* "reasoning_effort", "chat_template_kwargs.enable_thinking" */
                    FT_OAI_THINK_DEFAULT, /* as the template does by itself */
                    FT_OAI_THINK_OFF,
                    FT_OAI_THINK_ON,
};

/* A text or token ids: of completions' prompt, or of embeddings' input. */
struct ft_oai_input {
    struct ft_slice text; /* where ids is NULL */
    const json_t *ids;    /* array of n_ids integers, 0 .. INT32_MAX */
    size_t n_ids;
};

/* "feitian", from the gateway. Strings point into root; empty where not given. */
struct ft_oai_inner {
    bool present;
    const char *id, *salt, *caller; /* never NULL */
    float weight;                   /* 1 */
    int priority;                   /* 0 */
    /* resume: per choice the ids generated so far; n_resume 0: a fresh request. */
    const json_t *resume;
    size_t n_resume;
};

/* Strings, slices and borrowed json_t live as long as root. */
struct ft_oai_request {
    enum ft_task_kind kind;
    json_t *root; /* owned; what serving sends to a worker; normalised (README.md) */
    const char *model;
    unsigned set; /* enum ft_oai_set */

    /* chat, text */
    bool stream, include_usage;
    int n;          /* choices per prompt: 1 */
    int best_of;    /* text: candidates per prompt, >= n; n unless asked for more */
    int max_tokens; /* per choice; 0: up to the context */
    int min_tokens;
    bool max_zero; /* text: max_tokens 0 was asked for: nothing is generated (with echo) */
    float temperature, top_p, min_p, typical_p;
    int top_k;
    float repetition_penalty, presence_penalty, frequency_penalty;
    uint64_t seed;
    struct ft_slice stop[FT_OAI_STOPS_INSIDE_MAX];
    int n_stop;
    int32_t stop_id[FT_OAI_STOP_IDS_MAX];
    int n_stop_id;
    bool ignore_eos;
    bool logprobs;
    int n_top; /* alternatives with each token */
    struct ft_oai_bias *bias;
    int n_bias;
    enum ft_oai_format format;
    struct ft_slice format_text; /* of a schema in mode WORKER alone */
    bool format_strict;

    /* chat */
    const json_t *messages; /* contents are strings, or null beside tool_calls */
    const json_t *tools;    /* array of {"type":"function","function":{...}}, or NULL */
    enum ft_oai_choose choose;
    const char *tool_name; /* NAMED */
    bool parallel_calls;   /* true; false: at most one call */
    enum ft_oai_think think;
    const char *effort;            /* reasoning_effort, or NULL */
    const json_t *template_kwargs; /* object or NULL */

    /* text, embeddings */
    struct ft_oai_input *input;
    size_t n_input;
    bool echo;          /* text */
    const char *suffix; /* always NULL: refused */
    bool base64;        /* embeddings: what the client asked for (see write.h) */
    int dimensions;     /* embeddings; 0: all */

    /* rerank */
    struct ft_slice query;
    struct ft_slice *document;
    size_t n_document;
    int top_n; /* 0: all */
    bool return_documents;

    const json_t *metadata; /* object of strings, or NULL */
    const char *user;       /* or NULL */
    struct ft_oai_inner inner;

    char *owned_format; /* format_text's memory */
};

/* The members of kind FT_TASK_COUNT are those of chat. body: NUL-terminated or not. On failure *e
 * says what (FT_EINVAL, FT_EUNSUPPORTED, FT_ELIMIT, FT_ENOMEM) and *ret is untouched. */
int ft_oai_parse(enum ft_task_kind kind, enum ft_oai_mode mode, const char *body, size_t n,
                 struct ft_oai_request *ret, struct ft_oai_error *e);
/* The same for a tree, whose reference it takes (also on failure). */
int ft_oai_parse_root(enum ft_task_kind kind, enum ft_oai_mode mode, json_t *root,
                      struct ft_oai_request *ret, struct ft_oai_error *e);
void ft_oai_request_fini(struct ft_oai_request *q); /* a zeroed one is accepted */

#endif
