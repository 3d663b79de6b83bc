/* The scripted double. Jobs without a clock run to their end within submit and take no lock; the
 * others lie in a heap by the time of their next token, which one thread works off. A job that was
 * paused when its time came is parked until it is resumed or cancelled. */
#include "serve/replica_script.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/cond.h"

#define TEXT_DEFAULT "The quick brown fox jumps over the lazy dog."
#define ID_BASE      256
#define MS           1000000
#define DIM_DEFAULT  8
#define DIM_MAX      4096

enum failure { FAIL_LOST, FAIL_INTERNAL, FAIL_BUSY, FAIL_INVALID };
static const char *const failure_name[] = {"lost", "internal", "busy", "invalid"};

struct script {
    struct ft_replica base;
    char *text;
    struct ft_slice *word;
    int n_word;
    int tokens, interval_ms, first_ms;
    int fail_after; /* -1: never */
    enum failure failure;

    pthread_mutex_t mu;
    pthread_cond_t cond;
    pthread_t thread;
    bool started, closing;
    struct job **heap;
    int n_heap, cap_heap;
};

struct job {
    struct script *s;
    enum ft_task_kind kind;
    ft_piece_fn *on_piece;
    void *ctx;
    int n, limit; /* choices; tokens of each */
    int at[FT_PIECE_CHOICES_MAX];
    int given; /* tokens in this job */
    int prompt_tokens;
    int64_t due_ns;
    int place; /* in the heap; -1: not there */
    bool canceled, paused, parked;
};

static const struct ft_replica_ops script_ops, script_ops_final;

static struct script *script_of(struct ft_replica *r)
{
    FT_ASSERT(r->ops == &script_ops || r->ops == &script_ops_final);
    return (struct script *)r;
}

/* ---- what is said ---- */

/* The END with the error of this code, or with none. */
static void say_end(struct job *j, const struct ft_err *err, enum ft_piece_fault fault)
{
    struct ft_piece p = {.kind = FT_PIECE_END, .err = err, .fault = fault};
    p.usage.prompt_tokens = j->prompt_tokens;
    for (int c = 0; c < j->n; c++)
        p.usage.completion_tokens += j->at[c];
    if (err != NULL && err->code == FT_EBUSY)
        p.retry_after_ms = 1000;
    j->on_piece(j->ctx, &p);
}

static void say_failure(struct job *j)
{
    static const struct {
        enum ft_code code;
        enum ft_piece_fault fault;
        const char *text;
    } how[] = {{FT_EIO, FT_FAULT_REPLICA, "the connection was lost"},
               {FT_EINTERNAL, FT_FAULT_REPLICA, "internal error"},
               {FT_EBUSY, FT_FAULT_BUSY, "too many requests"},
               {FT_EINVAL, FT_FAULT_CALL, "the request is refused"}};
    struct ft_err err;
    ft_err_set(&err, how[j->s->failure].code, "%s", how[j->s->failure].text);
    say_end(j, &err, how[j->s->failure].fault);
}

/* The next token of every choice that has one left. False: that was the END. */
static bool say_step(struct job *j)
{
    struct script *s = j->s;
    bool any = false;
    for (int c = 0; c < j->n; c++) {
        if (j->at[c] >= j->limit)
            continue;
        if (j->given == s->fail_after) {
            say_failure(j);
            return false;
        }
        int w = (j->at[c] + 7 * c) % s->n_word;
        int32_t id = ID_BASE + w;
        struct ft_piece p = {.kind = FT_PIECE_CONTENT, .choice = c, .text = s->word[w]};
        j->on_piece(j->ctx, &p);
        j->at[c]++;
        j->given++;
        any = true;
        if (j->at[c] == j->limit) {
            enum ft_answer_finish f = j->limit < s->tokens ? FT_ANSWER_LENGTH : FT_ANSWER_STOP;
            p = (struct ft_piece){.kind = FT_PIECE_FINISH, .choice = c, .finish = f};
            j->on_piece(j->ctx, &p);
        }
        p = (struct ft_piece){.kind = FT_PIECE_STEP, .choice = c};
        if (s->base.ops == &script_ops) {
            p.token = &id;
            p.n_token = 1;
        }
        j->on_piece(j->ctx, &p);
    }
    if (!any) {
        say_end(j, NULL, FT_FAULT_CALL);
        return false;
    }
    return true;
}

