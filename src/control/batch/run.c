/* The life of one batch, on a thread of its own, from wherever the one before left it. */
#include "control/batch/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/openai/id.h"
#include "base/folder.h"
#include "base/log.h"

#define RETRY_MS 500 /* while the gateway is away, or the store in trouble */
#define SLEEP_MS 50
#define AGAIN_MS 5000 /* before one that failed is tried again */

bool bt_stops(void *ctx)
{
    return atomic_load(&((struct batch *)ctx)->stop);
}

void bt_sleep(struct batch *b, int ms)
{
    for (; ms > 0 && !bt_stops(b); ms -= SLEEP_MS)
        usleep(SLEEP_MS * 1000);
}

/* ---- the row ---- */

struct move {
    struct batch *b;
    const json_t *patch;
    bool ends;
    const struct bt_progress *progress; /* NULL: as it is */
    json_t *body;                       /* what it became */
};

/* Only this thread and the one that cancels change a row: a status of "cancelling" that came
 * meanwhile is kept, and minded, unless it ends. */
static int move_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct move *m = ctx;
    struct ft_ctl_call system = {.ctl = m->b->ctl};
    struct ft_ctl_entity e = {0};
    json_decref(m->body);
    m->body = NULL;
    int rc = ft_ctl_get(tx, BATCH_KIND, m->b->id, &e, err);
    if (rc == 0)
        rc = ft_err_set(err, FT_ENOTFOUND, "batch %s is gone", m->b->id);
    if (rc > 0) {
        m->body = json_copy(e.body);
        json_object_update(m->body, (json_t *)m->patch);
        if (!m->ends && strcmp(ft_ctl_text(e.body, "status"), "cancelling") == 0)
            json_object_set_new(m->body, "status", json_string("cancelling"));
        rc = ft_ctl_put(&system, tx, BATCH_KIND, m->b->id, e.body, m->body, err);
    }
    if (rc == 0 && m->progress != NULL)
        rc = bt_progress_set(tx, m->b->id, m->progress, err);
    if (rc == 0 && m->ends)
        rc = bt_row_end(tx, m->b->id, err);
    ft_ctl_entity_fini(&e);
    return rc;
}

static int move(struct batch *b, json_t *patch, bool ends, const struct bt_progress *progress,
                struct ft_err *err)
{
    struct move m = {b, patch, ends, progress, NULL};
    struct ft_err why = {0};
    int rc;
    while ((rc = ft_state_tx(b->ctl->state, move_tx, &m, &why)) != 0 &&
           (ft_state_is_trouble(rc) || rc == FT_EBUSY) && !bt_stops(b))
        bt_sleep(b, RETRY_MS);
    if (rc == 0) {
        json_decref(b->body);
        b->body = json_incref(m.body);
        if (strcmp(ft_ctl_text(b->body, "status"), "cancelling") == 0)
            atomic_store(&b->cancel, true);
    } else if (err != NULL) {
        *err = why;
    }
    b->gone |= rc == FT_ENOTFOUND;
    json_decref(m.body);
    json_decref(patch);
    return rc;
}

static json_t *status(const char *name, const char *when)
{
    return json_pack("{s:s,s:I}", "status", name, when, (json_int_t)time(NULL));
}

static json_t *error_list(json_t *data)
{
    return json_pack("{s:s,s:o}", "object", "list", "data", data);
}

void bt_say(struct batch *b, const char *code, const char *message)
{
    json_t *errors = code != NULL
                         ? error_list(json_pack("[o]", ft_batch_error(code, message, NULL, 0)))
                         : json_null();
    move(b, json_pack("{s:o}", "errors", errors), false, NULL, NULL);
    if (code != NULL)
        ft_log(FT_LOG_WARN, "control", "%s waits: %s", b->id, message);
}

struct loaded {
    struct batch *b;
    bool key_good;
};

static int load_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct batch *b = ((struct loaded *)ctx)->b;
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, BATCH_KIND, b->id, &e, err);
    if (rc == 0)
        return ft_err_set(err, FT_ENOTFOUND, "batch %s is gone", b->id);
    if (rc < 0)
        return rc;
    json_decref(b->body);
    b->body = json_incref(e.body);
    ft_ctl_entity_fini(&e);
    rc = bt_progress_get(tx, b->id, &b->done, err);
    return FT_MIN(rc, 0);
}

static int key_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct loaded *l = ctx;
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, "key", l->b->key, &e, err);
    int64_t expires = ft_ctl_int(e.body, "expires", 0);
    l->key_good = rc > 0 && (expires == 0 || expires > (int64_t)time(NULL));
    ft_ctl_entity_fini(&e);
    return FT_MIN(rc, 0);
}

