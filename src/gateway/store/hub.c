/* The model hub: api/hub on lanes, in the name of the caller's key; its files made local, for
 * workers and for the process that looks at them.
 *
 * Nothing here opens a model: what files say is read by `feitian inspect`, which is confined. It
 * sees copies of the files' heads, of the same size (the rest is a hole): what they say stands at
 * the front. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/hub/hub.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "gateway/inner.h"
#include "hub/pull/pick.h"
#include "sched/ask.h"

#define SAVE_TICKS    60    /* seconds between two savings of counts */
#define COLLECT_TICKS 21600 /* and between two collections; the first after COLLECT_FIRST */
#define COLLECT_FIRST 600
#define HEAD_BYTES    ((int64_t)64 << 20) /* of a file, for who looks at it, */
#define HEADS_BYTES   ((int64_t)1 << 30)  /* and of all of a model together */
#define INSPECT_MS    60000
#define INSPECT_BYTES ((size_t)8 << 20)
#define INSPECTS_MAX  2 /* at a time */
#define CHUNK_BYTES   ((size_t)1 << 20)
#define BODY_MAX      65536

struct gw_hub {
    struct ft_repos *repos;
    struct ft_hub *hub;
    sem_t inspects;
    pthread_mutex_t linking; /* one revision at a time is made local */
    int64_t ticks;
};

/* The request of this lane. */
static __thread struct gw_request *current;

/* ---- requests ---- */

static struct ft_hub_who who_of(const struct gw_request *r)
{
    enum ft_tenant_why why;
    struct ft_err err;
    struct ft_hub_who w = {.key = "", .name = "", .project = r->project, .request_id = r->id};
    if (r->ident == NULL) /* the cloud itself, for a project */
        w.may_write = r->inner;
    if (r->ident == NULL)
        return w;
    w.key = r->ident->key;
    w.name = r->ident->name;
    w.may_write = ft_tenant_may(r->ident, "hub.write", NULL, &why, &err) == 0;
    w.everywhere = ft_tenant_ident_role(r->ident) == FT_ROLE_OPERATOR;
    return w;
}

static void serve(struct gw_request *r)
{
    struct ft_hub_who w = who_of(r);
    current = r;
    atomic_store(&r->status, 500); /* while nothing is known */
    atomic_store(&r->status, ft_hub_serve(r->gw->hub->hub, r->lane, &w));
    current = NULL;
}

static void serve_content(struct gw_request *r)
{
    r->content = true;
    serve(r);
}

/* Bytes go to a URL that was signed for a key: it must still be one. */
static void serve_signed(struct gw_request *r)
{
    char key[FT_REPO_ORG_MAX + 1];
    enum ft_tenant_why why = FT_WHY_OK;
    struct ft_err err = {0};
    struct ft_oai_error e;
    int ours = ft_hub_signed_for(r->gw->hub->hub, r->x, key);
    if (ours == 1 && key[0] == '\0' && r->inner && r->project[0] != '\0') {
        serve(r); /* of the cloud itself, for a project */
        return;
    }
    if (ours == 1 &&
        ft_tenant_find(r->gw->tenant, key, (int64_t)time(NULL), &r->ident, &why, &err) == 0) {
        const char *project = r->ident->project;
        project = ft_arena_strndup(&r->x->arena, project, strlen(project));
        r->project = project != NULL ? project : "";
        serve(r);
        return;
    }
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_EINVAL, NULL, NULL, "this URL is not one of this hub, or is over");
    e.status = 403;
    gw_fail(r, &e);
}

static int may_store(void *ctx, const char *project, int64_t bytes, bool later, struct ft_err *err)
{
    struct gw *g = ctx;
    struct ft_quota_hold none = {0};
    if (current == NULL)
        return 0;
    if (!later)
        return gw_keep(current, project, bytes, err);
    int rc = ft_quota_take(g->quota, project, ft_tenant_storage_max(g->tenant, project), bytes,
                           &none, err);
    ft_quota_give(g->quota, &none, false);
    return rc;
}

int gw_hub_kept(struct gw *g, const char *project, int64_t *ret_bytes, struct ft_err *err)
{
    return ft_repo_usage(g->hub->repos, project, ret_bytes, err);
}

struct naming {
    struct ft_repo *list;
    int n, max;
};

static int name_repo(void *ctx, const struct ft_repo *repo)
{
    struct naming *o = ctx;
    if (o->n == o->max)
        return 1;
    o->list[o->n++] = *repo;
    return 0;
}

