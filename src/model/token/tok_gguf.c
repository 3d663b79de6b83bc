/* A tokenizer from the metadata of a GGUF file: tokenizer.ggml.*. */
#include "model/token/steps.h"

#include <string.h>

#define KEY(name) "tokenizer.ggml." name

/* Scratch of the load, freed before it returns. */
struct source {
    struct ft_arena arena;
    struct ft_slice *tokens;
    uint8_t *types;
    uint32_t n;
};

static int tokens_read(struct source *s, const struct ft_weights *w, struct ft_err *err)
{
    int64_t n = ft_meta_array_len(w, KEY("tokens"));
    if (n <= 0)
        return ft_err_set(err, FT_ENOTFOUND, "tokenizer.ggml.tokens: there is no vocabulary");
    if (n > FT_TOK_TOKENS_MAX)
        return ft_err_set(err, FT_ELIMIT, "tokenizer.ggml.tokens: %lld tokens, more than %u",
                          (long long)n, FT_TOK_TOKENS_MAX);
    s->n = (uint32_t)n;
    s->tokens = ft_arena_array(&s->arena, s->n, sizeof *s->tokens);
    s->types = ft_arena_alloc(&s->arena, s->n);
    if (s->tokens == NULL || s->types == NULL)
        return ft_err_set(err, FT_ENOMEM, "tokenizer.ggml.tokens: out of memory");
    if (!ft_meta_array_strs(w, KEY("tokens"), s->tokens, n))
        return ft_err_set(err, FT_ECORRUPT, "tokenizer.ggml.tokens: not an array of strings");
    memset(s->types, FT_TOKEN_NORMAL, s->n);
    int64_t n_types = ft_meta_array_len(w, KEY("token_type"));
    if (n_types < 0)
        return 0;
    if (n_types < n)
        return ft_err_set(err, FT_ECORRUPT, "tokenizer.ggml.token_type: %lld types for %u tokens",
                          (long long)n_types, s->n);
    double *number = ft_arena_array(&s->arena, (size_t)n_types, sizeof *number);
    if (number == NULL)
        return ft_err_set(err, FT_ENOMEM, "tokenizer.ggml.token_type: out of memory");
    if (!ft_meta_array_f64s(w, KEY("token_type"), number, n_types))
        return ft_err_set(err, FT_ECORRUPT, "tokenizer.ggml.token_type: not an array of numbers");
    for (uint32_t i = 0; i < s->n; i++)
        s->types[i] = number[i] >= FT_TOKEN_NORMAL && number[i] <= FT_TOKEN_BYTE
                          ? (uint8_t)number[i]
                          : FT_TOKEN_NORMAL;
    return 0;
}

/* "left right": the first space after the first byte divides. */
static int merges_add(struct ft_tokenizer *t, const struct ft_slice *merges, uint32_t n,
                      struct ft_err *err)
{
    int rc = 0;
    for (uint32_t at = 0; at < n && rc == 0; at += FT_MERGE_BLOCK) {
        struct ft_merge_text pair[FT_MERGE_BLOCK];
        int count = (int)FT_MIN(n - at, (uint32_t)FT_MERGE_BLOCK), bad = 0;
        for (int i = 0; i < count; i++) {
            struct ft_slice m = merges[at + (uint32_t)i];
            const char *space = m.n < 3 ? NULL : memchr(m.p + 1, ' ', m.n - 1);
            size_t left = space == NULL ? 0 : (size_t)(space - m.p);
            pair[i].left = (struct ft_slice){m.p, space == NULL ? m.n : left};
            pair[i].right = (struct ft_slice){m.p + left + 1, space == NULL ? 0 : m.n - left - 1};
        }
        rc = ft_merges_add_texts(t, pair, count, at, false, &bad, err);
        if (rc != 0)
            ft_err_wrap(err, "tokenizer.ggml.merges[%u]", at + (uint32_t)bad);
    }
    return rc;
}

static int merges_read(struct source *s, struct ft_tokenizer *t, const struct ft_weights *w,
                       struct ft_err *err)
{
    int64_t n = ft_meta_array_len(w, KEY("merges"));
    if (n < 0)
        return ft_err_set(err, FT_ENOTFOUND, "tokenizer.ggml.merges: there are none");
    if (n > FT_TOK_MERGES_MAX)
        return ft_err_set(err, FT_ELIMIT, "tokenizer.ggml.merges: %lld, more than %u", (long long)n,
                          FT_TOK_MERGES_MAX);
    struct ft_slice *merges = ft_arena_array(&s->arena, (size_t)n, sizeof *merges);
    if (merges == NULL)
        return ft_err_set(err, FT_ENOMEM, "tokenizer.ggml.merges: out of memory");
    if (n != 0 && !ft_meta_array_strs(w, KEY("merges"), merges, n))
        return ft_err_set(err, FT_ECORRUPT, "tokenizer.ggml.merges: not an array of strings");
    int rc = ft_merges_init(&t->merges, &t->arena, (size_t)n, err);
    return rc != 0 ? rc : merges_add(t, merges, (uint32_t)n, err);
}

