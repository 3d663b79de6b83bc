/* normalizer, pre_tokenizer and post_processor of a tokenizer.json.
 *
 * What SentencePiece models write as a normalizer (Prepend and Replace of U+2581) or as Metaspace
 * is one thing here: spaces are spaces, the vocabulary's marks are undone when it is read, and the
 * dummy prefix is a setting. Every pre-tokenizer becomes patterns (pretok.c). A kind that is not
 * known is an error that names it: leaving it out would give other ids. */
#include "model/token/tok_json.h"

#include <string.h>

#define MARK "\xe2\x96\x81" /* U+2581 */

const char *ft_json_text(json_t *o, const char *key, size_t *ret_n)
{
    json_t *v = json_object_get(o, key);
    *ret_n = json_string_length(v);
    return json_string_value(v);
}

bool ft_json_flag(json_t *o, const char *key, bool absent)
{
    json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : absent;
}

static bool is(const char *type, const char *name)
{
    return strcmp(type, name) == 0;
}

static int unsupported(struct ft_err *err, const char *field, const char *type)
{
    return ft_err_set(err, FT_EUNSUPPORTED, "%s: the type '%.64s' is not supported", field, type);
}

/* The "type" of a step; NULL with the error set if there is none. */
static const char *step_type(json_t *v, const char *field, int depth, struct ft_err *err)
{
    size_t n;
    const char *type = ft_json_text(v, "type", &n);
    if (type == NULL)
        ft_err_set(err, FT_EINVAL, "%s: 'type' is missing", field);
    if (depth > FT_JSON_NEST_MAX) {
        ft_err_set(err, FT_ELIMIT, "%s: nested more than %d deep", field, FT_JSON_NEST_MAX);
        return NULL;
    }
    return type;
}

typedef int step_fn(struct ft_tokenizer *t, json_t *v, int depth, struct ft_err *err);

static int sequence(struct ft_tokenizer *t, json_t *v, const char *key, const char *field,
                    int depth, step_fn *fn, struct ft_err *err)
{
    json_t *list = json_object_get(v, key), *item;
    size_t i;
    int rc = 0;
    if (!json_is_array(list))
        return ft_err_set(err, FT_EINVAL, "%s: Sequence without '%s'", field, key);
    json_array_foreach(list, i, item)
    {
        rc = json_is_object(item)
                 ? fn(t, item, depth + 1, err)
                 : ft_err_set(err, FT_EINVAL, "%s: '%s' holds no object", field, key);
        if (rc != 0)
            break;
    }
    return rc;
}

/* {"String": text} or {"Regex": pattern}; both absent: false. */
static bool pattern_of(json_t *v, struct ft_slice *ret, bool *ret_regex)
{
    json_t *p = json_object_get(v, "pattern");
    ret->p = ft_json_text(p, "Regex", &ret->n);
    *ret_regex = ret->p != NULL;
    if (ret->p == NULL)
        ret->p = ft_json_text(p, "String", &ret->n);
    return ret->p != NULL;
}

static int replace_step(struct ft_tokenizer *t, json_t *v, struct ft_err *err)
{
    struct ft_slice pattern, text = {.p = ft_json_text(v, "content", &text.n)};
    bool regex;
    if (!pattern_of(v, &pattern, &regex) || text.p == NULL)
        return ft_err_set(err, FT_EINVAL, "normalizer: Replace without 'pattern' or 'content'");
    if (!regex && t->scheme == FT_SCHEME_CHARS && pattern.n == 1 && pattern.p[0] == ' ' &&
        strcmp(text.p, MARK) == 0) {
        t->marks_spaces = true;
        return 0;
    }
    return ft_normal_add(t, FT_NORMAL_REPLACE, pattern, regex, text, err);
}

int ft_json_normalizer(struct ft_tokenizer *t, json_t *v, int depth, struct ft_err *err)
{
    static const struct {
        const char *type;
        enum ft_normal_kind kind;
    } plain[] = {{"NFC", FT_NORMAL_NFC},
                 {"NFD", FT_NORMAL_NFD},
                 {"NFKC", FT_NORMAL_NFKC},
                 {"NFKD", FT_NORMAL_NFKD},
                 {"Lowercase", FT_NORMAL_LOWERCASE}};
    const struct ft_slice none = {"", 0};
    if (v == NULL || json_is_null(v))
        return 0;
    const char *type = step_type(v, "normalizer", depth, err);
    if (type == NULL)
        return err == NULL ? FT_EINVAL : (int)err->code;
    for (size_t i = 0; i < FT_COUNT(plain); i++)
        if (is(type, plain[i].type))
            return ft_normal_add(t, plain[i].kind, none, false, none, err);
    if (is(type, "Sequence"))
        return sequence(t, v, "normalizers", "normalizer", depth, ft_json_normalizer, err);
    if (is(type, "Replace"))
        return replace_step(t, v, err);
    if (is(type, "Strip")) {
        int rc = 0;
        if (ft_json_flag(v, "strip_left", true))
            rc = ft_normal_add(t, FT_NORMAL_STRIP_LEFT, none, false, none, err);
        if (rc == 0 && ft_json_flag(v, "strip_right", true))
            rc = ft_normal_add(t, FT_NORMAL_STRIP_RIGHT, none, false, none, err);
        return rc;
    }
    if (is(type, "Prepend")) {
        struct ft_slice text = {.p = ft_json_text(v, "prepend", &text.n)};
        if (text.p == NULL)
            return ft_err_set(err, FT_EINVAL, "normalizer: Prepend without 'prepend'");
        if (t->scheme == FT_SCHEME_CHARS && strcmp(text.p, MARK) == 0) {
            t->prefix = FT_PREFIX_EACH;
            return 0;
        }
        return ft_normal_add(t, FT_NORMAL_PREPEND, none, false, text, err);
    }
    return unsupported(err, "normalizer", type);
}

