/* Ids to bytes, whole and streaming.
 *
 * Decoding is the concatenation of the tokens' bytes, with two exceptions that make it the exact
 * inverse of encoding:
 * - Where encoding put SentencePiece's dummy space before a section, decoding takes it away.
 * - DeepSeek's vocabularies have no tokens for the 13 bytes that no valid UTF-8 contains, but added
 *   tokens of the characters that stand for those bytes in GPT-2's alphabet ("õ" for F5). "õ" in a
 *   text is that token; the byte F5 is the token of the lone byte C2 and then that token. Valid
 *   text never yields this pair: C2 wants a continuation byte. */
#include "model/token/impl.h"

#include <string.h>

#include "base/utf8.h"

bool ft_tokenizer_is_stand_in(const struct ft_tokenizer *t, int32_t id)
{
    return ft_tokenizer_stand_in_byte(t, id) >= 0;
}

int ft_tokenizer_stand_in_byte(const struct ft_tokenizer *t, int32_t id)
{
    if (t->stand_in_mark < 0 || id < 0 || (uint32_t)id >= t->vocab.n ||
        (t->vocab.attr[id] & FT_TOKEN_ADDED) == 0)
        return -1;
    for (int b = 0; b < 256; b++)
        if (t->stand_in[b] == id)
            return b;
    return -1;
}

const char *ft_tokenizer_bytes(const struct ft_tokenizer *t, int32_t id, size_t *ret_n)
{
    *ret_n = 0;
    return id < 0 || (uint32_t)id >= t->vocab.n ? ""
                                                : ft_vocab_bytes(&t->vocab, (uint32_t)id, ret_n);
}

/* The bytes of a token where it stands; *first: at the beginning of a section. */
static const char *bytes_at(const struct ft_tokenizer *t, int32_t id, bool skip_control,
                            bool *first, size_t *ret_n)
{
    const char *p = ft_tokenizer_bytes(t, id, ret_n);
    bool at_start = *first && t->prefix != FT_PREFIX_NONE;
    bool known = id >= 0 && (uint32_t)id < t->vocab.n;
    bool added =
        known && ((t->vocab.attr[id] & FT_TOKEN_ADDED) != 0 || ft_tokenizer_is_control(t, id));
    /* Tokens put before the text (BOS) do not end "the first section has not begun". */
    *first = added && (t->prefix == FT_PREFIX_EACH || (*first && ft_tokenizer_is_control(t, id)));
    if (skip_control && ft_tokenizer_is_control(t, id)) {
        *ret_n = 0;
        return p;
    }
    if (at_start && !added && *ret_n > 0 && p[0] == ' ') {
        p++;
        --*ret_n;
    }
    return p;
}

int ft_tokenizer_decode(const struct ft_tokenizer *t, const int32_t *ids, size_t n,
                        bool skip_control, struct ft_buf *out, struct ft_err *err)
{
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (uint32_t)ids[i] >= t->vocab.n)
            return ft_err_set(err, FT_EINVAL, "token %zu: there is no id %d (ids are 0 to %u)", i,
                              ids[i], t->vocab.n - 1);
        size_t len;
        char byte;
        const char *p;
        int b = ids[i] == t->stand_in_mark && i + 1 < n ? ft_tokenizer_stand_in_byte(t, ids[i + 1])
                                                        : -1;
        if (b >= 0) {
            byte = (char)b;
            p = &byte;
            len = 1;
            i++;
        } else {
            p = bytes_at(t, ids[i], skip_control, &first, &len);
        }
        int rc = ft_buf_add(out, p, len);
        if (rc != 0)
            return ft_err_set(err, (enum ft_code)rc,
                              "detokenize: the text is longer than %zu bytes", out->max_bytes);
    }
    return 0;
}

void ft_detok_init(struct ft_detok *d, const struct ft_tokenizer *t, bool skip_control)
{
    *d = (struct ft_detok){.t = t, .first = true, .skip_control = skip_control};
}

static int replacement_add(struct ft_buf *out)
{
    return ft_buf_add(out, "\xef\xbf\xbd", 3);
}

/* Takes one byte. What is held is always the beginning of a valid character; a byte that does not
 * continue it makes it one U+FFFD ("maximal subpart", as Python's errors="replace"). */
static int byte_take(struct ft_detok *d, unsigned char c, struct ft_buf *out)
{
    int rc = 0;
    if (d->n_held > 0) {
        bool ok = d->n_held == 1 ? ft_utf8_second_ok(d->held[0], c) : (c & 0xc0) == 0x80;
        if (ok) {
            d->held[d->n_held++] = c;
            if (d->n_held < ft_utf8_lead_len(d->held[0]))
                return 0;
            rc = ft_buf_add(out, d->held, (size_t)d->n_held);
            d->n_held = 0;
            return rc;
        }
        d->n_held = 0;
        rc = replacement_add(out);
        if (rc != 0)
            return rc;
    }
    if (c < 0x80)
        return ft_buf_add_byte(out, c);
    if (ft_utf8_lead_len(c) == 0)
        return replacement_add(out);
    d->held[0] = c;
    d->n_held = 1;
    return 0;
}

int ft_detok_push(struct ft_detok *d, int32_t id, struct ft_buf *out)
{
    size_t n;
    const char *p = bytes_at(d->t, id, d->skip_control, &d->first, &n);
    bool after_mark = d->after_mark;
    d->after_mark = id >= 0 && id == d->t->stand_in_mark;
    if (after_mark &&
        ft_tokenizer_is_stand_in(
            d->t, id)) { /* the mark and its stand-in: one byte, and never a valid one */
        d->n_held = 0;
        return replacement_add(out);
    }
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        size_t whole = d->n_held == 0 ? ft_utf8_valid_len(p + i, n - i) : 0;
        if (whole != 0)
            rc = ft_buf_add(out, p + i, whole);
        else
            rc = byte_take(d, (unsigned char)p[i++], out);
        i += whole;
    }
    return rc;
}

int ft_detok_finish(struct ft_detok *d, struct ft_buf *out)
{
    int rc = d->n_held > 0 ? replacement_add(out) : 0;
    d->n_held = 0;
    return rc;
}
