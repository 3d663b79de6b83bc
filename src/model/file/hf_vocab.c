/* tokenizer.json as tokenizer.ggml.* keys, for the GGUF that `convert` writes.
 *
 * Byte-level BPE becomes model "gpt2" with its merges, and the pre-tokenizer is named after the
 * family that its regular expressions belong to: GGUF has names for them only, so an unknown one is
 * refused. BPE with byte fallback (SentencePiece's) becomes model "llama", with scores in the order
 * of the merges. */
#include "model/file/hf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/file/hf_impl.h"

/* Token types of tokenizer.ggml.token_type. */
enum {
    TYPE_NORMAL = 1,
    TYPE_UNKNOWN = 2,
    TYPE_CONTROL = 3,
    TYPE_USER = 4,
    TYPE_UNUSED = 5,
    TYPE_BYTE = 6
};

struct vocab {
    const struct ft_weights *w;
    struct ft_gguf_writer *g;
    json_t *json, *model;
    struct ft_arena arena;
    struct ft_slice *token;
    int32_t *type;
    int n;
    struct ft_err *err;
};

static int corrupt(struct vocab *v, const char *what)
{
    return ft_err_set(v->err, FT_ECORRUPT, "tokenizer.json: %s", what);
}

static const char *str_of(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s != NULL ? s : "";
}

static bool is(json_t *object, const char *key, const char *value)
{
    return strcmp(str_of(object, key), value) == 0;
}

static int token_set(struct vocab *v, int64_t id, const char *text, size_t n, int type)
{
    if (id < 0 || id >= v->n)
        return ft_err_set(v->err, FT_ECORRUPT,
                          "tokenizer.json: the id %lld of '%.64s' is outside the model's %d",
                          (long long)id, text, v->n);
    v->token[id] = (struct ft_slice){text, n}; /* the JSON tree outlives it */
    v->type[id] = type;
    return 0;
}

static bool is_byte_token(const char *s)
{
    return strlen(s) == 6 && strncmp(s, "<0x", 3) == 0 && s[5] == '>';
}

static int tokens_fill(struct vocab *v, bool bytes)
{
    const char *text, *unk = str_of(v->model, "unk_token");
    json_t *id, *item, *vocab = json_object_get(v->model, "vocab");
    size_t i;
    if (!json_is_object(vocab))
        return corrupt(v, "model.vocab: not an object");
    json_object_foreach(vocab, text, id)
    {
        int type = bytes && is_byte_token(text) ? TYPE_BYTE
                   : strcmp(text, unk) == 0     ? TYPE_UNKNOWN
                                                : TYPE_NORMAL;
        int rc = json_is_integer(id)
                     ? token_set(v, json_integer_value(id), text, strlen(text), type)
                     : corrupt(v, "model.vocab: an id is not a whole number");
        if (rc != 0)
            return rc;
    }
    json_array_foreach(json_object_get(v->json, "added_tokens"), i, item)
    {
        json_t *content = json_object_get(item, "content");
        id = json_object_get(item, "id");
        if (!json_is_string(content) || !json_is_integer(id))
            return corrupt(v, "added_tokens: an entry lacks id or content");
        bool special = json_is_true(json_object_get(item, "special"));
        text = json_string_value(content);
        int type = bytes && strcmp(text, unk) == 0 ? TYPE_UNKNOWN
                   : special                       ? TYPE_CONTROL
                                                   : TYPE_USER;
        int rc = token_set(v, json_integer_value(id), text, json_string_length(content), type);
        if (rc != 0)
            return rc;
    }
    for (int k = 0; k < v->n; k++) { /* rows of the embedding that no token has */
        char name[32];
        int len = snprintf(name, sizeof name, "[PAD%d]", k);
        if (v->type[k] != 0)
            continue;
        char *copy = ft_arena_strndup(&v->arena, name, (size_t)len);
        if (copy == NULL)
            return ft_err_set(v->err, FT_ENOMEM, "tokenizer.json: no memory");
        v->token[k] = (struct ft_slice){copy, (size_t)len};
        v->type[k] = TYPE_UNUSED;
    }
    return 0;
}