/* A literal text as a pattern. */
static int literal_add(struct ft_tokenizer *t, struct ft_slice text, enum ft_split split,
                       bool invert, struct ft_err *err)
{
    struct ft_buf b;
    ft_buf_init(&b, 65536);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '\0')
            ft_buf_add_str(&b, "\\x00");
        else if (c < 0x80 && strchr("\\^$.[]|()?*+{}#-", c) != NULL)
            ft_buf_addf(&b, "\\%c", c);
        else
            ft_buf_add_byte(&b, c);
    }
    int rc = b.failed != 0
                 ? ft_err_set(err, FT_ELIMIT, "pre_tokenizer: Split: a text too long")
                 : ft_pretok_add(t, b.data == NULL ? "" : b.data, b.len, split, invert, err);
    ft_buf_fini(&b);
    return rc;
}

static int behavior_of(json_t *v, enum ft_split *ret, struct ft_err *err)
{
    static const struct {
        const char *name;
        enum ft_split split;
    } names[] = {{"Isolated", FT_SPLIT_ISOLATED},
                 {"Removed", FT_SPLIT_REMOVED},
                 {"Contiguous", FT_SPLIT_CONTIGUOUS},
                 {"MergedWithPrevious", FT_SPLIT_WITH_PREVIOUS},
                 {"MergedWithNext", FT_SPLIT_WITH_NEXT}};
    size_t n;
    const char *name = ft_json_text(v, "behavior", &n);
    if (name == NULL) {
        *ret = FT_SPLIT_ISOLATED;
        return 0;
    }
    for (size_t i = 0; i < FT_COUNT(names); i++)
        if (is(name, names[i].name)) {
            *ret = names[i].split;
            return 0;
        }
    return ft_err_set(err, FT_EUNSUPPORTED, "pre_tokenizer: the behavior '%.64s' is not supported",
                      name);
}

static int split_step(struct ft_tokenizer *t, json_t *v, struct ft_err *err)
{
    struct ft_slice pattern;
    enum ft_split split;
    bool regex, invert = ft_json_flag(v, "invert", false);
    if (!pattern_of(v, &pattern, &regex))
        return ft_err_set(err, FT_EINVAL, "pre_tokenizer: Split without 'pattern'");
    int rc = behavior_of(v, &split, err);
    if (rc != 0)
        return rc;
    return regex ? ft_pretok_add(t, pattern.p, pattern.n, split, invert, err)
                 : literal_add(t, pattern, split, invert, err);
}

static int byte_level_step(struct ft_tokenizer *t, json_t *v, struct ft_err *err)
{
    if (ft_json_flag(v, "add_prefix_space", true)) {
        if (t->pretok != NULL)
            return ft_err_set(err, FT_EUNSUPPORTED,
                              "pre_tokenizer: ByteLevel with 'add_prefix_space' after other steps");
        t->prefix = FT_PREFIX_EACH;
        t->prefix_unless_space = true;
    }
    return ft_json_flag(v, "use_regex", true) ? ft_pretok_add_named(t, "gpt-2", 5, err) : 0;
}

static int metaspace_step(struct ft_tokenizer *t, json_t *v, struct ft_err *err)
{
    size_t n;
    const char *mark = ft_json_text(v, "replacement", &n);
    const char *scheme = ft_json_text(v, "prepend_scheme", &n);
    if (t->scheme != FT_SCHEME_CHARS || t->pretok != NULL || (mark != NULL && !is(mark, MARK)))
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "pre_tokenizer: Metaspace after other steps or with another mark");
    if (scheme == NULL)
        scheme = ft_json_flag(v, "add_prefix_space", true) ? "always" : "never";
    t->marks_spaces = true;
    t->splits_spaces = ft_json_flag(v, "split", true);
    t->prefix_unless_space = true;
    t->prefix = is(scheme, "always")  ? FT_PREFIX_EACH
                : is(scheme, "first") ? FT_PREFIX_FIRST
                                      : FT_PREFIX_NONE;
    return 0;
}

static int pattern_step(struct ft_tokenizer *t, const char *pattern, enum ft_split split,
                        bool invert, struct ft_err *err)
{
    return ft_pretok_add(t, pattern, strlen(pattern), split, invert, err);
}

