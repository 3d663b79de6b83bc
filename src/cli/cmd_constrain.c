/* feitian constrain: what constrained decoding would let through.
 *
 * Compiles a schema, regular expression or grammar; then every line of standard input is fed byte
 * by byte, as tokens would be, and `accept` or `reject` is printed for it. A refused grammar is
 * status 2 with the keyword on standard error. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/constrain/constrain.h"

#define GRAMMAR_BYTES_MAX ((size_t)16 << 20)

typedef int from_text(const char *, size_t, struct ft_grammar **, struct ft_err *);

static int compile(from_text *how, const char *path, bool is_text, struct ft_grammar **ret)
{
    struct ft_err err;
    char *text = NULL;
    size_t n = 0;
    if (is_text) {
        n = strlen(path);
    } else if (ft_file_read(path, GRAMMAR_BYTES_MAX, &text, &n, &err) != 0) {
        return ft_cli_fail(1, &err, path);
    }
    int rc = how(is_text ? path : text, n, ret, &err);
    free(text);
    return rc == 0 ? 0 : ft_cli_fail(2, &err, "constrain");
}

static bool accepts(struct ft_grammar *g, const char *line, size_t n)
{
    struct ft_err err;
    struct ft_matcher *m;
    if (ft_matcher_open(g, NULL, &m, &err) != 0) {
        ft_cli_fail(1, &err, "constrain");
        return false;
    }
    bool ok = ft_matcher_accept_bytes(m, line, n) && ft_matcher_may_end(m);
    ft_matcher_close(m);
    return ok;
}

int ft_cmd_constrain(int argc, char **argv)
{
    struct ft_grammar *g = NULL;
    struct ft_err err;
    int rc;
    if (argc == 3 && strcmp(argv[1], "--schema") == 0)
        rc = compile(ft_grammar_from_schema, argv[2], false, &g);
    else if (argc == 3 && strcmp(argv[1], "--gbnf") == 0)
        rc = compile(ft_grammar_from_gbnf, argv[2], false, &g);
    else if (argc == 3 && strcmp(argv[1], "--regex") == 0)
        rc = compile(ft_grammar_from_regex, argv[2], true, &g);
    else if (argc == 2 && strcmp(argv[1], "--json") == 0)
        rc = ft_grammar_json_object(&g, &err) == 0 ? 0 : ft_cli_fail(2, &err, "constrain");
    else
        return ft_cli_usage(argv[0], "one of --schema, --regex, --gbnf and --json was expected");
    if (rc != 0)
        return rc;
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; (n = getline(&line, &cap, stdin)) >= 0;) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        puts(accepts(g, line, (size_t)n) ? "accept" : "reject");
        fflush(stdout);
    }
    free(line);
    ft_grammar_unref(g);
    return 0;
}
