/* feitian chat: a conversation with a model of the cloud, through the public API as any client. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/cloud/show.h"
#include "cli/talk.h"

#define STDIN_MAX      (64u << 20)
#define ANSWER_MAX     (64u << 20)
#define MODEL_BYTES    128
#define BURST_NS       100000000
#define HTTP_FORBIDDEN 403

struct chat {
    struct ft_cloud_options cloud;
    const char *prompt, *system, *thinking;
    double temperature, top_p;
    int64_t max_tokens, seed; /* -1: not given */
    bool quiet, guessed;      /* guessed: the model */
    char **args;
    /* the conversation */
    struct ft_cloud *c;
    char model[MODEL_BYTES];
    char *system_now; /* malloc'ed; NULL: none */
    json_t *messages;
    /* the answer that is coming */
    struct ft_answer_view view;
    struct ft_buf content, reasoning;
    char finish[32];
    json_t *usage;
    int64_t begun_ns, first_ns;
};

/* ---- one answer ---- */

static void take(struct chat *t, const json_t *delta, const char *name, bool reasoning)
{
    const json_t *text = json_object_get(delta, name);
    if (!json_is_string(text) || json_string_length(text) == 0)
        return;
    if (t->first_ns == 0)
        t->first_ns = ft_clock_now_ns();
    ft_buf_add(reasoning ? &t->reasoning : &t->content, json_string_value(text),
               json_string_length(text));
    if (!t->cloud.json)
        ft_answer_add(&t->view, reasoning, json_string_value(text), json_string_length(text));
}

static int on_event(void *ctx, const json_t *event, struct ft_err *err)
{
    struct chat *t = ctx;
    const json_t *choice = json_array_get(json_object_get(event, "choices"), 0);
    const json_t *delta = json_object_get(choice, "delta"),
                 *usage = json_object_get(event, "usage");
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    take(t, delta, "reasoning_content", true);
    take(t, delta, "content", false);
    if (finish != NULL)
        snprintf(t->finish, sizeof t->finish, "%s", finish);
    if (json_is_object(usage)) {
        json_decref(t->usage);
        t->usage = json_incref((json_t *)usage);
    }
    return t->content.failed != 0 || t->reasoning.failed != 0
               ? ft_err_set(err, FT_ELIMIT, "the answer is too long")
               : 0;
}

static json_t *request(const struct chat *t, const char *text, size_t n)
{
    json_t *messages = json_array(), *question = json_stringn(text, n);
    if (question == NULL) { /* not UTF-8 */
        json_decref(messages);
        return NULL;
    }
    if (t->system_now != NULL)
        json_array_append_new(messages,
                              json_pack("{s:s,s:s}", "role", "system", "content", t->system_now));
    json_array_extend(messages, t->messages);
    json_array_append_new(messages, json_pack("{s:s,s:o}", "role", "user", "content", question));
    json_t *body = json_pack("{s:s,s:o,s:b,s:{s:b}}", "model", t->model, "messages", messages,
                             "stream", 1, "stream_options", "include_usage", 1);
    if (t->temperature >= 0)
        json_object_set_new(body, "temperature", json_real(t->temperature));
    if (t->top_p >= 0)
        json_object_set_new(body, "top_p", json_real(t->top_p));
    if (t->max_tokens >= 0)
        json_object_set_new(body, "max_completion_tokens", json_integer(t->max_tokens));
    if (t->seed >= 0)
        json_object_set_new(body, "seed", json_integer(t->seed));
    if (t->thinking != NULL)
        json_object_set_new(body, "chat_template_kwargs",
                            json_pack("{s:b}", "enable_thinking", strcmp(t->thinking, "on") == 0));
    return body;
}

