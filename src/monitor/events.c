/* The ring of events, and the thread that writes it down.
 *
 * An event is the JSON that is shown, so memory, file and answer have one form. One that happens
 * again at once is counted in the event that is there, which then says the latest; its line is then
 * written once more, and the later line of an id stands for the earlier. */
#include "monitor/events.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/file.h"
#include "base/log.h"
#include "monitor/json.h"

#define PATH_BYTES   4200
#define SAME_LOOK    16 /* as many of the last ones are looked at for one that is the same */
#define LIST_DEFAULT 100
#define LINE_MAX     2048 /* a longer one was not written by us */

struct entry {
    json_t *shown;
    int64_t id, at_ms;
    int64_t count, written; /* how often it happened; as the file has it */
};

struct ft_events {
    char path[PATH_BYTES], older[PATH_BYTES];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool threaded, stop;
    struct entry ring[FT_EVENTS_MAX]; /* id % FT_EVENTS_MAX */
    int64_t first, next;              /* ids */
    int64_t dirty;                    /* from here on something may have to be written */
    bool failing;                     /* said already */
};

static const char *const level_name[] = {"info", "warn", "error"};

int64_t ft_events_id_parse(const char *text)
{
    char *end;
    if (strncmp(text, "ev_", 3) != 0 || text[3] < '1' || text[3] > '9' || strlen(text) > 21)
        return 0;
    long long id = strtoll(text + 3, &end, 10);
    return *end == '\0' ? id : 0;
}

static struct entry *at(struct ft_events *e, int64_t id)
{
    return &e->ring[id % FT_EVENTS_MAX];
}

/* ---- telling ---- */

