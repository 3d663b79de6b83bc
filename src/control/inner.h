/* What the files of control share.
 *
 * control.c has the process: HTTP in front, one thread that works on the store (the writer), one
 * for what takes long and needs no store. call.c takes a request through the table of routes: who
 * may, is it well-formed (by the document, openapi.json), then its handler within one transaction.
 * A handler may run more than once (state.h), so it leaves everything in the call, which is emptied
 * before each run. */
#ifndef FT_CONTROL_INNER_H
#define FT_CONTROL_INNER_H

#include <jansson.h>

#include "api/openai/error.h"
#include "control/control.h"

#define CTL_ID_MAX       64                /* bytes of an id that we draw, with the NUL */
#define CTL_BODY_MAX     ((size_t)8 << 20) /* of a request */
#define CTL_ANSWER_MAX   ((size_t)64 << 20)
#define CTL_LIST_DEFAULT 100
#define CTL_SECRET_BYTES 50 /* "sk-ft-" and 43 digits of base 62, with the NUL */

enum ft_ctl_role { CTL_NOBODY, CTL_VIEWER, CTL_DEVELOPER, CTL_ADMIN, CTL_OPERATOR };
extern const char *const ft_ctl_role_name[];
enum ft_ctl_role ft_ctl_role_of(const char *name); /* CTL_NOBODY for what is none */

struct ft_ctl {
    const struct ft_control_options *opt;
    struct ft_state *state;
    json_t *doc;              /* openapi.json */
    char home[3072];          /* real path */
    struct ft_inside *inside; /* jobs' way to the gateway */
    struct ft_tune *tune;     /* NULL: there is nothing to run trainings with */
    struct ft_batches *batches;
    struct ft_watch *watch;
    struct ft_leftovers *leftovers; /* of removed projects */
    /* the store's trouble as it was last said in the log, and when; "" while there is none */
    char trouble[FT_ERR_MSG_MAX];
    int64_t trouble_said_s;
};

struct ft_ctl_call;
typedef int ft_ctl_handler(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err);

struct ft_ctl_route {
    const char *method;
    const char *path; /* as in the document; "{id}" is the rest with any '/', or what is
                       * before the words behind it */
    enum ft_ctl_role least;
    bool writes;
    ft_ctl_handler *run;
    void (*before)(
        struct ft_ctl_call *c); /* outside of the store, on the slow thread; may refuse */
};

struct ft_ctl_call {
    struct ft_ctl *ctl;
    /* what came */
    const char *method, *path, *query;
    const char *text; /* the body */
    size_t n_text;
    char key[CTL_ID_MAX + 1], project[CTL_ID_MAX + 1], request_id[129];
    char session[CTL_ID_MAX + 1]; /* that stands for the key; "" */
    char address[64], agent[200]; /* of who signs in, printable ASCII */
    enum ft_ctl_role role;
    /* once it is well-formed */
    const struct ft_ctl_route *route;
    const char *id; /* of the path */
    char id_room[264];
    json_t *body;   /* NULL: none */
    json_t *params; /* of the query, in their types */
    json_t *found;  /* what `before` found out */
    int64_t now_s;
    /* what comes of it */
    bool refused;
    struct ft_oai_error error;
    int status;
    json_t *answer;
    struct ft_buf raw;             /* instead of answer, when not empty */
    const char *raw_type;          /* */
    int64_t seq;                   /* X-Feitian-Seq */
    char cookie[CTL_SECRET_BYTES]; /* X-Feitian-Cookie: a session's secret; "": none */
    int64_t wait_after;            /* the feed had nothing beyond it; -1: nothing to wait for */
    int64_t wait_s;
    int n_events;
    void (*after)(struct ft_ctl_call *c); /* once it is committed; NULL: nothing */
};

/* ---- call.c ---- */

const struct ft_ctl_route *ft_ctl_routes(int *ret_n); /* routes.c: the table */

/* Finds the route and checks the request against it; false: refused. */
bool ft_ctl_call_begin(struct ft_ctl_call *c);
/* Runs it on the store. */
void ft_ctl_call_run(struct ft_ctl_call *c);
void ft_ctl_call_fini(struct ft_ctl_call *c);

/* For handlers: fills the call's error and returns a negative code. param may be NULL; code is
 * static. */
