/* Calls that wait for their answer, over the calls that do not. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cond.h"
#include "net/client_impl.h"

#define STOP_POLL_MS   100
#define OTHER_BODY_MAX (1u << 20) /* of an answer that is not 2xx */

struct fetch {
    struct ft_http_answer *answer;
    size_t max_bytes;
    size_t (*on_read)(void *ctx, char *data, size_t n);
    void *read_ctx;
    ft_http_data_fn *on_data; /* NULL: into the answer's body */
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock; the answer is read once done was seen */
    bool give_up; /* on_data did not take what came */
    bool done;
    int rc;
    struct ft_err err;
};

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    struct fetch *f = ctx;
    struct ft_http_answer *a = f->answer;
    a->status = head->status;
    const char *type = ft_http_answer_header(head, "content-type");
    const char *retry = ft_http_answer_header(head, "retry-after");
    if (type != NULL)
        snprintf(a->content_type, sizeof a->content_type, "%s", type);
    if (retry != NULL && retry[0] >= '0' && retry[0] <= '9')
        a->retry_after_s = (int)FT_MIN(strtol(retry, NULL, 10), INT_MAX);
}

static size_t on_read(void *ctx, char *data, size_t n)
{
    struct fetch *f = ctx;
    return f->on_read(f->read_ctx, data, n);
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct fetch *f = ctx;
    bool ok;
    if (f->on_data != NULL && f->answer->status >= 200 && f->answer->status < 300)
        ok = f->on_data(f->ctx, data, n);
    else
        ok = ft_buf_add(&f->answer->body, data, n) == 0;
    if (!ok) { /* paused; who waits cancels it */
        pthread_mutex_lock(&f->lock);
        f->give_up = true;
        pthread_cond_signal(&f->changed);
        pthread_mutex_unlock(&f->lock);
    }
    return ok;
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct fetch *f = ctx;
    pthread_mutex_lock(&f->lock);
    f->rc = err != NULL ? (int)err->code : 0;
    if (err != NULL)
        f->err = *err;
    f->done = true;
    pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void wait_end(struct fetch *f, struct ft_http_call *call, bool (*stop)(void *ctx))
{
    bool cancelled = false;
    pthread_mutex_lock(&f->lock);
    while (!f->done) {
        const struct timespec t = ft_cond_until(STOP_POLL_MS);
        if (!cancelled && (f->give_up || (stop != NULL && stop(f->ctx)))) {
            cancelled = true;
            pthread_mutex_unlock(&f->lock);
            ft_http_call_cancel(call);
            pthread_mutex_lock(&f->lock);
            continue;
        }
        pthread_cond_timedwait(&f->changed, &f->lock, &t);
    }
    pthread_mutex_unlock(&f->lock);
}

static int fetch(struct ft_http_client *c, const struct ft_http_call_config *config,
                 struct fetch *f, bool (*stop)(void *ctx), struct ft_err *err)
{
    struct ft_http_call_config own = *config;
    if (own.on_head != NULL || own.on_data != NULL || own.on_done != NULL)
        return ft_err_set(err, FT_EINVAL, "fetch: callbacks of its own");
    if (own.on_read != NULL) {
        f->on_read = own.on_read;
        f->read_ctx = own.ctx;
        own.on_read = on_read;
    }
    own.on_head = on_head;
    own.on_data = on_data;
    own.on_done = on_done;
    own.ctx = f;
    *f->answer = (struct ft_http_answer){.retry_after_s = -1};
    ft_buf_init(&f->answer->body, f->max_bytes);
    pthread_mutex_init(&f->lock, NULL);
    ft_cond_init(&f->changed);
    struct ft_http_call *call = NULL;
    int rc = ft_http_call_start(c, &own, &call, err);
    if (rc == 0)
        wait_end(f, call, stop);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    if (rc != 0)
        return rc;
    ft_http_call_unref(call);
    rc = f->rc;
    if (f->answer->body.failed != 0)
        rc = ft_err_set(err, FT_ELIMIT, "the answer is longer than %zu bytes", f->max_bytes);
    else if (rc != 0 && err != NULL)
        *err = f->err;
    if (rc != 0)
        ft_http_answer_fini(f->answer);
    return rc;
}

void ft_http_answer_fini(struct ft_http_answer *a)
{
    ft_buf_fini(&a->body);
}

int ft_http_fetch(struct ft_http_client *c, const struct ft_http_call_config *config,
                  size_t max_bytes, struct ft_http_answer *ret, struct ft_err *err)
{
    struct fetch f = {.answer = ret, .max_bytes = max_bytes};
    return fetch(c, config, &f, NULL, err);
}

int ft_http_fetch_stream(struct ft_http_client *c, const struct ft_http_call_config *config,
                         ft_http_data_fn *fn, bool (*stop)(void *ctx), void *ctx,
                         struct ft_http_answer *ret, struct ft_err *err)
{
    struct fetch f = {.answer = ret, .max_bytes = OTHER_BODY_MAX, .on_data = fn, .ctx = ctx};
    return fetch(c, config, &f, stop, err);
}