int gw_hub_forget(struct gw *g, const char *project, int *left, struct ft_err *err)
{
    static const enum ft_repo_kind kinds[] = {FT_REPO_MODEL, FT_REPO_DATASET};
    struct naming o = {.max = *left};
    int rc = 0;
    o.list = calloc((size_t)o.max + 1, sizeof *o.list);
    if (o.list == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    for (size_t i = 0; rc == 0 && i < FT_COUNT(kinds); i++)
        rc = ft_repo_list(g->hub->repos, kinds[i], project, name_repo, &o, err);
    for (int i = 0; rc >= 0 && i < o.n; i++) {
        struct ft_err why = {0};
        if (*left <= 0) {
            rc = 1;
            break;
        }
        int one = ft_repo_delete(g->hub->repos, &o.list[i], left, &why);
        if (one != 0 && one != FT_ENOTFOUND) {
            rc = one;
            *err = why;
        }
    }
    free(o.list);
    return rc;
}

static bool has_project(void *ctx, const char *project)
{
    return ft_tenant_has_project(((struct gw *)ctx)->tenant, project);
}

/* ---- a model's files ---- */

static int pick(const struct ft_repo_tree *t, const char *hint, bool adapter,
                struct ft_pull_pick *ret, struct ft_err *err)
{
    const char **paths = calloc((size_t)t->n_files + 1, sizeof *paths);
    if (paths == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    for (int i = 0; i < t->n_files; i++)
        paths[i] = t->file[i].path;
    int rc = ft_pull_pick(paths, t->n_files, hint, adapter, ret, err);
    free(paths);
    return rc;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The front of a file, `most` bytes of it, at its whole length. */
static int write_head(struct ft_repos *repos, const struct ft_repo_file *f, int64_t most,
                      const char *to, struct ft_err *err)
{
    struct ft_blob_reader *in = NULL;
    char *data = malloc(CHUNK_BYTES);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = fd < 0 || data == NULL ? ft_err_sys(err, "make %s", to) : 0;
    if (rc == 0)
        rc = ft_repo_content_open(repos, f->sha256, &in, err);
    int64_t all = FT_MIN(f->size, most);
    for (int64_t at = 0; rc == 0 && at < all;) {
        size_t n = (size_t)FT_MIN(all - at, (int64_t)CHUNK_BYTES);
        rc = ft_blob_read(in, at, data, n, err);
        if (rc == 0)
            rc = ft_file_write(fd, data, n, to, NULL, err);
        at += (int64_t)n;
    }
    if (rc == 0 && ftruncate(fd, f->size) != 0)
        rc = ft_err_sys(err, "set the length of %s", to);
    ft_blob_close_reader(in);
    free(data);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int ask_inspect(struct gw *g, const char *path, json_t **ret, struct ft_err *err)
{
    char *const argv[] = {
        (char *)g->opt->program, "inspect", "--json", "--confined", (char *)path, NULL};
    struct ft_ask ask = {.argv = argv, .timeout_ms = INSPECT_MS};
    struct ft_ask_answer a;
    struct ft_buf out;
    ft_buf_init(&out, INSPECT_BYTES);
    int rc = ft_ask(&ask, &out, &a, err);
    if (rc == 0 && a.whole && a.status == 0)
        *ret = json_loadb(out.data != NULL ? out.data : "", out.len, 0, NULL);
    else if (rc == 0)
        ft_log(FT_LOG_INFO, "gateway", "a revision of the hub is no model: %.200s", a.says);
    ft_buf_fini(&out);
    return rc;
}

static int look(struct gw *g, const struct ft_repo_tree *t, const struct ft_pull_pick *p,
                json_t **ret, struct ft_err *err)
{
    char dir[4096], path[8192], model[8192];
    int rc = 0;
    snprintf(dir, sizeof dir, "%s/run/hub-XXXXXX", g->opt->home);
    if (mkdtemp(dir) == NULL)
        return ft_err_sys(err, "make %s", dir);
    for (int i = 0; rc == 0 && i < p->n; i++) {
        const struct ft_repo_file *f = &t->file[p->index[i]];
        snprintf(path, sizeof path, "%s/%s", dir, base_of(f->path));
        rc = write_head(g->hub->repos, f, FT_MIN(HEAD_BYTES, HEADS_BYTES / p->n), path, err);
        if (i == 0)
            snprintf(model, sizeof model, "%s", p->folder ? dir : path);
    }
    if (rc == 0)
        rc = ask_inspect(g, model, ret, err);
    ft_folder_remove(dir);
    return rc;
}

/* Of what a hub shows: few words, no layers. */
static json_t *short_of(json_t *said)
{
    static const char *const kept[] = {"source", "architecture",  "parameters", "bytes",
                                       "shape",  "chat_template", "tensors",    "types"};
    json_t *o = json_object();
    for (size_t i = 0; i < FT_COUNT(kept); i++) {
        json_t *v = json_object_get(said, kept[i]);
        if (v != NULL && !(json_is_array(v) && json_array_size(v) > 64))
            json_object_set(o, kept[i], v);
    }
    json_decref(said);
    return o;
}

static int inspect(void *ctx, const struct ft_repo *repo, const char *commit, json_t **ret,
                   struct ft_err *err)
{
    struct gw *g = ctx;
    const struct ft_repo_tree *t = NULL;
    struct ft_pull_pick *p = calloc(1, sizeof *p);
    json_t *said = NULL;
    int rc = p != NULL ? ft_repo_tree(g->hub->repos, repo, commit, &t, err)
                       : ft_err_set(err, FT_ENOMEM, "out of memory");
    if (rc == 0)
        rc = pick(t, "", false, p, err);
    if (rc == 0) {
        while (sem_wait(&g->hub->inspects) != 0)
            ;
        rc = look(g, t, p, &said, err);
        sem_post(&g->hub->inspects);
    } else if (rc == FT_EUNSUPPORTED || rc == FT_EINVAL || rc == FT_ENOTFOUND) {
        rc = 0; /* there is nothing that is one model */
    }
    if (rc == 0 && said != NULL)
        *ret = short_of(said);
    ft_repo_tree_unref(g->hub->repos, t);
    free(p);
    return rc;
}

/* ---- made local, for workers ---- */

/* HOME/models/hub/ORG/NAME, made as far as it is not there. */
static int make_folders(struct gw *g, const struct ft_repo *repo, char *ret, size_t n,
                        struct ft_err *err)
{
    const char *const parts[] = {"models", "hub", repo->org, repo->name};
    int at = snprintf(ret, n, "%s", g->opt->home);
    for (size_t i = 0; i < FT_COUNT(parts); i++) {
        at += snprintf(ret + at, n - (size_t)at, "/%s", parts[i]);
        if (at >= (int)n)
            return ft_err_set(err, FT_EINVAL, "the path is too long");
        if (mkdir(ret, 0700) != 0 && errno != EEXIST)
            return ft_err_sys(err, "make %s", ret);
    }
    return 0;
}

/* A folder's name by the revision and the files that were chosen of it. */
static void folder_name(const struct ft_repo_tree *t, const struct ft_pull_pick *p, char ret[40])
{
    uint64_t sum = 0;
    for (int i = 0; i < p->n; i++) {
        unsigned long long v = 0;
        sscanf(t->file[p->index[i]].sha256, "%16llx", &v);
        sum = sum * 31 + v;
    }
    snprintf(ret, 40, "%.12s-%08llx", t->id, (unsigned long long)(sum & 0xffffffff));
}

/* Is all of it there? A file of several may have been removed since, with a model. */
static bool is_whole(const struct ft_repo_tree *t, const struct ft_pull_pick *p, const char *dir)
{
    char path[FT_REPO_PATH_MAX + 8192];
    struct stat st;
    for (int i = 0; i < p->n; i++) {
        const struct ft_repo_file *f = &t->file[p->index[i]];
        snprintf(path, sizeof path, "%s/%s", dir, base_of(f->path));
        if (stat(path, &st) != 0 || st.st_size != f->size)
            return false;
    }
    return true;
}

/* *ret_made: it was not there before. */
static int link_all(struct gw *g, const struct ft_repo_tree *t, const struct ft_pull_pick *p,
                    const char *dir, bool *ret_made, struct ft_err *err)
{
    struct ft_folder *f = NULL;
    char path[8192];
    pthread_mutex_lock(&g->hub->linking);
    int rc = ft_folder_open(dir, false, &f, err);
    if (rc == FT_EEXIST && is_whole(t, p, dir)) {
        pthread_mutex_unlock(&g->hub->linking);
        return 0;
    }
    if (rc == FT_EEXIST) {
        ft_folder_remove(dir);
        rc = ft_folder_open(dir, false, &f, err);
    }
    for (int i = 0; rc == 0 && i < p->n; i++) {
        const struct ft_repo_file *file = &t->file[p->index[i]];
        snprintf(path, sizeof path, "%s/%s", ft_folder_temp(f), base_of(file->path));
        rc = ft_repo_content_link(g->hub->repos, file->sha256, path, err);
    }
    if (rc == 0)
        rc = ft_folder_commit(f, err);
    *ret_made = rc == 0;
    ft_folder_close(f);
    pthread_mutex_unlock(&g->hub->linking);
    return rc;
}

struct local {
    struct ft_repo repo;
    char commit[FT_REPO_OID_BYTES], folder[4096 + 64], path[8192];
    bool made; /* the folder, just now */
};

static int make_local(struct gw *g, const struct ft_hub_who *w, const char *what, const char *hint,
                      bool adapter, struct local *ret, struct ft_err *err)
{
    const struct ft_repo_tree *t = NULL;
    struct ft_pull_pick *p = calloc(1, sizeof *p);
    char dir[4096], name[40];
    int rc = p != NULL ? ft_hub_find(g->hub->hub, w, what, &ret->repo, ret->commit, err)
                       : ft_err_set(err, FT_ENOMEM, "out of memory");
    if (rc == 0)
        rc = ft_repo_tree(g->hub->repos, &ret->repo, ret->commit, &t, err);
    if (rc == 0)
        rc = pick(t, hint, adapter, p, err);
    if (rc == 0)
        rc = make_folders(g, &ret->repo, dir, sizeof dir, err);
    if (rc == 0) {
        folder_name(t, p, name);
        snprintf(ret->folder, sizeof ret->folder, "%s/%s", dir, name);
        snprintf(ret->path, sizeof ret->path, "%s", ret->folder);
        ret->made = false;
        rc = link_all(g, t, p, ret->path, &ret->made, err);
    }
    if (rc == 0 && !p->folder) {
        size_t at = strlen(ret->path);
        snprintf(ret->path + at, sizeof ret->path - at, "/%s", base_of(t->file[p->index[0]].path));
    }
    ft_repo_tree_unref(g->hub->repos, t);
    free(p);
    return rc;
}

static void answer_local(struct gw_request *r, const json_t *body)
{
    struct ft_hub_who w = who_of(r);
    struct ft_err err = {0};
    struct ft_oai_error e;
    struct local l;
    const char *what = json_string_value(json_object_get(body, "model"));
    const char *hint = json_string_value(json_object_get(body, "file"));
    int rc = what != NULL ? make_local(r->gw, &w, what, hint != NULL ? hint : "",
                                       json_is_true(json_object_get(body, "adapter")), &l, &err)
                          : ft_err_set(&err, FT_EINVAL, "model: is missing");
    if (rc != 0) {
        ft_oai_error_from(&e, &err);
        e.status = rc == FT_ENOTFOUND ? 404 : rc == FT_EINVAL || rc == FT_EUNSUPPORTED ? 400 : 503;
        gw_fail(r, &e);
        return;
    }
    json_t *o = json_pack("{s:s+++,s:s,s:s,s:b,s:s?}", "repository", l.repo.org, "/", l.repo.name,
                          "", "commit", l.commit, "path", l.path, "private", l.repo.is_private,
                          "made", l.made ? l.folder : NULL);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    gw_respond(r, text != NULL ? 200 : 500, "application/json", text != NULL ? text : "",
               text != NULL ? strlen(text) : 0);
    free(text);
    json_decref(o);
}

/* POST /internal/hub/local {model: "ORG/NAME@REV", file?, adapter?}: for control. */
static void serve_local(struct gw_request *r)
{
    struct ft_err err = {0};
    struct ft_oai_error e;
    char text[BODY_MAX];
    size_t n = 0;
    int64_t got;
    while (n < sizeof text && (got = ft_lane_read(r->lane, text + n, sizeof text - n, &err)) > 0)
        n += (size_t)got;
    json_t *body = json_loadb(text, n, 0, NULL);
    if (json_is_object(body)) {
        answer_local(r, body);
    } else {
        ft_oai_error_init(&e);
        ft_oai_error_set(&e, FT_EINVAL, NULL, NULL, "the body is no JSON object");
        gw_fail(r, &e);
    }
    json_decref(body);
}

/* ---- routes ---- */

#define HUB_BY(path, handler)                                                                      \
    {                                                                                              \
        "*", path, "hub.read", "hub", GW_HUB, handler, 0, GW_LANE | GW_STORE | GW_PROJECT, 0       \
    }
#define HUB(path)     HUB_BY(path, serve)
#define CONTENT(path) HUB_BY(path, serve_content)

static const struct gw_route rows[] = {
    {"*", "/api/hub/lfs/*", NULL, "hub", GW_HUB, serve_signed, 0, GW_LANE | GW_STORE | GW_PROJECT,
     0},
    {"POST", "/internal/hub/local", "hub.read", NULL, GW_OPENAI, serve_local, 0,
     GW_LANE | GW_STORE | GW_INNER, BODY_MAX},
    HUB("/api/whoami-v2"),
    HUB("/api/validate-yaml"),
    HUB("/api/repos/*"),
    HUB("/api/models"),
    HUB("/api/models/*"),
    HUB("/api/datasets"),
    HUB("/api/spaces"),
    HUB("/api/spaces/*"),
    HUB("/api/collections"),
    HUB("/api/collections/*"),
    HUB("/api/datasets/*"),
    CONTENT("/{}/{}/resolve/*"),
    CONTENT("/{}/{}/raw/*"),
    CONTENT("/datasets/{}/{}/resolve/*"),
    CONTENT("/datasets/{}/{}/raw/*"),
    CONTENT("/models/{}/{}/resolve/*"),
    HUB("/{}/{}/info/lfs/*"),
    HUB("/datasets/{}/{}/info/lfs/*"),
    {"GET", "/api/v1/models/{}/{}", "hub.read", "hub", GW_HUB, serve, 0,
     GW_LANE | GW_STORE | GW_PROJECT | GW_SCOPE, 0},
    HUB("/api/v1/models/{}/{}/repo"),
    HUB("/api/v1/models/{}/{}/repo/files"),
    HUB("/api/v1/models/{}/{}/revisions"),
};
const struct gw_table gw_hub_routes = {rows, FT_COUNT(rows)};

/* ---- with the store ---- */

static void part_close(struct gw *g)
{
    if (g->hub == NULL)
        return;
    ft_hub_close(g->hub->hub);
    ft_repos_close(g->hub->repos);
    sem_destroy(&g->hub->inspects);
    pthread_mutex_destroy(&g->hub->linking);
    free(g->hub);
    g->hub = NULL;
}

static int part_open(struct gw *g, struct ft_blob *b, struct ft_err *err)
{
    struct ft_repos_config rc = {.blob = b};
    struct ft_hub_config hc = {
        .may_store = may_store, .has_project = has_project, .inspect = inspect, .ctx = g};
    _Static_assert(sizeof hc.secret == sizeof g->s3_master, "one secret of the cloud");
    memcpy(hc.secret, g->s3_master, sizeof hc.secret);
    g->hub = calloc(1, sizeof *g->hub);
    if (g->hub == NULL)
        return ft_err_set(err, FT_ENOMEM, "hub: no memory");
    sem_init(&g->hub->inspects, 0, INSPECTS_MAX);
    pthread_mutex_init(&g->hub->linking, NULL);
    int rc_open = ft_repos_open(&rc, &g->hub->repos, err);
    hc.repos = g->hub->repos;
    if (rc_open == 0)
        rc_open = ft_hub_open(&hc, &g->hub->hub, err);
    if (rc_open != 0)
        part_close(g);
    return rc_open;
}

static void part_tick(struct gw *g)
{
    struct ft_err err = {0};
    struct ft_repos_collected done;
    int64_t tick = ++g->hub->ticks;
    ft_hub_tick(g->hub->hub);
    if (tick % SAVE_TICKS == 0 && ft_repos_save(g->hub->repos, &err) != 0)
        ft_log(FT_LOG_WARN, "gateway", "counts of downloads could not be saved: %s", err.msg);
    if (tick % COLLECT_TICKS != COLLECT_FIRST)
        return;
    if (ft_repos_collect(g->hub->repos, g->opt->end, &done, &err) != 0)
        ft_log(FT_LOG_WARN, "gateway", "the hub's collection: %s", err.msg);
    else if (done.contents + done.revisions + done.repos > 0)
        ft_log(FT_LOG_INFO, "gateway", "the hub's collection: %lld files, %lld bytes",
               (long long)done.contents, (long long)done.bytes);
}

const struct gw_part gw_hub_part = {part_open, part_tick, part_close};
