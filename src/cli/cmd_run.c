/* feitian run: one answer, or a conversation in the terminal. */
#include "cli/cli.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/chat.h"
#include "cli/local.h"
#include "cli/run_options.h"
#include "cli/talk.h"

#define STDIN_MAX  (64u << 20)
#define MODEL_ID   "model"
#define DRAFT_ID   "draft"
#define ADAPTER_ID "adapter"
#define BAR_WIDTH  32

/* ---- loading ---- */

static void show_progress(void *ctx, uint64_t done, uint64_t all)
{
    const char *name = ctx;
    int filled = all > 0 ? (int)(done * BAR_WIDTH / all) : BAR_WIDTH;
    char bar[BAR_WIDTH * 3 + 1] = "";
    for (int i = 0; i < BAR_WIDTH; i++)
        strcat(bar, i < filled ? "█" : "░");
    fprintf(stderr, "\r%s %s %3.0f %%  %.1f of %.1f MB ", name, bar,
            all > 0 ? 100.0 * (double)done / (double)all : 100.0, (double)done / 1e6,
            (double)all / 1e6);
    if (done == all)
        fprintf(stderr, "\r\033[K");
}

/* adapter: a folder, NULL: none; read first, as it is small and may not fit the model. */
static int load(struct ft_engine *e, const char *id, const char *path, const char *adapter,
                int n_ctx, bool show, struct ft_err *err)
{
    struct ft_model_options opt = {.n_ctx = n_ctx};
    const char *name = strrchr(path, '/');
    name = name != NULL && name[1] != '\0' ? name + 1 : path;
    int rc = ft_engine_model_add(e, id, path, &opt, err);
    if (rc == 0 && adapter != NULL)
        rc = ft_engine_adapter_add(e, id, ADAPTER_ID, adapter, err);
    if (rc == 0)
        rc = ft_engine_model_load(e, id, show ? show_progress : NULL, (void *)name, err);
    return rc;
}

/* What the file recommends, unless the user said otherwise. */
static void use_model_defaults(struct ft_engine *e, struct ft_run_options *o)
{
    static const struct {
        const char *key;
        size_t at;
    } floats[] = {{"general.sampling.temp", offsetof(struct ft_sampling, temperature)},
                  {"general.sampling.top_p", offsetof(struct ft_sampling, top_p)},
                  {"general.sampling.min_p", offsetof(struct ft_sampling, min_p)}};
    const bool given[] = {o->given_temperature, o->given_top_p, o->given_min_p};
    const struct ft_model_source *s;
    struct ft_err ignored;
    if (ft_engine_model_source(e, MODEL_ID, &s, &ignored) != 0)
        return;
    for (size_t i = 0; i < FT_COUNT(floats); i++) {
        double v;
        float f;
        if (given[i] || !ft_meta_f64(s->weights, floats[i].key, &v) || !(v >= 0 && v <= 100))
            continue;
        f = (float)v;
        memcpy((char *)&o->chat.request.sampling + floats[i].at, &f, sizeof f);
    }
    uint64_t top_k;
    if (!o->given_top_k && ft_meta_u64(s->weights, "general.sampling.top_k", &top_k) &&
        top_k <= FT_VOCAB_MAX)
        o->chat.request.sampling.top_k = (int)top_k;
    ft_model_source_unref(s);
}

/* ---- answering ---- */

struct printer {
    struct ft_answer_view view;
    struct ft_matcher *matcher; /* NULL: the answer is free */
};

static void print_part(void *ctx, const struct ft_part *part)
{
    struct printer *p = ctx;
    if (part->kind == FT_PART_CONTENT && p->matcher != NULL)
        ft_matcher_accept_bytes(p->matcher, part->text, part->n);
    if (part->kind == FT_PART_CONTENT || part->kind == FT_PART_REASONING)
        ft_answer_add(&p->view, part->kind == FT_PART_REASONING, part->text, part->n);
}

static double rate(int tokens, int64_t ns)
{
    return ns > 0 ? tokens * 1e9 / (double)ns : 0;
}

static void print_usage(const struct ft_chat_result *r)
{
    const struct ft_usage *u = &r->usage;
    int computed = u->prompt_tokens - u->cached_tokens;
    fprintf(stderr,
            "[%d tokens, %.1f tokens/s; prompt %d tokens (%d cached), %.1f tokens/s; ended: %s",
            u->generated_tokens, rate(u->generated_tokens - 1, u->decode_ns), u->prompt_tokens,
            u->cached_tokens, rate(computed, u->prefill_ns), ft_finish_name(r->finish));
    if (u->drafted_tokens > 0)
        fprintf(stderr, "; %d of %d drafted tokens accepted", u->accepted_tokens,
                u->drafted_tokens);
    fprintf(stderr, "]\n");
}