static int words_in(const char *text)
{
    int n = 0;
    for (const char *p = text; *p != '\0'; p++)
        n += *p != ' ' && (p[1] == ' ' || p[1] == '\0');
    return n;
}

/* Words in all strings of a request's messages, prompt, input or documents. */
static int count_words(const json_t *v, int depth)
{
    if (json_is_string(v))
        return words_in(json_string_value(v));
    int n = 0;
    size_t i;
    const char *key;
    json_t *member;
    if (json_is_array(v) && depth < 8)
        json_array_foreach(v, i, member) n += count_words(member, depth + 1);
    else if (json_is_object(v) && depth < 8)
        json_object_foreach((json_t *)v, key, member) n +=
            strcmp(key, "role") == 0 ? 0 : count_words(member, depth + 1);
    return n;
}

static int prompt_tokens(const json_t *body)
{
    static const char *const members[] = {"messages", "prompt", "input", "query", "documents"};
    int n = 0;
    for (size_t i = 0; i < FT_COUNT(members); i++)
        n += count_words(json_object_get(body, members[i]), 0);
    return n;
}

static json_t *embeddings(const json_t *body)
{
    const json_t *input = json_object_get(body, "input");
    size_t n = json_is_array(input) ? json_array_size(input) : 1;
    int64_t dim = json_integer_value(json_object_get(body, "dimensions"));
    if (dim < 1 || dim > DIM_MAX)
        dim = DIM_DEFAULT;
    json_t *data = json_array();
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_is_array(input) ? json_array_get(input, i) : input;
        json_t *vector = json_array();
        for (int64_t d = 0; d < dim; d++)
            json_array_append_new(vector, json_real(d == count_words(text, 0) % dim ? 1.0 : 0.0));
        json_array_append_new(data, json_pack("{s:s,s:I,s:o}", "object", "embedding", "index",
                                              (json_int_t)i, "embedding", vector));
    }
    return json_pack("{s:s,s:o}", "object", "list", "data", data);
}

/* The more words a document has, the better. */
static json_t *ranks(const json_t *body)
{
    const json_t *documents = json_object_get(body, "documents");
    json_t *results = json_array();
    size_t i;
    json_t *document;
    json_array_foreach(documents, i, document) json_array_append_new(
        results, json_pack("{s:I,s:f}", "index", (json_int_t)i, "relevance_score",
                           1 - 1 / (1.0 + count_words(document, 0))));
    return json_pack("{s:o}", "results", results);
}

static void say_result(struct job *j, const json_t *body)
{
    if (j->s->fail_after == 0) {
        say_failure(j);
        return;
    }
    json_t *result = j->kind == FT_TASK_EMBED ? embeddings(body)
                     : j->kind == FT_TASK_RERANK
                         ? ranks(body)
                         : json_pack("{s:i}", "prompt_tokens", j->prompt_tokens);
    struct ft_piece p = {.kind = FT_PIECE_RESULT, .json = result};
    j->on_piece(j->ctx, &p);
    json_decref(result);
    say_end(j, NULL, FT_FAULT_CALL);
}

/* ---- the clock ---- */

static void heap_set(struct script *s, int place, struct job *j)
{
    s->heap[place] = j;
    j->place = place;
}

static void heap_up(struct script *s, int i)
{
    struct job *j = s->heap[i];
    for (; i > 0 && s->heap[(i - 1) / 2]->due_ns > j->due_ns; i = (i - 1) / 2)
        heap_set(s, i, s->heap[(i - 1) / 2]);
    heap_set(s, i, j);
}

