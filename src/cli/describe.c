/* Options of a command: its own parser is run until it shows its table (ft_cli_getopt), and left by
 * a jump; what little it holds by then goes with the process. */
#include "cli/describe.h"

#include <getopt.h>
#include <setjmp.h>
#include <string.h>

#include "cli/options.h"
#include "train/core/options.h"

#define FULL_BYTES 64

static struct {
    bool asking;
    jmp_buf back;
    struct ft_described *ret;
    int n;
} asked;

static struct ft_described *next(const char *name)
{
    for (int i = 0; i < asked.n; i++)
        if (strcmp(asked.ret[i].name, name) == 0)
            return NULL;
    FT_ASSERT(asked.n < FT_DESCRIBED_MAX);
    struct ft_described *d = &asked.ret[asked.n++];
    *d = (struct ft_described){0};
    snprintf(d->name, sizeof d->name, "%s", name);
    return d;
}

static bool has_letter(const char *letters, int c)
{
    return c > ' ' && c < 127 && c != ':' && strchr(letters, c) != NULL;
}

int ft_cli_getopt(int argc, char **argv, const char *letters, const struct option *table)
{
    if (!asked.asking)
        return getopt_long(argc, argv, letters, table, NULL);
    for (; table->name != NULL; table++) {
        struct ft_described *d = next(table->name);
        if (d == NULL)
            continue;
        d->takes = table->has_arg != no_argument;
        d->letter = has_letter(letters, table->val) ? (char)table->val : '\0';
    }
    longjmp(asked.back, 1);
}

/* The letters of tables whose values are numbers of rows; the help has them as "-r, --recursive".
 */
static void find_letter(struct ft_described *d, const char *help, const char *at)
{
    if (d->letter == '\0' && at - help >= 4 && at[-4] == '-' && at[-2] == ',' && at[-1] == ' ')
        d->letter = at[-3];
}

/* Where help says "--NAME", as a whole word. */
static const char *find_option(const char *help, const char *name)
{
    char word[48];
    int n = snprintf(word, sizeof word, "--%s", name);
    const char *best = NULL;
    for (const char *at = help; (at = strstr(at, word)) != NULL; at += n) {
        if (at[n] != ' ' && at[n] != '\n' && at[n] != ',' && at[n] != '\0')
            continue;
        const char *line = at;
        while (line > help && line[-1] != '\n')
            line--;
        if (strspn(line, " ") >= 2 && (line[2] == '-' || best == NULL))
            return at; /* where it is listed */
        if (best == NULL)
            best = at;
    }
    return best;
}

/* What the help says behind "--NAME": the word for its value, and the text of that line. */
static void explain(struct ft_described *d, const char *help)
{
    const char *at = find_option(help, d->name);
    if (at == NULL)
        return;
    find_letter(d, help, at);
    at += 2 + strlen(d->name);
    if (d->takes && *at == ' ' && at[1] != ' ') {
        size_t n = strcspn(at + 1, " ,\n");
        snprintf(d->value, sizeof d->value, "%.*s", (int)n, at + 1);
        at += 1 + n;
    }
    size_t gap = strspn(at, " "), n = strcspn(at + gap, "\n");
    if (gap >= 1)
        snprintf(d->help, sizeof d->help, "%.*s", (int)n, at + gap);
}

static void describe_train(void)
{
    struct ft_train_option_help h;
    for (int i = 0; ft_train_option_help(i, &h); i++) {
        char name[40];
        bool on = h.value == NULL && h.fallback != NULL && strcmp(h.fallback, "true") == 0;
        snprintf(name, sizeof name, "%s%s", on ? "no-" : "", h.key); /* as the help has it */
        for (char *p = name; *p != '\0'; p++)
            *p = *p == '_' ? '-' : *p;
        struct ft_described *d = next(name);
        if (d == NULL)
            continue;
        d->takes = h.value != NULL;
        snprintf(d->value, sizeof d->value, "%s", h.value != NULL ? h.value : "");
        snprintf(d->help, sizeof d->help, "%.*s", (int)strcspn(h.help, "\n"), h.help);
        d->letter = strcmp(name, "output") == 0 ? 'o' : '\0';
    }
    next("json");
}

int ft_describe(const struct ft_cmd *c, const char *full, struct ft_described ret[FT_DESCRIBED_MAX])
{
    char self[FULL_BYTES + 8];
    char *argv[] = {self, NULL};
    asked.ret = ret;
    asked.n = 0;
    if (c->run == ft_cmd_train) {
        describe_train();
    } else if (c->run != NULL && c->run != ft_cmd_version) { /* which takes nothing */
        snprintf(self, sizeof self, "feitian %s", full);
        asked.asking = true;
        if (setjmp(asked.back) == 0)
            c->run(1, argv);
        asked.asking = false;
    }
    const char *help = ft_cli_help(full);
    for (int i = 0; i < asked.n; i++)
        explain(&ret[i], help);
    return asked.n;
}

void ft_commands_each(bool internal, ft_command_fn *fn, void *ctx)
{
    char full[FULL_BYTES];
    size_t n;
    const struct ft_cmd *all = ft_cli_commands(&n);
    for (size_t i = 0; i < n; i++) {
        if (all[i].group == FT_CMD_INTERNAL && !internal)
            continue;
        fn(ctx, &all[i], all[i].name);
        for (const struct ft_cmd *s = all[i].subs; s != NULL && s->name != NULL; s++) {
            snprintf(full, sizeof full, "%s %s", all[i].name, s->name);
            fn(ctx, s, full);
        }
    }
}