/* Where the store cannot say, it may be. */
bool bt_key_is_good(struct batch *b)
{
    struct loaded l = {b, true};
    return ft_state_read(b->ctl->state, key_tx, &l, NULL) != 0 || l.key_good;
}

static int load(struct batch *b, struct ft_err *err)
{
    struct loaded l = {.b = b};
    int rc;
    while ((rc = ft_state_read(b->ctl->state, load_tx, &l, err)) != 0 && rc != FT_ENOTFOUND &&
           !bt_stops(b))
        bt_sleep(b, RETRY_MS);
    if (rc != 0) {
        b->gone = rc == FT_ENOTFOUND;
        return rc;
    }
    snprintf(b->key, sizeof b->key, "%s", ft_ctl_text(b->body, "key"));
    snprintf(b->who, sizeof b->who, "project:%s", b->project);
    snprintf(b->endpoint, sizeof b->endpoint, "%s", ft_ctl_text(b->body, "endpoint"));
    b->route = bt_route(b->endpoint);
    b->expires_s = ft_ctl_int(b->body, "expires_at", 0);
    if (strcmp(ft_ctl_text(b->body, "status"), "cancelling") == 0)
        atomic_store(&b->cancel, true);
    return 0;
}

/* ---- the input ---- */

static void path_of(const struct batch *b, const char *name, char ret[BATCH_DIR_MAX + 16])
{
    snprintf(ret, BATCH_DIR_MAX + 16, "%s/%s", b->dir, name);
}

/* The input as a file here, mapped. FT_ENOTFOUND: it is gone. */
static int open_input(struct batch *b, struct ft_err *err)
{
    char path[BATCH_DIR_MAX + 16], from[128];
    struct stat st;
    int rc = 0;
    path_of(b, "input", path);
    snprintf(from, sizeof from, "/v1/files/%s/content", ft_ctl_text(b->body, "input_file_id"));
    if (stat(path, &st) != 0)
        while ((rc = ft_inside_fetch(b->ctl->inside, b->who, from, path, BATCH_BYTES_MAX, err)) ==
                   FT_EUNAVAIL &&
               !bt_stops(b) && !atomic_load(&b->cancel) && time(NULL) < b->expires_s)
            bt_sleep(b, RETRY_MS);
    if (rc == 0)
        rc = ft_map_open(path, &b->input, err);
    return rc == 0 ? ft_batch_lines_index(&b->input, &b->lines, err) : rc;
}

static int fail(struct batch *b, json_t *errors, struct ft_err *err)
{
    json_t *patch = status("failed", "failed_at");
    json_object_set_new(patch, "errors", error_list(errors));
    return move(b, patch, true, NULL, err);
}

/* Goes on as in_progress, or ends as failed. FT_ECANCELED: the process ends. */
static int validate(struct batch *b, struct ft_err *err)
{
    char model[128];
    json_t *errors = json_array();
    int rc = open_input(b, err);
    if (rc == 0)
        rc = ft_batch_lines_check(&b->input, &b->lines, b->endpoint, errors, model, bt_stops, b,
                                  err);
    if (rc == FT_ENOTFOUND || rc == FT_ELIMIT || rc == FT_EINVAL) {
        json_array_append_new(
            errors, ft_batch_error(rc == FT_ELIMIT ? "too_many_tasks" : "invalid_input_file",
                                   err->msg, "input_file_id", 0));
        rc = 0;
    }
    if (rc != 0) {
        json_decref(errors);
        return rc == FT_EUNAVAIL && atomic_load(&b->cancel) ? 0 : rc;
    }
    if (json_array_size(errors) > 0)
        return fail(b, errors, err);
    json_decref(errors);
    struct bt_progress p = {.total = b->lines.n};
    json_t *patch = status("in_progress", "in_progress_at");
    json_object_set_new(patch, "model", json_string(model));
    rc = move(b, patch, false, &p, err);
    if (rc == 0)
        b->done = p;
    return rc;
}

/* ---- results that are there ---- */