static void heap_down(struct script *s, int i)
{
    struct job *j = s->heap[i];
    for (;;) {
        int k = 2 * i + 1;
        if (k + 1 < s->n_heap && s->heap[k + 1]->due_ns < s->heap[k]->due_ns)
            k++;
        if (k >= s->n_heap || s->heap[k]->due_ns >= j->due_ns)
            break;
        heap_set(s, i, s->heap[k]);
        i = k;
    }
    heap_set(s, i, j);
}

static int heap_push(struct script *s, struct job *j)
{
    if (s->n_heap == s->cap_heap) {
        int cap = FT_MIN(FT_MAX(64, 2 * s->cap_heap), FT_SCRIPT_JOBS_MAX);
        struct job **heap =
            s->n_heap < cap ? realloc(s->heap, (size_t)cap * sizeof(struct job *)) : NULL;
        if (heap == NULL)
            return FT_ELIMIT;
        s->heap = heap;
        s->cap_heap = cap;
    }
    heap_set(s, s->n_heap++, j);
    heap_up(s, j->place);
    return 0;
}

static struct job *heap_pop(struct script *s)
{
    struct job *j = s->heap[0];
    j->place = -1;
    s->n_heap--;
    if (s->n_heap > 0) {
        heap_set(s, 0, s->heap[s->n_heap]);
        heap_down(s, 0);
    }
    return j;
}

/* Without the lock. False: the job has ended. */
static bool job_turn(struct job *j, bool canceled)
{
    if (!canceled)
        return say_step(j);
    struct ft_err err;
    ft_err_set(&err, FT_ECANCELED, "canceled");
    say_end(j, &err, FT_FAULT_CALL);
    return false;
}

static void *script_thread(void *arg)
{
    struct script *s = arg;
    pthread_mutex_lock(&s->mu);
    while (!s->closing) {
        if (s->n_heap == 0) {
            pthread_cond_wait(&s->cond, &s->mu);
            continue;
        }
        int64_t due = s->heap[0]->due_ns;
        if (due > ft_clock_now_ns()) {
            struct timespec t = {due / 1000000000, due % 1000000000};
            pthread_cond_timedwait(&s->cond, &s->mu, &t);
            continue;
        }
        struct job *j = heap_pop(s);
        bool canceled = j->canceled;
        if (j->paused && !canceled) {
            j->parked = true;
            continue;
        }
        pthread_mutex_unlock(&s->mu);
        bool on = job_turn(j, canceled);
        pthread_mutex_lock(&s->mu);
        if (!on) {
            free(j);
            continue;
        }
        j->due_ns = j->canceled ? 0 : j->due_ns + (int64_t)s->interval_ms * MS;
        int rc = heap_push(s, j); /* its place is free: jobs are bounded when they come */
        FT_ASSERT(rc == 0);
    }
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

static int script_start(struct script *s, struct ft_err *err)
{
    if (!s->started) {
        int rc = pthread_create(&s->thread, NULL, script_thread, s);
        if (rc != 0)
            return ft_err_set(err, FT_EIO, "script: thread: error %d", rc);
        s->started = true;
    }
    return 0;
}

/* ---- the seam ---- */

static void job_init(struct job *j, struct script *s, const struct ft_job *job)
{
    j->s = s;
    j->kind = job->kind;
    j->on_piece = job->on_piece;
    j->ctx = job->ctx;
    j->place = -1;
    j->prompt_tokens = prompt_tokens(job->body);
    if (job->kind != FT_TASK_CHAT && job->kind != FT_TASK_TEXT)
        return;
    json_int_t n = json_integer_value(json_object_get(job->body, "n"));
    j->n = (int)(n < 1 ? 1 : FT_MIN(n, FT_PIECE_CHOICES_MAX));
    const json_t *max = json_object_get(job->body, "max_completion_tokens");
    if (!json_is_integer(max))
        max = json_object_get(job->body, "max_tokens");
    j->limit = s->tokens;
    if (json_is_integer(max) && json_integer_value(max) < j->limit)
        j->limit = (int)FT_MAX(json_integer_value(max), 0);
}

/* Goes on behind the tokens of feitian.resume, which must be those it would have said. */
static int job_resume(struct job *j, const json_t *resume, struct ft_err *err)
{
    struct script *s = j->s;
    for (int c = 0; c < j->n; c++) {
        const json_t *ids = json_array_get(resume, (size_t)c);
        size_t i;
        json_t *id;
        json_array_foreach(
            ids, i,
            id) if (json_integer_value(id) !=
                    ID_BASE +
                        ((int)i + 7 * c) %
                            s->n_word) return ft_err_set(err, FT_EINVAL,
                                                         "feitian.resume[%d][%zu]: not my token", c,
                                                         i);
        if (json_array_size(ids) > (size_t)j->limit)
            return ft_err_set(err, FT_EINVAL, "feitian.resume[%d]: more than max_tokens", c);
        j->at[c] = (int)json_array_size(ids);
    }
    return 0;
}

static int script_submit(struct ft_replica *r, const struct ft_job *job,
                         struct ft_replica_job **ret, struct ft_err *err)
{
    struct script *s = script_of(r);
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return ft_err_set(err, FT_ENOMEM, "script: out of memory");
    job_init(j, s, job);
    int rc = job_resume(j, json_object_get(json_object_get(job->body, "feitian"), "resume"), err);
    if (rc != 0) {
        free(j);
        return rc;
    }
    *ret = (struct ft_replica_job *)j;
    bool timed = s->interval_ms > 0 || s->first_ms > 0;
    if (j->n == 0) { /* nothing is generated */
        say_result(j, job->body);
        free(j);
        return 0;
    }
    if (!timed) {
        while (say_step(j))
            ;
        free(j);
        return 0;
    }
    j->due_ns = ft_clock_now_ns() + (int64_t)s->first_ms * MS;
    pthread_mutex_lock(&s->mu);
    rc = script_start(s, err);
    if (rc == 0 && heap_push(s, j) != 0)
        rc = ft_err_set(err, FT_EBUSY, "script: more than %d jobs", FT_SCRIPT_JOBS_MAX);
    if (rc == 0 && j->place == 0)
        pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->mu);
    if (rc != 0)
        free(j);
    return rc;
}

