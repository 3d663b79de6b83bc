/* Tokenizers: opening, and the way of a text through one.
 *
 * text -> added tokens cut out -> normalizer -> added tokens of normalized text -> pieces
 * (pretok.c) -> symbols and merges (bpe.c). Between added tokens lies a section; bytes that are
 * not valid UTF-8 cut a section too and become byte tokens one by one, so every text has an
 * encoding that decodes to the same bytes (unless the tokenizer normalizes, or lacks byte
 * tokens). */
#include "model/token/steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"

#define ARENA_BYTES_MAX  ((size_t)4 << 30)
#define JSON_BYTES_MAX   ((size_t)256 << 20) /* tokenizer.json */
#define CONFIG_BYTES_MAX ((size_t)16 << 20)  /* its neighbours */
/* Steps of patterns of unknown cost: for one text, and for each of its bytes. */
#define STEPS_BASE     10000000u
#define STEPS_PER_BYTE 200u

static struct ft_tokenizer *tokenizer_new(void)
{
    struct ft_tokenizer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    ft_arena_init(&t->arena, ARENA_BYTES_MAX);
    t->bos = t->eos = t->unk = t->stand_in_mark = -1;
    return t;
}

static int open_done(struct ft_tokenizer *t, int rc, struct ft_tokenizer **ret_t)
{
    if (rc != 0) {
        ft_tokenizer_close(t);
        return rc;
    }
    *ret_t = t;
    return 0;
}

/* Reads a file beside the weights. *ret_data stays NULL if there is none. */
static int neighbour_read(const char *folder, const char *name, size_t max, char **ret_data,
                          size_t *ret_n, struct ft_err *err)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return ft_err_set(err, FT_EINVAL, "%s: the path is too long", folder);
    struct ft_err e;
    int rc = ft_file_read(path, max, ret_data, ret_n, &e);
    if (rc == FT_ENOTFOUND)
        return 0;
    if (rc != 0 && err != NULL)
        *err = e;
    return rc;
}

static int folder_fill(struct ft_tokenizer *t, const char *folder, const char *name,
                       struct ft_err *err)
{
    char *json = NULL, *config = NULL, *generation = NULL;
    size_t json_n = 0, config_n = 0, generation_n = 0;
    int rc = neighbour_read(folder, name, JSON_BYTES_MAX, &json, &json_n, err);
    if (rc == 0 && json == NULL)
        rc = ft_err_set(err, FT_ENOTFOUND, "%s: there is no %s", folder, name);
    if (rc == 0)
        rc = neighbour_read(folder, "tokenizer_config.json", CONFIG_BYTES_MAX, &config, &config_n,
                            err);
    if (rc == 0)
        rc = neighbour_read(folder, "generation_config.json", CONFIG_BYTES_MAX, &generation,
                            &generation_n, err);
    if (rc == 0)
        rc = ft_tokenizer_fill_json(t, json, json_n, config, config_n, err);
    if (rc == 0 && generation != NULL)
        rc = ft_tokenizer_fill_generation(t, generation, generation_n, err);
    free(json);
    free(config);
    free(generation);
    return rc;
}

int ft_tokenizer_open(const struct ft_weights *w, struct ft_tokenizer **ret_t, struct ft_err *err)
{
    struct ft_tokenizer *t = tokenizer_new();
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "tokenizer: out of memory");
    int rc = ft_weights_source(w) == FT_SOURCE_HF
                 ? folder_fill(t, ft_weights_path(w), "tokenizer.json", err)
                 : ft_tokenizer_fill_gguf(t, w, err);
    return open_done(t, rc, ret_t);
}

int ft_tokenizer_open_file(const char *path, struct ft_tokenizer **ret_t, struct ft_err *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    struct ft_tokenizer *t = tokenizer_new();
    int rc = t == NULL || folder == NULL
                 ? ft_err_set(err, FT_ENOMEM, "tokenizer: out of memory")
                 : folder_fill(t, folder, slash == NULL ? path : slash + 1, err);
    free(folder);
    return open_done(t, rc, ret_t);
}

