/* Serving with real workers on the model that ships: their processes, sockets, tokens, and deaths.
 *
 * usage: serve_live FEITIAN MODEL [check | pause | prefix]
 *
 * check (the default): 32 streams, greedy and seeded, over two workers; then the same while one and
 * then all workers are killed: the answers must be the same. A gateway that comes back takes over
 * the workers that run. pause and prefix print figures: what a kill costs, what affinity gains. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/client.h"
#include "sched/exec_local.h"
#include "serve/serve.h"

#define N        32
#define TOKENS   48
#define TEXT_MAX 8192
#define REPLICAS 2

struct cloud {
    char dir[64];
    struct ft_exec *exec;
    struct ft_http_client *client;
    struct ft_serve *serve;
    const char *feitian, *model;
};

struct stream {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    char text[TEXT_MAX];
    int tokens, finishes;
    bool ended;
    int64_t first_ns, last_ns, gap_ns;
    struct ft_answer_usage usage;
    struct ft_err err;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "serve_live: %s: %s\n", what, why);
    exit(1);
}

static struct ft_serve *woken;

static void on_task(void *ctx, enum ft_exec_event event, const struct ft_exec_info *info)
{
    (void)ctx;
    (void)info;
    struct ft_serve *s = __atomic_load_n(&woken, __ATOMIC_ACQUIRE);
    if (s != NULL && event == FT_EXEC_EVENT_ENDED)
        ft_serve_wake(s);
}

static void apply(struct cloud *c, const char *kind, const char *id, const char *json)
{
    struct ft_err err;
    json_t *body = json_loads(json, 0, NULL);
    if (body == NULL || ft_serve_apply(c->serve, kind, id, body, &err) != 0)
        fail(json, body == NULL ? "no JSON" : err.msg);
    json_decref(body);
}

static void cloud_open(struct cloud *c)
{
    struct ft_err err;
    char tasks[96], read[512], row[1024];
    snprintf(tasks, sizeof tasks, "%s/tasks", c->dir);
    snprintf(read, sizeof read, "%.*s", (int)(strrchr(c->model, '/') - c->model), c->model);
    const char *argv[] = {c->feitian, "worker", "--unconfined", NULL};
    if (ft_exec_local_open(tasks, on_task, NULL, &c->exec, &err) != 0)
        fail("exec", err.msg);
    if (ft_http_client_open(&c->client, &err) != 0)
        fail("client", err.msg);
    struct ft_serve_config config = {.exec = c->exec,
                                     .client = c->client,
                                     .worker_argv = argv,
                                     .run_dir = c->dir,
                                     .log_dir = c->dir,
                                     .read_dir = read,
                                     .memory_bytes = 1LL << 30,
                                     .threads = 1};
    if (ft_serve_open(&config, &c->serve, &err) != 0)
        fail("serve", err.msg);
    __atomic_store_n(&woken, c->serve, __ATOMIC_RELEASE);
    snprintf(row, sizeof row, "{\"name\":\"nano\",\"path\":\"%s\"}", c->model);
    apply(c, "model", "nano", row);
    snprintf(row, sizeof row,
             "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],\"replicas\":{\"min\":%d,"
             "\"max\":%d},\"target_load\":64}",
             REPLICAS, REPLICAS);
    apply(c, "endpoint", "e1", row);
}

static void cloud_close(struct cloud *c, bool stop)
{
    __atomic_store_n(&woken, NULL, __ATOMIC_RELEASE);
    ft_serve_close(c->serve, stop);
    ft_http_client_close(c->client);
    if (stop)
        ft_exec_sweep(c->exec, 3000);
    ft_exec_close(c->exec);
}

/* Processes of ready workers, by place; 0: not ready. How many are. */
static int ready_pids(struct cloud *c, int64_t *pid)
{
    json_t *st = ft_serve_status(c->serve), *w;
    size_t i;
    int n = 0;
    memset(pid, 0, REPLICAS * sizeof *pid);
    json_array_foreach(json_object_get(st, "workers"), i, w)
    {
        const char *state = json_string_value(json_object_get(w, "state"));
        const json_t *models = json_object_get(w, "models");
        int k;
        if (sscanf(json_string_value(json_object_get(w, "id")), "worker-%d", &k) != 1 ||
            strcmp(state, "ready") != 0 || json_array_size(models) == 0)
            continue;
        pid[k] = json_integer_value(json_object_get(w, "pid"));
        n++;
    }
    json_decref(st);
    return n;
}

