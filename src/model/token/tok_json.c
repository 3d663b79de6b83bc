/* A tokenizer from a folder's tokenizer.json and its neighbours.
 *
 * The file is read once by json_scan.h; the vocabulary and the merges go from the text straight
 * into the tables, everything else is small and becomes a tree. Only model type BPE is one of ours.
 */
#include "model/token/tok_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"

#define SCRATCH_BYTES_MAX ((size_t)1 << 30)
#define HOLES_MAX         65536u /* ids that no token has */

/* The parts of the file by name, as text. */
struct parts {
    struct ft_slice normalizer, pre_tokenizer, post_processor, added_tokens, model;
    struct ft_slice vocab, merges, type, unk_token, byte_fallback, ignore_merges, fuse_unk, dropout,
        word_prefix, word_suffix;
};

struct source {
    struct ft_arena arena; /* scratch of the load */
    struct parts part;
    json_t *added;
    struct vocab_entry {
        struct ft_slice text;
        uint32_t id;
    } * entries;
    size_t n_entries, cap;
    struct ft_slice *tokens;
    uint8_t *types;
    uint32_t n;
};

struct part_name {
    const char *name;
    size_t offset;
};
#define PART(name, field)                                                                          \
    {                                                                                              \
        name, offsetof(struct parts, field)                                                        \
    }

static const struct part_name file_parts[] = {
    PART("normalizer", normalizer),
    PART("pre_tokenizer", pre_tokenizer),
    PART("post_processor", post_processor),
    PART("added_tokens", added_tokens),
    PART("model", model),
};
static const struct part_name model_parts[] = {
    PART("vocab", vocab),
    PART("merges", merges),
    PART("type", type),
    PART("unk_token", unk_token),
    PART("byte_fallback", byte_fallback),
    PART("ignore_merges", ignore_merges),
    PART("fuse_unk", fuse_unk),
    PART("dropout", dropout),
    PART("continuing_subword_prefix", word_prefix),
    PART("end_of_word_suffix", word_suffix),
};

static int parts_find(struct source *s, struct ft_slice text, const struct part_name *names,
                      size_t n_names, struct ft_err *err)
{
    struct ft_jscan scan;
    struct ft_slice name, value;
    bool first = true;
    ft_jscan_init(&scan, text.p, text.n, &s->arena, err);
    int more = ft_jscan_take(&scan, '{');
    if (more == 0)
        more = 1;
    while (more > 0 && (more = ft_jscan_member(&scan, &first, &name)) > 0) {
        int rc = ft_jscan_value(&scan, &value);
        if (rc != 0)
            return rc;
        for (size_t i = 0; i < n_names; i++)
            if (strlen(names[i].name) == name.n && memcmp(names[i].name, name.p, name.n) == 0)
                memcpy((char *)&s->part + names[i].offset, &value, sizeof value);
    }
    return more;
}

/* A small part as a tree; NULL (and 0) where it is absent. */
static int part_load(struct ft_slice text, const char *name, json_t **ret, struct ft_err *err)
{
    json_error_t e;
    *ret = NULL;
    if (text.n == 0)
        return 0;
    *ret = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    return *ret != NULL ? 0 : ft_err_set(err, FT_EINVAL, "%s: %s", name, e.text);
}

static bool text_is(struct ft_slice s, const char *what)
{
    return strlen(what) == s.n && memcmp(s.p, what, s.n) == 0;
}

static bool text_empty(struct ft_slice s)
{
    return s.n == 0 || text_is(s, "null") || text_is(s, "\"\"");
}

static int entry_add(struct source *s, struct ft_slice text, uint64_t id, struct ft_err *err)
{
    if (id >= FT_TOK_TOKENS_MAX)
        return ft_err_set(err, FT_ELIMIT, "'%.*s': the id %llu is too large",
                          (int)FT_MIN(text.n, (size_t)64), text.p, (unsigned long long)id);
    if (s->n_entries == s->cap) {
        size_t cap = s->cap == 0 ? 1024 : s->cap * 2;
        struct vocab_entry *p = realloc(s->entries, cap * sizeof *p);
        if (p == NULL)
            return ft_err_set(err, FT_ENOMEM, "out of memory");
        s->entries = p;
        s->cap = cap;
    }
    s->entries[s->n_entries++] = (struct vocab_entry){text, (uint32_t)id};
    s->n = FT_MAX(s->n, (uint32_t)id + 1);
    return 0;
}

static int vocab_read(struct source *s, struct ft_err *err)
{
    struct ft_jscan scan;
    struct ft_slice text;
    uint64_t id;
    bool first = true;
    ft_jscan_init(&scan, s->part.vocab.p, s->part.vocab.n, &s->arena, err);
    int more = ft_jscan_take(&scan, '{');
    if (more == 0)
        more = 1;
    while (more > 0 && (more = ft_jscan_member(&scan, &first, &text)) > 0) {
        int rc = ft_jscan_u64(&scan, &id);
        if (rc == 0)
            rc = entry_add(s, text, id, err);
        if (rc != 0)
            return rc;
    }
    return more;
}

