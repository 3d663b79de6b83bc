/* feitian train: options from a configuration file and the command line, both through the table of
 * train/core, which the help is made of too; then the run, shown by train_view.c. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "cli/interrupt.h"
#include "cli/train_config.h"
#include "cli/train_report.h"
#include "cli/train_view.h"
#include "sched/sandbox.h"

#define HELP_MAX    ((size_t)32 << 10)
#define HELP_COLUMN 28
#define HELP_WIDTH  100
#define KEY_MAX     64

/* ---- help ---- */

/* Words up to HELP_WIDTH, further lines beginning in HELP_COLUMN. */
static void help_wrap(struct ft_buf *b, const char *text, int column)
{
    while (*text != '\0') {
        int n = (int)strcspn(text, " ");
        if (column + 1 + n > HELP_WIDTH) {
            ft_buf_addf(b, "\n%*s", HELP_COLUMN - 1, "");
            column = HELP_COLUMN - 1;
        }
        ft_buf_addf(b, " %.*s", n, text);
        column += 1 + n;
        text += n + strspn(text + n, " ");
    }
}

static void help_option(struct ft_buf *b, const struct ft_train_option_help *h)
{
    char text[512];
    size_t before = b->len;
    bool on = h->value == NULL && h->fallback != NULL && strcmp(h->fallback, "true") == 0;
    ft_buf_addf(b, on ? "  --no-%s" : "  --%s", h->key);
    if (h->value != NULL)
        ft_buf_addf(b, " %s", h->value);
    int column = (int)(b->len - before);
    if (column > HELP_COLUMN - 2) {
        ft_buf_add_byte(b, '\n');
        column = 0;
    }
    ft_buf_addf(b, "%*s", HELP_COLUMN - 1 - column, "");
    snprintf(text, sizeof text, "%s%s", on ? "not: " : "", h->help);
    if (h->value != NULL && h->fallback != NULL)
        snprintf(text + strlen(text), sizeof text - strlen(text), " [%s]", h->fallback);
    help_wrap(b, text, HELP_COLUMN - 1);
    ft_buf_add_byte(b, '\n');
}

const char *ft_cmd_train_help(void)
{
    static struct ft_buf b; /* the process's */
    struct ft_train_option_help h;
    const char *group = "";
    if (b.data != NULL)
        return b.data;
    ft_buf_init(&b, HELP_MAX);
    ft_buf_add_str(
        &b,
        "Every option can stand in CONFIG.json too, with '_' for '-': {\"model\": \"m.gguf\",\n"
        "\"data\": [\"a.jsonl\"], \"seq_len\": 512}. What the command line says counts more. Lists "
        "have\n"
        "commas on the command line; -o is --output. Paths are seen from the current folder.\n"
        "\n"
        "  feitian train --model nano.gguf --data chats.jsonl -o out     a LoRA adapter\n"
        "  feitian train config.json --resume                            go on after a stop\n"
        "  feitian train tokenizer --help                                a vocabulary from text\n"
        "\n"
        "  --json                    every event as a line of JSON on standard output\n");
    for (int i = 0; ft_train_option_help(i, &h); i++) {
        if (strcmp(group, h.group) != 0)
            ft_buf_addf(&b, "\n%s\n", h.group);
        group = h.group;
        help_option(&b, &h);
    }
    return b.failed == 0 ? b.data : "";
}

/* ---- options ---- */

static bool key_is(const char *key, size_t n, const char *name)
{
    return strlen(name) == n && memcmp(key, name, n) == 0;
}

/* The option of the table called so, if it is one. */
static bool option_find(const char *key, size_t n, struct ft_train_option_help *ret)
{
    for (int i = 0; ft_train_option_help(i, ret); i++)
        if (key_is(key, n, ret->key))
            return true;
    return false;
}

