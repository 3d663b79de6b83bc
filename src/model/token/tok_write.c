/* tokenizer.json from a GGUF's metadata, the way the tokenizers library has it.
 *
 * The library numbers added tokens that are not in the vocabulary from the vocabulary's size on, in
 * their order. So the vocabulary holds every id up to the last that is no added token, whatever
 * lies between, and only the run of added tokens at the end stands outside it. Unused ids after the
 * last token (rows of padding) are left out. Byte-level BPE keeps its merges; SentencePiece's
 * scores become merges as transformers makes them: every split of a token into two tokens, the
 * best score first. */
#include "model/token/tok_write.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "model/token/steps.h"

#define KEY(name)  "tokenizer.ggml." name
#define SPACE_MARK "\xe2\x96\x81" /* U+2581 */

struct writer {
    const struct ft_weights *w;
    struct ft_tokenizer *t; /* opened from w: what is valid, what is added before and after */
    struct ft_arena arena;
    struct ft_slice *token;
    uint32_t n, n_vocab; /* ids that are used; of them, those in model.vocab */
    json_t *json;
    struct ft_err *err;
};

static int no_memory(struct writer *x)
{
    return ft_err_set(x->err, FT_ENOMEM, "tokenizer.json: no memory");
}

static enum ft_token_type type_of(const struct writer *x, uint32_t id)
{
    return ft_vocab_type(&x->t->vocab, id);
}

static bool is_added(const struct writer *x, uint32_t id)
{
    enum ft_token_type type = type_of(x, id);
    return type == FT_TOKEN_CONTROL || type == FT_TOKEN_USER || type == FT_TOKEN_UNKNOWN;
}

static int tokens_read(struct writer *x)
{
    int64_t n = ft_meta_array_len(x->w, KEY("tokens")); /* the tokenizer has been opened */
    x->token = ft_arena_array(&x->arena, (size_t)n, sizeof *x->token);
    if (x->token == NULL)
        return no_memory(x);
    ft_meta_array_strs(x->w, KEY("tokens"), x->token, n);
    x->n = (uint32_t)n;
    while (x->n > 0 && type_of(x, x->n - 1) == FT_TOKEN_UNUSED)
        x->n--;
    x->n_vocab = x->n;
    while (x->n_vocab > 0 && is_added(x, x->n_vocab - 1))
        x->n_vocab--;
    return 0;
}

static int bad_token(struct writer *x, uint32_t id, const char *what)
{
    return ft_err_set(x->err, FT_EUNSUPPORTED, "tokenizer.ggml.tokens[%u]: '%.*s' %s", id,
                      (int)FT_MIN(x->token[id].n, (size_t)64), x->token[id].p, what);
}

static json_t *text(struct ft_slice s)
{
    return json_stringn(s.p, s.n); /* NULL if it is not UTF-8 */
}

static int vocab_make(struct writer *x, json_t *vocab)
{
    for (uint32_t id = 0; id < x->n_vocab; id++) {
        struct ft_slice s = x->token[id];
        if (memchr(s.p, 0, s.n) != NULL)
            return bad_token(x, id, "has a zero byte");
        if (json_object_getn(vocab, s.p, s.n) != NULL)
            return bad_token(x, id, "stands twice");
        if (json_object_setn_new(vocab, s.p, s.n, json_integer(id)) != 0)
            return bad_token(x, id, "is not UTF-8");
    }
    return 0;
}

static int added_make(struct writer *x, json_t *list)
{
    for (uint32_t id = 0; id < x->n; id++) {
        if (!is_added(x, id))
            continue;
        json_t *content = text(x->token[id]);
        if (content == NULL)
            return bad_token(x, id, "is not UTF-8");
        bool special = type_of(x, id) != FT_TOKEN_USER;
        json_t *item = json_pack("{s:i,s:o,s:b,s:b,s:b,s:b,s:b}", "id", (int)id, "content", content,
                                 "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
                                 "special", special);
        if (json_array_append_new(list, item) != 0)
            return no_memory(x);
    }
    return 0;
}