static int added_read(struct source *s, struct ft_err *err)
{
    json_t *item;
    size_t i;
    json_array_foreach(s->added, i, item)
    {
        struct ft_slice text = {.p = ft_json_text(item, "content", &text.n)};
        json_t *id = json_object_get(item, "id");
        if (text.p == NULL || !json_is_integer(id) || json_integer_value(id) < 0)
            return ft_err_set(err, FT_EINVAL, "added_tokens[%zu]: 'id' or 'content' is missing", i);
        int rc = entry_add(s, text, (uint64_t)json_integer_value(id), err);
        if (rc != 0)
            return ft_err_wrap(err, "added_tokens[%zu]", i);
    }
    return 0;
}

/* An added token may be one of the vocabulary too, and then takes part in merges. */
static uint8_t added_type(const struct source *s, const struct vocab_entry *e)
{
    const struct ft_slice *v = &s->tokens[e->id];
    return v->p != NULL && v->n == e->text.n && memcmp(v->p, e->text.p, v->n) == 0 &&
                   s->types[e->id] == FT_TOKEN_NORMAL
               ? FT_TOKEN_NORMAL
               : FT_TOKEN_USER;
}

/* The entries by id, with their types. The first n_vocab are the vocabulary's, the rest added. */
static int tokens_build(struct source *s, struct ft_tokenizer *t, size_t n_vocab,
                        struct ft_slice unk, struct ft_err *err)
{
    bool bytes = text_is(s->part.byte_fallback, "true");
    if (s->n > s->n_entries + HOLES_MAX)
        return ft_err_set(err, FT_EINVAL, "model.vocab: the id %u with only %zu tokens", s->n - 1,
                          s->n_entries);
    s->tokens = ft_arena_array(&s->arena, s->n, sizeof *s->tokens);
    s->types = ft_arena_alloc(&s->arena, s->n);
    if (s->tokens == NULL || s->types == NULL)
        return ft_err_set(err, FT_ENOMEM, "model.vocab: out of memory");
    memset(s->types, FT_TOKEN_UNUSED, s->n);
    for (size_t i = 0; i < s->n_entries; i++) {
        const struct vocab_entry *e = &s->entries[i];
        uint8_t type = FT_TOKEN_NORMAL;
        if (i >= n_vocab)
            type = ft_json_flag(json_array_get(s->added, i - n_vocab), "special", false)
                       ? FT_TOKEN_CONTROL
                       : added_type(s, e);
        else if (unk.p != NULL && e->text.n == unk.n && memcmp(e->text.p, unk.p, unk.n) == 0)
            type = FT_TOKEN_UNKNOWN;
        else if (bytes && t->scheme == FT_SCHEME_CHARS && e->text.n == 6 &&
                 memcmp(e->text.p, "<0x", 3) == 0)
            type = FT_TOKEN_BYTE;
        s->tokens[e->id] = e->text;
        s->types[e->id] = type;
        if (unk.p != NULL && e->text.n == unk.n && memcmp(e->text.p, unk.p, unk.n) == 0)
            t->unk = (int32_t)e->id;
    }
    return ft_vocab_build(t, s->tokens, s->types, s->n, err);
}

/* A merge is "left right" or ["left", "right"]. */
static int merge_read(struct ft_jscan *scan, struct ft_merge_text *m)
{
    struct ft_slice both;
    int rc;
    if (ft_jscan_peek(scan) == '[') {
        rc = ft_jscan_take(scan, '[');
        if (rc == 0)
            rc = ft_jscan_string(scan, &m->left);
        if (rc == 0)
            rc = ft_jscan_take(scan, ',');
        if (rc == 0)
            rc = ft_jscan_string(scan, &m->right);
        return rc != 0 ? rc : ft_jscan_take(scan, ']');
    }
    rc = ft_jscan_string(scan, &both);
    if (rc != 0)
        return rc;
    const char *space = both.n < 3 ? NULL : memchr(both.p + 1, ' ', both.n - 1);
    if (space == NULL)
        return ft_jscan_fail(scan, "a merge that is not a pair");
    m->left = (struct ft_slice){both.p, (size_t)(space - both.p)};
    m->right = (struct ft_slice){space + 1, both.n - m->left.n - 1};
    return 0;
}

/* At least as many as the array's text has elements; exact where it is well-formed. */
static size_t elements_count(struct ft_slice text)
{
    size_t count = 1;
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else {
            depth += (c == '[') - (c == ']');
            count += c == ',' && depth == 1;
        }
    }
    return count;
}

