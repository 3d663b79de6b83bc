/* feitian completion: scripts that complete words for shells, made of the commands' own tables
 * (describe.h); and `completion names KIND`, by which those scripts ask a cloud for names. */
#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cloud/client.h"
#include "cli/describe.h"

#define NAMES_MS 2000 /* nobody waits longer for a key of the keyboard */

/* ---- what follows a command that is no option ---- */

static const struct {
    const char *cmd, *kind;
} words[] = {{"chat", "endpoints"},
             {"endpoint show", "endpoints"},
             {"endpoint scale", "endpoints"},
             {"endpoint set", "endpoints"},
             {"endpoint rm", "endpoints"},
             {"model rm", "models"},
             {"key revoke", "keys"},
             {"project show", "projects"},
             {"project set", "projects"},
             {"project rm", "projects"},
             {"member set", "members"},
             {"member rm", "members"},
             {"files get", "files"},
             {"files rm", "files"},
             {"batch show", "batches"},
             {"batch cancel", "batches"},
             {"batch results", "batches"},
             {"tune show", "tunes"},
             {"tune events", "tunes"},
             {"tune pause", "tunes"},
             {"tune resume", "tunes"},
             {"tune cancel", "tunes"},
             {"ls", "objects"},
             {"rm", "objects"},
             {"cp", "objects"},
             {"presign", "objects"},
             {"completion", "bash zsh fish"}};

static const struct {
    const char *kind, *path, *member;
} kinds[] = {{"endpoints", "/api/v1/endpoints", "name"},
             {"models", "/api/v1/models", "name"},
             {"keys", "/api/v1/keys", "id"},
             {"projects", "/api/v1/projects", "id"},
             {"members", "/api/v1/members", "id"},
             {"files", "/v1/files", "id"},
             {"batches", "/v1/batches", "id"},
             {"tunes", "/v1/fine_tuning/jobs", "id"}};

static const char *words_of(const char *full)
{
    for (size_t i = 0; i < FT_COUNT(words); i++)
        if (strcmp(words[i].cmd, full) == 0)
            return words[i].kind;
    return "";
}

static bool is_kind(const char *kind)
{
    for (size_t i = 0; i < FT_COUNT(kinds); i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return true;
    return false;
}

/* Nothing that means anything to a shell: names are another machine's to give, and a script that is
 * not as careful as ours may read them. */
static bool is_plain(const char *name)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-";
    return name[0] != '\0' && name[0] != '-' && name[strspn(name, plain)] == '\0';
}

/* Whatever is wrong, nothing is completed. */
static int print_names(const char *kind)
{
    const struct ft_cloud_options none = {0};
    struct ft_cloud c = {0};
    struct ft_err ignored = {0};
    json_t *all = NULL, *one;
    size_t i, k = 0;
    while (k < FT_COUNT(kinds) && strcmp(kinds[k].kind, kind) != 0)
        k++;
    if (k == FT_COUNT(kinds))
        return ft_cli_usage("completion", "no names of '%s'", kind);
    if (ft_cloud_open(&none, &c, &ignored) == 0) {
        c.timeout_ms = NAMES_MS;
        if (ft_cloud_list(&c, kinds[k].path, &all, &ignored) == 0)
            json_array_foreach(all, i, one)
            {
                const char *name = ft_cloud_text(one, kinds[k].member, "");
                if (is_plain(name))
                    puts(name);
            }
    }
    json_decref(all);
    ft_cloud_close(&c);
    return 0;
}

/* ---- what follows an option ---- */