/* The halves of a merge, as "a b" or ["a", "b"]. */
static bool merge_halves(json_t *m, struct ft_slice *left, struct ft_slice *right)
{
    if (json_is_array(m) && json_array_size(m) == 2) {
        json_t *a = json_array_get(m, 0), *b = json_array_get(m, 1);
        *left = (struct ft_slice){json_string_value(a), json_string_length(a)};
        *right = (struct ft_slice){json_string_value(b), json_string_length(b)};
        return left->p != NULL && right->p != NULL;
    }
    const char *s = json_string_value(m), *gap = s != NULL ? strchr(s + (*s != '\0'), ' ') : NULL;
    if (gap == NULL)
        return false;
    *left = (struct ft_slice){s, (size_t)(gap - s)};
    *right = (struct ft_slice){gap + 1, strlen(gap + 1)};
    return true;
}

static int merges_put(struct vocab *v)
{
    json_t *merges = json_object_get(v->model, "merges"), *m;
    size_t i, n = json_array_size(merges);
    struct ft_slice *out = ft_arena_array(&v->arena, n + 1, sizeof *out), left, right;
    if (out == NULL)
        return ft_err_set(v->err, FT_ENOMEM, "tokenizer.json: no memory");
    json_array_foreach(merges, i, m)
    {
        if (!merge_halves(m, &left, &right))
            return corrupt(v, "model.merges: an entry is not a pair");
        char *text = ft_arena_alloc(&v->arena, left.n + right.n + 2);
        if (text == NULL)
            return ft_err_set(v->err, FT_ENOMEM, "tokenizer.json: no memory");
        memcpy(text, left.p, left.n);
        text[left.n] = ' ';
        memcpy(text + left.n + 1, right.p, right.n);
        out[i] = (struct ft_slice){text, left.n + 1 + right.n};
    }
    ft_gguf_put_strs(v->g, "tokenizer.ggml.merges", out, n);
    return 0;
}

/* Score of a token: minus the rank of the first merge that makes it. Others come after all. */
static int scores_put(struct vocab *v)
{
    json_t *merges = json_object_get(v->model, "merges"), *m;
    json_t *vocab = json_object_get(v->model, "vocab");
    size_t i, n = json_array_size(merges);
    float *score = ft_arena_array(&v->arena, (size_t)v->n, sizeof *score);
    struct ft_buf text;
    if (score == NULL)
        return ft_err_set(v->err, FT_ENOMEM, "tokenizer.json: no memory");
    for (int k = 0; k < v->n; k++)
        score[k] = v->type[k] == TYPE_NORMAL ? -(float)(n + (size_t)k + 1) : 0;
    ft_buf_init(&text, FT_HF_TEMPLATE_MAX);
    int rc = 0;
    json_array_foreach(merges, i, m)
    {
        struct ft_slice left, right;
        if (!merge_halves(m, &left, &right)) {
            rc = corrupt(v, "model.merges: an entry is not a pair");
            break;
        }
        ft_buf_reset(&text);
        ft_buf_add(&text, left.p, left.n);
        ft_buf_add(&text, right.p, right.n);
        json_t *id = text.failed == 0 ? json_object_get(vocab, text.data) : NULL;
        int64_t at = json_is_integer(id) ? json_integer_value(id) : -1;
        if (at >= 0 && at < v->n && score[at] < -(float)n)
            score[at] = -(float)i;
    }
    ft_buf_fini(&text);
    ft_gguf_put_f32s(v->g, "tokenizer.ggml.scores", score, (uint64_t)v->n);
    return rc;
}

#define PATTERNS_MAX 8

/* The regular expressions of a pre-tokenizer, in order; ByteLevel's own counts as "byte level". */
static int patterns_collect(json_t *pre, const char *out[PATTERNS_MAX])
{
    int n = 0;
    json_t *list = json_object_get(pre, "pretokenizers");
    size_t count = is(pre, "type", "Sequence") ? json_array_size(list) : 1;
    for (size_t i = 0; i < count && n < PATTERNS_MAX; i++) {
        json_t *p = is(pre, "type", "Sequence") ? json_array_get(list, i) : pre;
        json_t *regex = json_object_get(json_object_get(p, "pattern"), "Regex");
        if (is(p, "type", "Split") && json_is_string(regex) &&
            strcmp(json_string_value(regex), "\\p{N}") == 0)
            out[n++] = "digits"; /* each alone, as Digits has them */
        else if (is(p, "type", "Split") && json_is_string(regex))
            out[n++] = json_string_value(regex);
        else if (is(p, "type", "ByteLevel") && !json_is_false(json_object_get(p, "use_regex")))
            out[n++] = "byte level";
        else if (is(p, "type", "Digits"))
            out[n++] = "digits";
    }
    return n;
}

