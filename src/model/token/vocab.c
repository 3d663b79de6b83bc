/* The table of tokens: bytes of each id, and ids by bytes.
 *
 * A token is kept as the bytes it stands for: GPT-2's alphabet is undone, SentencePiece's U+2581 is
 * a space, <0x41> is "A". Tokens that merges can make and all others ("verbatim": control and added
 * tokens, byte tokens, text outside the alphabet) live in one hash table but never answer for each
 * other: the added token "ü" and the merged bytes of "ü" are two tokens. All memory is the
 * tokenizer's arena; nothing is allocated per token. */
#include "model/token/impl.h"

#include <string.h>

#include "base/map.h"
#include "base/utf8.h"

#define TEXT_BYTES_MAX 4096 /* of a token that a merge names */

/* Tokens that end a generation in the models we know, whatever the metadata says. */
static const char *const eog_texts[] = {
    "<|im_end|>",    "<|eot_id|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>",
    "<|endoftext|>", "</s>",       "<|eom_id|>",      "<|EOT|>",
    "<|end|>",       "<|eot|>",    "<|eom|>",         "<end_of_turn>",
    "<EOT>",
};

/* Printable Latin-1 stands for itself; the other 68 bytes follow from U+0100 on (GPT-2's
 * bytes_to_unicode). */
static bool alphabet_plain(unsigned b)
{
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

uint32_t ft_alphabet_char(unsigned char b)
{
    if (alphabet_plain(b))
        return b;
    return 0x100 + (b <= 0x20 ? b : b <= 0xa0 ? b - 0x7fu + 33 : 67);
}

int ft_alphabet_byte(uint32_t cp)
{
    if (cp < 0x100)
        return alphabet_plain(cp) ? (int)cp : -1;
    if (cp <= 0x120)
        return (int)cp - 0x100;
    if (cp <= 0x142)
        return (int)cp - 0x121 + 0x7f;
    return cp == 0x143 ? 0xad : -1;
}

/* Undoes GPT-2's alphabet. Returns the number of bytes, or -1 if a character is outside of it. */
static int64_t alphabet_decode(const char *p, size_t n, char *out)
{
    char *o = out;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)p[i];
        if (c < 0x80) {
            if (c < '!' || c > '~')
                return -1;
            *o++ = (char)c;
            i++;
            continue;
        }
        /* the alphabet ends at U+0143: two bytes, the lead C2 .. C5 */
        if (i + 1 >= n || c < 0xc2 || c > 0xc5 || ((unsigned char)p[i + 1] & 0xc0) != 0x80)
            return -1;
        int b = ft_alphabet_byte((c & 0x1fu) << 6 | ((unsigned char)p[i + 1] & 0x3fu));
        if (b < 0)
            return -1;
        *o++ = (char)b;
        i += 2;
    }
    return o - out;
}

