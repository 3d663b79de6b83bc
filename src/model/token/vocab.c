/* The table of tokens: bytes of each id, and ids by bytes.
 *
 * A token is kept as the bytes it stands for: GPT-2's alphabet is undone, SentencePiece's U+2581 is
 * a space, <0x41> is "A". Tokens that merges can make and all others ("verbatim": control and added
 * tokens, byte tokens, text outside the alphabet) live in one hash table but never answer for each
 * other: the added token "ü" and the merged bytes of "ü" are two tokens. All memory is the
 * tokenizer's arena; nothing is allocated per token. */
#include "model/token/impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/utf8.h"

#define INSERT_BEHIND  8u
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

/* Undoes GPT-2's alphabet, which ends at U+0143: two bytes, the lead C2 .. C5. Returns the number
 * of bytes, or -1 if a character is outside of it. */
static int64_t alphabet_decode(const char *p, size_t n, char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < n; o++) {
        unsigned char c = (unsigned char)p[i];
        int b = c;
        if (c >= 0x80) {
            unsigned char d = i + 1 < n ? (unsigned char)p[i + 1] : 0;
            b = c < 0xc2 || c > 0xc5 || (d & 0xc0) != 0x80
                    ? -1
                    : ft_alphabet_byte((c & 0x1fu) << 6 | (d & 0x3fu));
            i++;
        } else if (c < '!' || c > '~') {
            b = -1;
        }
        if (b < 0)
            return -1;
        out[o] = (char)b;
        i++;
    }
    return (int64_t)o;
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

#define HEAD_BYTES 11   /* of a token that its slot holds */
#define LEN_MAX    127u /* longer ones are told apart by off */

/* What a slot says about a token, and where it would be. Loading 150,000 tokens and as many merges
 * is mostly look-ups, and those are mostly cache misses: with the bytes in the slot there is one.
 */
struct key {
    uint64_t lo;
    uint32_t hi, pos;
};

static struct key key_make(const struct ft_vocab *v, const char *p, size_t n, bool verbatim)
{
    const unsigned char *u = (const unsigned char *)p;
    struct key k = {0};
    if (n >= 8) {
        memcpy(&k.lo, p, 8);
        for (size_t i = 8; i < n && i < HEAD_BYTES; i++)
            k.hi |= (uint32_t)u[i] << (8 * (i - 8));
    } else if (n >= 4) {
        uint32_t head, tail;
        memcpy(&head, p, 4);
        memcpy(&tail, p + n - 4, 4);
        k.lo = head | (uint64_t)tail << (8 * (n - 4));
    } else if (n > 0) {
        k.lo = u[0] | (uint64_t)u[n / 2] << (8 * (n / 2)) | (uint64_t)u[n - 1] << (8 * (n - 1));
    }
    k.hi |= (uint32_t)(FT_MIN(n, LEN_MAX) | (verbatim ? 0x80u : 0)) << 24;
    uint64_t h = mix(k.lo ^ v->key, k.hi ^ 0xa0761d6478bd642fu), w;
    for (size_t i = HEAD_BYTES; i < n; i += 8) {
        w = 0;
        memcpy(&w, p + i, FT_MIN(n - i, (size_t)8));
        h = mix(h ^ w, 0xe7037ed1a0b428dbu);
    }
    k.pos = (uint32_t)(h ^ h >> 32);
    return k;
}

static bool slot_has(const struct ft_vocab *v, const struct ft_vocab_slot *s, const struct key *k,
                     const char *p, size_t n)
{
    if (s->lo != k->lo || s->hi != k->hi)
        return false;
    if (n <= HEAD_BYTES)
        return true;
    uint32_t id = s->id_1 - 1;
    return v->off[id + 1] - v->off[id] == n &&
           memcmp(v->bytes + v->off[id] + HEAD_BYTES, p + HEAD_BYTES, n - HEAD_BYTES) == 0;
}

/* The slot that has the token, or the empty one where it belongs. */
static struct ft_vocab_slot *slot_find(const struct ft_vocab *v, const char *p, size_t n,
                                       bool verbatim)
{
    struct key k = key_make(v, p, n, verbatim);
    struct ft_vocab_slot *s;
    for (uint32_t pos = k.pos;; pos++) {
        s = &v->slots[pos & v->slot_mask];
        if (s->id_1 == 0 || slot_has(v, s, &k, p, n))
            return s;
    }
}

static int32_t find(const struct ft_vocab *v, const char *p, size_t n, bool verbatim)
{
    return (int32_t)slot_find(v, p, n, verbatim)->id_1 - 1;
}

int32_t ft_vocab_find(const struct ft_vocab *v, const char *p, size_t n)
{
    return n > v->len_max ? -1 : find(v, p, n, false);
}

int32_t ft_vocab_find_verbatim(const struct ft_vocab *v, const char *p, size_t n)
{
    return find(v, p, n, true);
}

static int64_t text_decode(const struct ft_tokenizer *t, struct ft_slice s, char *out)
{
    if (t->scheme == FT_SCHEME_BYTES)
        return alphabet_decode(s.p, s.n, out);
    if (t->marks_spaces)
        return (int64_t)spaces_decode(s.p, s.n, out);
    memcpy(out, s.p, s.n);
    return (int64_t)s.n;
}