int ft_tokenizer_open_json(const char *json, size_t n, const char *config, size_t config_n,
                           struct ft_tokenizer **ret_t, struct ft_err *err)
{
    struct ft_tokenizer *t = tokenizer_new();
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "tokenizer: out of memory");
    return open_done(t, ft_tokenizer_fill_json(t, json, n, config, config_n, err), ret_t);
}

void ft_tokenizer_close(struct ft_tokenizer *t)
{
    if (t == NULL)
        return;
    ft_pretok_close(t->pretok);
    ft_normal_close(t->normal);
    ft_arena_fini(&t->arena);
    free(t);
}

int ft_tokenizer_size(const struct ft_tokenizer *t)
{
    return (int)t->vocab.n;
}

bool ft_tokenizer_is_control(const struct ft_tokenizer *t, int32_t id)
{
    if (id < 0 || (uint32_t)id >= t->vocab.n)
        return false;
    enum ft_token_type type = ft_vocab_type(&t->vocab, (uint32_t)id);
    return type == FT_TOKEN_CONTROL || type == FT_TOKEN_UNKNOWN;
}

bool ft_tokenizer_is_eog(const struct ft_tokenizer *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->vocab.n && (t->vocab.attr[id] & FT_TOKEN_EOG) != 0;
}

int32_t ft_tokenizer_find(const struct ft_tokenizer *t, const char *text, size_t n)
{
    int32_t id = ft_vocab_find_verbatim(&t->vocab, text, n);
    return id >= 0 ? id : ft_vocab_find(&t->vocab, text, n);
}

int32_t ft_tokenizer_bos(const struct ft_tokenizer *t)
{
    return t->bos;
}

int32_t ft_tokenizer_eos(const struct ft_tokenizer *t)
{
    return t->eos;
}

int ft_enc_push(struct ft_enc *e, int32_t id)
{
    if (e->n == e->cap) {
        size_t cap = e->cap < 64 ? 64 : e->cap * 2;
        int32_t *p = realloc(e->ids, cap * sizeof *p);
        if (p == NULL)
            return ft_err_set(e->err, FT_ENOMEM, "tokenize: out of memory");
        e->ids = p;
        e->cap = cap;
    }
    e->ids[e->n++] = id;
    return 0;
}

struct ft_regex_scratch *ft_enc_scratch(struct ft_enc *e)
{
    if (e->scratch == NULL)
        e->scratch = ft_regex_scratch_open(STEPS_BASE + (uint64_t)STEPS_PER_BYTE * e->text_n);
    return e->scratch;
}

/* Valid characters go to `run`, other bytes to byte tokens. */
static int plain_encode(struct ft_enc *e, const char *p, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        size_t valid = ft_utf8_valid_len(p + i, n - i);
        if (valid != 0)
            rc = ft_pretok_run(e, p + i, valid);
        i += valid;
        if (rc == 0 && i < n)
            rc = ft_bpe_encode_stray(e, (unsigned char)p[i++]);
    }
    return rc;
}

/* A stretch of text without added tokens. first: it is the beginning of the whole text. */
static int section_encode(struct ft_enc *e, const char *p, size_t n, bool first)
{
    const struct ft_tokenizer *t = e->t;
    bool prefix = t->prefix == FT_PREFIX_EACH || (t->prefix == FT_PREFIX_FIRST && first);
    if (n == 0)
        return 0;
    if (first && (e->flags & FT_TOK_CONTINUE) != 0)
        prefix = false;
    if (!prefix || (t->prefix_unless_space && p[0] == ' '))
        return plain_encode(e, p, n);
    char *q = malloc(n + 1);
    if (q == NULL)
        return ft_err_set(e->err, FT_ENOMEM, "tokenize: out of memory");
    q[0] = ' ';
    memcpy(q + 1, p, n);
    int rc = plain_encode(e, q, n + 1);
    free(q);
    return rc;
}

/* A stand-in for a byte may not follow its mark, or the two would read as the byte (detok.c): its
 * text is spelled out then. */