static void print_usage(const struct chat *t)
{
    const json_t *u = t->usage;
    const json_t *details = json_object_get(u, "prompt_tokens_details");
    int64_t end = ft_clock_now_ns(), first = t->first_ns > 0 ? t->first_ns : end;
    int n = (int)json_integer_value(json_object_get(u, "completion_tokens"));
    bool burst = end - first < BURST_NS; /* then the time between tokens says nothing */
    double s = (double)(end - (burst ? t->begun_ns : first)) / 1e9;
    if (u == NULL)
        return;
    fprintf(stderr, "[%d tokens, %.1f tokens/s, first after %.0f ms; prompt %d (%d cached); %s]\n",
            n, s > 0 ? (n - !burst) / s : 0, (double)(first - t->begun_ns) / 1e6,
            (int)json_integer_value(json_object_get(u, "prompt_tokens")),
            (int)json_integer_value(json_object_get(details, "cached_tokens")), t->finish);
}

/* What was said counts for the next question, also when the answer was cut short. */
static void keep(struct chat *t, const char *text, size_t n)
{
    if (t->content.len == 0)
        return;
    json_array_append_new(t->messages, json_pack("{s:s,s:s%}", "role", "user", "content", text, n));
    json_array_append_new(t->messages, json_pack("{s:s,s:s%}", "role", "assistant", "content",
                                                 t->content.data, t->content.len));
}

static void print_json(const struct chat *t)
{
    ft_show_json(json_pack("{s:s,s:s,s:s,s:s,s:O?}", "model", t->model, "content",
                           t->content.data != NULL ? t->content.data : "", "reasoning_content",
                           t->reasoning.data != NULL ? t->reasoning.data : "", "finish_reason",
                           t->finish, "usage", t->usage));
}

static int ask(void *ctx, const char *text, size_t n, struct ft_err *err)
{
    struct chat *t = ctx;
    json_t *body = request(t, text, n);
    if (body == NULL)
        return ft_err_set(err, FT_EINVAL, "the question is not UTF-8");
    ft_buf_init(&t->content, ANSWER_MAX);
    ft_buf_init(&t->reasoning, ANSWER_MAX);
    json_decref(t->usage);
    t->usage = NULL;
    t->first_ns = 0;
    t->begun_ns = ft_clock_now_ns();
    snprintf(t->finish, sizeof t->finish, "interrupted");
    ft_answer_begin(&t->view);
    int rc = ft_cloud_stream(t->c, "/v1/chat/completions", body, on_event, t, ft_talk_interrupted(),
                             err);
    if (t->cloud.json && rc == 0) {
        print_json(t);
    } else {
        ft_answer_end(&t->view, rc != 0);
        if (rc == 0 && !t->quiet)
            print_usage(t);
    }
    if (rc == 0)
        keep(t, text, n);
    ft_buf_fini(&t->content);
    ft_buf_fini(&t->reasoning);
    return rc;
}

/* ---- the conversation ---- */

static void reset(void *ctx)
{
    json_array_clear(((struct chat *)ctx)->messages);
}

static int set_system(void *ctx, const char *text, struct ft_err *err)
{
    struct chat *t = ctx;
    char *copy = strdup(text);
    if (copy == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    free(t->system_now);
    t->system_now = copy;
    reset(t);
    return 0;
}

static int models(struct chat *t, json_t **ret, struct ft_err *err)
{
    json_t *answer;
    int rc = ft_cloud_call(t->c, "GET", "/v1/models", NULL, &answer, err);
    if (rc != 0)
        return rc;
    *ret = json_incref(json_object_get(answer, "data"));
    json_decref(answer);
    return 0;
}

static int command(void *ctx, const char *line, struct ft_err *err)
{
    struct chat *t = ctx;
    json_t *list = NULL, *m;
    size_t i;
    bool found = false;
    const char *wanted = strncmp(line, "/model ", 7) == 0 ? line + 7 : NULL;
    if (wanted == NULL && strcmp(line, "/model") != 0 && strcmp(line, "/models") != 0)
        return FT_ENOTFOUND;
    int rc = models(t, &list, err);
    json_array_foreach(list, i, m)
    {
        const char *id = ft_cloud_text(m, "id", "");
        if (wanted == NULL)
            printf("%s %s\n", strcmp(id, t->model) == 0 ? "*" : " ", id);
        else
            found |= strcmp(id, wanted) == 0;
    }
    json_decref(list);
    if (rc == 0 && wanted != NULL && !found)
        return ft_err_set(err, FT_EINVAL, "there is no model %s; /models lists them", wanted);
    if (rc == 0 && wanted != NULL)
        snprintf(t->model, sizeof t->model, "%s", wanted);
    return rc;
}

static const struct ft_talk_ops talk_ops = {
    .ask = ask,
    .reset = reset,
    .set_system = set_system,
    .command = command,
    .help = "/models       the models there are; /model NAME goes on with that one\n"};

static json_t *find(const json_t *list, const char *member, const char *value)
{
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o) if (strcmp(ft_cloud_text(o, member, ""), value) == 0) return o;
    return NULL;
}