static int merges_read(struct source *s, struct ft_tokenizer *t, struct ft_err *err)
{
    struct ft_merge_text block[FT_MERGE_BLOCK];
    struct ft_jscan scan;
    bool first = true;
    uint32_t rank = 0;
    int n = 0, bad = 0;
    int rc = ft_merges_init(&t->merges, &t->arena, elements_count(s->part.merges), err);
    ft_jscan_init(&scan, s->part.merges.p, s->part.merges.n, &s->arena, err);
    if (rc == 0)
        rc = ft_jscan_take(&scan, '[');
    while (rc == 0) {
        int more = ft_jscan_next(&scan, ']', &first);
        if (more < 0)
            return more;
        if (more > 0)
            rc = merge_read(&scan, &block[n++]);
        if (rc == 0 && (n == FT_MERGE_BLOCK || more == 0)) {
            rc = ft_merges_add_texts(t, block, n, rank, true, &bad, err);
            if (rc != 0)
                return ft_err_wrap(err, "model.merges[%u]", rank + (uint32_t)bad);
            rank += (uint32_t)n;
            n = 0;
        }
        if (more == 0)
            break;
    }
    return rc;
}

static int added_find_init(struct source *s, struct ft_tokenizer *t, struct ft_err *err)
{
    json_t *item;
    size_t i;
    int rc = 0;
    json_array_foreach(s->added, i, item)
    {
        struct ft_slice text = {.p = ft_json_text(item, "content", &text.n)};
        bool special = ft_json_flag(item, "special", false);
        bool normalized = ft_json_flag(item, "normalized", !special);
        unsigned flags = (ft_json_flag(item, "lstrip", false) ? FT_ADDED_LSTRIP : 0) |
                         (ft_json_flag(item, "rstrip", false) ? FT_ADDED_RSTRIP : 0) |
                         (ft_json_flag(item, "single_word", false) ? FT_ADDED_SINGLE_WORD : 0) |
                         (special ? FT_ADDED_SPECIAL : 0);
        uint32_t id = (uint32_t)json_integer_value(json_object_get(item, "id"));
        struct ft_buf b; /* what is looked for in normalized text is normalized itself */
        struct ft_enc e = {.t = t, .err = err};
        ft_buf_init(&b, FT_TOK_TEXT_MAX);
        if (normalized && t->normal != NULL) {
            rc = ft_normal_run(&e, text.p, text.n, &b);
            text = (struct ft_slice){b.data == NULL ? "" : b.data, b.len};
            ft_regex_scratch_close(e.scratch);
        }
        t->vocab.attr[id] |= FT_TOKEN_ADDED;
        if (rc == 0)
            rc = ft_added_add(t, normalized ? &t->added_normal : &t->added, id, text.p, text.n,
                              flags, err);
        ft_buf_fini(&b);
        if (rc != 0)
            break;
    }
    return rc;
}

/* tokenizer_config.json gives a token as its text or as an object with "content". */
static int32_t config_token(const struct ft_tokenizer *t, json_t *config, const char *key)
{
    json_t *v = json_object_get(config, key);
    if (json_is_object(v))
        v = json_object_get(v, "content");
    const char *text = json_string_value(v);
    return text == NULL ? -1 : ft_tokenizer_find(t, text, json_string_length(v));
}

static int config_read(struct ft_tokenizer *t, const char *text, size_t n, struct ft_err *err)
{
    json_t *config;
    int rc = part_load((struct ft_slice){text, text == NULL ? 0 : n}, "tokenizer_config.json",
                       &config, err);
    if (rc != 0)
        return rc;
    t->bos = config_token(t, config, "bos_token");
    t->eos = config_token(t, config, "eos_token");
    if (t->bos < 0 && t->n_before > 0)
        t->bos = t->before[0];
    if (t->bos >= 0 && json_is_boolean(json_object_get(config, "add_bos_token"))) {
        t->n_before = ft_json_flag(config, "add_bos_token", false);
        t->before[0] = t->bos;
    }
    if (t->eos >= 0 && json_is_boolean(json_object_get(config, "add_eos_token"))) {
        t->n_after = ft_json_flag(config, "add_eos_token", false);
        t->after[0] = t->eos;
    }
    json_decref(config);
    return 0;
}

