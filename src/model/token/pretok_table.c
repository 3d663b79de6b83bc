/* Pre-tokenizers by the name that GGUF files carry (tokenizer.ggml.pre).
 *
 * The patterns are those of the vendors' tokenizer.json files, so this table serves both ways: a
 * name gives patterns, and patterns found in a tokenizer.json are recognised: as a name to write
 * into a GGUF file, and as harmless, so that they may run without the step counting that
 * patterns of unknown cost need (regex.c). A new family is a row here. */
#include "model/token/steps.h"

#include <string.h>

#define GPT2                                                                                       \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|"               \
    "\\s+"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3                                                                                     \
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "                                     \
                "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define QWEN2                                                                                      \
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define QWEN35                                                                                     \
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}|"                                   \
                " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define GPT4O                                                                                      \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTION "?|"                                  \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" CONTRACTION "?|"                                  \
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define DEEPSEEK3                                                                                  \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"                                       \
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
/* DeepSeek LLM's letters: the cased ones of a few scripts, as its tokenizer.json lists them. */
#define DEEPSEEK_LETTERS                                                                           \
    "\\s?[A-Za-z"                                                                                  \
    "\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"         \
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3"     \
    "-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd"        \
    "\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-"        \
    "\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-"          \
    "\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-"         \
    "\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126"     \
    "\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00"     \
    "-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f"         \
    "\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-"        \
    "\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-"             \
    "\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"                    \
    "]+"
#define DEEPSEEK_CJK "[一-龥ࠀ-一가-퟿]+"

/* Names that are not of the Llama, Qwen, DeepSeek or GPT-2 families stand where the pattern is one
 * of these anyway. "default" is what other readers take for files without a name. */
static const struct ft_pretok_entry entries[] = {
    {"gpt-2 phi-2 mpt olmo jais trillion granite-docling gigachat a.x-4.0 mellum modern-bert "
     "jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe",
     {GPT2},
     false,
     false},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     {LLAMA3},
     true,
     true},
    {"smaug-bpe smaug dbrx glm4 chatglm-bpe", {LLAMA3}, false, false},
    {"qwen2 deepseek-r1-qwen qwen2.5 qwen3 stablelm2 hunyuan megrez kormo f2llmv2 grok-2 "
     "solar-open",
     {QWEN2},
     false,
     false},
    {"qwen35 qwen3.5", {QWEN35}, false, false},
    {"llama4 gpt-4o kanana2 talkie minimax-m2", {GPT4O}, false, false},
    {"deepseek-llm",
     {"[\r\n]", DEEPSEEK_LETTERS, "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", DEEPSEEK_CJK,
      "\\p{N}"},
     false,
     false},
    {"deepseek-coder",
     {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_CJK, "\\p{N}"},
     false,
     false},
    {"deepseek-v3 deepseek3 hunyuan-dense joyai-llm hy_v4",
     {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3},
     false,
     false},
    {"starcoder refact command-r smollm codeshell exaone minerva-7b mellum2",
     {"\\p{N}", GPT2},
     false,
     false},
    {"default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false, false},
};

/* Equal to the vendors' patterns, but linear: without the look-behind `\s+$` begins anew at every
 * space of a run that does not end the text. */
static const struct {
    const char *pattern, *safe;
} safe_variants[] = {
    {"\\s+$", "(?<!\\s)\\s+$"},
};

/* Further harmless patterns, from tokenizer.json's own pre-tokenizers (tok_json.c) and variants of
 * the vendors'. */
static const char *const harmless[] = {
    "\\p{N}",
    "\\p{N}+",
    "[\\p{P}$+<=>^`|~]",
    FT_PATTERN_RUST_WORDS,
    "\\s",
    "\\s+",
    "\\d",
    "\\d+",
    " ",
    "\\n",
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES,
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)",
};

const struct ft_pretok_entry *ft_pretok_entry_at(size_t i)
{
    return i < FT_COUNT(entries) ? &entries[i] : NULL;
}

static bool names_have(const char *names, const char *name, size_t n)
{
    while (*names != '\0') {
        size_t len = strcspn(names, " ");
        if (len == n && memcmp(names, name, n) == 0)
            return true;
        names += len + (names[len] == ' ');
    }
    return false;
}

const struct ft_pretok_entry *ft_pretok_entry_find(const char *name, size_t n)
{
    for (size_t i = 0; i < FT_COUNT(entries); i++)
        if (names_have(entries[i].names, name, n))
            return &entries[i];
    return NULL;
}

static bool equal(const char *s, const char *p, size_t n)
{
    return strlen(s) == n && memcmp(s, p, n) == 0;
}

const char *ft_pretok_pattern_safe(const char *pattern, size_t n)
{
    for (size_t i = 0; i < FT_COUNT(safe_variants); i++)
        if (equal(safe_variants[i].pattern, pattern, n))
            return safe_variants[i].safe;
    for (size_t i = 0; i < FT_COUNT(entries); i++)
        for (size_t k = 0; k < FT_COUNT(entries[i].pattern) && entries[i].pattern[k] != NULL; k++)
            if (equal(entries[i].pattern[k], pattern, n))
                return entries[i].pattern[k];
    for (size_t i = 0; i < FT_COUNT(harmless); i++)
        if (equal(harmless[i], pattern, n))
            return harmless[i];
    return NULL;
}