/* An endpoint, as a model to talk to where nobody named one. */
struct choice {
    const char *id;
    int rank;                /* 0: not offered */
    json_int_t model, since; /* created: the model behind it, the endpoint */
    bool own;                /* it is called as its model is */
};

enum { RANK_NONE, RANK_SERVER, RANK_TUNED, RANK_MODEL };

/* Of a model whose tasks are not known: yes. */
static bool can_chat(const json_t *model)
{
    size_t i;
    json_t *task;
    json_array_foreach(json_object_get(model, "tasks"), i, task)
    {
        const char *word = json_string_value(task);
        if (word != NULL && strcmp(word, "chat") == 0)
            return true;
    }
    return model == NULL;
}

/* Other servers may be down, and what was fine-tuned knows one thing: both only where there is
 * nothing else. A checkpoint is never what is meant. */
static struct choice weigh(const json_t *m, const json_t *endpoints, const json_t *all)
{
    struct choice ret = {.id = ft_cloud_text(m, "id", ""),
                         .since = json_integer_value(json_object_get(m, "created"))};
    const json_t *target =
        json_array_get(json_object_get(find(endpoints, "name", ret.id), "targets"), 0);
    const char *name = ft_cloud_text(target, "model", "");
    bool server = json_is_string(json_object_get(target, "url"));
    const json_t *model = server ? NULL : find(all, "name", name);
    if (ret.id[0] == '\0' || ft_show_is_checkpoint(ret.id) || !can_chat(model))
        return ret;
    bool tuned =
        strncmp(ret.id, "ft:", 3) == 0 || json_is_string(json_object_get(target, "adapter"));
    ret.rank = server ? RANK_SERVER : tuned ? RANK_TUNED : RANK_MODEL;
    ret.model = json_integer_value(json_object_get(model, "created"));
    ret.own = strcmp(name, ret.id) == 0;
    return ret;
}

/* The newest model, so that one just added is talked to, but no new name of an older one: of its
 * names its own, else the first that it was given. */
static bool is_better(const struct choice *a, const struct choice *b)
{
    if (a->rank != b->rank)
        return a->rank > b->rank;
    if (a->model != b->model)
        return a->model > b->model;
    if (a->own != b->own)
        return a->own;
    if (a->since != b->since)
        return a->since < b->since;
    return strcmp(a->id, b->id) < 0;
}

static void choose_from(struct chat *t, const json_t *list)
{
    json_t *m, *endpoints = NULL, *all = NULL;
    size_t i;
    struct choice best = {0};
    struct ft_err ignored = {0}; /* a key may call models without seeing what they are */
    if (ft_cloud_list(t->c, "/api/v1/endpoints", &endpoints, &ignored) != 0 ||
        ft_cloud_list(t->c, "/api/v1/models", &all, &ignored) != 0)
        ft_log(FT_LOG_DEBUG, "chat", "%s", ignored.msg);
    json_array_foreach(list, i, m)
    {
        struct choice one = weigh(m, endpoints, all);
        if (one.rank != RANK_NONE && is_better(&one, &best))
            best = one;
    }
    if (best.rank != RANK_NONE)
        snprintf(t->model, sizeof t->model, "%s", best.id);
    json_decref(endpoints);
    json_decref(all);
}