static int merges_copy(struct writer *x, json_t *list)
{
    int64_t n = ft_meta_array_len(x->w, KEY("merges"));
    struct ft_slice *merge = ft_arena_array(&x->arena, (size_t)n + 1, sizeof *merge);
    if (merge == NULL)
        return no_memory(x);
    if (n > 0)
        ft_meta_array_strs(x->w, KEY("merges"), merge, n);
    for (int64_t i = 0; i < n; i++)
        if (json_array_append_new(list, text(merge[i])) != 0)
            return ft_err_set(x->err, FT_EUNSUPPORTED, "tokenizer.ggml.merges[%lld]: not UTF-8",
                              (long long)i);
    return 0;
}

/* A split of a token into two: a merge. */
struct split {
    float score;
    uint32_t id, left; /* bytes of the left part */
};

/* As in spm.c. */
static bool is_mergeable(const struct writer *x, uint32_t id)
{
    return (x->t->vocab.attr[id] & FT_TOKEN_VERBATIM) == 0 && type_of(x, id) != FT_TOKEN_UNUSED;
}

static int split_compare(const void *a, const void *b)
{
    const struct split *p = a, *q = b;
    if (p->score != q->score)
        return p->score > q->score ? -1 : 1;
    if (p->id != q->id)
        return p->id < q->id ? -1 : 1;
    return p->left < q->left ? -1 : p->left > q->left;
}

/* Calls for each split that spm.c would make a merge of, on the texts as the file has them. */
static size_t splits_find(const struct writer *x, const struct ft_strmap *ids, const double *score,
                          struct split *out)
{
    size_t count = 0;
    for (uint32_t id = 0; id < x->n_vocab; id++) {
        struct ft_slice s = x->token[id];
        size_t n_bytes;
        ft_vocab_bytes(&x->t->vocab, id, &n_bytes);
        if (!is_mergeable(x, id) || n_bytes > FT_TOK_SPM_BYTES_MAX)
            continue;
        for (size_t k = 1; k < s.n; k++) {
            if (((unsigned char)s.p[k] & 0xc0) == 0x80 ||
                !ft_strmap_get(ids, s.p + k, s.n - k, NULL) || !ft_strmap_get(ids, s.p, k, NULL))
                continue;
            if (out != NULL)
                out[count] = (struct split){(float)score[id], id, (uint32_t)k};
            count++;
        }
    }
    return count;
}

static int splits_write(struct writer *x, const struct split *s, size_t n, json_t *list)
{
    struct ft_buf b;
    ft_buf_init(&b, FT_TOK_JSON_MAX);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct ft_slice t = x->token[s[i].id];
        ft_buf_reset(&b);
        ft_buf_add(&b, t.p, s[i].left);
        ft_buf_add_byte(&b, ' ');
        ft_buf_add(&b, t.p + s[i].left, t.n - s[i].left);
        if (memchr(t.p, ' ', t.n) != NULL)
            rc = bad_token(x, s[i].id, "has a space, which divides the halves of a merge");
        else if (b.failed != 0 || json_array_append_new(list, json_stringn(b.data, b.len)) != 0)
            rc = no_memory(x);
    }
    ft_buf_fini(&b);
    return rc;
}

static int merges_of_scores(struct writer *x, json_t *list)
{
    int64_t n = ft_meta_array_len(x->w, KEY("scores"));
    double *score = ft_arena_array(&x->arena, (size_t)n + 1, sizeof *score);
    struct ft_strmap ids;
    if (score == NULL || ft_strmap_init(&ids, x->n_vocab) != 0)
        return no_memory(x);
    ft_meta_array_f64s(x->w, KEY("scores"), score, n);
    int rc = 0;
    for (uint32_t id = 0; rc == 0 && id < x->n_vocab; id++)
        if (is_mergeable(x, id))
            rc = ft_strmap_add(&ids, x->token[id].p, x->token[id].n, (int32_t)id);
    size_t count = rc == 0 ? splits_find(x, &ids, score, NULL) : 0;
    struct split *s = calloc(count + 1, sizeof *s);
    if (rc != 0 || s == NULL) {
        rc = no_memory(x);
    } else {
        splits_find(x, &ids, score, s);
        qsort(s, count, sizeof *s, split_compare);
        rc = splits_write(x, s, count, list);
    }
    free(s);
    ft_strmap_fini(&ids);
    return rc;
}