static int model_check(const struct parts *p, struct ft_err *err)
{
    if (p->model.n == 0)
        return ft_err_set(err, FT_EINVAL, "'model' is missing");
    if (p->type.n != 0 && !text_is(p->type, "\"BPE\""))
        return ft_err_set(err, FT_EUNSUPPORTED, "model.type: %.*s is not supported",
                          (int)FT_MIN(p->type.n, (size_t)64), p->type.p);
    if (p->vocab.n == 0 || p->merges.n == 0)
        return ft_err_set(err, FT_EINVAL, "model: 'vocab' or 'merges' is missing");
    if (!text_empty(p->word_prefix) || !text_empty(p->word_suffix))
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "model: word prefixes and suffixes are not supported");
    if (p->dropout.n != 0 && !text_is(p->dropout, "null") && !text_is(p->dropout, "0.0"))
        return ft_err_set(err, FT_EUNSUPPORTED, "model.dropout: not supported");
    return 0;
}

static int steps_read(struct source *s, struct ft_tokenizer *t, struct ft_err *err)
{
    json_t *pre = NULL, *normal = NULL;
    int rc = part_load(s->part.pre_tokenizer, "pre_tokenizer", &pre, err);
    if (rc == 0)
        rc = part_load(s->part.normalizer, "normalizer", &normal, err);
    /* ByteLevel may stand anywhere in the pre-tokenizer, and what comes before it depends on it. */
    t->scheme = pre != NULL && memmem(s->part.pre_tokenizer.p, s->part.pre_tokenizer.n,
                                      "\"ByteLevel\"", 11) != NULL
                    ? FT_SCHEME_BYTES
                    : FT_SCHEME_CHARS;
    if (rc == 0)
        rc = ft_json_normalizer(t, normal, 0, err);
    if (rc == 0)
        rc = ft_json_pre_tokenizer(t, pre, 0, err);
    json_decref(pre);
    json_decref(normal);
    return rc;
}

static int fill(struct source *s, struct ft_tokenizer *t, struct ft_slice json,
                struct ft_slice config, struct ft_err *err)
{
    struct ft_slice unk = {0};
    struct ft_jscan scan;
    json_t *post = NULL;
    int rc = parts_find(s, json, file_parts, FT_COUNT(file_parts), err);
    if (rc == 0 && s->part.model.n != 0)
        rc = parts_find(s, s->part.model, model_parts, FT_COUNT(model_parts), err);
    if (rc == 0)
        rc = model_check(&s->part, err);
    if (rc == 0)
        rc = part_load(s->part.added_tokens, "added_tokens", &s->added, err);
    if (rc == 0)
        rc = steps_read(s, t, err);
    if (rc == 0 && !text_empty(s->part.unk_token)) {
        ft_jscan_init(&scan, s->part.unk_token.p, s->part.unk_token.n, &s->arena, err);
        rc = ft_jscan_string(&scan, &unk);
    }
    if (rc == 0 && (rc = vocab_read(s, err)) != 0)
        ft_err_wrap(err, "model.vocab");
    size_t n_vocab = s->n_entries;
    t->ignore_merges = text_is(s->part.ignore_merges, "true");
    t->fuse_unk = text_is(s->part.fuse_unk, "true");
    if (rc == 0)
        rc = added_read(s, err);
    if (rc == 0)
        rc = tokens_build(s, t, n_vocab, unk, err);
    if (rc == 0)
        rc = merges_read(s, t, err);
    if (rc == 0)
        rc = added_find_init(s, t, err);
    if (rc == 0)
        rc = part_load(s->part.post_processor, "post_processor", &post, err);
    if (rc == 0)
        rc = ft_json_post_processor(t, post, 0, err);
    if (rc == 0)
        rc = config_read(t, config.p, config.n, err);
    if (rc == 0)
        ft_vocab_finish(t);
    json_decref(post);
    return rc;
}

int ft_tokenizer_fill_json(struct ft_tokenizer *t, const char *json, size_t n, const char *config,
                           size_t config_n, struct ft_err *err)
{
    struct source s = {0};
    ft_arena_init(&s.arena, SCRATCH_BYTES_MAX);
    int rc = fill(&s, t, (struct ft_slice){json, n}, (struct ft_slice){config, config_n}, err);
    json_decref(s.added);
    free(s.entries);
    ft_arena_fini(&s.arena);
    return rc == 0 ? 0 : ft_err_wrap(err, "tokenizer.json");
}

int ft_tokenizer_fill_generation(struct ft_tokenizer *t, const char *json, size_t n,
                                 struct ft_err *err)
{
    json_t *config, *item;
    size_t i;
    int rc = part_load((struct ft_slice){json, n}, "generation_config.json", &config, err);
    if (rc != 0)
        return rc;
    json_t *eos = json_object_get(config, "eos_token_id");
    if (json_is_integer(eos) && json_integer_value(eos) >= 0)
        ft_vocab_mark_eog(t, (uint64_t)json_integer_value(eos));
    json_array_foreach(eos, i, item)
    {
        if (json_is_integer(item) && json_integer_value(item) >= 0)
            ft_vocab_mark_eog(t, (uint64_t)json_integer_value(item));
    }
    json_decref(config);
    return 0;
}