static int option_set(struct ft_train_options *o, const char *key, const char *value,
                      struct ft_err *err)
{
    struct ft_train_option_help h;
    int rc = ft_train_options_set(o, key, value, err);
    if (rc != 0 && option_find(key, strlen(key), &h)) { /* the message begins with the key */
        char msg[FT_ERR_MSG_MAX];
        snprintf(msg, sizeof msg, "--%.500s", err->msg);
        ft_err_set(err, err->code, "%s", msg);
    }
    return rc;
}

/* argv[i] is an option: takes it and, if it has one, its value; *i is left at the last of them. */
static int option_take(struct ft_train_options *o, int argc, char **argv, int *i,
                       struct ft_err *err)
{
    struct ft_train_option_help h;
    const char *arg = argv[*i], *key = arg + 2, *value = strchr(arg, '=');
    char name[KEY_MAX];
    if (strncmp(arg, "--", 2) != 0) {
        if (strcmp(arg, "-o") != 0)
            return ft_err_set(err, FT_EINVAL, "unrecognized option '%.60s'", arg);
        key = "output";
        value = NULL;
    }
    size_t n = value != NULL ? (size_t)(value - key) : strlen(key);
    if (n >= sizeof name)
        return ft_err_set(err, FT_EINVAL, "there is no option '%.60s'", key);
    bool known = option_find(key, n, &h);
    if (!known && value == NULL && strncmp(key, "no-", 3) == 0 && option_find(key + 3, n - 3, &h) &&
        h.value == NULL)
        return option_set(o, h.key, "false", err);
    snprintf(name, sizeof name, "%.*s", (int)n, key);
    if (value != NULL)
        return option_set(o, name, value + 1, err);
    if (known && h.value == NULL)
        return option_set(o, name, "true", err);
    if (known && *i + 1 >= argc)
        return ft_err_set(err, FT_EINVAL, "--%s needs a value", name);
    return option_set(o, name, known ? argv[++*i] : "", err); /* says what is near, if not known */
}

/* What is wrong with options together may be the file's fault: unless the command line said it. */
static void locate(const struct ft_train_config *c, const struct ft_train_options *said,
                   struct ft_err *err)
{
    struct ft_train_option_help h;
    char key[KEY_MAX];
    size_t n = strcspn(err->msg, ":");
    snprintf(key, sizeof key, "%.*s", (int)n, err->msg);
    if (n < sizeof key && option_find(key, n, &h) && !ft_train_options_given(said, key))
        ft_train_config_locate(c, err);
}

/* The file first, wherever it stands, so that the command line counts more. */
static int options_parse(struct ft_train_options *o, int argc, char **argv, struct ft_err *err)
{
    struct ft_train_options said; /* by the command line: a first pass, which finds the file too */
    struct ft_train_config c = {0};
    const char *config = NULL;
    int rc = 0;
    ft_train_options_init(&said);
    for (int i = 1; rc == 0 && i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0')
            rc = option_take(&said, argc, argv, &i, err);
        else if (config == NULL)
            config = argv[i];
        else
            rc = ft_err_set(err, FT_EINVAL,
                            "'%.60s': one configuration file is read, and that is "
                            "%.200s",
                            argv[i], config);
    }
    if (rc == 0 && config != NULL)
        rc = ft_train_config_read(&c, config, o, err);
    for (int i = 1; rc == 0 && i < argc; i++)
        if (argv[i][0] == '-' && argv[i][1] != '\0')
            rc = option_take(o, argc, argv, &i, err);
    if (rc == 0 && (rc = ft_train_options_check(o, err)) != 0)
        locate(&c, &said, err);
    ft_train_config_fini(&c);
    ft_train_options_fini(&said);
    return rc;
}

/* ---- the run ---- */

/* A word of a command as the shell takes it. */
static void put_word(FILE *out, const char *s)
{
    static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "-_./,=:+@%";
    if (s[0] != '\0' && s[strspn(s, harmless)] == '\0') {
        fprintf(out, " %s", s);
        return;
    }
    fputs(" '", out);
    for (; *s != '\0'; s++)
        fputs(*s == '\'' ? "'\\''" : (char[]){*s, '\0'}, out);
    fputc('\'', out);
}

