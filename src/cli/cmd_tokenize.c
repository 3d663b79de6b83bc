/* `feitian tokenize` and `feitian detokenize`: standard input to ids and back, exactly. */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/slice.h"
#include "model/token/tokenizer.h"

#define INPUT_BYTES_MAX ((size_t)1 << 30)

struct options {
    const char *model;
    unsigned flags;
    bool pieces, skip_control;
};

static int args_parse(int argc, char **argv, const char *cmd, struct options *o)
{
    static const struct option options[] = {
        {"no-special", no_argument, NULL, 'n'}, /* the first is all that detokenize takes */
        {"special", no_argument, NULL, 's'},    {"bos", no_argument, NULL, 'b'},
        {"eos", no_argument, NULL, 'e'},        {"pieces", no_argument, NULL, 'p'},
        {"ids", no_argument, NULL, 'i'},        {0}};
    bool back = strcmp(cmd, "detokenize") == 0;
    const struct option just_one[] = {options[0], {0}};
    *o = (struct options){0};
    for (int c; (c = ft_cli_getopt(argc, argv, "", back ? just_one : options)) != -1;) {
        switch (c) {
        case 'n':
            o->flags &= ~FT_TOK_SPECIAL;
            o->skip_control = true;
            break;
        case 's':
            o->flags |= FT_TOK_SPECIAL;
            break;
        case 'b':
            o->flags |= FT_TOK_BOS;
            break;
        case 'e':
            o->flags |= FT_TOK_EOS;
            break;
        case 'p':
        case 'i':
            o->pieces = c == 'p';
            break;
        default:
            return ft_cli_see_help(cmd);
        }
    }
    if (argc - optind != 1)
        return ft_cli_usage(cmd, "one MODEL is needed");
    o->model = argv[optind];
    return 0;
}

static int model_open(const char *path, struct ft_weights **ret_w, struct ft_tokenizer **ret_t,
                      struct ft_err *err)
{
    if (ft_str_ends(path, ".json")) /* a vocabulary without a model */
        return ft_tokenizer_open_file(path, ret_t, err);
    int rc = ft_weights_open(path, ret_w, err);
    if (rc == 0)
        rc = ft_tokenizer_open(*ret_w, ret_t, err);
    return rc;
}

static int output_flush(struct ft_err *err)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return 0;
    return ft_err_sys(err, "standard output");
}

static void ids_print(const int32_t *ids, size_t n)
{
    putchar('[');
    for (size_t i = 0; i < n; i++)
        printf(i == 0 ? "%d" : ",%d", ids[i]);
    puts("]");
}

/* id, tab, the bytes with everything unprintable escaped; one token a line. */
static void pieces_print(const struct ft_tokenizer *t, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *p = ft_tokenizer_bytes(t, ids[i], &len);
        printf("%d\t\"", ids[i]);
        for (size_t k = 0; k < len; k++) {
            unsigned char c = (unsigned char)p[k];
            if (c == '\n')
                fputs("\\n", stdout);
            else if (c == '"' || c == '\\')
                printf("\\%c", c);
            else if (c < 0x20 || c == 0x7f)
                printf("\\x%02x", c);
            else
                putchar(c);
        }
        puts("\"");
    }
}

int ft_cmd_tokenize(int argc, char **argv)
{
    struct options o;
    struct ft_err err = {0};
    struct ft_weights *w = NULL;
    struct ft_tokenizer *t = NULL;
    char *text = NULL;
    size_t text_n = 0, n = 0;
    int32_t *ids = NULL;
    int status = args_parse(argc, argv, "tokenize", &o);
    if (status != 0)
        return status;
    int rc = model_open(o.model, &w, &t, &err);
    if (rc == 0)
        rc = ft_file_read("-", INPUT_BYTES_MAX, &text, &text_n, &err);
    if (rc == 0)
        rc = ft_tokenizer_encode(t, text, text_n, o.flags, &ids, &n, &err);
    if (rc == 0) {
        if (o.pieces)
            pieces_print(t, ids, n);
        else
            ids_print(ids, n);
        rc = output_flush(&err);
    }
    if (rc != 0)
        status = ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "tokenize");
    free(ids);
    free(text);
    ft_tokenizer_close(t);
    ft_weights_close(w);
    return status;
}

/* Numbers between commas and spaces, with or without brackets around them all. */
static int ids_parse(const char *p, size_t n, int32_t **ret_ids, size_t *ret_n, struct ft_err *err)
{
    static const char blank[] = " \t\r\n";
    size_t count = 0, cap = 0;
    int32_t *ids = NULL;
    int rc = 0;
    const char *end = p + n;
    while (end > p && memchr(blank, end[-1], 4) != NULL)
        end--;
    while (p < end && memchr(blank, *p, 4) != NULL)
        p++;
    if (p < end && *p == '[') {
        if (end[-1] != ']' || end - p < 2)
            return ft_err_set(err, FT_EINVAL, "standard input: '[' without ']'");
        p++;
        end--;
    }
    while (rc == 0) {
        while (p < end && (memchr(blank, *p, 4) != NULL || *p == ','))
            p++;
        if (p == end)
            break;
        char *stop;
        errno = 0;
        long v = *p >= '0' && *p <= '9' ? strtol(p, &stop, 10) : -1;
        if (v < 0 || v > INT32_MAX || errno != 0 ||
            (stop < end && *stop != ',' && memchr(blank, *stop, 4) == NULL)) {
            rc = ft_err_set(err, FT_EINVAL, "standard input: '%.*s' is not a token id",
                            (int)FT_MIN((size_t)(end - p), strcspn(p, ", \t\r\n]")), p);
            break;
        }
        if (count == cap) {
            cap = cap == 0 ? 1024 : cap * 2;
            int32_t *q = realloc(ids, cap * sizeof *q);
            if (q == NULL) {
                rc = ft_err_set(err, FT_ENOMEM, "out of memory");
                break;
            }
            ids = q;
        }
        ids[count++] = (int32_t)v;
        p = stop;
    }
    if (rc != 0) {
        free(ids);
        return rc;
    }
    *ret_ids = ids;
    *ret_n = count;
    return 0;
}

int ft_cmd_detokenize(int argc, char **argv)
{
    struct options o;
    struct ft_err err = {0};
    struct ft_weights *w = NULL;
    struct ft_tokenizer *t = NULL;
    char *text = NULL;
    size_t text_n = 0, n = 0;
    int32_t *ids = NULL;
    int status = args_parse(argc, argv, "detokenize", &o);
    if (status != 0)
        return status;
    struct ft_buf out;
    ft_buf_init(&out, INPUT_BYTES_MAX * 4);
    int rc = model_open(o.model, &w, &t, &err);
    if (rc == 0)
        rc = ft_file_read("-", INPUT_BYTES_MAX, &text, &text_n, &err);
    if (rc == 0)
        rc = ids_parse(text, text_n, &ids, &n, &err);
    if (rc == 0)
        rc = ft_tokenizer_decode(t, ids, n, o.skip_control, &out, &err);
    if (rc == 0) {
        if (out.len != 0)
            fwrite(out.data, 1, out.len, stdout);
        rc = output_flush(&err);
    }
    ft_buf_fini(&out);
    free(ids);
    free(text);
    ft_tokenizer_close(t);
    ft_weights_close(w);
    return rc == 0 ? 0 : ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "detokenize");
}
