/* See prompts.h. One thread writes; the names of all files are in a ring, the oldest first, so that
 * the oldest can be removed without looking. */
#include "gateway/watch/prompts.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"

#define NAME_MAX_BYTES 160                   /* PROJECT/ID.json */
#define FILE_BYTES_MAX (8 * GW_PROMPT_BYTES) /* escapes make texts longer */
#define ID_CHARS       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."

struct waiting {
    struct waiting *next;
    bool drop; /* all of a project's, instead: name is its id; "": of all that are gone */
    char name[NAME_MAX_BYTES];
    size_t bytes;
    char text[]; /* bytes of it */
};

struct gw_prompts {
    bool (*has_project)(void *ctx, const char *project);
    void *ctx;
    char dir[4096 - NAME_MAX_BYTES];
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct waiting *first, **last;
    size_t waiting;
    int64_t left_out;
    bool stop, runs;
    pthread_t thread;
    /* its thread's */
    char (*file)[NAME_MAX_BYTES]; /* [GW_PROMPT_FILES], a ring */
    int64_t n;                    /* ever put into it */
    bool trouble;
};

/* Ids become parts of paths. */
static bool name_is_good(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 64 && s[0] != '.' && n == strspn(s, ID_CHARS);
}

static void path_of(const struct gw_prompts *p, const char *name, char ret[4096])
{
    snprintf(ret, 4096, "%s/%s", p->dir, name);
}

/* ---- what is to be kept ---- */

/* A JSON text's beginning; what comes after it is not made. */
struct beginning {
    char *text; /* [max + 1] */
    size_t n, max;
};

static int take_some(const char *text, size_t n, void *ctx)
{
    struct beginning *b = ctx;
    size_t take = FT_MIN(n, b->max + 1 - b->n); /* one more than is kept: it is longer */
    memcpy(b->text + b->n, text, take);
    b->n += take;
    return b->n > b->max ? -1 : 0;
}

json_t *gw_prompt_of(const json_t *body)
{
    static const char *const members[] = {"messages",  "prompt", "input", "query",
                                          "documents", "system", "tools"};
    json_t *ret = json_object();
    struct beginning b = {.text = malloc(GW_PROMPT_BYTES + 1), .max = GW_PROMPT_BYTES};
    for (size_t i = 0; b.text != NULL && i < FT_COUNT(members); i++) {
        json_t *v = json_object_get(body, members[i]);
        if (v == NULL)
            continue;
        b.n = 0;
        json_dump_callback(v, take_some, &b, JSON_COMPACT | JSON_ENCODE_ANY);
        if (b.n <= b.max) {
            json_object_set_new(ret, members[i], json_deep_copy(v));
            b.max -= b.n;
        } else { /* as its JSON's beginning */
            size_t cut = ft_utf8_valid_len(b.text, b.max);
            json_object_set_new(ret, members[i], json_stringn(b.text, cut));
            json_object_set_new(ret, "cut", json_true());
            b.max = 0;
        }
    }
    free(b.text);
    return ret;
}

/* Takes w; false: too many wait already. */
static bool post(struct gw_prompts *p, struct waiting *w)
{
    pthread_mutex_lock(&p->lock);
    bool room = w->drop || p->waiting + w->bytes <= GW_PROMPTS_WAITING;
    if (room) {
        *p->last = w;
        p->last = &w->next;
        p->waiting += w->bytes;
        pthread_cond_signal(&p->come);
    } else {
        p->left_out++;
    }
    pthread_mutex_unlock(&p->lock);
    if (!room)
        free(w);
    return room;
}

static void post_drop(struct gw_prompts *p, const char *project)
{
    struct waiting *w = calloc(1, sizeof *w);
    if (w == NULL)
        return;
    w->drop = true;
    snprintf(w->name, sizeof w->name, "%s", project);
    post(p, w);
}

void gw_prompts_apply(struct gw_prompts *p, const char *kind, const char *id, const json_t *body)
{
    bool gone = strcmp(kind, "project") == 0 && (body == NULL || json_is_null(body));
    if (gone && name_is_good(id))
        post_drop(p, id);
}

void gw_prompts_snapshot_end(struct gw_prompts *p)
{
    post_drop(p, "");
}

void gw_prompts_put(struct gw_prompts *p, const char *project, const char *id, json_t *prompt,
                    const char *answer, size_t n, bool cut)
{
    cut |= json_is_true(json_object_get(prompt, "cut")) || n > GW_PROMPT_BYTES;
    json_object_del(prompt, "cut");
    size_t keep = ft_utf8_valid_len(answer, FT_MIN(n, (size_t)GW_PROMPT_BYTES));
    json_t *o = json_pack("{s:o,s:o,s:b}", "prompt", prompt, "answer", json_stringn(answer, keep),
                          "cut", (int)cut);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    size_t bytes = text != NULL ? strlen(text) : 0;
    struct waiting *w = text != NULL ? malloc(sizeof *w + bytes) : NULL;
    json_decref(o);
    if (w == NULL || !name_is_good(project) || !name_is_good(id)) {
        free(w);
        free(text);
        return;
    }
    w->next = NULL;
    w->drop = false;
    w->bytes = bytes;
    snprintf(w->name, sizeof w->name, "%s/%s.json", project, id);
    memcpy(w->text, text, bytes);
    free(text);
    post(p, w);
}

json_t *gw_prompts_read(struct gw_prompts *p, const char *project, const char *id)
{
    char path[4096], name[NAME_MAX_BYTES], *text = NULL;
    size_t n = 0;
    struct ft_err err;
    if (!name_is_good(project) || !name_is_good(id))
        return NULL;
    snprintf(name, sizeof name, "%s/%s.json", project, id);
    path_of(p, name, path);
    if (ft_file_read(path, FILE_BYTES_MAX, &text, &n, &err) != 0)
        return NULL;
    json_t *o = json_loadb(text, n, 0, NULL);
    free(text);
    return o;
}