int ft_ctl_refuse(struct ft_ctl_call *c, int status, const char *code, const char *param,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* 404 for an entity, in the same words whether it is not there or another project's. */
int ft_ctl_missing(struct ft_ctl_call *c, const char *kind, const char *id);
/* What a handler answers: takes the reference. */
int ft_ctl_answer(struct ft_ctl_call *c, int status, json_t *answer);

/* Members of the body and the query: */
const char *ft_ctl_text(const json_t *o, const char *name); /* NULL if absent or null */
int64_t ft_ctl_int(const json_t *o, const char *name, int64_t fallback);
bool ft_ctl_has(const json_t *o, const char *name); /* present, null too */
/* JSON merge patch (RFC 7396): a new object; {} for a new thing drops its nulls. */
json_t *ft_ctl_merge(const json_t *target, const json_t *patch);

/* The project that a list is to show: *ret NULL for all of them (operators alone). */
int ft_ctl_project_filter(struct ft_ctl_call *c, const char **ret);
/* The project that a new thing belongs to: the body's, else the caller's; one that is there. */
int ft_ctl_project_for(struct ft_ctl_call *c, struct ft_state_tx *tx, const char **ret,
                       struct ft_err *err);
bool ft_ctl_sees(const struct ft_ctl_call *c, const char *project);

/* ---- schema.c: JSON Schema as openapi.json uses it ---- */

/* FT_EINVAL with *e naming the member. name: of the value itself, "" for a body. */
int ft_ctl_schema_check(const json_t *doc, const json_t *schema, const json_t *value,
                        const char *name, struct ft_oai_error *e);
/* Parameters of a query by the operation's, typed; unknown ones are refused. */
int ft_ctl_schema_query(const json_t *doc, const json_t *operation, const char *query, json_t **ret,
                        struct ft_oai_error *e);
/* The operation of a route in the document; NULL: not documented (internal, OpenAI's own). */
const json_t *ft_ctl_doc_operation(const json_t *doc, const struct ft_ctl_route *route);
/* The document's text, embedded. */
extern const char ft_ctl_openapi[], ft_ctl_openapi_end[];

/* metrics.c: what control adds to the gateway's /metrics; "openmetrics" as the query: in that form.
 */
ft_ctl_handler ft_ctl_metrics;

/* ---- store.c: entities and events ---- */

struct ft_ctl_entity {
    char id[264];
    json_t *body; /* a new reference */
    int64_t seq;
};
void ft_ctl_entity_fini(struct ft_ctl_entity *e);

int ft_ctl_store_migrate(struct ft_state *s, struct ft_err *err);
/* 1: found; 0: not there; negative. */
int ft_ctl_get(struct ft_state_tx *tx, const char *kind, const char *id, struct ft_ctl_entity *ret,
               struct ft_err *err);
/* 1: there was one, which is deleted. */
int ft_ctl_was(struct ft_state_tx *tx, const char *kind, const char *id, struct ft_err *err);
/* Writes it and its event. before: NULL for a new one. */
int ft_ctl_put(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, const char *id,
               const json_t *before, json_t *body, struct ft_err *err);
/* A row that is no event, or one of which another event is to be told (before, after: NULL for what
 * was not, or is not any more). */
int ft_ctl_put_quiet(struct ft_state_tx *tx, const char *kind, const char *id, const json_t *body,
                     struct ft_err *err);
int ft_ctl_note(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, const char *id,
                const json_t *before, const json_t *after, struct ft_err *err);
int ft_ctl_drop(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, const char *id,
                const json_t *before, struct ft_err *err);
/* fn for every entity of a kind after `after`, in the order of ids; returns >0 from fn to stop.
 * project: NULL for all; shared: also those of no project. */
struct ft_ctl_scan {
    const char *kind, *project, *after;
    bool shared;
    int limit; /* 0: all */
};
typedef int ft_ctl_scan_fn(void *ctx, const char *id, json_t *body);
int ft_ctl_scan(struct ft_state_tx *tx, const struct ft_ctl_scan *scan, ft_ctl_scan_fn *fn,
                void *ctx, struct ft_err *err);
/* Answers GET of a list by limit and after, each entity through view (a new object). */
typedef json_t *ft_ctl_view_fn(const char *id, const json_t *body);
int ft_ctl_list(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind,
                const char *project, bool shared, ft_ctl_view_fn *view,
                bool (*keep)(void *ctx, const json_t *body), void *ctx, struct ft_err *err);
/* {id, object, deleted}. */
json_t *ft_ctl_deleted(const char *kind, const char *id);
/* An entity by the path's id, if the caller sees its project: else 404 in *ret's place. */
int ft_ctl_fetch(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind,
                 struct ft_ctl_entity *ret, struct ft_err *err);
/* {"object":"list",...} around data, whose entries have ids; takes the reference. */
json_t *ft_ctl_page(json_t *data, bool has_more);
/* A copy for the log and for people: no hashes, no keys of other servers. */
json_t *ft_ctl_public(const char *kind, const json_t *body);
ft_ctl_view_fn ft_ctl_view_project, ft_ctl_view_member, ft_ctl_view_key, ft_ctl_view_price,
    ft_ctl_view_model, ft_ctl_view_endpoint;
int ft_ctl_setting(struct ft_state_tx *tx, const char *name, char *ret, size_t n,
                   struct ft_err *err);

/* ---- names and secrets (secret.c) ---- */

/* prefix and 20 digits of base 62. */
int ft_ctl_id_new(const char *prefix, char ret[CTL_ID_MAX], struct ft_err *err);
int ft_ctl_secret_new(char ret[CTL_SECRET_BYTES], struct ft_err *err);
void ft_ctl_secret_hash(const char *secret, char ret_hex[65]);
/* The body of a key row; `secret` only for its hash and prefix. */
json_t *ft_ctl_key_body(const char *project, const char *name, const char *role, const char *secret,
                        int64_t now_s);

/* An operator's key that may do everything and does not expire: one is always left (keys.c). */
bool ft_ctl_key_is_lasting_operator(const json_t *body);

/* ---- bootstrap.c ---- */

/* What an empty store begins with; nothing on another. Writes HOME/credentials.json and
 * HOME/state.id. */
int ft_ctl_bootstrap(struct ft_ctl *ctl, struct ft_err *err);

#include "control/handlers.h"

#endif
