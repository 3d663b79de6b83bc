/* Entry of the program: finds the command, runs it. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/describe.h"

#define SELF_BYTES 64 /* "feitian endpoint create" */

static const struct ft_cmd commands[] = {
    {"up",
     "[--foreground | --daemon] [--home DIR] [--listen HOST:PORT] [--tls-self-signed]\n"
     "       [--tls-cert FILE --tls-key FILE] [--memory 4G] [--threads N] [OPTION ...]",
     "start a cloud on this machine", ft_cmd_up, .group = FT_CMD_CLOUD},
    {"down", "[--home DIR] [--timeout S] [--force]", "stop it", ft_cmd_down, .group = FT_CMD_CLOUD},
    {"status", "[--all] [--json]", "does it run, where, and what does it do", ft_cmd_status,
     .group = FT_CMD_CLOUD},
    {"top", "[--interval S] [--once] [--all] [--json]", "the same, live", ft_cmd_top,
     .group = FT_CMD_CLOUD},
    {"doctor", "[--home DIR] [--machine] [--request ID] [--json]",
     "check this machine, and say what to mend", ft_cmd_doctor, .group = FT_CMD_CLOUD},
    {"backup", "DEST [--earlier FOLDER] [--no-models] | --verify SRC",
     "all of it into a folder or a tar, while it runs", ft_cmd_backup, .group = FT_CMD_CLOUD},
    {"restore", "SRC [--home DIR]", "a backup back into an empty folder", ft_cmd_restore,
     .group = FT_CMD_CLOUD},
    {"chat", "[MODEL] [-p TEXT] [--system TEXT] [OPTION ...]",
     "talk to a model of the cloud in the terminal", ft_cmd_chat, .group = FT_CMD_CLOUD},
    {"model", "add|list|rm", "the models it has", NULL, FT_CMD_CLOUD, ft_cmd_model_subs},
    {"endpoint", "create|list|show|scale|set|rm", "the names that clients call them by", NULL,
     FT_CMD_CLOUD, ft_cmd_endpoint_subs},
    {"key", "create|list|revoke|s3", "keys to call it with", NULL, FT_CMD_CLOUD, ft_cmd_key_subs},
    {"project", "create|list|show|set|rm", "who uses it: limits and budgets", NULL, FT_CMD_CLOUD,
     ft_cmd_project_subs},
    {"member", "add|list|set|password|rm", "people in projects, and their roles", NULL,
     FT_CMD_CLOUD, ft_cmd_member_subs},
    {"session", "list|end", "who is signed in to the console", NULL, FT_CMD_CLOUD,
     ft_cmd_session_subs},
    {"files", "ls|put|get|rm", "files for batches and fine-tuning, and what comes of them", NULL,
     FT_CMD_CLOUD, ft_cmd_files_subs},
    {"batch", "create|ls|show|cancel|results", "many requests at half the price, behind others",
     NULL, FT_CMD_CLOUD, ft_cmd_batch_subs},
    {"cp", "FROM ... TO [-r] [--fresh] [--at-once N]",
     "copy files to and from buckets: s3://BUCKET/KEY is an object", ft_cmd_cp,
     .group = FT_CMD_CLOUD},
    {"ls", "[s3://BUCKET/PREFIX] [-r] [--json]", "the buckets and objects there are", ft_cmd_ls,
     .group = FT_CMD_CLOUD},
    {"mb", "s3://NAME ...", "make buckets", ft_cmd_mb, .group = FT_CMD_CLOUD},
    {"rm", "s3://BUCKET/KEY ... [-r] [--versions]", "remove objects and buckets", ft_cmd_rm,
     .group = FT_CMD_CLOUD},
    {"presign", "s3://BUCKET/KEY [--expires 1h] [--put]", "a link to an object that needs no key",
     ft_cmd_presign, .group = FT_CMD_CLOUD},
    {"tune", "create|list|show|events|pause|resume|cancel", "fine-tuning jobs", NULL, FT_CMD_CLOUD,
     ft_cmd_tune_subs},
    {"hub", "ls|show|push|pull|rm|tag", "models and datasets, with their revisions", NULL,
     FT_CMD_CLOUD, ft_cmd_hub_subs},
    {"blob", "check|scrub|usage", "what it stores, checked and counted", NULL, FT_CMD_CLOUD,
     ft_cmd_blob_subs},
    {"usage", "[--by model|project|key|route|status|hour|day ...] [--since 7d] [--json]",
     "what was used and what it cost", ft_cmd_usage, .group = FT_CMD_CLOUD},
    {"explain", "[ID] [--status STATUS] [--min-ms N] [--all] [--json]",
     "why a request was slow or refused, and where its time went", ft_cmd_explain,
     .group = FT_CMD_CLOUD},
    {"support-bundle", "[FILE] [--home DIR]",
     "what is needed to report a fault, in one file without secrets", ft_cmd_support,
     .group = FT_CMD_CLOUD},
    {"events", "[--endpoint NAME] [--kind KIND] [--limit N] [--json]",
     "what happened: starts, deaths, failovers, scaling, alerts", ft_cmd_events,
     .group = FT_CMD_CLOUD},
    {"alert", "create|list|set|rm", "rules over its curves: when somebody must look", NULL,
     FT_CMD_CLOUD, ft_cmd_alert_subs},
    {"channel", "create|list|set|test|relay|rm", "who is told: webhooks and mail", NULL,
     FT_CMD_CLOUD, ft_cmd_channel_subs},
    {"node", "list", "the machines it runs on", NULL, FT_CMD_CLOUD, ft_cmd_node_subs},
    {"run", "MODEL [-p TEXT] [--system TEXT] [OPTION ...]",
     "one answer (-p, or standard input), or a conversation", ft_cmd_run, .group = FT_CMD_MODEL},
    {"bench",
     "MODEL|--shape NAME --type T [--prefill 512] [--decode 128] [--depth 0] [--batch 1,4,16,32]\n"
     "       [--threads N] [--kv f16|f32|q8] [--device cpu|ref] [--repeat 5] [--json]",
     "tokens per second beside the machine's limits", ft_cmd_bench, .group = FT_CMD_MODEL},
    {"constrain",
     "--schema FILE | --regex RE | --gbnf FILE | --json  [--sample N --model MODEL [--seed S]]",
     "accept or reject lines, as constrained output would", ft_cmd_constrain, .group = FT_CMD_PART},
    {"control", "--home FOLDER [--socket PATH] [--url URL]",
     "the admin side of the cloud (started by the cloud itself)", ft_cmd_control,
     .group = FT_CMD_INTERNAL},
    {"convert",
     "SOURCE -o FILE|FOLDER/ [--type F16|BF16|Q8_0|Q4_0|Q4_K_M|Q6_K|...] [--pure] [--threads N]\n"
     "       feitian convert --shape NAME --type TYPE -o FILE",
     "write GGUF, quantised if asked, or a Hugging Face folder", ft_cmd_convert,
     .group = FT_CMD_MODEL},
    {"eval",
     "MODEL --tokens 1,2,3 --logits FILE [--adapter FOLDER] [--device ref|cpu]\n"
     "       [--threads N] [--kv f32|f16|q8]",
     "write the logits of every position", ft_cmd_eval, .group = FT_CMD_PART},
    {"evaluate",
     "MODEL DATA ... [--metric perplexity|exact|choice] [--adapter FOLDER] [--json] [OPTION ...]",
     "how well a model does on data: perplexity, matches, choices", ft_cmd_evaluate,
     .group = FT_CMD_MODEL},
    {"gateway",
     "--home DIR [--listen HOST:PORT] [--tls-cert FILE --tls-key FILE] [--memory BYTES]\n"
     "       [--threads N] [--http-threads N] [--kv f16|q8|f32] [--no-workers] [--stop-workers]",
     "the front of a running cloud", ft_cmd_gateway, .group = FT_CMD_INTERNAL},
    {"inspect", "MODEL [--json] [--tensors] [--confined]", "say what a model file holds",
     ft_cmd_inspect, .group = FT_CMD_MODEL},
    {"merge", "BASE ADAPTER -o FILE|FOLDER/ [--type F16|BF16|Q8_0|Q4_K_M|...] [--threads N]",
     "write a base and a LoRA adapter as one model", ft_cmd_merge, .group = FT_CMD_MODEL},
    {"detokenize", "MODEL [--no-special]",
     "token ids on standard input (one JSON array) to the exact bytes", ft_cmd_detokenize,
     .group = FT_CMD_PART},
    {"tokenize", "MODEL [--ids | --pieces] [--special | --no-special] [--bos] [--eos]",
     "text on standard input to token ids, one JSON array", ft_cmd_tokenize, .group = FT_CMD_PART},
    {"perplexity",
     "MODEL FILE [--ctx N] [--adapter FOLDER] [--threads N] [--device ref|cpu]\n"
     "       [--kv f32|f16|q8] [--json]",
     "how well a model predicts a text", ft_cmd_perplexity, .group = FT_CMD_PART},
    {"render", "MODEL|--template FILE [--now TIME]",
     "a conversation, as JSON, to the text that a model is given", ft_cmd_render,
     .group = FT_CMD_PART},
    {"train",
     "[CONFIG.json] [--OPTION VALUE ...]\n"
     "       feitian train tokenizer --vocab-size N -o PATH [OPTION ...] FILE ...",
     "train a model: LoRA, in full, from scratch, on preferences", ft_cmd_train,
     .group = FT_CMD_MODEL},
    {"completion", "bash|zsh|fish", "a script that completes commands in this shell",
     ft_cmd_completion, .group = FT_CMD_PART},
    {"version", "", "print the version", ft_cmd_version, .group = FT_CMD_PART},
    {"worker",
     "--socket PATH --read DIR[:DIR] [--memory BYTES] [--kv f16|q8|f32] [--threads N] [--lease "
     "SECONDS]",
     "models behind OpenAI's API on a unix socket, for a gateway", ft_cmd_worker,
     .group = FT_CMD_INTERNAL},
};