/* ---- files ---- */

static void remember(struct gw_prompts *p, const char *name)
{
    char path[4096], *at = p->file[p->n % GW_PROMPT_FILES];
    if (p->n >= GW_PROMPT_FILES) {
        path_of(p, at, path);
        unlink(path);
    }
    snprintf(at, NAME_MAX_BYTES, "%s", name);
    p->n++;
}

/* A call may end after its project: nothing is kept of that. */
static void write_one(struct gw_prompts *p, const struct waiting *w)
{
    char path[4096], project[NAME_MAX_BYTES];
    struct ft_err err = {0};
    snprintf(project, sizeof project, "%.*s", (int)strcspn(w->name, "/"), w->name);
    if (!p->has_project(p->ctx, project))
        return;
    path_of(p, project, path);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        ft_err_sys(&err, "make %s", path);
    path_of(p, w->name, path);
    if (err.code == FT_OK)
        ft_file_put(path, w->text, w->bytes, &err);
    if (err.code == FT_OK)
        remember(p, w->name);
    else if (!p->trouble)
        ft_log(FT_LOG_WARN, "gateway", "prompts are not kept now: %s", err.msg);
    p->trouble = err.code != FT_OK;
}

/* Their names stay in the ring: unlinking what is gone does no harm. */
static void drop_all(const struct gw_prompts *p, const char *project)
{
    char path[4096];
    path_of(p, project, path);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(path);
}

/* A project may have gone while nobody was told. */
static void drop_unknown(const struct gw_prompts *p)
{
    DIR *d = opendir(p->dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (name_is_good(e->d_name) && !p->has_project(p->ctx, e->d_name))
            drop_all(p, e->d_name);
    if (d != NULL)
        closedir(d);
}

static void *writer_main(void *arg)
{
    struct gw_prompts *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct waiting *w = p->first;
        if (w == NULL && p->stop)
            break;
        if (w == NULL) {
            pthread_cond_wait(&p->come, &p->lock);
            continue;
        }
        p->first = w->next;
        if (p->first == NULL)
            p->last = &p->first;
        p->waiting -= w->bytes;
        pthread_mutex_unlock(&p->lock);
        if (w->drop && w->name[0] == '\0')
            drop_unknown(p);
        else if (w->drop)
            drop_all(p, w->name);
        else
            write_one(p, w);
        free(w);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- open, close ---- */

struct found {
    int64_t at_ns;
    char name[NAME_MAX_BYTES];
};

static int oldest_first(const void *a, const void *b)
{
    int64_t x = ((const struct found *)a)->at_ns, y = ((const struct found *)b)->at_ns;
    return x < y ? -1 : x > y;
}

/* The files of one project's folder. */
static void look_in(const char *dir, const char *project, struct found **list, int *n, int *cap)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, project) >= sizeof path)
        return;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL && *n < 4 * GW_PROMPT_FILES;) {
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (*n == *cap) {
            int more = FT_MAX(2 * *cap, 256);
            struct found *grown = realloc(*list, (size_t)more * sizeof *grown);
            if (grown == NULL)
                break;
            *list = grown;
            *cap = more;
        }
        struct found *f = &(*list)[*n];
        f->at_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        if ((size_t)snprintf(f->name, sizeof f->name, "%s/%s", project, e->d_name) < sizeof f->name)
            (*n)++; /* else none of ours */
    }
    if (d != NULL)
        closedir(d);
}

static void read_names(struct gw_prompts *p)
{
    struct found *list = NULL;
    int n = 0, cap = 0;
    DIR *d = opendir(p->dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (name_is_good(e->d_name))
            look_in(p->dir, e->d_name, &list, &n, &cap);
    if (d != NULL)
        closedir(d);
    if (n > 0)
        qsort(list, (size_t)n, sizeof *list, oldest_first);
    for (int i = 0; i < n; i++)
        remember(p, list[i].name);
    free(list);
}

int gw_prompts_open(const char *home, bool (*has_project)(void *ctx, const char *project),
                    void *ctx, struct gw_prompts **ret, struct ft_err *err)
{
    struct gw_prompts *p = calloc(1, sizeof *p);
    if (p == NULL || (p->file = calloc(GW_PROMPT_FILES, sizeof *p->file)) == NULL) {
        free(p);
        return ft_err_set(err, FT_ENOMEM, "prompts: no memory");
    }
    p->has_project = has_project;
    p->ctx = ctx;
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->come, NULL);
    int rc = 0;
    if ((size_t)snprintf(p->dir, sizeof p->dir, "%s/prompts", home) >= sizeof p->dir)
        rc = ft_err_set(err, FT_EINVAL, "prompts: the path of the cloud's folder is too long");
    else if (mkdir(p->dir, 0700) != 0 && errno != EEXIST)
        rc = ft_err_sys(err, "make %s", p->dir);
    if (rc == 0) {
        read_names(p);
        errno = pthread_create(&p->thread, NULL, writer_main, p);
        p->runs = errno == 0;
        rc = p->runs ? 0 : ft_err_sys(err, "start a thread");
    }
    if (rc != 0) {
        gw_prompts_close(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void gw_prompts_close(struct gw_prompts *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->come);
    pthread_mutex_unlock(&p->lock);
    if (p->runs)
        pthread_join(p->thread, NULL);
    if (p->left_out > 0)
        ft_log(FT_LOG_WARN, "gateway", "%lld prompts were not kept: more came than the disk takes",
               (long long)p->left_out);
    pthread_cond_destroy(&p->come);
    pthread_mutex_destroy(&p->lock);
    free(p->file);
    free(p);
}
