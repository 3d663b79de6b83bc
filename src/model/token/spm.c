/* SentencePiece BPE from scores (GGUF's tokenizer.ggml.model = "llama").
 *
 * Such a file has no merges: two neighbours merge when their concatenation is a token, the highest
 * score first. That is the pair table of bpe.c with every split of every token into two tokens, the
 * score as the rank; building it once makes texts as fast as byte-level ones. */
#include "model/token/impl.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

/* Order-preserving, reversed: the highest score has the lowest rank. Never NO_RANK. */
static uint32_t score_rank(float score)
{
    uint32_t u = ft_f32_bits(score == 0 ? 0.0f : score);
    uint32_t up = (u >> 31) != 0 ? ~u : u | 0x80000000u;
    return isnan(score) ? UINT32_MAX - 1 : FT_MIN(~up, UINT32_MAX - 1);
}

/* Calls for every split of token `id` into two tokens; returns how many there are. With `t` given
 * adds them to its merges. */
static size_t splits(const struct ft_vocab *v, uint32_t id, struct ft_merges *m, uint32_t rank)
{
    size_t n, count = 0;
    const char *p = ft_vocab_bytes(v, id, &n);
    if ((v->attr[id] & FT_TOKEN_VERBATIM) != 0 || ft_vocab_type(v, id) == FT_TOKEN_UNUSED ||
        n > FT_TOK_SPM_BYTES_MAX)
        return 0;
    for (size_t k = 1; k < n; k++) {
        if (((unsigned char)p[k] & 0xc0) == 0x80)
            continue;
        int32_t right = ft_vocab_find(v, p + k, n - k);
        int32_t left = right < 0 ? -1 : ft_vocab_find(v, p, k);
        if (left < 0)
            continue;
        count++;
        if (m != NULL)
            ft_merges_add(m, (uint32_t)left, (uint32_t)right, rank, id, true);
    }
    return count;
}

int ft_spm_merges_build(struct ft_tokenizer *t, const float *scores, struct ft_err *err)
{
    size_t n = 0;
    for (uint32_t id = 0; id < t->vocab.n; id++)
        n += splits(&t->vocab, id, NULL, 0);
    int rc = ft_merges_init(&t->merges, &t->arena, n, err);
    for (uint32_t id = 0; rc == 0 && id < t->vocab.n; id++)
        splits(&t->vocab, id, &t->merges, score_rank(scores[id]));
    return rc;
}