const struct ft_cmd *ft_cli_commands(size_t *ret_n)
{
    *ret_n = FT_COUNT(commands);
    return commands;
}

int ft_cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("feitian %s\n", FT_VERSION);
    return 0;
}

void ft_cli_put_plain(FILE *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        putc((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p, out);
}

int ft_cli_fail(int status, const struct ft_err *err, const char *cmd)
{
    fprintf(stderr, "feitian %s: ", cmd);
    ft_cli_put_plain(stderr, err->msg);
    fputc('\n', stderr);
    return status;
}

int ft_cli_int(const char *option, const char *text, int min, int max, int *ret, struct ft_err *err)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || v < min || v > max)
        return ft_err_set(err, FT_EINVAL, "%s: '%s' is not a whole number from %d to %d", option,
                          text, min, max);
    *ret = (int)v;
    return 0;
}

int ft_cli_usage(const char *cmd, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "feitian %s: ", cmd);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    return ft_cli_see_help(cmd);
}

int ft_cli_see_help(const char *cmd)
{
    fprintf(stderr, "'feitian %s --help' says more\n", cmd);
    return 2;
}

static void print_help(FILE *out)
{
    static const char *const heads[FT_CMD_INTERNAL] = {
        [FT_CMD_CLOUD] = "a cloud on this machine, or one that runs elsewhere",
        [FT_CMD_MODEL] = "models without a server",
        [FT_CMD_PART] = "parts of the engine by themselves, and others",
    };
    int width = 0;
    for (size_t i = 0; i < FT_COUNT(commands); i++)
        if (commands[i].group != FT_CMD_INTERNAL)
            width = FT_MAX(width, (int)strlen(commands[i].name));
    fprintf(out, "usage: feitian COMMAND [ARG ...]\n");
    for (int g = 0; g < FT_CMD_INTERNAL; g++) {
        fprintf(out, "\n%s\n", heads[g]);
        for (size_t i = 0; i < FT_COUNT(commands); i++)
            if ((int)commands[i].group == g)
                fprintf(out, "  %-*s %s\n", width, commands[i].name, commands[i].help);
    }
    fprintf(out, "\n'feitian COMMAND --help' says more; 'feitian help --man' says all\n");
}