/* The steps of a named pre-tokenizer, in the forms that the vendors use. */
static json_t *pre_tokenizer_make(const char *name, size_t n)
{
    const struct ft_pretok_entry *entry = ft_pretok_entry_find(name, n);
    const struct ft_pretok_entry *gpt2 = ft_pretok_entry_find("gpt-2", 5);
    json_t *list = json_array();
    bool own = false; /* ByteLevel does the last step itself */
    for (size_t i = 0; i < FT_COUNT(entry->pattern) && entry->pattern[i] != NULL; i++) {
        const char *p = entry->pattern[i];
        bool last = i + 1 == FT_COUNT(entry->pattern) || entry->pattern[i + 1] == NULL;
        own = last && strcmp(p, gpt2->pattern[0]) == 0;
        if (!own)
            json_array_append_new(list,
                                  json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern",
                                            "Regex", p, "behavior", "Isolated", "invert", 0));
    }
    json_array_append_new(list,
                          json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                                    "trim_offsets", 0, "use_regex", own));
    return json_pack("{s:s,s:o}", "type", "Sequence", "pretokenizers", list);
}

static json_t *named_piece(const char *kind, const char *id)
{
    return json_pack("{s:{s:s,s:i}}", kind, "id", id, "type_id", 0);
}

/* What is put before and after a text. */
static int post_processor_make(struct writer *x, json_t **ret)
{
    const struct ft_tokenizer *t = x->t;
    *ret = NULL;
    if (t->n_before == 0 && t->n_after == 0)
        return 0;
    json_t *single = json_array(), *special = json_object();
    json_t *post = json_pack("{s:s,s:o,s:o,s:o}", "type", "TemplateProcessing", "single", single,
                             "pair", json_array(), "special_tokens", special);
    if (post == NULL)
        return no_memory(x);
    for (int i = 0; i <= t->n_before + t->n_after; i++) {
        if (i == t->n_before) {
            json_array_append_new(single, named_piece("Sequence", "A"));
            continue;
        }
        uint32_t id = (uint32_t)(i < t->n_before ? t->before[i] : t->after[i - t->n_before - 1]);
        json_t *name = text(x->token[id]);
        if (name == NULL || strlen(json_string_value(name)) != x->token[id].n) {
            json_decref(name);
            json_decref(post);
            return bad_token(x, id, "is not UTF-8");
        }
        json_array_append_new(single, named_piece("SpecialToken", json_string_value(name)));
        json_object_set_new(
            special, json_string_value(name),
            json_pack("{s:O,s:[i],s:[O]}", "id", name, "ids", (int)id, "tokens", name));
        json_decref(name);
    }
    json_object_set(post, "pair", single); /* two texts are one after the other */
    *ret = post;
    return 0;
}

static json_t *replace(const char *from, const char *to)
{
    return json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", from, "content",
                     to);
}

/* Byte-level BPE around its model. */
static void bytes_frame(struct writer *x)
{
    struct ft_slice pre = {"default", 7};
    ft_meta_str(x->w, KEY("pre"), &pre);
    json_object_set_new(x->json, "normalizer", json_null());
    json_object_set_new(x->json, "pre_tokenizer", pre_tokenizer_make(pre.p, pre.n));
    json_object_set_new(x->json, "decoder",
                        json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                                  "trim_offsets", 0, "use_regex", 0));
}