/* Lets the thread look at the job now. Under the lock. */
static void job_hurry(struct job *j, int64_t due_ns)
{
    struct script *s = j->s;
    if (j->parked) {
        j->parked = false;
        j->due_ns = due_ns;
        int rc = heap_push(s, j);
        FT_ASSERT(rc == 0);
    } else if (j->place >= 0 && due_ns < j->due_ns) {
        j->due_ns = due_ns;
        heap_up(s, j->place);
    }
    pthread_cond_signal(&s->cond);
}

static void script_cancel(struct ft_replica *r, struct ft_replica_job *job)
{
    struct script *s = script_of(r);
    struct job *j = (struct job *)job;
    if (s->interval_ms == 0 && s->first_ms == 0)
        return; /* it ends within submit */
    pthread_mutex_lock(&s->mu);
    j->canceled = true;
    job_hurry(j, 0);
    pthread_mutex_unlock(&s->mu);
}

static void script_pause(struct ft_replica *r, struct ft_replica_job *job, bool paused)
{
    struct script *s = script_of(r);
    struct job *j = (struct job *)job;
    if (s->interval_ms == 0 && s->first_ms == 0)
        return; /* few pieces, all on their way */
    pthread_mutex_lock(&s->mu);
    j->paused = paused;
    if (!paused && j->parked)
        job_hurry(j, j->due_ns);
    pthread_mutex_unlock(&s->mu);
}

static void script_close(struct ft_replica *r)
{
    if (r == NULL)
        return;
    struct script *s = script_of(r);
    pthread_mutex_lock(&s->mu);
    s->closing = true;
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->mu);
    if (s->started)
        pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->mu);
    pthread_cond_destroy(&s->cond);
    free(s->heap);
    free(s->word);
    free(s->text);
    free(s);
}

