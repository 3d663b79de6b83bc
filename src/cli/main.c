/* Entry of the program: finds the command, runs it. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ft_cmd commands[] = {
    {"run", "MODEL [-p TEXT] [--system TEXT] [OPTION ...]",
     "one answer (-p, or standard input), or a conversation in the terminal", ft_cmd_run},
    {"bench",
     "MODEL|--shape NAME --type T [--prefill 512] [--decode 128] [--depth 0] [--batch 1,4,16,32]\n"
     "       [--threads N] [--kv f16|f32|q8] [--device cpu|ref] [--repeat 5] [--json]",
     "tokens per second beside the machine's limits", ft_cmd_bench},
    {"constrain",
     "--schema FILE | --regex RE | --gbnf FILE | --json  [--sample N --model MODEL [--seed S]]",
     "accept or reject each line of standard input, as constrained output would", ft_cmd_constrain},
    {"convert",
     "SOURCE -o FILE|FOLDER/ [--type F16|BF16|Q8_0|Q4_0|Q4_K_M|Q6_K|...] [--pure] [--threads N]\n"
     "       feitian convert --shape NAME --type TYPE -o FILE",
     "write a model as GGUF, quantised if asked, or as a Hugging Face folder", ft_cmd_convert},
    {"eval",
     "MODEL --tokens 1,2,3 --logits FILE [--adapter FOLDER] [--device ref|cpu]\n"
     "       [--threads N] [--kv f32|f16|q8]",
     "write the logits of every position", ft_cmd_eval},
    {"evaluate",
     "MODEL DATA ... [--metric perplexity|exact|choice] [--adapter FOLDER] [--json] [OPTION ...]",
     "how well a model does on data: perplexity, exact match, multiple choice", ft_cmd_evaluate},
    {"inspect", "MODEL [--json] [--tensors]", "say what a model file holds", ft_cmd_inspect},
    {"merge", "BASE ADAPTER -o FILE|FOLDER/ [--type F16|BF16|Q8_0|Q4_K_M|...] [--threads N]",
     "write a base and a LoRA adapter as one model", ft_cmd_merge},
    {"detokenize", "MODEL [--no-special]",
     "token ids on standard input (one JSON array) to the exact bytes", ft_cmd_detokenize},
    {"tokenize", "MODEL [--ids | --pieces] [--special | --no-special] [--bos] [--eos]",
     "standard input to token ids, one JSON array; --pieces: one token a line", ft_cmd_tokenize},
    {"perplexity",
     "MODEL FILE [--ctx N] [--adapter FOLDER] [--threads N] [--device ref|cpu]\n"
     "       [--kv f32|f16|q8] [--json]",
     "how well a model predicts a text", ft_cmd_perplexity},
    {"render", "MODEL|--template FILE [--now TIME]",
     "a conversation (JSON on standard input) to the text that the model is given", ft_cmd_render},
    {"train",
     "[CONFIG.json] [--OPTION VALUE ...]\n"
     "       feitian train tokenizer --vocab-size N -o PATH [OPTION ...] FILE ...",
     "train a model: adapters (LoRA), in full, from scratch, on preferences", ft_cmd_train},
    {"version", "", "print the version", ft_cmd_version},
};

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
    fprintf(out, "usage: feitian COMMAND [ARG ...]\n\n");
    for (size_t i = 0; i < FT_COUNT(commands); i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\n'feitian COMMAND --help' says more\n");
}

static const struct ft_cmd *find(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_command_help(const struct ft_cmd *c)
{
    const char *more = ft_cli_help(c->name);
    printf("feitian %s: %s\nusage: feitian %s %s\n", c->name, c->help, c->name, c->args);
    if (more[0] != '\0')
        printf("\n%s", more);
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

static bool is_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0)
        return finish("version", ft_cmd_version(argc, argv));
    bool help = is_help(argv[1]) || strcmp(argv[1], "help") == 0;
    if (help && argc == 2) {
        print_help(stdout);
        return finish("help", 0);
    }
    const struct ft_cmd *c = find(argv[help ? 2 : 1]);
    if (c == NULL) {
        fprintf(stderr, "feitian: no command '%s'; see feitian --help\n", argv[help ? 2 : 1]);
        return 2;
    }
    if (help || (argc > 2 && is_help(argv[2]))) {
        print_command_help(c);
        return finish("help", 0);
    }
    char self[64];
    snprintf(self, sizeof self, "feitian %s", c->name);
    argv[1] = self; /* what getopt calls us when it complains */
    return finish(c->name, c->run(argc - 1, argv + 1));
}