/* U+2581 (E2 96 81) becomes a space. */
static size_t spaces_decode(const char *p, size_t n, char *out)
{
    char *o = out;
    for (size_t i = 0; i < n;) {
        if (n - i >= 3 && memcmp(p + i, "\xe2\x96\x81", 3) == 0) {
            *o++ = ' ';
            i += 3;
        } else {
            *o++ = p[i++];
        }
    }
    return (size_t)(o - out);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* The byte that "<0xXX>" names, or -1. */
static int byte_token(const char *p, size_t n)
{
    if (n != 6 || memcmp(p, "<0x", 3) != 0 || p[5] != '>')
        return -1;
    int hi = hex_digit(p[3]), lo = hex_digit(p[4]);
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t r = (__uint128_t)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

/* Folded multiplication under a random key: half the time of SipHash on a token's few bytes, and
 * loading 150,000 tokens and as many merges is mostly this. */
static uint64_t hash(uint64_t key, const char *p, size_t n)
{
    uint64_t h = key ^ n, w, last = 0;
    for (; n > 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = mix(h ^ w, 0xa0761d6478bd642fu);
    }
    if (n >= 4) {
        uint32_t lo, hi;
        memcpy(&lo, p, 4);
        memcpy(&hi, p + n - 4, 4);
        last = (uint64_t)hi << 32 | lo;
    } else if (n > 0) {
        last = (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 |
               (unsigned char)p[n - 1];
    }
    return mix(h ^ last, key ^ 0xe7037ed1a0b428dbu);
}

/* Tokens whose bytes merges can make answer to ft_vocab_find, the rest to
 * ft_vocab_find_verbatim. */
static uint32_t slot_tag(const struct ft_vocab *v, const char *p, size_t n, bool verbatim,
                         uint32_t *ret_pos)
{
    uint64_t h = hash(v->key, p, n);
    *ret_pos = (uint32_t)h;
    return ((uint32_t)(h >> 32) & ~1u) | verbatim;
}

static int32_t find(const struct ft_vocab *v, const char *p, size_t n, bool verbatim)
{
    uint32_t pos, tag = slot_tag(v, p, n, verbatim, &pos);
    for (;; pos++) {
        const struct ft_vocab_slot *s = &v->slots[pos & v->slot_mask];
        if (s->id_1 == 0)
            return -1;
        if (s->tag != tag)
            continue;
        uint32_t id = s->id_1 - 1;
        if (v->off[id + 1] - v->off[id] == n && memcmp(v->bytes + v->off[id], p, n) == 0)
            return (int32_t)id;
    }
}

int32_t ft_vocab_find(const struct ft_vocab *v, const char *p, size_t n)
{
    return n > v->len_max ? -1 : find(v, p, n, false);
}

int32_t ft_vocab_find_verbatim(const struct ft_vocab *v, const char *p, size_t n)
{
    return find(v, p, n, true);
}

int32_t ft_vocab_find_text(const struct ft_tokenizer *t, struct ft_slice a, struct ft_slice joined)
{
    char raw[TEXT_BYTES_MAX], buf[TEXT_BYTES_MAX];
    if (a.n > sizeof raw || joined.n > sizeof raw - a.n)
        return -1;
    struct ft_slice s = a;
    if (joined.n != 0) {
        memcpy(raw, a.p, a.n);
        memcpy(raw + a.n, joined.p, joined.n);
        s = (struct ft_slice){raw, a.n + joined.n};
    }
    struct ft_slice d = s;
    int64_t n = (int64_t)s.n;
    if (t->scheme == FT_SCHEME_BYTES)
        n = alphabet_decode(s.p, s.n, buf);
    else if (t->marks_spaces)
        n = (int64_t)spaces_decode(s.p, s.n, buf);
    if (t->scheme == FT_SCHEME_BYTES || t->marks_spaces)
        d = (struct ft_slice){buf, (size_t)n};
    int32_t id = n < 0 ? -1 : ft_vocab_find(&t->vocab, d.p, d.n);
    return id >= 0 ? id : ft_vocab_find_verbatim(&t->vocab, s.p, s.n);
}

/* Of several tokens with the same bytes the last one answers, as in the reference readers. */
static void insert(struct ft_vocab *v, uint32_t id)
{
    size_t n;
    const char *p = ft_vocab_bytes(v, id, &n);
    bool verbatim = (v->attr[id] & FT_TOKEN_VERBATIM) != 0;
    uint32_t pos, tag = slot_tag(v, p, n, verbatim, &pos);
    for (;; pos++) {
        struct ft_vocab_slot *s = &v->slots[pos & v->slot_mask];
        if (s->id_1 != 0 && s->tag == tag) {
            uint32_t old = s->id_1 - 1;
            if (v->off[old + 1] - v->off[old] != n || memcmp(v->bytes + v->off[old], p, n) != 0)
                continue;
        } else if (s->id_1 != 0) {
            continue;
        }
        *s = (struct ft_vocab_slot){tag, id + 1};
        return;
    }
}

/* Writes what the token stands for to out (at most s.n bytes); sets its attributes. */
static size_t token_decode(struct ft_tokenizer *t, uint32_t id, struct ft_slice s, uint8_t type,
                           char *out)
{
    struct ft_vocab *v = &t->vocab;
    v->attr[id] = type;
    if (type == FT_TOKEN_BYTE && t->scheme == FT_SCHEME_CHARS) {
        int b = byte_token(s.p, s.n);
        v->attr[id] |= FT_TOKEN_VERBATIM;
        if (b >= 0) {
            out[0] = (char)b;
            v->byte_id[b] = (int32_t)id;
            return 1;
        }
    } else if (type == FT_TOKEN_NORMAL || type == FT_TOKEN_BYTE || type == FT_TOKEN_UNUSED) {
        if (t->scheme == FT_SCHEME_CHARS && s.n != 0) {
            if (t->marks_spaces)
                return spaces_decode(s.p, s.n, out);
            memcpy(out, s.p, s.n);
            return s.n;
        }
        int64_t n = s.n == 0 ? -1 : alphabet_decode(s.p, s.n, out);
        if (n >= 0)
            return (size_t)n;
        v->attr[id] |= FT_TOKEN_VERBATIM;
    } else {
        v->attr[id] |= FT_TOKEN_VERBATIM;
    }
    if (s.n != 0)
        memcpy(out, s.p, s.n);
    return s.n;
}

/* Whether a piece may be cut before every run of spaces without losing a merge. */
static bool has_space_inside(const char *p, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (p[i] == ' ' && p[i - 1] != ' ')
            return true;
    return false;
}

static void symbols_note(struct ft_tokenizer *t)
{
    struct ft_vocab *v = &t->vocab;
    for (unsigned b = 0; b < 256; b++) {
        char c = (char)b;
        int32_t id = ft_vocab_find(v, &c, 1);
        if (t->scheme == FT_SCHEME_BYTES)
            v->byte_id[b] = id;
        else if (b < 128)
            v->ascii_id[b] = id;
    }
}

int ft_vocab_build(struct ft_tokenizer *t, const struct ft_slice *text, const uint8_t *types,
                   uint32_t n, struct ft_err *err)
{
    struct ft_vocab *v = &t->vocab;
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += text[i].n;
    if (n == 0 || n > FT_TOK_TOKENS_MAX || bytes > UINT32_MAX / 2)
        return ft_err_set(err, FT_EINVAL, "the vocabulary has %u tokens of %zu bytes", n, bytes);
    uint32_t n_slots = 256;
    while (n_slots < n + n / 2)
        n_slots *= 2;
    v->n = n;
    v->key = ft_hash_bytes("vocab", 5) | 1;
    v->off = ft_arena_array(&t->arena, (size_t)n + 1, sizeof *v->off);
    v->bytes = ft_arena_alloc(&t->arena, bytes + 1);
    v->attr = ft_arena_alloc(&t->arena, n);
    v->whole = ft_arena_alloc(&t->arena, n);
    v->slots = ft_arena_array(&t->arena, n_slots, sizeof *v->slots);
    v->slot_mask = n_slots - 1;
    if (v->off == NULL || v->bytes == NULL || v->attr == NULL || v->whole == NULL ||
        v->slots == NULL)
        return ft_err_set(err, FT_ENOMEM, "the vocabulary's %u tokens: out of memory", n);
    memset(v->byte_id, -1, sizeof v->byte_id);
    memset(v->ascii_id, -1, sizeof v->ascii_id);
    uint32_t end = 0;
    for (uint32_t i = 0; i < n; i++) {
        v->off[i] = end;
        size_t len =
            token_decode(t, i, text[i], types == NULL ? FT_TOKEN_NORMAL : types[i], v->bytes + end);
        bool merged = (v->attr[i] & FT_TOKEN_VERBATIM) == 0;
        if (merged && len > v->len_max)
            v->len_max = (uint32_t)len;
        if (merged && t->scheme == FT_SCHEME_CHARS && !v->space_inside)
            v->space_inside = has_space_inside(v->bytes + end, len);
        end += (uint32_t)len;
        v->off[i + 1] = end;
        if (len != 0)
            insert(v, i);
    }
    symbols_note(t);
    return 0;
}

void ft_vocab_mark_eog(struct ft_tokenizer *t, uint64_t id)
{
    if (id < t->vocab.n)
        t->vocab.attr[id] |= FT_TOKEN_EOG;
}

void ft_vocab_finish(struct ft_tokenizer *t)
{
    struct ft_vocab *v = &t->vocab;
    for (size_t i = 0; i < FT_COUNT(eog_texts); i++) {
        int32_t id = ft_vocab_find_verbatim(v, eog_texts[i], strlen(eog_texts[i]));
        if (id >= 0)
            v->attr[id] |= FT_TOKEN_EOG;
    }
    if (t->eos >= 0)
        v->attr[t->eos] |= FT_TOKEN_EOG;
    memset(t->stand_in, -1, sizeof t->stand_in);
    t->stand_in_mark = -1;
    if (t->scheme != FT_SCHEME_BYTES || v->byte_id[0xc2] < 0)
        return;
    for (unsigned b = 0; b < 256; b++) {
        char c[FT_UTF8_BYTES_MAX];
        if (v->byte_id[b] >= 0)
            continue;
        int n = ft_utf8_encode(ft_alphabet_char((unsigned char)b), c);
        int32_t id = ft_vocab_find_verbatim(v, c, (size_t)n);
        if (id >= 0 && (v->attr[id] & FT_TOKEN_ADDED) != 0) {
            t->stand_in[b] = id;
            t->stand_in_mark = v->byte_id[0xc2];
        }
    }
}
