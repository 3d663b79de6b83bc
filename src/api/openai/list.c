/* Answers that nothing generates: embeddings, ranks, counts, models. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/answer.h"
#include "api/openai/json.h"

#define DIMENSIONS_MAX 65536

/* ---- base64 ---- */

static void write_base64(struct ft_buf *out, const void *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;
    if (ft_buf_reserve(out, (n + 2) / 3 * 4) != 0)
        return;
    for (size_t i = 0; i < n; i += 3) {
        size_t k = FT_MIN(n - i, (size_t)3);
        uint32_t v =
            (uint32_t)p[i] << 16 | (k > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (k > 2 ? p[i + 2] : 0);
        char s[4] = {digits[v >> 18], digits[v >> 12 & 63], k > 1 ? digits[v >> 6 & 63] : '=',
                     k > 2 ? digits[v & 63] : '='};
        ft_buf_add(out, s, 4);
    }
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* How many bytes; at most max are written. -1: not base64. */
static int64_t read_base64(const char *s, size_t n, unsigned char *ret, size_t max)
{
    size_t len = 0;
    while (n > 0 && s[n - 1] == '=')
        n--;
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int d = digit(s[i]);
        if (d < 0)
            return -1;
        v = v << 6 | (uint32_t)d;
        if (i % 4 != 0 && len < max)
            ret[len++] = (unsigned char)(v >> (6 - 2 * (i % 4)));
    }
    return (int64_t)len;
}

/* ---- embeddings ---- */

static void write_floats(struct ft_buf *out, const float *v, size_t n)
{
    ft_buf_add_byte(out, '[');
    for (size_t i = 0; i < n; i++) {
        char s[32];
        int len = snprintf(s, sizeof s, i > 0 ? ",%.9g" : "%.9g", isfinite(v[i]) ? v[i] : 0.0);
        ft_buf_add(out, s, (size_t)len);
    }
    ft_buf_add_byte(out, ']');
}

static void write_vector(struct ft_buf *out, size_t index, const float *v, size_t dim, bool base64)
{
    ft_buf_add_str(out, index > 0 ? ",{\"object\":\"embedding\",\"index\":"
                                  : "{\"object\":\"embedding\",\"index\":");
    ft_oai_write_int(out, (int64_t)index);
    FT_OAI_LIT(out, ",\"embedding\":");
    if (base64) {
        ft_buf_add_byte(out, '"');
        write_base64(out, v, dim * sizeof *v);
        ft_buf_add_byte(out, '"');
    } else {
        write_floats(out, v, dim);
    }
    ft_buf_add_byte(out, '}');
}

static void write_embedding_tail(struct ft_buf *out, const char *model,
                                 const struct ft_answer_usage *usage, bool worker)
{
    FT_OAI_LIT(out, "],\"model\":");
    ft_oai_write_string(out, model, strlen(model));
    FT_OAI_LIT(out, ",\"usage\":{\"prompt_tokens\":");
    ft_oai_write_int(out, usage->prompt_tokens);
    FT_OAI_LIT(out, ",\"total_tokens\":");
    ft_oai_write_int(out, usage->prompt_tokens);
    ft_buf_add_byte(out, '}');
    if (worker)
        ft_oai_write_cost(out, usage);
    ft_buf_add_byte(out, '}');
}

void ft_oai_write_embeddings(struct ft_buf *out, const char *model, const float *vector, size_t n,
                             size_t dim, bool base64, const struct ft_answer_usage *usage)
{
    FT_OAI_LIT(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n; i++)
        write_vector(out, i, vector + i * dim, dim, base64);
    write_embedding_tail(out, model, usage, true);
}

/* The vector of one entry in either form; its length, or -1. */
static int64_t read_vector(const json_t *entry, float *ret)
{
    const json_t *e = json_object_get(entry, "embedding");
    if (json_is_string(e)) {
        int64_t bytes = read_base64(json_string_value(e), json_string_length(e),
                                    (unsigned char *)ret, DIMENSIONS_MAX * sizeof *ret);
        return bytes < 0 ? -1 : bytes / (int64_t)sizeof *ret;
    }
    size_t n = json_array_size(e);
    if (!json_is_array(e) || n > DIMENSIONS_MAX)
        return -1;
    for (size_t i = 0; i < n; i++)
        ret[i] = (float)json_number_value(json_array_get(e, i));
    return (int64_t)n;
}

static void list_embeddings(struct ft_buf *out, const char *model, bool base64,
                            const json_t *result, const struct ft_answer_usage *usage)
{
    const json_t *data = json_object_get(result, "data");
    float *v = malloc(DIMENSIONS_MAX * sizeof *v);
    if (v == NULL) {
        out->failed = FT_ENOMEM;
        return;
    }
    FT_OAI_LIT(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < json_array_size(data); i++) {
        int64_t dim = read_vector(json_array_get(data, i), v);
        write_vector(out, i, v, (size_t)FT_MAX(dim, 0), base64);
    }
    write_embedding_tail(out, model, usage, false);
    free(v);
}

/* ---- ranks ---- */

static void rank_head(struct ft_buf *out, const char *id, const char *model)
{
    id = strncmp(id, "req_", 4) == 0 ? id + 4 : id;
    FT_OAI_LIT(out, "{\"id\":\"rerank-");
    ft_oai_write_escaped(out, id, strlen(id));
    FT_OAI_LIT(out, "\",\"model\":");
    ft_oai_write_string(out, model, strlen(model));
    FT_OAI_LIT(out, ",\"results\":");
}

static void rank_tail(struct ft_buf *out, const struct ft_answer_usage *usage, bool worker)
{
    FT_OAI_LIT(out, ",\"usage\":{\"prompt_tokens\":");
    ft_oai_write_int(out, usage->prompt_tokens);
    FT_OAI_LIT(out, ",\"total_tokens\":");
    ft_oai_write_int(out, (int64_t)usage->prompt_tokens + usage->completion_tokens);
    ft_buf_add_byte(out, '}');
    if (worker)
        ft_oai_write_cost(out, usage);
    ft_buf_add_byte(out, '}');
}

struct rank {
    size_t index;
    float score;
};

/* Best first; of equals the first given. */
static int by_score(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

void ft_oai_write_rerank(struct ft_buf *out, const char *id, const char *model,
                         const struct ft_oai_request *q, const float *score,
                         const struct ft_answer_usage *usage)
{
    struct rank *rank = calloc(q->n_document, sizeof *rank);
    if (rank == NULL) {
        out->failed = FT_ENOMEM;
        return;
    }
    for (size_t i = 0; i < q->n_document; i++)
        rank[i] = (struct rank){i, isfinite(score[i]) ? score[i] : 0};
    qsort(rank, q->n_document, sizeof *rank, by_score);
    size_t n = q->top_n > 0 ? FT_MIN((size_t)q->top_n, q->n_document) : q->n_document;
    rank_head(out, id, model);
    ft_buf_add_byte(out, '[');
    for (size_t i = 0; i < n; i++) {
        ft_buf_addf(out, "%s{\"index\":%zu,\"relevance_score\":%.9g", i > 0 ? "," : "",
                    rank[i].index, rank[i].score);
        if (q->return_documents) {
            const struct ft_slice *d = &q->document[rank[i].index];
            FT_OAI_LIT(out, ",\"document\":{\"text\":");
            ft_oai_write_string(out, d->p, d->n);
            ft_buf_add_byte(out, '}');
        }
        ft_buf_add_byte(out, '}');
    }
    ft_buf_add_byte(out, ']');
    rank_tail(out, usage, true);
    free(rank);
}

/* ---- counts ---- */

void ft_oai_write_count(struct ft_buf *out, int prompt_tokens, const struct ft_answer_usage *cost)
{
    FT_OAI_LIT(out, "{\"object\":\"token_count\",\"prompt_tokens\":");
    ft_oai_write_int(out, prompt_tokens);
    if (cost != NULL)
        ft_oai_write_cost(out, cost);
    ft_buf_add_byte(out, '}');
}

void ft_oai_list_write(struct ft_buf *out, const struct ft_oai_writer_config *cfg,
                       enum ft_task_kind kind, bool base64, const json_t *result,
                       const struct ft_answer_usage *usage)
{
    const json_t *results = json_object_get(result, "results");
    switch (kind) {
    case FT_TASK_EMBED:
        list_embeddings(out, cfg->model, base64, result, usage);
        break;
    case FT_TASK_RERANK:
        rank_head(out, cfg->id, cfg->model);
        if (json_is_array(results))
            ft_oai_json_dump_f32(results, out);
        else
            FT_OAI_LIT(out, "[]");
        rank_tail(out, usage, false);
        break;
    case FT_TASK_COUNT:
        ft_oai_write_count(out, usage->prompt_tokens, NULL);
        break;
    case FT_TASK_CHAT:
    case FT_TASK_TEXT:
        break;
    }
}

/* ---- models ---- */

/* OpenAI's four members are there whatever the list has; others follow as they are. */
static void write_model(struct ft_buf *out, const json_t *m)
{
    const char *id = json_string_value(json_object_get(m, "id"));
    const char *owner = json_string_value(json_object_get(m, "owned_by"));
    FT_OAI_LIT(out, "{\"id\":");
    ft_oai_write_string(out, id, strlen(id));
    FT_OAI_LIT(out, ",\"object\":\"model\",\"created\":");
    ft_oai_write_int(out, json_integer_value(json_object_get(m, "created")));
    FT_OAI_LIT(out, ",\"owned_by\":");
    owner = owner != NULL ? owner : "feitian";
    ft_oai_write_string(out, owner, strlen(owner));
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)m, key, v)
    {
        if (strcmp(key, "id") == 0 || strcmp(key, "object") == 0 || strcmp(key, "created") == 0 ||
            strcmp(key, "owned_by") == 0)
            continue;
        ft_buf_add_byte(out, ',');
        ft_oai_write_string(out, key, strlen(key));
        ft_buf_add_byte(out, ':');
        ft_oai_json_dump(v, out);
    }
    ft_buf_add_byte(out, '}');
}

void ft_oai_write_models(struct ft_buf *out, const json_t *models)
{
    bool first = true;
    FT_OAI_LIT(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i);
        if (!json_is_string(json_object_get(m, "id")))
            continue;
        if (!first)
            ft_buf_add_byte(out, ',');
        first = false;
        write_model(out, m);
    }
    FT_OAI_LIT(out, "]}");
}

int ft_oai_write_model(struct ft_buf *out, const json_t *models, const char *id,
                       struct ft_oai_error *e)
{
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *m = json_array_get(models, i);
        const char *name = json_string_value(json_object_get(m, "id"));
        if (name != NULL && strcmp(name, id) == 0) {
            write_model(out, m);
            return 0;
        }
    }
    return ft_oai_error_set(e, FT_ENOTFOUND, "model_not_found", "model",
                            "there is no model \"%.256s\", or it is not yours to use", id);
}