static const struct ft_cmd *find(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* above: the command that this one is below, with a space, or "". */
static void print_command_help(const char *above, const struct ft_cmd *c)
{
    char name[SELF_BYTES];
    snprintf(name, sizeof name, "%s%s", above, c->name);
    printf("feitian %s: %s\nusage: feitian %s %s\n", name, c->help, name, c->args);
    for (const struct ft_cmd *s = c->subs; s != NULL && s->name != NULL; s++)
        printf("%s  %-10s %s\n", s == c->subs ? "\n" : "", s->name, s->help);
    const char *more = ft_cli_help(name);
    if (more[0] != '\0')
        printf("\n%s", more);
    if (c->subs != NULL)
        printf("\n'feitian %s COMMAND --help' says more\n", name);
}

static bool is_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* Among a command's words; what follows "--" are no options. */
static bool asks_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

/* "list" and "ls" are the same word, whichever of them a group has. */
static const struct ft_cmd *find_sub(const struct ft_cmd *s, const char *name)
{
    const char *other = strcmp(name, "ls") == 0 ? "list" : strcmp(name, "list") == 0 ? "ls" : name;
    while (s->name != NULL && strcmp(s->name, name) != 0 && strcmp(s->name, other) != 0)
        s++;
    return s;
}

static int run_sub(const struct ft_cmd *c, int argc, char **argv)
{
    char self[SELF_BYTES], above[SELF_BYTES];
    if (argc < 2)
        return ft_cli_usage(c->name, "say what to do: %s", c->args);
    bool help = strcmp(argv[1], "help") == 0 && argc > 2;
    const char *name = argv[help ? 2 : 1];
    const struct ft_cmd *s = find_sub(c->subs, name);
    if (s->name == NULL)
        return ft_cli_usage(c->name, "no command '%s' here: %s", name, c->args);
    if (help || (argc > 2 && is_help(argv[2])) || asks_help(argc - 2, argv + 2)) {
        snprintf(above, sizeof above, "%s ", c->name);
        print_command_help(above, s);
        return 0;
    }
    snprintf(self, sizeof self, "feitian %s %s", c->name, s->name);
    argv[1] = self;
    return s->run(argc - 1, argv + 1);
}

/* What a command printed has arrived, or it has failed: a full disk loses no answer silently. */
static int finish(const char *cmd, int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    if (status == 0)
        fprintf(stderr, "feitian %s: standard output: %s\n", cmd,
                errno != 0 ? strerror(errno) : "not all could be written");
    return status == 0 ? 1 : status;
}

int main(int argc, char **argv)
{
    ft_log_from_env();
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0)
        return finish("version", ft_cmd_version(argc, argv));
    bool help = is_help(argv[1]) || strcmp(argv[1], "help") == 0;
    if (help && argc == 3 && strcmp(argv[2], "--man") == 0) {
        ft_man_print();
        return finish("help", 0);
    }
    if (help && argc == 2) {
        print_help(stdout);
        return finish("help", 0);
    }
    const struct ft_cmd *c = find(argv[help ? 2 : 1]);
    if (c == NULL) {
        fprintf(stderr, "feitian: no command '%s'; see feitian --help\n", argv[help ? 2 : 1]);
        return 2;
    }
    /* the others read their options themselves, and some of them have a second word */
    bool within = c->group == FT_CMD_CLOUD && c->subs == NULL && asks_help(argc - 2, argv + 2);
    if (help || (argc > 2 && is_help(argv[2])) || within) {
        print_command_help("", c);
        return finish("help", 0);
    }
    if (c->subs != NULL)
        return finish(c->name, run_sub(c, argc - 1, argv + 1));
    char self[SELF_BYTES];
    snprintf(self, sizeof self, "feitian %s", c->name);
    argv[1] = self; /* what getopt calls us when it complains */
    return finish(c->name, c->run(argc - 1, argv + 1));
}
