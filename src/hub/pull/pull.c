/* A pull from its beginning to its end: listing, choice, bytes, check, name. */
#include "hub/pull/pull.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "hub/pull/impl.h"
#include "net/client.h"

#define HEADERS_MAX   8
#define URL_BYTES_MAX 4096
#define LIST_MS       60000

static bool interrupted(const struct ft_pull_options *o)
{
    return o->interrupt != NULL && *o->interrupt != 0;
}

static bool stop(void *ctx)
{
    return interrupted(ctx);
}

struct body {
    const struct ft_pull_options *o;
    struct ft_buf buf;
};

static bool stop_body(void *ctx)
{
    return stop((void *)((struct body *)ctx)->o);
}

static bool add_body(void *ctx, const char *data, size_t n)
{
    struct body *b = ctx;
    return ft_buf_add(&b->buf, data, n) == 0;
}

/* One try at the listing. *ret_retry: whether another is worth it. */
static int list_once(struct ft_http_client *client, const struct ft_pull_source *s,
                     const struct ft_pull_options *o, struct ft_pull_list *ret, bool *ret_retry,
                     struct ft_err *err)
{
    struct body b = {.o = o};
    struct ft_buf url;
    struct ft_http_answer a = {0};
    char *headers[HEADERS_MAX];
    int n = ft_pull_headers(s->hub, headers, HEADERS_MAX);
    ft_buf_init(&url, URL_BYTES_MAX);
    ft_buf_init(&b.buf, FT_PULL_LIST_BYTES);
    ft_pull_list_url(s, &url);
    struct ft_http_call_config c = {.url = url.data,
                                    .headers = (const char *const *)headers,
                                    .n_headers = n,
                                    .total_timeout_ms = LIST_MS,
                                    .follow = true};
    int rc = ft_http_fetch_stream(client, &c, add_body, stop_body, &b, &a, err);
    *ret_retry = rc == FT_EIO || rc == FT_ELIMIT;
    if (b.buf.failed != 0)
        rc = ft_err_set(err, FT_ELIMIT, "the listing of %s is longer than %u bytes", s->repo,
                        FT_PULL_LIST_BYTES);
    else if (rc == 0 && a.status / 100 != 2)
        rc = ft_pull_refused(s, NULL, a.status, a.body.data != NULL ? a.body.data : "", a.body.len,
                             ret_retry, err);
    else if (rc == 0 && ft_pull_list_parse(s->hub, b.buf.data != NULL ? b.buf.data : "", b.buf.len,
                                           ret, err) != 0)
        rc = ft_err_wrap(err, "%s", s->repo);
    for (int i = 0; i < n; i++)
        free(headers[i]);
    ft_http_answer_fini(&a);
    ft_buf_fini(&url);
    ft_buf_fini(&b.buf);
    return rc;
}

static void pause_ms(const struct ft_pull_options *o, int64_t ms)
{
    for (int64_t end = ft_clock_now_ns() + ms * 1000000;
         ft_clock_now_ns() < end && !interrupted(o);)
        usleep(20000);
}

static int list_remote(const struct ft_pull_source *s, const struct ft_pull_options *o,
                       struct ft_pull_list *ret, struct ft_err *err)
{
    struct ft_http_client *client;
    int64_t wait = o->wait_ms > 0 ? o->wait_ms : 500;
    int rc = ft_http_client_open(&client, err);
    if (rc != 0)
        return rc;
    for (int tries = 1;; tries++, wait *= 2) {
        bool retry;
        rc = list_once(client, s, o, ret, &retry, err);
        struct ft_pull_progress p = {.file = s->repo, .trouble = err->msg};
        if (rc == 0 || !retry || tries >= FT_PULL_TRIES)
            break;
        if (interrupted(o)) {
            rc = ft_err_set(err, FT_ECANCELED, "interrupted");
            break;
        }
        if (o->on_progress != NULL)
            o->on_progress(o->ctx, &p);
        pause_ms(o, wait);
    }
    ft_http_client_close(client);
    return rc;
}

/* The folder that a local source's files are in. */
static int folder_of(const char *path, char ret[PATH_MAX], struct ft_err *err)
{
    struct stat st;
    char *slash;
    if (realpath(path, ret) == NULL || stat(path, &st) != 0)
        return ft_err_sys(err, "%s", path);
    if (S_ISDIR(st.st_mode))
        return 0;
    /* A link's parts lie beside the link, not beside what it points to. */
    if (path[0] == '/')
        snprintf(ret, PATH_MAX, "%s", path);
    else if (getcwd(ret, PATH_MAX) == NULL || strlen(ret) + strlen(path) + 2 > PATH_MAX)
        return ft_err_sys(err, "%s", path);
    else
        snprintf(ret + strlen(ret), PATH_MAX - strlen(ret), "/%s", path);
    slash = strrchr(ret, '/');
    *slash = '\0';
    return 0;
}

/* A model that lies in the folder already, under the name that it would get. */
static bool lies_there(const struct ft_pull_stage *st, const struct ft_pull_list *l,
                       const char *folder)
{
    char source[PATH_MAX + FT_PULL_PATH_MAX + 2], final[4096];
    struct stat a, b;
    for (int i = 0; i < l->n; i++) {
        snprintf(source, sizeof source, "%s/%s", folder, l->file[i].path);
        ft_pull_stage_path(st, &l->file[i], FT_PULL_FINAL, final, sizeof final);
        if (stat(source, &a) != 0 || stat(final, &b) != 0 || a.st_ino != b.st_ino ||
            a.st_dev != b.st_dev)
            return false;
    }
    return true;
}