static void wait_ready(struct cloud *c, int64_t *pid)
{
    for (int i = 0; ready_pids(c, pid) < REPLICAS; i++) {
        if (i == 12000)
            fail("workers", "not ready within two minutes");
        usleep(10000);
    }
    usleep(200000); /* the model is being loaded */
}

/* ---- streams ---- */

static void on_piece(void *ctx, const struct ft_piece *p)
{
    struct stream *s = ctx;
    int64_t now = ft_clock_now_ns();
    pthread_mutex_lock(&s->mu);
    size_t n = strlen(s->text);
    if (p->kind == FT_PIECE_CONTENT && n + p->text.n < sizeof s->text) {
        memcpy(s->text + n, p->text.p, p->text.n);
        s->text[n + p->text.n] = '\0';
    }
    if (p->kind == FT_PIECE_STEP) {
        if (s->tokens > 0 && now - s->last_ns > s->gap_ns)
            s->gap_ns = now - s->last_ns;
        if (s->tokens == 0)
            s->first_ns = now;
        s->tokens += p->n_token;
        s->last_ns = now;
    }
    s->finishes += p->kind == FT_PIECE_FINISH;
    if (p->kind == FT_PIECE_END) {
        s->ended = true;
        s->usage = p->usage;
        if (p->err != NULL)
            s->err = *p->err;
        pthread_cond_signal(&s->cond);
    }
    pthread_mutex_unlock(&s->mu);
}

static void start(struct cloud *c, struct stream *s, int i, const char *round, const char *prompt,
                  double temperature, int tokens)
{
    struct ft_err err;
    struct ft_serve_call *call;
    char id[64];
    int retry_ms;
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->mu, NULL);
    pthread_cond_init(&s->cond, NULL);
    snprintf(id, sizeof id, "req_%s_%d", round, i);
    json_t *body = json_pack("{s:s,s:[{s:s,s:s}],s:i,s:f,s:i}", "model", "chat", "messages", "role",
                             "user", "content", prompt, "max_tokens", tokens, "temperature",
                             temperature, "seed", 1000 + i);
    struct ft_serve_request q = {.kind = FT_TASK_CHAT,
                                 .id = id,
                                 .endpoint = "chat",
                                 .project = "test",
                                 .weight = 1,
                                 .body = body,
                                 .on_piece = on_piece,
                                 .ctx = s};
    if (ft_serve_submit(c->serve, &q, &call, &retry_ms, &err) != 0)
        fail("submit", err.msg);
    json_decref(body);
}

static void finish(struct stream *s)
{
    pthread_mutex_lock(&s->mu);
    while (!s->ended)
        pthread_cond_wait(&s->cond, &s->mu);
    pthread_mutex_unlock(&s->mu);
    if (s->err.code != FT_OK)
        fail("stream", s->err.msg);
}

static int tokens_of(struct stream *s)
{
    int n = 0;
    for (int i = 0; i < N; i++) {
        pthread_mutex_lock(&s[i].mu);
        n += s[i].tokens;
        pthread_mutex_unlock(&s[i].mu);
    }
    return n;
}

/* 32 streams; after kill_at tokens of all together the first n_kill workers are killed. */
static void round_of(struct cloud *c, struct stream *s, const char *name, double temperature,
                     int kill_at, int n_kill)
{
    int64_t pid[REPLICAS];
    wait_ready(c, pid);
    for (int i = 0; i < N; i++) {
        char prompt[64];
        snprintf(prompt, sizeof prompt, "Tell me something about the number %d.", i);
        start(c, &s[i], i, name, prompt, temperature, TOKENS);
    }
    if (n_kill > 0) {
        while (tokens_of(s) < kill_at)
            usleep(1000);
        for (int k = 0; k < n_kill; k++)
            kill((pid_t)pid[k], SIGKILL);
    }
    int64_t gap = 0;
    for (int i = 0; i < N; i++) {
        finish(&s[i]);
        gap = s[i].gap_ns > gap ? s[i].gap_ns : gap;
    }
    printf("%-16s %d tokens, longest pause %.0f ms\n", name, tokens_of(s), (double)gap / 1e6);
}

