/* feitian eval: the logits of every position of a token sequence, as raw floats in a file. */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/local.h"

#define TOKENS_MAX (1 << 20)

/* "1,2,3" into a malloc'ed array. */
static int parse_tokens(const char *text, int32_t **ret, int *ret_n, struct ft_err *err)
{
    size_t most = strlen(text) / 2 + 1;
    if (most > TOKENS_MAX)
        return ft_err_set(err, FT_ELIMIT, "--tokens: more than %d", TOKENS_MAX);
    int32_t *ids = calloc(most, sizeof *ids);
    if (ids == NULL)
        return ft_err_set(err, FT_ENOMEM, "--tokens: no memory");
    int n = 0;
    for (const char *p = text;;) {
        char *end;
        errno = 0;
        long v = strtol(p, &end, 10);
        if (end == p || errno != 0 || v < 0 || v > INT32_MAX || (*end != ',' && *end != '\0')) {
            free(ids);
            return ft_err_set(err, FT_EINVAL, "--tokens: '%.20s' at place %d is not a token id", p,
                              n);
        }
        ids[n++] = (int32_t)v;
        if (*end == '\0')
            break;
        p = end + 1;
    }
    *ret = ids;
    *ret_n = n;
    return 0;
}

struct sink {
    FILE *file;
    const char *path;
    size_t n_vocab;
};

static int write_rows(void *ctx, int pos, int n_rows, const float *logits, struct ft_err *err)
{
    (void)pos;
    struct sink *s = ctx;
    size_t n = (size_t)n_rows * s->n_vocab;
    if (fwrite(logits, sizeof *logits, n, s->file) != n)
        return ft_err_sys(err, "write %s", s->path);
    return 0;
}

static int eval(const char *model, const char *tokens, const char *path,
                const struct ft_local_config *cfg, struct ft_err *err)
{
    int32_t *ids = NULL;
    int n = 0;
    struct ft_local l = {0};
    struct sink s = {.path = path};
    int rc = parse_tokens(tokens, &ids, &n, err);
    if (rc == 0)
        rc = ft_local_open(model, cfg, n, &l, err);
    if (rc == 0 && (s.file = fopen(path, "wb")) == NULL)
        rc = ft_err_sys(err, "open %s", path);
    if (rc == 0) {
        s.n_vocab = (size_t)l.model->hp.n_vocab;
        rc = ft_local_feed(&l, ids, n, 0, 0, FT_LOCAL_ALL, write_rows, &s, err);
    }
    if (s.file != NULL && fclose(s.file) != 0 && rc == 0)
        rc = ft_err_sys(err, "write %s", path);
    struct stat st;
    if (rc != 0 && s.file != NULL && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        unlink(path); /* some of the rows would look like all of them */
    ft_local_close(&l);
    free(ids);
    return rc;
}

int ft_cmd_eval(int argc, char **argv)
{
    static const struct option options[] = {{"tokens", required_argument, NULL, 't'},
                                            {"logits", required_argument, NULL, 'l'},
                                            {"device", required_argument, NULL, 'd'},
                                            {"threads", required_argument, NULL, 'n'},
                                            {"kv", required_argument, NULL, 'k'},
                                            {"isa", required_argument, NULL, 'i'},
                                            {"rows", required_argument, NULL, 'r'},
                                            {"adapter", required_argument, NULL, 'a'},
                                            {0}};
    struct ft_local_config cfg = {.kv_type = FT_KV_F32};
    struct ft_err err = {0};
    const char *tokens = NULL, *logits = NULL;
    for (int c; (c = ft_cli_getopt(argc, argv, "", options)) != -1;) {
        int rc = 0;
        switch (c) {
        case 't':
            tokens = optarg;
            break;
        case 'l':
            logits = optarg;
            break;
        case 'a':
            cfg.adapter = optarg;
            break;
        case 'd':
            cfg.device = optarg;
            break;
        case 'i':
            cfg.isa = optarg;
            break;
        case 'n':
            rc = ft_cli_int("--threads", optarg, 1, 1024, &cfg.n_threads, &err);
            break;
        case 'r':
            rc = ft_cli_int("--rows", optarg, 1, 4096, &cfg.max_rows, &err);
            break;
        case 'k':
            rc = ft_local_kv_type(optarg, &cfg.kv_type, &err);
            break;
        default:
            return ft_cli_see_help("eval");
        }
        if (rc != 0)
            return ft_cli_usage("eval", "%s", err.msg);
    }
    if (argc - optind != 1 || tokens == NULL || logits == NULL)
        return ft_cli_usage("eval", "MODEL, --tokens and --logits are needed");
    if (eval(argv[optind], tokens, logits, &cfg, &err) != 0)
        return ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "eval");
    return 0;
}