static int open_results(const struct batch *b, const char *name, int64_t bytes, int *ret,
                        struct ft_err *err)
{
    char path[BATCH_DIR_MAX + 16];
    struct stat st;
    path_of(b, name, path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) != 0 || (st.st_size > bytes && ftruncate(fd, bytes) != 0)) {
        int rc = ft_err_sys(err, "%s", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret = fd;
    if (st.st_size < bytes)
        return ft_err_set(err, FT_ECORRUPT, "the batch's %s has %lld bytes of %lld", name,
                          (long long)st.st_size, (long long)bytes);
    return 0;
}

static int index_of(const struct ft_batch_lines *l, int number)
{
    int low = 0, high = l->n - 1;
    while (low <= high) {
        int mid = (low + high) / 2;
        if (l->line[mid].number == number)
            return mid;
        if (l->line[mid].number < number)
            low = mid + 1;
        else
            high = mid - 1;
    }
    return -1;
}

/* Which lines a results' file answers: {"id":"batch_req_..._NUMBER", at the begin of each. */
static int read_results(const struct batch *b, const char *name, bool *answered, struct ft_err *err)
{
    char path[BATCH_DIR_MAX + 16];
    struct ft_map m = {0};
    path_of(b, name, path);
    int rc = ft_map_open(path, &m, err);
    const char *p = (const char *)m.data, *end = p + m.bytes;
    while (rc == 0 && p != NULL && p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *quote = memchr(p, ',', (size_t)(end - p)); /* behind the id */
        const char *digits = quote;
        while (digits != NULL && digits > p && digits[-1] != '_')
            digits--;
        int at = digits != NULL ? index_of(&b->lines, atoi(digits)) : -1;
        if (newline == NULL || at < 0)
            rc = ft_err_set(err, FT_ECORRUPT, "the batch's %s: a line is none of ours", name);
        else
            answered[at] = true;
        p = newline != NULL ? newline + 1 : end;
    }
    ft_map_close(&m);
    return rc;
}

static int resume(struct batch *b, bool **ret_answered, struct ft_err *err)
{
    int rc = b->lines.line == NULL ? open_input(b, err) : 0;
    if (rc == 0)
        rc = open_results(b, "output", b->done.out_bytes, &b->out_fd, err);
    if (rc == 0)
        rc = open_results(b, "errors", b->done.err_bytes, &b->err_fd, err);
    if (rc != 0)
        return rc;
    *ret_answered = calloc((size_t)b->lines.n + 1, sizeof **ret_answered);
    if (*ret_answered == NULL)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory");
    rc = read_results(b, "output", *ret_answered, err);
    return rc == 0 ? read_results(b, "errors", *ret_answered, err) : rc;
}

/* ---- the end ---- */

static int put_results(struct batch *b, const char *name, const char *id, int64_t bytes,
                       struct ft_err *err)
{
    char path[BATCH_DIR_MAX + 16], filename[BATCH_ID_BYTES + 32];
    int rc;
    if (bytes == 0)
        return 0;
    path_of(b, name, path);
    snprintf(filename, sizeof filename, "%s_%s.jsonl", b->id, name);
    struct ft_inside_file f = {.key = b->who,
                               .id = id,
                               .purpose = "batch_output",
                               .filename = filename,
                               .path = path,
                               .expires_s = ft_ctl_int(b->body, "output_expires_s", 0)};
    while ((rc = ft_inside_put_file(b->ctl->inside, &f, err)) == FT_EUNAVAIL && !bt_stops(b))
        bt_sleep(b, RETRY_MS);
    return rc;
}

/* The files become the project's, then it has ended. Their ids are in the row before, so that doing
 * it again after a kill makes the same ones. */
static int finish(struct batch *b, struct ft_err *err)
{
    static const char *const when[][2] = {{"completed", "completed_at"},
                                          {"expired", "expired_at"},
                                          {"failed", "failed_at"},
                                          {"cancelled", "cancelled_at"}};
    const char *ends_as = ft_ctl_text(b->body, "ends_as");
    const char *out = ft_ctl_text(b->body, "out_id"), *errors = ft_ctl_text(b->body, "err_id");
    int rc = put_results(b, "output", out, b->done.out_bytes, err);
    if (rc == 0)
        rc = put_results(b, "errors", errors, b->done.err_bytes, err);
    if (rc != 0)
        return rc;
    json_t *patch = json_object();
    for (size_t i = 0; i < FT_COUNT(when); i++)
        if (strcmp(ends_as, when[i][0]) == 0) {
            json_decref(patch);
            patch = status(when[i][0], when[i][1]);
        }
    if (b->done.out_bytes > 0)
        json_object_set_new(patch, "output_file_id", json_string(out));
    if (b->done.err_bytes > 0)
        json_object_set_new(patch, "error_file_id", json_string(errors));
    return move(b, patch, true, NULL, err);
}

static int begin_finish(struct batch *b, const char *ends_as, json_t *errors, struct ft_err *err)
{
    char out[FT_OAI_ID_BYTES], error[FT_OAI_ID_BYTES];
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    int rc = ft_oai_id_new("file-", now_ms, out, err);
    if (rc == 0)
        rc = ft_oai_id_new("file-", now_ms, error, err);
    if (rc != 0) {
        json_decref(errors);
        return rc;
    }
    json_t *patch =
        strcmp(ends_as, "cancelled") == 0 ? json_object() : status("finalizing", "finalizing_at");
    json_object_set_new(patch, "ends_as", json_string(ends_as));
    json_object_set_new(patch, "out_id", json_string(out));
    json_object_set_new(patch, "err_id", json_string(error));
    json_object_set_new(patch, "errors", errors != NULL ? error_list(errors) : json_null());
    return move(b, patch, false, NULL, err);
}

static int end_work(struct batch *b, bool *answered, enum batch_end end, struct ft_err *err)
{
    static const char expired[] =
        "This request could not be executed before the completion window expired.";
    static const char keyless[] =
        "The key that made the batch was revoked or has expired; the request was not made.";
    json_t *errors = NULL;
    int rc = 0;
    if (end == BATCH_EXPIRED)
        rc = bt_send_none(b, answered, "batch_expired", expired, err);
    if (end == BATCH_KEY_GONE) {
        rc = bt_send_none(b, answered, "invalid_api_key", keyless, err);
        errors = json_pack("[o]", ft_batch_error("invalid_api_key", keyless, NULL, 0));
    }
    if (rc != 0) {
        json_decref(errors);
        return rc;
    }
    return begin_finish(b,
                        end == BATCH_EXPIRED     ? "expired"
                        : end == BATCH_KEY_GONE  ? "failed"
                        : end == BATCH_CANCELLED ? "cancelled"
                                                 : "completed",
                        errors, err);
}

static int work(struct batch *b, struct ft_err *err)
{
    bool *answered = NULL;
    enum batch_end end = BATCH_ALL;
    int rc = resume(b, &answered, err);
    if (rc == 0)
        rc = bt_send(b, answered, &end, err);
    if (rc == 0 && end == BATCH_STOPPED)
        rc = ft_err_set(err, FT_ECANCELED, "stopped");
    if (rc == 0)
        rc = end_work(b, answered, end, err);
    free(answered);
    return rc;
}

static int live(struct batch *b, struct ft_err *err)
{
    int rc = load(b, err);
    if (rc == 0 && mkdir(b->dir, 0700) != 0 && errno != EEXIST)
        rc = ft_err_sys(err, "%s", b->dir);
    if (rc == 0 && strcmp(ft_ctl_text(b->body, "status"), "validating") == 0)
        rc = validate(b, err);
    if (rc != 0 || bt_has_ended(b->body))
        return rc;
    if (ft_ctl_text(b->body, "ends_as") != NULL)
        return finish(b, err);
    /* cancelled before anything was done */
    rc = b->done.total == 0 ? begin_finish(b, "cancelled", NULL, err) : work(b, err);
    return rc == 0 ? finish(b, err) : rc;
}

/* Its entity went with its project: the row of its progress ends too. */
static int gone_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    return bt_row_end(tx, ((struct batch *)ctx)->id, err);
}