static int scores_read(struct source *s, struct ft_tokenizer *t, const struct ft_weights *w,
                       struct ft_err *err)
{
    int64_t n = ft_meta_array_len(w, KEY("scores"));
    if (n < (int64_t)s->n)
        return ft_err_set(err, n < 0 ? FT_ENOTFOUND : FT_ECORRUPT,
                          "tokenizer.ggml.scores: %lld scores for %u tokens",
                          (long long)FT_MAX(n, 0), s->n);
    double *number = ft_arena_array(&s->arena, (size_t)n, sizeof *number);
    float *scores = ft_arena_array(&s->arena, s->n, sizeof *scores);
    if (number == NULL || scores == NULL)
        return ft_err_set(err, FT_ENOMEM, "tokenizer.ggml.scores: out of memory");
    if (!ft_meta_array_f64s(w, KEY("scores"), number, n))
        return ft_err_set(err, FT_ECORRUPT, "tokenizer.ggml.scores: not an array of numbers");
    for (uint32_t i = 0; i < s->n; i++)
        scores[i] = (float)number[i];
    return ft_spm_merges_build(t, scores, err);
}

/* An id out of range is ignored, as other readers do: files in use have such. SentencePiece's
 * own ids are the defaults of files without any. */
static int32_t special_id(const struct ft_tokenizer *t, const struct ft_weights *w, const char *key,
                          uint64_t sentencepiece)
{
    uint64_t id = sentencepiece;
    bool has = ft_meta_u64(w, key, &id) || (t->scheme == FT_SCHEME_CHARS && !ft_meta_has(w, key));
    return has && id < t->vocab.n ? (int32_t)id : -1;
}

static int specials_read(struct ft_tokenizer *t, const struct ft_weights *w, bool add_bos,
                         struct ft_err *err)
{
    bool add_eos = false;
    uint64_t id;
    t->bos = special_id(t, w, KEY("bos_token_id"), 1);
    t->eos = special_id(t, w, KEY("eos_token_id"), 2);
    if (t->scheme == FT_SCHEME_CHARS)
        t->unk = special_id(t, w, KEY("unknown_token_id"), 0);
    ft_meta_bool(w, KEY("add_bos_token"), &add_bos);
    ft_meta_bool(w, KEY("add_eos_token"), &add_eos);
    if (add_bos && t->bos >= 0)
        t->before[t->n_before++] = t->bos;
    if (add_eos && t->eos >= 0)
        t->after[t->n_after++] = t->eos;
    if (ft_meta_u64(w, KEY("eot_token_id"), &id))
        ft_vocab_mark_eog(t, id);
    if (ft_meta_u64(w, KEY("eom_token_id"), &id))
        ft_vocab_mark_eog(t, id);
    int64_t n = ft_meta_array_len(w, KEY("eos_token_ids"));
    for (int64_t i = 0; i < n; i++)
        if (ft_meta_array_u64(w, KEY("eos_token_ids"), i, &id))
            ft_vocab_mark_eog(t, id);
    int rc = 0;
    for (uint32_t i = 0; i < t->vocab.n && rc == 0; i++) {
        enum ft_token_type type = ft_vocab_type(&t->vocab, i);
        if (type != FT_TOKEN_CONTROL && type != FT_TOKEN_USER && type != FT_TOKEN_UNKNOWN)
            continue;
        size_t len;
        const char *p = ft_vocab_bytes(&t->vocab, i, &len);
        t->vocab.attr[i] |= FT_TOKEN_ADDED;
        rc = ft_added_add(t, &t->added, i, p, len, type == FT_TOKEN_USER ? 0 : FT_ADDED_SPECIAL,
                          err);
    }
    return rc;
}

static int fill(struct source *s, struct ft_tokenizer *t, const struct ft_weights *w,
                struct ft_err *err)
{
    struct ft_slice model, pre = {"default", 7};
    bool add_bos = false;
    if (!ft_meta_str(w, KEY("model"), &model))
        return ft_err_set(err, FT_ENOTFOUND, "tokenizer.ggml.model: the file has no tokenizer");
    bool bytes = model.n == 4 && memcmp(model.p, "gpt2", 4) == 0;
    if (!bytes && !(model.n == 5 && memcmp(model.p, "llama", 5) == 0))
        return ft_err_set(err, FT_EUNSUPPORTED, "tokenizer.ggml.model: '%.*s' is not supported",
                          (int)FT_MIN(model.n, (size_t)64), model.p);
    t->scheme = bytes ? FT_SCHEME_BYTES : FT_SCHEME_CHARS;
    t->marks_spaces = !bytes;
    int rc = tokens_read(s, w, err);
    if (rc == 0)
        rc = ft_vocab_build(t, s->tokens, s->types, s->n, err);
    if (rc == 0 && bytes) {
        ft_meta_str(w, KEY("pre"), &pre);
        rc = ft_pretok_add_named(t, pre.p, pre.n, err);
        if (rc == 0) {
            const struct ft_pretok_entry *entry = ft_pretok_entry_find(pre.p, pre.n);
            t->ignore_merges = entry->ignore_merges;
            add_bos = entry->add_bos;
            rc = merges_read(s, t, w, err);
        }
    } else if (rc == 0) {
        bool prefix = true;
        add_bos = true;
        ft_meta_bool(w, KEY("add_space_prefix"), &prefix);
        t->prefix = prefix ? FT_PREFIX_EACH : FT_PREFIX_NONE;
        rc = scores_read(s, t, w, err);
    }
    if (rc == 0)
        rc = specials_read(t, w, add_bos, err);
    if (rc == 0)
        ft_vocab_finish(t);
    return rc;
}

int ft_tokenizer_fill_gguf(struct ft_tokenizer *t, const struct ft_weights *w, struct ft_err *err)
{
    struct source s = {0};
    ft_arena_init(&s.arena, (size_t)1 << 30);
    int rc = fill(&s, t, w, err);
    ft_arena_fini(&s.arena);
    return rc;
}