static const struct ft_replica_ops script_ops = {
    .name = "script",
    .submit = script_submit,
    .cancel = script_cancel,
    .pause = script_pause,
    .close = script_close,
    .resumes = true,
};
static const struct ft_replica_ops script_ops_final = {
    .name = "script",
    .submit = script_submit,
    .cancel = script_cancel,
    .pause = script_pause,
    .close = script_close,
    .resumes = false,
};

/* ---- its script ---- */

static int take_int(const json_t *script, const char *name, int least, int most, int *ret,
                    struct ft_err *err)
{
    const json_t *v = json_object_get(script, name);
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return ft_err_set(err, FT_EINVAL, "script.%s: must be a number from %d to %d", name, least,
                          most);
    *ret = (int)json_integer_value(v);
    return 0;
}

static int take_text(struct script *s, const json_t *v, struct ft_err *err)
{
    if (v != NULL && (!json_is_string(v) || json_string_length(v) > FT_SCRIPT_TEXT_MAX ||
                      words_in(json_string_value(v)) == 0))
        return ft_err_set(err, FT_EINVAL, "script.text: must be words, at most %u bytes",
                          FT_SCRIPT_TEXT_MAX);
    s->text = strdup(v != NULL ? json_string_value(v) : TEXT_DEFAULT);
    int most = s->text != NULL ? FT_MIN(words_in(s->text), FT_SCRIPT_WORDS_MAX) : 0;
    s->word = calloc((size_t)most + 1, sizeof *s->word);
    if (s->text == NULL || s->word == NULL)
        return ft_err_set(err, FT_ENOMEM, "script: out of memory");
    const char *p = s->text;
    while (s->n_word < most) { /* a word with the spaces before it */
        const char *begin = p;
        p += strspn(p, " ");
        p += strcspn(p, " ");
        if (s->n_word + 1 == most)
            p += strlen(p);
        s->word[s->n_word++] = (struct ft_slice){begin, (size_t)(p - begin)};
    }
    return 0;
}

static int take_failure(struct script *s, const json_t *script, struct ft_err *err)
{
    const json_t *v = json_object_get(script, "error");
    int rc = take_int(script, "fail_after", 0, 1 << 30, &s->fail_after, err);
    if (rc != 0 || v == NULL)
        return rc;
    if (s->fail_after < 0)
        s->fail_after = 0;
    for (int i = 0; i < (int)FT_COUNT(failure_name) && json_is_string(v); i++)
        if (strcmp(json_string_value(v), failure_name[i]) == 0) {
            s->failure = (enum failure)i;
            return 0;
        }
    return ft_err_set(err, FT_EINVAL, "script.error: must be lost, internal, busy or invalid");
}

int ft_replica_script_open(const json_t *script, struct ft_replica **ret, struct ft_err *err)
{
    if (!json_is_object(script))
        return ft_err_set(err, FT_EINVAL, "script: must be an object");
    struct script *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "script: out of memory");
    const json_t *resumes = json_object_get(script, "resumes");
    s->base.ops = json_is_false(resumes) ? &script_ops_final : &script_ops;
    s->tokens = 16;
    s->fail_after = -1;
    ft_cond_init(&s->cond);
    pthread_mutex_init(&s->mu, NULL);

    int rc = resumes == NULL || json_is_boolean(resumes)
                 ? 0
                 : ft_err_set(err, FT_EINVAL, "script.resumes: must be true or false");
    if (rc == 0)
        rc = take_text(s, json_object_get(script, "text"), err);
    if (rc == 0)
        rc = take_int(script, "tokens", 0, 1 << 24, &s->tokens, err);
    if (rc == 0)
        rc = take_int(script, "interval_ms", 0, 3600000, &s->interval_ms, err);
    if (rc == 0)
        rc = take_int(script, "first_ms", 0, 3600000, &s->first_ms, err);
    if (rc == 0)
        rc = take_failure(s, script, err);
    if (rc != 0) {
        script_close(&s->base);
        return rc;
    }
    *ret = &s->base;
    return 0;
}