static int added_push(struct ft_enc *e, int32_t id)
{
    const struct ft_tokenizer *t = e->t;
    if (t->stand_in_mark < 0 || e->n == 0 || e->ids[e->n - 1] != t->stand_in_mark ||
        !ft_tokenizer_is_stand_in(t, id))
        return ft_enc_push(e, id);
    size_t n;
    const char *p = ft_vocab_bytes(&t->vocab, (uint32_t)id, &n);
    return ft_pretok_run(e, p, n);
}

static int normal_section(struct ft_enc *e, const char *p, size_t n, bool first)
{
    size_t at = 0, start, end;
    int rc = 0;
    while (rc == 0) {
        int32_t id = ft_added_find(&e->t->added_normal, p, n, at, e->flags, &start, &end);
        if (id < 0)
            break;
        rc = section_encode(e, p + at, start - at, first && at == 0);
        if (rc == 0)
            rc = added_push(e, id);
        at = end;
    }
    return rc != 0 ? rc : section_encode(e, p + at, n - at, first && at == 0);
}

/* Normalizes the valid stretches of a section; other bytes stay. */
static int raw_section(struct ft_enc *e, const char *p, size_t n, bool first)
{
    if (e->t->normal == NULL || n == 0)
        return normal_section(e, p, n, first);
    struct ft_buf b;
    ft_buf_init(&b, FT_TOK_TEXT_MAX);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        size_t valid = ft_utf8_valid_len(p + i, n - i);
        if (valid != 0)
            rc = ft_normal_run(e, p + i, valid, &b);
        i += valid;
        if (rc == 0 && i < n && ft_buf_add(&b, p + i++, 1) != 0)
            rc = ft_err_set(e->err, (enum ft_code)b.failed, "tokenize: the text is too long");
    }
    if (rc == 0 && b.len != 0)
        rc = normal_section(e, b.data, b.len, first);
    ft_buf_fini(&b);
    return rc;
}

static int text_encode(struct ft_enc *e, const char *text, size_t n)
{
    const struct ft_tokenizer *t = e->t;
    size_t at = 0, start, end;
    int rc = 0;
    for (int i = 0; (e->flags & FT_TOK_BOS) != 0 && i < t->n_before && rc == 0; i++)
        rc = ft_enc_push(e, t->before[i]);
    while (rc == 0) {
        int32_t id = ft_added_find(&t->added, text, n, at, e->flags, &start, &end);
        if (id < 0)
            break;
        rc = raw_section(e, text + at, start - at, at == 0);
        if (rc == 0)
            rc = added_push(e, id);
        at = end;
    }
    if (rc == 0)
        rc = raw_section(e, text + at, n - at, at == 0);
    for (int i = 0; (e->flags & FT_TOK_EOS) != 0 && i < t->n_after && rc == 0; i++)
        rc = ft_enc_push(e, t->after[i]);
    return rc;
}

int ft_tokenizer_encode(const struct ft_tokenizer *t, const char *text, size_t n, unsigned flags,
                        int32_t **ids, size_t *n_ids, struct ft_err *err)
{
    if (n > FT_TOK_TEXT_MAX)
        return ft_err_set(err, FT_ELIMIT, "a text of %zu bytes, more than %u", n, FT_TOK_TEXT_MAX);
    struct ft_enc e = {.t = t, .err = err, .flags = flags, .text_n = n};
    int rc = text_encode(&e, text, n);
    if (rc == 0 && *n_ids == 0) {
        free(*ids);
        *ids = e.ids;
        *n_ids = e.n;
        e.ids = NULL;
    } else if (rc == 0 && e.n != 0) {
        int32_t *p = realloc(*ids, (*n_ids + e.n) * sizeof *p);
        if (p == NULL) {
            rc = ft_err_set(err, FT_ENOMEM, "tokenize: out of memory");
        } else {
            memcpy(p + *n_ids, e.ids, e.n * sizeof *p);
            *ids = p;
            *n_ids += e.n;
        }
    }
    free(e.ids);
    free(e.nodes);
    free(e.heap);
    free(e.syms);
    ft_regex_scratch_close(e.scratch);
    return rc;
}