static void put_resume(int argc, char **argv, bool resumed)
{
    fputs("go on with: feitian train", stderr);
    for (int i = 1; i < argc; i++)
        put_word(stderr, argv[i]);
    fputs(resumed ? "\n" : " --resume\n", stderr);
}

/* Codes that say that the input is to blame. */
static int status_of(enum ft_code code)
{
    return code == FT_EINVAL || code == FT_EUNSUPPORTED || code == FT_EEXIST ? 2 : 1;
}

/* From here on this process reads the model and the data and writes into the output, whatever is
 * in them. */
static int confine(struct ft_train_options *o, struct ft_err *err)
{
    const char *paths[FT_SANDBOX_PATHS_MAX];
    struct ft_sandbox_cfg cfg = {.read_paths = paths, .write_path = o->output, .best_effort = true};
    const char *one[] = {o->model, o->tokenizer, o->chat_template};
    const struct ft_train_list *lists[] = {&o->data, &o->valid_data};
    struct ft_sandbox_report report;
    for (size_t i = 0; i < FT_COUNT(one); i++)
        if (one[i] != NULL)
            paths[cfg.n_read_paths++] = one[i];
    for (size_t k = 0; k < FT_COUNT(lists); k++)
        for (int i = 0; i < lists[k]->n; i++) {
            if (cfg.n_read_paths == FT_SANDBOX_PATHS_MAX)
                return ft_err_set(err, FT_ELIMIT, "confined: more than %d files",
                                  FT_SANDBOX_PATHS_MAX);
            paths[cfg.n_read_paths++] = lists[k]->item[i];
        }
    if (mkdir(o->output, 0777) != 0 && errno != EEXIST)
        return ft_err_sys(err, "make %s", o->output);
    o->curve = false; /* it takes another program */
    return ft_sandbox_enter(&cfg, &report, err);
}

/* Takes "--json" out of argv: it is no option of the run. */
static bool take_json(int *argc, char **argv)
{
    int n = 1;
    for (int i = 1; i < *argc; i++)
        if (strcmp(argv[i], "--json") != 0)
            argv[n++] = argv[i];
    bool found = n < *argc;
    *argc = n;
    return found;
}

int ft_cmd_train(int argc, char **argv)
{
    struct ft_train_options o;
    struct ft_train_view view;
    struct ft_train_events events;
    struct ft_err err = {0};
    char tokenizer[] = "feitian train tokenizer"; /* what getopt calls us */
    if (argc > 1 && strcmp(argv[1], "tokenizer") == 0) {
        argv[1] = tokenizer;
        return ft_cmd_train_tokenizer(argc - 1, argv + 1);
    }
    bool json = take_json(&argc, argv);
    ft_train_options_init(&o);
    if (options_parse(&o, argc, argv, &err) != 0) {
        ft_train_options_fini(&o);
        if (err.code != FT_EINVAL)
            return ft_cli_fail(1, &err, "train");
        return ft_cli_usage("train", "%s", err.msg);
    }
    if (json)
        ft_train_report_init(&events);
    else
        ft_train_view_init(&view, &o, &events);
    events.interrupt = ft_interrupt_catch_first();
    int rc = o.confined ? confine(&o, &err) : 0;
    if (rc == 0)
        rc = ft_train_run(&o, &events, &err);
    if (json)
        ft_train_report_end(rc, &err);
    else
        ft_train_view_end(&view, rc);
    int status = rc == 0 ? 0 : ft_cli_fail(status_of(err.code), &err, "train");
    if (rc == FT_ECANCELED && !json && view.checkpoint > 0)
        put_resume(argc, argv, o.resume);
    ft_train_options_fini(&o);
    ft_interrupt_release(); /* ends here if a signal came */
    return status;
}
