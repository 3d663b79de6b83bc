/* A made-up byte-level BPE vocabulary of any size: the 256 bytes, merges that build every short run
 * of lower-case letters with and without a space before it, and a few specials at the end, where
 * real vocabularies have theirs. Every merge's two halves exist before it, so any BPE loader
 * accepts it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/file/shape.h"

#define LETTERS   26
#define SPECIALS  3
#define TEXT_MAX  24
#define NORMAL    1 /* token types of tokenizer.ggml.token_type */
#define CONTROL   3
#define TOKENS_MB 512 /* bound on the arena */

struct vocab {
    struct ft_arena arena;
    struct ft_slice *token, *merge;
    int32_t *type;
    int n, n_merge, max;
};

static void slice_set(struct vocab *v, struct ft_slice *s, const char *text)
{
    size_t n = strlen(text);
    char *p = ft_arena_strndup(&v->arena, text, n);
    *s = (struct ft_slice){p, p != NULL ? n : 0};
}

/* GPT-2's printable stand-in for a byte, in UTF-8. */
static void byte_text(int b, char *out)
{
    int shift = 0, code = b;
    if ((b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae) {
        code = b;
    } else {
        for (int c = 0; c < b; c++)
            shift += !((c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || c >= 0xae);
        code = 256 + shift;
    }
    if (code < 128)
        snprintf(out, 3, "%c", code);
    else
        snprintf(out, 3, "%c%c", 0xc0 | code >> 6, 0x80 | (code & 63));
}

static void token_add(struct vocab *v, const char *text, int type)
{
    slice_set(v, &v->token[v->n], text);
    v->type[v->n++] = type;
}

/* One merge and the token it makes, while there is room. */
static void merge_add(struct vocab *v, const char *left, const char *right)
{
    if (v->n >= v->max - SPECIALS)
        return;
    char text[2 * TEXT_MAX];
    snprintf(text, sizeof text, "%s %s", left, right);
    slice_set(v, &v->merge[v->n_merge++], text);
    snprintf(text, sizeof text, "%s%s", left, right);
    token_add(v, text, NORMAL);
}

/* The i-th run of n letters. */
static void run_text(int i, int n, const char *before, char *out)
{
    size_t at = (size_t)snprintf(out, TEXT_MAX, "%s", before);
    for (int k = n; k-- > 0; i /= LETTERS)
        out[at + (size_t)k] = (char)('a' + i % LETTERS);
    out[at + (size_t)n] = '\0';
}

static void merges_fill(struct vocab *v)
{
    char space[3], left[TEXT_MAX], right[TEXT_MAX];
    byte_text(' ', space);
    int count = LETTERS;
    for (int n = 1; n <= 4 && v->n < v->max - SPECIALS; n++, count *= LETTERS) {
        for (int i = 0; i < count; i++) { /* a space and n letters: from one letter less */
            run_text(i / LETTERS, n - 1, space, left);
            run_text(i % LETTERS, 1, "", right);
            merge_add(v, left, right);
        }
        for (int i = 0; n > 1 && i < count; i++) { /* n letters */
            run_text(i / LETTERS, n - 1, "", left);
            run_text(i % LETTERS, 1, "", right);
            merge_add(v, left, right);
        }
    }
}

static const char chat_template[] =
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

int ft_shape_vocab_put(struct ft_gguf_writer *g, int n, struct ft_err *err)
{
    struct vocab v = {.max = n};
    ft_arena_init(&v.arena, (size_t)TOKENS_MB << 20);
    v.token = ft_arena_array(&v.arena, (size_t)n, sizeof *v.token);
    v.merge = ft_arena_array(&v.arena, (size_t)n, sizeof *v.merge);
    v.type = ft_arena_array(&v.arena, (size_t)n, sizeof *v.type);
    int rc = 0;
    if (v.token == NULL || v.merge == NULL || v.type == NULL) {
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a vocabulary of %d tokens", n);
        goto done;
    }
    for (int b = 0; b < 256; b++) {
        char text[3];
        byte_text(b, text);
        token_add(&v, text, NORMAL);
    }
    merges_fill(&v);
    static const char *const specials[SPECIALS] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    int first_special = v.n;
    for (int i = 0; i < SPECIALS; i++)
        token_add(&v, specials[i], CONTROL);
    FT_ASSERT(v.n == n);
    ft_gguf_put_str(g, "tokenizer.ggml.model", "gpt2", 4);
    ft_gguf_put_str(g, "tokenizer.ggml.pre", "qwen2", 5);
    ft_gguf_put_strs(g, "tokenizer.ggml.tokens", v.token, (uint64_t)v.n);
    ft_gguf_put_i32s(g, "tokenizer.ggml.token_type", v.type, (uint64_t)v.n);
    ft_gguf_put_strs(g, "tokenizer.ggml.merges", v.merge, (uint64_t)v.n_merge);
    ft_gguf_put_u32(g, "tokenizer.ggml.bos_token_id", (uint32_t)first_special);
    ft_gguf_put_u32(g, "tokenizer.ggml.eos_token_id", (uint32_t)first_special + 2);
    ft_gguf_put_u32(g, "tokenizer.ggml.padding_token_id", (uint32_t)first_special);
    ft_gguf_put_bool(g, "tokenizer.ggml.add_bos_token", false);
    ft_gguf_put_str(g, "tokenizer.chat_template", chat_template, sizeof chat_template - 1);
done:
    ft_arena_fini(&v.arena);
    return rc;
}