/* SentencePiece's BPE around its model: spaces are marked by the normalizer. */
static void chars_frame(struct writer *x)
{
    json_t *normal = json_array(), *decode = json_array();
    bool prefix = x->t->prefix != FT_PREFIX_NONE;
    if (prefix)
        json_array_append_new(normal,
                              json_pack("{s:s,s:s}", "type", "Prepend", "prepend", SPACE_MARK));
    json_array_append_new(normal, replace(" ", SPACE_MARK));
    json_array_append_new(decode, replace(SPACE_MARK, " "));
    json_array_append_new(decode, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(decode, json_pack("{s:s}", "type", "Fuse"));
    if (prefix)
        json_array_append_new(decode, json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content",
                                                " ", "start", 1, "stop", 0));
    json_object_set_new(x->json, "normalizer",
                        json_pack("{s:s,s:o}", "type", "Sequence", "normalizers", normal));
    json_object_set_new(x->json, "pre_tokenizer", json_null());
    json_object_set_new(x->json, "decoder",
                        json_pack("{s:s,s:o}", "type", "Sequence", "decoders", decode));
}

static int model_make(struct writer *x)
{
    const struct ft_tokenizer *t = x->t;
    bool bytes = t->scheme == FT_SCHEME_BYTES;
    json_t *vocab = json_object(), *merges = json_array();
    json_t *unk = !bytes && t->unk >= 0 && (uint32_t)t->unk < x->n_vocab ? text(x->token[t->unk])
                                                                         : json_null();
    json_t *model = json_pack("{s:s,s:n,s:o,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout",
                              "unk_token", unk, "continuing_subword_prefix", "end_of_word_suffix",
                              "fuse_unk", !bytes, "byte_fallback", !bytes, "ignore_merges",
                              t->ignore_merges, "vocab", vocab, "merges", merges);
    if (model == NULL)
        return no_memory(x);
    json_object_set_new(x->json, "model", model);
    int rc = vocab_make(x, vocab);
    if (rc != 0)
        return rc;
    return bytes ? merges_copy(x, merges) : merges_of_scores(x, merges);
}

static int buf_put(const char *p, size_t n, void *ctx)
{
    return ft_buf_add(ctx, p, n) == 0 ? 0 : -1;
}

static int json_write(const json_t *j, struct ft_buf *out, const char *name, struct ft_err *err)
{
    if (json_dump_callback(j, buf_put, out, JSON_INDENT(2)) == 0)
        return 0;
    return out->failed != 0
               ? ft_err_set(err, out->failed, "%s: more than %zu bytes", name, out->max_bytes)
               : ft_err_set(err, FT_EUNSUPPORTED, "%s: not UTF-8", name);
}

static int json_make(struct writer *x, struct ft_buf *out)
{
    json_t *added = json_array(), *post = NULL;
    x->json = json_pack("{s:s,s:n,s:n,s:o}", "version", "1.0", "truncation", "padding",
                        "added_tokens", added);
    int rc = x->json == NULL ? no_memory(x) : tokens_read(x);
    if (rc == 0)
        rc = added_make(x, added);
    if (rc == 0 && x->t->scheme == FT_SCHEME_BYTES)
        bytes_frame(x);
    else if (rc == 0)
        chars_frame(x);
    if (rc == 0)
        rc = post_processor_make(x, &post);
    if (rc == 0)
        json_object_set_new(x->json, "post_processor", post != NULL ? post : json_null());
    if (rc == 0)
        rc = model_make(x);
    return rc == 0 ? json_write(x->json, out, "tokenizer.json", x->err) : rc;
}

int ft_tokenizer_json_write(const struct ft_weights *w, struct ft_buf *out, struct ft_err *err)
{
    struct writer x = {.w = w, .err = err};
    FT_ASSERT(ft_weights_source(w) == FT_SOURCE_GGUF);
    int rc = ft_tokenizer_open(w, &x.t, err);
    if (rc != 0)
        return rc;
    ft_arena_init(&x.arena, 4 * FT_TOK_JSON_MAX);
    rc = json_make(&x, out);
    json_decref(x.json);
    ft_arena_fini(&x.arena);
    ft_tokenizer_close(x.t);
    return rc;
}

static void token_put(struct writer *x, json_t *j, const char *key, int64_t id)
{
    if (id >= 0 && id < x->n)
        json_object_set_new(j, key, text(x->token[id]));
}