/* What no other try mends: the input is gone, or what was committed of the results is. */
static bool is_hopeless(const struct batch *b, int rc)
{
    bool finishes = b->body != NULL && ft_ctl_text(b->body, "ends_as") != NULL;
    return !finishes && (rc == FT_ECORRUPT || rc == FT_ENOTFOUND || rc == FT_EINVAL);
}

void *bt_run(void *ctx)
{
    struct batch *b = ctx;
    struct ft_err err = {0};
    b->out_fd = b->err_fd = -1;
    int rc = live(b, &err);
    bool stuck = rc != 0 && rc != FT_ECANCELED && !b->gone && !bt_stops(b);
    if (stuck)
        ft_log(FT_LOG_ERROR, "control", "%s cannot go on: %s", b->id, err.msg);
    if (stuck && !is_hopeless(b, rc)) {
        bt_sleep(b, AGAIN_MS); /* then it is begun again, from where it is */
    } else if (stuck) {
        json_t *e = json_pack("[o]", ft_batch_error("server_error", err.msg, NULL, 0));
        rc = fail(b, e, &err);
    }
    ft_batch_lines_fini(&b->lines);
    ft_map_close(&b->input);
    if (b->out_fd >= 0)
        close(b->out_fd);
    if (b->err_fd >= 0)
        close(b->err_fd);
    if (b->gone)
        ft_state_tx(b->ctl->state, gone_tx, b, NULL);
    if (b->gone || (b->body != NULL && bt_has_ended(b->body)))
        ft_folder_remove(b->dir);
    json_decref(b->body);
    b->body = NULL;
    atomic_store(&b->finished, true);
    return NULL;
}
