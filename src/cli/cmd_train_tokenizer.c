/* feitian train tokenizer: a byte-level BPE vocabulary learnt from text, as tokenizer.json. */
#include "cli/cli.h"

#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/slice.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "model/jinja/template.h"
#include "train/tokenizer/chatml.h"
#include "train/tokenizer/corpus.h"

#define NAME               "train tokenizer"
#define TEMPLATE_BYTES_MAX ((size_t)1 << 20)
#define FILE_BYTES_MAX     ((size_t)1 << 30)
#define PATH_BYTES_MAX     4096

struct options {
    struct ft_bpe_config bpe;
    struct ft_bpe_files files;
    const char *special[FT_BPE_SPECIALS_MAX];
    char json[PATH_BYTES_MAX], config[PATH_BYTES_MAX]; /* where they go */
    char *template;                                    /* read from a file */
    bool given_special;
};

struct watch {
    struct ft_progress bar;
    const atomic_int *interrupt;
};

static int on_read(void *ctx, int64_t done, int64_t all)
{
    struct watch *w = ctx;
    w->bar.what = "counting";
    ft_progress_show(&w->bar, (uint64_t)done, (uint64_t)all);
    return *w->interrupt;
}

static int on_merge(void *ctx, int done, int all)
{
    struct watch *w = ctx;
    w->bar.what = "learning";
    ft_progress_show(&w->bar, (uint64_t)done, (uint64_t)all);
    return *w->interrupt;
}

/* ---- options ---- */

static int add_special(struct options *o, const char *token, struct ft_err *err)
{
    if (o->bpe.n_special == FT_BPE_SPECIALS_MAX)
        return ft_err_set(err, FT_EINVAL, "--special: more than %d", FT_BPE_SPECIALS_MAX);
    o->special[o->bpe.n_special++] = token;
    return 0;
}

static bool has_special(const struct options *o, const char *token)
{
    for (int i = 0; i < o->bpe.n_special; i++)
        if (strcmp(o->special[i], token) == 0)
            return true;
    return false;
}

/* -o: a file's path, whose neighbour gets the configuration; or a folder for both. */
static int set_output(struct options *o, const char *path, struct ft_err *err)
{
    const char *slash = strrchr(path, '/');
    int n, folder_n = slash != NULL ? (int)(slash - path) + 1 : 0;
    if (ft_str_ends(path, ".json")) {
        n = snprintf(o->json, sizeof o->json, "%s", path);
        snprintf(o->config, sizeof o->config, "%.*stokenizer_config.json", folder_n, path);
    } else {
        if (mkdir(path, 0777) != 0 && access(path, W_OK) != 0)
            return ft_err_sys(err, "-o %s", path);
        const char *gap = ft_str_ends(path, "/") ? "" : "/";
        n = snprintf(o->json, sizeof o->json, "%s%stokenizer.json", path, gap);
        snprintf(o->config, sizeof o->config, "%s%stokenizer_config.json", path, gap);
    }
    if ((size_t)n + sizeof "tokenizer_config.json" > sizeof o->json)
        return ft_err_set(err, FT_EINVAL, "-o: the path is too long");
    return 0;
}

static int set_pieces(struct options *o, const char *name, struct ft_err *err)
{
    static const char *const names[][2] = {
        {"qwen2", "qwen2"}, {"llama3", "llama-bpe"}, {"gpt2", "gpt-2"}};
    for (size_t i = 0; i < FT_COUNT(names); i++)
        if (strcmp(names[i][0], name) == 0) {
            o->bpe.pieces = names[i][1];
            return 0;
        }
    return ft_err_set(err, FT_EINVAL, "--pretokenizer: '%s' is not qwen2, llama3 or gpt2", name);
}

static int set_template(struct options *o, const char *name, struct ft_err *err)
{
    struct ft_template *t = NULL;
    size_t n;
    o->files.chat_template = FT_CHATML_TEMPLATE;
    if (strcmp(name, "chatml") == 0)
        return 0;
    free(o->template);
    o->template = NULL;
    int rc = ft_file_read(name, TEMPLATE_BYTES_MAX, &o->template, &n, err);
    if (rc == 0)
        rc = ft_template_open(o->template, n, &t, err);
    if (rc == 0 && strlen(o->template) != n)
        rc = ft_err_set(err, FT_EINVAL, "it has a NUL byte");
    ft_template_close(t);
    o->files.chat_template = o->template;
    return rc != 0 ? ft_err_wrap(err, "--chat-template") : 0;
}

/* What was not said: the tokens of ChatML, of which the end of a turn ends a text too. */
static int set_defaults(struct options *o, struct ft_err *err)
{
    static const char *const specials[] = {"<|endoftext|>", FT_CHATML_BEGIN, FT_CHATML_END};
    bool chatml = o->files.chat_template != NULL && o->template == NULL;
    int rc = 0;
    for (size_t i = 0; i < FT_COUNT(specials) && rc == 0; i++)
        if (!o->given_special || (chatml && i > 0 && !has_special(o, specials[i])))
            rc = add_special(o, specials[i], err);
    o->bpe.special = o->special;
    if (o->files.eos == NULL && chatml)
        o->files.eos = FT_CHATML_END;
    if (o->files.eos == NULL && o->bpe.n_special > 0)
        o->files.eos = o->special[0];
    if (o->files.pad == NULL && has_special(o, "<|endoftext|>"))
        o->files.pad = "<|endoftext|>";
    return rc;
}

