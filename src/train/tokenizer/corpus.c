/* Files to text for the trainer. */
#include "train/tokenizer/corpus.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/slice.h"
#include "base/utf8.h"
#include "train/data/lines.h"

#define NEST_MAX    64
#define CHUNK_BYTES ((size_t)4 << 20) /* of a .txt file between two reports of progress */

struct corpus {
    struct ft_bpe *b;
    const char *path;
    int (*progress)(void *ctx, int64_t done, int64_t all);
    void *ctx;
    int64_t done, all;
};

static int tell(struct corpus *c, size_t n, struct ft_err *err)
{
    int64_t before = c->done / (int64_t)CHUNK_BYTES;
    c->done += (int64_t)n;
    if (c->progress == NULL || c->done / (int64_t)CHUNK_BYTES == before ||
        c->progress(c->ctx, c->done, c->all > c->done ? c->all : c->done) == 0)
        return 0;
    return ft_err_set(err, FT_ECANCELED, "stopped while reading %s", ft_lines_name(c->path));
}

static bool is_one_of(const char *s, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

static int add_strings(struct corpus *c, json_t *v, int nest, struct ft_err *err)
{
    static const char *const left_out[] = {"role", "type", "id", "tool_call_id", "weight", NULL};
    const char *key;
    json_t *member;
    size_t i;
    int rc = 0;
    if (nest > NEST_MAX)
        return ft_err_set(err, FT_EINVAL, "nested deeper than %d", NEST_MAX);
    if (json_is_string(v))
        return ft_bpe_add(c->b, json_string_value(v), json_string_length(v), err);
    json_object_foreach(v, key, member) if (rc == 0 && !is_one_of(key, left_out)) rc =
        add_strings(c, member, nest + 1, err);
    json_array_foreach(v, i, member) if (rc == 0) rc = add_strings(c, member, nest + 1, err);
    return rc;
}

static int add_object(struct corpus *c, json_t *line, struct ft_err *err)
{
    static const char *const taken[] = {
        "text",  "prompt",           "completion",           "messages", "chosen",   "rejected",
        "input", "preferred_output", "non_preferred_output", "tools",    "functions"};
    int n = 0, rc = 0;
    for (size_t i = 0; i < FT_COUNT(taken) && rc == 0; i++) {
        json_t *v = json_object_get(line, taken[i]);
        n += v != NULL;
        rc = v != NULL ? add_strings(c, v, 0, err) : 0;
    }
    return rc == 0 && n == 0 ? ft_err_set(err, FT_EINVAL, "no text, prompt or messages") : rc;
}

static int add_line(void *ctx, int64_t line, const char *p, size_t n, struct ft_err *err)
{
    struct corpus *c = ctx;
    json_error_t e;
    int rc;
    json_t *v = p != NULL ? json_loadb(p, n, JSON_ALLOW_NUL, &e) : NULL;
    if (p == NULL)
        rc = ft_err_set(err, FT_ELIMIT, "longer than %u bytes", FT_LINES_BYTES_MAX);
    else if (v == NULL)
        rc = ft_err_set(err, FT_EINVAL, "not JSON: %s, byte %d", e.text, e.position);
    else
        rc = add_object(c, v, err);
    json_decref(v);
    if (rc != 0)
        return ft_err_wrap(err, "%s:%lld", ft_lines_name(c->path), (long long)line);
    return tell(c, n + 1, err);
}

/* In chunks that end at a newline, where pieces end too. */
static int add_text(struct corpus *c, const char *p, size_t n, struct ft_err *err)
{
    size_t valid = ft_utf8_valid_len(p, n);
    if (valid < n)
        return ft_err_set(err, FT_EINVAL, "%s: byte %zu is not UTF-8", c->path, valid + 1);
    int rc = 0;
    for (size_t at = ft_utf8_mark_len(p, n), end; at < n && rc == 0; at = end) {
        const char *nl =
            n - at > CHUNK_BYTES ? memchr(p + at + CHUNK_BYTES, '\n', n - at - CHUNK_BYTES) : NULL;
        end = nl != NULL ? (size_t)(nl - p) + 1 : n;
        rc = ft_bpe_add(c->b, p + at, end - at, err);
        if (rc == 0)
            rc = tell(c, end - at, err);
    }
    return rc;
}

static int add_file(struct corpus *c, struct ft_err *err)
{
    struct ft_map map = {0};
    if (!ft_str_ends(c->path, ".txt"))
        return ft_lines_read(c->path, add_line, c, err);
    int rc = ft_map_open(c->path, &map, err);
    if (rc == 0 && map.bytes > 0)
        rc = add_text(c, (const char *)map.data, map.bytes, err);
    ft_map_close(&map);
    return rc;
}

int ft_corpus_read(struct ft_bpe *b, const char *const *path, int n_paths,
                   int (*progress)(void *ctx, int64_t done, int64_t all), void *ctx,
                   struct ft_err *err)
{
    struct corpus c = {.b = b, .progress = progress, .ctx = ctx};
    struct stat st;
    for (int i = 0; i < n_paths; i++)
        if (stat(path[i], &st) == 0 && S_ISREG(st.st_mode))
            c.all += st.st_size;
    int rc = 0;
    for (int i = 0; i < n_paths && rc == 0; i++) {
        c.path = path[i];
        rc = add_file(&c, err);
    }
    return rc;
}
