/* See syncer.h. A file that waits already is not asked for twice: its sync is still to come. */
#include "ledger/syncer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void ft_syncer_init(struct ft_syncer *s, ft_syncer_fn *fn, void *ctx)
{
    *s = (struct ft_syncer){.fn = fn, .ctx = ctx};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
}

static void sync_and_close(struct ft_syncer *s, int fd)
{
    struct ft_err err = {0};
    int rc = fdatasync(fd) == 0 ? 0 : ft_err_sys(&err, "sync the journal");
    close(fd);
    s->fn(s->ctx, rc == 0 ? NULL : &err);
}

static void *run(void *arg)
{
    struct ft_syncer *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->n == 0 && !s->stop)
            pthread_cond_wait(&s->wake, &s->lock);
        if (s->n == 0)
            break;
        int fd = s->fd[0];
        s->n--;
        for (int i = 0; i < s->n; i++)
            s->fd[i] = s->fd[i + 1];
        pthread_mutex_unlock(&s->lock);
        sync_and_close(s, fd);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int ft_syncer_start(struct ft_syncer *s, struct ft_err *err)
{
    int rc = pthread_create(&s->thread, NULL, run, s);
    s->runs = rc == 0;
    return rc == 0 ? 0 : ft_err_set(err, FT_ENOMEM, "start the thread that syncs the journal");
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void ft_syncer_ask(struct ft_syncer *s, int fd)
{
    int own = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (own < 0)
        return;
    pthread_mutex_lock(&s->lock);
    bool waits = s->n > 0 && same_file(s->fd[s->n - 1], own);
    bool room = s->n < FT_SYNCER_FILES_MAX;
    if (!waits && room) {
        s->fd[s->n++] = own;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (waits)
        close(own);
    else if (!room)
        sync_and_close(s, own);
}

void ft_syncer_fini(struct ft_syncer *s)
{
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->runs)
        pthread_join(s->thread, NULL);
    for (int i = 0; i < s->n; i++)
        sync_and_close(s, s->fd[i]);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
}