static int fetch(const struct ft_pull_source *s, const struct ft_pull_options *o,
                 struct ft_pull_stage *st, struct ft_pull_list *l, const char *folder,
                 struct ft_pull_result *ret, struct ft_err *err)
{
    char made[4096];
    int rc = 0;
    if (s->hub == FT_PULL_LOCAL && lies_there(st, l, folder)) {
        ret->present = ret->linked = true;
        return 0;
    }
    rc = ft_pull_stage_present(st, l, o->interrupt, err);
    if (rc == 1 && s->hub == FT_PULL_LOCAL) /* so far only their sizes are the same */
        rc = ft_pull_local_same(o, st, l, folder, err);
    if (rc == 1)
        ret->present = true;
    if (rc == FT_EEXIST)
        ft_err_set(err, FT_EEXIST,
                   "another model is called %s already: give this one another name, or remove "
                   "that one",
                   st->name);
    if (rc != 0)
        return rc == 1 ? 0 : rc;
    ft_pull_stage_sweep(st, l);
    rc = s->hub == FT_PULL_LOCAL ? ft_pull_local_get(o, st, l, folder, &ret->linked, err)
                                 : ft_pull_get(s, o, st, l, err);
    if (rc == 0)
        rc = ft_pull_stage_assemble(st, l, made, sizeof made, err);
    if (rc == 0 && o->check != NULL && (rc = o->check(o->ctx, made, err)) != 0 &&
        rc != FT_ECANCELED)
        ft_pull_stage_sweep(st, &(struct ft_pull_list){0}); /* all there, and of no use */
    if (rc == 0 && interrupted(o))
        rc = ft_err_set(err, FT_ECANCELED, "interrupted");
    return rc == 0 ? ft_pull_stage_commit(st, l, err) : rc;
}

/* What is to be fetched, and how the model is called. */
static int plan(const struct ft_pull_source *s, const struct ft_pull_options *o,
                struct ft_pull_list *l, char folder[PATH_MAX], enum ft_pull_form *form,
                struct ft_pull_result *ret, struct ft_err *err)
{
    struct stat st;
    bool local = s->hub == FT_PULL_LOCAL;
    int rc = local ? folder_of(s->file, folder, err) : 0;
    if (rc == 0)
        rc = local ? ft_pull_local_list(s->file, l, err) : list_remote(s, o, l, err);
    bool is_folder = local && rc == 0 && stat(s->file, &st) == 0 && S_ISDIR(st.st_mode);
    const char *hint = local ? ft_pull_base(s->file) : s->file;
    if (rc == 0 && o->adapter) {
        *form = FT_PULL_FOLDER;
        rc = ft_pull_choose_adapter(l, err);
    } else if (rc == 0 && local && !is_folder && l->n == 1) {
        *form = FT_PULL_GGUF; /* whatever it is called: the check will tell */
    } else if (rc == 0) {
        rc =
            is_folder ? ft_pull_choose_in_folder(l, form, err) : ft_pull_choose(l, hint, form, err);
    }
    if (rc != 0 && l->n > 0)
        ft_err_wrap(err, "%s", local ? s->file : s->repo);
    if (rc != 0)
        return rc;
    if (o->name != NULL && (rc = ft_pull_name_check(o->name, err)) != 0)
        return rc;
    if (o->name != NULL)
        snprintf(ret->name, sizeof ret->name, "%s", o->name);
    else
        ft_pull_name(l, *form, local ? folder : s->repo, ret->name);
    for (int i = 0; !local && i < l->n; i++)
        ft_pull_tag(&l->file[i], l->file[i].hash == FT_PULL_UNHASHED ? l->commit : "");
    if (*form != FT_PULL_FOLDER && (is_folder || !local))
        snprintf(ret->file, sizeof ret->file, "%s", l->file[0].path);
    ret->n_files = l->n;
    for (int i = 0; i < l->n; i++)
        ret->bytes += l->file[i].bytes;
    if (l->n == 1 && l->file[0].hash == FT_PULL_SHA256)
        snprintf(ret->sha256, sizeof ret->sha256, "%s", l->file[0].hex);
    return 0;
}

int ft_pull(const struct ft_pull_source *source, const struct ft_pull_options *o,
            struct ft_pull_result *ret, struct ft_err *err)
{
    struct ft_pull_list l = {0};
    struct ft_pull_stage st = {.lock = -1};
    struct ft_pull_result r = {0};
    enum ft_pull_form form = FT_PULL_GGUF;
    char folder[PATH_MAX] = "";
    int rc = plan(source, o, &l, folder, &form, &r, err);
    if (rc == 0)
        rc = ft_pull_stage_open(&st, o->models, r.name, form, err);
    if (rc == 0)
        rc = fetch(source, o, &st, &l, folder, &r, err);
    if (rc == 0) {
        ft_pull_stage_model(&st, &l, r.path, sizeof r.path);
        *ret = r;
    }
    ft_pull_stage_close(&st);
    ft_pull_list_fini(&l);
    return rc;
}