static int template_add(struct writer *x, json_t *list, const char *key, const char *name)
{
    struct ft_slice s;
    if (!ft_meta_str(x->w, key, &s))
        return 0;
    json_t *body = text(s);
    if (body == NULL)
        return ft_err_set(x->err, FT_EUNSUPPORTED, "%s: not UTF-8", key);
    json_array_append_new(list, json_pack("{s:s,s:o}", "name", name, "template", body));
    return 0;
}

/* tokenizer.chat_template alone as a string; with tokenizer.chat_template.NAME, a list of all. */
static int templates_put(struct writer *x, json_t *j)
{
    static const char main_key[] = "tokenizer.chat_template";
    json_t *list = json_array();
    int rc = template_add(x, list, main_key, "default");
    size_t n_main = json_array_size(list), n = strlen(main_key);
    for (int i = 0; rc == 0 && i < ft_meta_count(x->w); i++) {
        const char *key = ft_meta_key(x->w, i);
        if (strncmp(key, main_key, n) == 0 && key[n] == '.')
            rc = template_add(x, list, key, key + n + 1);
    }
    if (json_array_size(list) == 1 && n_main == 1)
        json_object_set(j, "chat_template", json_object_get(json_array_get(list, 0), "template"));
    else if (json_array_size(list) > 0)
        json_object_set(j, "chat_template", list);
    json_decref(list);
    return rc;
}

static void decoder_put(struct writer *x, json_t *j)
{
    json_t *map = json_object();
    for (uint32_t id = 0; id < x->n; id++) {
        char key[16];
        if (!is_added(x, id))
            continue;
        snprintf(key, sizeof key, "%u", id);
        json_object_set_new(map, key,
                            json_pack("{s:o,s:b,s:b,s:b,s:b,s:b}", "content", text(x->token[id]),
                                      "lstrip", 0, "normalized", 0, "rstrip", 0, "single_word", 0,
                                      "special", type_of(x, id) != FT_TOKEN_USER));
    }
    json_object_set_new(j, "added_tokens_decoder", map);
}

static int config_make(struct writer *x, json_t *j)
{
    struct ft_slice arch = {"", 0};
    char key[96];
    uint64_t context, pad;
    int rc = tokens_read(x);
    if (rc != 0)
        return rc;
    ft_meta_str(x->w, "general.architecture", &arch);
    snprintf(key, sizeof key, "%.*s.context_length", (int)FT_MIN(arch.n, (size_t)64), arch.p);
    json_object_set_new(j, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    json_object_set_new(j, "clean_up_tokenization_spaces", json_false());
    if (ft_meta_u64(x->w, key, &context) && context <= INT64_MAX)
        json_object_set_new(j, "model_max_length", json_integer((json_int_t)context));
    token_put(x, j, "bos_token", x->t->bos);
    token_put(x, j, "eos_token", x->t->eos);
    if (x->t->scheme == FT_SCHEME_CHARS)
        token_put(x, j, "unk_token", x->t->unk);
    if (ft_meta_u64(x->w, KEY("padding_token_id"), &pad) && pad < x->n)
        token_put(x, j, "pad_token", (int64_t)pad);
    decoder_put(x, j);
    return templates_put(x, j);
}

int ft_tokenizer_config_write(const struct ft_weights *w, struct ft_buf *out, struct ft_err *err)
{
    struct writer x = {.w = w, .json = json_object(), .err = err};
    FT_ASSERT(ft_weights_source(w) == FT_SOURCE_GGUF);
    int rc = ft_tokenizer_open(w, &x.t, err);
    ft_arena_init(&x.arena, FT_TOK_JSON_MAX);
    if (rc == 0)
        rc = config_make(&x, x.json);
    if (rc == 0)
        rc = json_write(x.json, out, "tokenizer_config.json", err);
    json_decref(x.json);
    ft_arena_fini(&x.arena);
    ft_tokenizer_close(x.t);
    return rc;
}