/* Nobody said which. */
static int choose_model(struct chat *t, struct ft_err *err)
{
    json_t *list;
    int rc = models(t, &list, err);
    if (rc != 0 && t->c->status == HTTP_FORBIDDEN) { /* the key may not list them: the usual one */
        *err = (struct ft_err){0};
        snprintf(t->model, sizeof t->model, "nano");
        t->guessed = true;
        return 0;
    }
    if (rc != 0)
        return rc;
    choose_from(t, list);
    if (json_array_size(list) == 0)
        rc = ft_err_set(err, FT_ENOTFOUND,
                        "the cloud has no model for this key: 'feitian model add' brings one");
    else if (t->model[0] == '\0')
        rc = ft_err_set(err, FT_ENOTFOUND,
                        "no model here has a chat template; 'feitian chat NAME' tries one anyway");
    json_decref(list);
    return rc;
}

/* A guess that did not do is no answer to whoever named nothing. */
static int explain_guess(const struct chat *t, int rc, struct ft_err *err)
{
    char why[FT_ERR_MSG_MAX];
    if (rc == 0 || !t->guessed || t->c->status / 100 != 4)
        return rc;
    snprintf(why, sizeof why, "%s", err->msg);
    return ft_err_set(err, err->code,
                      "this key may not list models: name one, 'feitian chat NAME' (%.350s)", why);
}

static int run(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    struct chat *t = ctx;
    char *text = NULL;
    size_t n = 0;
    t->c = c;
    t->messages = json_array();
    int rc = t->system != NULL ? set_system(t, t->system, err) : 0;
    if (rc == 0 && t->args[0] != NULL)
        snprintf(t->model, sizeof t->model, "%s", t->args[0]);
    else if (rc == 0)
        rc = choose_model(t, err);
    bool talks = t->prompt == NULL && isatty(STDIN_FILENO) == 1;
    if (rc == 0 && t->args[0] == NULL && !talks && !t->quiet && !t->cloud.json)
        fprintf(stderr, "[%s]\n", t->model); /* nobody named it */
    if (rc == 0 && talks) {
        printf("%s at %s\n", t->model, c->url);
        ft_talk("chat", &talk_ops, t);
    } else if (rc == 0 && t->prompt != NULL && strcmp(t->prompt, "-") != 0) {
        rc = explain_guess(t, ask(t, t->prompt, strlen(t->prompt), err), err);
    } else if (rc == 0) {
        rc = ft_file_read("-", STDIN_MAX, &text, &n, err);
        if (rc == 0 && n > 0 && text[n - 1] == '\n')
            n--; /* what `echo` adds */
        if (rc == 0)
            rc = explain_guess(t, ask(t, text, n, err), err);
        free(text);
    }
    json_decref(t->messages);
    json_decref(t->usage);
    free(t->system_now);
    return rc;
}

int ft_cmd_chat(int argc, char **argv)
{
    struct chat t = {.temperature = -1, .top_p = -1, .max_tokens = -1, .seed = -1};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(t.cloud),
        {"prompt", 'p', FT_OPT_TEXT, &t.prompt, 0, 0},
        {"system", 0, FT_OPT_TEXT, &t.system, 0, 0},
        {"thinking", 0, FT_OPT_TEXT, &t.thinking, 0, 0},
        {"temperature", 0, FT_OPT_REAL, &t.temperature, 0, 2},
        {"top-p", 0, FT_OPT_REAL, &t.top_p, 1e-6, 1},
        {"max-tokens", 0, FT_OPT_WHOLE, &t.max_tokens, 1, 1 << 24},
        {"seed", 0, FT_OPT_WHOLE, &t.seed, 0, 9e15},
        {"quiet", 0, FT_OPT_FLAG, &t.quiet, 0, 0},
    };
    int rc = ft_opts_parse("chat", opts, FT_COUNT(opts), argc, argv, 0, 1, "", &t.args);
    if (rc == 0 && t.thinking != NULL && strcmp(t.thinking, "on") != 0 &&
        strcmp(t.thinking, "off") != 0)
        return ft_cli_usage("chat", "--thinking: '%s' is not on or off", t.thinking);
    if (rc != 0)
        return rc;
    ft_talk_catch();
    return ft_cloud_command("chat", &t.cloud, run, &t);
}