static int parse(int argc, char **argv, struct options *o, struct ft_err *err)
{
    static const struct option options[] = {{"vocab-size", required_argument, NULL, 'v'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"special", required_argument, NULL, 's'},
                                            {"bos", required_argument, NULL, 'b'},
                                            {"eos", required_argument, NULL, 'e'},
                                            {"pad", required_argument, NULL, 'p'},
                                            {"chat-template", required_argument, NULL, 't'},
                                            {"pretokenizer", required_argument, NULL, 'r'},
                                            {"min-count", required_argument, NULL, 'm'},
                                            {0}};
    int rc = 0, min_count = 2;
    const char *out = NULL;
    o->bpe.pieces = "qwen2";
    for (int c; rc == 0 && (c = ft_cli_getopt(argc, argv, "o:", options)) != -1;)
        switch (c) {
        case 'v':
            rc = ft_cli_int("--vocab-size", optarg, 256, FT_BPE_VOCAB_MAX, &o->bpe.vocab_size, err);
            break;
        case 'o':
            out = optarg;
            break;
        case 's':
            o->given_special = true;
            rc = add_special(o, optarg, err);
            break;
        case 'b':
            o->files.bos = optarg;
            break;
        case 'e':
            o->files.eos = optarg;
            break;
        case 'p':
            o->files.pad = optarg;
            break;
        case 't':
            rc = set_template(o, optarg, err);
            break;
        case 'r':
            rc = set_pieces(o, optarg, err);
            break;
        case 'm':
            rc = ft_cli_int("--min-count", optarg, 1, 1 << 30, &min_count, err);
            break;
        default:
            return ft_err_set(err, FT_EINVAL, "%s", ""); /* getopt has said it */
        }
    o->bpe.min_count = min_count;
    if (rc == 0 && (out == NULL || o->bpe.vocab_size == 0 || optind == argc))
        rc = ft_err_set(err, FT_EINVAL, "--vocab-size N, -o PATH and files of text are needed");
    if (rc == 0)
        rc = set_defaults(o, err);
    return rc != 0 ? rc : set_output(o, out, err);
}

/* ---- learning ---- */

static void say_how_it_went(const struct options *o, const struct ft_bpe *b)
{
    struct ft_bpe_stats s;
    ft_bpe_stats(b, &s);
    fprintf(stderr,
            "%s: %d tokens, from %lld bytes of text (%lld words, %lld of them different), which "
            "are %lld tokens: %.2f bytes each\n",
            o->json, s.vocab_size, (long long)s.bytes, (long long)s.pieces, (long long)s.words,
            (long long)s.tokens, s.tokens > 0 ? (double)s.bytes / (double)s.tokens : 0.0);
    if (s.vocab_size < o->bpe.vocab_size)
        fprintf(stderr, "less than the %d asked for: no pair is left that occurs %lld times\n",
                o->bpe.vocab_size, (long long)o->bpe.min_count);
}

static int write_files(const struct options *o, const struct ft_bpe *b, struct ft_err *err)
{
    struct ft_buf json, config;
    ft_buf_init(&json, FILE_BYTES_MAX);
    ft_buf_init(&config, FILE_BYTES_MAX);
    int rc = ft_bpe_write(b, &o->files, &json, &config, err);
    if (rc == 0)
        rc = ft_file_put(o->config, config.data, config.len, err);
    if (rc == 0)
        rc = ft_file_put(o->json, json.data, json.len, err);
    ft_buf_fini(&json);
    ft_buf_fini(&config);
    return rc;
}

static int learn(const struct options *o, const char *const *path, int n_paths, struct ft_err *err)
{
    struct ft_bpe *b = NULL;
    struct watch w = {.interrupt = ft_interrupt_catch()};
    struct ft_bpe_stats s = {0};
    int rc = ft_bpe_open(&o->bpe, &b, err);
    if (rc == 0)
        rc = ft_corpus_read(b, path, n_paths, on_read, &w, err);
    if (rc == 0)
        ft_bpe_stats(b, &s);
    if (rc == 0 && s.bytes == 0)
        rc = ft_err_set(err, FT_EINVAL, "there is no text in the files");
    if (rc == 0)
        rc = ft_bpe_train(b, on_merge, &w, err);
    ft_progress_clear(&w.bar);
    if (rc == 0)
        rc = write_files(o, b, err);
    if (rc == 0)
        say_how_it_went(o, b);
    ft_bpe_close(b);
    ft_interrupt_release();
    return rc;
}

int ft_cmd_train_tokenizer(int argc, char **argv)
{
    struct options o = {0};
    struct ft_err err = {0};
    int status = 0;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        printf("%s", ft_cli_help(NAME));
        return 0;
    }
    if (parse(argc, argv, &o, &err) != 0)
        status = err.msg[0] == '\0' ? ft_cli_see_help(NAME) : ft_cli_usage(NAME, "%s", err.msg);
    else if (learn(&o, (const char *const *)argv + optind, argc - optind, &err) != 0)
        status = ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, NAME);
    free(o.template);
    return status;
}
