/* The store of objects held by the gateway for as long as a connection stands
 * (gateway/store/hold.c). One that is started anew is asked again; whether anything that was to be
 * copied went in between shows when it is copied. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/cloud/backup.h"
#include "net/client.h"

#define CONNECT_MS 2000
#define WAIT_MS    15000 /* for a gateway that does not answer, or whose store is not open */
#define AGAIN_MS   100

struct ft_backup_hold {
    char socket[FT_HOME_PATH];
    pthread_t thread;
    atomic_bool stop, held;
    pthread_mutex_t lock;
    char why[FT_ERR_MSG_MAX]; /* (lock) it is not held */
};

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct ft_backup_hold *h = ctx;
    (void)data;
    (void)n;
    atomic_store(&h->held, true);
    return true;
}

static bool is_over(void *ctx)
{
    struct ft_backup_hold *h = ctx;
    return atomic_load(&h->stop);
}

static void pause_ms(int64_t ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000L};
    nanosleep(&t, NULL);
}

static void note(struct ft_backup_hold *h, const char *why)
{
    pthread_mutex_lock(&h->lock);
    snprintf(h->why, sizeof h->why, "%s", why);
    pthread_mutex_unlock(&h->lock);
}

static void ask(struct ft_backup_hold *h, struct ft_http_client *client)
{
    const struct ft_http_call_config c = {.method = "POST",
                                          .url = "http://gateway/internal/blob/hold",
                                          .unix_socket = h->socket,
                                          .connect_timeout_ms = CONNECT_MS};
    struct ft_http_answer a = {0};
    struct ft_err err = {0};
    int rc = ft_http_fetch_stream(client, &c, on_data, is_over, h, &a, &err);
    if (rc != 0)
        note(h, err.msg);
    else if (a.status != 200) {
        json_t *j = json_loadb(a.body.data != NULL ? a.body.data : "", a.body.len, 0, NULL);
        const json_t *text = json_object_get(json_object_get(j, "error"), "message");
        note(h, text != NULL ? json_string_value(text) : "the gateway refused it");
        json_decref(j);
    }
    ft_http_answer_fini(&a);
}

static void *hold_main(void *ctx)
{
    struct ft_backup_hold *h = ctx;
    struct ft_http_client *client = NULL;
    struct ft_err err = {0};
    if (ft_http_client_open(&client, &err) != 0)
        note(h, err.msg);
    while (client != NULL && !atomic_load(&h->stop)) {
        ask(h, client);
        pause_ms(AGAIN_MS);
    }
    ft_http_client_close(client);
    return NULL;
}

int ft_backup_hold_begin(const struct ft_home *home, struct ft_backup_hold **ret,
                         struct ft_err *err)
{
    struct ft_backup_hold *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    ft_home_at(home, "run/gateway.sock", h->socket);
    pthread_mutex_init(&h->lock, NULL);
    if (pthread_create(&h->thread, NULL, hold_main, h) != 0) {
        free(h);
        return ft_err_set(err, FT_ENOMEM, "no thread");
    }
    int64_t until = ft_clock_now_ns() + (int64_t)WAIT_MS * 1000000;
    while (!atomic_load(&h->held) && ft_clock_now_ns() < until)
        pause_ms(AGAIN_MS / 10);
    if (atomic_load(&h->held)) {
        *ret = h;
        return 0;
    }
    pthread_mutex_lock(&h->lock);
    ft_err_set(err, FT_EBUSY, "the running cloud cannot hold its objects for a backup: %s", h->why);
    pthread_mutex_unlock(&h->lock);
    ft_backup_hold_end(h);
    return err->code;
}

void ft_backup_hold_end(struct ft_backup_hold *h)
{
    if (h == NULL)
        return;
    atomic_store(&h->stop, true);
    pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
