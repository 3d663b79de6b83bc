/* Shared by the files of api/hub. */
#ifndef FT_API_HUB_IMPL_H
#define FT_API_HUB_IMPL_H

#include <pthread.h>
#include <semaphore.h>

#include "api/hub/hub.h"
#include "api/hub/lines.h"

#define HUB_PARTS_MAX   (FT_REPO_DEPTH_MAX + 10) /* of a path */
#define HUB_FIELDS_MAX  16
#define HUB_PENDING_MAX 256 /* beyond, a revision is looked at when somebody asks for it */

struct ft_hub {
    struct ft_hub_config c;
    struct ft_repos *repos;
    sem_t commits;
    pthread_mutex_t lock;                    /* of what was found out about repositories */
    json_t *known;                           /* by uid; info.c */
    struct ft_repo pending[HUB_PENDING_MAX]; /* models that have a new revision */
    int n_pending;
};

/* One request. */
struct hub_call {
    struct ft_hub *hub;
    struct ft_lane *lane;
    struct ft_http_exchange *x;
    const struct ft_hub_who *who;
    const char *part[HUB_PARTS_MAX]; /* of the path, decoded */
    int n_parts;
    int status; /* that was sent */
    enum ft_repo_kind kind;
    struct ft_repo repo; /* once found */
    char commit[FT_REPO_OID_BYTES];
    const char *rev;  /* as it was asked for */
    const char *path; /* behind the revision; "" */
    bool scope;       /* ModelScope's client asks: errors as it reads them */
    bool pointers;    /* large files as git has them: the pointer's text */
    char author[65];
    /* headers that the answer gets */
    struct ft_http_field field[HUB_FIELDS_MAX];
    int n_fields;
};

/* ---- answers (hub.c); all return the status ---- */

void hub_field(struct hub_call *c, const char *name, const char *value); /* copied */
int hub_json(struct hub_call *c, int status, json_t *body);              /* takes the reference */
int hub_fail(struct hub_call *c, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* By the kind of the error. */
int hub_fail_err(struct hub_call *c, const struct ft_err *err);
/* "http://host", as the client reached us. */
const char *hub_base(struct hub_call *c);
/* Appends "Link: <the same with cursor>; rel=next". */
void hub_next(struct hub_call *c, const char *cursor);

/* ---- the request ---- */

/* The whole body as JSON (FT_HUB_JSON_MAX), an object; 0, or a status that was sent. */
int hub_body(struct hub_call *c, json_t **ret);
int hub_body_text(struct hub_call *c, struct ft_buf *ret);
/* A member of it. What is not there, or null, leaves *ret as it is; of another type: 400 that names
 * it. 0, or the status that was sent. */
int hub_text(struct hub_call *c, const json_t *body, const char *name, const char **ret);
int hub_truth(struct hub_call *c, const json_t *body, const char *name, bool *ret);
int hub_list_of(struct hub_call *c, const json_t *body, const char *name, const json_t **ret);
/* A parameter of the query; NULL if it is not there. */
const char *hub_param(struct hub_call *c, const char *name);
bool hub_flag(struct hub_call *c, const char *name);
/* Is it among "expand" and "expand[]"? */
bool hub_expands(struct hub_call *c, const char *what);
/* How many entries a page has. 0, or the status that was sent. */
int hub_limit(struct hub_call *c, int usual, int *ret);

/* The repository of parts at and at + 1; 0, or a status that was sent. Private ones of others are
 * not there. */
int hub_repo(struct hub_call *c, enum ft_repo_kind kind, int at, bool write);
/* And the revision that part `at` names, the path behind it. */
int hub_revision(struct hub_call *c, int at);
bool hub_sees(const struct ft_hub_who *who, const struct ft_repo *repo);
bool hub_changes(const struct ft_hub_who *who, const char *org);
/* 403: which right of the key's is missing to change what belongs to org. */
int hub_may_not(struct hub_call *c, const char *org);
/* The parts from `at` on, with '/' between them. */
const char *hub_rest(struct hub_call *c, int at);
/* "/ORG/NAME" or "/datasets/ORG/NAME". */
const char *hub_url_of(struct hub_call *c, const struct ft_repo *repo);

/* ---- handlers ---- */

typedef int hub_handler(struct hub_call *c);

/* manage.c */
hub_handler hub_whoami, hub_create, hub_delete, hub_move, hub_settings, hub_validate_yaml;
/* info.c */
hub_handler hub_list, hub_info;
/* main may be another commit now: what its files say is found out, for lists. */
void hub_look_later(struct ft_hub *h, const struct ft_repo *repo);
void hub_forget(struct ft_hub *h, const char *uid); /* what was found out about it */
/* browse.c */
hub_handler hub_tree, hub_paths_info, hub_refs, hub_commits, hub_branch, hub_tag;
/* upload.c */
hub_handler hub_preupload, hub_commit, hub_squash;
/* "files" and "license" of a repository's making: their content is kept, *l has what is to be
 * committed. 0, or a status that was sent. */
int hub_first_files(struct hub_call *c, const json_t *body, struct ft_hub_lines *l);
int hub_first_commit(struct hub_call *c, const struct ft_hub_lines *l, struct ft_err *err);
/* lfs.c */
hub_handler hub_lfs_batch, hub_lfs_verify, hub_lfs_transfer;
/* fetch.c */
hub_handler hub_resolve;
/* scope.c */
hub_handler hub_scope;
/* What ModelScope's client reads of an error. */
void hub_scope_error(const struct hub_call *c, int status, const char *msg, json_t *body);
void hub_scope_master(struct hub_call *c, int at); /* the revision of part `at`: "master" */

#endif