int ft_json_pre_tokenizer(struct ft_tokenizer *t, json_t *v, int depth, struct ft_err *err)
{
    if (v == NULL || json_is_null(v))
        return 0;
    const char *type = step_type(v, "pre_tokenizer", depth, err);
    enum ft_split split;
    if (type == NULL)
        return err == NULL ? FT_EINVAL : (int)err->code;
    if (is(type, "Sequence"))
        return sequence(t, v, "pretokenizers", "pre_tokenizer", depth, ft_json_pre_tokenizer, err);
    if (is(type, "ByteLevel"))
        return byte_level_step(t, v, err);
    if (is(type, "Split"))
        return split_step(t, v, err);
    if (is(type, "Metaspace"))
        return metaspace_step(t, v, err);
    if (is(type, "Digits")) /* any numeric character */
        return pattern_step(t, ft_json_flag(v, "individual_digits", false) ? "\\p{N}" : "\\p{N}+",
                            FT_SPLIT_ISOLATED, false, err);
    if (is(type, "Punctuation")) {
        int rc = behavior_of(v, &split, err);
        return rc != 0 ? rc : pattern_step(t, "[\\p{P}$+<=>^`|~]", split, false, err);
    }
    if (is(type, "Whitespace"))
        return pattern_step(t, FT_PATTERN_RUST_WORDS, FT_SPLIT_REMOVED, true, err);
    if (is(type, "WhitespaceSplit"))
        return pattern_step(t, "\\s", FT_SPLIT_REMOVED, false, err);
    if (is(type, "BertPreTokenizer")) {
        int rc = pattern_step(t, "\\s", FT_SPLIT_REMOVED, false, err);
        return rc != 0 ? rc : pattern_step(t, "[\\p{P}$+<=>^`|~]", FT_SPLIT_ISOLATED, false, err);
    }
    if (is(type, "CharDelimiterSplit")) {
        struct ft_slice c = {.p = ft_json_text(v, "delimiter", &c.n)};
        return c.p != NULL ? literal_add(t, c, FT_SPLIT_REMOVED, false, err)
                           : ft_err_set(err, FT_EINVAL, "pre_tokenizer: 'delimiter' is missing");
    }
    return unsupported(err, "pre_tokenizer", type);
}

static int affix_add(struct ft_tokenizer *t, json_t *id, bool before, struct ft_err *err)
{
    int32_t *list = before ? t->before : t->after;
    int *n = before ? &t->n_before : &t->n_after;
    json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
    if (v < 0 || v >= (json_int_t)t->vocab.n)
        return ft_err_set(err, FT_EINVAL, "post_processor: a special token's id is not a token");
    if (*n == FT_TOK_AFFIX_MAX)
        return ft_err_set(err, FT_ELIMIT, "post_processor: more than %d tokens", FT_TOK_AFFIX_MAX);
    list[(*n)++] = (int32_t)v;
    return 0;
}

/* "single": special tokens before and after the text, which is Sequence A. */
static int template_step(struct ft_tokenizer *t, json_t *v, struct ft_err *err)
{
    json_t *single = json_object_get(v, "single"), *item, *id;
    json_t *tokens = json_object_get(v, "special_tokens");
    bool before = true;
    size_t i, k;
    json_array_foreach(single, i, item)
    {
        if (json_object_get(item, "Sequence") != NULL)
            before = false;
        json_t *special = json_object_get(item, "SpecialToken");
        if (special == NULL)
            continue;
        size_t n;
        const char *name = ft_json_text(special, "id", &n);
        json_t *ids = name == NULL ? NULL : json_object_get(json_object_get(tokens, name), "ids");
        if (!json_is_array(ids))
            return ft_err_set(err, FT_EINVAL,
                              "post_processor: special_tokens has no ids of '%.64s'",
                              name == NULL ? "" : name);
        json_array_foreach(ids, k, id)
        {
            int rc = affix_add(t, id, before, err);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

int ft_json_post_processor(struct ft_tokenizer *t, json_t *v, int depth, struct ft_err *err)
{
    if (v == NULL || json_is_null(v))
        return 0;
    const char *type = step_type(v, "post_processor", depth, err);
    if (type == NULL)
        return err == NULL ? FT_EINVAL : (int)err->code;
    if (is(type, "Sequence"))
        return sequence(t, v, "processors", "post_processor", depth, ft_json_post_processor, err);
    if (is(type, "ByteLevel"))
        return 0; /* offsets only */
    if (is(type, "TemplateProcessing"))
        return template_step(t, v, err);
    if (is(type, "RobertaProcessing") || is(type, "BertProcessing")) {
        int rc = affix_add(t, json_array_get(json_object_get(v, "cls"), 1), true, err);
        return rc != 0 ? rc
                       : affix_add(t, json_array_get(json_object_get(v, "sep"), 1), false, err);
    }
    return unsupported(err, "post_processor", type);
}