/* Begins to fetch what find() will need. */
static void prefetch(const struct ft_vocab *v, const char *p, size_t n)
{
    __builtin_prefetch(&v->slots[key_make(v, p, n, false).pos & v->slot_mask]);
}

struct decoded {
    int64_t left, both; /* bytes; -1: not made of symbols */
    char *p;
    char buf[48];
};

/* The three tokens of a merge; id[2] may be known from the order of the file. */
static bool merge_find(const struct ft_tokenizer *t, const struct ft_merge_text *m,
                       const struct decoded *d, int32_t guess, int32_t id[3])
{
    const struct ft_vocab *v = &t->vocab;
    char raw[TEXT_BYTES_MAX];
    id[0] = id[1] = id[2] = -1;
    if (d->both >= 0) {
        size_t n = (size_t)d->both, l = (size_t)d->left;
        id[0] = ft_vocab_find(v, d->p, l);
        id[1] = ft_vocab_find(v, d->p + l, n - l);
        for (int32_t g = v->has_twins ? -1 : guess;
             g >= 0 && g <= guess + 1 && (uint32_t)g < v->n && id[2] < 0; g++)
            if (v->off[g + 1] - v->off[g] == n && (v->attr[g] & FT_TOKEN_VERBATIM) == 0 &&
                memcmp(v->bytes + v->off[g], d->p, n) == 0)
                id[2] = g;
        if (id[2] < 0)
            id[2] = ft_vocab_find(v, d->p, n);
    }
    if (id[0] < 0)
        id[0] = ft_vocab_find_verbatim(v, m->left.p, m->left.n);
    if (id[1] < 0)
        id[1] = ft_vocab_find_verbatim(v, m->right.p, m->right.n);
    if (id[2] < 0) {
        memcpy(raw, m->left.p, m->left.n);
        memcpy(raw + m->left.n, m->right.p, m->right.n);
        id[2] = ft_vocab_find_verbatim(v, raw, m->left.n + m->right.n);
    }
    return id[0] >= 0 && id[1] >= 0 && id[2] >= 0;
}

/* Merges come by the hundred thousand, and each needs slots all over two tables: what a block of
 * them needs is fetched before it is used. */
int ft_vocab_merges_find(const struct ft_tokenizer *t, const struct ft_merge_text *m, int n,
                         int32_t guess, int32_t (*ret)[3])
{
    struct decoded d[FT_MERGE_BLOCK];
    char *big = NULL;
    int i, found = 0;
    for (i = 0; i < n; i++) {
        size_t bytes = m[i].left.n + m[i].right.n;
        d[i].p = d[i].buf;
        if (m[i].left.n == 0 || m[i].right.n == 0 || m[i].left.n > TEXT_BYTES_MAX ||
            m[i].right.n > TEXT_BYTES_MAX - m[i].left.n)
            break;
        if (bytes > sizeof d[i].buf) {
            if (big == NULL && (big = malloc((size_t)FT_MERGE_BLOCK * TEXT_BYTES_MAX)) == NULL)
                break;
            d[i].p = big + (size_t)i * TEXT_BYTES_MAX;
        }
        d[i].left = text_decode(t, m[i].left, d[i].p);
        int64_t r = d[i].left < 0 ? -1 : text_decode(t, m[i].right, d[i].p + d[i].left);
        d[i].both = r < 0 ? -1 : d[i].left + r;
        if (r < 0)
            continue;
        prefetch(&t->vocab, d[i].p, (size_t)d[i].left);
        prefetch(&t->vocab, d[i].p + d[i].left, (size_t)r);
    }
    for (n = i; found < n && merge_find(t, &m[found], &d[found], guess, ret[found]); found++)
        guess = ret[found][2];
    free(big);
    return found;
}

/* Of several tokens with the same bytes the last one answers, as in the reference readers. */
static void insert(struct ft_vocab *v, uint32_t id)
{
    size_t n;
    const char *p = ft_vocab_bytes(v, id, &n);
    bool verbatim = (v->attr[id] & FT_TOKEN_VERBATIM) != 0;
    if (n == 0)
        return;
    struct key k = key_make(v, p, n, verbatim);
    struct ft_vocab_slot *s = slot_find(v, p, n, verbatim);
    v->has_twins |= s->id_1 != 0;
    *s = (struct ft_vocab_slot){k.lo, k.hi, id + 1};
}

static void prefetch_any(const struct ft_vocab *v, uint32_t id)
{
    size_t n;
    const char *p = ft_vocab_bytes(v, id, &n);
    struct key k = key_make(v, p, n, (v->attr[id] & FT_TOKEN_VERBATIM) != 0);
    __builtin_prefetch(&v->slots[k.pos & v->slot_mask], 1);
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
        /* its slot is fetched while the next tokens are read */
        prefetch_any(v, i);
        if (i >= INSERT_BEHIND)
            insert(v, i - INSERT_BEHIND);
    }
    for (uint32_t i = n - FT_MIN(n, INSERT_BEHIND); i < n; i++)
        insert(v, i);
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