/* GGUF's name for the pre-tokenizer: by what is peculiar to each family's expressions. */
static const char *pre_name(json_t *pre)
{
    const char *pattern[PATTERNS_MAX];
    int n = patterns_collect(pre, pattern);
    static const struct {
        int n;
        const char *name, *marks[3]; /* substrings of the patterns, in any of them */
    } known[] = {
        {1, "gpt-2", {"byte level", "", ""}},
        {1, "qwen35", {"[\\p{L}\\p{M}]+|\\p{N}|", "(?i:'s|'t", ""}},
        {1, "qwen35", {"[\\p{L}\\p{M}]+|\\p{N}|", "'[sS]", ""}},
        {1, "llama-bpe", {"(?i:'s|'t", "?\\p{L}+|\\p{N}{1,3}|", ""}},
        {1, "qwen2", {"(?i:'s|'t", "?\\p{L}+|\\p{N}|", ""}},
        {1, "gpt-4o", {"[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "\\p{N}{1,3}|", ""}},
        {2, "starcoder", {"digits", "byte level", ""}},
        {4, "default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", "[0-9][0-9][0-9]", ""}},
        {3, "deepseek-v3", {"\\p{N}{1,3}", "[\\p{L}\\p{M}]+", "[\\p{P}\\p{S}]+"}},
        {6, "deepseek-llm", {"A-Za-z\xc2\xb5", "digits", ""}},
        {5, "deepseek-coder", {"\\s?\\p{L}+", "\\s?\\p{P}+", "digits"}},
    };
    for (size_t k = 0; k < FT_COUNT(known); k++) {
        bool all = n == known[k].n;
        for (size_t j = 0; all && j < FT_COUNT(known[k].marks); j++) {
            bool found = known[k].marks[j][0] == '\0';
            for (int i = 0; i < n; i++)
                found = found || strstr(pattern[i], known[k].marks[j]) != NULL;
            all = found;
        }
        if (all)
            return known[k].name;
    }
    return NULL;
}

/* The token that the post-processor puts before the text (or after it), or -1. */
static int64_t affix(json_t *post, bool before, int depth)
{
    json_t *single = json_object_get(post, "single"), *item;
    size_t i, n = json_array_size(single);
    if (is(post, "type", "TemplateProcessing")) {
        json_t *end = n > 0 ? json_array_get(single, before ? 0 : n - 1) : NULL;
        const char *name = str_of(json_object_get(end, "SpecialToken"), "id");
        json_t *token = json_object_get(json_object_get(post, "special_tokens"), name);
        json_t *id = json_array_get(json_object_get(token, "ids"), 0);
        return json_is_integer(id) ? json_integer_value(id) : -1;
    }
    int64_t id = -1;
    json_array_foreach(json_object_get(post, "processors"), i, item)
    {
        if (depth < 2 && id < 0)
            id = affix(item, before, depth + 1);
    }
    return id;
}

/* GGUF says whether the tokens that begin and end a sequence are added, not which ones: what the
 * post-processor adds must be them. */
static void affixes_put(struct vocab *v)
{
    json_t *post = json_object_get(v->json, "post_processor");
    int64_t bos = affix(post, true, 0), eos = affix(post, false, 0);
    uint64_t id;
    if (bos >= 0 && bos < v->n && !ft_meta_has(v->w, "tokenizer.ggml.bos_token_id"))
        ft_gguf_put_u32(v->g, "tokenizer.ggml.bos_token_id", (uint32_t)bos);
    if (!ft_meta_has(v->w, "tokenizer.ggml.add_bos_token"))
        ft_gguf_put_bool(v->g, "tokenizer.ggml.add_bos_token", bos >= 0);
    bool known = ft_meta_u64(v->w, "tokenizer.ggml.eos_token_id", &id);
    if (eos >= 0 && eos < v->n) {
        ft_gguf_put_bool(v->g, "tokenizer.ggml.add_eos_token", true);
        ft_gguf_put_u32(v->g, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
        if (known && id != (uint64_t)eos) /* it ends answers all the same */
            ft_gguf_put_u32(v->g, "tokenizer.ggml.eot_token_id", (uint32_t)id);
    } else if (known) {
        ft_gguf_put_u32(v->g, "tokenizer.ggml.eos_token_id", (uint32_t)id);
    }
}

static bool adds_space(json_t *json)
{
    json_t *normalizer = json_object_get(json, "normalizer"), *item;
    json_t *pre = json_object_get(json, "pre_tokenizer");
    size_t i;
    if (is(normalizer, "type", "Prepend"))
        return true;
    json_array_foreach(json_object_get(normalizer, "normalizers"), i, item)
    {
        if (is(item, "type", "Prepend"))
            return true;
    }
    return is(pre, "type", "Metaspace") && !is(pre, "prepend_scheme", "never") &&
           !json_is_false(json_object_get(pre, "add_prefix_space"));
}

static int vocab_put(struct vocab *v)
{
    v->model = json_object_get(v->json, "model");
    bool bytes = json_is_true(json_object_get(v->model, "byte_fallback"));
    const char *kind = str_of(v->model, "type");
    if (strcmp(kind, "BPE") != 0 && !(*kind == '\0' && json_object_get(v->model, "merges") != NULL))
        return ft_err_set(v->err, FT_EUNSUPPORTED,
                          "tokenizer.json: model.type: '%.32s' (BPE is"
                          " converted)",
                          kind);
    const char *pre = bytes ? "default" : pre_name(json_object_get(v->json, "pre_tokenizer"));
    bool whole = json_is_true(json_object_get(v->model, "ignore_merges"));
    if (pre != NULL && strcmp(pre, "llama-bpe") == 0 && !whole)
        pre = "smaug-bpe"; /* the same expressions, but merges make every token */
    if (pre == NULL)
        return ft_err_set(v->err, FT_EUNSUPPORTED,
                          "tokenizer.json: pre_tokenizer: none that GGUF has a name for");
    int rc = tokens_fill(v, bytes);
    if (rc != 0)
        return rc;
    const char *model = bytes ? "llama" : "gpt2";
    ft_gguf_put_str(v->g, "tokenizer.ggml.model", model, strlen(model));
    ft_gguf_put_str(v->g, "tokenizer.ggml.pre", pre, strlen(pre));
    ft_gguf_put_strs(v->g, "tokenizer.ggml.tokens", v->token, (uint64_t)v->n);
    ft_gguf_put_i32s(v->g, "tokenizer.ggml.token_type", v->type, (uint64_t)v->n);
    affixes_put(v);
    if (!bytes)
        return merges_put(v);
    ft_gguf_put_bool(v->g, "tokenizer.ggml.add_space_prefix", adds_space(v->json));
    int unknown = 0;
    while (unknown < v->n && v->type[unknown] != TYPE_UNKNOWN)
        unknown++;
    if (unknown < v->n)
        ft_gguf_put_u32(v->g, "tokenizer.ggml.unknown_token_id", (uint32_t)unknown);
    return scores_put(v);
}

int ft_hf_vocab_put(const struct ft_weights *w, int n_vocab, struct ft_gguf_writer *g,
                    struct ft_err *err)
{
    struct vocab v = {.w = w, .g = g, .n = n_vocab, .err = err};
    int rc = ft_hf_json_read(w, "tokenizer.json", FT_HF_TOKENS_MAX, &v.json, err);
    if (rc != 0)
        return rc;
    ft_arena_init(&v.arena, 4 * FT_HF_TOKENS_MAX);
    v.token = ft_arena_array(&v.arena, (size_t)n_vocab, sizeof *v.token);
    v.type = ft_arena_array(&v.arena, (size_t)n_vocab, sizeof *v.type);
    rc = v.token == NULL || v.type == NULL
             ? ft_err_set(err, FT_ENOMEM, "no memory for %d tokens", n_vocab)
             : vocab_put(&v);
    ft_arena_fini(&v.arena);
    json_decref(v.json);
    return rc;
}