/* Whole characters of at most FT_EVENTS_TEXT_MAX bytes. */
static json_t *short_text(const char *text)
{
    size_t n = strlen(text);
    if (n > FT_EVENTS_TEXT_MAX) {
        n = FT_EVENTS_TEXT_MAX;
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    json_t *v = json_stringn(text, n);
    return v != NULL ? v : json_string("?"); /* no UTF-8: words of a library perhaps */
}

static bool same_text(const json_t *o, const char *name, const char *text)
{
    const char *is = json_string_value(json_object_get(o, name));
    return text == NULL ? is == NULL : is != NULL && strcmp(is, text) == 0;
}

/* The one among the last that this is again; NULL: it is new, also where something else happened to
 * the same since. */
static struct entry *again(struct ft_events *e, const struct ft_event *v, int64_t now_ms)
{
    for (int64_t id = e->next - 1; id >= e->first && id >= e->next - SAME_LOOK; id--) {
        struct entry *x = at(e, id);
        const json_t *worker = json_object_get(x->shown, "worker");
        json_int_t k = json_is_integer(worker) ? json_integer_value(worker) : -1;
        if (!same_text(x->shown, "endpoint", v->endpoint) ||
            !same_text(x->shown, "project", v->project) || !same_text(x->shown, "rule", v->rule) ||
            k != v->worker)
            continue;
        bool same = same_text(x->shown, "kind", v->kind) &&
                    same_text(x->shown, "level", level_name[v->level]) &&
                    (v->rule == NULL || same_text(x->shown, "text", v->text)); /* of what, too */
        return same && now_ms - x->at_ms < FT_EVENTS_SAME_MS && now_ms >= x->at_ms ? x : NULL;
    }
    return NULL;
}

static void put(struct ft_events *e, json_t *shown, int64_t id, int64_t at_ms, int64_t count,
                int64_t written)
{
    struct entry *x = at(e, id);
    json_decref(x->shown);
    *x = (struct entry){
        .shown = shown, .id = id, .at_ms = at_ms, .count = count, .written = written};
    e->next = id + 1;
    e->first = FT_MAX(e->first, e->next - FT_EVENTS_MAX);
}

void ft_events_tell_at(struct ft_events *e, const struct ft_event *v, int64_t now_ms)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    struct entry *x = again(e, v, now_ms);
    if (x != NULL) {
        json_object_set_new(x->shown, "count", json_integer(++x->count));
        json_object_set_new(x->shown, "text", short_text(v->text)); /* how it stands now */
        json_object_set_new(x->shown, "request", ft_json_text(v->request));
        e->dirty = FT_MIN(e->dirty, x->id); /* its line is written once more */
    } else {
        char id[32];
        snprintf(id, sizeof id, "ev_%lld", (long long)e->next);
        json_t *shown =
            json_pack("{s:s,s:s,s:I,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:i}", "id", id, "object",
                      "event", "at", (json_int_t)now_ms, "kind", v->kind, "level",
                      level_name[v->level], "text", short_text(v->text), "endpoint",
                      ft_json_text(v->endpoint), "project", ft_json_text(v->project), "worker",
                      v->worker >= 0 ? json_integer(v->worker) : json_null(), "request",
                      ft_json_text(v->request), "rule", ft_json_text(v->rule), "count", 1);
        if (shown != NULL)
            put(e, shown, e->next, now_ms, 1, 0);
    }
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

void ft_events_tell(struct ft_events *e, const struct ft_event *v)
{
    ft_events_tell_at(e, v, ft_clock_unix_us() / 1000);
}

/* ---- the file ---- */

static void say_failing(struct ft_events *e, const struct ft_err *err)
{
    if (!e->failing)
        ft_log(FT_LOG_WARN, "monitor", "events are not written down: %s", err->msg);
    e->failing = true;
}

static int append(struct ft_events *e, const char *line, size_t n, struct ft_err *err)
{
    struct stat st;
    int fd = open(e->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return ft_err_sys(err, "open %s", e->path);
    int rc = ft_file_write(fd, line, n, e->path, NULL, err);
    bool full = rc == 0 && fstat(fd, &st) == 0 && st.st_size >= FT_EVENTS_FILE_MAX;
    close(fd);
    if (full && rename(e->path, e->older) != 0)
        return ft_err_sys(err, "rename %s", e->path);
    return rc;
}

/* The next line to be written, malloc'ed; NULL: none now. Under the lock. */
static char *next_line(struct ft_events *e, int64_t now_ms, size_t *ret_n)
{
    bool skipped = false;
    for (int64_t id = FT_MAX(e->dirty, e->first); id < e->next; id++) {
        struct entry *x = at(e, id);
        bool open = now_ms >= x->at_ms && now_ms - x->at_ms < FT_EVENTS_SAME_MS;
        if (x->written == x->count && !open) {
            e->dirty = skipped ? e->dirty : id + 1;
            continue;
        }
        if (x->written != x->count && (x->written == 0 || !open || e->stop)) {
            char *text = json_dumps(x->shown, JSON_COMPACT);
            x->written = x->count;
            if (text == NULL)
                return NULL;
            *ret_n = strlen(text);
            text[(*ret_n)++] = '\n'; /* in the place of its NUL */
            return text;
        }
        skipped = true; /* it may still be counted up */
    }
    return NULL;
}

static void *writer(void *ctx)
{
    struct ft_events *e = ctx;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        size_t n;
        char *line = next_line(e, ft_clock_unix_us() / 1000, &n);
        if (line == NULL) {
            if (e->stop)
                break;
            int64_t end_ns = ft_clock_now_ns() + 1000000000;
            struct timespec until = {end_ns / 1000000000, end_ns % 1000000000};
            if (e->dirty < e->next)
                pthread_cond_timedwait(&e->changed, &e->lock, &until);
            else
                pthread_cond_wait(&e->changed, &e->lock);
            continue;
        }
        pthread_mutex_unlock(&e->lock);
        struct ft_err err = {0};
        if (append(e, line, n, &err) != 0)
            say_failing(e, &err);
        else
            e->failing = false;
        free(line);
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* A line of the file. One of an id that is there already stands in its place. */
static void take_line(struct ft_events *e, const char *line, size_t n)
{
    json_t *o = n <= LINE_MAX ? json_loadb(line, n, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(o, "id"));
    int64_t id = text != NULL ? ft_events_id_parse(text) : 0;
    const json_t *when = json_object_get(o, "at");
    int64_t count = json_integer_value(json_object_get(o, "count"));
    bool known = id >= e->first && id < e->next && at(e, id)->id == id;
    if (id <= 0 || id >= INT64_MAX / 2 || !json_is_integer(when) || count < 1 ||
        json_string_value(json_object_get(o, "kind")) == NULL || (id < e->next && !known)) {
        json_decref(o);
        return;
    }
    int64_t at_ms = json_integer_value(when);
    if (known) {
        struct entry *x = at(e, id);
        json_decref(x->shown);
        x->shown = o;
        x->count = x->written = count;
        return;
    }
    for (int64_t gap = FT_MAX(e->next, id - FT_EVENTS_MAX); gap < id; gap++) { /* lost lines */
        json_decref(at(e, gap)->shown);
        *at(e, gap) = (struct entry){.id = gap};
    }
    put(e, o, id, at_ms, count, count);
}

static void take_file(struct ft_events *e, const char *path)
{
    char *text;
    size_t n;
    struct ft_err err = {0};
    if (ft_file_read(path, FT_EVENTS_FILE_MAX + LINE_MAX, &text, &n, &err) != 0) {
        if (err.code != FT_ENOTFOUND)
            ft_log(FT_LOG_WARN, "monitor", "events of before: %s", err.msg);
        return;
    }
    const char *p = text;
    for (const char *end; (end = memchr(p, '\n', n - (size_t)(p - text))) != NULL; p = end + 1)
        take_line(e, p, (size_t)(end - p));
    free(text);
}

/* A line that a kill has torn would swallow the one behind it. */
static void end_torn_line(const char *path)
{
    char last = '\n';
    int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    off_t n = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    if (n > 0 && pread(fd, &last, 1, n - 1) == 1 && last != '\n' && write(fd, "\n", 1) != 1)
        ft_log(FT_LOG_WARN, "monitor", "%s cannot be written", path);
    if (fd >= 0)
        close(fd);
}

int ft_events_open(const char *dir, struct ft_events **ret, struct ft_err *err)
{
    struct ft_events *e = calloc(1, sizeof *e);
    if (e == NULL)
        return ft_err_set(err, FT_ENOMEM, "events: out of memory");
    snprintf(e->path, sizeof e->path, "%s/events.jsonl", dir);
    snprintf(e->older, sizeof e->older, "%s/events.1.jsonl", dir);
    pthread_mutex_init(&e->lock, NULL);
    ft_cond_init(&e->changed);
    e->first = e->next = 1;
    take_file(e, e->older);
    take_file(e, e->path);
    end_torn_line(e->path);
    e->dirty = e->next;
    if (pthread_create(&e->thread, NULL, writer, e) != 0) {
        ft_events_close(e);
        return ft_err_sys(err, "events: start a thread");
    }
    e->threaded = true;
    *ret = e;
    return 0;
}

void ft_events_close(struct ft_events *e)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
    if (e->threaded)
        pthread_join(e->thread, NULL);
    for (int i = 0; i < FT_EVENTS_MAX; i++)
        json_decref(e->ring[i].shown);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

/* ---- lists ---- */

static bool is_wanted(const json_t *o, const struct ft_events_filter *f)
{
    const char *endpoint = json_string_value(json_object_get(o, "endpoint"));
    const char *project = json_string_value(json_object_get(o, "project"));
    if (f->kind != NULL && !same_text(o, "kind", f->kind))
        return false;
    if (f->endpoint != NULL && (endpoint == NULL || strcmp(endpoint, f->endpoint) != 0))
        return false;
    if (f->project == NULL)
        return true;
    return project != NULL ? strcmp(project, f->project) == 0 : endpoint != NULL;
}

json_t *ft_events_list(struct ft_events *e, const struct ft_events_filter *f)
{
    int limit = f->limit > 0 ? FT_MIN(f->limit, FT_EVENTS_LIST_MAX) : LIST_DEFAULT;
    json_t *data = json_array();
    bool more = false;
    pthread_mutex_lock(&e->lock);
    int64_t id = f->before > 0 ? FT_MIN(f->before, e->next) : e->next;
    while (--id >= e->first && !more) {
        const json_t *o = at(e, id)->shown;
        if (o == NULL || !is_wanted(o, f))
            continue;
        more = (int)json_array_size(data) == limit;
        if (!more) /* none of it shared: counts of references are not for two threads */
            json_array_append_new(data, json_deep_copy(o));
    }
    pthread_mutex_unlock(&e->lock);
    return json_pack("{s:s,s:o,s:b}", "object", "list", "data", data, "has_more", more);
}