static bool is_path(const char *value)
{
    static const char *const names[] = {"FILE", "DIR", "FOLDER", "PATH", "MODEL", "CONFIG.json"};
    for (size_t i = 0; i < FT_COUNT(names); i++)
        if (strncmp(value, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* "f16|f32|q8", in small letters: one of these. */
static bool is_choice(const char *value)
{
    return strchr(value, '|') != NULL &&
           strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_-.|") == strlen(value);
}

/* Within '...' of a shell. */
static void put_quoted(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
}

/* ---- bash ---- */

static void bash_subs(const struct ft_cmd *c)
{
    for (const struct ft_cmd *s = c->subs; s != NULL && s->name != NULL; s++)
        printf(" %s", s->name);
}

static void bash_command(void *ctx, const struct ft_cmd *c, const char *full)
{
    struct ft_described *o = ctx;
    int n = ft_describe(c, full, o);
    printf("    '%s')\n        subs='", full);
    bash_subs(c);
    printf("' words='%s'\n        options='--help", words_of(full));
    for (int i = 0; i < n; i++)
        printf(" --%s", o[i].name);
    for (int i = 0; i < n; i++)
        if (o[i].letter != 0)
            printf(" -%c", o[i].letter);
    printf("'\n        case $prev in\n");
    for (int i = 0; i < n; i++) {
        if (!o[i].takes)
            continue;
        printf("        --%s", o[i].name);
        if (o[i].letter != 0)
            printf("|-%c", o[i].letter);
        if (is_choice(o[i].value)) {
            printf(") value='choice' choice='");
            for (const char *p = o[i].value; *p != '\0'; p++)
                putchar(*p == '|' ? ' ' : *p);
            printf("' ;;\n");
        } else {
            printf(") value='%s' ;;\n", is_path(o[i].value) ? "path" : "any");
        }
    }
    printf("        esac ;;\n");
}

static void bash_names(void *ctx, const struct ft_cmd *c, const char *full)
{
    (void)ctx;
    (void)c;
    if (strchr(full, ' ') == NULL)
        printf(" %s", full);
}

static void bash_groups(void *ctx, const struct ft_cmd *c, const char *full)
{
    (void)ctx;
    if (c->subs != NULL)
        printf("%s|", full);
}

static void bash(struct ft_described *o)
{
    printf("# completion of feitian for bash, made by 'feitian completion bash'\n"
           "_feitian_table() {\n"
           "    subs='' words='' options='' value='' choice=''\n"
           "    case $1 in\n    '')\n        subs='");
    ft_commands_each(false, bash_names, NULL);
    printf(" help' options='--help --version' ;;\n");
    ft_commands_each(false, bash_command, o);
    printf(
        "    esac\n}\n\n"
        /* of lines, those that the word begins; compgen -W would expand what is in them */
        "_feitian_lines() {\n"
        "    local line\n"
        "    while IFS= read -r line; do\n"
        "        [[ -n $line && $line == \"$1\"* ]] && COMPREPLY+=(\"$(printf %%q \"$line\")\")\n"
        "    done\n"
        "}\n\n"
        "_feitian() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local command='' first=1 i subs words options value choice kind\n"
        "    COMPREPLY=()\n"
        "    [[ ${COMP_WORDS[1]} == help ]] && first=2\n"
        "    if (( COMP_CWORD > first )); then\n"
        "        command=${COMP_WORDS[first]}\n"
        "        case $command in\n        ");
    ft_commands_each(false, bash_groups, NULL);
    printf(
        "-)\n"
        "            (( COMP_CWORD > first + 1 )) && command+=\" ${COMP_WORDS[first+1]}\" ;;\n"
        "        esac\n"
        "    fi\n"
        "    _feitian_table \"$command\"\n"
        "    case $value in\n"
        "    path) COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames; return ;;\n"
        "    choice) COMPREPLY=($(compgen -W \"$choice\" -- \"$cur\")); return ;;\n"
        "    any) return ;;\n"
        "    esac\n"
        "    if [[ $cur == -* ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
        "        return\n"
        "    fi\n"
        "    if [[ -n $subs ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$subs\" -- \"$cur\"))\n"
        "        return\n"
        "    fi\n"
        "    case $words in\n"
        "    '') COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames ;;\n"
        "    objects)\n"
        "        if [[ $cur == s3:* || -z $cur || s3:// == \"$cur\"* ]]; then\n"
        "            _feitian_lines \"$cur\" < <(feitian ls 2>/dev/null | "
        "sed -n 's|.*\\(s3://.*\\)|\\1/|p')\n"
        "            compopt -o nospace\n"
        "            declare -F __ltrim_colon_completions >/dev/null && "
        "__ltrim_colon_completions \"$cur\"\n"
        "        fi\n"
        "        [[ ${#COMPREPLY[@]} == 0 ]] && COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
        "    *' '*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
        "    *) _feitian_lines \"$cur\" < <(feitian completion names \"$words\" 2>/dev/null) ;;\n"
        "    esac\n"
        "} && complete -F _feitian feitian\n");
}

/* ---- zsh ---- */

/* In a specification: ':' and brackets have a meaning of their own. */
static void zsh_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr(":[]\\", *text) != NULL)
            putchar('\\');
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
}

static void zsh_value(const struct ft_described *o)
{
    if (!o->takes)
        return;
    printf(":value:");
    if (is_choice(o->value)) {
        putchar('(');
        for (const char *p = o->value; *p != '\0'; p++)
            putchar(*p == '|' ? ' ' : *p);
        putchar(')');
    } else if (is_path(o->value)) {
        printf("_files");
    }
}

static void zsh_command(void *ctx, const struct ft_cmd *c, const char *full)
{
    struct ft_described *o = ctx;
    if (c->subs != NULL) {
        printf("    '%s')\n        local -a below=(", full);
        for (const struct ft_cmd *s = c->subs; s->name != NULL; s++) {
            printf("\n            '%s:", s->name);
            zsh_text(s->help);
            printf("'");
        }
        printf(")\n        _describe command below ;;\n");
        return;
    }
    int n = ft_describe(c, full, o);
    printf("    '%s') _arguments -s '--help[what it does and takes]'", full);
    for (int i = 0; i < n; i++) {
        printf(" \\\n        '*--%s[", o[i].name);
        zsh_text(o[i].help);
        printf("]");
        zsh_value(&o[i]);
        printf("'");
        if (o[i].letter == 0)
            continue;
        printf(" \\\n        '*-%c[", o[i].letter);
        zsh_text(o[i].help);
        printf("]");
        zsh_value(&o[i]);
        printf("'");
    }
    const char *kind = words_of(full);
    if (is_kind(kind))
        printf(" \\\n        '*:name: _feitian_names %s' ;;\n", kind);
    else if (strchr(kind, ' ') != NULL)
        printf(" \\\n        '*:name:(%s)' ;;\n", kind);
    else
        printf(" \\\n        '*:file:_files' ;;\n");
}

static void zsh_names(void *ctx, const struct ft_cmd *c, const char *full)
{
    (void)ctx;
    if (strchr(full, ' ') != NULL)
        return;
    printf("        '%s:", full);
    zsh_text(c->help);
    printf("'\n");
}

static void zsh(struct ft_described *o)
{
    printf("#compdef feitian\n# made by 'feitian completion zsh'\n"
           /* an array: _arguments would evaluate what stands in its own words */
           "_feitian_names() {\n"
           "    local -a names\n"
           "    names=(${(f)\"$(feitian completion names $1 2>/dev/null)\"})\n"
           "    compadd -a names\n"
           "}\n"
           "_feitian() {\n"
           "    local -a commands=(\n");
    ft_commands_each(false, zsh_names, NULL);
    printf("        'help:what a command does and takes'\n    )\n"
           "    if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
           "    local command=$words[2]\n"
           "    case $command in\n    ");
    ft_commands_each(false, bash_groups, NULL);
    printf("-)\n"
           "        if (( CURRENT > 3 )); then\n"
           "            command+=\" $words[3]\"; shift words; (( CURRENT-- ))\n"
           "        fi ;;\n"
           "    esac\n"
           "    shift words; (( CURRENT-- ))\n"
           "    case $command in\n");
    ft_commands_each(false, zsh_command, o);
    printf(
        "    help) _describe command commands ;;\n    esac\n}\n"
        "if [[ $funcstack[1] == _feitian ]]; then _feitian \"$@\"; else compdef _feitian feitian; "
        "fi\n");
}

/* ---- fish ---- */

static void fish_command(void *ctx, const struct ft_cmd *c, const char *full)
{
    struct ft_described *o = ctx;
    int n = ft_describe(c, full, o);
    const char *kind = words_of(full), *space = strchr(full, ' ');
    char when[160];
    if (space == NULL) {
        printf("complete -c feitian -n __fish_use_subcommand -f -a '%s' -d '", full);
        snprintf(when, sizeof when, "__fish_seen_subcommand_from %s", full);
    } else {
        printf("complete -c feitian -n '__feitian_within %.*s' -f -a '%s' -d '",
               (int)(space - full), full, space + 1);
        snprintf(when, sizeof when, "__feitian_at %s", full);
    }
    put_quoted(c->help);
    printf("'\n");
    for (int i = 0; i < n; i++) {
        printf("complete -c feitian -n '%s' -l %s", when, o[i].name);
        if (o[i].letter != 0)
            printf(" -s %c", o[i].letter);
        if (o[i].takes)
            printf(is_path(o[i].value) ? " -r -F" : " -x");
        if (o[i].takes && is_choice(o[i].value)) {
            printf(" -a '");
            for (const char *p = o[i].value; *p != '\0'; p++)
                putchar(*p == '|' ? ' ' : *p);
            printf("'");
        }
        printf(" -d '");
        put_quoted(o[i].help);
        printf("'\n");
    }
    if (is_kind(kind))
        printf("complete -c feitian -n '%s' -f -a '(feitian completion names %s 2>/dev/null)'\n",
               when, kind);
    else if (strchr(kind, ' ') != NULL)
        printf("complete -c feitian -n '%s' -f -a '%s'\n", when, kind);
}

static void fish(struct ft_described *o)
{
    printf("# completion of feitian for fish, made by 'feitian completion fish'\n"
           "function __feitian_at\n"
           "    set -l words (commandline -opc)\n"
           "    test (count $words) -ge 3; and test \"$words[2] $words[3]\" = \"$argv\"\n"
           "end\n"
           "function __feitian_within\n"
           "    set -l words (commandline -opc)\n"
           "    test (count $words) -eq 2; and test \"$words[2]\" = \"$argv\"\n"
           "end\n");
    ft_commands_each(false, fish_command, o);
}

int ft_cmd_completion(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(struct ft_described *o);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    static const struct option none[] = {{0}};
    static struct ft_described room[FT_DESCRIBED_MAX];
    if (ft_cli_getopt(argc, argv, "", none) != -1)
        return ft_cli_see_help("completion");
    if (argc == 3 && strcmp(argv[1], "names") == 0)
        return print_names(argv[2]);
    for (size_t i = 0; i < FT_COUNT(shells) && argc == 2; i++)
        if (strcmp(argv[1], shells[i].name) == 0) {
            shells[i].print(room);
            return 0;
        }
    return ft_cli_usage("completion", "for which shell: bash, zsh or fish?");
}