/* The length ran out before the grammar's end: who reads the answer as JSON must know. */
static int check_complete(const struct printer *p, const struct ft_chat_result *r,
                          struct ft_err *err)
{
    if (p->matcher == NULL || r->finish != FT_FINISH_LENGTH || ft_matcher_may_end(p->matcher))
        return 0;
    return ft_err_set(err, FT_ELIMIT,
                      "the constrained answer is not complete: cut after %d tokens (--max-tokens, "
                      "--ctx)",
                      r->usage.generated_tokens);
}

struct talk {
    struct ft_chat *chat;
    struct ft_grammar *grammar; /* NULL: none */
    bool quiet;
};

static int answer(void *ctx, const char *text, size_t n, struct ft_err *err)
{
    const struct talk *t = ctx;
    struct printer p = {0};
    struct ft_chat_result r = {0};
    int rc = t->grammar != NULL ? ft_matcher_open(t->grammar, NULL, &p.matcher, err) : 0;
    ft_answer_begin(&p.view);
    if (rc == 0)
        rc = ft_chat_ask(t->chat, text, n, print_part, &p, ft_talk_interrupted(), &r, err);
    ft_answer_end(&p.view, rc != 0);
    if (rc == 0 && !t->quiet)
        print_usage(&r);
    if (rc == 0)
        rc = check_complete(&p, &r, err);
    ft_matcher_close(p.matcher);
    return rc;
}

static void reset(void *ctx)
{
    ft_chat_reset(((struct talk *)ctx)->chat);
}

static int set_system(void *ctx, const char *text, struct ft_err *err)
{
    return ft_chat_set_system(((struct talk *)ctx)->chat, text, err);
}

static const struct ft_talk_ops talk_ops = {
    .ask = answer, .reset = reset, .set_system = set_system, .help = ""};

static int one_answer(struct talk *t, const char *prompt, struct ft_err *err)
{
    char *text = NULL;
    size_t n = 0;
    if (prompt != NULL && strcmp(prompt, "-") != 0)
        return answer(t, prompt, strlen(prompt), err);
    int rc = ft_file_read("-", STDIN_MAX, &text, &n, err);
    if (rc == 0 && n > 0 && text[n - 1] == '\n')
        n--; /* what `echo` adds */
    if (rc == 0)
        rc = answer(t, text, n, err);
    free(text);
    return rc;
}

static int run(struct ft_run_options *o, struct ft_err *err)
{
    struct ft_dev *dev = NULL;
    struct ft_engine *engine = NULL;
    struct ft_chat *chat = NULL;
    struct ft_engine_config cfg;
    ft_engine_config_init(&cfg);
    cfg.kv_type = o->kv_type;
    if (o->memory_mb > 0)
        cfg.memory_bytes = (uint64_t)o->memory_mb << 20;
    bool show = isatty(STDERR_FILENO) == 1 && !o->quiet;
    const struct ft_dev_ops *ops = ft_local_device(o->device);
    struct ft_dev_config dev_cfg = {.n_threads = o->n_threads, .isa = o->isa};
    int rc = ops != NULL
                 ? ft_dev_open(ops, &dev_cfg, &dev, err)
                 : ft_err_set(err, FT_EINVAL, "--device: '%s' is not cpu or ref", o->device);
    if (rc == 0)
        rc = ft_engine_open(dev, &cfg, &engine, err);
    if (rc == 0)
        rc = load(engine, MODEL_ID, o->model, o->adapter, o->n_ctx, show, err);
    if (rc == 0 && o->draft != NULL) {
        rc = load(engine, DRAFT_ID, o->draft, NULL, o->n_ctx, show, err);
        o->chat.request.spec.draft = DRAFT_ID;
    }
    if (rc == 0) {
        use_model_defaults(engine, o);
        o->chat.model = MODEL_ID;
        o->chat.request.adapter = o->adapter != NULL ? ADAPTER_ID : NULL;
        rc = ft_chat_open(engine, &o->chat, &chat, err);
    }
    struct talk talk = {chat, o->grammar, o->quiet};
    if (rc == 0 && o->prompt == NULL && isatty(STDIN_FILENO) == 1)
        ft_talk("run", &talk_ops, &talk);
    else if (rc == 0)
        rc = one_answer(&talk, o->prompt, err);
    ft_chat_close(chat);
    ft_engine_close(engine);
    ft_dev_close(dev);
    return rc;
}

int ft_cmd_run(int argc, char **argv)
{
    struct ft_run_options o;
    struct ft_err err = {0};
    ft_talk_catch();
    int status = 0;
    if (ft_run_options_parse(argc, argv, &o, &err) != 0)
        status = err.msg[0] == '\0' ? ft_cli_see_help("run") : ft_cli_usage("run", "%s", err.msg);
    else if (run(&o, &err) != 0)
        status =
            ft_cli_fail(err.code == FT_EINVAL || err.code == FT_EUNSUPPORTED ? 2 : 1, &err, "run");
    ft_run_options_fini(&o);
    return status;
}
