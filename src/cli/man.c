/* feitian(1), in the macros of man(7), made of the commands' tables and their help. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/describe.h"

/* A line of running text: no macro, no escape by accident. */
static void put_line(const char *text, size_t n)
{
    if (n > 0 && (text[0] == '.' || text[0] == '\''))
        fputs("\\&", stdout);
    for (size_t i = 0; i < n; i++)
        switch (text[i]) {
        case '\\':
            fputs("\\e", stdout);
            break;
        case '-':
            fputs("\\-", stdout);
            break;
        case '\'':
            fputs("\\(aq", stdout);
            break;
        case '`':
            fputs("\\(ga", stdout);
            break;
        case '^':
            fputs("\\(ha", stdout);
            break;
        case '~':
            fputs("\\(ti", stdout);
            break;
        default:
            putchar(text[i]);
        }
    putchar('\n');
}

static void put_text(const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        put_line(text, n);
        text += n + (text[n] == '\n');
    }
}

/* Help as it is on the terminal: its columns are its form. */
static void put_help(const char *text)
{
    printf(".PP\n.nf\n");
    put_text(text);
    printf(".fi\n");
}

/* Options that the help does not name: none is left out here. */
static void put_unsaid(const struct ft_cmd *c, const char *full)
{
    static struct ft_described o[FT_DESCRIBED_MAX];
    int n = ft_describe(c, full, o), k = 0;
    for (int i = 0; i < n; i++) {
        if (o[i].help[0] != '\0' || strstr(ft_cli_help(full), o[i].name) != NULL ||
            strstr(c->args, o[i].name) != NULL)
            continue;
        printf(k++ == 0 ? ".PP\nAlso:\n" : ",\n");
        printf(".B \\-\\-");
        for (const char *p = o[i].name; *p != '\0'; p++)
            printf(*p == '-' ? "\\-" : "%c", *p);
        printf(o[i].takes ? " VALUE\n" : "\n");
    }
}

static void put_command(void *ctx, const struct ft_cmd *c, const char *full)
{
    static const char *const heads[FT_CMD_INTERNAL] = {
        [FT_CMD_CLOUD] = "COMMANDS OF A CLOUD",
        [FT_CMD_MODEL] = "COMMANDS FOR MODELS WITHOUT A SERVER",
        [FT_CMD_PART] = "COMMANDS FOR PARTS OF THE ENGINE, AND OTHERS",
    };
    int *group = ctx;
    if (strchr(full, ' ') == NULL && (int)c->group != *group) {
        *group = (int)c->group;
        printf(".SH %s\n", heads[*group]);
    }
    char usage[1024];
    snprintf(usage, sizeof usage, "feitian %s %s\n", full, c->args);
    printf(".SS feitian %s\n", full);
    put_text(c->help);
    printf(".PP\n.nf\n.B\n");
    put_text(usage);
    printf(".fi\n");
    const char *more = ft_cli_help(full);
    if (more[0] != '\0')
        put_help(more);
    put_unsaid(c, full);
}

static void put_group(enum ft_cmd_group group)
{
    size_t n;
    const struct ft_cmd *all = ft_cli_commands(&n);
    int shown = -1;
    char full[64];
    for (size_t i = 0; i < n; i++) {
        if (all[i].group != group)
            continue;
        put_command(&shown, &all[i], all[i].name);
        for (const struct ft_cmd *s = all[i].subs; s != NULL && s->name != NULL; s++) {
            snprintf(full, sizeof full, "%s %s", all[i].name, s->name);
            put_command(&shown, s, full);
        }
    }
}

/* The day it is made; SOURCE_DATE_EPOCH says it for packages that are built twice alike. */
static void today(char ret[16])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch != NULL ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm tm;
    strftime(ret, 16, "%Y-%m-%d", gmtime_r(&now, &tm));
}

void ft_man_print(void)
{
    char day[16];
    today(day);
    printf(".\\\" made by 'feitian help \\-\\-man': do not edit\n"
           ".TH FEITIAN 1 \"%s\" \"feitian %s\" \"User Commands\"\n"
           ".SH NAME\n"
           "feitian \\- a private AI cloud: model APIs, tuning, a model hub, objects\n"
           ".SH SYNOPSIS\n.B feitian\nCOMMAND [ARG ...]\n"
           ".SH DESCRIPTION\n"
           "feitian is a cloud of one's own in one program: the APIs of OpenAI and\n"
           "Anthropic for models, S3 for objects, the Hugging Face Hub's for models and\n"
           "datasets, fine\\-tuning and batches, under one key, one quota and one bill.\n"
           ".PP\n"
           ".B feitian up\nstarts it on this machine, and\n.B feitian chat\ntalks to its models.\n"
           "Every command says more with\n.BR \\-\\-help .\n",
           day, FT_VERSION);
    for (int g = 0; g < FT_CMD_INTERNAL; g++)
        put_group((enum ft_cmd_group)g);
    printf(".SH ENVIRONMENT\n"
           ".TP\n.B FEITIAN_HOME\nthe cloud's folder (\\-\\-home); else\n.I ~/.feitian\n"
           ".TP\n.B FEITIAN_URL\nwhere commands find a cloud (\\-\\-cloud)\n"
           ".TP\n.B FEITIAN_API_KEY\nthe key that they use (\\-\\-api\\-key)\n"
           ".TP\n.B FEITIAN_CA\nthe certificates that it is trusted by (\\-\\-ca)\n"
           ".SH FILES\n"
           ".TP\n.I HOME/config.json\noptions of\n.BR \"feitian up\" ,\nas {\"listen\": \"...\"}\n"
           ".TP\n.I HOME/credentials.json\nits address and its first key\n"
           ".TP\n.I HOME/logs/feitian.log\nwhat it says while it runs in the background\n"
           ".SH EXIT STATUS\n"
           "0 done, 1 failed, 2 bad usage or a refused input.\n");
}