static void same(const struct stream *a, const struct stream *b, const char *what)
{
    for (int i = 0; i < N; i++)
        if (strcmp(a[i].text, b[i].text) != 0 || a[i].tokens != b[i].tokens ||
            a[i].finishes != b[i].finishes ||
            a[i].usage.completion_tokens != b[i].usage.completion_tokens) {
            fprintf(stderr, "stream %d, %d and %d tokens:\n%s\n---\n%s\n", i, a[i].tokens,
                    b[i].tokens, a[i].text, b[i].text);
            fail(what, "not the same answer");
        }
}

static void check(struct cloud *c)
{
    struct stream *whole = calloc(N, sizeof *whole), *cut = calloc(N, sizeof *cut);
    for (int t = 0; t < 2; t++) {
        double temperature = t == 0 ? 0 : 0.9;
        round_of(c, whole, t == 0 ? "greedy" : "seeded", temperature, 0, 0);
        round_of(c, cut, t == 0 ? "greedy-kill" : "seeded-kill", temperature, 150, 1);
        same(whole, cut, "one worker killed");
        round_of(c, cut, t == 0 ? "greedy-kill-all" : "seeded-kill-all", temperature, 300,
                 REPLICAS);
        same(whole, cut, "all workers killed");
    }
    int64_t before[REPLICAS], after[REPLICAS];
    wait_ready(c, before);
    cloud_close(c, false);
    cloud_open(c);
    wait_ready(c, after);
    if (memcmp(before, after, sizeof before) != 0)
        fail("restart", "the workers are not the same processes");
    round_of(c, cut, "taken-over", 0.9, 0, 0);
    same(whole, cut, "after a restart of the gateway");
    free(whole);
    free(cut);
}

/* What a kill costs: pauses of answers that are much longer than the pause. */
static void pauses(struct cloud *c)
{
    struct stream *s = calloc(N, sizeof *s);
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "kill-%d", i);
        round_of(c, s, name, 0.9, 400, 1);
    }
    free(s);
}

/* 32 clients whose prompts share about 1,000 tokens. */
static void prefix(struct cloud *c)
{
    struct stream *s = calloc(N, sizeof *s);
    char prompt[8192];
    int64_t pid[REPLICAS];
    wait_ready(c, pid);
    for (int round = 0; round < 3; round++) {
        char name[32];
        snprintf(name, sizeof name, "prefix-%d", round);
        int64_t begin = ft_clock_now_ns();
        for (int i = 0; i < N; i++) {
            size_t n = 0;
            for (int k = 0; k < 72; k++)
                n += (size_t)snprintf(prompt + n, sizeof prompt - n, "Rule %d of %d is kept. ", k,
                                      round);
            snprintf(prompt + n, sizeof prompt - n, "Now tell me about %d.", i);
            start(c, &s[i], i, name, prompt, 0, 16);
        }
        int64_t cached = 0, all = 0, tokens = 0;
        for (int i = 0; i < N; i++) {
            finish(&s[i]);
            cached += s[i].usage.cached_tokens;
            all += s[i].usage.prompt_tokens;
            tokens += s[i].tokens;
        }
        double sec = (double)(ft_clock_now_ns() - begin) / 1e9;
        printf("%s: %.2f s, %.0f tokens/s, %lld of %lld prompt tokens cached\n", name, sec,
               (double)tokens / sec, (long long)cached, (long long)all);
    }
    free(s);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        fail("usage", "serve_live FEITIAN MODEL [check | pause | prefix]");
    struct cloud c = {.dir = "/tmp/serve_live.XXXXXX"};
    char feitian[4096], model[4096];
    if (mkdtemp(c.dir) == NULL || realpath(argv[1], feitian) == NULL ||
        realpath(argv[2], model) == NULL)
        fail(argv[2], "no such file");
    c.feitian = feitian;
    c.model = model;
    setvbuf(stdout, NULL, _IOLBF, 0);
    cloud_open(&c);
    const char *what = argc > 3 ? argv[3] : "check";
    if (strcmp(what, "pause") == 0)
        pauses(&c);
    else if (strcmp(what, "prefix") == 0)
        prefix(&c);
    else
        check(&c);
    cloud_close(&c, true);
    char remove[128];
    snprintf(remove, sizeof remove, "rm -rf %s", c.dir);
    return system(remove) != 0;
}
